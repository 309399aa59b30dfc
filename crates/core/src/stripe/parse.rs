//! What a Stripe event means for our money: a fact, a hint where to look for one, or nothing.
//!
//! The body's signature must already hold. The *type* of an event decides how far its object got, never the status the
//! object happened to have when Stripe wrote the body, so that late and repeated events stay harmless. Reading is
//! lenient: unknown fields and types are skipped, older API versions accepted, and expandable fields may be an id or
//! an object. This file must not look anything up; what an event does not say is a [`Hint`] for the caller to follow.

use super::{Mode, WireError, from_wire};
use crate::money::Currency;
use crate::payment::{DisputeProgress, Fact, FactKind, OrderLinks, PaymentProgress, Provider, RefundProgress};
use serde_json::Value;

/// Reads the body of a snapshot event (API v1).
pub fn parse(body: &[u8]) -> Result<Event, ParseFault> {
    let event: Value = serde_json::from_slice(body).map_err(|_| ParseFault::NotJson)?;
    if event.get("object").and_then(Value::as_str) == Some("v2.core.event") {
        return Err(ParseFault::ThinEvent);
    }
    let id = require_text(&event, "id")?;
    let kind = require_text(&event, "type")?;
    let object = event.get("data").and_then(|data| data.get("object")).unwrap_or(&Value::Null);
    let meaning = meaning(kind, object)?;
    Ok(Event {
        id: id.to_owned(),
        kind: kind.to_owned(),
        created_s: event.get("created").and_then(Value::as_i64).unwrap_or_default(),
        mode: event.get("livemode").and_then(Value::as_bool).map(Mode::of_livemode),
        object_id: text(object, "id").map(str::to_owned),
        meaning,
        links: links(kind, object),
    })
}

/// One event, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`: with the provider, the key of the inbox.
    pub id: String,
    /// Stripe's type, such as `payment_intent.succeeded`.
    pub kind: String,
    /// When Stripe made it, in Unix seconds; 0 if it does not say. Too coarse to order or to deduplicate by.
    pub created_s: i64,
    /// Whether real money moved, if it says so.
    pub mode: Option<Mode>,
    /// The object it is about (`pi_…`, `cs_…`, `ch_…`), if it names one.
    pub object_id: Option<String>,
    /// What it tells us.
    pub meaning: Meaning,
    /// Which order it may be about.
    pub links: OrderLinks,
}

impl Event {
    /// Whether the event is certainly of the other mode than the key that we call Stripe with. Its money is then not what
    /// our orders wait for. What does not say its mode is believed, or real money could be passed over.
    pub fn is_of_other_mode(&self, key: Option<Mode>) -> bool {
        matches!((self.mode, key), (Some(said), Some(ours)) if said != ours)
    }
}

/// What an event tells us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// How far a money object got.
    Fact(Fact),
    /// That something happened to money, but not to which object how far: read the named one and take its facts.
    Hint(Hint),
    /// Nothing that moves an order. It is still acknowledged.
    Ignored,
}

/// The object to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// `pi_…`
    PaymentIntent(String),
    /// `cs_…`
    CheckoutSession(String),
    /// `in_…`
    Invoice(String),
    /// `ch_…`: look for its refunds.
    Charge(String),
}

/// Why a signed body cannot be understood. The caller keeps it in quarantine for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseFault {
    /// Not JSON at all.
    #[error("the body is not JSON")]
    NotJson,
    /// A v2 event without its object: the endpoint is set up for another payload style.
    #[error("thin events are not supported: set the endpoint to snapshot payloads")]
    ThinEvent,
    /// A field is not there, empty, too long or of another type.
    #[error("the event lacks a usable `{field}`")]
    Missing {
        /// Its name in Stripe's documentation.
        field: &'static str,
    },
    /// The event's object is of another kind than the event's type says.
    #[error("the event is not about a {expected}")]
    WrongObject {
        /// What it should have been.
        expected: &'static str,
    },
    /// The currency is no ISO 4217 currency in circulation.
    #[error("the currency is unknown")]
    UnknownCurrency,
    /// The amount cannot be counted in the currency's minor unit.
    #[error("the amount is unusable: {0}")]
    BadAmount(WireError),
}

impl ParseFault {
    /// The stable name in logs and in the inbox.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::ThinEvent => "thin_event",
            Self::Missing { .. } => "missing_field",
            Self::WrongObject { .. } => "wrong_object",
            Self::UnknownCurrency => "unknown_currency",
            Self::BadAmount(_) => "bad_amount",
        }
    }
}

