//! Where the model's lists go on: a row's place in its list, and the place as text. This file must not look at tables.

use crate::encode::cause_text;
use crate::{JobInfo, Record, StoreError};
use ordermill_core::change::Row;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_core::time::Timestamp;

fn foreign() -> StoreError {
    StoreError::Invalid("this is not a cursor of this list".to_owned())
}

/// Reads a cursor, if there is one.
fn read<T>(cursor: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    cursor.map(|text| parse(text).ok_or_else(foreign)).transpose()
}

/// Reads `micros:rest`.
fn at<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(Timestamp, T)> {
    let (micros, rest) = text.split_once(':')?;
    Some((Timestamp::from_micros(micros.parse().ok()?), parse(rest)?))
}

type InboxPlace = (Timestamp, (String, String));

/// The list of received events goes on below this place.
pub(super) fn inbox(cursor: Option<&str>) -> Result<Option<InboxPlace>, StoreError> {
    let named = |text: &str| text.split_once(':').map(|(provider, event)| (provider.to_owned(), event.to_owned()));
    read(cursor, |text| at(text, named))
}

/// Where an entry stands: by time, then by name.
pub(super) fn inbox_place(entry: &InboxEntry) -> InboxPlace {
    (entry.received_at, (entry.provider.name().to_owned(), entry.event_id.clone()))
}

/// The place as text.
pub(super) fn of_inbox(entry: &InboxEntry) -> String {
    format!("{}:{}:{}", entry.received_at.micros(), entry.provider.name(), entry.event_id)
}

type JobPlace = (Timestamp, JobKey);

/// A list of jobs goes on after, one of dead letters below this place.
pub(super) fn job(cursor: Option<&str>) -> Result<Option<JobPlace>, StoreError> {
    read(cursor, |text| at(text, JobKey::parse))
}

/// Where a job stands: by when it is due, then by key.
pub(super) fn job_place(job: &JobInfo) -> JobPlace {
    (job.due_at, job.key.clone())
}

/// The place as text.
pub(super) fn of_job(job: &JobInfo) -> String {
    format!("{}:{}", job.due_at.micros(), job.key)
}

/// Where a dead letter stands: by when it died, then by key.
pub(super) fn dead_place(dead: &DeadLetter) -> JobPlace {
    (dead.died_at, dead.key.clone())
}

/// The place as text.
pub(super) fn of_dead(dead: &DeadLetter) -> String {
    format!("{}:{}", dead.died_at.micros(), dead.key)
}

/// Where a record stands in its table: by the texts of its key, byte by byte, then by the number at the key's end.
pub(super) type RecordPlace = (String, String, String, i64);

/// A scan goes on after this place.
pub(super) fn record(cursor: Option<&str>) -> Result<Option<RecordPlace>, StoreError> {
    read(cursor, |text| serde_json::from_str(text).ok())
}

/// Where a record stands.
pub(super) fn record_place(record: &Record) -> RecordPlace {
    match record {
        Record::Row { row, .. } => {
            let (first, second) = row_place(row);
            (first, second, String::new(), 0)
        }
        Record::Event(event) => (event.order_id.to_string(), String::new(), String::new(), event.seq),
        Record::Stock { key, .. } => (key.sku.clone(), key.location.clone(), String::new(), 0),
        Record::StockMovement { cause, key, .. } => (cause_text(cause), key.sku.clone(), key.location.clone(), 0),
        Record::Ledger(entry) => (cause_text(&entry.cause), String::new(), String::new(), i64::from(entry.leg)),
        Record::Job { key, .. } => (key.queue.clone(), key.group.clone(), String::new(), key.seq),
        Record::DeadLetter(dead) => (dead.key.queue.clone(), dead.key.group.clone(), String::new(), dead.key.seq),
    }
}

fn row_place(row: &Row) -> (String, String) {
    let alone = |text: String| (text, String::new());
    match row {
        Row::Order(row) => alone(row.id.to_string()),
        Row::Payment(row) => (row.provider.name().to_owned(), row.reference.clone()),
        Row::Product(row) => alone(row.id.to_string()),
        Row::User(row) => alone(row.id.to_string()),
        Row::Session(row) => alone(row.token.to_string()),
        Row::Inbox(row) => (row.provider.name().to_owned(), row.event_id.clone()),
        Row::Idempotency(row) => alone(row.key.to_string()),
        Row::Effect(row) => alone(row.key.to_string()),
        Row::QueuePause(row) => alone(row.queue.clone()),
        Row::Audit(row) => alone(row.id.to_string()),
        Row::Setting(row) => alone(row.name.clone()),
        Row::Cart(row) => alone(row.customer.to_string()),
        Row::ApiKey(row) => alone(row.id.to_string()),
        Row::OneTimeToken(row) => alone(row.token.to_string()),
        Row::Throttle(row) => alone(row.scope.to_string()),
    }
}

/// The place as text.
pub(super) fn of_record(place: &RecordPlace) -> String {
    serde_json::to_string(place).unwrap_or_default()
}
