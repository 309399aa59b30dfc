//! What a check found: about what it is, so that it can be read again, and how many of its kind are kept. This file must
//! not know any invariant's rule.

use super::Invariant;
use ordermill_core::change::{Cause, Key, StockKey};
use ordermill_core::id::OrderId;
use ordermill_core::job::JobKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many suspects of one invariant are looked at again; the rest is only counted.
const SUSPECTS_MAX: usize = 1_000;
/// How many of them may be about things that seem younger than our look at their order. On a busy store there are always
/// some, so they get a share of their own and crowd out nobody.
const YOUNG_MAX: usize = 1_000;

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// An order, its events, bookings and movements.
    Order(OrderId),
    /// A row.
    Row(Key),
    /// A job, waiting or dead.
    Job(JobKey),
    /// Goods in a place.
    Stock(StockKey),
    /// Bookings or movements that no order caused.
    Cause(Cause),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id) => write!(f, "order {id}"),
            Self::Row(key) => fmt_key(key, f),
            Self::Job(key) => write!(f, "job {key}"),
            Self::Stock(key) => write!(f, "stock {} in {}", key.sku, key.location),
            Self::Cause(cause) => f.write_str(&crate::encode::cause_text(cause)),
        }
    }
}

/// A key for people. An account is named by its id, never by its address.
fn fmt_key(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match key {
        Key::Order(id) => write!(f, "order {id}"),
        Key::OrderNumber(number) => write!(f, "order number {number}"),
        Key::Payment(provider, reference) => write!(f, "payment {} {reference}", provider.name()),
        Key::Product(id) => write!(f, "product {id}"),
        Key::Sku(sku) => write!(f, "sku {sku}"),
        Key::ProductUrl(url) => write!(f, "product page {url}"),
        Key::User(id) => write!(f, "user {id}"),
        Key::UserEmail(_) => f.write_str("user e-mail"),
        Key::Session(_) => f.write_str("session"),
        Key::Inbox(provider, event) => write!(f, "inbox {} {event}", provider.name()),
        Key::Idempotency(digest) => write!(f, "idempotency {digest}"),
        Key::Effect(digest) => write!(f, "effect {digest}"),
        Key::DeadLetter(key) => write!(f, "dead letter {key}"),
        Key::QueuePause(queue) => write!(f, "pause of {queue}"),
        Key::Audit(id) => write!(f, "audit entry {id}"),
        Key::Setting(name) => write!(f, "setting {name}"),
        Key::Cart(customer) => write!(f, "cart of {customer}"),
        Key::ApiKey(id) => write!(f, "API key {id}"),
        Key::ApiKeySecret(_) => f.write_str("API key secret"),
        Key::OneTimeToken(_) => f.write_str("one-time token"),
        Key::Throttle(_) => f.write_str("failed log-ins"),
    }
}

/// How far stock is from what it should be. While goods rest, a real difference stays the same from look to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Drift {
    /// Reserved in stock, less what orders reserve.
    pub(super) reserved: i64,
    /// On hand in stock, less the sum of movements.
    pub(super) on_hand: i64,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which invariant.
    pub(super) invariant: Invariant,
    /// What it is about.
    pub(super) subject: Subject,
    /// What is wrong; ids and amounts, no personal data.
    pub(super) what: String,
    /// Orders that must be read again to judge it, besides the subject.
    pub(super) orders: Vec<OrderId>,
    /// Whether the subject seems younger than our look at the order it belongs to.
    pub(super) is_young: bool,
    /// For stock: by how much. None when that is not to be relied on, as after the first pass.
    pub(super) drift: Option<Drift>,
}

impl Finding {
    /// A finding about a subject.
    pub(super) fn new(invariant: Invariant, subject: Subject, what: impl Into<String>) -> Self {
        Self { invariant, subject, what: what.into(), orders: Vec::new(), is_young: false, drift: None }
    }

    /// A finding about an order.
    pub(super) fn order(invariant: Invariant, order: OrderId, what: impl Into<String>) -> Self {
        Self::new(invariant, Subject::Order(order), what)
    }

    /// A finding about a row.
    pub(super) fn row(invariant: Invariant, key: Key, what: impl Into<String>) -> Self {
        Self::new(invariant, Subject::Row(key), what)
    }

    /// A finding about a job.
    pub(super) fn job(invariant: Invariant, key: &JobKey, what: impl Into<String>) -> Self {
        Self::new(invariant, Subject::Job(key.clone()), what)
    }

    /// The same, to be judged together with these orders.
    pub(super) fn with(mut self, orders: impl IntoIterator<Item = OrderId>) -> Self {
        self.orders.extend(orders);
        self
    }

    /// The same, about something that may be younger than our look at its order.
    pub(super) fn young_if(mut self, is_young: bool) -> Self {
        self.is_young = is_young;
        self
    }

    /// Every order it is about.
    pub(super) fn all_orders(&self) -> impl Iterator<Item = OrderId> {
        let own = if let Subject::Order(id) = &self.subject { Some(*id) } else { None };
        own.into_iter().chain(self.orders.iter().copied())
    }
}

/// The findings of one invariant.
#[derive(Debug, Clone, Default)]
struct Pile {
    kept: Vec<Finding>,
    young: usize,
    uncounted: u64,
}

/// Everything that was found, a limited number of each kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(BTreeMap<Invariant, Pile>);

impl Findings {
    /// Adds a finding.
    pub(super) fn add(&mut self, finding: Finding) {
        let pile = self.0.entry(finding.invariant).or_default();
        if finding.is_young {
            // What is over the limit is most likely just young; if not, the next run finds it grown up.
            if pile.young < YOUNG_MAX {
                pile.young += 1;
                pile.kept.push(finding);
            }
        } else if pile.kept.len() - pile.young < SUSPECTS_MAX {
            pile.kept.push(finding);
        } else {
            pile.uncounted += 1;
        }
    }

    /// Those that are kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Finding> {
        self.0.values().flat_map(|pile| &pile.kept)
    }

    /// How many there are of an invariant.
    pub(super) fn count(&self, invariant: Invariant) -> u64 {
        self.0.get(&invariant).map_or(0, |pile| pile.uncounted.saturating_add(pile.kept.len() as u64))
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u64 {
        Invariant::ALL.into_iter().map(|invariant| self.count(invariant)).sum()
    }

    /// Forgets by how much stock differs: the first pass reads orders and stock minutes apart.
    pub(super) fn forget_drifts(&mut self) {
        for finding in self.0.values_mut().flat_map(|pile| &mut pile.kept) {
            finding.drift = None;
        }
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// What of these still stands after another look: the other look's findings about the same subjects. The ones that
    /// were only counted are believed if any of their kind stands.
    pub(super) fn standing(&self, again: &[Finding]) -> Self {
        let mut standing = BTreeMap::new();
        for (invariant, pile) in &self.0 {
            let suspects: BTreeSet<(&Subject, Option<Drift>)> = pile.kept.iter().map(|finding| (&finding.subject, finding.drift)).collect();
            let is_suspect = |finding: &&Finding| {
                let drifts = [None, finding.drift];
                finding.invariant == *invariant && drifts.into_iter().any(|drift| suspects.contains(&(&finding.subject, drift)))
            };
            let kept: Vec<Finding> = again.iter().filter(is_suspect).cloned().collect();
            if !kept.is_empty() {
                standing.insert(*invariant, Pile { kept, young: 0, uncounted: pile.uncounted });
            }
        }
        Self(standing)
    }
}
