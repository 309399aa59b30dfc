//! Real rows and changes for the suite, built through core wherever core has a function for it, with ids from a counter so
//! that a failure repeats. This file must not ask a store for anything that a case is about.

use crate::conformance::Subject;
use crate::{CommitError, JobQuery, Record, Store, Table};
use ordermill_core::account::{Notifications, OneTimeToken, Role, Session, Throttle, TokenPurpose, User};
use ordermill_core::admit::{Conflict, disjoint_prefix};
use ordermill_core::api_key::{ApiKey, Scope};
use ordermill_core::cart::Cart;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{
    AuditEntry, Cause, Change, Effect, EffectState, IdempotencyRow, QueuePause, Row, Setting, StockKey, StockMove,
};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use ordermill_core::event::{Actor, Event, EventKind};
use ordermill_core::id::{ApiKeyId, AuditId, ChangeId, OrderId, PaymentId, ProductId, ResultId, UserId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{CircuitMove, Claim, DeadLetter, Finish, Job, JobKey, MAX_ATTEMPTS, NewJob, Outcome, Past};
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_core::order::place::{Terms, Wanted, place};
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Address, Context, Customer, Order, PaymentMethod};
use ordermill_core::payment::{Fact, FactKind, PaymentProgress, Provider, RefundProgress};
use ordermill_core::route::Routing;
use ordermill_core::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When everything in the suite is decided, unless a case is about time.
pub const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);
/// A minute.
pub const MINUTE_MS: i64 = 60_000;
/// An hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The lease that cases claim with.
pub const LEASE_MS: i64 = MINUTE_MS;

/// Makes ids, rows and changes.
#[derive(Debug, Default)]
pub struct Fixture {
    drawn: AtomicU64,
}

impl Fixture {
    /// A fixture whose ids begin at the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fixture whose ids no other one of the same store has.
    pub fn nth(n: u64) -> Self {
        Self { drawn: AtomicU64::new(n << 32) }
    }

