//! The model, and what its users would remember: from a small operation to a real change, decided by core on what the
//! model says. This file must not touch the store under test, except to learn its time at the start.

use super::ops::{Basis, Ending, JobSpec, Write};
use crate::clock::StoreClock;
use crate::conformance::Subject;
use crate::conformance::fixture::{self, Fixture, HOUR_MS, MINUTE_MS, guest};
use crate::memory::MemoryStore;
use crate::{DeadLetterQuery, OrderRef, Store};
use ordermill_core::account::{OneTimeToken, Session, Throttle, User};
use ordermill_core::api_key::ApiKey;
use ordermill_core::cart::{Cart, CartLine};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Cause, Change, Effect, IdempotencyRow, Key, Row, Setting, StockKey, StockMove};
use ordermill_core::digest::Digest;
use ordermill_core::id::{ApiKeyId, OrderId, ProductId, UserId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{CircuitMove, Claim, DeadLetter, Finish, JobKey, NewJob, Outcome};
use ordermill_core::money::Currency;
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Order, PaymentMethod};
use ordermill_core::payment::{DisputeProgress, Fact, FactKind, PaymentProgress, Provider, RefundProgress};
use ordermill_core::time::Timestamp;
use std::sync::Arc;

/// The queues of the model; the last one is ordered.
pub(super) const QUEUES: [&str; 3] = ["email", "stripe", "bus"];
const GROUPS: [&str; 4] = ["a", "B", "b", "b:1"];
const SKUS: [&str; 4] = ["hat", "shirt", "cap", "ebook"];

/// The model and everything its users ever knew.
pub(super) struct World {
    pub(super) model: MemoryStore,
    pub(super) clock: StoreClock,
    pub(super) products: Vec<Product>,
    /// Every change that was committed on its own, whatever became of it.
    pub(super) committed: Vec<Arc<Change>>,
    /// Every claim there ever was.
    pub(super) claims: Vec<Claim>,
    fixture: Fixture,
    /// Half a minute beside the store's time: deadlines never fall on a moment to which time is moved.
    base: Timestamp,
    /// Every state of every order that was ever decided, applied or not.
    orders: Vec<Vec<Order>>,
    letters: Vec<DeadLetter>,
    built: Vec<Arc<Change>>,
}

impl World {
    pub(super) async fn new(subject: &dyn Subject) -> Self {
        let fixture = Fixture::new();
        let base = fixture::store_now(subject, &fixture).await.plus_ms(MINUTE_MS / 2);
        let clock = StoreClock::start();
        let products = SKUS
            .iter()
            .map(|sku| fixture.product(sku, if *sku == "ebook" { ProductKind::Digital } else { ProductKind::Physical }))
            .collect();
        Self {
            model: MemoryStore::with_clock(clock.clone()),
            clock,
            products,
            committed: Vec::new(),
            claims: Vec::new(),
            fixture,
            base,
            orders: Vec::new(),
            letters: Vec::new(),
            built: Vec::new(),
        }
    }

    pub(super) fn claim(&self, index: u8) -> Option<Claim> {
        // The latest ones are the interesting ones: the others are certainly stale.
        let back = usize::from(index) % self.claims.len().clamp(1, 6);
        self.claims.iter().rev().nth(back).cloned()
    }

    /// All of them, each decided before any is applied.
    pub(super) async fn build_all(&mut self, writes: &[Write]) -> Vec<Arc<Change>> {
        let mut changes = Vec::new();
        for write in writes {
            changes.extend(self.build(write).await);
        }
        changes
    }

