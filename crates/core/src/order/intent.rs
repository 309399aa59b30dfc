//! Notes what the provider calls an order's payment, and what the customer's browser needs to pay it.
//! This file must not call the provider.

use super::edit::{Context, Edit};
use super::{Order, OrderStatus, PaymentMethod};
use crate::change::{Change, Effect, EffectState, PaymentRow, Row};
use crate::digest::Digest;
use crate::event::EventKind;
use crate::id::{OrderId, PaymentId};
use crate::payment::{Fact, FactKind, PaymentProgress, Provider};
use crate::refusal::Refusal;
use serde_json::json;

/// The effect "make a payment intent".
pub const CREATE_INTENT: &str = "stripe.create_intent";
/// The effect "tell the customer that the order stands".
pub const ORDER_RECEIVED_MAIL: &str = "email.order_received";
/// The effect "tell the customer that the payment arrived".
pub const ORDER_PAID_MAIL: &str = "email.order_paid";

/// An effect's key: the same for every attempt, on every node, at any time.
pub fn effect_key(order: OrderId, kind: &str, business_sequence: &str) -> Digest {
    Digest::of_parts(&[order.uuid().as_bytes(), kind.as_bytes(), business_sequence.as_bytes()])
}

/// The key of "make the payment intent of this payment"; as hex it is Stripe's Idempotency-Key.
pub fn create_intent_key(order: OrderId, payment: PaymentId) -> Digest {
    effect_key(order, CREATE_INTENT, &payment.to_string())
}

/// A payment intent as the provider described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id of it.
    pub reference: String,
    /// What the customer's browser needs.
    pub client_secret: Option<String>,
}

/// Whether the order still waits for money by card.
pub fn may_pay_by_card(order: &Order) -> Result<(), Refusal> {
    if order.summary().is_settled {
        return Err(Refusal::PaymentAlreadySucceeded);
    }
    if order.status != OrderStatus::Pending {
        return Err(Refusal::IllegalTransition { from: order.status, allowed: Vec::new() });
    }
    match order.payment.method {
        PaymentMethod::Stripe => Ok(()),
        other => Err(Refusal::invalid("order", format!("it is paid by {}, so it has no payment intent", other.name()))),
    }
}

/// Attaches the intent to the order. `None` when the order has it already.
pub fn attach_intent(order: &Order, intent: &Intent, context: Context) -> Option<(Order, Change)> {
    if order.payment.reference.is_some() {
        return None;
    }
    let at = context.now;
    let mut edit = Edit::new(order.clone(), context);
    edit.order.payment.reference = Some(intent.reference.clone());
    edit.order.payment.client_secret.clone_from(&intent.client_secret);
    // The webhook may have been here first: then the provider's object has its row.
    if order.facts.about(Provider::Stripe, &intent.reference).is_none() {
        let row = PaymentRow { provider: Provider::Stripe, reference: intent.reference.clone(), order_id: order.id, at };
        edit.change().insert(Row::Payment(row));
    }
    edit.order.facts.learn(&Fact {
        provider: Provider::Stripe,
        reference: intent.reference.clone(),
        kind: FactKind::Payment(PaymentProgress::Pending),
        amount: order.payment.amount,
        currency: order.currency,
    });
    // With a payment under way, an earlier one that failed is no longer the last word.
    edit.order.payment_status = edit.order.summary().status;
    let effect = Effect {
        key: create_intent_key(order.id, order.payment.id),
        order_id: order.id,
        kind: CREATE_INTENT.to_owned(),
        state: EffectState::Confirmed,
        reference: Some(intent.reference.clone()),
        resends: 0,
        at,
        version: 1,
    };
    edit.change().insert(Row::Effect(effect));
    let data = json!({
        "provider": Provider::Stripe,
        "reference": intent.reference,
        "paymentId": order.payment.id,
        "amount": order.payment.amount,
        "currency": order.currency,
    });
    edit.record(EventKind::PaymentCreated, data);
    Some(edit.finish())
}