    /// The next number.
    pub fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.draw().to_be_bytes());
        bytes
    }

    /// The id of a new change.
    pub fn change_id(&self) -> ChangeId {
        ChangeId::new(NOW.unix_ms(), self.bytes())
    }

    /// A change that does nothing yet.
    pub fn change(&self) -> Change {
        Change::new(self.change_id())
    }

    /// A new digest.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(&[&self.draw().to_be_bytes()])
    }

    /// Who decides, when, and who hears of it.
    pub fn context(&self) -> Context {
        Context { change_id: self.change_id(), now: NOW, actor: Actor::system(), routing: Routing::default() }
    }

    /// A product in đồng.
    pub fn product(&self, sku: &str, kind: ProductKind) -> Product {
        Product {
            id: ProductId::new(NOW.unix_ms(), self.bytes()),
            sku: sku.to_owned(),
            title: format!("Áo {sku}"),
            kind,
            url: Some(format!("https://shop.example/{sku}")),
            unit_amount: 250_000,
            currency: Currency::VND,
            is_active: true,
            version: 1,
        }
    }

    /// Goods that are sent.
    pub fn goods(&self, sku: &str) -> Product {
        self.product(sku, ProductKind::Physical)
    }

    /// An account.
    pub fn user(&self, email: &str) -> User {
        User {
            id: UserId::new(NOW.unix_ms(), self.bytes()),
            email: Email::parse(email).expect("an address"),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
            role: Role::Customer,
            name: Some("Nguyễn Thị Ánh".to_owned()),
            phone: None,
            locale: Locale::Vi,
            fcm_token: None,
            notifications: Notifications::default(),
            generation: 0,
            is_dev: false,
            created_at: NOW,
            version: 1,
        }
    }

    /// A session of an account.
    pub fn session(&self, user: UserId, expires_at: Timestamp) -> Session {
        Session { token: self.digest(), user_id: user, created_at: NOW, expires_at, generation: 0, is_dev: false }
    }

    /// A received event.
    pub fn inbox(&self, event_id: &str, state: InboxState) -> InboxEntry {
        let body = format!("{{\"id\":\"{event_id}\"}}");
        InboxEntry {
            provider: Provider::Stripe,
            event_id: event_id.to_owned(),
            kind: "payment_intent.succeeded".to_owned(),
            body_digest: Digest::of_parts(&[body.as_bytes()]),
            body,
            state,
            outcome: state.name().to_owned(),
            order_id: None,
            received_at: NOW,
            version: 1,
        }
    }

    /// The result of an idempotent request.
    pub fn idempotency(&self, result: impl Into<ResultId>) -> IdempotencyRow {
        IdempotencyRow { key: self.digest(), fingerprint: self.digest(), result: result.into(), at: NOW }
    }

    /// An effect about to be done.
    pub fn effect(&self, order_id: OrderId) -> Effect {
        Effect {
            key: self.digest(),
            order_id,
            kind: "email.order_paid".to_owned(),
            state: EffectState::Intended,
            reference: None,
            resends: 0,
            at: NOW,
            version: 1,
        }
    }

    /// An act of a person; what a change without any other row is guarded by.
    pub fn audit(&self) -> AuditEntry {
        AuditEntry {
            id: AuditId::new(NOW.unix_ms(), self.bytes()),
            at: NOW,
            actor: Actor::operator("lan"),
            action: "stock.adjusted".to_owned(),
            subject: "stock".to_owned(),
            reason: "kiểm kho".to_owned(),
            outcome: Some("{\"delta\":3}".to_owned()),
        }
    }

    /// A setting's first value.
    pub fn setting(&self, name: &str, value: &str) -> Setting {
        Setting { name: name.to_owned(), value: value.to_owned(), version: 1 }
    }

    /// A customer's first cart: three of one product.
    pub fn cart(&self, customer: UserId) -> Cart {
        Cart::empty(customer, NOW).set(ProductId::new(NOW.unix_ms(), self.bytes()), 3, NOW).expect("a cart that core accepts")
    }

    /// An API key that may read orders and received events.
    pub fn api_key(&self, name: &str) -> ApiKey {
        ApiKey {
            id: ApiKeyId::new(NOW.unix_ms(), self.bytes()),
            secret: self.digest(),
            shown: "om_live_3fk2".to_owned(),
            name: name.to_owned(),
            scopes: BTreeSet::from([Scope::OrdersRead, Scope::WebhooksRead]),
            created_by: Actor::operator("lan"),
            created_at: NOW,
            expires_at: Some(NOW.plus_ms(HOUR_MS)),
            revoked_at: None,
            version: 1,
        }
    }

    /// A token by which the owner of an account sets a new password.
    pub fn one_time_token(&self, user_id: UserId, expires_at: Timestamp) -> OneTimeToken {
        OneTimeToken { token: self.digest(), purpose: TokenPurpose::PasswordReset, user_id, created_at: NOW, expires_at, generation: 0 }
    }

    /// The first failed log-in of somebody.
    pub fn throttle(&self, since: Timestamp) -> Throttle {
        Throttle { scope: self.digest(), failures: 1, since, version: 1 }
    }

    /// A change that inserts these rows.
    pub fn insert(&self, rows: impl IntoIterator<Item = Row>) -> Arc<Change> {
        let mut change = self.change();
        rows.into_iter().for_each(|row| change.insert(row));
        Arc::new(change)
    }

    /// A change that moves goods by hand, guarded by its audit entry.
    pub fn adjust(&self, sku: &str, available_delta: i64) -> Arc<Change> {
        let mut change = self.change();
        change.insert(Row::Audit(self.audit()));
        let cause = Cause::Change(change.id);
        change.stock.push(StockMove { key: StockKey::main(sku), available_delta, reserved_delta: 0, cause });
        Arc::new(change)
    }

    /// Terms for the order of that number.
    pub fn terms(&self, number: i64) -> Terms {
        Terms {
            order_id: OrderId::new(NOW.unix_ms(), self.bytes()),
            payment_id: PaymentId::new(NOW.unix_ms(), self.bytes()),
            number,
            code_prefix: "DH".to_owned(),
            ttl_card_ms: 30 * MINUTE_MS,
            ttl_transfer_ms: 24 * HOUR_MS,
        }
    }

    /// Places an order of these products.
    pub fn place_as(
        &self,
        number: i64,
        method: PaymentMethod,
        who: Customer,
        now: Timestamp,
        goods: &[(&Product, i64)],
    ) -> (Order, Arc<Change>) {
        let wanted = Wanted {
            lines: goods.iter().map(|(product, quantity)| (product.id, *quantity)).collect(),
            expected_total: None,
            method,
            shipping_address: Some(address()),
            note: None,
        };
        let product = |id: ProductId| goods.iter().map(|(product, _)| *product).find(|product| product.id == id);
        let context = Context { now, ..self.context() };
        let (order, change) = place(&wanted, who, &self.terms(number), product, context).expect("an order that core accepts");
        (order, Arc::new(change))
    }

    /// Places an order of a guest to be paid by card.
    pub fn place(&self, number: i64, goods: &[(&Product, i64)]) -> (Order, Arc<Change>) {
        self.place_as(number, PaymentMethod::Stripe, guest("an@example.com"), NOW, goods)
    }

    /// Lets a fact move an order; the order must not know it yet.
    pub fn receive(&self, order: &Order, fact: &Fact) -> (Order, Arc<Change>) {
        let (order, change) = receive(order, fact, GoodsOutlook::Hopeful, self.context()).expect("a fact that is new to the order");
        (order, Arc::new(change))
    }

    /// The change by which staff writes something down: one event, nothing else.
    pub fn note(&self, order: &Order, text: &str) -> (Order, Arc<Change>) {
        let mut order = order.clone();
        let base = order.version;
        order.version += 1;
        let mut change = self.change();
        change.events.push(Event {
            order_id: order.id,
            seq: order.version,
            kind: EventKind::OrderNote,
            v: 1,
            at: NOW,
            actor: Actor::operator("lan"),
            data: json!({ "text": text }),
        });
        change.replace(Row::Order(Box::new(order.clone())), base);
        (order, Arc::new(change))
    }

    /// A change that queues these jobs.
    pub fn queue(&self, jobs: impl IntoIterator<Item = NewJob>) -> Arc<Change> {
        let mut change = self.change();
        change.jobs.extend(jobs);
        Arc::new(change)
    }

    /// A change that ends a claimed job and does nothing else.
    pub fn finish(&self, claim: &Claim, outcome: Outcome) -> Arc<Change> {
        self.finish_with(claim, outcome, CircuitMove::Keep)
    }

    /// The same, with what it says about the provider.
    pub fn finish_with(&self, claim: &Claim, outcome: Outcome, circuit: CircuitMove) -> Arc<Change> {
        let mut change = self.change();
        change.finish(Finish { claim: claim.clone(), outcome, circuit });
        Arc::new(change)
    }

    /// A change that redrives a dead letter, as people do: audited.
    pub fn redrive(&self, dead: &DeadLetter) -> Arc<Change> {
        let mut change = self.change();
        change.insert(Row::Audit(self.audit()));
        change.delete(ordermill_core::change::Key::DeadLetter(dead.key.clone()), dead.version());
        change.jobs.push(dead.redrive());
        Arc::new(change)
    }

    /// A change that pauses a queue for the first time, or resumes it, or pauses it again.
    pub fn pause(&self, queue: &str, is_paused: bool, found_version: i64) -> Arc<Change> {
        let row = QueuePause {
            queue: queue.to_owned(),
            is_paused,
            actor: Actor::operator("lan"),
            reason: "máy in hỏng".to_owned(),
            version: found_version + 1,
        };
        let mut change = self.change();
        if found_version == 0 {
            change.insert(Row::QueuePause(row));
        } else {
            change.replace(Row::QueuePause(row), found_version);
        }
        Arc::new(change)
    }
}

