//! Claims and keeps leases. The attempt goes up at the claim and is the fencing token; time is the database's. This file
//! must not end attempts: that is part of a commit (see [`super::finish`]).
//!
//! A claim is one statement. `FOR UPDATE SKIP LOCKED` lets many workers claim side by side, and a row that a rival changed
//! in between is looked at again before it is locked; the materialised CTE keeps the planner from locking more rows
//! than were asked for.

use super::clock::now;
use super::finish::read_history;
use super::keys::{column, is_impossible_job, job_arrays};
use super::pipeline::Param;
use super::reader::{Reader, discard_if_lost};
use super::trouble::{Trouble, answer};
use crate::{ClaimTarget, StoreError};
use futures_util::future::{join, try_join};
use ordermill_core::job::{Claim, Job, JobKey, Past};
use ordermill_core::time::Timestamp;
use std::collections::{HashMap, HashSet};
use tokio_postgres::Row;

/// Not leased, not exhausted, and first of its group if its queue is ordered.
macro_rules! claimable {
    ($now:expr) => {
        concat!(
            "(j.lease_until IS NULL OR j.lease_until <= ",
            $now,
            ") AND j.attempt - j.uncounted < j.max_attempts AND (NOT j.is_ordered OR NOT EXISTS (SELECT 1 FROM jobs b ",
            "WHERE b.queue = j.queue AND b.grp = j.grp AND b.seq < j.seq))"
        )
    };
}

/// Leases the rows of `due` to worker $3 for $2 milliseconds; $1 is the clock's offset. A lease that ran out becomes a
/// failure at the end of the history, which is cut to length when it is read.
macro_rules! lease {
    ($due:expr) => {
        concat!(
            "WITH due AS MATERIALIZED (",
            $due,
            ") UPDATE jobs j SET attempt = j.attempt + 1, lease_until = ",
            now!("$1"),
            " + $2::bigint * 1000, worker = $3::text, history = CASE WHEN j.lease_until IS NULL THEN j.history ELSE ",
            "coalesce(left(j.history, -1) || ',', '[') || json_build_object('attempt', j.attempt, 'at', ",
            now!("$1"),
            ", 'counted', true, 'why', 'the lease ran out (worker ' || coalesce(j.worker, '') || ')')::text || ']' END ",
            "FROM due d WHERE j.queue = d.queue AND j.grp = d.grp AND j.seq = d.seq ",
            "RETURNING j.queue, j.grp, j.seq, j.payload, j.attempt, j.uncounted, j.max_attempts, j.history, j.due_at, j.queued_at, ",
            now!("$1")
        )
    };
}

/// Due jobs of queue $4, at most $5, while it is not paused and its circuit is closed.
const CLAIM_QUEUE: &str = lease!(concat!(
    "SELECT j.queue, j.grp, j.seq FROM jobs j WHERE j.queue = $4::text AND j.due_at <= ",
    now!("$1"),
    " AND ",
    claimable!(now!("$1")),
    " AND NOT EXISTS (SELECT 1 FROM queue_pauses p WHERE p.queue = $4::text AND p.is_paused)",
    " AND NOT EXISTS (SELECT 1 FROM circuits c WHERE c.queue = $4::text)",
    " ORDER BY j.due_at, j.grp, j.seq LIMIT $5::bigint FOR UPDATE OF j SKIP LOCKED"
));

/// One due job of queue $4 whose circuit has been open long enough, while nobody else is trying. Runs under the lock that
/// [`LOCK_CIRCUIT`] takes, so that of many nodes one tries.
const CLAIM_TRIAL: &str = lease!(concat!(
    "SELECT j.queue, j.grp, j.seq FROM jobs j WHERE j.queue = $4::text AND j.due_at <= ",
    now!("$1"),
    " AND ",
    claimable!(now!("$1")),
    " AND NOT EXISTS (SELECT 1 FROM queue_pauses p WHERE p.queue = $4::text AND p.is_paused)",
    " AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.queue = $4::text AND r.lease_until > ",
    now!("$1"),
    ") ORDER BY j.due_at, j.grp, j.seq LIMIT 1 FOR UPDATE OF j SKIP LOCKED"
));

