//! A store that fails on demand: what a broken network, a restarted database and an ambiguous COMMIT look like from the
//! caller's side (F19, F33, F35). It also counts, so that a test can hold the hot path to its budget.
//!
//! Faults come from a script, from odds under a seed, or not at all. This file must not draw randomness of its own, and
//! it must not break the promise of the answers it gives: `Unavailable` is never applied, `Unknown` may be either.

use crate::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, CommitError, DeadLetterQuery, Health, InboxQuery, JobInfo, JobQuery, OrderQuery,
    OrderRef, Page, QueueInfo, Record, Sequence, Store, StoreError, Stored, SweepReport, Table,
};
use async_trait::async_trait;
use ordermill_core::account::{Session, User};
use ordermill_core::admit::{Conflict, Failed, StockLevel};
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::{AuditEntry, Change, Guard, Key};
use ordermill_core::digest::Digest;
use ordermill_core::event::Event;
use ordermill_core::id::{ChangeId, OrderId};
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{Claim, DeadLetter, Job};
use ordermill_core::order::Order;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

macro_rules! verbs {
    ($($variant:ident = $name:literal,)*) => {
        /// A verb of a store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the methods of `Store` are documented there")]
        pub enum Verb {
            $($variant,)*
        }

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the method.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

verbs! {
    Commit = "commit",
    Order = "order",
    Orders = "orders",
    Events = "events",
    Get = "get",
    Session = "session",
    Catalogue = "catalogue",
    Stock = "stock",
    Users = "users",
    ApiKeys = "api_keys",
    Audit = "audit",
    Inbox = "inbox",
    Claim = "claim",
    Extend = "extend",
    Jobs = "jobs",
    Queues = "queues",
    DeadLetters = "dead_letters",
    Wait = "wait",
    DueOrders = "due_orders",
    Numbers = "numbers",
    Sweep = "sweep",
    Scan = "scan",
    Health = "health",
    Migrate = "migrate",
}

impl Verb {
    /// Whether the verb only looks at rows (waiting looks at nothing).
    pub const fn is_read(self) -> bool {
        !matches!(self, Self::Commit | Self::Claim | Self::Extend | Self::Numbers | Self::Sweep | Self::Migrate | Self::Wait)
    }
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A commit is refused as if somebody had been faster; deciding again from what is there succeeds. Only for changes
    /// that guard a version: a key that nobody took cannot be said to be taken. Others go through.
    Conflict,
    /// Nothing is done, and the answer says so.
    Unavailable,
    /// A commit is not done, and the answer says that it may have been.
    UnknownLost,
    /// The call is done, and its answer is lost: `Unknown` for a commit, `Unavailable` for everything else, as a driver
    /// would report it that cannot tell. The one fault that answers `Unavailable` for something done: a claim is leased to
    /// nobody then, a block of numbers is a gap, a sweep has swept.
    AnswerLost,
    /// The call takes its time first.
    Delay(Duration),
}

/// How often calls go wrong by themselves, in parts of a thousand. A commit meets all of them, other verbs only
/// `unavailable` and `delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Odds {
    /// Of [`Fault::Conflict`].
    pub conflict: u32,
    /// Of [`Fault::Unavailable`].
    pub unavailable: u32,
    /// Of [`Fault::UnknownLost`].
    pub unknown_lost: u32,
    /// Of [`Fault::AnswerLost`].
    pub answer_lost: u32,
    /// Of [`Fault::Delay`].
    pub delay: u32,
    /// The longest delay.
    pub delay_max: Duration,
}

/// How often each verb was called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls(BTreeMap<Verb, u64>);

impl Calls {
    /// Calls of one verb.
    pub fn of(&self, verb: Verb) -> u64 {
        self.0.get(&verb).copied().unwrap_or(0)
    }

    /// Calls of verbs that only look.
    pub fn reads(&self) -> u64 {
        self.0.iter().filter(|(verb, _)| verb.is_read()).map(|(_, count)| count).sum()
    }

    /// Commits.
    pub fn commits(&self) -> u64 {
        self.of(Verb::Commit)
    }

    /// What was called between an earlier snapshot and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let later = self.0.iter().map(|(verb, count)| (*verb, count.saturating_sub(earlier.of(*verb))));
        Self(later.filter(|(_, count)| *count > 0).collect())
    }
}

