//! Reads from Stripe what a received event does not say itself. This file must not write anything, nor decide what a fact
//! does to an order.

use crate::app::App;
use crate::app::payments::ingest::Tidings;
use crate::app::payments::intent::report;
use crate::providers::stripe::StripeError;
use ordermill_core::job::Report;
use ordermill_core::payment::{Fact, OrderLinks};
use ordermill_core::stripe::{self, Hint};
use serde_json::Value;

/// HTTP's "there is no such object".
const NOT_FOUND: u16 = 404;

/// Why an object was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// Stripe does not know it, or could not: what was named is no id of Stripe's.
    Missing,
    /// Stripe could not be asked, or said something odd.
    Report(Report),
}

impl From<StripeError> for Unread {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Refused { status: NOT_FOUND, .. } | StripeError::Unsendable { .. } => Self::Missing,
            // Reading does nothing that could be done twice, so asking again is always right.
            StripeError::Unknown { .. } => Self::Report(Report::Unavailable { why: error.to_string(), retry_after_ms: None }),
            other => Self::Report(report(other)),
        }
    }
}

/// Reads the object that an event hints at, and the facts that it holds.
pub(super) async fn follow(app: &App, hint: &Hint) -> Result<Vec<Tidings>, Unread> {
    match hint {
        Hint::PaymentIntent(id) => read_intent(app, id).await.map(|tidings| vec![tidings]),
        Hint::Charge(id) => {
            let mut tidings: Vec<Tidings> = intent_of_charge(app, id).await?.into_iter().collect();
            let refunds = app.stripe.read_refunds(id).await?;
            for refund in refunds.get("data").and_then(Value::as_array).into_iter().flatten() {
                tidings.push(understand(stripe::fact_from_refund(refund))?);
            }
            Ok(tidings)
        }
        Hint::CheckoutSession(id) => {
            let session = app.stripe.read_checkout_session(id).await?;
            read_named_intent(app, reference(&session, "payment_intent")).await
        }
        Hint::Invoice(id) => {
            let invoice = app.stripe.read_invoice(id).await?;
            // Newer API versions list the invoice's payments, older ones name the one intent.
            let listed = invoice.pointer("/payments/data/0/payment").and_then(|payment| reference(payment, "payment_intent"));
            read_named_intent(app, listed.or_else(|| reference(&invoice, "payment_intent"))).await
        }
    }
}

/// Reads the payment that a refund or a dispute belongs to, named by its own id or by that of its charge. `None` for a charge
/// that belongs to no payment intent.
pub(super) async fn payment(app: &App, named: &str) -> Result<Option<Tidings>, Unread> {
    if named.starts_with("pi_") { read_intent(app, named).await.map(Some) } else { intent_of_charge(app, named).await }
}

async fn intent_of_charge(app: &App, charge: &str) -> Result<Option<Tidings>, Unread> {
    let charge = app.stripe.read_charge(charge).await?;
    match reference(&charge, "payment_intent") {
        Some(intent) => read_intent(app, intent).await.map(Some),
        None => Ok(None),
    }
}

async fn read_named_intent(app: &App, intent: Option<&str>) -> Result<Vec<Tidings>, Unread> {
    match intent {
        Some(intent) => read_intent(app, intent).await.map(|tidings| vec![tidings]),
        None => Ok(Vec::new()),
    }
}

async fn read_intent(app: &App, id: &str) -> Result<Tidings, Unread> {
    let intent = app.stripe.read_payment_intent(id).await?;
    understand(stripe::fact_from_payment_intent(&intent))
}

fn understand<E: std::fmt::Display>(read: Result<(Fact, OrderLinks), E>) -> Result<Tidings, Unread> {
    let understood = read.map(|(fact, links)| Tidings { fact, links });
    understood.map_err(|fault| Unread::Report(Report::Failed { why: fault.to_string() }))
}

/// An expandable field: an id, or the object itself.
fn reference<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    let value = object.get(field)?;
    value.as_str().or_else(|| value.get("id").and_then(Value::as_str))
}
