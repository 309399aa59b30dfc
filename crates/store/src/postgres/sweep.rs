//! Buries jobs whose last attempt lost its lease, and forgets what has served its time; in slices, each a transaction of
//! its own, so that writers get in between. Every statement checks its own condition again when it writes, so many nodes
//! may sweep at once, and a row that cannot be moved is left behind alone.

use super::clock::now;
use super::keys::{column, job_arrays};
use super::pipeline::Param;
use super::reader::Reader;
use crate::query::retention;
use crate::{StoreError, SweepReport, failpoint};
use ordermill_core::job::JobKey;
use tokio_postgres::types::ToSql;

/// Out of attempts, and nobody is at work on it.
macro_rules! exhausted {
    () => {
        concat!("(j.lease_until IS NULL OR j.lease_until <= ", now!("$1"), ") AND j.attempt - j.uncounted >= j.max_attempts")
    };
}

const EXHAUSTED: &str = concat!(
    "SELECT j.queue, j.grp, j.seq, j.attempt FROM jobs j WHERE (j.queue, j.grp, j.seq) > ($2, $3, $4) AND ",
    exhausted!(),
    " ORDER BY j.queue, j.grp, j.seq LIMIT $5"
);

const BURY: &str = concat!(
    "WITH gone AS (DELETE FROM jobs j USING unnest($2::text[], $3::text[], $4::bigint[], $5::integer[]) AS n (queue, grp, seq, attempt) ",
    "WHERE j.queue = n.queue AND j.grp = n.grp AND j.seq = n.seq AND j.attempt = n.attempt AND ",
    exhausted!(),
    " RETURNING j.queue, j.grp, j.seq, j.payload, j.attempt, j.uncounted, j.is_ordered, j.queued_at, ",
    "CASE WHEN j.lease_until IS NULL THEN j.history ELSE coalesce(left(j.history, -1) || ',', '[') || ",
    "json_build_object('attempt', j.attempt, 'at', ",
    now!("$1"),
    ", 'counted', true, 'why', 'the lease ran out (worker ' || coalesce(j.worker, '') || ')')::text || ']' END AS history), ",
    "buried AS (INSERT INTO dead_letters (queue, grp, seq, payload, attempt, uncounted, is_ordered, queued_at, died_at, history) ",
    "SELECT queue, grp, seq, payload, attempt, uncounted, is_ordered, queued_at, ",
    now!("$1"),
    ", history FROM gone ON CONFLICT (queue, grp, seq) DO UPDATE SET payload = excluded.payload, attempt = excluded.attempt, ",
    "uncounted = excluded.uncounted, is_ordered = excluded.is_ordered, queued_at = excluded.queued_at, died_at = excluded.died_at, ",
    "history = excluded.history RETURNING 1) SELECT count(*) FROM buried"
);

/// Removes at most $3 rows of a table that are older than $2 microseconds.
macro_rules! prune {
    ($table:literal, $key:literal, $age:literal) => {
        concat!(
            "WITH old AS MATERIALIZED (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $age,
            " <= ",
            now!("$1"),
            " - $2::bigint LIMIT $3::bigint FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM ",
            $table,
            " t USING old WHERE t.",
            $key,
            " = old.",
            $key,
            " RETURNING 1) SELECT count(*) FROM gone"
        )
    };
}

const PRUNE_SESSIONS: &str = prune!("sessions", "token", "expires_at");
const PRUNE_IDEMPOTENCY: &str = prune!("idempotency", "key", "at");
const PRUNE_ONE_TIME_TOKENS: &str = prune!("one_time_tokens", "token", "expires_at");
const PRUNE_THROTTLES: &str = prune!("throttles", "scope", "since");

/// The same for batches, whose ids begin with the milliseconds of their time.
const PRUNE_BATCHES: &str = concat!(
    "WITH old AS MATERIALIZED (SELECT id FROM batches WHERE id < (lpad(to_hex(greatest(0, (",
    now!("$1"),
    " - $2::bigint) / 1000)), 12, '0') || repeat('0', 20))::uuid ORDER BY id LIMIT $3::bigint FOR UPDATE SKIP LOCKED), ",
    "gone AS (DELETE FROM batches t USING old WHERE t.id = old.id RETURNING 1) SELECT count(*) FROM gone"
);

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] =
    &[EXHAUSTED, BURY, PRUNE_SESSIONS, PRUNE_IDEMPOTENCY, PRUNE_ONE_TIME_TOKENS, PRUNE_THROTTLES, PRUNE_BATCHES];

