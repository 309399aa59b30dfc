//! What clients asked for and what they were told: the outside half of I0. Kept in memory, because this process does not
//! die with the server; nothing here may ask the server.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far a request got, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Sent, and nothing definite heard: it may have happened.
    Nothing,
    /// It happened: 2xx.
    Yes,
    /// It certainly did not happen: this status.
    No(u16),
}

/// An order that a client wanted.
#[derive(Debug, Clone)]
pub(super) struct WantedOrder {
    pub(super) told: Told,
    /// The account's id.
    pub(super) customer: String,
    pub(super) method: &'static str,
    pub(super) product: String,
    pub(super) quantity: i64,
    /// The order's id, once told.
    pub(super) order: Option<String>,
    /// The payment intent that the customer paid.
    pub(super) paid_intent: Option<String>,
}

/// What must become of an event of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It says something about an order.
    Applied,
    /// It says nothing that concerns us.
    Unrelated,
    /// It cannot be understood.
    Quarantined,
}

/// An event that a client delivered.
#[derive(Debug, Clone)]
pub(super) struct SentEvent {
    pub(super) told: Told,
    pub(super) fate: Fate,
    pub(super) body: String,
}

/// Everything that was asked and answered.
#[derive(Debug, Default)]
pub(super) struct Journal {
    orders: Mutex<BTreeMap<String, WantedOrder>>,
    events: Mutex<BTreeMap<String, SentEvent>>,
    troubles: Mutex<Vec<String>>,
}

impl Journal {
    /// Before an order's first request leaves.
    pub(super) fn order_invoked(&self, key: &str, wanted: WantedOrder) {
        let known = lock(&self.orders).insert(key.to_owned(), wanted);
        assert!(known.is_none(), "{key} is used twice");
    }

    /// What a client was told about its order.
    pub(super) fn order_told(&self, key: &str, told: Told, order: Option<&str>) {
        let mut orders = lock(&self.orders);
        let wanted = orders.get_mut(key).expect("it was invoked");
        let is_new = wanted.order.is_none() && wanted.told == Told::Nothing;
        let is_same = wanted.told == told && wanted.order.as_deref() == order;
        if is_new {
            wanted.told = told;
            wanted.order = order.map(str::to_owned);
        } else if !is_same {
            let first = format!("{:?} {:?}", wanted.told, wanted.order);
            drop(orders);
            self.trouble(format!("two answers for one key: {key} was first {first}, then {told:?} {order:?}"));
        }
    }

    /// The customer paid.
    pub(super) fn paid(&self, key: &str, intent: &str) {
        lock(&self.orders).get_mut(key).expect("it was invoked").paid_intent = Some(intent.to_owned());
    }

    /// Before an event's first delivery.
    pub(super) fn event_invoked(&self, id: &str, fate: Fate, body: &str) {
        let sent = SentEvent { told: Told::Nothing, fate, body: body.to_owned() };
        let known = lock(&self.events).insert(id.to_owned(), sent);
        assert!(known.is_none(), "{id} is used twice");
    }

    /// What came of it.
    pub(super) fn event_told(&self, id: &str, told: Told) {
        lock(&self.events).get_mut(id).expect("it was invoked").told = told;
    }

    /// Something that must not happen and is not about the end.
    pub(super) fn trouble(&self, what: String) {
        lock(&self.troubles).push(what);
    }

    pub(super) fn orders(&self) -> BTreeMap<String, WantedOrder> {
        lock(&self.orders).clone()
    }

    pub(super) fn events(&self) -> BTreeMap<String, SentEvent> {
        lock(&self.events).clone()
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        lock(&self.troubles).clone()
    }

    /// How many orders were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        lock(&self.orders).values().filter(|wanted| wanted.told == Told::Yes).count()
    }
}

/// A client that panicked left whole entries behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
