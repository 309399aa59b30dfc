//! Looks again at what seemed wrong, so that a store that goes on working gives no false alarm.
//!
//! The first pass reads table after table, and what was written in between looks like a fault: an order moved on after
//! its row was read and before its events were. So a finding only counts if it stands in [`LOOKS`] further looks, each of
//! which reads just the suspects, in the order in which things come into being, and leaves out what moved meanwhile. An
//! order that moves all the time is thereby left to the next run. This file must not write anything.

use super::checker::judge;
use super::dossier::order_of;
use super::finding::{Finding, Findings, Subject};
use super::goods::Goods;
use super::promised::DISCARDED;
use super::snapshot::Snapshot;
use super::{Invariant, PAGE, Progress, Promises, Stage, held_queues};
use crate::{Record, Store, StoreError, Table};
use ordermill_core::admit::StockLevel;
use ordermill_core::change::{Cause, Key, LedgerEntry, Row, StockKey};
use ordermill_core::event::Event;
use ordermill_core::id::{OrderId, ResultId};
use std::collections::{BTreeMap, BTreeSet};

/// In how many further looks a finding must stand. One would do but for the moments in which a dead letter is redriven,
/// when it is read in neither place.
const LOOKS: usize = 2;

/// Told of every page that is read.
pub(super) type Listener<'a> = dyn FnMut(Progress) + Send + 'a;

/// What of the suspects is really wrong.
pub(super) async fn confirm(
    store: &dyn Store,
    promises: &Promises,
    suspects: Findings,
    progress: &mut Listener<'_>,
) -> Result<Findings, StoreError> {
    let mut standing = suspects;
    standing.forget_drifts();
    for _ in 0..LOOKS {
        if standing.is_empty() {
            break;
        }
        let again = look(store, promises, &standing, progress).await?;
        standing = standing.standing(&again);
    }
    Ok(standing)
}

/// One more look at the suspects: everything that is wrong about them now.
async fn look(
    store: &dyn Store,
    promises: &Promises,
    suspects: &Findings,
    progress: &mut Listener<'_>,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    if suspects.count(Invariant::I16) > 0 {
        found = look_at_stock(store, progress).await?;
    }
    let look = Look::at(store, suspects, progress).await?;
    let moved = look.moved(store).await?;
    let outcome = judge(&look.into_snapshot(held_queues(store).await?), promises)?;
    found.extend(outcome.findings.kept().filter(|finding| finding.invariant != Invariant::I16 && !moved.contains(finding)).cloned());
    Ok(found)
}

/// The suspects, read again.
#[derive(Default)]
struct Look {
    orders: BTreeMap<OrderId, Option<Record>>,
    events: Vec<Event>,
    rows: BTreeMap<Key, Record>,
    /// The rows that are suspects themselves, and their versions.
    suspects: BTreeMap<Key, Option<i64>>,
    causes: BTreeSet<Cause>,
    scanned: Vec<Record>,
}

impl Look {
    /// Reads rows, then the orders that they and the suspects name, then what follows from orders.
    async fn at(store: &dyn Store, suspects: &Findings, progress: &mut Listener<'_>) -> Result<Self, StoreError> {
        let mut look = Self::default();
        let mut tables: BTreeSet<usize> = BTreeSet::new();
        for finding in suspects.kept() {
            look.orders.extend(finding.all_orders().map(|id| (id, None)));
            match &finding.subject {
                Subject::Row(key) => drop(look.suspects.insert(key.clone(), None)),
                Subject::Cause(cause) => drop(look.causes.insert(cause.clone())),
                Subject::Order(_) | Subject::Job(_) | Subject::Stock(_) => {}
            }
            tables.extend(finding.invariant.scans().iter().filter_map(|table| SCANS.iter().position(|scan| scan == table)));
        }
        for key in look.suspects.keys().cloned().collect::<Vec<_>>() {
            let row = look.read_row(store, &key).await?;
            look.suspects.insert(key, row.as_ref().map(Row::version));
            for value in row.iter().flat_map(Row::keys).skip(1) {
                look.read_row(store, &value).await?;
            }
            if let Some(Row::Idempotency(row)) = &row {
                look.read_result(store, row.result).await?;
            }
            look.orders.extend(row.as_ref().and_then(named_order).map(|id| (id, None)));
        }
        for id in look.orders.keys().copied().collect::<Vec<_>>() {
            look.read_order(store, id).await?;
        }
        for table in tables.into_iter().filter_map(|index| SCANS.get(index)) {
            let mut kept = Vec::new();
            scan(store, *table, progress, |record| kept.extend(look.concerns(&record).then_some(record))).await?;
            look.scanned.extend(kept);
        }
        Ok(look)
    }

    async fn read_row(&mut self, store: &dyn Store, key: &Key) -> Result<Option<Row>, StoreError> {
        let Some(stored) = store.get(key).await? else { return Ok(None) };
        let record = Record::Row { row: stored.row.clone(), by: stored.by, last_change: stored.last_change };
        self.rows.insert(stored.row.key(), record);
        Ok(Some(stored.row))
    }

    /// What a request made, if it was no order: read after the row that remembers the request, which was written with it.
    async fn read_result(&mut self, store: &dyn Store, result: ResultId) -> Result<(), StoreError> {
        let kinds = [Key::Product(result.product()), Key::User(result.user()), Key::ApiKey(result.api_key()), Key::Audit(result.audit())];
        for key in kinds {
            self.read_row(store, &key).await?;
        }
        Ok(())
    }

