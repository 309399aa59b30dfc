//! Everything of one table in the order of its keys, page by page, for `fsck`, export and the conformance suite. A cursor
//! is the key of the first row of the next page as a JSON list, so that rows may come and go between pages. This file
//! must not filter.

use super::clock::now;
use super::finish::read_history;
use super::keys::{Lookup, column, decode_row};
use super::lists::dead_letter;
use super::pipeline::Param;
use super::reader::Reader;
use super::reads::event_of;
use crate::encode::parse_cause;
use crate::query::MAX_SCANNED;
use crate::{Page, Record, StoreError, Table};
use ordermill_core::admit::StockLevel;
use ordermill_core::change::{Account, LedgerEntry, StockKey};
use ordermill_core::id::ChangeId;
use ordermill_core::job::{JobKey, Past};
use ordermill_core::money::Currency;
use serde_json::Value;
use tokio_postgres::Row as SqlRow;
use uuid::Uuid;

/// Rows under one key column: creator, last change, format, body, and the key as a cursor.
macro_rules! rows_by {
    ($table:literal, $key:literal, $cursor:literal) => {
        concat!(
            "SELECT created_by, last_change, format, body, json_build_array(",
            $cursor,
            ")::text FROM ",
            $table,
            " WHERE ",
            $key,
            " >= $2 ORDER BY ",
            $key,
            " LIMIT $1"
        )
    };
}

const ORDERS: &str = rows_by!("orders", "id", "id");
const PRODUCTS: &str = rows_by!("products", "id", "id");
const USERS: &str = rows_by!("users", "id", "id");
const AUDIT: &str = rows_by!("audit", "id", "id");
const SESSIONS: &str = rows_by!("sessions", "token", "encode(token, 'hex')");
const IDEMPOTENCY: &str = "SELECT created_by, created_by, 1, json_build_object('key', encode(key, 'hex'), \
     'fingerprint', encode(fingerprint, 'hex'), 'result', result, 'at', at)::text, json_build_array(encode(key, 'hex'))::text \
     FROM idempotency WHERE key >= $2 ORDER BY key LIMIT $1";
const EFFECTS: &str = rows_by!("effects", "key", "encode(key, 'hex')");
const QUEUE_PAUSES: &str = rows_by!("queue_pauses", "queue", "queue");
const SETTINGS: &str = rows_by!("settings", "name", "name");
const CARTS: &str = rows_by!("carts", "customer", "customer");
const API_KEYS: &str = rows_by!("api_keys", "id", "id");
const ONE_TIME_TOKENS: &str = rows_by!("one_time_tokens", "token", "encode(token, 'hex')");
const THROTTLES: &str = rows_by!("throttles", "scope", "encode(scope, 'hex')");

const PAYMENTS: &str = "SELECT created_by, last_change, format, body, json_build_array(provider, reference)::text FROM payments \
     WHERE (provider, reference) >= ($2, $3) ORDER BY provider, reference LIMIT $1";
const INBOX: &str = "SELECT created_by, last_change, format, body, json_build_array(provider, event_id)::text FROM inbox \
     WHERE (provider, event_id) >= ($2, $3) ORDER BY provider, event_id LIMIT $1";
const EVENTS: &str = "SELECT order_id, seq, kind, v, at, actor, data, json_build_array(order_id, seq)::text FROM events \
     WHERE (order_id, seq) >= ($2, $3) ORDER BY order_id, seq LIMIT $1";
const STOCK: &str = "SELECT sku, location, available, reserved, json_build_array(sku, location)::text FROM stock \
     WHERE (sku, location) >= ($2, $3) ORDER BY sku, location LIMIT $1";
const MOVEMENTS: &str = "SELECT cause, sku, location, on_hand_delta, json_build_array(cause, sku, location)::text FROM stock_movements \
     WHERE (cause, sku, location) >= ($2, $3, $4) ORDER BY cause, sku, location LIMIT $1";
const LEDGER: &str = "SELECT cause, leg, debit, credit, amount, currency, json_build_array(cause, leg)::text FROM ledger \
     WHERE (cause, leg) >= ($2, $3::bigint) ORDER BY cause, leg LIMIT $1";
