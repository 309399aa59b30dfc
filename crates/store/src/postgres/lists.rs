//! Lists for people: accounts, API keys, acts of people, received events, jobs, queues, dead letters. All by keyset, newest
//! or longest due first. This file must not write.

use super::clock::now;
use super::finish::read_history;
use super::keys::{column, has_nul, is_impossible_job, read_body};
use super::reader::Reader;
use crate::query::{MAX_PAGE, MAX_SCANNED, id_cursor};
use crate::{DeadLetterQuery, InboxQuery, JobInfo, JobQuery, Page, QueueInfo, StoreError};
use ordermill_core::account::User;
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::AuditEntry;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey, Past};
use ordermill_core::time::Timestamp;
use serde::de::DeserializeOwned;
use tokio_postgres::Row as SqlRow;
use uuid::Uuid;

/// How many dead letters a filter that only we can apply fetches at once.
const SLICE: usize = 250;

const USERS: &str = "SELECT id, format, body FROM users WHERE id < $1 ORDER BY id DESC LIMIT $2";
const NEWEST_USERS: &str = "SELECT id, format, body FROM users ORDER BY id DESC LIMIT $1";
const API_KEYS: &str = "SELECT id, format, body FROM api_keys WHERE id < $1 ORDER BY id DESC LIMIT $2";
const NEWEST_API_KEYS: &str = "SELECT id, format, body FROM api_keys ORDER BY id DESC LIMIT $1";
const AUDIT: &str = "SELECT id, format, body FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
const NEWEST_AUDIT: &str = "SELECT id, format, body FROM audit ORDER BY id DESC LIMIT $1";

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
macro_rules! dead_letters_where {
    ($condition:literal) => {
        concat!(
            "SELECT queue, grp, seq, payload, attempt, uncounted, history, is_ordered, queued_at, died_at FROM dead_letters WHERE ",
            $condition,
            " AND died_at <= $2::bigint AND (died_at < $2::bigint OR (queue, grp, seq) < ($3::text, $4::text, $5::bigint)) ",
            "ORDER BY died_at DESC, queue DESC, grp DESC, seq DESC LIMIT $6::bigint"
        )
    };
}

const DEAD_LETTERS_OF_QUEUE: &str = dead_letters_where!("queue = $1::text");
const DEAD_LETTERS_OF_ALL: &str = dead_letters_where!("$1::text IS NULL");

/// One dead letter.
const DEAD_LETTER: &str = "SELECT queue, grp, seq, payload, attempt, uncounted, history, is_ordered, queued_at, died_at FROM dead_letters \
     WHERE queue = $1 AND grp = $2 AND seq = $3";

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
pub(super) const STATEMENTS: &[&str] = &[
    USERS,
    NEWEST_USERS,
    API_KEYS,
    NEWEST_API_KEYS,
    AUDIT,
    NEWEST_AUDIT,
    INBOX,
    INBOX_IN_STATE,
    JOBS_OF_QUEUE,
    JOBS_OF_ALL,
    DEAD_LETTERS_OF_QUEUE,
    DEAD_LETTERS_OF_ALL,
    DEAD_LETTER,
    QUEUES,
];

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
    newest(reader, (NEWEST_USERS, USERS), "user", page).await
}

/// API keys, newest first.
pub(super) async fn api_keys(reader: &Reader, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
    newest(reader, (NEWEST_API_KEYS, API_KEYS), "API key", page).await
}

/// What people did, latest first.
pub(super) async fn audit(reader: &Reader, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
    newest(reader, (NEWEST_AUDIT, AUDIT), "audit entry", page).await
}

/// A page of rows whose ids begin with the time, newest first: by one statement from the beginning, by another from below
/// an id.
async fn newest<T: DeserializeOwned>(
    reader: &Reader,
    (first, further): (&'static str, &'static str),
    kind: &str,
    page: &Page<()>,
) -> Result<Page<T>, StoreError> {
    let limit = one_more(page.limit);
    let rows = match id_cursor(page.cursor.as_deref())? {
        None => reader.rows(first, &[&limit]).await?,
        Some(below) => reader.rows(further, &[&below, &limit]).await?,
    };
    let read = |row: &SqlRow| {
        let id: Uuid = column(row, 0)?;
        Ok((id, read_body(|| format!("{kind} {id}"), column(row, 1)?, column(row, 2)?)?))
    };
    let rows = rows.iter().map(read).collect::<Result<Vec<(Uuid, T)>, StoreError>>()?;
    let Page { rows, cursor, limit } = cut(rows, page.limit, |(id, _)| id.to_string());
    Ok(Page::of(rows.into_iter().map(|(_, row)| row).collect(), cursor, limit))
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
    let mut below = place_of(query.cursor.as_deref())?.unwrap_or_else(start);
    if let Some(key) = &query.key {
        return the_dead_letter(reader, query, key, &below).await;
    }
    let kept = query.limit.min(MAX_PAGE);
    let slice = if query.text.is_some() { SLICE } else { kept.saturating_add(1) };
    let sql = if query.queue.is_some() { DEAD_LETTERS_OF_QUEUE } else { DEAD_LETTERS_OF_ALL };
    let (mut letters, mut looked_at) = (Vec::new(), 0_usize);
    loop {
        let (died_at, key) = &below;
        let limit = i64::try_from(slice).unwrap_or(i64::MAX);
        let rows = reader.rows(sql, &[&query.queue, died_at, &key.queue, &key.group, &key.seq, &limit]).await?;
        let found = rows.iter().map(dead_letter).collect::<Result<Vec<_>, StoreError>>()?;
        let lowest = found.last().filter(|_| found.len() == slice).map(place);
        looked_at = looked_at.saturating_add(found.len());
        letters.extend(found.into_iter().filter(|dead| query.matches(dead)));
        match lowest {
            Some(lowest) if letters.len() <= kept && looked_at < MAX_SCANNED => below = lowest,
            // A full page goes on after its last row, a short one after the last row that was looked at.
            lowest => {
                let edge = lowest.filter(|_| letters.len() <= kept).map(|(at, key)| format!("{at}:{key}"));
                let page = cut(letters, query.limit, |dead| format!("{}:{}", dead.died_at.micros(), dead.key));
                return Ok(Page { cursor: page.cursor.or(edge), ..page });
            }
        }
    }
}

/// Where a dead letter stands in its list.
fn place(dead: &DeadLetter) -> (i64, JobKey) {
    (dead.died_at.micros(), dead.key.clone())
}

/// The list of one dead letter: it stands behind the cursor or was on an earlier page.
async fn the_dead_letter(
    reader: &Reader,
    query: &DeadLetterQuery,
    key: &JobKey,
    below: &(i64, JobKey),
) -> Result<Page<DeadLetter>, StoreError> {
    if is_impossible_job(key) {
        return Ok(Page::of(Vec::new(), None, query.limit));
    }
    let row = reader.first(DEAD_LETTER, &[&key.queue, &key.group, &key.seq]).await?;
    let found = row.as_ref().map(dead_letter).transpose()?;
    let found = found.filter(|dead| query.matches(dead) && place(dead) < *below);
    Ok(cut(found.into_iter().collect(), query.limit, |dead| format!("{}:{}", dead.died_at.micros(), dead.key)))
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
