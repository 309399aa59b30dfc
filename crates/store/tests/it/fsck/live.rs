//! `fsck` on a store: pages of any size, faults that stand in every look, and rivals that write between pages.

use super::history::{History, Shop};
use super::{clean, fired, judged};
use async_trait::async_trait;
use ordermill_core::account::{Session, User};
use ordermill_core::admit::StockLevel;
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::{Account, AuditEntry, Cause, Change, EffectState, Key, LedgerEntry, PaymentRow, Row, StockKey, StockMove};
use ordermill_core::digest::Digest;
use ordermill_core::event::{Event, EventKind};
use ordermill_core::id::OrderId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{Claim, DeadLetter, Job, NewJob, Past};
use ordermill_core::money::Currency;
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::{PaymentProgress, PaymentStatus, Provider};
use ordermill_store::conformance::fixture::{self, Fixture, NOW};
use ordermill_store::fsck::{Progress, Report, Stage, run};
use ordermill_store::memory::MemoryStore;
use ordermill_store::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, CommitError, DeadLetterQuery, Health, InboxQuery, JobInfo, JobQuery, OrderQuery,
    OrderRef, Page, QueueInfo, Record, Sequence, Store, StoreError, Stored, SweepReport, Table,
};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

#[tokio::test]
async fn a_clean_store_is_clean_whatever_the_size_of_its_pages() {
    let (history, snapshot) = clean().await;
    for rows in [1, 2, 3, 7, 1_000] {
        let store = Rival::idle(&history, rows);
        let report = checked(&store).await;
        assert!(report.is_clean(), "pages of {rows}: {:#?}", report.violations);
        assert_eq!((report.dismissed, &report.checked), (0, &judged(&snapshot).checked), "pages of {rows}");
    }
}

#[tokio::test]
async fn every_table_is_reported_on() {
    let (history, _) = clean().await;
    let mut told = BTreeSet::new();
    let mut listen = |progress: Progress| {
        assert_eq!(progress.stage, Stage::Reading);
        told.insert((progress.table, progress.records));
    };
    let report = run(history.store.as_ref(), &mut listen).await.expect("a report");
    assert_eq!(told, report.checked.into_iter().collect());
}

#[tokio::test]
async fn faults_stand_in_every_look() {
    let history = History::new().await;
    spoil(&history).await;
    let store = Rival::idle(&history, 3);
    let report = checked(&store).await;
    let snapshot = ordermill_store::fsck::Snapshot::read(history.store.as_ref()).await.expect("a snapshot");
    assert_eq!(subjects(&report), subjects(&judged(&snapshot)));
    let expected = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I10", "I14", "I16", "I17", "I19"];
    assert_eq!(fired(&report), expected.into_iter().collect());
    assert_eq!(report.dismissed, 0);
}

#[tokio::test]
async fn a_store_that_goes_on_working_raises_no_alarm() {
    let mut dismissed = 0;
    for rows in [2, 3, 5] {
        let history = History::new().await;
        let store = Rival::busy(&history, rows, 300);
        let report = checked(&store).await;
        assert!(report.is_clean(), "{:#?}", report.violations);
        dismissed += report.dismissed;
        assert!(checked(&Rival::idle(&history, rows)).await.is_clean());
    }
    assert!(dismissed > 0, "the rival should have made the first pass suspicious");
}

#[tokio::test]
async fn a_fault_is_found_while_the_store_goes_on_working() {
    let history = History::new().await;
    let fixture = Fixture::nth(7);
    fixture::commit(history.store.as_ref(), &fixture.insert([Row::Idempotency(fixture.idempotency(nobody()))])).await;
    let store = Rival::busy(&history, 3, 300);
    let report = checked(&store).await;
    assert_eq!(fired(&report), BTreeSet::from(["I1"]), "{:#?}", report.violations);
    assert!(report.dismissed > 0);
}

