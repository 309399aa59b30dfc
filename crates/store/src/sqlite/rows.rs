//! From stored columns to values. A body of a newer format is corrupt here, never guessed at. This file must not run
//! statements.

use super::failure::Failure;
use crate::encode::{FORMAT, read_json};
use ordermill_core::admit::FoundRow;
use ordermill_core::change::{Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::id::{ChangeId, OrderId, ResultId};
use ordermill_core::job::{Failure as JobFailure, JobKey, Past};
use ordermill_core::time::Timestamp;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The table a row's body lies in, which says how to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Order,
    Payment,
    Product,
    User,
    Session,
    Inbox,
    Effect,
    QueuePause,
    Audit,
    Setting,
    Cart,
    ApiKey,
    OneTimeToken,
    Throttle,
}

impl Kind {
    /// Reads a body.
    pub(super) fn read(self, name: &dyn Fn() -> String, format: i64, body: &str) -> Result<Row, Failure> {
        Ok(match self {
            Self::Order => Row::Order(read_body(name, format, body)?),
            Self::Payment => Row::Payment(read_body(name, format, body)?),
            Self::Product => Row::Product(read_body(name, format, body)?),
            Self::User => Row::User(read_body(name, format, body)?),
            Self::Session => Row::Session(read_body(name, format, body)?),
            Self::Inbox => Row::Inbox(read_body(name, format, body)?),
            Self::Effect => Row::Effect(read_body(name, format, body)?),
            Self::QueuePause => Row::QueuePause(read_body(name, format, body)?),
            Self::Audit => Row::Audit(read_body(name, format, body)?),
            Self::Setting => Row::Setting(read_body(name, format, body)?),
            Self::Cart => Row::Cart(read_body(name, format, body)?),
            Self::ApiKey => Row::ApiKey(read_body(name, format, body)?),
            Self::OneTimeToken => Row::OneTimeToken(read_body(name, format, body)?),
            Self::Throttle => Row::Throttle(read_body(name, format, body)?),
        })
    }
}

/// Reads a body of a known type.
pub(super) fn read_body<T: DeserializeOwned>(name: &dyn Fn() -> String, format: i64, body: &str) -> Result<T, Failure> {
    if format != i64::from(FORMAT) {
        return Err(Failure::corrupt(name(), format_args!("its format is {format}, this binary knows {FORMAT}")));
    }
    Ok(read_json(std::fmt::from_fn(|f| f.write_str(&name())), body)?)
}

/// What a key is called in an error: ids and numbers, never an address or a token.
pub(super) fn name_of(key: &Key) -> String {
    match key {
        Key::Order(id) => format!("order {id}"),
        Key::OrderNumber(number) => format!("order number {number}"),
        Key::Payment(provider, reference) => format!("payment {}:{reference}", provider.name()),
        Key::Product(id) => format!("product {id}"),
        Key::Sku(sku) => format!("product {sku}"),
        Key::ProductUrl(url) => format!("product {url}"),
        Key::User(id) => format!("user {id}"),
        Key::UserEmail(_) => "user (by e-mail)".to_owned(),
        Key::Session(_) => "session".to_owned(),
        Key::Inbox(provider, event) => format!("event {}:{event}", provider.name()),
        Key::Idempotency(digest) => format!("idempotency row {digest}"),
        Key::Effect(digest) => format!("effect {digest}"),
        Key::DeadLetter(job) => format!("dead letter {job}"),
        Key::QueuePause(queue) => format!("pause of {queue}"),
        Key::Audit(id) => format!("audit entry {id}"),
        Key::Setting(name) => format!("setting {name}"),
        Key::Cart(customer) => format!("cart of {customer}"),
        Key::ApiKey(id) => format!("API key {id}"),
        Key::ApiKeySecret(_) => "API key (by secret)".to_owned(),
        Key::OneTimeToken(_) => "one-time token".to_owned(),
        Key::Throttle(_) => "failed log-ins".to_owned(),
    }
}

/// A column's value.
pub(super) fn column<T: FromSql>(row: &rusqlite::Row<'_>, index: usize) -> Result<T, Failure> {
    Ok(row.get(index)?)
}

/// A text column without copying it.
pub(super) fn text<'row>(row: &'row rusqlite::Row<'_>, index: usize) -> Result<&'row str, Failure> {
    let value = row.get_ref(index)?;
    value.as_str().map_err(|error| Failure::corrupt("a text column", error))
}

/// A column with a change's id.
pub(super) fn change_id(row: &rusqlite::Row<'_>, index: usize) -> Result<ChangeId, Failure> {
    Ok(ChangeId::from_uuid(Uuid::from_bytes(column(row, index)?)))
}

/// A column with an order's id.
pub(super) fn order_id(row: &rusqlite::Row<'_>, index: usize) -> Result<OrderId, Failure> {
    Ok(OrderId::from_uuid(Uuid::from_bytes(column(row, index)?)))
}

/// A column with the id of what a request made.
pub(super) fn result_id(row: &rusqlite::Row<'_>, index: usize) -> Result<ResultId, Failure> {
    Ok(ResultId::from_uuid(Uuid::from_bytes(column(row, index)?)))
}

/// A column with a digest.
pub(super) fn digest(row: &rusqlite::Row<'_>, index: usize) -> Result<Digest, Failure> {
    let bytes: [u8; 32] = column(row, index)?;
    Digest::from_bytes(&bytes).ok_or_else(|| Failure::corrupt("a digest column", "not 32 bytes"))
}

/// A column with a time.
pub(super) fn timestamp(row: &rusqlite::Row<'_>, index: usize) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_micros(column(row, index)?))
}

/// A job's identity from three columns.
pub(super) fn job_key(row: &rusqlite::Row<'_>, first: usize) -> Result<JobKey, Failure> {
    Ok(JobKey { queue: column(row, first)?, group: column(row, first + 1)?, seq: column(row, first + 2)? })
}

/// What a job went through, from the columns attempt, uncounted and history.
pub(super) fn past(row: &rusqlite::Row<'_>, first: usize, key: &JobKey) -> Result<Past, Failure> {
    let history = match row.get_ref(first + 2)?.as_str_or_null() {
        Ok(None) => Vec::new(),
        Ok(Some(text)) => serde_json::from_str(text).map_err(|error| Failure::corrupt(format_args!("job {key}"), error))?,
        Err(error) => return Err(Failure::corrupt(format_args!("job {key}"), error)),
    };
    Ok(Past { attempt: column(row, first)?, uncounted: column(row, first + 1)?, history })
}

/// A history as it is stored: nothing while nothing went wrong.
pub(super) fn history_text(history: &[JobFailure]) -> Result<Option<String>, Failure> {
    if history.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(history).map(Some).map_err(|error| Failure::corrupt("a job's history", error))
}

/// The columns `version`, `created_by`, `last_change`, `format` and `body`, as a guard wants them.
pub(super) fn found_row(row: &rusqlite::Row<'_>, kind: Kind, name: &dyn Fn() -> String, with_body: bool) -> Result<FoundRow, Failure> {
    let body = if with_body { Some(Box::new(kind.read(name, column(row, 3)?, text(row, 4)?)?)) } else { None };
    Ok(FoundRow { by: change_id(row, 1)?, version: column(row, 0)?, last_change: change_id(row, 2)?, row: body })
}
