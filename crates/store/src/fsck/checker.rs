//! Walks through every table once and lets each group of invariants see what it needs.
//!
//! Pure: it says which table it wants next and is fed that table's pages, from a store or from memory. What follows from
//! something is read after it (events after orders, jobs after events, effects after jobs), so that a store that goes on
//! working raises few suspicions, all of which `confirm` looks at again. This file must not know any rule.

use super::dossier::{Dossier, Join};
use super::finding::Findings;
use super::goods::{self, Goods};
use super::owners::Owners;
use super::promised::{Promised, job_key};
use super::roster::Roster;
use super::snapshot::Snapshot;
use super::work::{self, Work};
use super::{Promises, money, timeline};
use crate::{Record, StoreError, Table};
use ordermill_core::change::Row;
use std::collections::{BTreeMap, BTreeSet};

/// The tables that follow the join of orders, events, bookings and movements. The last ones are only counted.
const AFTER: [Table; 17] = [
    Table::Stock,
    Table::Payments,
    Table::Products,
    Table::Users,
    Table::ApiKeys,
    Table::Inbox,
    Table::Jobs,
    Table::DeadLetters,
    Table::Effects,
    Table::Audit,
    Table::Idempotency,
    Table::Sessions,
    Table::QueuePauses,
    Table::Settings,
    Table::Carts,
    Table::OneTimeTokens,
    Table::Throttles,
];

/// What was counted and found.
pub(super) struct Outcome {
    /// Records per table.
    pub(super) checked: BTreeMap<Table, u64>,
    /// What does not hold, or seemed not to.
    pub(super) findings: Findings,
}

/// A check under way.
pub(super) struct Checker<'a> {
    promises: &'a Promises,
    held: BTreeSet<String>,
    join: Join,
    after: usize,
    roster: Roster,
    goods: Goods,
    owners: Owners,
    work: Work,
    promised: Promised,
    checked: BTreeMap<Table, u64>,
    findings: Findings,
}

/// Checks records in memory.
pub(super) fn judge(snapshot: &Snapshot, promises: &Promises) -> Result<Outcome, StoreError> {
    let mut checker = Checker::new(promises, snapshot.held_queues.clone());
    while let Some(table) = checker.wants() {
        checker.feed(table, snapshot.records(table).to_vec(), true)?;
    }
    Ok(checker.finish())
}

impl<'a> Checker<'a> {
    /// A check that has seen nothing yet.
    pub(super) fn new(promises: &'a Promises, held: BTreeSet<String>) -> Self {
        Self {
            promises,
            held,
            join: Join::new(),
            after: 0,
            roster: Roster::default(),
            goods: Goods::default(),
            owners: Owners::default(),
            work: Work::default(),
            promised: Promised::default(),
            checked: Table::ALL.into_iter().map(|table| (table, 0)).collect(),
            findings: Findings::default(),
        }
    }

    /// The table whose next page it needs; none at the end.
    pub(super) fn wants(&self) -> Option<Table> {
        self.join.wants().or_else(|| AFTER.get(self.after).copied())
    }

    /// How many records of a table were seen.
    pub(super) fn seen(&self, table: Table) -> u64 {
        self.checked.get(&table).copied().unwrap_or_default()
    }

    /// Takes the next page of the wanted table.
    pub(super) fn feed(&mut self, table: Table, records: Vec<Record>, is_last: bool) -> Result<(), StoreError> {
        *self.checked.entry(table).or_default() += records.len() as u64;
        if self.join.wants() == Some(table) {
            for record in &records {
                self.goods.add(record);
                self.goods.judge_loose(record, &mut self.findings);
                if let Record::Ledger(entry) = record {
                    money::judge_loose(entry, &mut self.findings);
                }
            }
            self.join.feed(table, records, is_last)?;
            while let Some(dossier) = self.join.next() {
                self.judge_order(&dossier);
            }
            return Ok(());
        }
        for record in &records {
            self.judge_record(record);
        }
        if is_last {
            self.end_table(table);
            self.after += 1;
        }
        Ok(())
    }

    /// What was found in all.
    pub(super) fn finish(mut self) -> Outcome {
        self.promised.judge_left(&self.roster, &mut self.findings);
        Outcome { checked: self.checked, findings: self.findings }
    }

    fn judge_order(&mut self, dossier: &Dossier) {
        let findings = &mut self.findings;
        let Some(order) = dossier.order.as_deref() else {
            timeline::judge_orphan(dossier, findings);
            money::judge_orphan(dossier, findings);
            goods::judge_orphan(dossier, findings);
            return;
        };
        let place = self.roster.add(order);
        let expected = timeline::judge(dossier, order, findings);
        money::judge(dossier, order, &expected, findings);
        goods::judge(dossier, order, findings);
        work::judge_order(order, findings);
        self.owners.judge_order(order, place, &self.roster, findings);
        self.promised.note_order(order, &dossier.events, place, self.promises);
    }

    fn judge_record(&mut self, record: &Record) {
        let (roster, findings) = (&self.roster, &mut self.findings);
        if let Record::Row { row, .. } = record {
            self.owners.note_made(row);
        }
        if let Some(key) = job_key(record) {
            self.promised.note_job(key, roster);
        }
        match record {
            Record::Stock { .. } => self.goods.add(record),
            Record::Job { .. } => self.work.judge_job(record, &self.held, self.promises, findings),
            Record::DeadLetter(dead) => self.work.judge_dead(dead, findings),
            Record::Row { row, .. } => match row {
                Row::Payment(row) => self.owners.judge_payment(row, roster, findings),
                Row::Product(_) | Row::User(_) | Row::ApiKey(_) => self.owners.judge_unique(row, findings),
                Row::Idempotency(row) => self.owners.judge_idempotency(row, roster, findings),
                Row::Inbox(entry) => self.promised.judge_inbox(entry, roster, findings),
                Row::Effect(effect) => self.promised.judge_effect(effect, &self.work, roster, findings),
                Row::Audit(entry) => self.promised.note_audit(entry, roster),
                Row::Order(_)
                | Row::Session(_)
                | Row::QueuePause(_)
                | Row::Setting(_)
                | Row::Cart(_)
                | Row::OneTimeToken(_)
                | Row::Throttle(_) => {}
            },
            Record::Event(_) | Record::StockMovement { .. } | Record::Ledger(_) => {}
        }
    }

    /// What can only be judged when a table was seen whole.
    fn end_table(&mut self, table: Table) {
        match table {
            Table::Stock => self.goods.judge(&mut self.findings),
            Table::Payments => self.owners.judge_facts_left(&self.roster, &mut self.findings),
            Table::DeadLetters => self.promised.judge_open_events(&self.work, &mut self.findings),
            _ => {}
        }
    }
}