#[derive(Debug)]
struct State {
    scripts: BTreeMap<Verb, VecDeque<Option<Fault>>>,
    odds: Odds,
    draws: u64,
    calls: Calls,
    injected: BTreeMap<(Verb, &'static str), u64>,
    conflicts: u64,
}

/// A store around another store.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

impl FaultyStore {
    /// Around this store; everything goes well until a script or odds say otherwise.
    pub fn new(inner: Arc<dyn Store>, seed: u64) -> Self {
        let (scripts, injected) = (BTreeMap::new(), BTreeMap::new());
        let state = State { scripts, odds: Odds::default(), draws: seed, calls: Calls::default(), injected, conflicts: 0 };
        Self { inner, state: Mutex::new(state) }
    }

    /// From now on calls go wrong by themselves this often.
    pub fn set_odds(&self, odds: Odds) {
        self.state().odds = odds;
    }

    /// The next calls of the verb, beyond those that have a script already, go like this; `None` goes well.
    pub fn script(&self, verb: Verb, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state().scripts.entry(verb).or_default().extend(faults);
    }

    /// The next call of the verb goes wrong like this.
    pub fn fail_next(&self, verb: Verb, fault: Fault) {
        self.script(verb, [Some(fault)]);
    }

    /// From now on everything goes well.
    pub fn heal(&self) {
        let mut state = self.state();
        state.scripts.clear();
        state.odds = Odds::default();
    }

    /// How often each verb was called so far.
    pub fn calls(&self) -> Calls {
        self.state().calls.clone()
    }

    /// How many calls went wrong so far, in whatever way.
    pub fn injected(&self) -> u64 {
        self.state().injected.values().sum()
    }

    /// How many calls of a verb went wrong in this way; the length of a delay does not matter.
    pub fn injected_of(&self, verb: Verb, fault: Fault) -> u64 {
        self.state().injected.get(&(verb, name(fault))).copied().unwrap_or(0)
    }

    /// How many commits lost against a rival so far: really, not by injection. Whoever lost had decided on what the rival
    /// was about to change, so the two overlapped.
    pub fn conflicts(&self) -> u64 {
        self.state().conflicts
    }

    /// Commits to the store itself.
    async fn pass_on(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        let answer = self.inner.commit(change).await;
        if matches!(answer, Err(CommitError::Conflict(_))) {
            self.state().conflicts += 1;
        }
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and decides what goes wrong with it. `allows` says which faults the call can have.
    fn next(&self, verb: Verb, allows: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut state = self.state();
        *state.calls.0.entry(verb).or_default() += 1;
        let scripted = state.scripts.get_mut(&verb).and_then(VecDeque::pop_front);
        let fault = match scripted {
            Some(scripted) => scripted,
            None => state.draw(),
        };
        let fault = fault.filter(|fault| allows(*fault))?;
        *state.injected.entry((verb, name(fault))).or_default() += 1;
        Some(fault)
    }

    /// What happens before any verb but `commit`. `true` if the answer is to be lost.
    async fn before(&self, verb: Verb) -> Result<bool, StoreError> {
        match self.next(verb, |fault| !matches!(fault, Fault::Conflict | Fault::UnknownLost)) {
            Some(Fault::Unavailable) => Err(StoreError::Unavailable("injected".to_owned())),
            Some(Fault::AnswerLost) => Ok(true),
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(false)
            }
            Some(Fault::Conflict | Fault::UnknownLost) | None => Ok(false),
        }
    }
}

impl State {
    /// What goes wrong by itself this time.
    fn draw(&mut self) -> Option<Fault> {
        let odds = self.odds;
        if odds == Odds::default() {
            return None;
        }
        let mut roll = self.number() % 1_000;
        let share = self.number() % 1_000;
        let delay = odds.delay_max.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 1_000.0);
        let table = [
            (odds.conflict, Fault::Conflict),
            (odds.unavailable, Fault::Unavailable),
            (odds.unknown_lost, Fault::UnknownLost),
            (odds.answer_lost, Fault::AnswerLost),
            (odds.delay, Fault::Delay(delay)),
        ];
        for (parts, fault) in table {
            match roll.checked_sub(u64::from(parts)) {
                Some(rest) => roll = rest,
                None => return Some(fault),
            }
        }
        None
    }

