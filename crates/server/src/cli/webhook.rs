//! `ordermill test-webhook …`: sends a webhook that is really signed, the way the provider would.

use super::client::{Client, segment};
use super::output::Output;
use super::{Failure, Global, Outcome, boot, exit};
use crate::app::{Clock, Randomness, SystemClock, SystemRandomness};
use axum::http::Method;
use clap::{Args, Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A Stripe event about an order's payment
    Stripe(Delivery),
}

/// What to send, and where.
#[derive(Debug, Args)]
pub(super) struct Delivery {
    /// What happened
    #[arg(value_enum)]
    kind: Kind,
    /// The order, by id or code
    #[arg(long)]
    order: String,
    /// The amount in Stripe's minor units (default: what the order asks for)
    #[arg(long)]
    amount: Option<i64>,
    /// Where to send it (default: the server of this data folder)
    #[arg(long)]
    url: Option<String>,
}

/// The events that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// The payment succeeded
    #[value(name = "payment_intent.succeeded")]
    Succeeded,
    /// An attempt failed
    #[value(name = "payment_intent.payment_failed")]
    Failed,
    /// The payment was cancelled
    #[value(name = "payment_intent.canceled")]
    Cancelled,
    /// Money went back
    #[value(name = "refund.created")]
    Refund,
    /// The customer's bank disputes the payment
    #[value(name = "charge.dispute.created")]
    Dispute,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "payment_intent.succeeded",
            Self::Failed => "payment_intent.payment_failed",
            Self::Cancelled => "payment_intent.canceled",
            Self::Refund => "refund.created",
            Self::Dispute => "charge.dispute.created",
        }
    }
}

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let Command::Stripe(delivery) = command;
    let config = boot::load(global, None)?.config;
    let secret = config.stripe.webhook_secrets.first();
    let secret = secret.ok_or_else(|| Failure::usage("no secret to sign with: set [stripe] webhook_secrets"))?;
    let client = Client::connect(global).await?;
    let sent = send(&client, &delivery, secret.expose_secret()).await;
    client.close().await;
    let (status, answer) = sent?;
    output.line(&format!("{} → {status} {answer}", delivery.kind.name()));
    if (200..300).contains(&status) { Ok(()) } else { Err(Failure::new(exit::FAILED, format!("the webhook was refused with {status}"))) }
}

/// Signs the event and delivers it: to the server of this data folder, or to a URL.
async fn send(client: &Client, delivery: &Delivery, secret: &str) -> Result<(u16, String), Failure> {
    let order = client.call(Method::GET, &format!("/api/admin/orders/{}", segment(&delivery.order)), None).await?;
    let body = event(delivery.kind, &order, delivery.amount).to_string();
    let signature = ordermill_core::stripe::sign(secret, SystemClock.now().unix_s(), body.as_bytes());
    let Some(url) = &delivery.url else {
        return client.deliver("/api/webhook/stripe", ("stripe-signature", &signature), body).await;
    };
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build();
    let http = http.map_err(|error| Failure::unavailable(error.to_string()))?;
    let request = http.post(url).header("content-type", "application/json").header("stripe-signature", signature).body(body);
    let away = |error: reqwest::Error| Failure::unavailable(format!("{url} does not answer: {error}"));
    let response = request.send().await.map_err(away)?;
    Ok((response.status().as_u16(), response.text().await.map_err(away)?))
}

/// The event as Stripe would write it.
fn event(kind: Kind, order: &Value, amount: Option<i64>) -> Value {
    let mut random = [0_u8; 12];
    SystemRandomness::default().fill(&mut random);
    let fresh = hex::encode(random);
    let text = |pointer: &str| order.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let intent = Some(text("/payment/paymentIntentId")).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("pi_{fresh}"));
    let amount = amount.or_else(|| order.pointer("/totalAmount").and_then(Value::as_i64)).unwrap_or_default();
    let currency = text("/currency").to_ascii_lowercase();
    let metadata = json!({ "orderId": text("/id"), "orderCode": text("/code"), "paymentId": text("/payment/id") });
    let object = match kind {
        Kind::Succeeded => json!({
            "id": intent, "object": "payment_intent", "amount": amount, "amount_received": amount, "currency": currency,
            "status": "succeeded", "metadata": metadata,
        }),
        Kind::Failed => json!({
            "id": intent, "object": "payment_intent", "amount": amount, "amount_received": 0, "currency": currency,
            "status": "requires_payment_method", "metadata": metadata,
            "last_payment_error": { "type": "card_error", "code": "card_declined" },
        }),
        Kind::Cancelled => json!({
            "id": intent, "object": "payment_intent", "amount": amount, "amount_received": 0, "currency": currency,
            "status": "canceled", "metadata": metadata,
        }),
        Kind::Refund => json!({
            "id": format!("re_{fresh}"), "object": "refund", "amount": amount, "currency": currency, "payment_intent": intent,
            "status": "succeeded", "metadata": metadata,
        }),
        Kind::Dispute => json!({
            "id": format!("dp_{fresh}"), "object": "dispute", "amount": amount, "currency": currency, "payment_intent": intent,
            "status": "needs_response", "reason": "fraudulent", "metadata": metadata,
        }),
    };
    json!({
        "id": format!("evt_{fresh}"), "object": "event", "api_version": "2026-10-28.endive", "created": SystemClock.now().unix_s(),
        "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind.name(),
        "data": { "object": object },
    })
}
