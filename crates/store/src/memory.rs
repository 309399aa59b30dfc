//! The reference model: everything in ordered maps behind one lock, changes applied one at a time. The other stores must
//! not be distinguishable from it, so it is written to be read, not to be fast. It forgets everything at exit.

mod cursors;
mod jobs;
mod tables;

use crate::clock::StoreClock;
use crate::query::{MAX_PAGE, MAX_SCANNED, id_cursor};
use crate::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, CommitError, DeadLetterQuery, Health, InboxQuery, JobInfo, JobQuery, OrderQuery,
    OrderRef, Page, QueueInfo, Record, Sequence, Store, StoreError, Stored, SweepReport, Table, encode,
};
use async_trait::async_trait;
use ordermill_core::account::{Session, User};
use ordermill_core::admit::{StockLevel, admit, disjoint_prefix};
use ordermill_core::api_key::ApiKey;
use ordermill_core::catalogue::Product;
use ordermill_core::change::{AuditEntry, Change, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{Claim, DeadLetter, Job};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::time::Timestamp;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tables::Tables;
use tokio::sync::Notify;
use uuid::Uuid;

/// Changes of one batch at most; the model's batches only matter to [`MemoryStore::commit_together`].
const MAX_BATCH: usize = 256;

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: StoreClock,
    work: Notify,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(StoreClock::start())
    }

    /// An empty store on a clock that a test moves.
    pub fn with_clock(clock: StoreClock) -> Self {
        Self { tables: Mutex::default(), clock, work: Notify::new() }
    }

    /// The store's clock.
    pub const fn clock(&self) -> &StoreClock {
        &self.clock
    }

    /// Commits changes that arrive at the same moment, in the batches that every store would make of them.
    #[expect(clippy::needless_pass_by_value, reason = "the signature that the SQL stores need")]
    pub fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
        let mut results: Vec<Option<Result<(), CommitError>>> = vec![None; changes.len()];
        let mut waiting: VecDeque<_> = changes.iter().enumerate().collect();
        while !waiting.is_empty() {
            // One batch is one moment: what its changes queue becomes due together.
            let now = self.clock.now();
            for (index, change) in disjoint_prefix(&mut waiting, MAX_BATCH, |(_, change)| change) {
                if let Some(result) = results.get_mut(index) {
                    *result = Some(self.apply(change, now));
                }
            }
        }
        results.into_iter().flatten().collect()
    }

    fn apply(&self, change: &Arc<Change>, now: Timestamp) -> Result<(), CommitError> {
        encode::encode(change)?;
        let mut tables = self.open_tables().map_err(CommitError::from)?;
        let found = tables.found(change, now);
        admit(&[change], &found).pop().unwrap_or(Ok(()))?;
        tables.write(change, now);
        drop(tables);
        self.work.notify_waiters();
        Ok(())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_tables(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        let tables = self.tables();
        if tables.is_closed { Err(StoreError::Unavailable("the store is closed".to_owned())) } else { Ok(tables) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        self.apply(change, self.clock.now())
    }

    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError> {
        let tables = self.open_tables()?;
        let key = match by {
            OrderRef::Id(id) => Key::Order(*id),
            OrderRef::Number(number) => Key::OrderNumber(*number),
            OrderRef::Reference(provider, reference) => match tables.row(&Key::Payment(*provider, reference.clone())) {
                Some(Row::Payment(payment)) => Key::Order(payment.order_id),
                _ => return Ok(None),
            },
        };
        Ok(tables.row(&key).and_then(as_order).cloned())
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
        let (below, limit) = (query.below()?, page_limit(query.limit));
        let tables = self.open_tables()?;
        let mut orders: Vec<&Order> = tables.rows().filter_map(as_order).filter(|order| order.number < below).collect();
        orders.sort_by_key(|order| std::cmp::Reverse(order.number));
        let found: Vec<Order> = orders.into_iter().filter(|order| query.matches(order)).take(limit + 1).cloned().collect();
        Ok(cut(found, limit, |order| order.number.to_string()))
    }

    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let tables = self.open_tables()?;
        Ok(tables.events.range((order, after.saturating_add(1))..=(order, i64::MAX)).map(|(_, event)| event.clone()).take(limit).collect())
    }

    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let tables = self.open_tables()?;
        Ok(tables.stored(key).map(|stored| Stored { row: stored.row.clone(), by: stored.by, last_change: stored.last_change }))
    }

    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
        let tables = self.open_tables()?;
        let Some(Row::Session(session)) = tables.row(&Key::Session(*token)) else { return Ok(None) };
        if session.expires_at <= self.clock.now() {
            return Ok(None);
        }
        let Some(Row::User(user)) = tables.row(&Key::User(session.user_id)) else { return Ok(None) };
        Ok(Some((session.clone(), user.clone())))
    }

    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
        let tables = self.open_tables()?;
        let mut products: Vec<Product> = tables.rows().filter_map(as_product).cloned().collect();
        products.sort_by(|a, b| a.sku.cmp(&b.sku));
        let count = i64::try_from(products.len()).unwrap_or(i64::MAX);
        let stamp = CatalogueStamp { count, versions: products.iter().map(|product| product.version).sum() };
        Ok((seen != Some(stamp)).then_some(Catalogue { stamp, products }))
    }

    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
        let tables = self.open_tables()?;
        Ok(skus.iter().map(|sku| tables.stock_of(sku)).collect())
    }

    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError> {
        newest(self.open_tables()?.rows().filter_map(as_user), page, |user| user.id.uuid())
    }

    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
        newest(self.open_tables()?.rows().filter_map(as_api_key), page, |key| key.id.uuid())
    }

    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
        newest(self.open_tables()?.rows().filter_map(as_audit), page, |entry| entry.id.uuid())
    }

    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
        let (below, limit) = (cursors::inbox(query.cursor.as_deref())?, page_limit(query.limit));
        let tables = self.open_tables()?;
        let mut entries: Vec<&InboxEntry> = tables.rows().filter_map(as_inbox).collect();
        entries.retain(|entry| query.state.is_none_or(|state| entry.state == state));
        entries.retain(|entry| below.as_ref().is_none_or(|below| cursors::inbox_place(entry) < *below));
        entries.sort_by_key(|entry| std::cmp::Reverse(cursors::inbox_place(entry)));
        Ok(cut(entries.into_iter().take(limit + 1).cloned().collect(), limit, cursors::of_inbox))
    }

    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError> {
        let now = self.clock.now();
        Ok(self.open_tables()?.claim(target, limit, now, lease_ms, worker))
    }

    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
        let now = self.clock.now();
        let mut tables = self.open_tables()?;
        Ok(claims.iter().map(|claim| tables.extend(claim, now, lease_ms)).collect())
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
        let (after, limit) = (cursors::job(query.cursor.as_deref())?, page_limit(query.limit));
        let now = self.clock.now();
        let mut found = self.open_tables()?.job_infos(query.queue.as_deref(), now);
        found.retain(|job| after.as_ref().is_none_or(|after| cursors::job_place(job) > *after));
        found.truncate(limit + 1);
        Ok(cut(found, limit, cursors::of_job))
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        let now = self.clock.now();
        Ok(self.open_tables()?.queue_infos(now))
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let (below, limit) = (cursors::job(query.cursor.as_deref())?, page_limit(query.limit));
        let tables = self.open_tables()?;
        let mut letters: Vec<&DeadLetter> = tables.dead.values().collect();
        letters.retain(|dead| query.matches(dead));
        letters.retain(|dead| below.as_ref().is_none_or(|below| cursors::dead_place(dead) < *below));
        letters.sort_by_key(|dead| std::cmp::Reverse(cursors::dead_place(dead)));
        Ok(cut(letters.into_iter().take(limit + 1).cloned().collect(), limit, cursors::of_dead))
    }

    async fn wait(&self, _queues: &[&str], timeout: Duration) {
        let notified = self.work.notified();
        // Delayed jobs send no signal when they become due, so nobody sleeps longer than this.
        let _timed_out = tokio::time::timeout(timeout.min(Duration::from_millis(250)), notified).await.is_err();
    }

    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        let now = self.clock.now();
        let tables = self.open_tables()?;
        let mut due: Vec<_> = tables
            .rows()
            .filter_map(as_order)
            .filter(|order| order.status == OrderStatus::Pending)
            .filter_map(|order| order.expires_at.filter(|at| *at <= now).map(|at| (at, order.id)))
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().take(limit).map(|(_, id)| id).collect())
    }

    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
        Ok(self.open_tables()?.numbers(sequence, count))
    }

    async fn sweep(&self) -> Result<SweepReport, StoreError> {
        let now = self.clock.now();
        Ok(self.open_tables()?.sweep(now))
    }

    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
        let now = self.clock.now();
        let after = cursors::record(cursor)?;
        let kept = limit.clamp(1, MAX_SCANNED);
        let mut records: Vec<_> =
            self.open_tables()?.records(table, now).into_iter().map(|record| (cursors::record_place(&record), record)).collect();
        records.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
        records.sort_by(|(a, _), (b, _)| a.cmp(b));
        records.truncate(kept + 1);
        let page = cut(records, kept, |(place, _)| cursors::of_record(place));
        Ok(Page::of(page.rows.into_iter().map(|(_, record)| record).collect(), page.cursor, limit))
    }

    async fn health(&self) -> Result<Health, StoreError> {
        drop(self.open_tables()?);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Health { backend: "memory", version, pending_migrations: Vec::new(), read_only: None, time: self.clock.now() })
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { backend: "memory", is_durable: false, is_shared: false, read_your_writes_lists: true }
    }

    async fn close(&self) {
        self.tables().is_closed = true;
    }
}

