//! Placing an order once, however often the request arrives.
//!
//! One phase: the row that remembers the request is written in the order's own commit, so a copy loses on it, now or
//! later, and gets its answer rendered from the order that the winner made. Refusals leave nothing behind.

use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault, catalogue, payments};
use ordermill_core::account::User;
use ordermill_core::admit::Conflict;
use ordermill_core::change::{IdempotencyRow, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;
use ordermill_core::order::place::{Terms, Wanted};
use ordermill_core::order::{Customer, Order};
use ordermill_core::refusal::{Refusal, ShortLine};
use ordermill_store::{CommitError, OrderRef, failpoint};
use std::sync::Arc;

/// A request that may arrive again: digests of its scope and key, and of its method, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    /// Scope and key.
    pub key: Digest,
    /// Method, path and body.
    pub fingerprint: Digest,
}

/// An order that stands.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// Whether an earlier copy of the request had placed it.
    pub is_replay: bool,
}

/// Places an order for an account.
pub async fn place(app: &App, user: &User, wanted: &Wanted, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let placed = decide_and_commit(app, user, wanted, request).await?;
    if !placed.is_replay {
        app.metrics.orders_placed.inc();
        failpoint::hit("order.after_commit_before_response").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    }
    if placed.order.needs_intent() {
        // In a box: every request would carry the room for a call to Stripe with it, also those that make none.
        let order = Box::pin(payments::intent::make_now(app, placed.order)).await;
        return Ok(Placed { order, ..placed });
    }
    Ok(placed)
}

async fn decide_and_commit(app: &App, user: &User, wanted: &Wanted, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let products = catalogue::products(app).await?;
        let terms = terms(app).await?;
        let context = app.context(Actor::customer(user.id), change_id);
        let decided = ordermill_core::order::place::place(wanted, customer(user), &terms, |id| products.get(id), context);
        let (order, mut change) = match (decided, request) {
            (Ok(decided), _) => decided,
            // An earlier copy may have succeeded when prices and stock were different: its answer stands.
            (Err(refusal), Some(request)) => return replay_or(app, request, refusal).await,
            (Err(refusal), None) => return Err(refusal.into()),
        };
        if let Some(RequestKey { key, fingerprint }) = request {
            change.insert(Row::Idempotency(IdempotencyRow { key, fingerprint, result: order.id.into(), at: order.created_at }));
        }
        failpoint::hit("order.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(Placed { order, is_replay: false }),
            Err(CommitError::Conflict(conflict)) => {
                if let Some(settled) = look_at(app, &conflict, request, &order).await? {
                    return Ok(settled);
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the order lost against too many rivals".to_owned()))
}

/// What a conflict means: a copy of the request won, goods are short, or (`None`) decide again.
async fn look_at(app: &App, conflict: &Conflict, request: Option<RequestKey>, order: &Order) -> Result<Option<Placed>, Fault> {
    if let Some(request) = request
        && let Some(Row::Idempotency(row)) = conflict.existing(&Key::Idempotency(request.key))
    {
        return replay(app, request, row).await.map(Some);
    }
    let short: Vec<ShortLine> = conflict
        .short_stock()
        .filter_map(|(key, level)| {
            let lines = order.lines.iter().filter(|line| line.sku == key.sku);
            lines.clone().next().map(|line| ShortLine {
                product_id: line.product_id.to_string(),
                sku: key.sku.clone(),
                requested: lines.map(|line| line.quantity).sum(),
                available: level.available,
            })
        })
        .collect();
    if short.is_empty() { Ok(None) } else { Err(Refusal::OutOfStock { lines: short }.into()) }
}

async fn replay_or(app: &App, request: RequestKey, refusal: Refusal) -> Result<Placed, Fault> {
    let stored = app.store.get(&Key::Idempotency(request.key)).await?;
    match stored.map(|stored| stored.row) {
        Some(Row::Idempotency(row)) => replay(app, request, &row).await,
        _ => Err(refusal.into()),
    }
}

/// The answer of the earlier copy, from the order as it is now.
async fn replay(app: &App, request: RequestKey, row: &IdempotencyRow) -> Result<Placed, Fault> {
    if row.fingerprint != request.fingerprint {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    let order = app.store.order(&OrderRef::Id(row.result.order())).await?;
    let order = order.ok_or_else(|| Fault::Internal(format!("idempotency row {} names no order", row.key)))?;
    Ok(Placed { order, is_replay: true })
}

async fn terms(app: &App) -> Result<Terms, Fault> {
    let orders = &app.config.orders;
    Ok(Terms {
        order_id: app.order_id(),
        payment_id: app.payment_id(),
        number: app.numbers.next(app).await?,
        code_prefix: orders.code_prefix.clone(),
        ttl_card_ms: orders.ttl_card_s.saturating_mul(1_000),
        ttl_transfer_ms: orders.ttl_transfer_s.saturating_mul(1_000),
    })
}

fn customer(user: &User) -> Customer {
    Customer { id: Some(user.id), email: user.email.clone(), phone: user.phone.clone(), name: user.name.clone(), locale: user.locale }
}