    /// The next number of the seed's sequence (splitmix64).
    fn number(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.draws ^ (self.draws >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

const fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Conflict => "conflict",
        Fault::Unavailable => "unavailable",
        Fault::UnknownLost => "unknown_lost",
        Fault::AnswerLost => "answer_lost",
        Fault::Delay(_) => "delay",
    }
}

/// The conflict of somebody who was faster and is already gone: the version found is the one expected.
fn spurious(change: &Change) -> Option<Conflict> {
    let failed = change.expects.iter().find_map(|guard| match guard {
        Guard::Version(key, version) => {
            Some(Failed::Version { key: key.clone(), found: Some(*version), last_change: Some(ChangeId::from_uuid(uuid::Uuid::nil())) })
        }
        Guard::Absent(_) | Guard::LeaseHeld(_) => None,
    });
    failed.map(|failed| Conflict { failed: vec![failed] })
}

/// Passes a call on, unless something goes wrong before, and loses its answer if that goes wrong.
macro_rules! through {
    ($self:ident, $verb:ident, $call:expr) => {{
        let is_lost = $self.before(Verb::$verb).await?;
        let answer = $call.await;
        if is_lost { Err(StoreError::Unavailable("injected: the answer is lost".to_owned())) } else { answer }
    }};
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        let conflict = spurious(change);
        match self.next(Verb::Commit, |fault| fault != Fault::Conflict || conflict.is_some()) {
            Some(Fault::Conflict) => conflict.map_or(Ok(()), |conflict| Err(conflict.into())),
            Some(Fault::Unavailable) => Err(CommitError::Unavailable("injected".to_owned())),
            Some(Fault::UnknownLost) => Err(CommitError::Unknown("injected: not applied".to_owned())),
            Some(Fault::AnswerLost) => {
                // A refusal is as lost as a success would be.
                let _lost = self.pass_on(change).await;
                Err(CommitError::Unknown("injected: the answer is lost".to_owned()))
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                self.pass_on(change).await
            }
            None => self.pass_on(change).await,
        }
    }

    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError> {
        through!(self, Order, self.inner.order(by))
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
        through!(self, Orders, self.inner.orders(query))
    }

    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        through!(self, Events, self.inner.events(order, after, limit))
    }

    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        through!(self, Get, self.inner.get(key))
    }

    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
        through!(self, Session, self.inner.session(token))
    }

    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
        through!(self, Catalogue, self.inner.catalogue(seen))
    }

    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
        through!(self, Stock, self.inner.stock(skus))
    }

    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError> {
        through!(self, Users, self.inner.users(page))
    }

    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
        through!(self, ApiKeys, self.inner.api_keys(page))
    }

    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
        through!(self, Audit, self.inner.audit(page))
    }

    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
        through!(self, Inbox, self.inner.inbox(query))
    }

    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError> {
        through!(self, Claim, self.inner.claim(target, limit, lease_ms, worker))
    }

    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
        through!(self, Extend, self.inner.extend(claims, lease_ms))
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
        through!(self, Jobs, self.inner.jobs(query))
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        through!(self, Queues, self.inner.queues())
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        through!(self, DeadLetters, self.inner.dead_letters(query))
    }

    async fn wait(&self, queues: &[&str], timeout: Duration) {
        match self.next(Verb::Wait, |fault| matches!(fault, Fault::Unavailable | Fault::Delay(_))) {
            // Waiting has no error to give: it just takes its whole time, as if no signal came through.
            Some(Fault::Unavailable) => tokio::time::sleep(timeout).await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay.min(timeout)).await,
            _ => self.inner.wait(queues, timeout).await,
        }
    }

    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        through!(self, DueOrders, self.inner.due_orders(limit))
    }

    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
        through!(self, Numbers, self.inner.numbers(sequence, count))
    }

    async fn sweep(&self) -> Result<SweepReport, StoreError> {
        through!(self, Sweep, self.inner.sweep())
    }

    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
        through!(self, Scan, self.inner.scan(table, cursor, limit))
    }

    async fn health(&self) -> Result<Health, StoreError> {
        through!(self, Health, self.inner.health())
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        through!(self, Migrate, self.inner.migrate())
    }

    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::fixture::{Fixture, NOW, job};
    use crate::memory::MemoryStore;
    use ordermill_core::change::Row;

    fn faulty(seed: u64) -> FaultyStore {
        FaultyStore::new(Arc::new(MemoryStore::new()), seed)
    }

    async fn audit_count(store: &FaultyStore) -> usize {
        store.inner.scan(Table::Audit, None, 1_000).await.expect("scan").rows.len()
    }

    #[tokio::test]
    async fn each_fault_of_a_commit_keeps_its_word() {
        let (store, fixture) = (faulty(0), Fixture::new());
        store.script(
            Verb::Commit,
            [Some(Fault::Unavailable), Some(Fault::UnknownLost), Some(Fault::AnswerLost), None, Some(Fault::Conflict)],
        );
        let change = fixture.adjust("shirt", 1);
        assert!(matches!(store.commit(&change).await, Err(CommitError::Unavailable(_))));
        assert!(matches!(store.commit(&change).await, Err(CommitError::Unknown(_))));
        assert_eq!(audit_count(&store).await, 0);
        assert!(matches!(store.commit(&change).await, Err(CommitError::Unknown(_))));
        assert_eq!(audit_count(&store).await, 1);
        assert!(matches!(store.commit(&change).await, Err(CommitError::Conflict(conflict)) if conflict.was_me(change.id)));
        // It guards no version, so that nobody can have been faster: it goes through.
        assert!(store.commit(&fixture.adjust("shirt", 1)).await.is_ok());
        assert_eq!((store.calls().commits(), store.injected()), (5, 3));
        assert_eq!(store.injected_of(Verb::Commit, Fault::AnswerLost), 1);
    }

    #[tokio::test]
    async fn a_spurious_conflict_names_a_version_and_the_next_try_succeeds() {
        let (store, fixture) = (faulty(0), Fixture::new());
        assert!(store.commit(&fixture.pause("email", true, 0)).await.is_ok());
        store.fail_next(Verb::Commit, Fault::Conflict);
        let resume = fixture.pause("email", false, 1);
        let Err(CommitError::Conflict(conflict)) = store.commit(&resume).await else { panic!("no conflict") };
        assert!(matches!(&conflict.failed[..], [Failed::Version { found: Some(1), .. }]) && !conflict.was_me(resume.id));
        assert!(store.commit(&resume).await.is_ok());
    }

    #[tokio::test]
    async fn other_verbs_fail_slow_down_and_lose_their_answers() {
        let (store, fixture) = (faulty(0), Fixture::new());
        assert!(store.commit(&fixture.queue([job("email", "a", 1)])).await.is_ok());
        let before = store.calls();
        let target = ClaimTarget::Queue("email".to_owned());
        store.fail_next(Verb::Claim, Fault::AnswerLost);
        assert!(matches!(store.claim(&target, 1, 60_000, "w").await, Err(StoreError::Unavailable(_))));
        assert_eq!(store.claim(&target, 1, 60_000, "w").await.expect("claim"), [], "it is leased to nobody");
        store.script(Verb::Get, [Some(Fault::Unavailable), Some(Fault::Delay(Duration::from_millis(30)))]);
        let key = Key::Setting("a".to_owned());
        assert!(store.get(&key).await.is_err());
        let started = tokio::time::Instant::now();
        assert!(store.get(&key).await.is_ok());
        assert!(started.elapsed() >= Duration::from_millis(30));
        let calls = store.calls().since(&before);
        assert_eq!((calls.of(Verb::Claim), calls.of(Verb::Get), calls.reads(), calls.commits()), (2, 2, 2, 0));
    }

    #[tokio::test]
    async fn one_seed_is_one_story() {
        let odds = Odds { conflict: 50, unavailable: 100, unknown_lost: 100, answer_lost: 100, ..Odds::default() };
        let mut stories = Vec::new();
        for seed in [7, 7, 8] {
            let (store, fixture) = (faulty(seed), Fixture::new());
            store.set_odds(odds);
            let mut story = Vec::new();
            for n in 0..200 {
                let row = Row::Setting(fixture.setting(&n.to_string(), "1"));
                story.push(store.commit(&fixture.insert([row])).await.is_ok());
            }
            assert!((30..=100).contains(&store.injected()), "{} of 200", store.injected());
            store.heal();
            assert!(store.commit(&fixture.insert([Row::Session(fixture.session(fixture.user("a@b.vn").id, NOW))])).await.is_ok());
            stories.push(story);
        }
        assert_eq!(stories[0], stories[1]);
        assert_ne!(stories[0], stories[2]);
    }

    #[test]
    fn every_verb_has_a_name() {
        let names: std::collections::HashSet<_> = Verb::ALL.iter().map(|verb| verb.name()).collect();
        assert_eq!(names.len(), 24);
        assert!(Verb::Order.is_read() && !Verb::Commit.is_read() && !Verb::Wait.is_read());
    }
}
