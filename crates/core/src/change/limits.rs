//! What a change may not be, whatever it says: too large for any of the stores, or unguarded. Refused as an input error
//! long before a store could choke on it. This file must not look at stored state; that is [`crate::admit`].

use super::{Change, Guard, Key, Row, Touch};
use crate::id::OrderId;
use crate::job::JobKey;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// The most lines an order may have.
pub const MAX_LINES: usize = 40;
/// The most items a change may touch: `DynamoDB` takes 100 per transaction, and the adapter needs a few itself, among them
/// the dead letter and the circuit of a job that ends.
pub const MAX_ACTIONS: usize = 90;
/// The most bytes a change may write.
pub const MAX_BYTES: usize = 320 * 1024;

/// The most bytes the texts of one key may have: a sort key of `DynamoDB` has 1024, an index row of Postgres about 2700.
pub const MAX_KEY_BYTES: usize = 1024;

/// A change that no store may take. Reaching a store with one is our own mistake, except for the limits, which a large
/// request can reach.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeFault {
    /// Too many items.
    #[error("the change touches {found} items, the limit is {MAX_ACTIONS}")]
    TooManyActions {
        /// How many it touches.
        found: usize,
    },
    /// Too many bytes.
    #[error("the change writes {found} bytes, the limit is {MAX_BYTES}")]
    TooManyBytes {
        /// How many it writes.
        found: usize,
    },
    /// A key that not every store can index.
    #[error("a key has {found} bytes, the limit is {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// A row would be written without a guard that says what was there before.
    #[error("{key:?} is written without a guard")]
    Unguarded {
        /// The row's key.
        key: Key,
    },
    /// A row's version does not follow from the guarded one.
    #[error("{key:?} has version {found}, expected {expected}")]
    WrongVersion {
        /// The row's key.
        key: Key,
        /// What the row says.
        found: i64,
        /// What follows from the guard and the events.
        expected: i64,
    },
    /// An event's number does not follow from the order's version.
    #[error("event {seq} of {order} does not fit the order's version")]
    LooseEvent {
        /// The order.
        order: OrderId,
        /// The event's number.
        seq: i64,
    },
    /// The same thing is named twice where only one is possible.
    #[error("{what} appears twice")]
    Twice {
        /// What.
        what: String,
    },
    /// A ledger amount or a stock move that says nothing.
    #[error("{what} is not positive")]
    NotPositive {
        /// What.
        what: &'static str,
    },
    /// Goods or money would move in a change that writes no guarded row: sent twice, it would move them twice.
    #[error("goods or money move without a row or a job that fences a second time")]
    Unfenced,
    /// A job is finished without its lease being guarded, or the other way round.
    #[error("a finish and its lease guard must come together")]
    LooseFinish,
}

impl Change {
    /// Checks the change against itself: every write guarded, versions and event numbers in step, limits kept.
    pub fn check(&self) -> Result<(), ChangeFault> {
        self.check_rows()?;
        self.check_events()?;
        self.check_moves()?;
        self.check_fence()?;
        self.check_finish()?;
        self.check_keys()?;
        let found = self.actions();
        if found > MAX_ACTIONS {
            return Err(ChangeFault::TooManyActions { found });
        }
        Ok(())
    }

    /// How many items the change touches, counted as `DynamoDB` would.
    pub fn actions(&self) -> usize {
        let rows_and_jobs: HashSet<_> = self.touches().collect();
        let movements: HashSet<_> = self.stock.iter().filter(|step| step.on_hand_delta() != 0).map(|step| &step.cause).collect();
        rows_and_jobs.len() + self.stock.len() + movements.len() + self.ledger.len() + self.events.len()
    }

    fn check_rows(&self) -> Result<(), ChangeFault> {
        let mut absent = HashSet::new();
        let mut versions = HashMap::new();
        for guard in &self.expects {
            let is_new = match guard {
                Guard::Absent(key) => absent.insert(key) && !versions.contains_key(key),
                Guard::Version(key, version) => versions.insert(key, *version).is_none() && !absent.contains(key),
                Guard::LeaseHeld(_) => true,
            };
            if !is_new {
                return Err(ChangeFault::Twice { what: format!("{guard:?}") });
            }
        }
        let mut written = HashSet::new();
        for row in &self.puts {
            let key = row.key();
            if !written.insert(key.clone()) {
                return Err(ChangeFault::Twice { what: format!("{key:?}") });
            }
            let base = match versions.get(&key) {
                Some(version) => *version,
                None if row.keys().iter().all(|key| absent.contains(key)) => 0,
                None => return Err(ChangeFault::Unguarded { key }),
            };
            let steps = self.steps(row);
            let expected = base.saturating_add(steps);
            // An order written without an event would keep its version and fence nobody off.
            if steps == 0 || row.version() != expected {
                return Err(ChangeFault::WrongVersion { key, found: row.version(), expected });
            }
        }
        match self.deletes.iter().find(|key| !versions.contains_key(key) || written.contains(key)) {
            Some(key) => Err(ChangeFault::Unguarded { key: key.clone() }),
            None => Ok(()),
        }
    }

