//! Lists for people: accounts, received events, jobs, queues, dead letters. All by keyset, newest or longest due first.
//! This file must not write.

use super::clock::now;
use super::finish::read_history;
use super::keys::{column, has_nul, read_body};
use super::reader::Reader;
use crate::query::MAX_PAGE;
use crate::{DeadLetterQuery, InboxQuery, JobInfo, JobQuery, Page, QueueInfo, StoreError};
use ordermill_core::account::User;
use ordermill_core::id::UserId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey, Past};
use ordermill_core::time::Timestamp;
use tokio_postgres::Row as SqlRow;

const USERS: &str = "SELECT id, format, body FROM users WHERE id < $1 ORDER BY id DESC LIMIT $2";
const NEWEST_USERS: &str = "SELECT id, format, body FROM users ORDER BY id DESC LIMIT $1";

const INBOX: &str = "SELECT received_at, provider, event_id, format, body FROM inbox \
     WHERE (received_at, provider, event_id) < ($1, $2, $3) ORDER BY received_at DESC, provider DESC, event_id DESC LIMIT $4";
const INBOX_IN_STATE: &str = "SELECT received_at, provider, event_id, format, body FROM inbox \
     WHERE state = $5 AND (received_at, provider, event_id) < ($1, $2, $3) \
     ORDER BY received_at DESC, provider DESC, event_id DESC LIMIT $4";

/// Jobs by due time, those of one moment by key.
macro_rules! jobs_where {
    ($condition:literal) => {
        concat!(
            "SELECT queue, grp, seq, payload, attempt, uncounted, max_attempts, history, worker, due_at, queued_at, ",
            "coalesce(lease_until > ",
            now!("$1"),
            ", false) FROM jobs WHERE ",
            $condition,
            " AND due_at >= $3::bigint AND (due_at, queue, grp, seq) > ($3::bigint, $4::text, $5::text, $6::bigint) ",
            "ORDER BY due_at, queue, grp, seq LIMIT $7::bigint"
        )
    };
}

const JOBS_OF_QUEUE: &str = jobs_where!("queue = $2::text");
const JOBS_OF_ALL: &str = jobs_where!("$2::text IS NULL");

/// Dead letters, latest death first, those of one moment by key.
const DEAD_LETTERS: &str = "SELECT queue, grp, seq, payload, attempt, uncounted, history, is_ordered, queued_at, died_at FROM dead_letters \
     WHERE ($1::text IS NULL OR queue = $1::text) AND died_at <= $2::bigint \
     AND (died_at < $2::bigint OR (queue, grp, seq) < ($3::text, $4::text, $5::bigint)) \
     ORDER BY died_at DESC, queue DESC, grp DESC, seq DESC LIMIT $6::bigint";

/// Everything that is known of queues, in one moment: running, waiting, longest due, dead, circuit, pause.
const QUEUES: &str = concat!(
    "SELECT queue, sum(running)::bigint, sum(waiting)::bigint, max(due_us), sum(dead)::bigint, max(open_us), bool_or(is_paused) FROM (",
    "SELECT queue, count(*) FILTER (WHERE lease_until > ",
    now!("$1"),
    ") AS running, count(*) FILTER (WHERE lease_until IS NULL OR lease_until <= ",
    now!("$1"),
    ") AS waiting, coalesce(max(",
    now!("$1"),
    " - due_at) FILTER (WHERE lease_until IS NULL OR lease_until <= ",
    now!("$1"),
    "), 0) AS due_us, 0::bigint AS dead, 0::bigint AS open_us, false AS is_paused FROM jobs GROUP BY queue ",
    "UNION ALL SELECT queue, 0, 0, 0, count(*), 0, false FROM dead_letters GROUP BY queue ",
    "UNION ALL SELECT queue, 0, 0, 0, 0, open_until - ",
    now!("$1"),
    ", false FROM circuits UNION ALL SELECT queue, 0, 0, 0, 0, 0, is_paused FROM queue_pauses) parts GROUP BY queue ORDER BY queue"
);

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[USERS, NEWEST_USERS, INBOX, INBOX_IN_STATE, JOBS_OF_QUEUE, JOBS_OF_ALL, DEAD_LETTERS, QUEUES];

