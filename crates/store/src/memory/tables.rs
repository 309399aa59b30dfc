//! The model's maps, what guards find in them, and how a change is written. This file must not check guards.

use super::jobs::WaitingJob;
use crate::query::retention;
use crate::{Record, Sequence, SweepReport, Table};
use ordermill_core::admit::{Found, FoundLease, FoundRow, StockLevel};
use ordermill_core::change::{Cause, Change, Guard, Key, LedgerEntry, Row, StockKey};
use ordermill_core::event::Event;
use ordermill_core::id::{ChangeId, OrderId};
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_core::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A row and who wrote it.
#[derive(Debug, Clone)]
pub(super) struct StoredRow {
    pub(super) row: Row,
    pub(super) by: ChangeId,
    pub(super) last_change: ChangeId,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Rows under the key they are written under.
    rows: BTreeMap<Key, StoredRow>,
    /// Every other unique value, and the key of the row that holds it.
    unique: HashMap<Key, Key>,
    pub(super) events: BTreeMap<(OrderId, i64), Event>,
    stock: BTreeMap<StockKey, StockLevel>,
    movements: BTreeMap<(Cause, StockKey), i64>,
    ledger: BTreeMap<(Cause, i32), LedgerEntry>,
    pub(super) jobs: BTreeMap<JobKey, WaitingJob>,
    pub(super) dead: BTreeMap<JobKey, DeadLetter>,
    /// Queues whose provider is away, and until when nothing is claimed.
    pub(super) circuits: BTreeMap<String, Timestamp>,
    numbers: HashMap<Sequence, i64>,
    pub(super) is_closed: bool,
}