    /// The change, or nothing when there is nothing to change.
    pub(super) async fn build(&mut self, write: &Write) -> Option<Arc<Change>> {
        let change = match write {
            Write::Place { lines, method, number, idempotency } => self.place(lines, *method, *number, *idempotency),
            Write::Fact { order, basis, reference, what } => self.fact(*order, *basis, *reference, *what).await?,
            Write::Note { order, basis } => self.note(*order, *basis).await?,
            Write::Insert { kind, n } => self.insert(*kind, *n),
            Write::Replace { kind, n, is_stale } => self.replace(*kind, *n, *is_stale).await,
            Write::Delete { kind, n, is_stale } => self.delete(*kind, *n, *is_stale).await?,
            Write::Adjust { sku, available, reserved } => self.adjust(*sku, *available, *reserved),
            Write::Queue(jobs) => self.queue(jobs),
            Write::Finish { claim, ending, circuit, note } => self.finish(*claim, *ending, *circuit, *note).await?,
            Write::Redrive { letter, is_discarded } => self.redrive(*letter, *is_discarded).await?,
            Write::Pause { queue, is_paused } => self.pause(*queue, *is_paused).await,
            Write::Replay { change } => Change::clone(self.built.get(usize::from(*change) % self.built.len().max(1))?),
        };
        let change = Arc::new(change);
        self.built.push(Arc::clone(&change));
        Some(change)
    }

    fn place(&mut self, lines: &[(u8, u8)], method: u8, number: u8, idempotency: Option<u8>) -> Change {
        let goods: Vec<(&Product, i64)> =
            lines.iter().map(|(product, quantity)| (&self.products[usize::from(*product) % SKUS.len()], i64::from(*quantity))).collect();
        let method = PaymentMethod::ALL[usize::from(method) % 3];
        let (order, change) = self.fixture.place_as(i64::from(number), method, guest("an@example.com"), self.base, &goods);
        let mut change = Arc::unwrap_or_clone(change);
        if let Some(n) = idempotency {
            let row = self.row(IDEMPOTENCY, n, 1);
            change.insert(match row {
                Row::Idempotency(row) => Row::Idempotency(IdempotencyRow { result: order.id.into(), ..row }),
                other => other,
            });
        }
        self.orders.push(vec![order]);
        change
    }

    /// An order in one of the states somebody may think it is in.
    async fn order(&self, index: u8, basis: Basis) -> Option<(usize, Order)> {
        let index = usize::from(index) % self.orders.len().max(1);
        let known = self.orders.get(index)?;
        let order = match basis {
            Basis::Stale => known.first().cloned(),
            Basis::Hoped => known.last().cloned(),
            Basis::Current => self.model.order(&OrderRef::Id(known.first()?.id)).await.ok()?,
        };
        order.or_else(|| known.last().cloned()).map(|order| (index, order))
    }

    async fn fact(&mut self, order: u8, basis: Basis, reference: u8, what: u8) -> Option<Change> {
        let (index, order) = self.order(order, basis).await?;
        let total = order.total_amount;
        let (prefix, kind, amount) = match what {
            0 => ("pi", FactKind::Payment(PaymentProgress::Pending), total),
            1 => ("pi", FactKind::Payment(PaymentProgress::Failed), total),
            2..=4 => ("pi", FactKind::Payment(PaymentProgress::Succeeded), total),
            5 => ("pi", FactKind::Payment(PaymentProgress::Succeeded), total / 2),
            6 => ("re", FactKind::Refund(RefundProgress::Pending), total),
            7 => ("re", FactKind::Refund(RefundProgress::Succeeded), total / 2),
            8 => ("re", FactKind::Refund(RefundProgress::Failed), total / 2),
            9 => ("dp", FactKind::Dispute(DisputeProgress::Open), total),
            10 => ("dp", FactKind::Dispute(DisputeProgress::Won), total),
            _ => ("pi_usd", FactKind::Payment(PaymentProgress::Succeeded), 1_000),
        };
        let currency = if prefix == "pi_usd" { Currency::USD } else { order.currency };
        let fact = Fact { provider: Provider::Stripe, reference: format!("{prefix}_{reference}"), kind, amount, currency };
        let (order, change) = receive(&order, &fact, GoodsOutlook::Hopeful, self.fixture.context())?;
        self.orders[index].push(order);
        Some(change)
    }

    async fn note(&mut self, order: u8, basis: Basis) -> Option<Change> {
        let (index, order) = self.order(order, basis).await?;
        let (order, change) = self.fixture.note(&order, "ghi chú");
        self.orders[index].push(order);
        Some(Arc::unwrap_or_clone(change))
    }