/// The jobs named by $4, $5, $6, at most $7: due or not, paused or not.
const CLAIM_JOBS: &str = lease!(concat!(
    "SELECT j.queue, j.grp, j.seq FROM unnest($4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY AS k (queue, grp, seq, place) ",
    "JOIN jobs j ON j.queue = k.queue AND j.grp = k.grp AND j.seq = k.seq WHERE ",
    claimable!(now!("$1")),
    " ORDER BY k.place LIMIT $7::bigint FOR UPDATE OF j SKIP LOCKED"
));

/// Whether a queue's circuit is open, and whether its time is over.
const CIRCUIT: &str = concat!("SELECT c.open_until <= ", now!("$1"), " FROM circuits c WHERE c.queue = $2::text");

/// The same, and nobody else asks until the transaction ends.
const LOCK_CIRCUIT: &str =
    concat!("SELECT c.open_until <= ", now!("$1"), " FROM circuits c WHERE c.queue = $2::text FOR UPDATE SKIP LOCKED");

const EXTEND: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT j.queue, j.grp, j.seq, n.place ",
    "FROM unnest($3::text[], $4::text[], $5::bigint[], $6::integer[]) WITH ORDINALITY AS n (queue, grp, seq, attempt, place) ",
    "JOIN jobs j ON j.queue = n.queue AND j.grp = n.grp AND j.seq = n.seq ",
    "WHERE j.attempt = n.attempt AND j.lease_until > ",
    now!("$1"),
    " ORDER BY j.queue, j.grp, j.seq FOR UPDATE OF j), ",
    "extended AS (UPDATE jobs j SET lease_until = ",
    now!("$1"),
    " + $2::bigint * 1000 FROM held h WHERE j.queue = h.queue AND j.grp = h.grp AND j.seq = h.seq) ",
    "SELECT place FROM held"
);

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[CLAIM_QUEUE, CLAIM_TRIAL, CLAIM_JOBS, CIRCUIT, LOCK_CIRCUIT, EXTEND];

/// How long a lease lasts and who gets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease<'a> {
    pub(super) lease_ms: i64,
    pub(super) worker: &'a str,
}

/// Claims at most `limit` jobs.
pub(super) async fn claim(reader: &Reader, target: &ClaimTarget, limit: usize, lease: Lease<'_>) -> Result<Vec<Job>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if limit == 0 {
        return Ok(Vec::new());
    }
    match target {
        ClaimTarget::Queue(queue) if super::keys::has_nul(queue) => Ok(Vec::new()),
        ClaimTarget::Queue(queue) => claim_queue(reader, queue, limit, lease).await,
        ClaimTarget::Jobs(keys) => claim_jobs(reader, keys, limit, lease).await,
    }
}

async fn claim_queue(reader: &Reader, queue: &str, limit: i64, lease: Lease<'_>) -> Result<Vec<Job>, StoreError> {
    let client = reader.client().await?;
    let offset_us = reader.offset_us();
    let Lease { lease_ms, worker } = lease;
    let both = answer(async {
        let (claim, circuit) = try_join(client.prepare_cached(CLAIM_QUEUE), client.prepare_cached(CIRCUIT)).await?;
        let (claimed, circuit) = join(
            client.query(&claim, &[&offset_us, &lease_ms, &worker, &queue, &limit]),
            client.query_opt(&circuit, &[&offset_us, &queue]),
        )
        .await;
        Ok::<_, tokio_postgres::Error>((claimed?, circuit?))
    })
    .await;
    let (mut rows, circuit) = match both {
        Ok(answers) => answers,
        Err(trouble) => {
            discard_if_lost(client, &trouble);
            return Err(trouble.into());
        }
    };
    let is_half_open = circuit.map(|row| column::<bool>(&row, 0)).transpose()?.unwrap_or(false);
    if is_half_open && rows.is_empty() {
        rows = try_one(client, offset_us, queue, lease).await?;
    }
    Ok(claimed(&rows))
}

