//! Payment intents: what each request makes of one. Pure: ids and times come in, the new object and the answer go out.

use super::answer::Answer;
use super::params::Params;
use ordermill_core::money::Currency;
use ordermill_core::stripe::{from_wire, wire_amount};
use serde_json::{Value, json};

/// The most digits Stripe takes for cards: twelve.
const AMOUNT_MAX: i64 = 999_999_999_999;

/// What a request did.
#[derive(Debug)]
pub(super) struct Performed {
    /// The object as it is now.
    pub(super) object: Value,
    /// The type of the event about it.
    pub(super) event: Option<&'static str>,
    pub(super) answer: Answer,
}

/// What the machine supplies: nothing else here changes from run to run.
#[derive(Debug)]
pub(super) struct Fresh {
    /// For a new intent, and its secret.
    pub(super) intent_id: String,
    pub(super) secret: String,
    /// For the charge of an attempt, and the payment method it used.
    pub(super) charge_id: String,
    pub(super) payment_method_id: String,
    pub(super) now_s: i64,
}

/// `POST /v1/payment_intents`
pub(super) fn create(params: &Params, fresh: &Fresh) -> Result<Performed, Answer> {
    params.only(&[
        "amount",
        "currency",
        "automatic_payment_methods[enabled]",
        "automatic_payment_methods[allow_redirects]",
        "description",
        "metadata[*]",
        "receipt_email",
    ])?;
    let amount = params.positive("amount")?;
    let currency = currency(params)?;
    let countable = from_wire(amount, currency).and_then(wire_amount);
    if amount > AMOUNT_MAX || countable != Ok(amount) {
        return Err(Answer::invalid(Some("amount_too_large"), "amount", "Amount is too large, or too fine for its currency."));
    }
    let is_automatic = params.flag("automatic_payment_methods[enabled]")?.unwrap_or(true);
    let redirects = params.word("automatic_payment_methods[allow_redirects]", &["always", "never"])?.unwrap_or("always");
    let receipt_email = params.text("receipt_email");
    if let Some(email) = receipt_email.filter(|email| !email.contains('@')) {
        return Err(Answer::invalid(Some("email_invalid"), "receipt_email", &format!("Invalid email address: {email}")));
    }
    let id = &fresh.intent_id;
    let object = json!({
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": { "tip": {} },
        "amount_received": 0,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": is_automatic.then(|| json!({ "allow_redirects": redirects, "enabled": true })),
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": "automatic_async",
        "client_secret": format!("{id}_secret_{}", fresh.secret),
        "confirmation_method": "automatic",
        "created": fresh.now_s,
        "currency": currency.lower_code(),
        "customer": null,
        "description": params.text("description"),
        "last_payment_error": null,
        "latest_charge": null,
        "livemode": false,
        "metadata": params.metadata()?,
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": receipt_email,
        "setup_future_usage": null,
        "shipping": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": "requires_payment_method",
        "transfer_data": null,
        "transfer_group": null,
    });
    Ok(Performed { answer: Answer::object(object.clone()), object, event: None })
}

/// `POST /v1/payment_intents/{id}/confirm`: what the customer's browser does, by test card.
pub(super) fn confirm(intent: Value, params: &Params, fresh: &Fresh) -> Result<Performed, Answer> {
    params.only(&["payment_method", "return_url"])?;
    require_status(&intent, "confirm", &["requires_payment_method"])?;
    let Some(payment_method) = params.text("payment_method") else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(Answer::error(400, "invalid_request_error", Some(UNEXPECTED_STATE), message).with("payment_intent", intent));
    };
    match payment_method {
        "pm_card_visa" => Ok(succeed(intent, fresh)),
        "pm_card_chargeDeclined" => Ok(decline(intent, fresh)),
        other => Err(Answer::invalid(Some("resource_missing"), "payment_method", &format!("No such PaymentMethod: '{other}'"))),
    }
}

/// `POST /v1/payment_intents/{id}/cancel`
pub(super) fn cancel(mut intent: Value, params: &Params, fresh: &Fresh) -> Result<Performed, Answer> {
    params.only(&["cancellation_reason"])?;
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    let reason = params.word("cancellation_reason", &reasons)?;
    require_status(&intent, "cancel", &["requires_payment_method"])?;
    set(&mut intent, json!({ "status": "canceled", "canceled_at": fresh.now_s, "cancellation_reason": reason }));
    Ok(Performed { answer: Answer::object(intent.clone()), object: intent, event: Some("payment_intent.canceled") })
}

/// `GET /v1/charges/{id}`: the intent's last attempt, as far as anybody asks for it.
pub(super) fn charge(intent: &Value, id: &str) -> Value {
    let is_paid = intent.get("status").and_then(Value::as_str) == Some("succeeded");
    json!({
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_refunded": 0,
        "currency": intent["currency"],
        "livemode": false,
        "metadata": intent["metadata"],
        "paid": is_paid,
        "payment_intent": intent["id"],
        "refunded": false,
        "status": if is_paid { "succeeded" } else { "failed" },
    })
}

fn succeed(mut intent: Value, fresh: &Fresh) -> Performed {
    let amount = intent.get("amount").cloned();
    set(
        &mut intent,
        json!({
            "status": "succeeded",
            "amount_received": amount,
            "latest_charge": fresh.charge_id,
            "payment_method": fresh.payment_method_id,
            "last_payment_error": null,
        }),
    );
    Performed { answer: Answer::object(intent.clone()), object: intent, event: Some("payment_intent.succeeded") }
}

/// The request fails, yet it had an effect: an attempt, a charge that failed, an event.
fn decline(mut intent: Value, fresh: &Fresh) -> Performed {
    let answer = Answer::error(402, "card_error", Some("card_declined"), "Your card was declined.")
        .with("decline_code", json!("generic_decline"))
        .with("charge", json!(fresh.charge_id));
    let error = answer.body.get("error").cloned();
    set(&mut intent, json!({ "last_payment_error": error, "latest_charge": fresh.charge_id }));
    Performed { answer: answer.with("payment_intent", intent.clone()), object: intent, event: Some("payment_intent.payment_failed") }
}

const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

fn require_status(intent: &Value, act: &str, allowed: &[&str]) -> Result<(), Answer> {
    let status = intent.get("status").and_then(Value::as_str).unwrap_or_default();
    if allowed.contains(&status) {
        return Ok(());
    }
    let message = format!("You cannot {act} this PaymentIntent because it has a status of {status}.");
    Err(Answer::error(400, "invalid_request_error", Some(UNEXPECTED_STATE), &message).with("payment_intent", intent.clone()))
}

/// Stripe documents lower case; what else the real one may let pass is not worth relying on.
fn currency(params: &Params) -> Result<Currency, Answer> {
    let code = params.require("currency")?;
    let currency = Currency::parse(code).filter(|currency| currency.lower_code() == code);
    currency.ok_or_else(|| Answer::invalid(None, "currency", &format!("Invalid currency: {code}.")))
}

fn set(object: &mut Value, changes: Value) {
    if let (Some(object), Value::Object(changes)) = (object.as_object_mut(), changes) {
        object.extend(changes);
    }
}