    fn check_fence(&self) -> Result<(), ChangeFault> {
        let moves = !self.stock.is_empty() || !self.ledger.is_empty();
        let is_fenced = !self.puts.is_empty() || !self.deletes.is_empty() || self.finish.is_some();
        if moves && !is_fenced { Err(ChangeFault::Unfenced) } else { Ok(()) }
    }

    /// By how much a row's version moves: an order by its events, everything else by one.
    fn steps(&self, row: &Row) -> i64 {
        match row {
            Row::Order(order) => {
                let events = self.events.iter().filter(|event| event.order_id == order.id).count();
                i64::try_from(events).unwrap_or(i64::MAX)
            }
            _ => 1,
        }
    }

    fn check_events(&self) -> Result<(), ChangeFault> {
        let mut next: HashMap<OrderId, i64> = HashMap::new();
        for row in &self.puts {
            if let Row::Order(order) = row {
                next.insert(order.id, order.version.saturating_sub(self.steps(row)).saturating_add(1));
            }
        }
        for event in &self.events {
            let loose = ChangeFault::LooseEvent { order: event.order_id, seq: event.seq };
            let expected = next.get_mut(&event.order_id).ok_or(loose.clone())?;
            if event.seq != *expected {
                return Err(loose);
            }
            *expected = expected.saturating_add(1);
        }
        Ok(())
    }

    fn check_moves(&self) -> Result<(), ChangeFault> {
        let mut places = HashSet::new();
        for step in &self.stock {
            if !places.insert(&step.key) {
                return Err(ChangeFault::Twice { what: format!("stock of {}", step.key.sku) });
            }
            if step.available_delta == 0 && step.reserved_delta == 0 {
                return Err(ChangeFault::NotPositive { what: "a stock move" });
            }
        }
        let mut legs = HashSet::new();
        for entry in &self.ledger {
            if !legs.insert((&entry.cause, entry.leg)) {
                return Err(ChangeFault::Twice { what: format!("ledger leg {}", entry.leg) });
            }
            if entry.amount <= 0 || entry.debit == entry.credit {
                return Err(ChangeFault::NotPositive { what: "a ledger entry" });
            }
        }
        let mut jobs = HashSet::new();
        match self.jobs.iter().find(|job| !jobs.insert(&job.key)) {
            Some(job) => Err(ChangeFault::Twice { what: job.key.to_string() }),
            None => Ok(()),
        }
    }

    fn check_finish(&self) -> Result<(), ChangeFault> {
        let mut held = self.expects.iter().filter_map(|guard| match guard {
            Guard::LeaseHeld(claim) => Some(claim),
            Guard::Absent(_) | Guard::Version(..) => None,
        });
        match (&self.finish, held.next(), held.next()) {
            (None, _, None) => {}
            (Some(finish), Some(claim), None) if finish.claim == *claim => {}
            _ => return Err(ChangeFault::LooseFinish),
        }
        // Ending a job and queueing it anew would number its attempts from one again, and a zombie may hold one of them.
        let anew = self.finish.as_ref().and_then(|finish| self.jobs.iter().find(|job| job.key == finish.claim.key));
        anew.map_or(Ok(()), |job| Err(ChangeFault::Twice { what: job.key.to_string() }))
    }

    fn check_keys(&self) -> Result<(), ChangeFault> {
        let touched = self.touches().map(|touch| match touch {
            Touch::Row(key) => key_bytes(key),
            Touch::Job(key) => job_key_bytes(key),
        });
        let places = self.stock.iter().map(|step| step.key.sku.len() + step.key.location.len());
        match touched.chain(places).find(|bytes| *bytes > MAX_KEY_BYTES) {
            Some(found) => Err(ChangeFault::KeyTooLong { found }),
            None => Ok(()),
        }
    }
}

/// The bytes of a key's texts; ids and digests have a fixed size.
fn key_bytes(key: &Key) -> usize {
    match key {
        Key::Payment(_, text)
        | Key::Inbox(_, text)
        | Key::Sku(text)
        | Key::ProductUrl(text)
        | Key::UserEmail(text)
        | Key::QueuePause(text)
        | Key::Setting(text) => text.len(),
        Key::DeadLetter(key) => job_key_bytes(key),
        Key::Order(_)
        | Key::OrderNumber(_)
        | Key::Product(_)
        | Key::User(_)
        | Key::Session(_)
        | Key::Idempotency(_)
        | Key::Effect(_)
        | Key::Audit(_)
        | Key::Cart(_)
        | Key::ApiKey(_)
        | Key::ApiKeySecret(_)
        | Key::OneTimeToken(_)
        | Key::Throttle(_) => 0,
    }
}

const fn job_key_bytes(key: &JobKey) -> usize {
    key.queue.len() + key.group.len()
}