const JOBS: &str = concat!(
    "SELECT queue, grp, seq, payload, attempt, uncounted, history, max_attempts, is_ordered, coalesce(lease_until > ",
    now!("$5"),
    ", false), ",
    now!("$5"),
    " - due_at, json_build_array(queue, grp, seq)::text FROM jobs ",
    "WHERE (queue, grp, seq) >= ($2, $3, $4) ORDER BY queue, grp, seq LIMIT $1"
);
const DEAD_LETTERS: &str = "SELECT queue, grp, seq, payload, attempt, uncounted, history, is_ordered, queued_at, died_at, \
     json_build_array(queue, grp, seq)::text FROM dead_letters WHERE (queue, grp, seq) >= ($2, $3, $4) ORDER BY queue, grp, seq LIMIT $1";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[
    ORDERS,
    PRODUCTS,
    USERS,
    AUDIT,
    SESSIONS,
    IDEMPOTENCY,
    EFFECTS,
    QUEUE_PAUSES,
    SETTINGS,
    CARTS,
    API_KEYS,
    ONE_TIME_TOKENS,
    THROTTLES,
    PAYMENTS,
    INBOX,
    EVENTS,
    STOCK,
    MOVEMENTS,
    LEDGER,
    JOBS,
    DEAD_LETTERS,
];

/// One page of a table.
pub(super) async fn scan(reader: &Reader, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
    let kept = limit.clamp(1, MAX_SCANNED);
    let start = Start::parse(cursor)?;
    let mut params: Vec<Param<'_>> = vec![Box::new(i64::try_from(kept.saturating_add(1)).unwrap_or(i64::MAX))];
    params.extend(start.params(table)?);
    if table == Table::Jobs {
        params.push(Box::new(reader.offset_us()));
    }
    let mut rows = reader.rows_with(statement(table), &params).await?;
    // The row too many is where the next page begins.
    let next = if rows.len() > kept { rows.pop() } else { None };
    let cursor = next.map(|row| column(&row, row.len().saturating_sub(1))).transpose()?;
    let records = rows.iter().map(|row| record(table, row)).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Page::of(records, cursor, limit))
}

const fn statement(table: Table) -> &'static str {
    match table {
        Table::Orders => ORDERS,
        Table::Events => EVENTS,
        Table::Stock => STOCK,
        Table::StockMovements => MOVEMENTS,
        Table::Ledger => LEDGER,
        Table::Jobs => JOBS,
        Table::DeadLetters => DEAD_LETTERS,
        Table::Payments => PAYMENTS,
        Table::Products => PRODUCTS,
        Table::Users => USERS,
        Table::Sessions => SESSIONS,
        Table::Inbox => INBOX,
        Table::Idempotency => IDEMPOTENCY,
        Table::Effects => EFFECTS,
        Table::QueuePauses => QUEUE_PAUSES,
        Table::Audit => AUDIT,
        Table::Settings => SETTINGS,
        Table::Carts => CARTS,
        Table::ApiKeys => API_KEYS,
        Table::OneTimeTokens => ONE_TIME_TOKENS,
        Table::Throttles => THROTTLES,
    }
}

/// The key a page begins with; the smallest one there is when no cursor was given.
struct Start(Option<Vec<Value>>);

impl Start {
    fn parse(cursor: Option<&str>) -> Result<Self, StoreError> {
        cursor.map(|text| serde_json::from_str(text).map_err(|_| foreign())).transpose().map(Self)
    }

    fn params(&self, table: Table) -> Result<Vec<Param<'static>>, StoreError> {
        Ok(match table {
            Table::Orders | Table::Products | Table::Users | Table::Audit | Table::Carts | Table::ApiKeys => vec![self.uuid(0)?],
            Table::Sessions | Table::Idempotency | Table::Effects | Table::OneTimeTokens | Table::Throttles => vec![self.bytes(0)?],
            Table::QueuePauses | Table::Settings => vec![self.text(0)?],
            Table::Payments | Table::Inbox | Table::Stock => vec![self.text(0)?, self.text(1)?],
            Table::StockMovements => vec![self.text(0)?, self.text(1)?, self.text(2)?],
            Table::Events => vec![self.uuid(0)?, self.number(1)?],
            Table::Ledger => vec![self.text(0)?, self.number(1)?],
            Table::Jobs | Table::DeadLetters => vec![self.text(0)?, self.text(1)?, self.number(2)?],
        })
    }

    fn part(&self, place: usize) -> Result<Option<&Value>, StoreError> {
        self.0.as_ref().map(|parts| parts.get(place).ok_or_else(foreign)).transpose()
    }

    fn text(&self, place: usize) -> Result<Param<'static>, StoreError> {
        let text =
            self.part(place)?.map(|part| part.as_str().filter(|text| !super::keys::has_nul(text)).ok_or_else(foreign)).transpose()?;
        Ok(Box::new(text.unwrap_or_default().to_owned()))
    }

    fn number(&self, place: usize) -> Result<Param<'static>, StoreError> {
        let number = self.part(place)?.map(|part| part.as_i64().ok_or_else(foreign)).transpose()?;
        Ok(Box::new(number.unwrap_or(i64::MIN)))
    }

    fn uuid(&self, place: usize) -> Result<Param<'static>, StoreError> {
        let uuid =
            self.part(place)?.map(|part| part.as_str().and_then(|text| Uuid::try_parse(text).ok()).ok_or_else(foreign)).transpose()?;
        Ok(Box::new(uuid.unwrap_or_else(Uuid::nil)))
    }

    fn bytes(&self, place: usize) -> Result<Param<'static>, StoreError> {
        let bytes = self.part(place)?.map(|part| part.as_str().and_then(|text| hex::decode(text).ok()).ok_or_else(foreign)).transpose()?;
        Ok(Box::new(bytes.unwrap_or_default()))
    }
}

