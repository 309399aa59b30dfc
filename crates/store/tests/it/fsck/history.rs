//! A shop's ordinary day on the memory model, built through core wherever core has a function for it: orders in every
//! state, money in every shape, jobs that wait, ran, died and were redriven, events that wait for their order. This file
//! must not break any rule: what it leaves behind is what a clean store looks like.

use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{AuditEntry, Cause, Change, Effect, EffectState, Row, StockKey, StockMove};
use ordermill_core::event::{Actor, Event, EventKind};
use ordermill_core::id::{OrderId, ProductId, ResultId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{CircuitMove, Finish, Job, JobKey, NewJob, Outcome, Payload, Queue};
use ordermill_core::money::Currency;
use ordermill_core::order::intent::{Intent, attach_intent, effect_key};
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Order, OrderStatus, PaymentMethod, StockHold};
use ordermill_core::payment::{DisputeProgress, Fact, FactKind, PaymentProgress, Provider, RefundProgress};
use ordermill_store::clock::StoreClock;
use ordermill_store::conformance::fixture::{self, Fixture, HOUR_MS, NOW, guest, payment, refund};
use ordermill_store::memory::MemoryStore;
use ordermill_store::{ClaimTarget, Store};
use serde_json::json;
use std::sync::Arc;

/// The kind of the one mail there is.
pub(super) const ORDER_PAID: &str = "email.order_paid";
/// A queue that people paused while its job waited.
pub(super) const PAUSED: &str = "bus";

/// The store after that day, and where to find what.
pub(super) struct History {
    pub(super) store: Arc<MemoryStore>,
    pub(super) shop: Shop,
    /// Waits for its customer, with a payment intent.
    pub(super) waiting: OrderId,
    /// Paid at the second try; its mail is out.
    pub(super) paid: OrderId,
    /// Paid, partly paid back; its mail is on its way.
    pub(super) refunded: OrderId,
    /// Paid twice, and disputed; its mail is a dead letter.
    pub(super) overpaid: OrderId,
    /// Done with; its mail was a dead letter that somebody threw away.
    pub(super) completed: OrderId,
    /// Called off.
    pub(super) cancelled: OrderId,
    /// Paid in another currency than its own.
    pub(super) foreign: OrderId,
    /// Made by a request with an Idempotency-Key, and never ordered.
    pub(super) requested: ProductId,
}

/// What the day is made of: the store, ids from a counter, and the two goods and the book that are sold.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) store: Arc<MemoryStore>,
    fixture: Arc<Fixture>,
    tee: Product,
    mug: Product,
    book: Product,
}

impl History {
    /// Lives through the day.
    pub(super) async fn new() -> Self {
        let store = Arc::new(MemoryStore::with_clock(StoreClock::start()));
        let shop = Shop::open(&store).await;
        let waiting = shop.waiting().await;
        let paid = shop.paid().await;
        let refunded = shop.refunded().await;
        let overpaid = shop.overpaid().await;
        let completed = shop.completed().await;
        let cancelled = shop.cancelled().await;
        shop.revived().await;
        let foreign = shop.foreign().await;
        shop.small_cases().await;
        shop.receive_events(paid).await;
        shop.queue_odds().await;
        let requested = shop.people().await;
        Self { store, shop, waiting, paid, refunded, overpaid, completed, cancelled, foreign, requested }
    }
}

impl Shop {
    /// Opens a shop that has sold nothing yet.
    pub(super) async fn open(store: &Arc<MemoryStore>) -> Self {
        let fixture = Arc::new(Fixture::new());
        let (tee, mug) = (fixture.goods("TEE"), fixture.goods("MUG"));
        let book = fixture.product("BOOK", ProductKind::Digital);
        let user = fixture.user("anh@example.com");
        let session = fixture.session(user.id, NOW.plus_ms(HOUR_MS));
        let rows = [tee.clone(), mug.clone(), book.clone()].map(Row::Product);
        let others = [Row::User(user), Row::Session(session), Row::User(fixture.user("binh@example.com"))];
        fixture::commit(store.as_ref(), &fixture.insert(rows)).await;
        fixture::commit(store.as_ref(), &fixture.insert(others)).await;
        fixture::commit(store.as_ref(), &fixture.insert([Row::Setting(fixture.setting("made_by", "test"))])).await;
        for (sku, stock) in [("TEE", 1_000), ("MUG", 7)] {
            fixture::commit(store.as_ref(), &fixture.adjust(sku, stock)).await;
        }
        // An hour ago: of everything that came before, only the paused queue's job is late.
        fixture::commit(store.as_ref(), &fixture.queue([fixture::ordered_job(PAUSED, "shop", 1)])).await;
        fixture::commit(store.as_ref(), &fixture.pause(PAUSED, true, 0)).await;
        store.clock().advance_ms(HOUR_MS);
        Self { store: Arc::clone(store), fixture, tee, mug, book }
    }

