//! Which changes of a batch may be written: the one rule that memory, `SQLite` and Postgres share.
//!
//! A store reads what the guards name ([`Found`]), asks [`admit`], and writes the admitted changes in one commit. The
//! changes of one batch are disjoint on everything but stock ([`disjoint_prefix`] sees to it), so walking them in order of
//! arrival gives exactly what running them one by one would give. This file must not know how anything is read.

use crate::change::{Change, Guard, Key, Row, StockKey, Touch};
use crate::id::ChangeId;
use crate::job::{Claim, JobKey};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

/// A row that a guard named, as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRow {
    /// The change that created it.
    pub by: ChangeId,
    /// Its version.
    pub version: i64,
    /// The change that last wrote it.
    pub last_change: ChangeId,
    /// The row itself; a store may leave it out for keys that are only guarded by version.
    pub row: Option<Box<Row>>,
}

/// How many of some goods there are in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StockLevel {
    /// Free to be ordered.
    pub available: i64,
    /// Promised to orders.
    pub reserved: i64,
}

/// A job that a lease guard named, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundLease {
    /// The current attempt.
    pub attempt: i32,
    /// Whether a lease is held and has not run out.
    pub is_live: bool,
}

/// What a store read for a batch. Whatever is missing does not exist.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The rows that guards name, under every name they were asked for by.
    pub rows: HashMap<Key, FoundRow>,
    /// The stock that moves name.
    pub stock: HashMap<StockKey, StockLevel>,
    /// The jobs that lease guards name.
    pub leases: HashMap<JobKey, FoundLease>,
}

/// One guard that did not hold, and what was found instead.
#[derive(Debug, Clone, PartialEq)]
pub enum Failed {
    /// Expected absent, but a row holds the key. `by` equal to the own change id means: it was I.
    Exists {
        /// The key.
        key: Key,
        /// Who created the row.
        by: ChangeId,
        /// The row.
        row: Option<Box<Row>>,
    },
    /// Expected at another version.
    Version {
        /// The key.
        key: Key,
        /// The version found, if the row exists.
        found: Option<i64>,
        /// Who wrote it last.
        last_change: Option<ChangeId>,
    },
    /// Not enough goods.
    Stock {
        /// Which, where.
        key: StockKey,
        /// How many there were when the change's turn came.
        level: StockLevel,
    },
    /// Somebody else has the job now, or nobody: the caller is a zombie.
    Lease {
        /// The claim that no longer holds.
        claim: Claim,
    },
}

/// Every guard of a change that did not hold. The change was certainly not applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// All of them, in the change's order; never empty.
    pub failed: Vec<Failed>,
}

impl Conflict {
    /// Whether the change itself is already there: some key it wanted free is held by a row that it created.
    pub fn was_me(&self, id: ChangeId) -> bool {
        self.failed.iter().any(|failed| match failed {
            Failed::Exists { by, .. } => *by == id,
            Failed::Version { last_change, .. } => *last_change == Some(id),
            Failed::Stock { .. } | Failed::Lease { .. } => false,
        })
    }

    /// The row found under a key that was expected free.
    pub fn existing(&self, wanted: &Key) -> Option<&Row> {
        self.failed.iter().find_map(|failed| match failed {
            Failed::Exists { key, row, .. } if key == wanted => row.as_deref(),
            _ => None,
        })
    }

    /// Whether a key that was expected free is taken.
    pub fn is_taken(&self, wanted: &Key) -> bool {
        self.failed.iter().any(|failed| matches!(failed, Failed::Exists { key, .. } if key == wanted))
    }

    /// Whether the job's lease was lost.
    pub fn lost_lease(&self) -> bool {
        self.failed.iter().any(|failed| matches!(failed, Failed::Lease { .. }))
    }

