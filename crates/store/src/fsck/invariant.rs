//! The list of what must always hold, with the numbers of failures.md §3. This file must not check anything itself.

use crate::Table;
use serde::{Serialize, Serializer};
use std::fmt;

/// One thing that must always hold.
///
/// I0 needs a journal outside of the store; I12 and I13 join with the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// One result per Idempotency-Key.
    I1,
    /// Paid once.
    I2,
    /// Money adds up.
    I3,
    /// The row is the fold of its events.
    I4,
    /// A money object belongs to one order.
    I5,
    /// Received events come to an end.
    I6,
    /// Every effect has one outcome.
    I7,
    /// Attempts are numbered.
    I8,
    /// Only the current attempt ends a job.
    I9,
    /// Attempts end.
    I10,
    /// Completed means complete.
    I11,
    /// Nobody who must hear of an event is forgotten.
    I14,
    /// Events are numbered.
    I15,
    /// Stock adds up.
    I16,
    /// Goods leave once.
    I17,
    /// Ended orders hold no goods.
    I18,
    /// Parents exist, unique values are unique.
    I19,
    /// Nothing is stuck.
    I20,
}

impl Invariant {
    /// Every invariant, in order.
    pub const ALL: [Self; 18] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I14,
        Self::I15,
        Self::I16,
        Self::I17,
        Self::I18,
        Self::I19,
        Self::I20,
    ];

    /// Its number in failures.md.
    pub const fn id(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I10 => "I10",
            Self::I11 => "I11",
            Self::I14 => "I14",
            Self::I15 => "I15",
            Self::I16 => "I16",
            Self::I17 => "I17",
            Self::I18 => "I18",
            Self::I19 => "I19",
            Self::I20 => "I20",
        }
    }

    /// What it says, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::I1 => "every Idempotency-Key names one existing result and the request that made it",
            Self::I2 => "an order has exactly one paid event if enough money ever arrived, otherwise none",
            Self::I3 => "facts, bookings and the order's own sums agree, in one currency, and nothing is negative",
            Self::I4 => "an order's row is what its events add up to",
            Self::I5 => "every provider's money object belongs to exactly one order, and the order knows it",
            Self::I6 => "every received event reached an outcome or has a job that moves it on",
            Self::I7 => "every effect is confirmed with a reference, under review, or has a job that will settle it",
            Self::I8 => "the attempts of a job are numbered from 1 without holes, one at a time",
            Self::I9 => "only the current attempt ends a job",
            Self::I10 => "attempts end: a job past its limit is a dead letter with its history, and nowhere else",
            Self::I11 => "an order is completed once, and only when nothing of it is unfinished",
            Self::I14 => "everybody who must hear of an event has a job, a dead letter or a recorded effect",
            Self::I15 => "an order's events are numbered from 1 without holes, and the last one is its version",
            Self::I16 => "stock on hand is the sum of its movements, reserved stock the sum of reserving orders, none below zero",
            Self::I17 => "goods move once per cause, and leave the house once per order",
            Self::I18 => "no order that ended still reserves goods",
            Self::I19 => "what names an order names an existing one, and unique values have one owner",
            Self::I20 => "nothing is due for longer than promised, and no paid order waits for money",
        }
    }

    /// The tables that a second look must scan, besides the orders, events and rows that it reads by key. They stand in
    /// the order in which things live: work is queued, waits, dies, leaves an effect.
    pub(super) const fn scans(self) -> &'static [Table] {
        match self {
            Self::I3 => &[Table::Ledger],
            Self::I17 => &[Table::StockMovements],
            Self::I6 | Self::I8 | Self::I9 | Self::I10 | Self::I20 => &[Table::Jobs, Table::DeadLetters],
            Self::I7 => &[Table::Jobs, Table::DeadLetters, Table::Effects],
            Self::I14 => &[Table::Jobs, Table::DeadLetters, Table::Effects, Table::Audit],
            Self::I1 | Self::I2 | Self::I4 | Self::I5 | Self::I11 | Self::I15 | Self::I16 | Self::I18 | Self::I19 => &[],
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