/// How many rows a page has at most, whatever was asked for.
fn page_limit(limit: usize) -> usize {
    limit.min(MAX_PAGE)
}

/// A page of rows whose ids begin with the time, newest first.
fn newest<'a, T: Clone + 'a>(rows: impl Iterator<Item = &'a T>, page: &Page<()>, id: impl Fn(&T) -> Uuid) -> Result<Page<T>, StoreError> {
    let (below, limit) = (id_cursor(page.cursor.as_deref())?, page_limit(page.limit));
    let mut found: Vec<&T> = rows.filter(|row| below.is_none_or(|below| id(row) < below)).collect();
    found.sort_by_key(|row| std::cmp::Reverse(id(row)));
    Ok(cut(found.into_iter().take(limit + 1).cloned().collect(), limit, |row| id(row).to_string()))
}

/// Cuts a list that was read one row too far, and makes the cursor from the last row that stays.
fn cut<T>(mut rows: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Page<T> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let cursor = if has_more { rows.last().map(place) } else { None };
    Page::of(rows, cursor, limit)
}

fn as_order(row: &Row) -> Option<&Order> {
    if let Row::Order(order) = row { Some(order) } else { None }
}

fn as_product(row: &Row) -> Option<&Product> {
    if let Row::Product(product) = row { Some(product) } else { None }
}

fn as_user(row: &Row) -> Option<&User> {
    if let Row::User(user) = row { Some(user) } else { None }
}

fn as_api_key(row: &Row) -> Option<&ApiKey> {
    if let Row::ApiKey(key) = row { Some(key) } else { None }
}

fn as_audit(row: &Row) -> Option<&AuditEntry> {
    if let Row::Audit(entry) = row { Some(entry) } else { None }
}

fn as_inbox(row: &Row) -> Option<&InboxEntry> {
    if let Row::Inbox(entry) = row { Some(entry) } else { None }
}
