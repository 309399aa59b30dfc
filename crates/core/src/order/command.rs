//! What people tell an order to do: cancel, ship, deliver, complete, go on. Which of it is possible stands in
//! [`super::lifecycle`]; what it does to goods stands here. This file must not know who may command what.

use super::edit::{Context, Edit, Goods};
use super::{Order, OrderStatus, StockHold, Trigger};
use crate::change::Change;
use crate::event::EventKind;
use crate::refusal::Refusal;
use serde_json::{Map, Value, json};

/// Where an order is told to go, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Where to.
    pub status: OrderStatus,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Who carries the parcel, if it is shipped.
    pub carrier: Option<String>,
    /// What the carrier calls the parcel.
    pub tracking_number: Option<String>,
}

impl Command {
    /// A command that says nothing but where to.
    pub const fn to(status: OrderStatus) -> Self {
        Self { status, reason: None, carrier: None, tracking_number: None }
    }
}

/// Moves an order as it is told.
///
/// # Errors
/// Refused when the table has no such way, and when an order with money on it would be cancelled: the money is given back
/// first.
pub fn command(order: &Order, command: &Command, context: Context) -> Result<(Order, Change), Refusal> {
    let Some((trigger, kind)) = way(order.status, command.status) else {
        return Err(Refusal::IllegalTransition { from: order.status, allowed: order.status.allowed() });
    };
    let summary = order.summary();
    let has_money = summary.received_amount > summary.refunded_amount || summary.has_foreign_money;
    if trigger == Trigger::Cancel && has_money {
        return Err(Refusal::OrderHasMoney);
    }
    let mut edit = Edit::new(order.clone(), context);
    edit.order.status = command.status;
    if trigger == Trigger::Cancel {
        edit.order.expires_at = None;
    }
    let goods = goods_step(trigger, order);
    if let Some((_, hold)) = goods {
        edit.order.stock_hold = hold;
    }
    edit.record(kind, data(trigger, command));
    if let Some((direction, _)) = goods {
        edit.move_goods(direction);
    }
    Ok(edit.finish())
}

/// The trigger that leads there, and the event that tells of it.
fn way(from: OrderStatus, to: OrderStatus) -> Option<(Trigger, EventKind)> {
    let ways = [
        (Trigger::Cancel, EventKind::OrderCancelled),
        (Trigger::Ship, EventKind::OrderShipped),
        (Trigger::Deliver, EventKind::OrderDelivered),
        (Trigger::Complete, EventKind::OrderCompleted),
        (Trigger::Resolve, EventKind::OrderProcessing),
    ];
    ways.into_iter().find(|(trigger, _)| from.after(*trigger) == Some(to))
}

/// How the goods move, and how they are held afterwards.
fn goods_step(trigger: Trigger, order: &Order) -> Option<(Goods, StockHold)> {
    if order.goods().is_empty() {
        return None;
    }
    match (trigger, order.stock_hold) {
        (Trigger::Cancel, StockHold::Reserved) => Some((Goods::Release, StockHold::None)),
        (Trigger::Cancel, StockHold::Taken) => Some((Goods::PutBack, StockHold::None)),
        // Paid on delivery: the goods leave the house with the parcel.
        (Trigger::Ship | Trigger::Complete | Trigger::Resolve, StockHold::Reserved) => Some((Goods::Take, StockHold::Taken)),
        (Trigger::Resolve, StockHold::None) => Some((Goods::ReserveAndTake, StockHold::Taken)),
        _ => None,
    }
}

fn data(trigger: Trigger, command: &Command) -> Value {
    let mut data = Map::new();
    if trigger == Trigger::Resolve {
        data.insert("reason".to_owned(), json!("resolved"));
    }
    for (name, text) in [("note", &command.reason), ("carrier", &command.carrier), ("trackingNumber", &command.tracking_number)] {
        if let Some(text) = text {
            data.insert(name.to_owned(), json!(text));
        }
    }
    Value::Object(data)
}