/// A guest.
pub fn guest(email: &str) -> Customer {
    Customer { id: None, email: Email::parse(email).expect("an address"), phone: None, name: None, locale: Locale::Vi }
}

/// A customer with an account.
pub fn customer(user: &User) -> Customer {
    Customer { id: Some(user.id), email: user.email.clone(), phone: None, name: user.name.clone(), locale: user.locale }
}

/// Where parcels go.
pub fn address() -> Address {
    Address {
        name: "Trần Văn Bình".to_owned(),
        phone: "+84912345678".to_owned(),
        line1: "12 Lý Thường Kiệt".to_owned(),
        province: Some("Hà Nội".to_owned()),
        country: "VN".to_owned(),
        ..Address::default()
    }
}

/// A payment fact in đồng.
pub fn payment(reference: &str, progress: PaymentProgress, amount: i64) -> Fact {
    let kind = FactKind::Payment(progress);
    Fact { provider: Provider::Stripe, reference: reference.to_owned(), kind, amount, currency: Currency::VND }
}

/// A refund fact in đồng.
pub fn refund(reference: &str, progress: RefundProgress, amount: i64) -> Fact {
    let kind = FactKind::Refund(progress);
    Fact { provider: Provider::Stripe, reference: reference.to_owned(), kind, amount, currency: Currency::VND }
}

/// A job's key in any queue, also one that this binary has no consumer for.
pub fn job_key(queue: &str, group: &str, seq: i64) -> JobKey {
    JobKey { queue: queue.to_owned(), group: group.to_owned(), seq }
}

/// A job that may be claimed at once.
pub fn job(queue: &str, group: &str, seq: i64) -> NewJob {
    NewJob {
        key: job_key(queue, group, seq),
        payload: format!("{{\"type\":\"test.v1\",\"group\":\"{group}\",\"seq\":{seq}}}"),
        delay_ms: 0,
        max_attempts: MAX_ATTEMPTS,
        is_ordered: false,
        past: Past::default(),
    }
}

/// The same in an ordered queue.
pub fn ordered_job(queue: &str, group: &str, seq: i64) -> NewJob {
    NewJob { is_ordered: true, ..job(queue, group, seq) }
}

