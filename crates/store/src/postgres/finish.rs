//! Ends attempts and queues new jobs, as parts of a batch. Every statement names the attempt and demands a live lease;
//! the rows are locked, so a count that differs means a broken lock and undoes the batch. This file must not claim.

use super::guards::Reads;
use super::keys::job_arrays;
use super::pipeline::{Param, Step};
use super::trouble::Trouble;
use super::write::{after, list};
use crate::encode::{Encoded, json, read_json};
use ordermill_core::job::{CircuitMove, Claim, Failure, Finish, JobKey, NewJob, Outcome, Past};
use ordermill_core::time::Timestamp;
use std::collections::BTreeMap;

const DONE: &str = "DELETE FROM jobs r USING unnest($1::text[], $2::text[], $3::bigint[], $4::integer[]) AS n (queue, grp, seq, attempt) \
     WHERE r.queue = n.queue AND r.grp = n.grp AND r.seq = n.seq AND r.attempt = n.attempt AND r.lease_until > $5::bigint";

const RETRY: &str = "UPDATE jobs r SET due_at = n.due_at, uncounted = r.uncounted + n.uncounted, history = n.history, \
     lease_until = NULL, worker = NULL \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $6::bigint[], $7::integer[], $8::text[]) \
     AS n (queue, grp, seq, attempt, due_at, uncounted, history) \
     WHERE r.queue = n.queue AND r.grp = n.grp AND r.seq = n.seq AND r.attempt = n.attempt AND r.lease_until > $5::bigint";

const BURY: &str = "WITH gone AS ( \
         DELETE FROM jobs r USING unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $6::text[]) \
             AS n (queue, grp, seq, attempt, history) \
         WHERE r.queue = n.queue AND r.grp = n.grp AND r.seq = n.seq AND r.attempt = n.attempt AND r.lease_until > $5::bigint \
         RETURNING r.queue, r.grp, r.seq, r.payload, r.attempt, r.uncounted, r.is_ordered, r.queued_at, n.history) \
     INSERT INTO dead_letters (queue, grp, seq, payload, attempt, uncounted, is_ordered, queued_at, died_at, history) \
     SELECT queue, grp, seq, payload, attempt, uncounted, is_ordered, queued_at, $5::bigint, history FROM gone \
     ON CONFLICT (queue, grp, seq) DO UPDATE SET payload = excluded.payload, attempt = excluded.attempt, \
         uncounted = excluded.uncounted, is_ordered = excluded.is_ordered, queued_at = excluded.queued_at, \
         died_at = excluded.died_at, history = excluded.history";

const OPEN_CIRCUITS: &str = "INSERT INTO circuits (queue, open_until) \
     SELECT n.queue, n.open_until FROM unnest($1::text[], $2::bigint[]) AS n (queue, open_until) \
     ON CONFLICT (queue) DO UPDATE SET open_until = excluded.open_until";

const CLOSE_CIRCUITS: &str = "DELETE FROM circuits WHERE queue = ANY($1::text[])";

const INSERT_JOBS: &str = "INSERT INTO jobs (queue, grp, seq, payload, attempt, uncounted, max_attempts, is_ordered, due_at, queued_at, history) \
     SELECT n.queue, n.grp, n.seq, n.payload, n.attempt, n.uncounted, n.max_attempts, n.is_ordered, n.due_at, $4::bigint, n.history \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $5::text[], $6::integer[], $7::integer[], $8::integer[], $9::boolean[], \
         $10::bigint[], $11::text[]) \
     AS n (queue, grp, seq, payload, attempt, uncounted, max_attempts, is_ordered, due_at, history) \
     ON CONFLICT (queue, grp, seq) DO NOTHING";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[DONE, RETRY, BURY, OPEN_CIRCUITS, CLOSE_CIRCUITS, INSERT_JOBS];

/// The ends of attempts, what they say about providers, and the new jobs.
pub(super) fn finish_steps<'a>(admitted: &[&'a Encoded], reads: &Reads) -> Result<Vec<Step<'a>>, Trouble> {
    let mut finishes: Vec<&'a Finish> = admitted.iter().filter_map(|encoded| encoded.change.finish.as_ref()).collect();
    let circuits = circuit_steps(&finishes, reads.now);
    finishes.sort_by(|a, b| a.claim.key.cmp(&b.claim.key));
    let mut steps = Vec::new();
    steps.extend(done_step(&finishes, reads.now));
    steps.extend(retry_step(&finishes, reads)?);
    steps.extend(bury_step(&finishes, reads)?);
    steps.extend(circuits);
    steps.extend(insert_step(admitted, reads.now)?);
    Ok(steps)
}

fn done_step<'a>(finishes: &[&'a Finish], now: Timestamp) -> Option<Step<'a>> {
    let claims: Vec<&Claim> = finishes.iter().filter(|finish| finish.outcome == Outcome::Done).map(|finish| &finish.claim).collect();
    (!claims.is_empty()).then(|| Step::new(DONE, claim_params(&claims, now)).writing(claims.len()))
}

