//! How a change becomes one `DynamoDB` transaction, as a pure plan that keeps every change expressible there, long before
//! there is an adapter. `encode` asks for the plan of every change that any test commits to any store.
//!
//! One action per item, no arithmetic in conditions, at most 92 actions (90 of the change, 2 of the job it ends), 320 KiB in all and 400 KB per item. Each unique
//! value is an item of its own that names its row. This file must not call anything or read a clock.

use crate::encode::cause_text;
use ordermill_core::change::{Change, Guard, Key, LedgerEntry, MAX_ACTIONS, MAX_BYTES, Row, StockMove};
use ordermill_core::event::Event;
use ordermill_core::job::{CircuitMove, Finish, JobKey, NewJob, Outcome};
use std::collections::BTreeMap;
use thiserror::Error;

/// The most actions a transaction may have: those that core counts, and the dead letter and circuit of a job that ends.
/// `DynamoDB` itself takes 100.
pub const MAX_TRANSACTION: usize = MAX_ACTIONS + 2;
/// The most bytes an item may have.
pub const MAX_ITEM_BYTES: usize = 400_000;
/// The most bytes a partition key may have.
const MAX_PARTITION_BYTES: usize = 2_048;

/// Where an item lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The table.
    pub table: &'static str,
    /// The partition key.
    pub partition: String,
    /// The sort key; empty where the partition has one item only.
    pub sort: String,
}

impl ItemKey {
    const fn new(table: &'static str, partition: String) -> Self {
        Self { table, partition, sort: String::new() }
    }

    /// The item of a row or of one of its other unique values.
    fn of_key(key: &Key) -> Self {
        match key {
            Key::Order(id) => Self::new("orders", id.to_string()),
            Key::OrderNumber(number) => Self::new("order_numbers", number.to_string()),
            Key::Payment(provider, reference) => Self::new("payments", format!("{}:{reference}", provider.name())),
            Key::Product(id) => Self::new("products", id.to_string()),
            Key::Sku(sku) => Self::new("skus", text(sku)),
            Key::ProductUrl(url) => Self::new("product_urls", text(url)),
            Key::User(id) => Self::new("users", id.to_string()),
            Key::UserEmail(email) => Self::new("user_emails", text(email)),
            Key::Session(token) => Self::new("sessions", token.to_string()),
            Key::Inbox(provider, event) => Self::new("inbox", format!("{}:{event}", provider.name())),
            Key::Idempotency(digest) => Self::new("idempotency", digest.to_string()),
            Key::Effect(digest) => Self::new("effects", digest.to_string()),
            Key::DeadLetter(job) => Self::new("dead_letters", job_text(job)),
            Key::QueuePause(queue) => Self::new("queue_pauses", text(queue)),
            Key::Audit(id) => Self::new("audit", id.to_string()),
            Key::Setting(name) => Self::new("settings", text(name)),
            Key::Cart(customer) => Self::new("carts", customer.to_string()),
            Key::ApiKey(id) => Self::new("api_keys", id.to_string()),
            Key::ApiKeySecret(digest) => Self::new("api_key_secrets", digest.to_string()),
            Key::OneTimeToken(token) => Self::new("one_time_tokens", token.to_string()),
            Key::Throttle(scope) => Self::new("throttles", scope.to_string()),
        }
    }

    fn of_job(key: &JobKey) -> Self {
        Self::new("jobs", job_text(key))
    }
}

/// A text as a key, which must not be empty.
fn text(text: &str) -> String {
    format!("={text}")
}

/// A job's key as text that no other job's key has; the shown form is ambiguous when a queue's name has a colon.
fn job_text(key: &JobKey) -> String {
    format!("{}:{key}", key.queue.len())
}

/// One of the at most 92 parts of the transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Action<'a> {
    /// The item; no other action of the transaction names it.
    pub item: ItemKey,
    /// What happens to it.
    pub operation: Operation<'a>,
    /// What must hold for it.
    pub condition: Option<Condition>,
}

