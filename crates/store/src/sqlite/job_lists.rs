//! Jobs and queues as people see them, and when the next job is due. This file must not claim anything.

use super::failure::Failure;
use super::page::{cut, one_more, read_timed_place, timed_place};
use super::rows::{column, job_key, past, text, timestamp};
use super::statement::statements;
use crate::{JobInfo, JobQuery, Page, QueueInfo};
use ordermill_core::job::JobKey;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

statements! {
    NEXT_QUEUE = "SELECT min(queue) FROM jobs WHERE queue >= ?1";
    JOBS = "SELECT queue, grp, seq, attempt, uncounted, history, max_attempts, lease_until, worker, due_at, queued_at, payload
        FROM jobs
        WHERE queue = ?1 AND due_at >= ?2 AND (due_at, queue, grp, seq) > (?2, ?3, ?4, ?5)
        ORDER BY due_at, grp, seq LIMIT ?6";
    JOB_COUNTS = "SELECT queue, count(*), coalesce(sum(lease_until > ?1), 0),
            min(CASE WHEN lease_until > ?1 THEN NULL ELSE due_at END)
        FROM jobs GROUP BY queue";
    DEAD_COUNTS = "SELECT queue, count(*) FROM dead_letters GROUP BY queue";
    CIRCUITS = "SELECT queue, open_until FROM circuits";
    PAUSES = "SELECT queue, is_paused FROM queue_pauses";
    NEXT_DUE = "SELECT min(due_at) FROM jobs WHERE queue = ?1 AND due_at > ?2";
}

/// Waiting and running jobs, in the order in which they become due.
pub(super) fn jobs(db: &Connection, query: &JobQuery, now: Timestamp) -> Result<Page<JobInfo>, Failure> {
    let place = read_timed_place(query.cursor.as_deref(), JobKey::parse)?;
    let (due_at, after) = place.unwrap_or_else(|| (i64::MIN, JobKey { queue: String::new(), group: String::new(), seq: 0 }));
    let limit = one_more(query.limit);
    let queues = match &query.queue {
        Some(queue) => vec![queue.clone()],
        None => all_queues(db)?,
    };
    // The index is by queue, and there are few: each gives its next rows, and the earliest of all make the page.
    let mut infos = Vec::new();
    for queue in &queues {
        infos.extend(JOBS.all(db, params![queue, due_at, after.queue, after.group, after.seq, limit], |row| job_info(row, now))?);
    }
    infos.sort_by(|one, other| (one.due_at, &one.key).cmp(&(other.due_at, &other.key)));
    Ok(cut(infos, query.limit, |job| timed_place(job.due_at.micros(), &job.key)))
}

/// Every queue that has jobs: one step along the index per queue, however many jobs it has.
fn all_queues(db: &Connection) -> Result<Vec<String>, Failure> {
    let mut queues: Vec<String> = Vec::new();
    let mut from = String::new();
    while let Some(next) = NEXT_QUEUE.first(db, (&from,), |row| column::<Option<String>>(row, 0))?.flatten() {
        from.clone_from(&next);
        // The very next text there can be.
        from.push('\0');
        queues.push(next);
    }
    Ok(queues)
}

fn job_info(row: &Row<'_>, now: Timestamp) -> Result<JobInfo, Failure> {
    let key = job_key(row, 0)?;
    let lease_until: Option<i64> = column(row, 7)?;
    Ok(JobInfo {
        past: past(row, 3, &key)?,
        max_attempts: column(row, 6)?,
        is_running: lease_until.is_some_and(|until| until > now.micros()),
        worker: column(row, 8)?,
        due_at: timestamp(row, 9)?,
        queued_at: timestamp(row, 10)?,
        payload: column(row, 11)?,
        key,
    })
}

/// Every queue that has jobs, dead letters, a pause or a circuit.
pub(super) fn queues(db: &Connection, now: Timestamp) -> Result<Vec<QueueInfo>, Failure> {
    let mut infos = Infos::default();
    JOB_COUNTS.all(db, (now.micros(),), |row| {
        let (count, running): (i64, i64) = (column(row, 1)?, column(row, 2)?);
        let oldest = column::<Option<i64>>(row, 3)?.map(Timestamp::from_micros);
        let info = infos.of(text(row, 0)?);
        (info.waiting, info.running) = (count.saturating_sub(running), running);
        info.oldest_due_ms = oldest.map_or(0, |due_at| now.ms_since(due_at).max(0));
        Ok(())
    })?;
    DEAD_COUNTS.all(db, (), |row| {
        infos.of(text(row, 0)?).dead = column(row, 1)?;
        Ok(())
    })?;
    CIRCUITS.all(db, (), |row| {
        infos.of(text(row, 0)?).circuit_open_ms = timestamp(row, 1)?.ms_since(now).max(0);
        Ok(())
    })?;
    PAUSES.all(db, (), |row| {
        infos.of(text(row, 0)?).is_paused = column(row, 1)?;
        Ok(())
    })?;
    Ok(infos.0.into_values().collect())
}

/// Queues by name, each made when it is first heard of.
#[derive(Default)]
struct Infos(BTreeMap<String, QueueInfo>);

impl Infos {
    fn of(&mut self, queue: &str) -> &mut QueueInfo {
        self.0.entry(queue.to_owned()).or_insert_with(|| QueueInfo {
            queue: queue.to_owned(),
            waiting: 0,
            running: 0,
            dead: 0,
            oldest_due_ms: 0,
            is_paused: false,
            circuit_open_ms: 0,
        })
    }
}

/// In how many milliseconds the next job of these queues becomes due; what is due already does not count, because
/// whoever asks has just been refused it.
pub(super) fn next_due_ms(db: &Connection, queues: &[String], now: Timestamp) -> Result<Option<i64>, Failure> {
    let mut next: Option<i64> = None;
    for queue in queues {
        let due_at = NEXT_DUE.first(db, (queue, now.micros()), |row| column::<Option<i64>>(row, 0))?.flatten();
        let wait_ms = due_at.map(|due_at| Timestamp::from_micros(due_at).ms_since(now).saturating_add(1));
        next = [next, wait_ms].into_iter().flatten().min();
    }
    Ok(next)
}