    /// An order, its events and the rows of its money objects. What its version says must be there is read after it.
    async fn read_order(&mut self, store: &dyn Store, id: OrderId) -> Result<(), StoreError> {
        let stored = store.get(&Key::Order(id)).await?;
        let mut after = 0;
        loop {
            let events = store.events(id, after, PAGE).await?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            self.events.extend(events);
        }
        let Some(stored) = stored else { return Ok(()) };
        if let Row::Order(order) = &stored.row {
            for fact in order.facts.iter() {
                self.read_row(store, &Key::Payment(fact.provider, fact.reference.clone())).await?;
            }
        }
        self.orders.insert(id, Some(Record::Row { row: stored.row, by: stored.by, last_change: stored.last_change }));
        Ok(())
    }

    /// Whether a scanned record is needed to judge the suspects.
    fn concerns(&self, record: &Record) -> bool {
        match record {
            Record::Job { .. } | Record::DeadLetter(_) => true,
            Record::Row { row: Row::Effect(effect), .. } => {
                self.orders.contains_key(&effect.order_id) || self.suspects.contains_key(&Key::Effect(effect.key))
            }
            Record::Row { row: Row::Audit(entry), .. } => entry.action == DISCARDED,
            Record::Ledger(LedgerEntry { cause, .. }) | Record::StockMovement { cause, .. } => {
                self.causes.contains(cause) || order_of(record).is_some_and(|id| self.orders.contains_key(&id))
            }
            _ => false,
        }
    }

    /// What was written while the look went on, and is therefore not to be judged by it.
    async fn moved(&self, store: &dyn Store) -> Result<Moved, StoreError> {
        let mut moved = Moved::default();
        for (id, before) in &self.orders {
            let version = |record: &Record| if let Record::Row { row, .. } = record { row.version() } else { 0 };
            let now = store.get(&Key::Order(*id)).await?.map(|stored| stored.row.version());
            if now != before.as_ref().map(version) {
                moved.orders.insert(*id);
            }
        }
        for (key, before) in &self.suspects {
            if store.get(key).await?.map(|stored| stored.row.version()) != *before {
                moved.rows.insert(key.clone());
            }
        }
        Ok(moved)
    }

    fn into_snapshot(self, held_queues: BTreeSet<String>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.held_queues = held_queues;
        let events = self.events.into_iter().map(Record::Event);
        for record in self.orders.into_values().flatten().chain(events) {
            snapshot.push(record);
        }
        let mut rows = self.rows;
        for record in self.scanned {
            match &record {
                // An effect may have been read by its key as well; the scan came later.
                Record::Row { row, .. } => drop(rows.insert(row.key(), record)),
                _ => snapshot.push(record),
            }
        }
        for record in rows.into_values() {
            snapshot.push(record);
        }
        snapshot
    }
}

/// The tables that a look may have to scan, in the order in which it does.
const SCANS: [Table; 6] = [Table::Ledger, Table::StockMovements, Table::Jobs, Table::DeadLetters, Table::Effects, Table::Audit];

/// Orders and rows that were written during a look.
#[derive(Default)]
struct Moved {
    orders: BTreeSet<OrderId>,
    rows: BTreeSet<Key>,
}

impl Moved {
    fn contains(&self, finding: &Finding) -> bool {
        let has_row = matches!(&finding.subject, Subject::Row(key) if self.rows.contains(key));
        has_row || finding.all_orders().any(|id| self.orders.contains(&id))
    }
}

/// The order that a row belongs to.
fn named_order(row: &Row) -> Option<OrderId> {
    match row {
        Row::Payment(row) => Some(row.order_id),
        Row::Inbox(row) => row.order_id,
        // Perhaps: if the request made something else, there is no such order.
        Row::Idempotency(row) => Some(row.result.order()),
        Row::Effect(row) => Some(row.order_id),
        Row::Order(_)
        | Row::Product(_)
        | Row::User(_)
        | Row::Session(_)
        | Row::QueuePause(_)
        | Row::Audit(_)
        | Row::Setting(_)
        | Row::Cart(_)
        | Row::ApiKey(_)
        | Row::OneTimeToken(_)
        | Row::Throttle(_) => None,
    }
}

/// Sums stock up once more. Only skus that rest meanwhile are judged (one that is sold all the time is left to the next
/// run), and what is really wrong about them differs by the same amount in every look.
async fn look_at_stock(store: &dyn Store, progress: &mut Listener<'_>) -> Result<Vec<Finding>, StoreError> {
    let before = levels(store, progress).await?;
    let mut goods = Goods::default();
    for table in [Table::Orders, Table::StockMovements, Table::Stock] {
        scan(store, table, progress, |record| goods.add(&record)).await?;
    }
    let after = levels(store, progress).await?;
    let mut findings = Findings::default();
    goods.judge(&mut findings);
    let rests = |finding: &&Finding| matches!(&finding.subject, Subject::Stock(key) if before.get(key) == after.get(key));
    Ok(findings.kept().filter(rests).cloned().collect())
}

async fn levels(store: &dyn Store, progress: &mut Listener<'_>) -> Result<BTreeMap<StockKey, StockLevel>, StoreError> {
    let mut levels = BTreeMap::new();
    scan(store, Table::Stock, progress, |record| {
        if let Record::Stock { key, level } = record {
            levels.insert(key, level);
        }
    })
    .await?;
    Ok(levels)
}

/// Reads a whole table.
async fn scan(store: &dyn Store, table: Table, progress: &mut Listener<'_>, mut each: impl FnMut(Record) + Send) -> Result<(), StoreError> {
    let mut cursor: Option<String> = None;
    let mut records = 0;
    loop {
        let page = store.scan(table, cursor.as_deref(), PAGE).await?;
        records += page.rows.len() as u64;
        page.rows.into_iter().for_each(&mut each);
        progress(Progress { stage: Stage::LookingAgain, table, records });
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}
