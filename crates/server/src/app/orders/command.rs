//! What people tell an order to do. Rivals decide again on what the winner left; a copy of a request is answered like the
//! first, also when the order has moved on since.

use super::place::replay_or;
use super::{Placed, RequestKey, Viewer, find, find_by_id};
use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault};
use ordermill_core::admit::{Conflict, Failed};
use ordermill_core::event::Actor;
use ordermill_core::order::command::{self, Command};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::refusal::{Refusal, ShortLine};
use ordermill_store::{CommitError, failpoint};
use std::sync::Arc;

/// A command with what surrounds it.
#[derive(Debug, Clone)]
pub struct Commanded<'a> {
    /// Who may see what.
    pub viewer: Viewer<'a>,
    /// The order, by id or code.
    pub order: &'a str,
    /// What it is to do.
    pub command: Command,
    /// The version that the client has seen, if it says.
    pub expected_version: Option<i64>,
    /// Who goes into the timeline.
    pub actor: Actor,
    /// The request's identity, if it may arrive again.
    pub request: Option<RequestKey>,
}

/// Moves an order as it is told.
pub async fn command(app: &App, asked: &Commanded<'_>) -> Result<Placed, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let order = find(app, asked.viewer, asked.order).await?;
        tracing::Span::current().record("order", &order.code);
        let context = app.context(asked.actor.clone(), change_id);
        let (next, mut change) = match decide(asked, &order, context) {
            Ok(decided) => decided,
            Err(refusal) => match asked.request {
                // The first copy may have been what moved the order: its answer stands.
                Some(request) => return replay_or(app, request, refusal).await,
                None => return Err(refusal.into()),
            },
        };
        if let Some(request) = asked.request {
            request.remember(&mut change, order.id, next.updated_at);
        }
        failpoint::hit("order.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
        match commit(app, &Arc::new(change)).await {
            Ok(()) => {
                tracing::info!(order = next.code, from = order.status.name(), to = next.status.name(), "an order was told to move");
                return Ok(Placed { order: next, is_replay: false });
            }
            Err(CommitError::Conflict(conflict)) => {
                if let Some(winner) = asked.request.map(|request| request.winner(&conflict)).transpose()?.flatten() {
                    return Ok(Placed { order: find_by_id(app, winner.order()).await?, is_replay: true });
                }
                refuse_short(&conflict, &order)?;
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the command lost against too many rivals".to_owned()))
}

fn decide(
    asked: &Commanded<'_>,
    order: &Order,
    context: ordermill_core::order::Context,
) -> Result<(Order, ordermill_core::change::Change), Refusal> {
    if asked.expected_version.is_some_and(|expected| expected != order.version) {
        return Err(Refusal::VersionMismatch { found: order.version });
    }
    if matches!(asked.viewer, Viewer::Customer(_)) && !customer_may(asked.command.status, order) {
        let allowed = if customer_may(OrderStatus::Cancelled, order) { vec![OrderStatus::Cancelled] } else { Vec::new() };
        return Err(Refusal::IllegalTransition { from: order.status, allowed });
    }
    command::command(order, &asked.command, context)
}

/// Customers call off what they have not paid, and nothing else.
fn customer_may(status: OrderStatus, order: &Order) -> bool {
    status == OrderStatus::Cancelled && order.status == OrderStatus::Pending && order.summary().received_amount == 0
}

/// Refuses when nothing but goods was short. When the order moved meanwhile, its goods may be short because the winner
/// moved them, so it is decided on again first.
fn refuse_short(conflict: &Conflict, order: &Order) -> Result<(), Refusal> {
    let has_moved = conflict.failed.iter().any(|failed| !matches!(failed, Failed::Stock { .. }));
    let lines = if has_moved { Vec::new() } else { short_lines(conflict, order) };
    if lines.is_empty() { Ok(()) } else { Err(Refusal::OutOfStock { lines }) }
}

/// The lines of an order that a lost commit found too few goods for.
pub(super) fn short_lines(conflict: &Conflict, order: &Order) -> Vec<ShortLine> {
    let short = conflict.short_stock().filter_map(|(key, level)| {
        let mut lines = order.lines.iter().filter(|line| line.sku == key.sku);
        let first = lines.next()?;
        Some(ShortLine {
            product_id: first.product_id.to_string(),
            sku: key.sku.clone(),
            requested: lines.fold(first.quantity, |sum, line| sum.saturating_add(line.quantity)),
            available: level.available,
        })
    });
    short.collect()
}
