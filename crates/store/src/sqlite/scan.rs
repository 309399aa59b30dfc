//! Everything of one table in the order of its keys, a page at a time. A cursor is the first key of the page that it leads
//! to, as JSON: beginning *at* a key, unlike beginning behind one, also finds an empty key. This file must not write.

use super::failure::Failure;
use super::lists::dead_letter_of;
use super::page::no_cursor;
use super::reads::event_of;
use super::rows::{Kind, column, digest, found_row, job_key, past, text, timestamp};
use super::statement::{Statement, statements};
use crate::encode::parse_cause;
use crate::query::MAX_SCANNED;
use crate::{Page, Record, Table};
use ordermill_core::admit::{FoundRow, StockLevel};
use ordermill_core::change::{Account, IdempotencyRow, LedgerEntry, Row as StoredRow, StockKey};
use ordermill_core::money::Currency;
use ordermill_core::time::Timestamp;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

// Those of rows return the key's columns behind version, created_by, last_change, format and body.
statements! {
    ORDERS = "SELECT version, created_by, last_change, format, body, id FROM orders WHERE id >= ?1 ORDER BY id LIMIT ?2";
    PRODUCTS = "SELECT version, created_by, last_change, format, body, id FROM products WHERE id >= ?1 ORDER BY id LIMIT ?2";
    USERS = "SELECT version, created_by, last_change, format, body, id FROM users WHERE id >= ?1 ORDER BY id LIMIT ?2";
    SESSIONS = "SELECT 1, created_by, created_by, format, body, token FROM sessions WHERE token >= ?1 ORDER BY token LIMIT ?2";
    EFFECTS = "SELECT version, created_by, last_change, format, body, key FROM effects WHERE key >= ?1 ORDER BY key LIMIT ?2";
    AUDIT = "SELECT 1, created_by, created_by, format, body, id FROM audit WHERE id >= ?1 ORDER BY id LIMIT ?2";
    QUEUE_PAUSES = "SELECT version, created_by, last_change, format, body, queue FROM queue_pauses
        WHERE queue >= ?1 ORDER BY queue LIMIT ?2";
    SETTINGS = "SELECT version, created_by, last_change, format, body, name FROM settings
        WHERE name >= ?1 ORDER BY name LIMIT ?2";
    CARTS = "SELECT version, created_by, last_change, format, body, customer FROM carts
        WHERE customer >= ?1 ORDER BY customer LIMIT ?2";
    API_KEYS = "SELECT version, created_by, last_change, format, body, id FROM api_keys WHERE id >= ?1 ORDER BY id LIMIT ?2";
    ONE_TIME_TOKENS = "SELECT 1, created_by, created_by, format, body, token FROM one_time_tokens
        WHERE token >= ?1 ORDER BY token LIMIT ?2";
    THROTTLES = "SELECT version, created_by, last_change, format, body, scope FROM throttles
        WHERE scope >= ?1 ORDER BY scope LIMIT ?2";
    PAYMENTS = "SELECT 1, created_by, created_by, format, body, provider, reference FROM payments
        WHERE (provider, reference) >= (?1, ?2) ORDER BY provider, reference LIMIT ?3";
    INBOX = "SELECT version, created_by, last_change, format, body, provider, event_id FROM inbox
        WHERE (provider, event_id) >= (?1, ?2) ORDER BY provider, event_id LIMIT ?3";
    IDEMPOTENCY = "SELECT key, fingerprint, result, at, created_by FROM idempotency WHERE key >= ?1 ORDER BY key LIMIT ?2";
    EVENTS = "SELECT order_id, seq, kind, v, at, actor, data FROM events
        WHERE (order_id, seq) >= (?1, ?2) ORDER BY order_id, seq LIMIT ?3";
    STOCK = "SELECT sku, location, available, reserved FROM stock
        WHERE (sku, location) >= (?1, ?2) ORDER BY sku, location LIMIT ?3";
    STOCK_MOVEMENTS = "SELECT cause, sku, location, on_hand_delta FROM stock_movements
        WHERE (cause, sku, location) >= (?1, ?2, ?3) ORDER BY cause, sku, location LIMIT ?4";
    LEDGER = "SELECT cause, leg, debit, credit, amount, currency FROM ledger
        WHERE (cause, leg) >= (?1, ?2) ORDER BY cause, leg LIMIT ?3";
    JOBS = "SELECT queue, grp, seq, attempt, uncounted, history, max_attempts, is_ordered, lease_until, due_at, payload
        FROM jobs WHERE (queue, grp, seq) >= (?1, ?2, ?3) ORDER BY queue, grp, seq LIMIT ?4";
    DEAD_LETTERS = "SELECT queue, grp, seq, died_at, queued_at, attempt, uncounted, history, is_ordered, why, payload
        FROM dead_letters WHERE (queue, grp, seq) >= (?1, ?2, ?3) ORDER BY queue, grp, seq LIMIT ?4";
}