/// What happens to an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation<'a> {
    /// It is written whole.
    Put(Item<'a>),
    /// Some of its attributes are written, the others stay.
    Update(Update<'a>),
    /// It is removed.
    Delete,
    /// Nothing; only its condition matters.
    Check,
}

/// An item written whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// A new row, with the change as its creator.
    Row(&'a Row),
    /// A unique value of a new row: the name of the row, and the change as its creator.
    Unique(&'a Row),
    /// An event.
    Event(&'a Event),
    /// The movements of goods in the house that have one cause: one item, so that a paid order of many lines fits.
    Movements(Vec<&'a StockMove>),
    /// A booking.
    Ledger(&'a LedgerEntry),
    /// A job that gives up. What else it went through was read before; the condition on the job keeps it true.
    DeadLetter(&'a Finish),
    /// The time until which a queue's circuit stays open, counted from the adapter's reading of the clock.
    Circuit {
        /// How long.
        for_ms: i64,
    },
}

/// Attributes written over an item that may exist.
#[derive(Debug, Clone, PartialEq)]
pub enum Update<'a> {
    /// `SET` body, version and last change; the creator stays.
    Replace(&'a Row),
    /// `ADD available :d, reserved :r`; a missing item counts as zero.
    AddStock(&'a StockMove),
    /// `SET` every attribute `if_not_exists`: a job that is there already stays as it is.
    QueueIfAbsent(&'a NewJob),
    /// `SET` history and due time, `REMOVE` the lease.
    Reschedule(&'a Finish),
}

/// What must hold for an item. `DynamoDB` compares attributes with constants and with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `attribute_not_exists`.
    Absent,
    /// `version = :n`.
    Version(i64),
    /// `attempt = :n AND lease > :now`, now by the adapter's reading of the clock.
    Lease {
        /// The attempt.
        attempt: i32,
    },
    /// `available >= :k AND reserved >= :m`; what is not taken from is not compared.
    AtLeast {
        /// The least that must be available.
        available: Option<i64>,
        /// The least that must be reserved.
        reserved: Option<i64>,
    },
}

/// Why a change cannot be one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Inexpressible {
    /// Two parts of the change would write one item.
    #[error("{0:?} is written twice")]
    TwoWrites(ItemKey),
    /// Two parts of the change ask different things of one item.
    #[error("{0:?} has two conditions")]
    TwoConditions(ItemKey),
    /// The item of a unique value has no version; only its row has one.
    #[error("{0:?} is a unique value and has no version")]
    VersionOfUniqueValue(Key),
    /// The items of the row's other unique values would stay behind, because a delete does not name them.
    #[error("deleting {0:?} would leave its other unique values taken")]
    HiddenUniqueValues(Key),
    /// More actions than a transaction takes.
    #[error("{0} actions, the limit is {MAX_TRANSACTION}")]
    TooManyActions(usize),
    /// A larger item than there may be.
    #[error("{item:?} has {bytes} bytes, the limit is {MAX_ITEM_BYTES}")]
    ItemTooLarge {
        /// The item.
        item: ItemKey,
        /// Its bytes.
        bytes: usize,
    },
    /// A longer key than there may be.
    #[error("the key of {0:?} is too long")]
    KeyTooLong(ItemKey),
    /// More bytes than a change may write.
    #[error("{0} bytes, the limit is {MAX_BYTES}")]
    TooManyBytes(usize),
}

/// The one transaction that a checked change is.
pub fn dynamo_plan(change: &Change) -> Result<Vec<Action<'_>>, Inexpressible> {
    let mut plan = Plan::default();
    plan.add_guards(change)?;
    plan.add_rows(change)?;
    plan.add_goods_and_money(change)?;
    for event in &change.events {
        let item = ItemKey { table: "events", partition: event.order_id.to_string(), sort: format!("{:019}", event.seq) };
        plan.require(item.clone(), Condition::Absent)?;
        plan.write(item, Operation::Put(Item::Event(event)))?;
    }
    for job in &change.jobs {
        plan.write(ItemKey::of_job(&job.key), Operation::Update(Update::QueueIfAbsent(job)))?;
    }
    if let Some(finish) = &change.finish {
        plan.add_finish(finish)?;
    }
    plan.within_limits()
}

/// What a plan knows of one item so far.
#[derive(Debug, Default)]
struct Slot<'a> {
    operation: Option<Operation<'a>>,
    condition: Option<Condition>,
}

#[derive(Debug, Default)]
struct Plan<'a> {
    slots: BTreeMap<ItemKey, Slot<'a>>,
}

impl<'a> Plan<'a> {
    fn require(&mut self, item: ItemKey, condition: Condition) -> Result<(), Inexpressible> {
        let slot = self.slots.entry(item.clone()).or_default();
        match slot.condition.replace(condition) {
            Some(earlier) if earlier != condition => Err(Inexpressible::TwoConditions(item)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, item: ItemKey, operation: Operation<'a>) -> Result<(), Inexpressible> {
        let slot = self.slots.entry(item.clone()).or_default();
        match slot.operation.replace(operation) {
            Some(_) => Err(Inexpressible::TwoWrites(item)),
            None => Ok(()),
        }
    }

    fn add_guards(&mut self, change: &'a Change) -> Result<(), Inexpressible> {
        change.expects.iter().try_for_each(|guard| match guard {
            Guard::Absent(key) => self.require(ItemKey::of_key(key), Condition::Absent),
            Guard::Version(key, _) if is_unique_value(key) => Err(Inexpressible::VersionOfUniqueValue(key.clone())),
            Guard::Version(key, version) => self.require(ItemKey::of_key(key), Condition::Version(*version)),
            Guard::LeaseHeld(claim) => self.require(ItemKey::of_job(&claim.key), Condition::Lease { attempt: claim.attempt }),
        })
    }

    fn add_rows(&mut self, change: &'a Change) -> Result<(), Inexpressible> {
        for row in &change.puts {
            let key = row.key();
            let item = ItemKey::of_key(&key);
            let replaces = change.expects.iter().any(|guard| matches!(guard, Guard::Version(guarded, _) if *guarded == key));
            if replaces {
                // Its unique values are those it had: their items stay as they are.
                self.write(item, Operation::Update(Update::Replace(row)))?;
                continue;
            }
            self.write(item, Operation::Put(Item::Row(row)))?;
            for unique in row.keys().iter().skip(1) {
                self.write(ItemKey::of_key(unique), Operation::Put(Item::Unique(row)))?;
            }
        }
        change.deletes.iter().try_for_each(|key| match key {
            Key::Order(_) | Key::Product(_) | Key::User(_) | Key::ApiKey(_) => Err(Inexpressible::HiddenUniqueValues(key.clone())),
            _ => self.write(ItemKey::of_key(key), Operation::Delete),
        })
    }

    fn add_goods_and_money(&mut self, change: &'a Change) -> Result<(), Inexpressible> {
        let mut movements: BTreeMap<String, Vec<&StockMove>> = BTreeMap::new();
        for step in &change.stock {
            let place = ItemKey { table: "stock", partition: text(&step.key.sku), sort: text(&step.key.location) };
            let taken = |delta: i64| (delta < 0).then(|| delta.saturating_neg());
            let (available, reserved) = (taken(step.available_delta), taken(step.reserved_delta));
            if available.is_some() || reserved.is_some() {
                self.require(place.clone(), Condition::AtLeast { available, reserved })?;
            }
            self.write(place, Operation::Update(Update::AddStock(step)))?;
            if step.on_hand_delta() != 0 {
                movements.entry(cause_text(&step.cause)).or_default().push(step);
            }
        }
        for (cause, steps) in movements {
            self.write(ItemKey::new("stock_movements", cause), Operation::Put(Item::Movements(steps)))?;
        }
        change.ledger.iter().try_for_each(|entry| {
            let item = ItemKey { table: "ledger", partition: cause_text(&entry.cause), sort: format!("{:010}", entry.leg) };
            self.write(item, Operation::Put(Item::Ledger(entry)))
        })
    }

    fn add_finish(&mut self, finish: &'a Finish) -> Result<(), Inexpressible> {
        let key = &finish.claim.key;
        let ending = match finish.outcome {
            Outcome::Done | Outcome::Dead { .. } => Operation::Delete,
            Outcome::Retry { .. } => Operation::Update(Update::Reschedule(finish)),
        };
        self.write(ItemKey::of_job(key), ending)?;
        if matches!(finish.outcome, Outcome::Dead { .. }) {
            self.write(ItemKey::of_key(&Key::DeadLetter(key.clone())), Operation::Put(Item::DeadLetter(finish)))?;
        }
        let circuit = ItemKey::new("circuits", text(&key.queue));
        match finish.circuit {
            CircuitMove::Keep => Ok(()),
            CircuitMove::Open { for_ms } => self.write(circuit, Operation::Put(Item::Circuit { for_ms })),
            CircuitMove::Close => self.write(circuit, Operation::Delete),
        }
    }

    fn within_limits(self) -> Result<Vec<Action<'a>>, Inexpressible> {
        if self.slots.len() > MAX_TRANSACTION {
            return Err(Inexpressible::TooManyActions(self.slots.len()));
        }
        let mut total = 0_usize;
        let mut actions = Vec::with_capacity(self.slots.len());
        for (item, slot) in self.slots {
            let operation = slot.operation.unwrap_or(Operation::Check);
            let content = operation.content_bytes();
            let bytes = content.saturating_add(item.partition.len()).saturating_add(item.sort.len());
            if bytes > MAX_ITEM_BYTES {
                return Err(Inexpressible::ItemTooLarge { item, bytes });
            }
            if item.partition.len() > MAX_PARTITION_BYTES {
                return Err(Inexpressible::KeyTooLong(item));
            }
            total = total.saturating_add(content);
            actions.push(Action { item, operation, condition: slot.condition });
        }
        if total > MAX_BYTES { Err(Inexpressible::TooManyBytes(total)) } else { Ok(actions) }
    }
}

impl Operation<'_> {
    /// The bytes it writes beside keys and numbers, counted as [`crate::encode`] counts them.
    fn content_bytes(&self) -> usize {
        match self {
            Self::Put(Item::Row(row)) | Self::Update(Update::Replace(row)) => {
                crate::encode::row_body(row).map_or(usize::MAX, |body| body.len())
            }
            Self::Put(Item::Event(event)) => event.data.to_string().len(),
            Self::Update(Update::QueueIfAbsent(job)) => job.payload.len(),
            Self::Update(Update::Reschedule(finish)) | Self::Put(Item::DeadLetter(finish)) => match &finish.outcome {
                Outcome::Retry { why, .. } | Outcome::Dead { why } => why.len(),
                Outcome::Done => 0,
            },
            Self::Put(Item::Unique(_) | Item::Movements(_) | Item::Ledger(_) | Item::Circuit { .. })
            | Self::Update(Update::AddStock(_))
            | Self::Delete
            | Self::Check => 0,
        }
    }
}

/// Whether the key is one of a row's other unique values, not the one the row is written under.
const fn is_unique_value(key: &Key) -> bool {
    matches!(key, Key::OrderNumber(_) | Key::Sku(_) | Key::ProductUrl(_) | Key::UserEmail(_) | Key::ApiKeySecret(_))
}

#[cfg(test)]
mod tests;