    fn insert(&self, kind: u8, n: u8) -> Change {
        let mut change = self.fixture.change();
        change.insert(self.row(kind, n, 1));
        change
    }

    /// The version of a row that somebody may think it has.
    async fn version(&self, key: &Key, is_stale: bool) -> i64 {
        let found = self.model.get(key).await.ok().flatten().map_or(1, |stored| stored.row.version());
        if is_stale { found + 1 } else { found }
    }

    async fn replace(&self, kind: u8, n: u8, is_stale: bool) -> Change {
        let found = self.version(&self.row(kind, n, 1).key(), is_stale).await;
        let mut change = self.fixture.change();
        change.replace(self.row(kind, n, found + 1), found);
        change
    }

    async fn delete(&self, kind: u8, n: u8, is_stale: bool) -> Option<Change> {
        let key = self.row(kind, n, 1).key();
        if matches!(key, Key::User(_) | Key::Product(_) | Key::ApiKey(_)) {
            // No store deletes rows that hold other unique values: on DynamoDB they would stay taken.
            return None;
        }
        let found = self.version(&key, is_stale).await;
        let mut change = self.fixture.change();
        change.delete(key, found);
        Some(change)
    }

    fn adjust(&self, sku: u8, available: i8, reserved: i8) -> Change {
        let mut change = self.fixture.change();
        change.insert(Row::Audit(self.fixture.audit()));
        let key = StockKey::main(SKUS[usize::from(sku) % SKUS.len()]);
        let (available_delta, reserved_delta) = (i64::from(available), i64::from(reserved));
        change.stock.push(StockMove { key, available_delta, reserved_delta, cause: Cause::Change(change.id) });
        change
    }

    fn queue(&self, jobs: &[JobSpec]) -> Change {
        let mut change = self.fixture.change();
        change.jobs.extend(jobs.iter().map(|spec| {
            let (queue, group, seq) = spec.key;
            let key = job_key(queue, group, seq);
            NewJob {
                is_ordered: key.queue == "bus",
                delay_ms: i64::from(spec.delay_minutes) * MINUTE_MS,
                max_attempts: i32::from(spec.max_attempts),
                ..fixture::job(&key.queue, &key.group, key.seq)
            }
        }));
        change
    }

    async fn finish(&mut self, claim: u8, ending: Ending, circuit: u8, note: Option<u8>) -> Option<Change> {
        let claim = self.claim(claim)?;
        let outcome = match ending {
            Ending::Done => Outcome::Done,
            Ending::Failed(minutes) => fixture::failed(i64::from(minutes) * MINUTE_MS),
            Ending::Unavailable(minutes) => fixture::unavailable(i64::from(minutes) * MINUTE_MS),
            Ending::Dead => fixture::dead(),
        };
        let circuit = match circuit {
            0 => CircuitMove::Open { for_ms: 3 * MINUTE_MS },
            1 | 2 => CircuitMove::Close,
            _ => CircuitMove::Keep,
        };
        let noted = match note {
            Some(order) => self.note(order, Basis::Current).await,
            None => None,
        };
        let mut change = noted.unwrap_or_else(|| self.fixture.change());
        change.finish(Finish { claim, outcome, circuit });
        Some(change)
    }

    async fn redrive(&mut self, letter: u8, is_discarded: bool) -> Option<Change> {
        let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
        for letter in self.model.dead_letters(&query).await.ok()?.rows {
            if !self.letters.contains(&letter) {
                self.letters.push(letter);
            }
        }
        let back = usize::from(letter) % self.letters.len().max(1);
        let letter = self.letters.iter().rev().nth(back)?;
        if is_discarded {
            let mut change = self.fixture.change();
            change.delete(Key::DeadLetter(letter.key.clone()), letter.version());
            return Some(change);
        }
        Some(Arc::unwrap_or_clone(self.fixture.redrive(letter)))
    }