impl Tables {
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().map(|stored| &stored.row)
    }

    pub(super) fn stored(&self, key: &Key) -> Option<&StoredRow> {
        self.rows.get(self.unique.get(key).unwrap_or(key))
    }

    pub(super) fn row(&self, key: &Key) -> Option<&Row> {
        self.stored(key).map(|stored| &stored.row)
    }

    pub(super) fn stock_of(&self, sku: &str) -> StockLevel {
        let mut sum = StockLevel::default();
        for (_, level) in self.stock.iter().filter(|(key, _)| key.sku == sku) {
            sum.available += level.available;
            sum.reserved += level.reserved;
        }
        sum
    }

    pub(super) fn numbers(&mut self, sequence: Sequence, count: u32) -> Range<i64> {
        let next = self.numbers.entry(sequence).or_insert(1);
        let start = *next;
        *next = next.saturating_add(i64::from(count));
        start..*next
    }

    /// What the change's guards and stock moves name.
    pub(super) fn found(&self, change: &Change, now: Timestamp) -> Found {
        let mut found = Found::default();
        for guard in &change.expects {
            match guard {
                Guard::Absent(key) | Guard::Version(key, _) => {
                    if let Some(row) = self.found_row(key) {
                        found.rows.insert(key.clone(), row);
                    }
                }
                Guard::LeaseHeld(claim) => {
                    if let Some(job) = self.jobs.get(&claim.key) {
                        let lease = FoundLease { attempt: job.past.attempt, is_live: job.is_running(now) };
                        found.leases.insert(claim.key.clone(), lease);
                    }
                }
            }
        }
        for step in &change.stock {
            if let Some(level) = self.stock.get(&step.key) {
                found.stock.insert(step.key.clone(), *level);
            }
        }
        found
    }

    fn found_row(&self, key: &Key) -> Option<FoundRow> {
        if let Key::DeadLetter(job) = key {
            let nobody = ChangeId::from_uuid(uuid::Uuid::nil());
            return self.dead.get(job).map(|dead| FoundRow { by: nobody, version: dead.version(), last_change: nobody, row: None });
        }
        let stored = self.stored(key)?;
        Some(FoundRow {
            by: stored.by,
            version: stored.row.version(),
            last_change: stored.last_change,
            row: Some(Box::new(stored.row.clone())),
        })
    }

    /// Writes an admitted change.
    pub(super) fn write(&mut self, change: &Change, now: Timestamp) {
        for key in &change.deletes {
            self.delete(key);
        }
        for row in &change.puts {
            self.put(row, change.id);
        }
        for step in &change.stock {
            let level = self.stock.entry(step.key.clone()).or_default();
            level.available += step.available_delta;
            level.reserved += step.reserved_delta;
            if step.on_hand_delta() != 0 {
                self.movements.insert((step.cause.clone(), step.key.clone()), step.on_hand_delta());
            }
        }
        for entry in &change.ledger {
            self.ledger.insert((entry.cause.clone(), entry.leg), entry.clone());
        }
        for event in &change.events {
            self.events.insert((event.order_id, event.seq), event.clone());
        }
        if let Some(finish) = &change.finish {
            self.finish(finish, now);
        }
        for job in &change.jobs {
            self.jobs.entry(job.key.clone()).or_insert_with(|| WaitingJob::new(job, now));
        }
    }

    fn put(&mut self, row: &Row, change: ChangeId) {
        let keys = row.keys();
        let by = self.rows.get(&row.key()).map_or(change, |stored| stored.by);
        for unique in keys.iter().skip(1) {
            self.unique.insert(unique.clone(), row.key());
        }
        self.rows.insert(row.key(), StoredRow { row: row.clone(), by, last_change: change });
    }

    fn delete(&mut self, key: &Key) {
        if let Key::DeadLetter(job) = key {
            self.dead.remove(job);
        } else if let Some(stored) = self.rows.remove(key) {
            for unique in stored.row.keys().iter().skip(1) {
                self.unique.remove(unique);
            }
        }
    }

    /// Buries exhausted jobs and forgets what has served its time.
    pub(super) fn sweep(&mut self, now: Timestamp) -> SweepReport {
        let exhausted_jobs = self.bury_exhausted(now);
        let old: Vec<Key> = self
            .rows
            .iter()
            .filter(|(_, stored)| match &stored.row {
                Row::Session(session) => now.ms_since(session.expires_at) >= retention::SESSION_MS,
                Row::Idempotency(row) => now.ms_since(row.at) >= retention::IDEMPOTENCY_MS,
                Row::OneTimeToken(row) => now.ms_since(row.expires_at) >= retention::ONE_TIME_TOKEN_MS,
                Row::Throttle(row) => now.ms_since(row.since) >= retention::THROTTLE_MS,
                _ => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in &old {
            self.delete(key);
        }
        SweepReport { exhausted_jobs, pruned_rows: old.len() as u64 }
    }

    /// Everything of one table.
    pub(super) fn records(&self, table: Table, now: Timestamp) -> Vec<Record> {
        match table {
            Table::Events => self.events.values().cloned().map(Record::Event).collect(),
            Table::Stock => self.stock.iter().map(|(key, level)| Record::Stock { key: key.clone(), level: *level }).collect(),
            Table::StockMovements => self
                .movements
                .iter()
                .map(|((cause, key), delta)| Record::StockMovement { cause: cause.clone(), key: key.clone(), on_hand_delta: *delta })
                .collect(),
            Table::Ledger => self.ledger.values().cloned().map(Record::Ledger).collect(),
            Table::Jobs => self.jobs.iter().map(|(key, job)| job.record(key, now)).collect(),
            Table::DeadLetters => self.dead.values().cloned().map(Record::DeadLetter).collect(),
            _ => self.row_records(table),
        }
    }

    fn row_records(&self, table: Table) -> Vec<Record> {
        let record = |stored: &StoredRow| Record::Row { row: stored.row.clone(), by: stored.by, last_change: stored.last_change };
        self.rows.values().filter(|stored| table_of(&stored.row) == table).map(record).collect()
    }
}

/// The table a row lies in.
const fn table_of(row: &Row) -> Table {
    match row {
        Row::Order(_) => Table::Orders,
        Row::Payment(_) => Table::Payments,
        Row::Product(_) => Table::Products,
        Row::User(_) => Table::Users,
        Row::Session(_) => Table::Sessions,
        Row::Inbox(_) => Table::Inbox,
        Row::Idempotency(_) => Table::Idempotency,
        Row::Effect(_) => Table::Effects,
        Row::QueuePause(_) => Table::QueuePauses,
        Row::Audit(_) => Table::Audit,
        Row::Setting(_) => Table::Settings,
        Row::Cart(_) => Table::Carts,
        Row::ApiKey(_) => Table::ApiKeys,
        Row::OneTimeToken(_) => Table::OneTimeTokens,
        Row::Throttle(_) => Table::Throttles,
    }
}