fn retry_step<'a>(finishes: &[&'a Finish], reads: &Reads) -> Result<Option<Step<'a>>, Trouble> {
    let mut claims = Vec::new();
    let (mut due_at, mut uncounted, mut histories) = (Vec::new(), Vec::new(), Vec::new());
    for finish in finishes {
        if let Outcome::Retry { after_ms, counted, why } = &finish.outcome {
            claims.push(&finish.claim);
            due_at.push(after(reads.now, *after_ms));
            uncounted.push(i32::from(!counted));
            histories.push(with_failure(reads, &finish.claim, *counted, why)?);
        }
    }
    if claims.is_empty() {
        return Ok(None);
    }
    let mut params = claim_params(&claims, reads.now);
    params.extend([Box::new(due_at) as Param<'a>, Box::new(uncounted), Box::new(histories)]);
    Ok(Some(Step::new(RETRY, params).writing(claims.len())))
}

fn bury_step<'a>(finishes: &[&'a Finish], reads: &Reads) -> Result<Option<Step<'a>>, Trouble> {
    let mut claims = Vec::new();
    let mut histories = Vec::new();
    for finish in finishes {
        if let Outcome::Dead { why } = &finish.outcome {
            claims.push(&finish.claim);
            histories.push(with_failure(reads, &finish.claim, true, why)?);
        }
    }
    if claims.is_empty() {
        return Ok(None);
    }
    let mut params = claim_params(&claims, reads.now);
    params.push(Box::new(histories));
    Ok(Some(Step::new(BURY, params).writing(claims.len())))
}

/// Several attempts of one queue may end in one batch: the one that arrived last has the last word.
fn circuit_steps<'a>(finishes: &[&'a Finish], now: Timestamp) -> Vec<Step<'a>> {
    let mut moves: BTreeMap<&'a str, Option<i64>> = BTreeMap::new();
    for finish in finishes {
        let queue = finish.claim.key.queue.as_str();
        match finish.circuit {
            CircuitMove::Keep => {}
            CircuitMove::Open { for_ms } => drop(moves.insert(queue, Some(after(now, for_ms)))),
            CircuitMove::Close => drop(moves.insert(queue, None)),
        }
    }
    let opened: Vec<(&'a str, i64)> = moves.iter().filter_map(|(queue, until)| until.map(|until| (*queue, until))).collect();
    let closed: Vec<&'a str> = moves.iter().filter(|(_, until)| until.is_none()).map(|(queue, _)| *queue).collect();
    let mut steps = Vec::new();
    if !opened.is_empty() {
        steps.push(Step::new(OPEN_CIRCUITS, vec![list(&opened, |(queue, _): (&'a str, i64)| queue), list(&opened, |(_, until)| until)]));
    }
    if !closed.is_empty() {
        steps.push(Step::new(CLOSE_CIRCUITS, vec![Box::new(closed)]));
    }
    steps
}

fn insert_step<'a>(admitted: &[&'a Encoded], now: Timestamp) -> Result<Option<Step<'a>>, Trouble> {
    let mut jobs: Vec<&'a NewJob> = admitted.iter().flat_map(|encoded| &encoded.change.jobs).collect();
    if jobs.is_empty() {
        return Ok(None);
    }
    jobs.sort_by(|a, b| a.key.cmp(&b.key));
    let keys: Vec<&JobKey> = jobs.iter().map(|job| &job.key).collect();
    let histories = jobs.iter().map(|job| history_text(&job.past.history)).collect::<Result<Vec<_>, _>>()?;
    let mut params = job_arrays(&keys);
    params.extend([
        Box::new(now.micros()) as Param<'a>,
        list(&jobs, |job: &'a NewJob| job.payload.as_str()),
        list(&jobs, |job| job.past.attempt),
        list(&jobs, |job| job.past.uncounted),
        list(&jobs, |job| job.max_attempts),
        list(&jobs, |job| job.is_ordered),
        list(&jobs, |job| after(now, job.delay_ms)),
        Box::new(histories),
    ]);
    Ok(Some(Step::new(INSERT_JOBS, params)))
}

/// Queue, group, number, attempt and the time that leases must outlive.
fn claim_params<'a>(claims: &[&'a Claim], now: Timestamp) -> Vec<Param<'a>> {
    let keys: Vec<&JobKey> = claims.iter().map(|claim| &claim.key).collect();
    let mut params = job_arrays(&keys);
    params.extend([list(claims, |claim| claim.attempt), Box::new(now.micros()) as Param<'a>]);
    params
}

/// The stored history of a job and one more failure.
fn with_failure(reads: &Reads, claim: &Claim, counted: bool, why: &str) -> Result<Option<String>, Trouble> {
    let stored = reads.histories.get(&claim.key).and_then(Option::as_deref);
    let mut past = Past { history: read_history(&claim.key, stored)?, ..Past::default() };
    past.remember(Failure { attempt: claim.attempt, at: reads.now, counted, why: why.to_owned() });
    history_text(&past.history)
}

/// A history as its column holds it: nothing, or a JSON list.
pub(super) fn history_text(history: &[Failure]) -> Result<Option<String>, Trouble> {
    if history.is_empty() {
        return Ok(None);
    }
    json(&history).map(Some).map_err(|error| Trouble::Refused(error.to_string()))
}

/// Reads a history column. Claims and sweeps append to it without looking, so it may be longer than a history may be:
/// remembering one failure after the other makes it what it would be, had they looked.
pub(super) fn read_history(key: &JobKey, stored: Option<&str>) -> Result<Vec<Failure>, Trouble> {
    let Some(text) = stored else { return Ok(Vec::new()) };
    let failures: Vec<Failure> = read_json(key, text)?;
    let mut past = Past::default();
    for failure in failures {
        past.remember(failure);
    }
    Ok(past.history)
}