fn foreign_cursor() -> StoreError {
    StoreError::Invalid("this is not a cursor of this list".to_owned())
}

/// One row more than wanted is read: it tells whether there is a next page.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE).saturating_add(1)).unwrap_or(i64::MAX)
}

/// Cuts the row too many, and makes the cursor from the last one that stays.
fn cut<T>(mut rows: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Page<T> {
    let kept = limit.min(MAX_PAGE);
    let has_more = rows.len() > kept;
    rows.truncate(kept);
    let cursor = if has_more { rows.last().map(place) } else { None };
    Page::of(rows, cursor, kept)
}

/// Accounts, newest first.
pub(super) async fn users(reader: &Reader, page: &Page<()>) -> Result<Page<User>, StoreError> {
    let limit = one_more(page.limit);
    let rows = match &page.cursor {
        None => reader.rows(NEWEST_USERS, &[&limit]).await?,
        Some(cursor) => {
            let below = UserId::parse(cursor).ok_or_else(foreign_cursor)?;
            reader.rows(USERS, &[&below.uuid(), &limit]).await?
        }
    };
    let user = |row: &SqlRow| {
        let id = UserId::from_uuid(column(row, 0)?);
        read_body(|| format!("{id:?}"), column(row, 1)?, column(row, 2)?)
    };
    let users = rows.iter().map(user).collect::<Result<Vec<User>, StoreError>>()?;
    Ok(cut(users, page.limit, |user| user.id.to_string()))
}

/// Received events, newest first.
pub(super) async fn inbox(reader: &Reader, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
    let limit = one_more(query.limit);
    // After every provider and event id of the last moment there is.
    let mut below = (i64::MAX, String::new(), String::new());
    if let Some(cursor) = &query.cursor {
        let mut parts = cursor.splitn(3, ':');
        let (Some(at), Some(provider), Some(event_id)) = (parts.next(), parts.next(), parts.next()) else { return Err(foreign_cursor()) };
        below = (at.parse().map_err(|_| foreign_cursor())?, provider.to_owned(), event_id.to_owned());
        if has_nul(cursor) {
            return Err(foreign_cursor());
        }
    }
    let rows = match query.state.map(InboxState::name) {
        None => reader.rows(INBOX, &[&below.0, &below.1, &below.2, &limit]).await?,
        Some(state) => reader.rows(INBOX_IN_STATE, &[&below.0, &below.1, &below.2, &limit, &state]).await?,
    };
    let entry = |row: &SqlRow| {
        let name = || format!("inbox {}:{}", column::<&str>(row, 1).unwrap_or_default(), column::<&str>(row, 2).unwrap_or_default());
        read_body(name, column(row, 3)?, column(row, 4)?)
    };
    let entries = rows.iter().map(entry).collect::<Result<Vec<InboxEntry>, StoreError>>()?;
    Ok(cut(entries, query.limit, |entry| format!("{}:{}:{}", entry.received_at.micros(), entry.provider.name(), entry.event_id)))
}

/// Waiting and running jobs in the order they become due.
pub(super) async fn jobs(reader: &Reader, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
    if query.queue.as_deref().is_some_and(has_nul) {
        return Ok(Page::of(Vec::new(), None, query.limit));
    }
    let start = || (i64::MIN, JobKey { queue: String::new(), group: String::new(), seq: i64::MIN });
    let (due_at, key) = place_of(query.cursor.as_deref())?.unwrap_or_else(start);
    let (offset_us, limit) = (reader.offset_us(), one_more(query.limit));
    let sql = if query.queue.is_some() { JOBS_OF_QUEUE } else { JOBS_OF_ALL };
    let rows = reader.rows(sql, &[&offset_us, &query.queue, &due_at, &key.queue, &key.group, &key.seq, &limit]).await?;
    let jobs = rows.iter().map(job_info).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(cut(jobs, query.limit, |job| format!("{}:{}", job.due_at.micros(), job.key)))
}

/// Reads a cursor of a time and a key.
fn place_of(cursor: Option<&str>) -> Result<Option<(i64, JobKey)>, StoreError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let (at, key) = cursor.split_once(':').filter(|_| !has_nul(cursor)).ok_or_else(foreign_cursor)?;
    let key = JobKey::parse(key).ok_or_else(foreign_cursor)?;
    Ok(Some((at.parse().map_err(|_| foreign_cursor())?, key)))
}

