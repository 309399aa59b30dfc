//! The narrow waist: a [`Change`] is everything one decision wants to make true, together or not at all.
//!
//! A store has one write verb, `commit(&Change)`. SQL and `DynamoDB` can each do it natively and none imitates another.
//! This file must not decide anything about orders; it only says what may be written and what must hold for it.

mod keys;
mod limits;

pub use keys::{AuditEntry, Cause, Effect, EffectState, IdempotencyRow, Key, PaymentRow, QueuePause, Row, Setting, StockKey};
pub use limits::{ChangeFault, MAX_ACTIONS, MAX_BYTES, MAX_KEY_BYTES, MAX_LINES};

use crate::event::Event;
use crate::id::ChangeId;
use crate::job::{Claim, Finish, JobKey, NewJob};
use serde::{Deserialize, Serialize};

/// Everything one decision wants to make true.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Drawn before the first attempt and kept over every retry: who finds it on a row knows that it was this change.
    pub id: ChangeId,
    /// What must hold, or nothing is written.
    pub expects: Vec<Guard>,
    /// Rows to write whole.
    pub puts: Vec<Row>,
    /// Rows to remove.
    pub deletes: Vec<Key>,
    /// Goods to move; both counts of every place stay ≥ 0.
    pub stock: Vec<StockMove>,
    /// Money to book; append-only.
    pub ledger: Vec<LedgerEntry>,
    /// What the timeline will say; the order's version moves by their number.
    pub events: Vec<Event>,
    /// Work to queue.
    pub jobs: Vec<NewJob>,
    /// How the claimed job that caused this ends.
    pub finish: Option<Finish>,
}

/// Something that must hold for a change to be written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guard {
    /// No row has this key. Only for keys that outlive every possible retry, never for a job.
    Absent(Key),
    /// The row of this key has this version.
    Version(Key, i64),
    /// The job is still ours under this attempt and its lease.
    LeaseHeld(Claim),
}

/// Goods moving between "available" and "reserved", or in and out of the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockMove {
    /// Which goods, where.
    pub key: StockKey,
    /// What is added to the available ones (may be negative).
    pub available_delta: i64,
    /// What is added to the reserved ones (may be negative).
    pub reserved_delta: i64,
    /// Why; unique with the place, so nothing is booked twice (I17).
    pub cause: Cause,
}

impl StockMove {
    /// What it does to the goods in the house. Only such moves leave a row of their own.
    pub const fn on_hand_delta(&self) -> i64 {
        self.available_delta.saturating_add(self.reserved_delta)
    }
}

/// Where money stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// With the payment provider or bank, ours.
    ProviderClearing,
    /// Received and matched to no order yet.
    Suspense,
    /// Received for an order.
    Order,
    /// Owed to a customer beyond what an order needed.
    CreditOwed,
    /// On its way back to a customer.
    RefundsPayable,
    /// Forgiven: a shortfall inside the tolerance.
    ToleranceWrittenOff,
    /// Kept by the provider.
    Fees,
}

impl Account {
    /// Every account.
    pub const ALL: [Self; 7] = [
        Self::ProviderClearing,
        Self::Suspense,
        Self::Order,
        Self::CreditOwed,
        Self::RefundsPayable,
        Self::ToleranceWrittenOff,
        Self::Fees,
    ];

    /// The name in storage and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProviderClearing => "provider_clearing",
            Self::Suspense => "suspense",
            Self::Order => "order",
            Self::CreditOwed => "credit_owed",
            Self::RefundsPayable => "refunds_payable",
            Self::ToleranceWrittenOff => "tolerance_written_off",
            Self::Fees => "fees",
        }
    }

    /// The account of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.name() == name)
    }
}

/// One booking: the same amount on the debit of one account and the credit of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Why; unique with the leg.
    pub cause: Cause,
    /// Numbers the bookings of one cause from 0.
    pub leg: i32,
    /// Takes the amount.
    pub debit: Account,
    /// Gives the amount.
    pub credit: Account,
    /// More than 0, in minor units.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: crate::money::Currency,
}

impl Change {
    /// A change that does nothing yet.
    pub fn new(id: ChangeId) -> Self {
        Self {
            id,
            expects: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            stock: Vec::new(),
            ledger: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            finish: None,
        }
    }

    /// Writes a row that must not exist: every key of it must be free.
    pub fn insert(&mut self, row: Row) {
        self.expects.extend(row.keys().into_iter().map(Guard::Absent));
        self.puts.push(row);
    }

    /// Writes a row over the one of the given version. The row's unique keys must be those it had.
    pub fn replace(&mut self, row: Row, found_version: i64) {
        self.expects.push(Guard::Version(row.key(), found_version));
        self.puts.push(row);
    }

    /// Removes the row of this key, if it still has this version.
    pub fn delete(&mut self, key: Key, found_version: i64) {
        self.expects.push(Guard::Version(key.clone(), found_version));
        self.deletes.push(key);
    }

    /// Ends the claimed job in the same commit, provided the lease is still held.
    pub fn finish(&mut self, finish: Finish) {
        self.expects.push(Guard::LeaseHeld(finish.claim.clone()));
        self.finish = Some(finish);
    }

    /// Everything but stock that this change reads or writes. Two changes of one batch must not share any.
    pub fn touches(&self) -> impl Iterator<Item = Touch<'_>> {
        let guards = self.expects.iter().map(|guard| match guard {
            Guard::Absent(key) | Guard::Version(key, _) => Touch::Row(key),
            Guard::LeaseHeld(claim) => Touch::Job(&claim.key),
        });
        guards.chain(self.deletes.iter().map(Touch::Row)).chain(self.jobs.iter().map(|job| Touch::Job(&job.key)))
    }
}

/// One thing a change reads or writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Touch<'a> {
    /// A row, by one of its keys.
    Row(&'a Key),
    /// A job.
    Job(&'a JobKey),
}
