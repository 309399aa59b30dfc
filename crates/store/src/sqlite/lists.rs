//! Lists of accounts, API keys, acts of people, received events, dead letters and orders whose time ran out. This file must
//! not write.

use super::failure::Failure;
use super::page::{Sieve, cut, one_more, read_timed_place, timed_place};
use super::rows::{column, job_key, order_id, past, read_body, text, timestamp};
use super::statement::{Statement, statements};
use crate::query::id_cursor;
use crate::{DeadLetterQuery, InboxQuery, Page};
use ordermill_core::account::User;
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::AuditEntry;
use ordermill_core::id::OrderId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_core::payment::Provider;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

statements! {
    USERS = "SELECT format, body, id FROM users WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    API_KEYS = "SELECT format, body, id FROM api_keys WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    AUDIT = "SELECT format, body, id FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
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
    DEAD_LETTER = "SELECT queue, grp, seq, died_at, queued_at, attempt, uncounted, history, is_ordered, why, payload
        FROM dead_letters WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    DUE_ORDERS = "SELECT id FROM orders WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= ?1
        ORDER BY expires_at, id LIMIT ?2";
}

/// Sorts behind every name of ours: lists from the newest back begin here.
const BEHIND_ALL_NAMES: &str = "\u{10ffff}";
/// The same for ids, which are a byte shorter.
const BEHIND_ALL_IDS: [u8; 17] = [0xff; 17];

/// Accounts, newest first.
pub(super) fn users(db: &Connection, page: &Page<()>) -> Result<Page<User>, Failure> {
    newest(db, &USERS, "user", page)
}

/// API keys, newest first.
pub(super) fn api_keys(db: &Connection, page: &Page<()>) -> Result<Page<ApiKey>, Failure> {
    newest(db, &API_KEYS, "API key", page)
}

/// What people did, latest first.
pub(super) fn audit(db: &Connection, page: &Page<()>) -> Result<Page<AuditEntry>, Failure> {
    newest(db, &AUDIT, "audit entry", page)
}

/// A page of rows whose ids begin with the time, newest first.
fn newest<T: DeserializeOwned>(db: &Connection, statement: &Statement, kind: &str, page: &Page<()>) -> Result<Page<T>, Failure> {
    let below = id_cursor(page.cursor.as_deref())?.map(Uuid::into_bytes);
    let below = below.as_ref().map_or(&BEHIND_ALL_IDS[..], |id| &id[..]);
    let rows: Vec<(Uuid, T)> = statement.all(db, (below, one_more(page.limit)), |row| {
        let id = Uuid::from_bytes(column(row, 2)?);
        Ok((id, read_body(&|| format!("{kind} {id}"), column(row, 0)?, text(row, 1)?)?))
    })?;
    let page = cut(rows, page.limit, |(id, _)| id.to_string());
    Ok(Page::of(page.rows.into_iter().map(|(_, row)| row).collect(), page.cursor, page.limit))
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
    let mut sieve = Sieve::new(query.limit);
    let limit = sieve.limit();
    let mut visit = |row: &Row<'_>| {
        let dead = dead_letter_of(row)?;
        let place = timed_place(dead.died_at.micros(), &dead.key);
        Ok(sieve.look(place, query.matches(&dead).then_some(dead)))
    };
    match (&query.key, query.queue.as_deref()) {
        (Some(wanted), _) => {
            let found = DEAD_LETTER.first(db, (&wanted.queue, &wanted.group, wanted.seq), dead_letter_of)?;
            // The one that there may be stands behind the cursor or was on an earlier page.
            let found = found.filter(|dead| query.matches(dead) && (dead.died_at.micros(), &dead.key) < (at, &key));
            return Ok(cut(found.into_iter().collect(), query.limit, |dead| timed_place(dead.died_at.micros(), &dead.key)));
        }
        (None, None) => DEAD_LETTERS.each(db, params![at, key.queue, key.group, key.seq, limit], &mut visit)?,
        (None, Some(queue)) => DEAD_LETTERS_OF_QUEUE.each(db, params![at, key.queue, key.group, key.seq, limit, queue], &mut visit)?,
    }
    Ok(sieve.into_page())
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
