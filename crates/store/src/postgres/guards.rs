//! Reads what the guards of a batch name, in one round trip, and locks what the batch may change.
//!
//! Locks are taken in the order rows (orders first), stock, jobs, each sorted, so that nodes wait for each other in a line
//! and never in a circle. Keys that must be absent are read after the locks, each by a statement with a snapshot of its
//! own, so that they show what the holder of a lock wrote before letting go. This file must not decide anything.

use super::keys::{Lookup, column, decode_row, is_impossible, is_impossible_job, job_arrays, key_arrays};
use super::pipeline::{Param, Step, begin_and_read};
use super::trouble::Trouble;
use crate::StoreError;
use crate::encode::Encoded;
use deadpool_postgres::ClientWrapper;
use ordermill_core::admit::{Found, FoundLease, FoundRow, StockLevel};
use ordermill_core::change::{Guard, Key, StockKey};
use ordermill_core::id::ChangeId;
use ordermill_core::job::JobKey;
use ordermill_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio_postgres::Row as SqlRow;

/// What was read for a batch.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// What [`ordermill_core::admit`] needs.
    pub(super) found: Found,
    /// The stored histories of the jobs that the batch finishes.
    pub(super) histories: HashMap<JobKey, Option<String>>,
    /// Rows that exist but cannot be read, and why: whoever names one fails alone.
    pub(super) corrupt: HashMap<Key, String>,
    /// The database's time, after all locks were taken.
    pub(super) now: Timestamp,
}

/// Locks stock levels in the order of the keys given.
const LOCK_STOCK: &str = "SELECT k.place, r.available, r.reserved \
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (sku, location, place) \
     JOIN stock r ON r.sku = k.sku AND r.location = k.location ORDER BY k.place FOR UPDATE OF r";

/// Locks jobs in the order of the keys given.
const LOCK_JOBS: &str = "SELECT k.place, r.attempt, r.lease_until, r.history \
     FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (queue, grp, seq, place) \
     JOIN jobs r ON r.queue = k.queue AND r.grp = k.grp AND r.seq = k.seq ORDER BY k.place FOR UPDATE OF r";

/// The clock itself, not the start of the transaction: locks may have been waited for since.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1::bigint";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[LOCK_STOCK, LOCK_JOBS, CLOCK];

/// What one step asks for, and with it how its answer is read.
enum Ask<'a> {
    Locked(Vec<&'a Key>),
    Whole(Lookup, Vec<&'a Key>),
    Stock(Vec<&'a StockKey>),
    Jobs(Vec<&'a JobKey>),
    Clock,
}

impl<'a> Ask<'a> {
    fn step(&self, lookup: Option<Lookup>, offset_us: i64) -> Step<'a> {
        match (self, lookup) {
            (Self::Locked(keys), Some(lookup)) => Step::new(lookup.statements().lock, key_arrays(lookup, keys)),
            (Self::Whole(lookup, keys), _) => Step::new(lookup.statements().find, key_arrays(*lookup, keys)),
            (Self::Stock(keys), _) => Step::new(LOCK_STOCK, stock_arrays(keys)),
            (Self::Jobs(keys), _) => Step::new(LOCK_JOBS, job_arrays(keys)),
            (Self::Clock | Self::Locked(_), _) => Step::new(CLOCK, vec![Box::new(offset_us)]),
        }
    }
}

/// Begins a transaction and reads in it what the changes name.
pub(super) async fn read(client: &ClientWrapper, changes: &[&Encoded], offset_us: i64) -> Result<Reads, Trouble> {
    let mut asks = Vec::new();
    let mut steps = Vec::new();
    for (lookup, ask) in asks_of(changes) {
        steps.push(ask.step(lookup, offset_us));
        asks.push(ask);
    }
    let answers = begin_and_read(client, &steps).await?;
    let mut reads = Reads::default();
    // The clock comes last but says whether a lease is live.
    if let Some(row) = answers.last().and_then(|rows| rows.first()) {
        reads.now = Timestamp::from_micros(column(row, 0)?);
    }
    for (ask, rows) in asks.iter().zip(&answers) {
        for row in rows {
            take(&mut reads, ask, row)?;
        }
    }
    Ok(reads)
}

/// Everything that must be read, in the order in which locks are taken.
fn asks_of<'a>(changes: &[&'a Encoded]) -> Vec<(Option<Lookup>, Ask<'a>)> {
    let mut locked: BTreeMap<Lookup, BTreeSet<&Key>> = BTreeMap::new();
    let mut whole: BTreeMap<Lookup, BTreeSet<&Key>> = BTreeMap::new();
    let mut stock: BTreeSet<&StockKey> = BTreeSet::new();
    let mut jobs: BTreeSet<&JobKey> = BTreeSet::new();
    for encoded in changes {
        for guard in &encoded.change.expects {
            match guard {
                Guard::Absent(key) | Guard::Version(key, _) if is_impossible(key) => {}
                Guard::Absent(key) => drop(whole.entry(Lookup::of(key)).or_default().insert(key)),
                Guard::Version(key, _) => drop(locked.entry(Lookup::of(key)).or_default().insert(key)),
                Guard::LeaseHeld(claim) if is_impossible_job(&claim.key) => {}
                Guard::LeaseHeld(claim) => drop(jobs.insert(&claim.key)),
            }
        }
        stock.extend(encoded.change.stock.iter().map(|step| &step.key));
    }
    let locked = locked.into_iter().map(|(lookup, keys)| (Some(lookup), Ask::Locked(keys.into_iter().collect())));
    let whole = whole.into_iter().map(|(lookup, keys)| (Some(lookup), Ask::Whole(lookup, keys.into_iter().collect())));
    let stock = (!stock.is_empty()).then(|| (None, Ask::Stock(stock.into_iter().collect())));
    let jobs = (!jobs.is_empty()).then(|| (None, Ask::Jobs(jobs.into_iter().collect())));
    locked.chain(stock).chain(jobs).chain(whole).chain(std::iter::once((None, Ask::Clock))).collect()
}