    async fn pause(&self, queue: u8, is_paused: bool) -> Change {
        let queue = self::queue(queue);
        let found = self.model.get(&Key::QueuePause(queue.to_owned())).await.ok().flatten();
        let version = found.map_or(0, |stored| stored.row.version());
        Arc::unwrap_or_clone(self.fixture.pause(queue, is_paused, version))
    }

    /// Row `n` of a kind: always the same keys, some of which other rows have as well.
    fn row(&self, kind: u8, n: u8, version: i64) -> Row {
        match kind {
            0 => Row::Setting(Setting {
                version,
                ..self.fixture.setting(["a", "A", "á", "", " ", "a "][usize::from(n) % 6], &version.to_string())
            }),
            1 => Row::User(User {
                id: UserId::new(1, [n; 10]),
                name: Some(version.to_string()),
                version,
                ..self.fixture.user(&format!("u{}@example.com", n / 2))
            }),
            2 => Row::Product(Product {
                id: ProductId::new(1, [n; 10]),
                url: (n > 1).then(|| format!("https://shop.example/{}", n / 3)),
                unit_amount: version,
                version,
                ..self.fixture.goods(&format!("sku-{}", n / 2))
            }),
            3 => {
                let session = self.fixture.session(UserId::new(1, [n; 10]), self.base.plus_ms(i64::from(n) * 10 * MINUTE_MS));
                Row::Session(Session { token: token(n), ..session })
            }
            4 => {
                let provider = if n.is_multiple_of(2) { Provider::Stripe } else { Provider::Sepay };
                let received_at = self.base.plus_ms(i64::from(n / 3) * HOUR_MS);
                let state = InboxState::ALL[usize::try_from(version).unwrap_or(0) % 5];
                Row::Inbox(InboxEntry { provider, received_at, version, ..self.fixture.inbox(&format!("evt:{}", n / 2), state) })
            }
            IDEMPOTENCY => Row::Idempotency(IdempotencyRow {
                key: Digest::of_parts(&[&[5, n]]),
                fingerprint: Digest::of_parts(&[&[6, n]]),
                result: OrderId::new(1, [n; 10]).into(),
                at: self.base,
            }),
            6 => Row::Cart(Cart {
                lines: vec![CartLine { product_id: ProductId::new(1, [n; 10]), quantity: version }],
                version,
                ..Cart::empty(UserId::new(1, [n; 10]), self.base)
            }),
            7 => Row::ApiKey(ApiKey {
                id: ApiKeyId::new(1, [n; 10]),
                secret: Digest::of_parts(&[&[8, n / 2]]),
                revoked_at: (version > 1).then_some(self.base),
                version,
                ..self.fixture.api_key("khóa")
            }),
            8 => {
                let ends_at = self.base.plus_ms(i64::from(n) * 10 * MINUTE_MS);
                let token = self.fixture.one_time_token(UserId::new(1, [n; 10]), ends_at);
                Row::OneTimeToken(OneTimeToken { token: Digest::of_parts(&[&[9, n]]), ..token })
            }
            9 => {
                let throttle = self.fixture.throttle(self.base.plus_ms((i64::from(n) + version) * 10 * MINUTE_MS));
                Row::Throttle(Throttle { scope: Digest::of_parts(&[&[10, n]]), version, ..throttle })
            }
            _ => Row::Effect(Effect {
                key: Digest::of_parts(&[&[7, n]]),
                resends: i32::from(n),
                version,
                ..self.fixture.effect(OrderId::new(1, [n; 10]))
            }),
        }
    }
}

const IDEMPOTENCY: u8 = 5;

/// The name of a queue.
pub(super) fn queue(index: u8) -> &'static str {
    QUEUES[usize::from(index) % QUEUES.len()]
}

/// The key of a job.
pub(super) fn job_key(queue: u8, group: u8, seq: u8) -> JobKey {
    fixture::job_key(self::queue(queue), GROUPS[usize::from(group) % GROUPS.len()], i64::from(seq))
}

fn token(n: u8) -> Digest {
    Digest::of_parts(&[&[3, n]])
}

/// The tokens of all sessions there may be.
pub(super) fn tokens() -> Vec<Digest> {
    (0..6).map(token).collect()
}
