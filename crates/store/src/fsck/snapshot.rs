//! Records in memory, table by table: what the pure check takes. Tests make one and spoil it; the second look makes one of
//! what it read again. This file must not judge anything.

use super::held_queues;
use crate::{Record, Store, StoreError, Table};
use ordermill_core::change::Row;
use std::collections::{BTreeMap, BTreeSet};

/// Every record of a store, or of the part that matters. Each table is in the order of its keys, as `Store::scan` gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    tables: BTreeMap<Table, Vec<Record>>,
    /// Queues that are paused or whose circuit is open: their jobs may be late.
    pub held_queues: BTreeSet<String>,
}

impl Snapshot {
    /// Everything that a store holds. Only for stores that fit into memory and stand still.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut snapshot = Self { held_queues: held_queues(store).await?, ..Self::default() };
        for table in Table::ALL {
            let mut cursor = None;
            loop {
                let page = store.scan(table, cursor.as_deref(), super::PAGE).await?;
                snapshot.records_mut(table).extend(page.rows);
                cursor = page.cursor;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(snapshot)
    }

    /// The records of a table.
    pub fn records(&self, table: Table) -> &[Record] {
        self.tables.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The records of a table, to be changed. They must stay in the order of their keys.
    pub fn records_mut(&mut self, table: Table) -> &mut Vec<Record> {
        self.tables.entry(table).or_default()
    }

    /// Adds a record at the end of its table.
    pub fn push(&mut self, record: Record) {
        self.records_mut(table_of(&record)).push(record);
    }
}

/// The table that a record lies in.
const fn table_of(record: &Record) -> Table {
    match record {
        Record::Row { row, .. } => match row {
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
        },
        Record::Event(_) => Table::Events,
        Record::Stock { .. } => Table::Stock,
        Record::StockMovement { .. } => Table::StockMovements,
        Record::Ledger(_) => Table::Ledger,
        Record::Job { .. } => Table::Jobs,
        Record::DeadLetter(_) => Table::DeadLetters,
    }
}