#[tokio::test]
async fn a_fault_in_stock_is_found_once_the_goods_rest() {
    let history = History::new().await;
    let fixture = Fixture::nth(7);
    let mut change = Change::clone(&fixture.insert([Row::Setting(fixture.setting("a fence", "1"))]));
    for sku in ["TEE", "MUG"] {
        let cause = Cause::Change(change.id);
        change.stock.push(StockMove { key: StockKey::main(sku), available_delta: -1, reserved_delta: 1, cause });
    }
    fixture::commit(history.store.as_ref(), &Arc::new(change)).await;
    let stock = |report: &Report| subjects(report).into_iter().map(|(_, subject)| subject.to_owned()).collect::<Vec<_>>();
    // Shirts are sold until the second look is over: only the mugs can be judged.
    let report = checked(&Rival::busy(&history, 5, 200)).await;
    assert_eq!((fired(&report), stock(&report)), (BTreeSet::from(["I16"]), vec!["stock MUG in main".to_owned()]));
    // They are sold during the first pass only: it is wrong about the amount, not about the fault.
    let report = checked(&Rival::busy(&history, 5, 20)).await;
    assert_eq!(stock(&report), ["stock MUG in main", "stock TEE in main"]);
}

#[tokio::test]
async fn a_check_can_run_beside_others() {
    let (history, _) = clean().await;
    let store: Arc<dyn Store> = history.store;
    let beside = tokio::spawn(async move { run(store.as_ref(), &mut |_| {}).await });
    assert!(beside.await.expect("no panic").expect("a report").is_clean());
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_and_no_verdict() {
    let (history, _) = clean().await;
    history.store.close().await;
    assert!(matches!(run(history.store.as_ref(), &mut |_| {}).await, Err(StoreError::Unavailable(_))));
}

async fn checked(store: &dyn Store) -> Report {
    run(store, &mut |_| {}).await.expect("a report")
}

fn subjects(report: &Report) -> BTreeSet<(&'static str, &str)> {
    report.violations.iter().map(|violation| (violation.invariant, violation.subject.as_str())).collect()
}

/// An order that nobody placed, between the others.
fn nobody() -> OrderId {
    OrderId::new(1, [7; 10])
}

/// Breaks rules through the front door: every one of these changes is well-formed, and no rule of a store forbids it.
async fn spoil(history: &History) {
    let fixture = Fixture::nth(7);
    let store = history.store.as_ref();
    let rows = [
        Row::Idempotency(fixture.idempotency(nobody())),
        Row::Payment(PaymentRow { provider: Provider::Stripe, reference: "pi_stray".to_owned(), order_id: history.waiting, at: NOW }),
        Row::Payment(PaymentRow { provider: Provider::Stripe, reference: "pi_lost".to_owned(), order_id: nobody(), at: NOW }),
        Row::Inbox(InboxEntry { ..fixture.inbox("evt_stuck", InboxState::Waiting) }),
        Row::Effect(ordermill_core::change::Effect { state: EffectState::Intended, ..fixture.effect(history.waiting) }),
    ];
    fixture::commit(store, &fixture.insert(rows)).await;
    let past = Past { attempt: 2, uncounted: 0, history: Vec::new() };
    let hurried = NewJob { past: past.clone(), ..fixture::job("email", "hurried", 1) };
    let worn = NewJob { past: Past { attempt: 4, ..past }, ..fixture::job("email", "worn", 1) };
    fixture::commit(store, &fixture.queue([hurried, worn])).await;
    let mut change = Change::clone(&fixture.insert([Row::Setting(fixture.setting("a fence", "1"))]));
    let cause = Cause::Order(nobody(), 1);
    let (debit, credit) = (Account::ProviderClearing, Account::Order);
    change.ledger.push(LedgerEntry { cause: cause.clone(), leg: 0, debit, credit, amount: 5, currency: Currency::VND });
    change.stock.push(StockMove { key: StockKey::main("TEE"), available_delta: -1, reserved_delta: 0, cause });
    let cause = Cause::Change(change.id);
    change.stock.push(StockMove { key: StockKey::main("MUG"), available_delta: -1, reserved_delta: 1, cause });
    fixture::commit(store, &Arc::new(change)).await;
    rewrite(history, history.cancelled, EventKind::OrderPaid, |_| {}).await;
    rewrite(history, history.foreign, EventKind::OrderNote, |order| {
        (order.status, order.payment_status) = (OrderStatus::Shipped, PaymentStatus::Refunded);
    })
    .await;
}

/// Writes an order with an event that does not tell what changed.
async fn rewrite(history: &History, id: OrderId, kind: EventKind, change_order: impl FnOnce(&mut Order)) {
    let fixture = Fixture::nth(8);
    let order = history.store.order(&OrderRef::Id(id)).await.expect("a read").expect("an order");
    let (mut order, change) = fixture.note(&order, "rewritten");
    change_order(&mut order);
    let mut change = Change::clone(&change);
    change.id = Fixture::nth(u64::try_from(order.version).expect("small") + 9).change_id();
    change.puts = vec![Row::Order(Box::new(order))];
    change.events = change.events.into_iter().map(|event| Event { kind: kind.clone(), ..event }).collect();
    fixture::commit(history.store.as_ref(), &Arc::new(change)).await;
}

/// A store with small pages, in which others write before every page is read.
struct Rival {
    inner: Arc<MemoryStore>,
    shop: Shop,
    page_rows: usize,
    acts_left: AtomicUsize,
    open: Mutex<VecDeque<(Order, u8)>>,
}

impl Rival {
    fn idle(history: &History, page_rows: usize) -> Self {
        Self::busy(history, page_rows, 0)
    }

    fn busy(history: &History, page_rows: usize, acts: usize) -> Self {
        let (inner, shop) = (Arc::clone(&history.store), history.shop.clone());
        Self { inner, shop, page_rows, acts_left: AtomicUsize::new(acts), open: Mutex::default() }
    }

    /// One step in somebody's purchase: half of them begin one, the other half go on with the one that waits longest. Now
    /// and then somebody registers.
    async fn act(&self) {
        let Ok(left) = self.acts_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) else { return };
        let mut open = self.open.lock().await;
        let next = if left % 2 == 0 { None } else { open.pop_front() };
        let Some((order, step)) = next else {
            open.push_back((self.shop.place_one().await, 0));
            if left.is_multiple_of(6) {
                self.shop.register().await;
            }
            return;
        };
        let reference = format!("pi_{}", order.number);
        match step {
            0 => open.push_front((self.shop.attach(order, &reference).await, 1)),
            1 => {
                let fact = fixture::payment(&reference, PaymentProgress::Succeeded, order.total_amount);
                open.push_front((self.shop.learn(order, &fact).await, 2));
            }
            _ => self.shop.mail(order.id).await,
        }
    }
}

