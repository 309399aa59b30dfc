//! What a sweep looks for and what it takes away, a slice at a time: found by a reader, removed by the writer, which looks
//! again, because a slice may be old by then. Between two slices others write.

use super::failure::Failure;
use super::finish::bury_if_exhausted;
use super::rows::{column, job_key};
use super::statement::{Statement, statements};
use crate::failpoint;
use crate::query::retention;
use ordermill_core::job::JobKey;
use ordermill_core::time::Timestamp;
use rusqlite::Connection;

statements! {
    EXHAUSTED = "SELECT queue, grp, seq FROM jobs
        WHERE (queue, grp, seq) > (?1, ?2, ?3) AND attempt - uncounted >= max_attempts
            AND (lease_until IS NULL OR lease_until <= ?4)
        ORDER BY queue, grp, seq LIMIT ?5";
    OLD_SESSIONS = "SELECT token FROM sessions WHERE token > ?1 AND expires_at <= ?2 ORDER BY token LIMIT ?3";
    OLD_IDEMPOTENCY = "SELECT key FROM idempotency WHERE key > ?1 AND at <= ?2 ORDER BY key LIMIT ?3";
    OLD_ONE_TIME_TOKENS = "SELECT token FROM one_time_tokens WHERE token > ?1 AND expires_at <= ?2 ORDER BY token LIMIT ?3";
    OLD_THROTTLES = "SELECT scope FROM throttles WHERE scope > ?1 AND since <= ?2 ORDER BY scope LIMIT ?3";
    DROP_SESSION = "DELETE FROM sessions WHERE token = ?1 AND expires_at <= ?2";
    DROP_IDEMPOTENCY = "DELETE FROM idempotency WHERE key = ?1 AND at <= ?2";
    DROP_ONE_TIME_TOKEN = "DELETE FROM one_time_tokens WHERE token = ?1 AND expires_at <= ?2";
    DROP_THROTTLE = "DELETE FROM throttles WHERE scope = ?1 AND since <= ?2";
}

/// Something that is kept for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Sessions, for a day after their end.
    Sessions,
    /// Idempotency rows, for two days.
    Idempotency,
    /// One-time tokens, for a day after their end.
    OneTimeTokens,
    /// Failed log-ins, for a day after the first.
    Throttles,
}

impl Kept {
    /// Everything that is pruned.
    pub(super) const ALL: [Self; 4] = [Self::Sessions, Self::Idempotency, Self::OneTimeTokens, Self::Throttles];

    /// Rows from this time or before have served theirs.
    fn served_until(self, now: Timestamp) -> i64 {
        let kept_ms = match self {
            Self::Sessions => retention::SESSION_MS,
            Self::Idempotency => retention::IDEMPOTENCY_MS,
            Self::OneTimeTokens => retention::ONE_TIME_TOKEN_MS,
            Self::Throttles => retention::THROTTLE_MS,
        };
        now.plus_ms(-kept_ms).micros()
    }

    const fn statements(self) -> (Statement, Statement) {
        match self {
            Self::Sessions => (OLD_SESSIONS, DROP_SESSION),
            Self::Idempotency => (OLD_IDEMPOTENCY, DROP_IDEMPOTENCY),
            Self::OneTimeTokens => (OLD_ONE_TIME_TOKENS, DROP_ONE_TIME_TOKEN),
            Self::Throttles => (OLD_THROTTLES, DROP_THROTTLE),
        }
    }

    /// The keys of the next slice behind `after`.
    pub(super) fn select(self, db: &Connection, after: &[u8], now: Timestamp) -> Result<Vec<Vec<u8>>, Failure> {
        self.statements().0.all(db, (after, self.served_until(now), slice()), |row| column(row, 0))
    }

    /// Removes those of a slice that have still served their time; returns how many.
    pub(super) fn drop_slice(self, db: &Connection, keys: &[Vec<u8>], now: Timestamp) -> Result<usize, Failure> {
        failpoint::hit("retention.before_drop")?;
        let mut dropped = 0;
        for key in keys {
            dropped += self.statements().1.execute(db, (key, self.served_until(now)))?;
        }
        Ok(dropped)
    }
}

/// The next slice of jobs behind `after` that nobody holds and nobody may try again.
pub(super) fn exhausted(db: &Connection, after: Option<&JobKey>, now: Timestamp) -> Result<Vec<JobKey>, Failure> {
    let (queue, group, seq) = after.map_or(("", "", i64::MIN), |key| (&*key.queue, &*key.group, key.seq));
    let found = EXHAUSTED.all(db, (queue, group, seq, now.micros(), slice()), |row| job_key(row, 0))?;
    failpoint::hit("sweep.selected")?;
    Ok(found)
}

/// Buries those of a slice that are still exhausted; returns how many.
pub(super) fn bury_slice(db: &Connection, keys: &[JobKey], now: Timestamp) -> Result<usize, Failure> {
    let mut buried = 0;
    for key in keys {
        buried += usize::from(bury_if_exhausted(db, key, now)?);
    }
    Ok(buried)
}

fn slice() -> i64 {
    i64::try_from(retention::SLICE).unwrap_or(i64::MAX)
}
