//! Leasing jobs to workers. The rules are the model's, one by one: due, not paused, circuit closed or half open, no live
//! lease, attempts left, and for ordered jobs nobody of the group before them.

use super::failure::Failure;
use super::finish::lost_lease;
use super::rows::{column, history_text, job_key, past, text, timestamp};
use super::statement::statements;
use crate::ClaimTarget;
use ordermill_core::job::{Claim, Job, JobKey};
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

statements! {
    // The index (queue, due_at) ends with the primary key, so this walks it in order and stops at the limit.
    CLAIMABLE = "SELECT queue, grp, seq, attempt, uncounted, history, max_attempts, queued_at, lease_until, worker, payload
        FROM jobs WHERE queue = ?1 AND due_at <= ?2 AND (lease_until IS NULL OR lease_until <= ?2)
            AND attempt - uncounted < max_attempts
            AND (is_ordered = 0 OR NOT EXISTS (
                SELECT 1 FROM jobs AS earlier
                WHERE earlier.queue = jobs.queue AND earlier.grp = jobs.grp AND earlier.seq < jobs.seq))
        ORDER BY due_at, grp, seq LIMIT ?3";
    CLAIMABLE_JOB = "SELECT queue, grp, seq, attempt, uncounted, history, max_attempts, queued_at, lease_until, worker, payload
        FROM jobs WHERE queue = ?1 AND grp = ?3 AND seq = ?4 AND (lease_until IS NULL OR lease_until <= ?2)
            AND attempt - uncounted < max_attempts
            AND (is_ordered = 0 OR NOT EXISTS (
                SELECT 1 FROM jobs AS earlier
                WHERE earlier.queue = jobs.queue AND earlier.grp = jobs.grp AND earlier.seq < jobs.seq))";
    IS_PAUSED = "SELECT 1 FROM queue_pauses WHERE queue = ?1 AND is_paused <> 0";
    CIRCUIT = "SELECT open_until FROM circuits WHERE queue = ?1";
    // In the order of the index: whoever tries a half-open circuit has the job that is due longest.
    HAS_RUNNING = "SELECT 1 FROM jobs WHERE queue = ?1 AND lease_until > ?2 ORDER BY due_at LIMIT 1";
    LEASE_JOB = "UPDATE jobs SET attempt = ?4, lease_until = ?5, worker = ?6 WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    NOTE_LOST_LEASE = "UPDATE jobs SET history = ?4 WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    EXTEND = "UPDATE jobs SET lease_until = ?6
        WHERE queue = ?1 AND grp = ?2 AND seq = ?3 AND attempt = ?4 AND lease_until > ?5";
    // Leases found at opening belong to processes that are gone; the next claim writes down what became of them.
    END_LEASES = "UPDATE jobs SET lease_until = 0 WHERE lease_until > 0";
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub(super) struct ClaimRequest {
    /// Which jobs.
    pub(super) target: ClaimTarget,
    /// How many at most.
    pub(super) limit: usize,
    /// For how long.
    pub(super) lease_ms: i64,
    /// For whom.
    pub(super) worker: String,
}

/// A job that may be claimed, and whether somebody lost it.
struct Candidate {
    job: Job,
    had_lease: bool,
    last_worker: Option<String>,
}

/// Claims what may be claimed.
pub(super) fn claim(db: &Connection, request: &ClaimRequest, now: Timestamp) -> Result<Vec<Job>, Failure> {
    let candidates = match &request.target {
        ClaimTarget::Queue(queue) => due(db, queue, claimable(db, queue, request.limit, now)?, now)?,
        ClaimTarget::Jobs(keys) => named(db, keys, request.limit, now)?,
    };
    candidates.into_iter().map(|candidate| lease(db, candidate, request, now)).collect()
}

/// How many jobs of a queue may be claimed now: none while it is paused or its circuit is open, one to try when the
/// circuit's time is over and nobody else is trying.
fn claimable(db: &Connection, queue: &str, limit: usize, now: Timestamp) -> Result<usize, Failure> {
    if IS_PAUSED.first(db, (queue,), |_| Ok(()))?.is_some() {
        return Ok(0);
    }
    match CIRCUIT.first(db, (queue,), |row| timestamp(row, 0))? {
        None => Ok(limit),
        Some(open_until) if open_until > now => Ok(0),
        Some(_) if HAS_RUNNING.first(db, (queue, now.micros()), |_| Ok(()))?.is_some() => Ok(0),
        Some(_) => Ok(limit.min(1)),
    }
}

fn due(db: &Connection, queue: &str, limit: usize, now: Timestamp) -> Result<Vec<Candidate>, Failure> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    CLAIMABLE.all(db, (queue, now.micros(), limit), |row| candidate(row, now))
}

fn named(db: &Connection, keys: &[JobKey], limit: usize, now: Timestamp) -> Result<Vec<Candidate>, Failure> {
    let mut found: Vec<Candidate> = Vec::new();
    for key in keys {
        if found.len() >= limit {
            break;
        }
        let is_repeated = found.iter().any(|candidate| candidate.job.key == *key);
        if !is_repeated {
            found.extend(CLAIMABLE_JOB.first(db, (&key.queue, now.micros(), &key.group, key.seq), |row| candidate(row, now))?);
        }
    }
    Ok(found)
}

fn candidate(row: &Row<'_>, now: Timestamp) -> Result<Candidate, Failure> {
    let key = job_key(row, 0)?;
    let past = past(row, 3, &key)?;
    let age_ms = now.ms_since(timestamp(row, 7)?);
    let (payload, max_attempts) = (text(row, 10)?.to_owned(), column(row, 6)?);
    let had_lease = column::<Option<i64>>(row, 8)?.is_some();
    Ok(Candidate { job: Job { key, payload, past, max_attempts, age_ms }, had_lease, last_worker: column(row, 9)? })
}

fn lease(db: &Connection, candidate: Candidate, request: &ClaimRequest, now: Timestamp) -> Result<Job, Failure> {
    let Candidate { mut job, had_lease, last_worker } = candidate;
    if had_lease {
        job.past.remember(lost_lease(job.past.attempt, last_worker.as_deref(), now));
        let history = history_text(&job.past.history)?;
        NOTE_LOST_LEASE.execute(db, (&job.key.queue, &job.key.group, job.key.seq, history))?;
    }
    job.past.attempt = job.past.attempt.saturating_add(1);
    let until = now.plus_ms(request.lease_ms).micros();
    let values = params![job.key.queue, job.key.group, job.key.seq, job.past.attempt, until, request.worker];
    LEASE_JOB.execute(db, values)?;
    Ok(job)
}

/// Extends leases that are still held; says for each claim whether it was.
pub(super) fn extend(db: &Connection, claims: &[Claim], lease_ms: i64, now: Timestamp) -> Result<Vec<bool>, Failure> {
    let until = now.plus_ms(lease_ms).micros();
    let extend_one = |claim: &Claim| {
        let key = &claim.key;
        Ok(EXTEND.execute(db, params![key.queue, key.group, key.seq, claim.attempt, now.micros(), until])? == 1)
    };
    claims.iter().map(extend_one).collect()
}

/// Ends every lease; returns how many there were.
pub(super) fn end_leases(db: &Connection) -> Result<usize, Failure> {
    END_LEASES.execute(db, ())
}