/// One column of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Bytes, as hexadecimal digits in a cursor.
    Blob,
    /// Text.
    Text,
    /// A whole number.
    Number,
}

/// How a table is walked.
struct Walk {
    statement: Statement,
    /// The columns of its key, which stand in the result from `key_at` on.
    key: &'static [Part],
    key_at: usize,
    read: fn(&Row<'_>, Timestamp) -> Result<Record, Failure>,
}

/// Where the columns of a key begin in the statements of rows.
const BEHIND_ROW: usize = 5;

fn walk_of(table: Table) -> Walk {
    use Part::{Blob, Number, Text};
    let rows = |statement, key, read| Walk { statement, key, key_at: BEHIND_ROW, read };
    let others = |statement, key, read| Walk { statement, key, key_at: 0, read };
    match table {
        Table::Orders => rows(ORDERS, &[Blob], |row, _| row_record(row, Kind::Order)),
        Table::Products => rows(PRODUCTS, &[Blob], |row, _| row_record(row, Kind::Product)),
        Table::Users => rows(USERS, &[Blob], |row, _| row_record(row, Kind::User)),
        Table::Sessions => rows(SESSIONS, &[Blob], |row, _| row_record(row, Kind::Session)),
        Table::Effects => rows(EFFECTS, &[Blob], |row, _| row_record(row, Kind::Effect)),
        Table::Audit => rows(AUDIT, &[Blob], |row, _| row_record(row, Kind::Audit)),
        Table::QueuePauses => rows(QUEUE_PAUSES, &[Text], |row, _| row_record(row, Kind::QueuePause)),
        Table::Settings => rows(SETTINGS, &[Text], |row, _| row_record(row, Kind::Setting)),
        Table::Carts => rows(CARTS, &[Blob], |row, _| row_record(row, Kind::Cart)),
        Table::ApiKeys => rows(API_KEYS, &[Blob], |row, _| row_record(row, Kind::ApiKey)),
        Table::OneTimeTokens => rows(ONE_TIME_TOKENS, &[Blob], |row, _| row_record(row, Kind::OneTimeToken)),
        Table::Throttles => rows(THROTTLES, &[Blob], |row, _| row_record(row, Kind::Throttle)),
        Table::Payments => rows(PAYMENTS, &[Text, Text], |row, _| row_record(row, Kind::Payment)),
        Table::Inbox => rows(INBOX, &[Text, Text], |row, _| row_record(row, Kind::Inbox)),
        Table::Idempotency => others(IDEMPOTENCY, &[Blob], |row, _| idempotency_record(row)),
        Table::Events => others(EVENTS, &[Blob, Number], |row, _| Ok(Record::Event(event_of(row)?))),
        Table::Stock => others(STOCK, &[Text, Text], |row, _| stock_record(row)),
        Table::StockMovements => others(STOCK_MOVEMENTS, &[Text, Text, Text], |row, _| movement_record(row)),
        Table::Ledger => others(LEDGER, &[Text, Number], |row, _| ledger_record(row)),
        Table::Jobs => others(JOBS, &[Text, Text, Number], job_record),
        Table::DeadLetters => others(DEAD_LETTERS, &[Text, Text, Number], |row, _| Ok(Record::DeadLetter(dead_letter_of(row)?))),
    }
}

/// One page of a table.
pub(super) fn scan(db: &Connection, table: Table, cursor: Option<&str>, limit: usize, now: Timestamp) -> Result<Page<Record>, Failure> {
    let walk = walk_of(table);
    let kept = limit.clamp(1, MAX_SCANNED);
    let mut params = match cursor {
        Some(text) => read_cursor(text, walk.key).ok_or_else(no_cursor)?,
        None => walk.key.iter().map(|part| part.least()).collect(),
    };
    params.push(Value::Integer(i64::try_from(kept).unwrap_or(i64::MAX).saturating_add(1)));
    let mut found =
        walk.statement.all(db, params_from_iter(params), |row| Ok((write_cursor(row, walk.key, walk.key_at)?, (walk.read)(row, now)?)))?;
    // One row was read too many, if there are that many.
    let next = if found.len() > kept { found.pop().map(|(place, _)| place) } else { None };
    Ok(Page::of(found.into_iter().map(|(_, record)| record).collect(), next, limit))
}

impl Part {
    /// No value stands before this one.
    const fn least(self) -> Value {
        match self {
            Self::Blob => Value::Blob(Vec::new()),
            Self::Text => Value::Text(String::new()),
            Self::Number => Value::Integer(i64::MIN),
        }
    }
}

fn read_cursor(text: &str, key: &[Part]) -> Option<Vec<Value>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    if values.len() != key.len() {
        return None;
    }
    let read = |(value, part): (&serde_json::Value, &Part)| match part {
        Part::Blob => hex::decode(value.as_str()?).ok().map(Value::Blob),
        Part::Text => value.as_str().map(|text| Value::Text(text.to_owned())),
        Part::Number => value.as_i64().map(Value::Integer),
    };
    values.iter().zip(key).map(read).collect()
}

