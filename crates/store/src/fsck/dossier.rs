//! Brings together what four tables say about one order: its row, events, bookings and movements.
//!
//! All four are scanned in the order of order ids, so one pass over each is enough and only one order is in memory at a
//! time, besides a page of each table. This file must not read anything: it says which table it wants to go on with.

use super::Disorder;
use crate::{Record, Table};
use ordermill_core::change::{Cause, LedgerEntry, Row, StockKey};
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::order::Order;
use std::collections::VecDeque;

/// The tables that are read side by side. Orders come first: what an order's version says must be there is then there
/// when the other tables are read.
const TABLES: [Table; 4] = [Table::Orders, Table::Events, Table::Ledger, Table::StockMovements];

/// Everything that belongs to one order id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dossier {
    /// The order's id.
    pub(super) id: OrderId,
    /// The order, unless something names one that does not exist.
    pub(super) order: Option<Box<Order>>,
    /// Its events.
    pub(super) events: Vec<Event>,
    /// Its bookings.
    pub(super) ledger: Vec<LedgerEntry>,
    /// Its movements: the number of the causing event, the goods, how many came in.
    pub(super) movements: Vec<(i64, StockKey, i64)>,
    /// Whether orders were read to the end before this id: without a row, it may just be young.
    pub(super) is_young: bool,
}

impl Dossier {
    fn of(id: OrderId, is_young: bool) -> Self {
        Self { id, order: None, events: Vec::new(), ledger: Vec::new(), movements: Vec::new(), is_young }
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Row { row: Row::Order(order), .. } => self.order = Some(order),
            Record::Event(event) => self.events.push(event),
            Record::Ledger(entry) => self.ledger.push(entry),
            Record::StockMovement { cause: Cause::Order(_, seq), key, on_hand_delta } => self.movements.push((seq, key, on_hand_delta)),
            _ => {}
        }
    }
}

/// The order that a record of one of the four tables belongs to; none for what people and imports caused.
pub(super) fn order_of(record: &Record) -> Option<OrderId> {
    match record {
        Record::Row { row: Row::Order(order), .. } => Some(order.id),
        Record::Event(event) => Some(event.order_id),
        Record::Ledger(LedgerEntry { cause: Cause::Order(id, _), .. }) | Record::StockMovement { cause: Cause::Order(id, _), .. } => {
            Some(*id)
        }
        _ => None,
    }
}

/// One of the four tables, as far as it was read and not yet joined.
#[derive(Debug)]
struct Stream {
    table: Table,
    waiting: VecDeque<(OrderId, Record)>,
    last: Option<OrderId>,
    is_ended: bool,
}

/// The four tables being joined.
#[derive(Debug)]
pub(super) struct Join {
    streams: [Stream; 4],
    open: Option<Dossier>,
}

impl Join {
    /// A join that has read nothing yet.
    pub(super) fn new() -> Self {
        let stream = |table| Stream { table, waiting: VecDeque::new(), last: None, is_ended: false };
        Self { streams: TABLES.map(stream), open: None }
    }

    /// The table whose next page it needs; none when it has seen all four to the end.
    pub(super) fn wants(&self) -> Option<Table> {
        self.streams.iter().find(|stream| stream.waiting.is_empty() && !stream.is_ended).map(|stream| stream.table)
    }

    /// Takes the next page of a table, less what belongs to no order.
    pub(super) fn feed(&mut self, table: Table, records: Vec<Record>, is_last: bool) -> Result<(), Disorder> {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.table == table) else { return Ok(()) };
        stream.is_ended = is_last;
        for record in records {
            let Some(id) = order_of(&record) else { continue };
            if stream.last.is_some_and(|last| id < last) {
                return Err(Disorder { table, what: id.to_string() });
            }
            stream.last = Some(id);
            stream.waiting.push_back((id, record));
        }
        Ok(())
    }

    /// The next dossier that is complete; none when a table is wanted first, or at the end.
    pub(super) fn next(&mut self) -> Option<Dossier> {
        if self.open.is_none() {
            // Without a look at all four heads nobody knows which id is the next.
            if self.wants().is_some() {
                return None;
            }
            let next = self.streams.iter().filter_map(|stream| stream.waiting.front()).map(|(id, _)| *id).min()?;
            let is_young = self.streams.first().is_some_and(|orders| orders.is_ended && orders.waiting.is_empty());
            self.open = Some(Dossier::of(next, is_young));
        }
        let open = self.open.as_mut()?;
        for stream in &mut self.streams {
            while stream.waiting.front().is_some_and(|(id, _)| *id == open.id) {
                if let Some((_, record)) = stream.waiting.pop_front() {
                    open.take(record);
                }
            }
        }
        // A table that ran dry here may have more of the same order on its next page.
        if self.wants().is_some() { None } else { self.open.take() }
    }
}
