//! Lists of accounts, received events, dead letters and orders whose time ran out. This file must not write.

use super::failure::Failure;
use super::page::{cut, no_cursor, one_more, read_timed_place, timed_place};
use super::rows::{column, job_key, order_id, past, read_body, text, timestamp};
use super::statement::statements;
use crate::{DeadLetterQuery, InboxQuery, Page};
use ordermill_core::account::User;
use ordermill_core::id::{OrderId, UserId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_core::payment::Provider;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

statements! {
    USERS = "SELECT format, body, id FROM users WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    FIRST_USERS = "SELECT format, body, id FROM users ORDER BY id DESC LIMIT ?1";
    INBOX = "SELECT format, body, provider, event_id FROM inbox
        WHERE (received_at, provider, event_id) < (?1, ?2, ?3)
        ORDER BY received_at DESC, provider DESC, event_id DESC LIMIT ?4";
    INBOX_APPLIED = "SELECT format, body, provider, event_id FROM inbox
        WHERE state = 'applied' AND (received_at, provider, event_id) < (?1, ?2, ?3)
        ORDER BY received_at DESC, provider DESC, event_id DESC LIMIT ?4";
    INBOX_UNSETTLED = "SELECT format, body, provider, event_id FROM inbox
        WHERE state <> 'applied' AND state = ?5 AND (received_at, provider, event_id) < (?1, ?2, ?3)
        ORDER BY received_at DESC, provider DESC, event_id DESC LIMIT ?4";
    DEAD_LETTERS = "SELECT queue, grp, seq, died_at, queued_at, attempt, uncounted, history, is_ordered, why, payload
        FROM dead_letters WHERE (died_at, queue, grp, seq) < (?1, ?2, ?3, ?4)
        ORDER BY died_at DESC, queue DESC, grp DESC, seq DESC LIMIT ?5";
    DEAD_LETTERS_OF_QUEUE = "SELECT queue, grp, seq, died_at, queued_at, attempt, uncounted, history, is_ordered, why, payload
        FROM dead_letters WHERE queue = ?6 AND died_at <= ?1 AND (died_at, queue, grp, seq) < (?1, ?2, ?3, ?4)
        ORDER BY died_at DESC, grp DESC, seq DESC LIMIT ?5";
    DUE_ORDERS = "SELECT id FROM orders WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= ?1
        ORDER BY expires_at, id LIMIT ?2";
}

/// Sorts behind every name of ours: lists from the newest back begin here.
const BEHIND_ALL_NAMES: &str = "\u{10ffff}";

/// Accounts, newest first.
pub(super) fn users(db: &Connection, page: &Page<()>) -> Result<Page<User>, Failure> {
    let limit = one_more(page.limit);
    let rows: Vec<User> = match page.cursor.as_deref() {
        None => FIRST_USERS.all(db, (limit,), user_of)?,
        Some(cursor) => {
            let below = UserId::parse(cursor).ok_or_else(no_cursor)?;
            USERS.all(db, (below.uuid().into_bytes(), limit), user_of)?
        }
    };
    Ok(cut(rows, page.limit, |user| user.id.to_string()))
}

fn user_of(row: &Row<'_>) -> Result<User, Failure> {
    let id = UserId::from_uuid(uuid::Uuid::from_bytes(column(row, 2)?));
    read_body(&|| format!("user {id}"), column(row, 0)?, text(row, 1)?)
}

/// Received events, newest first.
pub(super) fn inbox(db: &Connection, query: &InboxQuery) -> Result<Page<InboxEntry>, Failure> {
    let place = read_timed_place(query.cursor.as_deref(), |name| {
        let (provider, event) = name.split_once(':')?;
        Some((Provider::from_name(provider)?.name(), event.to_owned()))
    })?;
    let (at, (provider, event)) = place.unwrap_or((i64::MAX, (BEHIND_ALL_NAMES, String::new())));
    let limit = one_more(query.limit);
    let rows = match query.state {
        None => INBOX.all(db, params![at, provider, event, limit], inbox_of),
        Some(InboxState::Applied) => INBOX_APPLIED.all(db, params![at, provider, event, limit], inbox_of),
        Some(state) => INBOX_UNSETTLED.all(db, params![at, provider, event, limit, state.name()], inbox_of),
    };
    let place = |entry: &InboxEntry| timed_place(entry.received_at.micros(), format_args!("{}:{}", entry.provider.name(), entry.event_id));
    Ok(cut(rows?, query.limit, place))
}

fn inbox_of(row: &Row<'_>) -> Result<InboxEntry, Failure> {
    let name = || match (text(row, 2), text(row, 3)) {
        (Ok(provider), Ok(event)) => format!("event {provider}:{event}"),
        _ => "a received event".to_owned(),
    };
    read_body(&name, column(row, 0)?, text(row, 1)?)
}

/// Dead letters, latest death first.
pub(super) fn dead_letters(db: &Connection, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, Failure> {
    let place = read_timed_place(query.cursor.as_deref(), JobKey::parse)?;
    let (at, key) = place.unwrap_or_else(|| (i64::MAX, JobKey { queue: BEHIND_ALL_NAMES.to_owned(), group: String::new(), seq: 0 }));
    let limit = one_more(query.limit);
    let rows = match query.queue.as_deref() {
        None => DEAD_LETTERS.all(db, params![at, key.queue, key.group, key.seq, limit], dead_letter_of),
        Some(queue) => DEAD_LETTERS_OF_QUEUE.all(db, params![at, key.queue, key.group, key.seq, limit, queue], dead_letter_of),
    };
    Ok(cut(rows?, query.limit, |dead| timed_place(dead.died_at.micros(), &dead.key)))
}

/// A dead letter from the columns of [`DEAD_LETTERS`].
pub(super) fn dead_letter_of(row: &Row<'_>) -> Result<DeadLetter, Failure> {
    let key = job_key(row, 0)?;
    Ok(DeadLetter {
        past: past(row, 5, &key)?,
        died_at: timestamp(row, 3)?,
        queued_at: timestamp(row, 4)?,
        is_ordered: column(row, 8)?,
        why: column(row, 9)?,
        payload: column(row, 10)?,
        key,
    })
}

/// Unpaid orders whose time has run out, longest first.
pub(super) fn due_orders(db: &Connection, now: Timestamp, limit: usize) -> Result<Vec<OrderId>, Failure> {
    DUE_ORDERS.all(db, (now.micros(), i64::try_from(limit).unwrap_or(i64::MAX)), |row| order_id(row, 0))
}
