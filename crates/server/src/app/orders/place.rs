//! Placing an order once, however often the request arrives.
//!
//! One phase: the row that remembers the request is written in the order's own commit, so a copy loses on it, now or
//! later, and gets its answer rendered from the order that the winner made. Refusals leave nothing behind.

use super::command::short_lines;
use super::{RequestKey, find_by_id};
use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault, cart, catalogue, payments};
use ordermill_core::account::User;
use ordermill_core::admit::Conflict;
use ordermill_core::event::Actor;
use ordermill_core::order::place::{Terms, Wanted};
use ordermill_core::order::{Customer, Order};
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, failpoint};
use std::sync::Arc;

/// An order that stands.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// Whether an earlier copy of the request had placed it.
    pub is_replay: bool,
}

/// What an account orders.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// What it says of the order. Its lines count for nothing when the cart is ordered.
    pub wanted: Wanted,
    /// Whether it orders what is in its cart, which is empty afterwards.
    pub is_cart: bool,
    /// Who goes into the timeline: the customer, or a program that orders for them.
    pub placed_by: Actor,
}

/// Places an order for an account.
pub async fn place(app: &App, user: &User, ordered: Ordered, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let placed = decide_and_commit(app, user, ordered, request).await?;
    if !placed.is_replay {
        app.metrics.orders_placed.inc();
        tracing::info!(order = placed.order.code, order_id = %placed.order.id, "an order was placed");
        failpoint::hit("order.after_commit_before_response").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    }
    if placed.order.needs_intent() {
        // In a box: every request would carry the room for a call to Stripe with it, also those that make none.
        let order = Box::pin(payments::intent::make_now(app, placed.order)).await;
        return Ok(Placed { order, ..placed });
    }
    Ok(placed)
}

async fn decide_and_commit(app: &App, user: &User, ordered: Ordered, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let Ordered { mut wanted, is_cart, placed_by } = ordered;
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let cart = if is_cart { Some(cart::of(app, user.id).await?) } else { None };
        if let Some(cart) = &cart {
            wanted.lines = cart.lines.iter().map(|line| (line.product_id, line.quantity)).collect();
        }
        let products = catalogue::products(app).await?;
        let terms = terms(app).await?;
        let mut context = app.context(placed_by.clone(), change_id);
        // A program that orders for its people tells them itself.
        context.routing.order_received &= user.notifications.order_received && placed_by == Actor::customer(user.id);
        let decided = match &cart {
            Some(cart) if cart.lines.is_empty() => Err(Refusal::CartEmpty),
            _ => ordermill_core::order::place::place(&wanted, customer(user), &terms, |id| products.get(id), context),
        };
        let (order, mut change) = match (decided, request) {
            (Ok(decided), _) => decided,
            // An earlier copy may have succeeded when prices and stock were different: its answer stands.
            (Err(refusal), Some(request)) => return replay_or(app, request, refusal).await,
            (Err(refusal), None) => return Err(refusal.into()),
        };
        tracing::Span::current().record("order", &order.code);
        if let Some(cart) = &cart {
            cart::write(&mut change, cart, cart.cleared(order.created_at));
        }
        if let Some(request) = request {
            request.remember(&mut change, order.id, order.created_at);
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
    if let Some(winner) = request.map(|request| request.winner(conflict)).transpose()?.flatten() {
        return Ok(Some(Placed { order: find_by_id(app, winner.order()).await?, is_replay: true }));
    }
    let lines = short_lines(conflict, order);
    if lines.is_empty() { Ok(None) } else { Err(Refusal::OutOfStock { lines }.into()) }
}

/// The answer of an earlier copy of the request, if there was one.
pub(super) async fn replay_or(app: &App, request: RequestKey, refusal: Refusal) -> Result<Placed, Fault> {
    match request.earlier(app).await? {
        // The answer of the earlier copy, from the order as it is now.
        Some(id) => Ok(Placed { order: find_by_id(app, id.order()).await?, is_replay: true }),
        None => Err(refusal.into()),
    }
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
