//! Making the payment intent of an order: by the request that placed it when Stripe answers, by a worker otherwise. Both
//! go the same way: claim the order's own job, call Stripe with the effect's key, attach what it says.

use crate::app::App;
use crate::app::commit::{DECISIONS, commit};
use crate::providers::stripe::{CreateIntent, StripeError};
use crate::worker::{self, Handled};
use ordermill_core::change::{Change, Effect, EffectState, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;
use ordermill_core::id::OrderId;
use ordermill_core::job::{Job, JobKey, Queue, Report};
use ordermill_core::money::Money;
use ordermill_core::order::intent::{CREATE_INTENT, Intent, attach_intent, create_intent_key};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_store::{ClaimTarget, CommitError, OrderRef};
use std::sync::Arc;

/// How old a job may be whose key is sent to Stripe once more. Stripe keeps keys for a day at least and takes a forgotten
/// one for a new request (F20); the hour between is for clocks that differ and for the call itself.
pub const KEY_AGE_MS_MAX: i64 = 23 * 3_600 * 1_000;

/// Asks Stripe for the intent of an order that was just placed, while its customer waits. Whatever goes wrong, the order
/// stands and its job makes the intent later; the answer then says `creating`.
pub async fn make_now(app: &App, order: Order) -> Order {
    // The job was queued by the order's first event.
    let key = JobKey::new(Queue::Stripe, order.id.to_string(), 1);
    let claimed = app.claim(&ClaimTarget::Jobs(vec![key]), 1, "request").await;
    let job = match claimed.map(|jobs| jobs.into_iter().next()) {
        Ok(Some(job)) => job,
        Ok(None) => return order,
        Err(error) => {
            tracing::warn!(order = order.code, %error, "the intent is left to a worker");
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
pub async fn create(app: &App, job: &Job, order_id: OrderId) -> Handled {
    match try_create(app, job, order_id).await {
        Ok(handled) => handled,
        Err(report) => Handled::from(report),
    }
}

async fn try_create(app: &App, job: &Job, order_id: OrderId) -> Result<Handled, Report> {
    let order = app.store.order(&OrderRef::Id(order_id)).await.map_err(|error| store_away(&error))?;
    let order = order.ok_or_else(|| Report::NotYet { why: "the order does not exist".to_owned() })?;
    worker::about_order(&order);
    if order.payment.reference.is_some() || order.status != OrderStatus::Pending {
        return Ok(Handled::done());
    }
    // Before the first attempt there is no key that Stripe could have forgotten.
    if job.past.attempt > 1
        && let Some(left) = left_to_a_person(app, job, &order).await?
    {
        return Ok(left);
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
    attach(app, order, &intent).await.map(|()| Handled::done())
}

/// The end of a job whose key Stripe may have forgotten: sent again, it could make a second intent, and the client has no
/// way to look for the first. The order's age covers dead letters that are redriven, which begin at age 0 as jobs.
async fn left_to_a_person(app: &App, job: &Job, order: &Order) -> Result<Option<Handled>, Report> {
    let key = create_intent_key(order.id, order.payment.id);
    let known = app.store.get(&Key::Effect(key)).await.map_err(|error| store_away(&error))?;
    let why = format!(
        "Stripe may have forgotten the key of an earlier attempt, and asking again could make a second payment intent: look for \
         order {} at Stripe",
        order.code
    );
    let mut handled = Handled::from(Report::Refused { why });
    match known.map(|stored| stored.row) {
        // Another worker attached the intent after we had read the order.
        Some(Row::Effect(effect)) if effect.state == EffectState::Confirmed => return Ok(Some(Handled::done())),
        Some(_) => {}
        None if job.age_ms.max(app.now().ms_since(order.created_at)) < KEY_AGE_MS_MAX => return Ok(None),
        None => handled.change = Some(review(app, order, key)),
    }
    Ok(Some(handled))
}

/// Notes that only a person can tell whether there is an intent.
fn review(app: &App, order: &Order, key: Digest) -> Change {
    let mut change = Change::new(app.change_id());
    change.insert(Row::Effect(Effect {
        key,
        order_id: order.id,
        kind: CREATE_INTENT.to_owned(),
        state: EffectState::NeedsReview,
        reference: None,
        resends: 0,
        at: app.now(),
        version: 1,
    }));
    change
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
            Err(error) => return Err(store_away(&error)),
        }
        let current = app.store.order(&OrderRef::Id(order.id)).await.map_err(|error| store_away(&error))?;
        order = current.ok_or_else(|| Report::Failed { why: "the order is gone".to_owned() })?;
    }
    Err(Report::NotYet { why: "the order is being changed by too many others".to_owned() })
}

/// The store is away, which says nothing about Stripe.
fn store_away(error: &dyn std::fmt::Display) -> Report {
    Report::NotYet { why: error.to_string() }
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
