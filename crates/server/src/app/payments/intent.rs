//! Making the payment intent of an order: by the request that placed it when Stripe answers, by a worker otherwise. Both
//! go the same way: claim the order's own job, call Stripe with the effect's key, attach what it says.

use crate::app::App;
use crate::app::commit::{DECISIONS, commit};
use crate::providers::stripe::{CreateIntent, StripeError};
use crate::worker::{self, Handled};
use ordermill_core::event::Actor;
use ordermill_core::id::OrderId;
use ordermill_core::job::{JobKey, Queue, Report};
use ordermill_core::money::Money;
use ordermill_core::order::intent::{Intent, attach_intent, create_intent_key};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_store::{ClaimTarget, CommitError, OrderRef};
use std::sync::Arc;

/// Asks Stripe for the intent of an order that was just placed, while its customer waits. Whatever goes wrong, the order
/// stands and its job makes the intent later; the answer then says `creating`.
pub async fn make_now(app: &App, order: Order) -> Order {
    // The job was queued by the order's first event.
    let key = JobKey::new(Queue::Stripe, order.id.to_string(), 1);
    let lease_ms = app.config.worker.lease_ms;
    let claimed = app.store.claim(&ClaimTarget::Jobs(vec![key]), 1, lease_ms, "request").await;
    let job = match claimed.map(|jobs| jobs.into_iter().next()) {
        Ok(Some(job)) => job,
        Ok(None) => return order,
        Err(error) => {
            tracing::warn!(%error, order = order.code, "the intent is left to a worker");
            return order;
        }
    };
    worker::run_claimed(app, Queue::Stripe, &job).await;
    match app.store.order(&OrderRef::Id(order.id)).await {
        Ok(Some(current)) => current,
        _ => order,
    }
}

/// The consumer of `stripe.create_intent`.
pub async fn create(app: &App, order_id: OrderId) -> Handled {
    match try_create(app, order_id).await {
        Ok(()) => Handled::done(),
        Err(report) => Handled::from(report),
    }
}

async fn try_create(app: &App, order_id: OrderId) -> Result<(), Report> {
    let order = app.store.order(&OrderRef::Id(order_id)).await.map_err(|error| unavailable(&error))?;
    let order = order.ok_or_else(|| Report::NotYet { why: "the order does not exist".to_owned() })?;
    if order.payment.reference.is_some() || order.status != OrderStatus::Pending {
        return Ok(());
    }
    let request = CreateIntent {
        amount: Money { amount: order.payment.amount, currency: order.currency },
        order_id: order.id,
        order_code: order.code.clone(),
        payment_id: order.payment.id,
        receipt_email: None,
        idempotency_key: create_intent_key(order.id, order.payment.id),
    };
    let made = app.stripe.create_intent(&request).await.map_err(report)?;
    let intent = Intent { reference: made.id, client_secret: made.client_secret };
    attach(app, order, &intent).await
}

/// Attaches the intent; if the webhook was faster, on top of what it did.
async fn attach(app: &App, mut order: Order, intent: &Intent) -> Result<(), Report> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let Some((_, change)) = attach_intent(&order, intent, app.context(Actor::system(), change_id)) else {
            return Ok(());
        };
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        let current = app.store.order(&OrderRef::Id(order.id)).await.map_err(|error| unavailable(&error))?;
        order = current.ok_or_else(|| Report::Failed { why: "the order is gone".to_owned() })?;
    }
    Err(Report::NotYet { why: "the order is being changed by too many others".to_owned() })
}

fn unavailable(error: &dyn std::fmt::Display) -> Report {
    Report::Unavailable { why: error.to_string(), retry_after_ms: None }
}

/// What Stripe's refusal means for the job. "Unknown" is never "failed": the same key asks again.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn report(error: StripeError) -> Report {
    let why = error.to_string();
    match error {
        // Asking again gets the same answer: a person must look.
        StripeError::Refused { .. } | StripeError::Unsendable { .. } | StripeError::Unknown { is_retryable: false, .. } => {
            Report::Refused { why }
        }
        StripeError::Busy { retry_after_ms, .. } => Report::Unavailable { why, retry_after_ms },
        StripeError::Unknown { .. } | StripeError::Unreachable { .. } | StripeError::NotConfigured => {
            Report::Unavailable { why, retry_after_ms: None }
        }
    }
}