pub(super) fn stock_arrays<'a>(keys: &[&'a StockKey]) -> Vec<Param<'a>> {
    vec![
        Box::new(keys.iter().map(|key| key.sku.as_str()).collect::<Vec<_>>()),
        Box::new(keys.iter().map(|key| key.location.as_str()).collect::<Vec<_>>()),
    ]
}

/// Files one row of an answer.
fn take(reads: &mut Reads, ask: &Ask<'_>, row: &SqlRow) -> Result<(), Trouble> {
    match ask {
        Ask::Clock => {}
        Ask::Locked(keys) => {
            let key = at_place(keys, row)?;
            reads.found.rows.insert(key.clone(), found_row(row)?);
        }
        Ask::Whole(lookup, keys) => {
            let key = at_place(keys, row)?;
            let mut found = found_row(row)?;
            if *lookup != Lookup::DeadLetter {
                match decode_row(*lookup, &|| format!("{key:?}"), column(row, 4)?, column(row, 5)?) {
                    Ok(decoded) => found.row = decoded.map(Box::new),
                    Err(StoreError::Corrupt { why, .. }) => drop(reads.corrupt.insert((*key).clone(), why)),
                    Err(other) => return Err(other.into()),
                }
            }
            reads.found.rows.insert((*key).clone(), found);
        }
        Ask::Stock(keys) => {
            let level = StockLevel { available: column(row, 1)?, reserved: column(row, 2)? };
            reads.found.stock.insert((*at_place(keys, row)?).clone(), level);
        }
        Ask::Jobs(keys) => {
            let key = at_place(keys, row)?;
            let lease_until: Option<i64> = column(row, 2)?;
            let is_live = lease_until.is_some_and(|until| until > reads.now.micros());
            reads.found.leases.insert((*key).clone(), FoundLease { attempt: column(row, 1)?, is_live });
            reads.histories.insert((*key).clone(), column(row, 3)?);
        }
    }
    Ok(())
}

fn found_row(row: &SqlRow) -> Result<FoundRow, Trouble> {
    Ok(FoundRow {
        by: ChangeId::from_uuid(column(row, 1)?),
        version: column(row, 2)?,
        last_change: ChangeId::from_uuid(column(row, 3)?),
        row: None,
    })
}

/// The key whose place (counted from 1) stands in a row's first column.
fn at_place<'a, K>(keys: &[&'a K], row: &SqlRow) -> Result<&'a K, Trouble> {
    let place: i64 = column(row, 0)?;
    let index = usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
    keys.get(index).copied().ok_or_else(|| Trouble::Refused("the server answered for a key that was not asked for".to_owned()))
}