/// An attempt that failed and counts.
pub fn failed(after_ms: i64) -> Outcome {
    Outcome::Retry { after_ms, counted: true, why: "550 no such mailbox".to_owned() }
}

/// An attempt that failed and does not count.
pub fn unavailable(after_ms: i64) -> Outcome {
    Outcome::Retry { after_ms, counted: false, why: "connection refused".to_owned() }
}

/// The last attempt.
pub fn dead() -> Outcome {
    Outcome::Dead { why: "refused for good".to_owned() }
}

/// Commits, or panics with the store's answer.
pub async fn commit(store: &dyn Store, change: &Arc<Change>) {
    if let Err(error) = store.commit(change).await {
        panic!("a change that must be applied was not: {error}\n{change:#?}");
    }
}

/// Commits what must lose, and returns why it lost.
pub async fn lose(store: &dyn Store, change: &Arc<Change>) -> Conflict {
    match store.commit(change).await {
        Err(CommitError::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, got {other:?}\n{change:#?}"),
    }
}

/// Claims due jobs of a queue.
pub async fn claim(store: &dyn Store, queue: &str, limit: usize) -> Vec<Job> {
    let target = crate::ClaimTarget::Queue(queue.to_owned());
    store.claim(&target, limit, LEASE_MS, "worker-1").await.expect("claim")
}

/// Claims exactly one due job of a queue.
pub async fn claim_one(store: &dyn Store, queue: &str) -> Job {
    let mut jobs = claim(store, queue, 1).await;
    assert_eq!(jobs.len(), 1, "one job of {queue} should be claimable");
    jobs.remove(0)
}

/// The order in which changes that arrive together are applied: a change that overlaps an earlier one on more than stock
/// waits for the next batch, so changes that only share stock may overtake it.
pub fn batch_order(changes: &[Arc<Change>]) -> Vec<usize> {
    let mut waiting: VecDeque<(usize, &Arc<Change>)> = changes.iter().enumerate().collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let batch = disjoint_prefix(&mut waiting, changes.len(), |(_, change)| change);
        order.extend(batch.into_iter().map(|(index, _)| index));
    }
    order
}

/// The store's own time, found by asking when a job was queued. Leaves nothing behind.
pub async fn store_now(subject: &dyn Subject, fixture: &Fixture) -> Timestamp {
    let store = subject.store();
    let queue = format!("clock-{}", fixture.draw());
    commit(store, &fixture.queue([job(&queue, "now", 1)])).await;
    let query = JobQuery { queue: Some(queue.clone()), cursor: None, limit: 1 };
    let now = store.jobs(&query).await.expect("jobs").rows.first().expect("the job just queued").queued_at;
    let claimed = claim_one(store, &queue).await;
    commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
    now
}

/// Everything in the store, times of the store's own clock left out, each table sorted.
pub async fn everything(store: &dyn Store) -> Vec<(Table, Vec<String>)> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push((table, texts(&scan_all(store, table, 400).await)));
    }
    tables
}

/// One whole table, page by page.
pub async fn scan_all(store: &dyn Store, table: Table, limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.scan(table, cursor.as_deref(), limit).await.expect("scan");
        assert!(page.rows.len() <= limit, "a page of {table:?} is longer than asked for");
        assert!(page.cursor.is_none() || !page.rows.is_empty(), "an empty page of {table:?} leads nowhere");
        records.extend(page.rows);
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return records,
        }
    }
}

/// Records without the store's times, sorted, as text that a failure can show.
pub fn texts(records: &[Record]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|record| format!("{:?}", timeless(record.clone()))).collect();
    texts.sort();
    texts
}

/// A record without what the store's clock decides.
pub fn timeless(mut record: Record) -> Record {
    match &mut record {
        Record::Job { past, due_for_ms, .. } => {
            *due_for_ms = 0;
            forget_times(past);
        }
        Record::DeadLetter(dead) => *dead = timeless_dead(dead.clone()),
        Record::Row { .. } | Record::Event(_) | Record::Stock { .. } | Record::StockMovement { .. } | Record::Ledger(_) => {}
    }
    record
}

/// A dead letter without what the store's clock decides.
pub fn timeless_dead(mut dead: DeadLetter) -> DeadLetter {
    forget_times(&mut dead.past);
    (dead.queued_at, dead.died_at) = (Timestamp::default(), Timestamp::default());
    dead
}

/// A claimed job without what the store's clock decides.
pub fn timeless_job(mut job: Job) -> Job {
    forget_times(&mut job.past);
    job.age_ms = 0;
    job
}

fn forget_times(past: &mut Past) {
    for failure in &mut past.history {
        failure.at = Timestamp::default();
    }
}
