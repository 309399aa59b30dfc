//! Checks what must always hold (failures.md §3) on everything a store keeps: `ordermill fsck`, the timer in production,
//! the end of every crash test.
//!
//! Each invariant is written once, over records: [`check`] judges a [`Snapshot`] in memory and is pure; [`run`] feeds the
//! same rules from [`Store::scan`], page by page, in memory that a million orders do not fill, and looks again at
//! everything that seemed wrong before it counts, because a scan of a store that goes on working is not one moment
//! (`confirm`). Nothing here writes, repairs, or knows a backend.

mod checker;
mod confirm;
mod dossier;
mod finding;
mod goods;
mod invariant;
mod money;
mod owners;
mod promised;
mod replay;
mod roster;
mod snapshot;
mod timeline;
mod work;

pub use invariant::Invariant;
pub use replay::{Expected, Placed, replay};
pub use snapshot::Snapshot;

use crate::{Store, StoreError, Table};
use checker::{Checker, Outcome};
use finding::Findings;
use ordermill_core::route::Routing;
use ordermill_core::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many records a page has.
const PAGE: usize = 1_000;
/// How many violations of one invariant a report keeps; all are counted.
pub const VIOLATIONS_MAX: usize = 100;

/// What the running system promises, as far as it can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// A job that is due is claimed within this time, unless its queue is paused or its circuit is open (I20).
    pub due_within_ms: i64,
    /// A job whose attempts are used up becomes a dead letter within this time after it was due (I10).
    pub buried_within_ms: i64,
    /// Which consumers this installation has (I14).
    pub routing: Routing,
    /// Since when it has them: older events caused no jobs for them.
    pub routed_since: Timestamp,
}

impl Default for Promises {
    fn default() -> Self {
        const QUARTER_MS: i64 = 15 * 60 * 1_000;
        Self {
            due_within_ms: QUARTER_MS,
            buried_within_ms: QUARTER_MS,
            routing: Routing::default(),
            routed_since: Timestamp::from_micros(i64::MIN),
        }
    }
}

/// What a check is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The first pass over everything.
    Reading,
    /// Another look at what seemed wrong.
    LookingAgain,
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// The table it reads.
    pub table: Table,
    /// How many of the table's records it has read.
    pub records: u64,
}

/// Something that must hold and does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant's number, such as `I2`.
    pub invariant: &'static str,
    /// What it is about.
    pub subject: String,
    /// What is wrong, in ids and amounts.
    pub what: String,
}

/// One invariant's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvariantReport {
    /// Its number, such as `I2`.
    pub id: &'static str,
    /// What it says, in one line.
    pub meaning: &'static str,
    /// How many violations there are, whether kept or not.
    pub violations: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many records of each table were read.
    pub checked: BTreeMap<Table, u64>,
    /// The violations, at most [`VIOLATIONS_MAX`] of each invariant.
    pub violations: Vec<Violation>,
    /// Every invariant that was checked.
    pub invariants: Vec<InvariantReport>,
    /// How many suspicions of the first pass did not stand, because the store went on working.
    pub dismissed: u64,
}

impl Report {
    /// Whether everything holds.
    pub fn is_clean(&self) -> bool {
        self.invariants.iter().all(|invariant| invariant.violations == 0)
    }

    fn of(checked: BTreeMap<Table, u64>, findings: &Findings, dismissed: u64) -> Self {
        let mut violations = Vec::new();
        for invariant in Invariant::ALL {
            let kept = findings.kept().filter(|finding| finding.invariant == invariant).take(VIOLATIONS_MAX);
            violations.extend(kept.map(|finding| Violation {
                invariant: invariant.id(),
                subject: finding.subject.to_string(),
                what: finding.what.clone(),
            }));
        }
        let invariants = Invariant::ALL.map(|invariant| InvariantReport {
            id: invariant.id(),
            meaning: invariant.meaning(),
            violations: findings.count(invariant),
        });
        Self { checked, violations, invariants: invariants.into(), dismissed }
    }
}

/// Checks a store by the default promises. Read-only, and safe while the store goes on working.
pub async fn run(store: &dyn Store, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Report, StoreError> {
    run_with(store, &Promises::default(), progress).await
}

/// Checks a store.
pub async fn run_with(store: &dyn Store, promises: &Promises, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Report, StoreError> {
    let Outcome { checked, findings } = first_pass(store, promises, progress).await?;
    let suspected = findings.total();
    let standing = confirm::confirm(store, promises, findings, progress).await?;
    let dismissed = suspected.saturating_sub(standing.total());
    Ok(Report::of(checked, &standing, dismissed))
}

/// Checks records in memory, as they are: nothing can be looked at again.
pub fn check(snapshot: &Snapshot, promises: &Promises) -> Result<Report, StoreError> {
    let Outcome { checked, findings } = checker::judge(snapshot, promises)?;
    Ok(Report::of(checked, &findings, 0))
}

/// Reads every table once.
async fn first_pass(store: &dyn Store, promises: &Promises, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Outcome, StoreError> {
    let mut checker = Checker::new(promises, held_queues(store).await?);
    let mut cursors: BTreeMap<Table, String> = BTreeMap::new();
    while let Some(table) = checker.wants() {
        let page = store.scan(table, cursors.get(&table).map(String::as_str), PAGE).await?;
        let is_last = page.cursor.is_none();
        cursors.extend(page.cursor.map(|cursor| (table, cursor)));
        checker.feed(table, page.rows, is_last)?;
        progress(Progress { stage: Stage::Reading, table, records: checker.seen(table) });
    }
    Ok(checker.finish())
}

/// Queues whose jobs may be late, because people or their provider hold them up.
async fn held_queues(store: &dyn Store) -> Result<BTreeSet<String>, StoreError> {
    let queues = store.queues().await?;
    Ok(queues.into_iter().filter(|queue| queue.is_paused || queue.circuit_open_ms > 0).map(|queue| queue.queue).collect())
}

/// A table whose records do not come in the order of their keys: joining them would find faults that are none.
struct Disorder {
    table: Table,
    what: String,
}

impl From<Disorder> for StoreError {
    fn from(disorder: Disorder) -> Self {
        let Disorder { table, what } = disorder;
        Self::Corrupt { key: format!("{table:?}"), why: format!("{what} comes after a greater key") }
    }
}
