//! From a change to what SQL stores write, done by the caller's task so that the one writer only binds and executes.
//! Bodies are JSON text with a format number; a row written by a newer format is `Corrupt` here, never guessed at.

use crate::{CommitError, StoreError};
use ordermill_core::change::{Cause, Change, ChangeFault, MAX_BYTES, Row};
use ordermill_core::id::{ChangeId, OrderId};
use ordermill_core::job::Outcome;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The format number of every body this binary writes.
pub(crate) const FORMAT: i32 = 1;

/// A checked change and the text forms of what it writes.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// The change.
    pub(crate) change: Arc<Change>,
    /// The bodies of its puts, in their order.
    pub(crate) bodies: Vec<String>,
    /// The data of its events, in their order.
    pub(crate) event_data: Vec<String>,
}

/// Checks a change and writes its bodies.
pub(crate) fn encode(change: &Arc<Change>) -> Result<Encoded, CommitError> {
    change.check()?;
    let bodies = change.puts.iter().map(row_body).collect::<Result<Vec<_>, _>>()?;
    let event_data = change.events.iter().map(|event| json(&event.data)).collect::<Result<Vec<_>, _>>()?;
    let jobs: usize = change.jobs.iter().map(|job| job.payload.len()).sum();
    let ending = change.finish.as_ref().map_or(0, |finish| match &finish.outcome {
        Outcome::Retry { why, .. } | Outcome::Dead { why } => why.len(),
        Outcome::Done => 0,
    });
    let found = bodies.iter().chain(&event_data).map(String::len).sum::<usize>().saturating_add(jobs).saturating_add(ending);
    if found > MAX_BYTES {
        return Err(ChangeFault::TooManyBytes { found }.into());
    }
    // Every change that any test commits to any store must also be possible on the store that is yet to come.
    #[cfg(any(test, feature = "test-support"))]
    if let Err(why) = crate::dynamo::dynamo_plan(change) {
        panic!("DynamoDB could not take this change: {why}\n{change:#?}");
    }
    Ok(Encoded { change: Arc::clone(change), bodies, event_data })
}

/// The body of a row: the bare value; its table says of which kind it is.
pub(crate) fn row_body(row: &Row) -> Result<String, CommitError> {
    match row {
        Row::Order(row) => json(row),
        Row::Payment(row) => json(row),
        Row::Product(row) => json(row),
        Row::User(row) => json(row),
        Row::Session(row) => json(row),
        Row::Inbox(row) => json(row),
        Row::Idempotency(row) => json(row),
        Row::Effect(row) => json(row),
        Row::QueuePause(row) => json(row),
        Row::Audit(row) => json(row),
        Row::Setting(row) => json(row),
        Row::Cart(row) => json(row),
        Row::ApiKey(row) => json(row),
        Row::OneTimeToken(row) => json(row),
        Row::Throttle(row) => json(row),
    }
}

/// JSON text of a value of ours.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, CommitError> {
    serde_json::to_string(value).map_err(|error| CommitError::Unavailable(error.to_string()))
}

/// Reads a stored body back.
pub(crate) fn read_json<T: DeserializeOwned>(key: impl std::fmt::Display, body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt { key: key.to_string(), why: error.to_string() })
}

/// A cause as one sortable text: `order:<id>:<seq, twelve digits>` or `change:<id>`.
pub(crate) fn cause_text(cause: &Cause) -> String {
    match cause {
        Cause::Order(order, seq) => format!("order:{order}:{seq:012}"),
        Cause::Change(change) => format!("change:{}", change.uuid()),
    }
}

/// Reads a cause back.
pub(crate) fn parse_cause(text: &str) -> Result<Cause, StoreError> {
    let corrupt = || StoreError::Corrupt { key: text.to_owned(), why: "not a cause".to_owned() };
    match text.split_once(':') {
        Some(("order", rest)) => {
            let (order, seq) = rest.split_once(':').ok_or_else(corrupt)?;
            let order = OrderId::parse(order).ok_or_else(corrupt)?;
            Ok(Cause::Order(order, seq.parse().map_err(|_| corrupt())?))
        }
        Some(("change", id)) => Ok(Cause::Change(ChangeId::parse(id).ok_or_else(corrupt)?)),
        _ => Err(corrupt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_round_trip_and_sort_by_number() {
        let order = OrderId::new(1, [1; 10]);
        let (second, tenth) = (cause_text(&Cause::Order(order, 2)), cause_text(&Cause::Order(order, 10)));
        assert!(second < tenth);
        assert!(matches!(parse_cause(&tenth), Ok(Cause::Order(_, 10))));
        assert!(parse_cause("order:x").is_err());
    }
}