fn job_info(row: &SqlRow) -> Result<JobInfo, StoreError> {
    let key = JobKey { queue: column(row, 0)?, group: column(row, 1)?, seq: column(row, 2)? };
    let history = read_history(&key, column(row, 7)?)?;
    Ok(JobInfo {
        payload: column(row, 3)?,
        past: Past { attempt: column(row, 4)?, uncounted: column(row, 5)?, history },
        max_attempts: column(row, 6)?,
        is_running: column(row, 11)?,
        worker: column(row, 8)?,
        due_at: Timestamp::from_micros(column(row, 9)?),
        queued_at: Timestamp::from_micros(column(row, 10)?),
        key,
    })
}

/// Dead letters, latest death first.
pub(super) async fn dead_letters(reader: &Reader, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
    if query.queue.as_deref().is_some_and(has_nul) {
        return Ok(Page::of(Vec::new(), None, query.limit));
    }
    // Without a cursor: below a moment that never comes.
    let start = || (i64::MAX, JobKey { queue: String::new(), group: String::new(), seq: i64::MIN });
    let (died_at, key) = place_of(query.cursor.as_deref())?.unwrap_or_else(start);
    let limit = one_more(query.limit);
    let rows = reader.rows(DEAD_LETTERS, &[&query.queue, &died_at, &key.queue, &key.group, &key.seq, &limit]).await?;
    let letters = rows.iter().map(dead_letter).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(cut(letters, query.limit, |dead| format!("{}:{}", dead.died_at.micros(), dead.key)))
}

/// Reads a dead letter from the columns queue, group, number, payload, attempt, uncounted, history, ordered, queued, died.
pub(super) fn dead_letter(row: &SqlRow) -> Result<DeadLetter, StoreError> {
    let key = JobKey { queue: column(row, 0)?, group: column(row, 1)?, seq: column(row, 2)? };
    let history = read_history(&key, column(row, 6)?)?;
    Ok(DeadLetter {
        payload: column(row, 3)?,
        // The last word is that of the last attempt.
        why: history.last().map(|failure| failure.why.clone()).unwrap_or_default(),
        past: Past { attempt: column(row, 4)?, uncounted: column(row, 5)?, history },
        is_ordered: column(row, 7)?,
        queued_at: Timestamp::from_micros(column(row, 8)?),
        died_at: Timestamp::from_micros(column(row, 9)?),
        key,
    })
}

/// Every queue that has jobs, dead letters, a pause or a circuit.
pub(super) async fn queues(reader: &Reader) -> Result<Vec<QueueInfo>, StoreError> {
    let rows = reader.rows(QUEUES, &[&reader.offset_us()]).await?;
    let info = |row: &SqlRow| {
        Ok(QueueInfo {
            queue: column(row, 0)?,
            running: column(row, 1)?,
            waiting: column(row, 2)?,
            dead: column(row, 4)?,
            oldest_due_ms: column::<i64>(row, 3)?.max(0) / 1_000,
            is_paused: column(row, 6)?,
            circuit_open_ms: column::<i64>(row, 5)?.max(0) / 1_000,
        })
    };
    rows.iter().map(info).collect()
}