    /// Somebody shops and forgets a password, two programs get their keys, and every kind of request that makes something
    /// comes once.
    async fn people(&self) -> ProductId {
        let user = self.fixture.user("chi@example.com");
        let cart = Row::Cart(self.fixture.cart(user.id));
        let token = Row::OneTimeToken(self.fixture.one_time_token(user.id, NOW.plus_ms(HOUR_MS)));
        let keys = ["kho", "ke toan"].map(|name| Row::ApiKey(self.fixture.api_key(name)));
        let rows = keys.into_iter().chain([cart, token, Row::Throttle(self.fixture.throttle(NOW)), Row::User(user)]);
        fixture::commit(self.store.as_ref(), &self.fixture.insert(rows)).await;
        let (product, key, entry) = (self.fixture.goods("CAP"), self.fixture.api_key("web"), self.fixture.audit());
        let requested = product.id;
        self.request(requested, Row::Product(product)).await;
        self.request(key.id, Row::ApiKey(key)).await;
        self.request(entry.id, Row::Audit(entry)).await;
        self.register().await;
        requested
    }

    /// Somebody registers.
    pub(super) async fn register(&self) {
        let user = self.fixture.user(&format!("khach{}@example.com", self.fixture.draw()));
        self.request(user.id, Row::User(user)).await;
    }

    /// Makes a row by a request with an Idempotency-Key.
    async fn request(&self, result: impl Into<ResultId>, row: Row) {
        let remembered = Row::Idempotency(self.fixture.idempotency(result));
        fixture::commit(self.store.as_ref(), &self.fixture.insert([row, remembered])).await;
    }

    async fn commit(&self, change: Change) {
        fixture::commit(self.store.as_ref(), &Arc::new(change)).await;
    }

    /// Places an order together with the row that remembers the request.
    async fn place(&self, method: PaymentMethod, lines: &[(&Product, i64)]) -> Order {
        let number = self.store.numbers(ordermill_store::Sequence::Order, 1).await.expect("numbers").start;
        let (order, change) = self.fixture.place_as(number, method, guest("an@example.com"), NOW, lines);
        let mut change = Change::clone(&change);
        change.insert(Row::Idempotency(self.fixture.idempotency(order.id)));
        self.commit(change).await;
        order
    }

    /// Places an order for one shirt, to be paid by card.
    pub(super) async fn place_one(&self) -> Order {
        self.place(PaymentMethod::Stripe, &[(&self.tee, 1)]).await
    }

    /// The worker's share after placing: makes the payment intent and ends its job.
    pub(super) async fn attach(&self, order: Order, reference: &str) -> Order {
        let job = self.claim(&JobKey::new(Queue::Stripe, order.id.to_string(), 1)).await;
        let intent = Intent { reference: reference.to_owned(), client_secret: Some(format!("{reference}_secret")) };
        let (order, change) = attach_intent(&order, &intent, self.fixture.context()).expect("an order without an intent");
        self.commit(change).await;
        let mut done = self.fixture.change();
        done.finish(end(&job, Outcome::Done));
        self.commit(done).await;
        order
    }

    pub(super) async fn learn(&self, order: Order, fact: &Fact) -> Order {
        let (order, change) = receive(&order, fact, GoodsOutlook::Hopeful, self.fixture.context()).expect("a fact that is news");
        self.commit(change).await;
        order
    }

    /// The same for a fact that the order may know already.
    pub(super) async fn hear(&self, order: Order, fact: &Fact) -> Order {
        let is_news = receive(&order, fact, GoodsOutlook::Hopeful, self.fixture.context()).is_some();
        if is_news { self.learn(order, fact).await } else { order }
    }

    async fn claim(&self, key: &JobKey) -> Job {
        let target = ClaimTarget::Jobs(vec![key.clone()]);
        let mut jobs = self.store.claim(&target, 1, HOUR_MS, "worker-1").await.expect("claim");
        assert_eq!(jobs.len(), 1, "{key} can be claimed");
        jobs.remove(0)
    }

    async fn fail(&self, key: &JobKey, outcome: Outcome) {
        let job = self.claim(key).await;
        let mut change = self.fixture.change();
        change.finish(end(&job, outcome));
        self.commit(change).await;
    }

    /// The number of the order's only paid event.
    async fn paid_seq(&self, order: OrderId) -> i64 {
        let events = self.store.events(order, 0, 100).await.expect("events");
        events.iter().find(|event| event.kind == EventKind::OrderPaid).expect("a paid order").seq
    }

    async fn mail_key(&self, order: OrderId) -> JobKey {
        JobKey::new(Queue::Email, order.to_string(), self.paid_seq(order).await)
    }