/// The fact in a `PaymentIntent` read back from the API: here its own status says how far it got.
pub fn fact_from_payment_intent(object: &Value) -> Result<(Fact, OrderLinks), ParseFault> {
    require_object(object, "payment_intent")?;
    let progress = match require_text(object, "status")? {
        "succeeded" => PaymentProgress::Succeeded,
        "canceled" => PaymentProgress::Cancelled,
        "requires_capture" => PaymentProgress::Authorised,
        // A fresh intent and one whose last attempt failed share this status.
        "requires_payment_method" if object.get("last_payment_error").is_some_and(Value::is_object) => PaymentProgress::Failed,
        // Under way, or a status newer than this program: nothing is decided.
        _ => PaymentProgress::Pending,
    };
    Ok((payment_fact(object, progress)?, links("", object)))
}

/// The fact in a refund, from an event or read back from the API.
pub fn fact_from_refund(object: &Value) -> Result<(Fact, OrderLinks), ParseFault> {
    require_object(object, "refund")?;
    let progress = match text(object, "status") {
        Some("succeeded") => RefundProgress::Succeeded,
        Some("failed" | "canceled") => RefundProgress::Failed,
        // Older refunds have no status while their fate is open.
        _ => RefundProgress::Pending,
    };
    Ok((money_fact(object, FactKind::Refund(progress), "amount")?, links("refund.", object)))
}

/// The fact in a dispute, from an event or read back from the API.
pub fn fact_from_dispute(object: &Value) -> Result<(Fact, OrderLinks), ParseFault> {
    require_object(object, "dispute")?;
    let status = require_text(object, "status")?;
    let progress = match status {
        "won" | "prevented" | "warning_closed" => DisputeProgress::Won,
        "lost" => DisputeProgress::Lost,
        // An appeal follows a loss: the money is gone until it is won.
        appeal if appeal.starts_with("appeal_") => DisputeProgress::Lost,
        _ => DisputeProgress::Open,
    };
    Ok((money_fact(object, FactKind::Dispute(progress), "amount")?, links("charge.dispute.", object)))
}

fn meaning(kind: &str, object: &Value) -> Result<Meaning, ParseFault> {
    match kind {
        "charge.refunded" => {
            require_object(object, "charge")?;
            Ok(Meaning::Hint(Hint::Charge(require_text(object, "id")?.to_owned())))
        }
        "invoice.paid" | "invoice.payment_succeeded" => {
            require_object(object, "invoice")?;
            Ok(Meaning::Hint(Hint::Invoice(require_text(object, "id")?.to_owned())))
        }
        "refund.created" | "refund.updated" | "charge.refund.updated" => Ok(Meaning::Fact(fact_from_refund(object)?.0)),
        "refund.failed" => {
            let (fact, _) = fact_from_refund(object)?;
            Ok(Meaning::Fact(Fact { kind: FactKind::Refund(RefundProgress::Failed), ..fact }))
        }
        _ if kind.starts_with("charge.dispute.") => Ok(Meaning::Fact(fact_from_dispute(object)?.0)),
        _ => match (kind.strip_prefix("payment_intent."), kind.strip_prefix("checkout.session.")) {
            (Some(step), _) => payment_intent_meaning(step, object),
            (_, Some(step)) => checkout_session_meaning(step, object),
            (None, None) => Ok(Meaning::Ignored),
        },
    }
}

fn payment_intent_meaning(step: &str, object: &Value) -> Result<Meaning, ParseFault> {
    let progress = match step {
        "created" | "processing" | "requires_action" => PaymentProgress::Pending,
        "payment_failed" => PaymentProgress::Failed,
        "amount_capturable_updated" => PaymentProgress::Authorised,
        "canceled" => PaymentProgress::Cancelled,
        "succeeded" => PaymentProgress::Succeeded,
        _ => return Ok(Meaning::Ignored),
    };
    require_object(object, "payment_intent")?;
    Ok(Meaning::Fact(payment_fact(object, progress)?))
}

