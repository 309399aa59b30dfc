//! Events as Stripe writes them, about the payment of an order.

use crate::app::{Clock, Randomness, SystemClock, SystemRandomness};
use clap::ValueEnum;
use serde_json::{Value, json};

/// The events that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
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
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "payment_intent.succeeded",
            Self::Failed => "payment_intent.payment_failed",
            Self::Cancelled => "payment_intent.canceled",
            Self::Refund => "refund.created",
            Self::Dispute => "charge.dispute.created",
        }
    }
}

/// Whose payment events are about: drawn once, so that several events can be about the same.
pub(super) struct Payment {
    order_id: String,
    order_code: String,
    id: String,
    intent: String,
    amount: i64,
    currency: String,
}

impl Payment {
    /// The payment of this order; of an intent that nobody has heard of if it has none yet.
    pub(super) fn of(order: &Value, amount: Option<i64>) -> Self {
        let text = |pointer: &str| order.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let intent = Some(text("/payment/paymentIntentId")).filter(|id| !id.is_empty());
        Self {
            order_id: text("/id"),
            order_code: text("/code"),
            id: text("/payment/id"),
            intent: intent.unwrap_or_else(|| format!("pi_{}", fresh())),
            amount: amount.or_else(|| order.pointer("/totalAmount").and_then(Value::as_i64)).unwrap_or_default(),
            currency: text("/currency").to_ascii_lowercase(),
        }
    }

    /// The event, made so many seconds ago.
    pub(super) fn event(&self, kind: Kind, age_s: i64) -> String {
        let created = SystemClock.now().unix_s().saturating_sub(age_s);
        let event = json!({
            "id": format!("evt_{}", fresh()), "object": "event", "api_version": "2026-10-28.endive", "created": created,
            "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind.name(),
            "data": { "object": self.object(kind) },
        });
        event.to_string()
    }

    fn object(&self, kind: Kind) -> Value {
        let Self { intent, amount, currency, .. } = self;
        let metadata = json!({ "orderId": self.order_id, "orderCode": self.order_code, "paymentId": self.id });
        match kind {
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
                "id": format!("re_{}", fresh()), "object": "refund", "amount": amount, "currency": currency, "payment_intent": intent,
                "status": "succeeded", "metadata": metadata,
            }),
            Kind::Dispute => json!({
                "id": format!("dp_{}", fresh()), "object": "dispute", "amount": amount, "currency": currency, "payment_intent": intent,
                "status": "needs_response", "reason": "fraudulent", "metadata": metadata,
            }),
        }
    }
}

fn fresh() -> String {
    let mut random = [0_u8; 12];
    SystemRandomness::default().fill(&mut random);
    hex::encode(random)
}
