//! One edit of an order: events numbered in step with the version, jobs routed from them, everything in one change.
//! This file must not decide what happens; it only keeps the bookkeeping in one place.

use crate::change::{Account, Cause, Change, LedgerEntry, Row, StockKey, StockMove};
use crate::event::{Actor, Event, EventKind};
use crate::id::ChangeId;
use crate::money::Currency;
use crate::order::Order;
use crate::route::{Routing, route, route_edit};
use crate::time::Timestamp;
use serde_json::Value;

/// An order being edited, and the change that the edit will be.
pub(crate) struct Edit {
    pub(crate) order: Order,
    change: Change,
    base_version: i64,
    at: Timestamp,
    actor: Actor,
    routing: Routing,
}

/// Who edits, when, and who will hear of it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The change's id, drawn before the first attempt.
    pub change_id: ChangeId,
    /// The deciding node's time.
    pub now: Timestamp,
    /// Who does it.
    pub actor: Actor,
    /// Which consumers this installation has.
    pub routing: Routing,
}

impl Edit {
    /// Begins an edit of an order that exists, or (at version 0) of one that is being made.
    pub(crate) fn new(order: Order, context: Context) -> Self {
        let base_version = order.version;
        let Context { change_id, now, actor, routing } = context;
        Self { order, change: Change::new(change_id), base_version, at: now, actor, routing }
    }

    /// Which consumers there are.
    pub(crate) const fn routing(&self) -> Routing {
        self.routing
    }

    /// Says that something happened. The order should already look as it does afterwards.
    pub(crate) fn record(&mut self, kind: EventKind, data: Value) {
        self.order.version = self.order.version.saturating_add(1);
        let event = Event { order_id: self.order.id, seq: self.order.version, kind, v: 1, at: self.at, actor: self.actor.clone(), data };
        self.change.jobs.extend(route(&event, &self.order, self.routing));
        self.change.events.push(event);
    }

    /// Moves the order's goods, with the event recorded last as the cause.
    pub(crate) fn move_goods(&mut self, direction: Goods) {
        let cause = self.cause();
        for (sku, quantity) in self.order.goods() {
            let (available_delta, reserved_delta) = match direction {
                Goods::Reserve => (-quantity, quantity),
                Goods::Take => (0, -quantity),
                Goods::ReserveAndTake => (-quantity, 0),
                Goods::Release => (quantity, -quantity),
                Goods::PutBack => (quantity, 0),
            };
            self.change.stock.push(StockMove { key: StockKey::main(sku), available_delta, reserved_delta, cause: cause.clone() });
        }
    }

    /// Books money, with the event recorded last as the cause.
    pub(crate) fn book(&mut self, debit: Account, credit: Account, amount: i64) {
        self.book_in(self.order.currency, debit, credit, amount);
    }

    /// The same in another currency than the order's.
    pub(crate) fn book_in(&mut self, currency: Currency, debit: Account, credit: Account, amount: i64) {
        if amount <= 0 {
            return;
        }
        let cause = self.cause();
        let legs = self.change.ledger.iter().filter(|entry| entry.cause == cause).count();
        let leg = i32::try_from(legs).unwrap_or(i32::MAX);
        self.change.ledger.push(LedgerEntry { cause, leg, debit, credit, amount, currency });
    }

    /// The change so far, for rows that belong into the same commit.
    pub(crate) fn change(&mut self) -> &mut Change {
        &mut self.change
    }

    /// Ends the edit: the order and everything it caused, guarded by what it was.
    pub(crate) fn finish(mut self) -> (Order, Change) {
        self.order.updated_at = self.at;
        self.change.jobs.extend(route_edit(&self.order, self.routing));
        let row = Row::Order(Box::new(self.order.clone()));
        if self.base_version == 0 {
            self.change.insert(row);
        } else {
            self.change.replace(row, self.base_version);
        }
        (self.order, self.change)
    }

    fn cause(&self) -> Cause {
        Cause::Order(self.order.id, self.order.version)
    }
}

/// How an order's goods move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goods {
    /// From available to reserved.
    Reserve,
    /// Out of the reservation, out of the count.
    Take,
    /// Out of what is available, out of the count: money came after the reservation was given up.
    ReserveAndTake,
    /// From reserved back to available.
    Release,
    /// Back into the count: they never left the house.
    PutBack,
}