/// A session is not money itself; the intent it may carry is, and the same intent comes again in `payment_intent.*`.
/// An expired session is ignored: an intent it had is cancelled by an event of its own, and our own time limit gives
/// the goods back.
fn checkout_session_meaning(step: &str, object: &Value) -> Result<Meaning, ParseFault> {
    if !matches!(step, "completed" | "async_payment_succeeded" | "async_payment_failed") {
        return Ok(Meaning::Ignored);
    }
    require_object(object, "checkout.session")?;
    let session_id = require_text(object, "id")?;
    let is_paid = text(object, "payment_status") == Some("paid");
    let read_it = || Ok(Meaning::Hint(Hint::CheckoutSession(session_id.to_owned())));
    let progress = match step {
        "async_payment_failed" => PaymentProgress::Failed,
        _ if is_paid => PaymentProgress::Succeeded,
        // It should say `paid`; the session as it is now will tell.
        "async_payment_succeeded" => return read_it(),
        _ => PaymentProgress::Pending,
    };
    match expandable_id(object, "payment_intent") {
        Some(intent) => Ok(Meaning::Fact(session_fact(object, intent, progress)?)),
        // Paid through an invoice or a subscription.
        None if progress == PaymentProgress::Succeeded => read_it(),
        None => Ok(Meaning::Ignored),
    }
}

fn session_fact(session: &Value, intent: &str, progress: PaymentProgress) -> Result<Fact, ParseFault> {
    let currency = currency(session)?;
    let amount = require_amount(session, "amount_total", currency)?;
    Ok(Fact { provider: Provider::Stripe, reference: intent.to_owned(), kind: FactKind::Payment(progress), amount, currency })
}

fn payment_fact(intent: &Value, progress: PaymentProgress) -> Result<Fact, ParseFault> {
    let preferred = match progress {
        PaymentProgress::Succeeded => "amount_received",
        PaymentProgress::Authorised => "amount_capturable",
        PaymentProgress::Pending | PaymentProgress::Failed | PaymentProgress::Cancelled => "amount",
    };
    // Stripe sends all three; a body that leaves one out means the whole amount.
    let field = if intent.get(preferred).is_some_and(Value::is_number) { preferred } else { "amount" };
    money_fact(intent, FactKind::Payment(progress), field)
}

fn money_fact(object: &Value, kind: FactKind, amount_field: &'static str) -> Result<Fact, ParseFault> {
    let reference = require_text(object, "id")?.to_owned();
    let currency = currency(object)?;
    let amount = require_amount(object, amount_field, currency)?;
    Ok(Fact { provider: Provider::Stripe, reference, kind, amount, currency })
}

/// Whatever the object says about whose it is. `kind` tells a refund, dispute or charge, which belong to a payment.
fn links(kind: &str, object: &Value) -> OrderLinks {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let owned = |field: &str| text(metadata, field).map(str::to_owned);
    let belongs_to_payment = ["refund.", "charge.", "invoice."].iter().any(|prefix| kind.starts_with(prefix));
    let payment = expandable_id(object, "payment_intent").or_else(|| expandable_id(object, "charge"));
    OrderLinks {
        order_id: owned("orderId"),
        order_code: owned("orderCode").or_else(|| owned("order_code")),
        payment_id: owned("paymentId"),
        client_reference: text(object, "client_reference_id").map(str::to_owned),
        payment_reference: payment.filter(|_| belongs_to_payment).map(str::to_owned),
    }
}

/// Stripe's own limit on ids, and more than any of ours: longer text is nobody's reference. Bytes, because ids become keys.
const TEXT_BYTES_MAX: usize = 255;

/// A text that can be an id, a name or a status. Zero characters are refused, because not every store can keep them.
fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str().filter(|text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0'))
}

fn require_text<'a>(object: &'a Value, field: &'static str) -> Result<&'a str, ParseFault> {
    text(object, field).ok_or(ParseFault::Missing { field })
}

/// A field that is an id or, when the request expanded it, an object with an id.
fn expandable_id<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    text(object, field).or_else(|| text(object.get(field)?, "id"))
}

fn require_object(object: &Value, expected: &'static str) -> Result<(), ParseFault> {
    match object.get("object") {
        None if object.is_object() => Ok(()),
        None => Err(ParseFault::Missing { field: "data.object" }),
        Some(name) if name.as_str() == Some(expected) => Ok(()),
        Some(_) => Err(ParseFault::WrongObject { expected }),
    }
}

fn currency(object: &Value) -> Result<Currency, ParseFault> {
    Currency::parse(require_text(object, "currency")?).ok_or(ParseFault::UnknownCurrency)
}

fn require_amount(object: &Value, field: &'static str, currency: Currency) -> Result<i64, ParseFault> {
    let amount = object.get(field).and_then(Value::as_i64).ok_or(ParseFault::Missing { field })?;
    from_wire(amount, currency).map(|money| money.amount).map_err(ParseFault::BadAmount)
}
