//! Where ordermill keeps things: one trait, several stores that cannot be told apart.
//!
//! A [`Store`] reads in a dozen ways and writes in one: [`Store::commit`] makes a whole [`Change`] true or nothing of it.
//! [`memory`] is the reference model; `sqlite` is embedded; `postgres` is shared by many nodes. All three admit changes by
//! the same pure [`ordermill_core::admit`], and all three pass the same suite (`conformance`). This crate must not decide
//! anything about orders, and only [`open`] may name a backend.

pub mod clock;
#[cfg(feature = "test-support")]
pub mod conformance;
pub mod dynamo;
mod encode;
pub mod failpoint;
#[cfg(feature = "test-support")]
pub mod faulty;
pub mod fsck;
pub mod memory;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod query;
mod record;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use open::{Inspection, OpenError, inspect, open};
pub use query::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, DeadLetterQuery, Health, InboxQuery, JobInfo, JobQuery, OrderQuery, OrderRef,
    Page, QueueInfo, Sequence, Stored, SweepReport,
};
pub use record::{Record, Table};

use async_trait::async_trait;
use ordermill_core::account::{Session, User};
use ordermill_core::admit::{Conflict, StockLevel};
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::{AuditEntry, Change, ChangeFault, Key};
use ordermill_core::digest::Digest;
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{Claim, DeadLetter, Job};
use ordermill_core::order::Order;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// A place that keeps everything. All methods may be called from many tasks at once.
///
/// No method takes the time: a store owns its clock (Postgres: the database's) and delays are relative, so a node whose
/// clock jumps cannot run a job twice (F43).
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes a change true, whole, durably, and once; or says why not. See [`CommitError`] for what each answer means.
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError>;

    /// One order.
    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError>;
    /// Orders, newest first.
    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError>;
    /// An order's events after a number, oldest first, at most `limit`.
    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError>;
    /// One row by any of its keys.
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError>;
    /// A session and its account in one read, unless the session has ended by the store's clock.
    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError>;
    /// All products, or `None` when they are still those of `seen`.
    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError>;
    /// The stock of these skus in all places together, in the same order; zero for unknown ones.
    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError>;
    /// Accounts, newest first.
    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError>;
    /// API keys, newest first, those that were taken back among them.
    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError>;
    /// The audit trail, latest act first.
    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError>;
    /// Received events, newest first.
    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError>;

    /// Claims jobs that are due: raises each one's attempt, records a lost lease as a counted failure, and leases it to
    /// `worker`. Jobs of paused queues and open circuits stay, and so do ordered jobs with a lower number before them.
    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError>;
    /// Extends leases that are still held; says for each claim whether it was.
    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError>;
    /// Waiting and running jobs, in the order they become due.
    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError>;
    /// Every queue that has jobs, dead letters, a pause or a circuit.
    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError>;
    /// Dead letters, latest death first.
    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError>;
    /// Waits until one of the queues may have work, at most this long. A hint only: polling is the truth.
    async fn wait(&self, queues: &[&str], timeout: Duration);

    /// Unpaid orders whose time has run out by the store's clock, longest first.
    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError>;
    /// Reserves a block of numbers that nobody else will get. Gaps are normal.
    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError>;
    /// Moves jobs whose lease ran out at their last attempt to the dead letters and prunes what has served its time, in
    /// slices that let writers through.
    async fn sweep(&self) -> Result<SweepReport, StoreError>;

    /// Everything of one table in the order of its keys, from after `cursor`; for `fsck` and export.
    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError>;
    /// Whether the store answers, and whether its schema is the one this binary knows.
    async fn health(&self) -> Result<Health, StoreError>;
    /// Brings the schema up to date; returns the names of the migrations that ran.
    async fn migrate(&self) -> Result<Vec<String>, StoreError>;
    /// What this store can and cannot do.
    fn capabilities(&self) -> Capabilities;
    /// Why the store must not be written to any more in this process (a disk that cannot sync): the process should stop
    /// and let a fresh one recover.
    fn failure(&self) -> Option<String> {
        None
    }
    /// Finishes what was accepted and lets go of files and connections. Later calls are `Unavailable`.
    async fn close(&self);
}

/// Why a read, or a write other than a commit, did not happen.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// Certainly not applied; try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A stored row cannot be read: stop and tell a person.
    #[error("{key} is corrupt: {why}")]
    Corrupt {
        /// Which row.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// This store cannot do that; see [`Capabilities`].
    #[error("this store cannot {0}")]
    Unsupported(&'static str),
    /// The caller sent something no store can take, such as a cursor it did not get from here.
    #[error("{0}")]
    Invalid(String),
}

/// Why a commit did not report success. Each answer says whether the change was applied.
#[derive(Debug, Clone, Error)]
pub enum CommitError {
    /// Certainly not applied: guards did not hold.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Certainly not applied; try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// May have been applied, and the store cannot be asked now. Trying the same change again tells.
    #[error("it is unknown whether the store applied the change: {0}")]
    Unknown(String),
    /// Certainly not applied: no store may take such a change.
    #[error(transparent)]
    Fault(#[from] ChangeFault),
    /// Certainly not applied: a row that the change needs cannot be read.
    #[error("{key} is corrupt: {why}")]
    Corrupt {
        /// Which row.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl From<StoreError> for CommitError {
    /// For errors met before anything was written.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { key, why } => Self::Corrupt { key, why },
            StoreError::Unavailable(why) => Self::Unavailable(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