#[async_trait]
impl Store for Rival {
    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
        self.act().await;
        self.inner.scan(table, cursor, limit.min(self.page_rows)).await
    }
    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.act().await;
        self.inner.events(order, after, limit.min(self.page_rows)).await
    }
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.inner.get(key).await
    }
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        self.inner.commit(change).await
    }
    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError> {
        self.inner.order(by).await
    }
    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
        self.inner.orders(query).await
    }
    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
        self.inner.session(token).await
    }
    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
        self.inner.catalogue(seen).await
    }
    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
        self.inner.stock(skus).await
    }
    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError> {
        self.inner.users(page).await
    }
    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
        self.inner.api_keys(page).await
    }
    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
        self.inner.audit(page).await
    }
    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
        self.inner.inbox(query).await
    }
    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError> {
        self.inner.claim(target, limit, lease_ms, worker).await
    }
    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
        self.inner.extend(claims, lease_ms).await
    }
    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
        self.inner.jobs(query).await
    }
    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        self.inner.queues().await
    }
    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        self.inner.dead_letters(query).await
    }
    async fn wait(&self, queues: &[&str], timeout: Duration) {
        self.inner.wait(queues, timeout).await;
    }
    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        self.inner.due_orders(limit).await
    }
    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
        self.inner.numbers(sequence, count).await
    }
    async fn sweep(&self) -> Result<SweepReport, StoreError> {
        self.inner.sweep().await
    }
    async fn health(&self) -> Result<Health, StoreError> {
        self.inner.health().await
    }
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.inner.migrate().await
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