/// Claims one job to find out whether the provider behind a queue answers again.
async fn try_one(mut client: deadpool_postgres::Object, offset_us: i64, queue: &str, lease: Lease<'_>) -> Result<Vec<Row>, StoreError> {
    let Lease { lease_ms, worker } = lease;
    let rows = answer(async {
        let lock = client.prepare_cached(LOCK_CIRCUIT).await?;
        let claim = client.prepare_cached(CLAIM_TRIAL).await?;
        let transaction = client.transaction().await?;
        let circuit = transaction.query_opt(&lock, &[&offset_us, &queue]).await?;
        let is_half_open = circuit.map(|row| row.try_get::<_, bool>(0)).transpose()?.unwrap_or(false);
        let rows = if is_half_open { transaction.query(&claim, &[&offset_us, &lease_ms, &worker, &queue]).await? } else { Vec::new() };
        transaction.commit().await?;
        Ok::<_, tokio_postgres::Error>(rows)
    })
    .await;
    rows.map_err(|trouble| {
        discard_if_lost(client, &trouble);
        trouble.into()
    })
}

async fn claim_jobs(reader: &Reader, keys: &[JobKey], limit: i64, lease: Lease<'_>) -> Result<Vec<Job>, StoreError> {
    let mut seen = HashSet::new();
    let wanted: Vec<&JobKey> = keys.iter().filter(|key| !is_impossible_job(key) && seen.insert(*key)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let [queues, groups, seqs] = three(&wanted);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&reader.offset_us(), &lease.lease_ms, &lease.worker, &*queues, &*groups, &*seqs, &limit];
    let rows = reader.rows_once(CLAIM_JOBS, &params).await?;
    let mut jobs: HashMap<JobKey, Job> = claimed(&rows).into_iter().map(|job| (job.key.clone(), job)).collect();
    Ok(wanted.into_iter().filter_map(|key| jobs.remove(key)).collect())
}

fn three<'a>(keys: &[&'a JobKey]) -> [Param<'a>; 3] {
    let mut arrays = job_arrays(keys).into_iter();
    std::array::from_fn(|_| arrays.next().unwrap_or_else(|| Box::new(Vec::<i64>::new())))
}

/// The claimed jobs, longest due first. One that cannot be read must not keep the others from being worked on: it is
/// left out, loses its lease, and ends as a dead letter.
fn claimed(rows: &[Row]) -> Vec<Job> {
    let mut jobs = Vec::with_capacity(rows.len());
    for row in rows {
        match claimed_job(row) {
            Ok(job) => jobs.push(job),
            Err(trouble) => tracing::error!(why = trouble.why(), "a claimed job cannot be read"),
        }
    }
    jobs.sort_by(|(due_a, a), (due_b, b)| (due_a, &a.key).cmp(&(due_b, &b.key)));
    jobs.into_iter().map(|(_, job)| job).collect()
}

fn claimed_job(row: &Row) -> Result<(i64, Job), Trouble> {
    let key = JobKey { queue: column(row, 0)?, group: column(row, 1)?, seq: column(row, 2)? };
    let history = read_history(&key, column(row, 7)?)?;
    let now = Timestamp::from_micros(column(row, 10)?);
    let job = Job {
        payload: column(row, 3)?,
        past: Past { attempt: column(row, 4)?, uncounted: column(row, 5)?, history },
        max_attempts: column(row, 6)?,
        age_ms: now.ms_since(Timestamp::from_micros(column(row, 9)?)),
        key,
    };
    Ok((column(row, 8)?, job))
}

/// Extends the leases that are still held; says for each claim whether it was.
pub(super) async fn extend(reader: &Reader, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
    let (places, possible): (Vec<usize>, Vec<&Claim>) =
        claims.iter().enumerate().filter(|(_, claim)| !is_impossible_job(&claim.key)).unzip();
    let keys: Vec<&JobKey> = possible.iter().map(|claim| &claim.key).collect();
    let attempts: Vec<i32> = possible.iter().map(|claim| claim.attempt).collect();
    let [queues, groups, seqs] = three(&keys);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [&reader.offset_us(), &lease_ms, &*queues, &*groups, &*seqs, &attempts];
    let mut held = vec![false; claims.len()];
    for row in reader.rows_once(EXTEND, &params).await? {
        let place: i64 = column(&row, 0)?;
        let index = usize::try_from(place.saturating_sub(1)).ok().and_then(|index| places.get(index));
        if let Some(slot) = index.and_then(|index| held.get_mut(*index)) {
            *slot = true;
        }
    }
    Ok(held)
}