fn foreign() -> StoreError {
    StoreError::Invalid("this is not a cursor of this table".to_owned())
}

fn record(table: Table, row: &SqlRow) -> Result<Record, StoreError> {
    match table {
        Table::Events => event_of(row).map(Record::Event),
        Table::Stock => Ok(Record::Stock {
            key: StockKey { sku: column(row, 0)?, location: column(row, 1)? },
            level: StockLevel { available: column(row, 2)?, reserved: column(row, 3)? },
        }),
        Table::StockMovements => Ok(Record::StockMovement {
            cause: parse_cause(column(row, 0)?)?,
            key: StockKey { sku: column(row, 1)?, location: column(row, 2)? },
            on_hand_delta: column(row, 3)?,
        }),
        Table::Ledger => ledger_entry(row).map(Record::Ledger),
        Table::Jobs => job(row),
        Table::DeadLetters => dead_letter(row).map(Record::DeadLetter),
        Table::Orders => stored(Lookup::Order, row),
        Table::Payments => stored(Lookup::Payment, row),
        Table::Products => stored(Lookup::Product, row),
        Table::Users => stored(Lookup::User, row),
        Table::Sessions => stored(Lookup::Session, row),
        Table::Inbox => stored(Lookup::Inbox, row),
        Table::Idempotency => stored(Lookup::Idempotency, row),
        Table::Effects => stored(Lookup::Effect, row),
        Table::QueuePauses => stored(Lookup::QueuePause, row),
        Table::Audit => stored(Lookup::Audit, row),
        Table::Settings => stored(Lookup::Setting, row),
        Table::Carts => stored(Lookup::Cart, row),
        Table::ApiKeys => stored(Lookup::ApiKey, row),
        Table::OneTimeTokens => stored(Lookup::OneTimeToken, row),
        Table::Throttles => stored(Lookup::Throttle, row),
    }
}

fn stored(lookup: Lookup, row: &SqlRow) -> Result<Record, StoreError> {
    let name = || format!("{lookup:?} {}", column::<&str>(row, 4).unwrap_or_default());
    let decoded = decode_row(lookup, &name, column(row, 2)?, column(row, 3)?)?;
    let decoded = decoded.ok_or_else(|| StoreError::Corrupt { key: name(), why: "it is no row".to_owned() })?;
    Ok(Record::Row { row: decoded, by: ChangeId::from_uuid(column(row, 0)?), last_change: ChangeId::from_uuid(column(row, 1)?) })
}

fn ledger_entry(row: &SqlRow) -> Result<LedgerEntry, StoreError> {
    let cause: &str = column(row, 0)?;
    let corrupt = |what: &str| StoreError::Corrupt { key: format!("ledger {cause}"), why: format!("its {what} is not known") };
    let account = |place| column::<&str>(row, place).map(Account::from_name);
    Ok(LedgerEntry {
        cause: parse_cause(cause)?,
        leg: column(row, 1)?,
        debit: account(2)?.ok_or_else(|| corrupt("debit account"))?,
        credit: account(3)?.ok_or_else(|| corrupt("credit account"))?,
        amount: column(row, 4)?,
        currency: Currency::parse(column(row, 5)?).ok_or_else(|| corrupt("currency"))?,
    })
}

fn job(row: &SqlRow) -> Result<Record, StoreError> {
    let key = JobKey { queue: column(row, 0)?, group: column(row, 1)?, seq: column(row, 2)? };
    let history = read_history(&key, column(row, 6)?)?;
    Ok(Record::Job {
        payload: column(row, 3)?,
        past: Past { attempt: column(row, 4)?, uncounted: column(row, 5)?, history },
        max_attempts: column(row, 7)?,
        is_ordered: column(row, 8)?,
        is_running: column(row, 9)?,
        due_for_ms: column::<i64>(row, 10)? / 1_000,
        key,
    })
}