    /// The effect that a mail leaves.
    async fn mail_effect(&self, order: OrderId, state: EffectState) -> Effect {
        let key = effect_key(order, ORDER_PAID, &self.paid_seq(order).await.to_string());
        let reference = (state == EffectState::Confirmed).then(|| "250 queued".to_owned());
        Effect { key, order_id: order, kind: ORDER_PAID.to_owned(), state, reference, resends: 0, at: NOW, version: 1 }
    }

    /// Sends the mail: intended in one commit, confirmed with the end of the job in another.
    pub(super) async fn mail(&self, order: OrderId) {
        let job = self.claim(&self.mail_key(order).await).await;
        let intended = self.mail_effect(order, EffectState::Intended).await;
        self.commit(Change::clone(&self.fixture.insert([Row::Effect(intended)]))).await;
        let mut change = self.fixture.change();
        let confirmed = self.mail_effect(order, EffectState::Confirmed).await;
        change.replace(Row::Effect(Effect { version: 2, ..confirmed }), 1);
        change.finish(end(&job, Outcome::Done));
        self.commit(change).await;
    }

    /// What people and timers do and core has no function for yet: one event, one new state, goods given back.
    async fn edit(&self, mut order: Order, kind: EventKind, status: OrderStatus) -> Order {
        let base = order.version;
        order.version += 1;
        order.status = status;
        let mut change = self.fixture.change();
        let gives_back = matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) && order.stock_hold == StockHold::Reserved;
        if gives_back {
            for (sku, quantity) in order.goods() {
                let cause = Cause::Order(order.id, order.version);
                change.stock.push(StockMove { key: StockKey::main(sku), available_delta: quantity, reserved_delta: -quantity, cause });
            }
            order.stock_hold = StockHold::None;
        }
        let (order_id, seq, actor) = (order.id, order.version, Actor::operator("lan"));
        change.events.push(Event { order_id, seq, kind, v: 1, at: NOW, actor, data: json!({ "reason": "asked" }) });
        change.replace(Row::Order(Box::new(order.clone())), base);
        self.commit(change).await;
        order
    }

    async fn waiting(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 2), (&self.mug, 1)]).await;
        self.attach(order, "pi_waiting").await.id
    }

    async fn paid(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 1), (&self.book, 1)]).await;
        let order = self.attach(order, "pi_paid").await;
        let order = self.learn(order, &payment("pi_paid", PaymentProgress::Failed, 500_000)).await;
        let order = self.learn(order, &payment("pi_paid", PaymentProgress::Succeeded, 500_000)).await;
        self.mail(order.id).await;
        order.id
    }

    async fn refunded(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 2)]).await;
        // The webhook was faster than the worker.
        let order = self.learn(order, &payment("pi_refunded", PaymentProgress::Succeeded, 500_000)).await;
        let order = self.attach(order, "pi_refunded").await;
        let order = self.learn(order, &refund("re_1", RefundProgress::Pending, 200_000)).await;
        let order = self.learn(order, &refund("re_1", RefundProgress::Succeeded, 200_000)).await;
        let order = self.learn(order, &refund("re_2", RefundProgress::Succeeded, 100_000)).await;
        let order = self.learn(order, &refund("re_2", RefundProgress::Failed, 100_000)).await;
        let intended = self.mail_effect(order.id, EffectState::Intended).await;
        self.claim(&self.mail_key(order.id).await).await;
        self.commit(Change::clone(&self.fixture.insert([Row::Effect(intended)]))).await;
        order.id
    }

    async fn overpaid(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.mug, 1)]).await;
        let order = self.attach(order, "pi_once").await;
        let order = self.learn(order, &payment("pi_once", PaymentProgress::Succeeded, 250_000)).await;
        let order = self.learn(order, &payment("pi_twice", PaymentProgress::Succeeded, 250_000)).await;
        let dispute = |progress| Fact { kind: FactKind::Dispute(progress), ..payment("dp_1", PaymentProgress::Pending, 250_000) };
        let order = self.learn(order, &dispute(DisputeProgress::Open)).await;
        let order = self.learn(order, &dispute(DisputeProgress::Won)).await;
        let key = self.mail_key(order.id).await;
        self.fail(&key, fixture::failed(0)).await;
        self.fail(&key, fixture::unavailable(0)).await;
        self.fail(&key, fixture::dead()).await;
        let review = self.mail_effect(order.id, EffectState::NeedsReview).await;
        self.commit(Change::clone(&self.fixture.insert([Row::Effect(review)]))).await;
        order.id
    }

    async fn completed(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.book, 3)]).await;
        let order = self.attach(order, "pi_completed").await;
        let order = self.learn(order, &payment("pi_completed", PaymentProgress::Succeeded, 750_000)).await;
        let key = self.mail_key(order.id).await;
        self.fail(&key, fixture::dead()).await;
        let order = self.edit(order, EventKind::OrderCompleted, OrderStatus::Completed).await;
        let dead = self.store.dead_letters(&ordermill_store::DeadLetterQuery { limit: 100, ..Default::default() }).await.expect("list");
        let dead = dead.rows.iter().find(|dead| dead.key == key).expect("it died").version();
        let mut discard = self.fixture.change();
        discard.delete(ordermill_core::change::Key::DeadLetter(key.clone()), dead);
        let entry = AuditEntry { action: "dead_letter.discarded".to_owned(), subject: key.to_string(), ..self.fixture.audit() };
        discard.insert(Row::Audit(entry));
        self.commit(discard).await;
        order.id
    }

    async fn cancelled(&self) -> OrderId {
        let order = self.place(PaymentMethod::BankTransfer, &[(&self.tee, 5)]).await;
        self.edit(order, EventKind::OrderCancelled, OrderStatus::Cancelled).await.id
    }

    async fn revived(&self) {
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 3)]).await;
        let order = self.attach(order, "pi_late").await;
        let order = self.edit(order, EventKind::OrderExpired, OrderStatus::Expired).await;
        let order = self.learn(order, &payment("pi_late", PaymentProgress::Succeeded, 750_000)).await;
        assert_eq!(order.status, OrderStatus::Processing);
    }

    async fn foreign(&self) -> OrderId {
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 1)]).await;
        let dollars = Fact { currency: Currency::USD, ..payment("pi_usd", PaymentProgress::Succeeded, 1_000) };
        let order = self.learn(order, &dollars).await;
        assert_eq!(order.status, OrderStatus::NeedsAttention);
        order.id
    }

    /// Cash, half a transfer, a refund that is told before its payment, and a job that lost its lease and was redriven.
    async fn small_cases(&self) {
        self.place(PaymentMethod::Cod, &[(&self.tee, 1)]).await;
        let transfer = self.place(PaymentMethod::BankTransfer, &[(&self.tee, 2)]).await;
        let half = Fact { provider: Provider::Sepay, ..payment("FT26021", PaymentProgress::Succeeded, 100_000) };
        self.learn(transfer, &half).await;
        let order = self.place(PaymentMethod::Stripe, &[(&self.tee, 1)]).await;
        let order = self.attach(order, "pi_untold").await;
        self.learn(order, &refund("re_early", RefundProgress::Succeeded, 250_000)).await;
        self.place(PaymentMethod::Stripe, &[(&self.tee, 1)]).await;
    }

    async fn receive_events(&self, applied: OrderId) {
        let entry = |id: &str, state| self.fixture.inbox(id, state);
        let rows = [
            Row::Inbox(InboxEntry { order_id: Some(applied), ..entry("evt_applied", InboxState::Applied) }),
            Row::Inbox(entry("evt_odd", InboxState::Quarantined)),
            Row::Inbox(entry("evt_foreign", InboxState::Unrelated)),
        ];
        self.commit(Change::clone(&self.fixture.insert(rows))).await;
        for (id, state) in [("evt_early", InboxState::Waiting), ("evt_hint", InboxState::Reading)] {
            let mut change = self.fixture.change();
            change.insert(Row::Inbox(entry(id, state)));
            change.jobs.push(apply_job(id));
            self.commit(change).await;
        }
        self.fail(&apply_job("evt_hint").key, fixture::dead()).await;
    }

    async fn queue_odds(&self) {
        let jobs = [fixture::job("email", "lost", 1), fixture::job("email", "again", 1), fixture::ordered_job("bus", "shop", 2)];
        self.commit(Change::clone(&self.fixture.queue(jobs))).await;
        let lost = fixture::job_key("email", "lost", 1);
        self.store.claim(&ClaimTarget::Jobs(vec![lost.clone()]), 1, 1, "worker-2").await.expect("claim");
        self.store.clock().advance_ms(10);
        self.claim(&lost).await;
        self.fail(&fixture::job_key("email", "again", 1), fixture::dead()).await;
        let dead = self.store.dead_letters(&ordermill_store::DeadLetterQuery { limit: 100, ..Default::default() }).await.expect("list");
        let dead = dead.rows.iter().find(|dead| dead.key.group == "again").expect("it died");
        fixture::commit(self.store.as_ref(), &self.fixture.redrive(dead)).await;
        self.claim(&dead.key).await;
    }
}

/// The job that moves a received event on.
fn apply_job(event_id: &str) -> NewJob {
    let payload = Payload::InboxApply { provider: Provider::Stripe, event_id: event_id.to_owned() };
    NewJob::new(JobKey::new(Queue::Inbox, format!("stripe:{event_id}"), 1), &payload)
}

fn end(job: &Job, outcome: Outcome) -> Finish {
    Finish { claim: job.claim(), outcome, circuit: CircuitMove::Keep }
}
