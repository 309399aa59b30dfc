//! The body of a webhook, JSON or form, as a transfer. Reading is lenient about how numbers are written, never about what
//! they say. This file must not decide whether a body without an id is welcome.

use super::transfer::{Direction, Transfer, TransferSource};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// Why a body tells of no transfer. The caller keeps it in quarantine for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoticeFault {
    /// Not a JSON object.
    #[error("the body is no JSON object")]
    NotJson,
    /// No amount, or none above zero in whole đồng.
    #[error("`transferAmount` is not a whole number of đồng above zero")]
    BadAmount,
    /// An id that is no whole number.
    #[error("`id` is not a whole number")]
    BadId,
    /// Neither `in` nor `out`.
    #[error("`transferType` is neither in nor out")]
    BadDirection,
    /// Longer than any bank writes.
    #[error("`{field}` is too long")]
    TooLong {
        /// Its name in `SePay`'s documentation.
        field: &'static str,
    },
}

impl NoticeFault {
    /// The stable name in logs and in the inbox.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::BadAmount => "bad_amount",
            Self::BadId => "bad_id",
            Self::BadDirection => "bad_direction",
            Self::TooLong { .. } => "too_long",
        }
    }
}

/// Reads a JSON body.
pub fn notice_from_json(body: &[u8]) -> Result<Transfer, NoticeFault> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => read(&fields),
        _ => Err(NoticeFault::NotJson),
    }
}

/// Reads the fields of a form. Of a repeated field the first one counts.
pub fn notice_from_fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Transfer, NoticeFault> {
    let mut object = Map::new();
    for (name, value) in fields {
        object.entry(name).or_insert_with(|| Value::String(value.to_owned()));
    }
    read(&object)
}

/// The longest text that is taken: far above what banks carry, far below what a row may weigh.
const TEXT_CHARS_MAX: usize = 1_000;
/// The longest name or number that is part of a key.
const NAME_CHARS_MAX: usize = 100;

fn read(fields: &Map<String, Value>) -> Result<Transfer, NoticeFault> {
    let source = match fields.get("id").filter(|value| !is_blank(value)) {
        None => TransferSource::Unnamed,
        Some(value) => TransferSource::Numbered(whole_number(value).ok_or(NoticeFault::BadId)?),
    };
    let amount = fields.get("transferAmount").and_then(whole_number).filter(|amount| *amount > 0).ok_or(NoticeFault::BadAmount)?;
    let direction = match text(fields, "transferType", NAME_CHARS_MAX)?.as_deref() {
        // Only the reduced body of tests leaves it out, and that tells of money that came.
        Some("in") | None => Direction::In,
        Some("out") => Direction::Out,
        Some(_) => return Err(NoticeFault::BadDirection),
    };
    Ok(Transfer {
        source,
        gateway: text(fields, "gateway", NAME_CHARS_MAX)?.unwrap_or_default(),
        account_number: text(fields, "accountNumber", NAME_CHARS_MAX)?.unwrap_or_default(),
        sub_account: text(fields, "subAccount", NAME_CHARS_MAX)?,
        code: text(fields, "code", NAME_CHARS_MAX)?,
        content: text(fields, "content", TEXT_CHARS_MAX)?.unwrap_or_default(),
        direction,
        amount,
        reference: text(fields, "referenceCode", NAME_CHARS_MAX)?,
        booked_at: text(fields, "transactionDate", NAME_CHARS_MAX)?.and_then(|text| vietnam_time(&text)),
    })
}

/// A text that says something; numbers count as texts, because some senders write account numbers so.
fn text(fields: &Map<String, Value>, field: &'static str, chars_max: usize) -> Result<Option<String>, NoticeFault> {
    let text = match fields.get(field) {
        Some(Value::String(text)) => text.trim().replace('\0', ""),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Ok(None),
    };
    if text.chars().count() > chars_max {
        return Err(NoticeFault::TooLong { field });
    }
    Ok((!text.is_empty()).then_some(text))
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A whole number as `250000`, `"250000"`, `250000.0` or `"250000.00"`. No digit may be lost on the way.
fn whole_number(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_whole = fraction.bytes().all(|byte| byte == b'0') && !whole.starts_with('+');
    is_whole.then(|| whole.parse().ok()).flatten()
}

/// `YYYY-MM-DD HH:mm:ss` without a zone is Vietnam's clock, seven hours ahead of UTC all year.
fn vietnam_time(text: &str) -> Option<Timestamp> {
    let local = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let instant = jiff::tz::Offset::constant(7).to_timestamp(local).ok()?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}