/// One sweep over everything.
pub(super) async fn sweep(reader: &Reader) -> Result<SweepReport, StoreError> {
    let exhausted_jobs = bury_exhausted(reader).await?;
    let mut pruned_rows = prune(reader, PRUNE_SESSIONS, retention::SESSION_MS).await?;
    pruned_rows += prune(reader, PRUNE_IDEMPOTENCY, retention::IDEMPOTENCY_MS).await?;
    pruned_rows += prune(reader, PRUNE_ONE_TIME_TOKENS, retention::ONE_TIME_TOKEN_MS).await?;
    pruned_rows += prune(reader, PRUNE_THROTTLES, retention::THROTTLE_MS).await?;
    pruned_rows += prune(reader, PRUNE_BATCHES, retention::BATCH_MS).await?;
    Ok(SweepReport { exhausted_jobs, pruned_rows })
}

/// A job that ran out of attempts, as it was found.
type Exhausted = (JobKey, i32);

async fn bury_exhausted(reader: &Reader) -> Result<u64, StoreError> {
    let slice = i64::try_from(retention::SLICE).unwrap_or(i64::MAX);
    // Pages go by key and not by what is left, so that rows which cannot be buried never hide those behind them.
    let mut after = JobKey { queue: String::new(), group: String::new(), seq: i64::MIN };
    let mut buried = 0;
    loop {
        let rows = reader.rows(EXHAUSTED, &[&reader.offset_us(), &after.queue, &after.group, &after.seq, &slice]).await?;
        let mut found: Vec<Exhausted> = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push((JobKey { queue: column(row, 0)?, group: column(row, 1)?, seq: column(row, 2)? }, column(row, 3)?));
        }
        let Some((last, _)) = found.last() else { return Ok(buried) };
        after = last.clone();
        failpoint::hit("sweep.selected").map_err(|injected| StoreError::Unavailable(injected.to_string()))?;
        buried += bury_slice(reader, &found).await?;
        if found.len() < retention::SLICE {
            return Ok(buried);
        }
        tokio::task::yield_now().await;
    }
}

/// Buries a slice in one statement; if that fails, one by one, and whatever still fails stays where it is.
async fn bury_slice(reader: &Reader, found: &[Exhausted]) -> Result<u64, StoreError> {
    match bury(reader, found).await {
        Err(error) if found.len() > 1 => tracing::warn!(%error, "exhausted jobs could not be buried together"),
        other => return other,
    }
    let mut buried = 0;
    for one in found {
        match bury(reader, std::slice::from_ref(one)).await {
            Ok(count) => buried += count,
            Err(error) => tracing::error!(job = %one.0, %error, "an exhausted job could not be buried"),
        }
    }
    Ok(buried)
}

async fn bury(reader: &Reader, found: &[Exhausted]) -> Result<u64, StoreError> {
    let keys: Vec<&JobKey> = found.iter().map(|(key, _)| key).collect();
    let attempts: Vec<i32> = found.iter().map(|(_, attempt)| *attempt).collect();
    let mut params: Vec<Param<'_>> = vec![Box::new(reader.offset_us())];
    params.extend(job_arrays(&keys));
    params.push(Box::new(attempts));
    let bound: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
    count_of(&reader.rows_once(BURY, &bound).await?)
}

async fn prune(reader: &Reader, sql: &'static str, age_ms: i64) -> Result<u64, StoreError> {
    let slice = i64::try_from(retention::SLICE).unwrap_or(i64::MAX);
    let mut pruned = 0;
    loop {
        failpoint::hit("retention.before_drop").map_err(|injected| StoreError::Unavailable(injected.to_string()))?;
        let gone = count_of(&reader.rows_once(sql, &[&reader.offset_us(), &age_ms.saturating_mul(1_000), &slice]).await?)?;
        pruned += gone;
        if gone < retention::SLICE as u64 {
            return Ok(pruned);
        }
        tokio::task::yield_now().await;
    }
}

fn count_of(rows: &[tokio_postgres::Row]) -> Result<u64, StoreError> {
    let count: i64 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
