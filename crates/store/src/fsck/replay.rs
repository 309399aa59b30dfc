//! The fold of an order's events: what its row must be, as far as events tell. The same rules as the ones that wrote the
//! row, read backwards; this file must not look at the row.

use ordermill_core::event::{Event, EventKind};
use ordermill_core::order::OrderStatus;
use ordermill_core::order::lifecycle::TRANSITIONS;
use ordermill_core::payment::{Fact, Facts};
use serde_json::Value;

/// The shape of event data that this fold can read.
const SHAPE: i32 = 1;

/// What an order's row must be, as far as its events tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// How far it is; none before it stands.
    pub status: Option<OrderStatus>,
    /// What is known about its money.
    pub facts: Facts,
    /// Its number, total and currency as it was placed.
    pub placed: Option<Placed>,
    /// What the provider calls its payment.
    pub reference: Option<String>,
    /// How often it was paid.
    pub paid: usize,
    /// How often it was completed.
    pub completed: usize,
    /// Moves that no rule allows: the event's number, from where, to where.
    pub illegal: Vec<(i64, Option<OrderStatus>, OrderStatus)>,
    /// Whether some event was written by a newer node: then the rest need not be true.
    pub has_unknown: bool,
}

/// How an order was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub number: Option<i64>,
    /// What was to be paid.
    pub total_amount: Option<i64>,
    /// In which currency.
    pub currency: Option<String>,
}

/// Folds the events of one order, oldest first.
pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Expected {
    let mut expected = Expected::default();
    for event in events {
        expected.hear(event);
    }
    expected
}

impl Expected {
    fn hear(&mut self, event: &Event) {
        if event.v != SHAPE || matches!(event.kind, EventKind::Unknown(_)) {
            self.has_unknown = true;
            return;
        }
        match event.kind {
            EventKind::OrderCreated => self.placed = Some(placed(&event.data)),
            EventKind::OrderPaid => self.paid += 1,
            EventKind::OrderCompleted => self.completed += 1,
            EventKind::PaymentCreated if event.data.get("paymentId").is_some() => {
                self.reference = text(&event.data, "reference");
            }
            _ => {}
        }
        if let Some(next) = status_after(&event.kind) {
            if !may_follow(self.status, &event.kind, next) {
                self.illegal.push((event.seq, self.status, next));
            }
            self.status = Some(next);
        }
        if let Some(fact) = fact_of(event) {
            self.facts.learn(&fact);
        }
    }
}

/// Where an event leaves the order; none for events that do not move it.
fn status_after(kind: &EventKind) -> Option<OrderStatus> {
    match kind {
        EventKind::OrderCreated => Some(OrderStatus::Pending),
        EventKind::OrderProcessing | EventKind::OrderRevived => Some(OrderStatus::Processing),
        EventKind::OrderExpired => Some(OrderStatus::Expired),
        EventKind::OrderCancelled => Some(OrderStatus::Cancelled),
        EventKind::OrderShipped => Some(OrderStatus::Shipped),
        EventKind::OrderDelivered => Some(OrderStatus::Delivered),
        EventKind::OrderCompleted => Some(OrderStatus::Completed),
        EventKind::OrderPartiallyCompleted => Some(OrderStatus::PartiallyCompleted),
        EventKind::OrderNeedsAttention => Some(OrderStatus::NeedsAttention),
        _ => None,
    }
}

/// An order begins once, and then moves as the table of transitions says; another reason for the same state is no move.
fn may_follow(before: Option<OrderStatus>, kind: &EventKind, next: OrderStatus) -> bool {
    match before {
        None => *kind == EventKind::OrderCreated,
        Some(_) if *kind == EventKind::OrderCreated => false,
        Some(before) => before == next || TRANSITIONS.iter().any(|(from, _, to)| (*from, *to) == (before, next)),
    }
}

fn placed(data: &Value) -> Placed {
    let number = |name| data.get(name).and_then(Value::as_i64);
    Placed { number: number("number"), total_amount: number("totalAmount"), currency: text(data, "currency") }
}

fn text(data: &Value, name: &str) -> Option<String> {
    data.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}

/// What an event says about a money object. The event of a new payment names no progress: nothing is decided yet.
fn fact_of(event: &Event) -> Option<Fact> {
    let kind = match event.kind {
        EventKind::PaymentCreated | EventKind::PaymentReceived | EventKind::PaymentFailed | EventKind::PaymentExtra => "payment",
        EventKind::RefundRequested | EventKind::RefundSucceeded | EventKind::RefundFailed => "refund",
        EventKind::PaymentDisputed | EventKind::PaymentDisputeClosed => "dispute",
        _ => return None,
    };
    let mut fact = event.data.as_object()?.clone();
    fact.insert("kind".to_owned(), kind.into());
    fact.entry("progress").or_insert_with(|| "pending".into());
    serde_json::from_value(Value::Object(fact)).ok()
}