fn write_cursor(row: &Row<'_>, key: &[Part], key_at: usize) -> Result<String, Failure> {
    let value = |index: usize| {
        Ok(match row.get_ref(key_at + index)? {
            ValueRef::Blob(bytes) => hex::encode(bytes).into(),
            ValueRef::Integer(number) => number.into(),
            other => serde_json::Value::from(other.as_str()?),
        })
    };
    let values: Vec<serde_json::Value> = (0..key.len()).map(value).collect::<Result<_, rusqlite::Error>>()?;
    Ok(serde_json::Value::from(values).to_string())
}

fn row_record(row: &Row<'_>, kind: Kind) -> Result<Record, Failure> {
    let name = || match write_cursor(row, &[Part::Blob], BEHIND_ROW) {
        Ok(key) => format!("{kind:?} {key}"),
        Err(_) => format!("{kind:?}"),
    };
    let FoundRow { by, last_change, row: body, .. } = found_row(row, kind, &name, true)?;
    let body = body.ok_or_else(|| Failure::corrupt(name(), "it has no body"))?;
    Ok(Record::Row { row: *body, by, last_change })
}

fn idempotency_record(row: &Row<'_>) -> Result<Record, Failure> {
    let stored = IdempotencyRow {
        key: digest(row, 0)?,
        fingerprint: digest(row, 1)?,
        result: super::rows::result_id(row, 2)?,
        at: timestamp(row, 3)?,
    };
    let by = super::rows::change_id(row, 4)?;
    Ok(Record::Row { row: StoredRow::Idempotency(stored), by, last_change: by })
}

fn stock_record(row: &Row<'_>) -> Result<Record, Failure> {
    let key = StockKey { sku: column(row, 0)?, location: column(row, 1)? };
    Ok(Record::Stock { key, level: StockLevel { available: column(row, 2)?, reserved: column(row, 3)? } })
}

fn movement_record(row: &Row<'_>) -> Result<Record, Failure> {
    let key = StockKey { sku: column(row, 1)?, location: column(row, 2)? };
    Ok(Record::StockMovement { cause: parse_cause(text(row, 0)?)?, key, on_hand_delta: column(row, 3)? })
}

fn ledger_record(row: &Row<'_>) -> Result<Record, Failure> {
    let cause = text(row, 0)?;
    let account = |name: &str| Account::from_name(name).ok_or_else(|| Failure::corrupt(format_args!("ledger {cause}"), "no such account"));
    let currency = Currency::parse(text(row, 5)?);
    Ok(Record::Ledger(LedgerEntry {
        leg: column(row, 1)?,
        debit: account(text(row, 2)?)?,
        credit: account(text(row, 3)?)?,
        amount: column(row, 4)?,
        currency: currency.ok_or_else(|| Failure::corrupt(format_args!("ledger {cause}"), "no such currency"))?,
        cause: parse_cause(cause)?,
    }))
}

fn job_record(row: &Row<'_>, now: Timestamp) -> Result<Record, Failure> {
    let key = job_key(row, 0)?;
    let lease_until: Option<i64> = column(row, 8)?;
    Ok(Record::Job {
        past: past(row, 3, &key)?,
        payload: column(row, 10)?,
        max_attempts: column(row, 6)?,
        is_ordered: column(row, 7)?,
        is_running: lease_until.is_some_and(|until| until > now.micros()),
        due_for_ms: now.ms_since(timestamp(row, 9)?),
        key,
    })
}