    /// The goods there were not enough of.
    pub fn short_stock(&self) -> impl Iterator<Item = (&StockKey, StockLevel)> {
        self.failed.iter().filter_map(|failed| match failed {
            Failed::Stock { key, level } => Some((key, *level)),
            _ => None,
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} guard(s) did not hold:", self.failed.len())?;
        self.failed.iter().try_for_each(|failed| match failed {
            Failed::Exists { key, .. } => write!(f, " {key:?} exists;"),
            Failed::Version { key, found, .. } => write!(f, " {key:?} is at {found:?};"),
            Failed::Stock { key, level } => write!(f, " {} has {} available;", key.sku, level.available),
            Failed::Lease { claim } => write!(f, " the lease of {} is lost;", claim.key),
        })
    }
}

impl std::error::Error for Conflict {}

/// Walks the changes in order and says for each whether its guards hold, given what was found and what the changes
/// before it take from stock. The changes must be disjoint on everything but stock.
pub fn admit(changes: &[&Change], found: &Found) -> Vec<Result<(), Conflict>> {
    let mut stock = found.stock.clone();
    changes.iter().map(|change| admit_one(change, found, &mut stock)).collect()
}

fn admit_one(change: &Change, found: &Found, stock: &mut HashMap<StockKey, StockLevel>) -> Result<(), Conflict> {
    let mut failed: Vec<Failed> = change.expects.iter().filter_map(|guard| check_guard(guard, found)).collect();
    let mut after = Vec::with_capacity(change.stock.len());
    for step in &change.stock {
        let level = stock.get(&step.key).copied().unwrap_or_default();
        match moved(level, step.available_delta, step.reserved_delta) {
            Some(next) => after.push((&step.key, next)),
            None => failed.push(Failed::Stock { key: step.key.clone(), level }),
        }
    }
    if !failed.is_empty() {
        return Err(Conflict { failed });
    }
    for (key, level) in after {
        stock.insert(key.clone(), level);
    }
    Ok(())
}

fn check_guard(guard: &Guard, found: &Found) -> Option<Failed> {
    match guard {
        Guard::Absent(key) => found.rows.get(key).map(|row| Failed::Exists { key: key.clone(), by: row.by, row: row.row.clone() }),
        Guard::Version(key, version) => match found.rows.get(key) {
            Some(row) if row.version == *version => None,
            other => Some(Failed::Version {
                key: key.clone(),
                found: other.map(|row| row.version),
                last_change: other.map(|row| row.last_change),
            }),
        },
        Guard::LeaseHeld(claim) => match found.leases.get(&claim.key) {
            Some(lease) if lease.is_live && lease.attempt == claim.attempt => None,
            _ => Some(Failed::Lease { claim: claim.clone() }),
        },
    }
}

/// The level after a move; `None` when a count would fall below zero or overflow.
fn moved(level: StockLevel, available_delta: i64, reserved_delta: i64) -> Option<StockLevel> {
    let available = level.available.checked_add(available_delta).filter(|count| *count >= 0)?;
    let reserved = level.reserved.checked_add(reserved_delta).filter(|count| *count >= 0)?;
    Some(StockLevel { available, reserved })
}

/// Takes from the front of `waiting` at most `limit` changes that are disjoint on everything but stock. A change that
/// overlaps a taken one is put off to the next batch, and so is everything that overlaps a change put off, so that two
/// overlapping changes never swap places.
pub fn disjoint_prefix<T>(waiting: &mut VecDeque<T>, limit: usize, change_of: impl Fn(&T) -> &Change) -> Vec<T> {
    let mut touched = HashSet::new();
    let mut taken = Vec::new();
    let mut put_off = VecDeque::new();
    let mut looked_at = 0;
    while taken.len() < limit && looked_at < limit.saturating_mul(4) {
        let Some(next) = waiting.pop_front() else { break };
        looked_at += 1;
        let touches = all_touches(change_of(&next));
        let overlaps = touches.iter().any(|touch| touched.contains(touch));
        touched.extend(touches);
        if overlaps { put_off.push_back(next) } else { taken.push(next) }
    }
    while let Some(last) = put_off.pop_back() {
        waiting.push_front(last);
    }
    taken
}

/// What a change guards, and what it writes under other names than the guarded one: a rival that asks for the number of an
/// order gets the order itself for an answer, and must see it as it is when its turn comes.
fn all_touches(change: &Change) -> Vec<OwnedTouch> {
    let mut touches: Vec<OwnedTouch> = change.touches().map(OwnedTouch::from).collect();
    touches.extend(change.puts.iter().flat_map(Row::keys).map(OwnedTouch::Row));
    if let Some(finish) = &change.finish {
        touches.push(OwnedTouch::Row(Key::DeadLetter(finish.claim.key.clone())));
    }
    touches
}

#[derive(PartialEq, Eq, Hash)]
enum OwnedTouch {
    Row(Key),
    Job(JobKey),
}

impl From<Touch<'_>> for OwnedTouch {
    fn from(touch: Touch<'_>) -> Self {
        match touch {
            Touch::Row(key) => Self::Row(key.clone()),
            Touch::Job(key) => Self::Job(key.clone()),
        }
    }
}
