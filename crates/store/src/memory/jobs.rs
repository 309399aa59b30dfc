//! The model's queues: claiming, finishing, burying. Every rule of the other stores' queues is written down here first.

use super::cursors::job_place;
use super::tables::Tables;
use crate::{ClaimTarget, JobInfo, QueueInfo, Record};
use ordermill_core::change::Row;
use ordermill_core::job::{CircuitMove, Claim, DeadLetter, Failure, Finish, Job, JobKey, NewJob, Outcome, Past};
use ordermill_core::time::Timestamp;
use std::collections::BTreeMap;

/// A job that waits or runs.
#[derive(Debug, Clone)]
pub(super) struct WaitingJob {
    payload: String,
    pub(super) past: Past,
    max_attempts: i32,
    is_ordered: bool,
    due_at: Timestamp,
    queued_at: Timestamp,
    /// Set while claimed; a lease that ran out stays until the next claim or sweep takes note of it.
    lease_until: Option<Timestamp>,
    worker: Option<String>,
}

impl WaitingJob {
    pub(super) fn new(job: &NewJob, now: Timestamp) -> Self {
        Self {
            payload: job.payload.clone(),
            past: job.past.clone(),
            max_attempts: job.max_attempts,
            is_ordered: job.is_ordered,
            due_at: now.plus_ms(job.delay_ms),
            queued_at: now,
            lease_until: None,
            worker: None,
        }
    }

    pub(super) fn is_running(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    fn is_exhausted(&self) -> bool {
        self.past.counted() >= self.max_attempts
    }

    /// A lease that ran out is a failure that counts: the worker died, hung or lost its way.
    fn note_lost_lease(&mut self, now: Timestamp) {
        if self.lease_until.take().is_some() {
            let worker = self.worker.take().unwrap_or_default();
            let why = format!("the lease ran out (worker {worker})");
            self.past.remember(Failure { attempt: self.past.attempt, at: now, counted: true, why });
        }
    }

    fn into_dead(self, key: JobKey, now: Timestamp, why: String) -> DeadLetter {
        DeadLetter {
            key,
            payload: self.payload,
            past: self.past,
            is_ordered: self.is_ordered,
            why,
            queued_at: self.queued_at,
            died_at: now,
        }
    }

    pub(super) fn record(&self, key: &JobKey, now: Timestamp) -> Record {
        Record::Job {
            key: key.clone(),
            payload: self.payload.clone(),
            past: self.past.clone(),
            max_attempts: self.max_attempts,
            is_ordered: self.is_ordered,
            is_running: self.is_running(now),
            due_for_ms: now.ms_since(self.due_at),
        }
    }
}

impl Tables {
    pub(super) fn claim(&mut self, target: &ClaimTarget, limit: usize, now: Timestamp, lease_ms: i64, worker: &str) -> Vec<Job> {
        let wanted = match target {
            ClaimTarget::Jobs(keys) => keys.clone(),
            ClaimTarget::Queue(queue) => self.due(queue, self.claimable(queue, limit, now), now),
        };
        let mut claimed = Vec::new();
        // One after the other: a job named twice runs by the time its second turn comes.
        for key in wanted {
            if claimed.len() < limit && self.may_be_claimed(&key, now) {
                claimed.extend(self.claim_one(key, now, lease_ms, worker));
            }
        }
        claimed
    }

    /// How many jobs of a queue may be claimed now: none while it is paused or its circuit is open, one to try when the
    /// circuit's time is over and nobody else is trying.
    fn claimable(&self, queue: &str, limit: usize, now: Timestamp) -> usize {
        if self.is_paused(queue) {
            return 0;
        }
        match self.circuits.get(queue) {
            None => limit,
            Some(open_until) if *open_until > now => 0,
            Some(_) if self.jobs.iter().any(|(key, job)| key.queue == queue && job.is_running(now)) => 0,
            Some(_) => limit.min(1),
        }
    }

    fn is_paused(&self, queue: &str) -> bool {
        self.rows().any(|row| matches!(row, Row::QueuePause(pause) if pause.queue == queue && pause.is_paused))
    }

    /// The jobs of a queue that are due and may be claimed, longest due first.
    fn due(&self, queue: &str, limit: usize, now: Timestamp) -> Vec<JobKey> {
        let mut due: Vec<_> = self
            .jobs
            .iter()
            .filter(|(key, job)| key.queue == queue && job.due_at <= now && self.may_be_claimed(key, now))
            .map(|(key, job)| (job.due_at, key))
            .collect();
        due.sort_unstable();
        due.into_iter().take(limit).map(|(_, key)| key.clone()).collect()
    }

    fn may_be_claimed(&self, key: &JobKey, now: Timestamp) -> bool {
        let Some(job) = self.jobs.get(key) else { return false };
        let is_next = || {
            let first = JobKey { seq: i64::MIN, ..key.clone() };
            self.jobs.range(first..key.clone()).next().is_none()
        };
        !job.is_running(now) && !job.is_exhausted() && (!job.is_ordered || is_next())
    }

