//! Every stored thing as one flat value: what `fsck` checks, what the conformance suite compares, what an export writes.

use ordermill_core::admit::StockLevel;
use ordermill_core::change::{Cause, LedgerEntry, Row, StockKey};
use ordermill_core::event::Event;
use ordermill_core::id::ChangeId;
use ordermill_core::job::{DeadLetter, JobKey, Past};
use serde::Serialize;

/// What can be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Orders, by id.
    Orders,
    /// Events, by order and number.
    Events,
    /// Stock levels, by sku and location.
    Stock,
    /// Movements of goods in the house, by cause.
    StockMovements,
    /// Bookings, by cause and leg.
    Ledger,
    /// Waiting and running jobs, by key.
    Jobs,
    /// Dead letters, by key.
    DeadLetters,
    /// Providers' money objects, by provider and reference.
    Payments,
    /// Products, by id.
    Products,
    /// Accounts, by id.
    Users,
    /// Sessions, by token digest.
    Sessions,
    /// Received events, by provider and event id.
    Inbox,
    /// Idempotency rows, by key digest.
    Idempotency,
    /// Effects, by key digest.
    Effects,
    /// Paused queues, by name.
    QueuePauses,
    /// The audit trail, by id.
    Audit,
    /// Settings, by name.
    Settings,
    /// Carts, by customer.
    Carts,
    /// API keys, by id.
    ApiKeys,
    /// One-time tokens, by digest.
    OneTimeTokens,
    /// Failed log-ins, by the digest of what they are counted for.
    Throttles,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 21] = [
        Self::Orders,
        Self::Events,
        Self::Stock,
        Self::StockMovements,
        Self::Ledger,
        Self::Jobs,
        Self::DeadLetters,
        Self::Payments,
        Self::Products,
        Self::Users,
        Self::Sessions,
        Self::Inbox,
        Self::Idempotency,
        Self::Effects,
        Self::QueuePauses,
        Self::Audit,
        Self::Settings,
        Self::Carts,
        Self::ApiKeys,
        Self::OneTimeTokens,
        Self::Throttles,
    ];
}

/// One stored thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "table", content = "record", rename_all = "snake_case")]
pub enum Record {
    /// A row and who wrote it.
    Row {
        /// The row.
        row: Row,
        /// The change that created it.
        by: ChangeId,
        /// The change that last wrote it.
        last_change: ChangeId,
    },
    /// An event.
    Event(Event),
    /// A stock level.
    Stock {
        /// Which goods, where.
        key: StockKey,
        /// How many.
        level: StockLevel,
    },
    /// A movement of goods in the house.
    StockMovement {
        /// Why.
        cause: Cause,
        /// Which goods, where.
        key: StockKey,
        /// How many came in (or, negative, went out).
        on_hand_delta: i64,
    },
    /// A booking.
    Ledger(LedgerEntry),
    /// A waiting or running job. Times are left out: stores have clocks of their own.
    Job {
        /// Its identity.
        key: JobKey,
        /// What it is to do.
        payload: String,
        /// What it went through.
        past: Past,
        /// The limit of counted attempts.
        max_attempts: i32,
        /// Whether lower numbers of its group go first.
        is_ordered: bool,
        /// Whether a lease is held and has not run out.
        is_running: bool,
        /// How long it has been due, in milliseconds; negative when it is not yet.
        due_for_ms: i64,
    },
    /// A dead letter.
    DeadLetter(DeadLetter),
}
