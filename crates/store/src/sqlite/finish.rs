//! How jobs begin and end: queued by a change, finished by whoever holds the lease, buried when nobody may try again.
//! This file must not check leases; guards do.

use super::failure::Failure;
use super::rows::{column, history_text, past, timestamp};
use super::statement::statements;
use ordermill_core::id::ChangeId;
use ordermill_core::job::{CircuitMove, Failure as JobFailure, Finish, JobKey, NewJob, Outcome, Past};
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, params};

statements! {
    INSERT_JOB = "INSERT INTO jobs
        (queue, grp, seq, due_at, queued_at, attempt, uncounted, max_attempts, is_ordered, history, created_by, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
    JOB = "SELECT attempt, uncounted, history, max_attempts, is_ordered, queued_at, lease_until, worker, payload
        FROM jobs WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    RETRY_JOB = "UPDATE jobs SET due_at = ?4, uncounted = ?5, history = ?6, lease_until = NULL, worker = NULL
        WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    DELETE_JOB = "DELETE FROM jobs WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    INSERT_DEAD_LETTER = "INSERT OR REPLACE INTO dead_letters
        (queue, grp, seq, died_at, queued_at, attempt, uncounted, is_ordered, why, history, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    OPEN_CIRCUIT = "INSERT INTO circuits (queue, open_until) VALUES (?1, ?2)
        ON CONFLICT (queue) DO UPDATE SET open_until = excluded.open_until";
    CLOSE_CIRCUIT = "DELETE FROM circuits WHERE queue = ?1";
}

/// A job as it lies in its table.
#[derive(Debug)]
pub(super) struct StoredJob {
    pub(super) past: Past,
    pub(super) max_attempts: i32,
    is_ordered: bool,
    queued_at: Timestamp,
    lease_until: Option<i64>,
    worker: Option<String>,
    payload: String,
}

impl StoredJob {
    /// Whether somebody holds it now.
    pub(super) fn is_running(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| until > now.micros())
    }

    /// Whether every attempt that counts is used up.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.past.counted() >= self.max_attempts
    }
}

/// What is written down about a worker that never came back. It counts: the worker died, hung or lost its way.
pub(super) fn lost_lease(attempt: i32, worker: Option<&str>, now: Timestamp) -> JobFailure {
    let worker = worker.unwrap_or_default();
    JobFailure { attempt, at: now, counted: true, why: format!("the lease ran out (worker {worker})") }
}

/// Adds a job; one that waits, runs or was added before stays as it is.
pub(super) fn queue(db: &Connection, job: &NewJob, change: ChangeId, now: Timestamp) -> Result<(), Failure> {
    let (due_at, by) = (now.plus_ms(job.delay_ms).micros(), change.uuid().into_bytes());
    let values = params![
        job.key.queue,
        job.key.group,
        job.key.seq,
        due_at,
        now.micros(),
        job.past.attempt,
        job.past.uncounted,
        job.max_attempts,
        job.is_ordered,
        history_text(&job.past.history)?,
        by,
        job.payload,
    ];
    INSERT_JOB.execute(db, values)?;
    Ok(())
}

/// Ends an attempt whose lease was found to be held.
pub(super) fn finish(db: &Connection, finish: &Finish, now: Timestamp) -> Result<(), Failure> {
    let key = &finish.claim.key;
    let failed = |counted, why: &str| JobFailure { attempt: finish.claim.attempt, at: now, counted, why: why.to_owned() };
    match &finish.outcome {
        Outcome::Done => delete(db, key)?,
        Outcome::Retry { after_ms, counted, why } => {
            let Some(mut job) = read(db, key)? else { return Ok(()) };
            job.past.remember(failed(*counted, why));
            let uncounted = job.past.uncounted.saturating_add(i32::from(!counted));
            let due_at = now.plus_ms(*after_ms).micros();
            let history = history_text(&job.past.history)?;
            RETRY_JOB.execute(db, params![key.queue, key.group, key.seq, due_at, uncounted, history])?;
        }
        Outcome::Dead { why } => {
            let Some(mut job) = read(db, key)? else { return Ok(()) };
            job.past.remember(failed(true, why));
            bury(db, key, &job, why, now)?;
        }
    }
    match finish.circuit {
        CircuitMove::Keep => {}
        CircuitMove::Open { for_ms } => drop(OPEN_CIRCUIT.execute(db, (&key.queue, now.plus_ms(for_ms).micros()))?),
        CircuitMove::Close => drop(CLOSE_CIRCUIT.execute(db, (&key.queue,))?),
    }
    Ok(())
}

/// Moves a job to the dead letters if it is still exhausted and nobody holds it; says whether it was.
pub(super) fn bury_if_exhausted(db: &Connection, key: &JobKey, now: Timestamp) -> Result<bool, Failure> {
    let Some(mut job) = read(db, key)? else { return Ok(false) };
    if job.is_running(now) || !job.is_exhausted() {
        return Ok(false);
    }
    if job.lease_until.is_some() {
        job.past.remember(lost_lease(job.past.attempt, job.worker.as_deref(), now));
    }
    let why = job.past.history.last().map(|failure| failure.why.clone()).unwrap_or_default();
    bury(db, key, &job, &why, now)?;
    Ok(true)
}

/// A job that lay dead before and was queued anew lies dead once, with its latest life.
fn bury(db: &Connection, key: &JobKey, job: &StoredJob, why: &str, now: Timestamp) -> Result<(), Failure> {
    delete(db, key)?;
    let values = params![
        key.queue,
        key.group,
        key.seq,
        now.micros(),
        job.queued_at.micros(),
        job.past.attempt,
        job.past.uncounted,
        job.is_ordered,
        why,
        history_text(&job.past.history)?,
        job.payload,
    ];
    INSERT_DEAD_LETTER.execute(db, values)?;
    Ok(())
}

fn delete(db: &Connection, key: &JobKey) -> Result<(), Failure> {
    DELETE_JOB.execute(db, (&key.queue, &key.group, key.seq))?;
    Ok(())
}

fn read(db: &Connection, key: &JobKey) -> Result<Option<StoredJob>, Failure> {
    JOB.first(db, (&key.queue, &key.group, key.seq), |row| {
        Ok(StoredJob {
            past: past(row, 0, key)?,
            max_attempts: column(row, 3)?,
            is_ordered: column(row, 4)?,
            queued_at: timestamp(row, 5)?,
            lease_until: column(row, 6)?,
            worker: column(row, 7)?,
            payload: column(row, 8)?,
        })
    })
}