    fn claim_one(&mut self, key: JobKey, now: Timestamp, lease_ms: i64, worker: &str) -> Option<Job> {
        let job = self.jobs.get_mut(&key)?;
        job.note_lost_lease(now);
        job.past.attempt += 1;
        job.lease_until = Some(now.plus_ms(lease_ms));
        job.worker = Some(worker.to_owned());
        Some(Job {
            key,
            payload: job.payload.clone(),
            past: job.past.clone(),
            max_attempts: job.max_attempts,
            age_ms: now.ms_since(job.queued_at),
        })
    }

    pub(super) fn extend(&mut self, claim: &Claim, now: Timestamp, lease_ms: i64) -> bool {
        match self.jobs.get_mut(&claim.key) {
            Some(job) if job.past.attempt == claim.attempt && job.is_running(now) => {
                job.lease_until = Some(now.plus_ms(lease_ms));
                true
            }
            _ => false,
        }
    }

    /// Ends an attempt whose lease was found to be held.
    pub(super) fn finish(&mut self, finish: &Finish, now: Timestamp) {
        let key = &finish.claim.key;
        let Some(mut job) = self.jobs.remove(key) else { return };
        let failed = |counted, why: &str| Failure { attempt: finish.claim.attempt, at: now, counted, why: why.to_owned() };
        match &finish.outcome {
            Outcome::Done => {}
            Outcome::Retry { after_ms, counted, why } => {
                job.past.remember(failed(*counted, why));
                job.past.uncounted += i32::from(!counted);
                job.due_at = now.plus_ms(*after_ms);
                (job.lease_until, job.worker) = (None, None);
                self.jobs.insert(key.clone(), job);
            }
            Outcome::Dead { why } => {
                job.past.remember(failed(true, why));
                self.dead.insert(key.clone(), job.into_dead(key.clone(), now, why.clone()));
            }
        }
        match finish.circuit {
            CircuitMove::Keep => {}
            CircuitMove::Open { for_ms } => drop(self.circuits.insert(key.queue.clone(), now.plus_ms(for_ms))),
            CircuitMove::Close => drop(self.circuits.remove(&key.queue)),
        }
    }

    /// Moves jobs whose last attempt lost its lease to the dead letters.
    pub(super) fn bury_exhausted(&mut self, now: Timestamp) -> u64 {
        let exhausted = self.jobs.iter().filter(|(_, job)| job.is_exhausted() && !job.is_running(now));
        let keys: Vec<JobKey> = exhausted.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            let Some(mut job) = self.jobs.remove(key) else { continue };
            job.note_lost_lease(now);
            let why = job.past.history.last().map(|failure| failure.why.clone()).unwrap_or_default();
            self.dead.insert(key.clone(), job.into_dead(key.clone(), now, why));
        }
        keys.len() as u64
    }

    /// The jobs of one queue or of all, longest due first.
    pub(super) fn job_infos(&self, queue: Option<&str>, now: Timestamp) -> Vec<JobInfo> {
        let mut infos: Vec<JobInfo> = self
            .jobs
            .iter()
            .filter(|(key, _)| queue.is_none_or(|queue| key.queue == queue))
            .map(|(key, job)| JobInfo {
                key: key.clone(),
                payload: job.payload.clone(),
                past: job.past.clone(),
                max_attempts: job.max_attempts,
                is_running: job.is_running(now),
                worker: job.worker.clone(),
                due_at: job.due_at,
                queued_at: job.queued_at,
            })
            .collect();
        infos.sort_by_key(job_place);
        infos
    }

    pub(super) fn queue_infos(&self, now: Timestamp) -> Vec<QueueInfo> {
        let mut infos: BTreeMap<&str, QueueInfo> = BTreeMap::new();
        for (key, job) in &self.jobs {
            let info = infos.entry(&key.queue).or_insert_with(|| empty(&key.queue));
            if job.is_running(now) {
                info.running += 1;
            } else {
                info.waiting += 1;
                info.oldest_due_ms = info.oldest_due_ms.max(now.ms_since(job.due_at));
            }
        }
        for key in self.dead.keys() {
            infos.entry(&key.queue).or_insert_with(|| empty(&key.queue)).dead += 1;
        }
        for (queue, open_until) in &self.circuits {
            infos.entry(queue).or_insert_with(|| empty(queue)).circuit_open_ms = open_until.ms_since(now).max(0);
        }
        for row in self.rows() {
            if let Row::QueuePause(pause) = row {
                infos.entry(&pause.queue).or_insert_with(|| empty(&pause.queue)).is_paused = pause.is_paused;
            }
        }
        infos.into_values().collect()
    }
}

fn empty(queue: &str) -> QueueInfo {
    QueueInfo { queue: queue.to_owned(), waiting: 0, running: 0, dead: 0, oldest_due_ms: 0, is_paused: false, circuit_open_ms: 0 }
}
