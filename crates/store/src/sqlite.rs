//! The embedded store: one `SQLite` file, one process, one thread that writes.
//!
//! Everything that writes goes through the `writer` and shares its transactions; everything that reads runs on a small
//! `pool` beside it. The folder is locked while the store is open. This file only hands calls to its parts; it must not
//! run a statement itself.

pub mod baseline;
mod checkpoint;
mod claim;
mod connection;
mod failure;
mod finish;
mod found;
mod health;
mod inspect;
mod job_lists;
mod lists;
mod lock;
mod migrate;
mod numbers;
mod order_list;
mod page;
mod pool;
mod put;
mod reads;
mod rows;
mod scan;
mod statement;
mod status;
mod sweep;
mod wake;
mod work;
mod write;
mod writer;

use crate::clock::StoreClock;
use crate::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, CommitError, DeadLetterQuery, Health, InboxQuery, Inspection, JobInfo, JobQuery,
    OpenError, OrderQuery, OrderRef, Page, QueueInfo, Record, Sequence, Store, StoreError, Stored, SweepReport, Table,
};
use async_trait::async_trait;
use checkpoint::Checkpoints;
use claim::ClaimRequest;
use failure::{Failure, commit_error};
use lock::Lock;
use ordermill_core::account::{Session, User};
use ordermill_core::admit::StockLevel;
use ordermill_core::api_key::ApiKey;
use ordermill_core::change::{AuditEntry, Change, Key};
use ordermill_core::digest::Digest;
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{Claim, DeadLetter, Job};
use ordermill_core::order::Order;
use ordermill_core::time::Timestamp;
use pool::{Pool, READERS};
use rusqlite::Connection;
use status::Status;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sweep::Kept;
use wake::Wake;
use writer::WriterHandle;

/// The longest a wait for work lasts: queues resume and circuits close without a signal.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A store in an `SQLite` file.
#[derive(Debug)]
pub struct SqliteStore {
    // In the order in which they must end: the writer first, so that the last checkpoint finds everything; the lock last.
    writer: WriterHandle,
    checkpoints: Checkpoints,
    pool: Pool,
    clock: StoreClock,
    status: Arc<Status>,
    wake: Arc<Wake>,
    lock: Mutex<Option<Lock>>,
}

impl SqliteStore {
    /// Opens the file, or makes an empty one; `migrate` then gives it its tables.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with_clock(path, StoreClock::start()).await
    }

    /// The same on a clock that a test moves.
    pub async fn open_with_clock(path: &Path, clock: StoreClock) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(&path, clock));
        opening.await.map_err(|error| OpenError::Failed(error.to_string()))?
    }

    /// What lies at a path; see [`crate::inspect`].
    pub async fn inspect(path: &Path, mark: &str) -> Result<Inspection, OpenError> {
        let (path, mark) = (path.to_owned(), mark.to_owned());
        let inspecting = tokio::task::spawn_blocking(move || inspect::inspect(&path, &mark));
        inspecting.await.map_err(|error| OpenError::Failed(error.to_string()))?
    }

    fn open_blocking(path: &Path, clock: StoreClock) -> Result<Self, OpenError> {
        connection::check_engine()?;
        let folder = folder_of(path);
        let failed = |error: std::io::Error| OpenError::Failed(format!("{}: {error}", path.display()));
        lock::check_name(path)?;
        lock::make_folder(&folder).map_err(failed)?;
        let lock = Lock::take(&folder)?;
        lock::make_file(&folder, path).map_err(failed)?;
        let mut db = connection::open_writing(path)?;
        let pending = migrate::pending(&db).map_err(|failure| refused(&failure))?;
        if pending.is_empty() {
            release_leases(&db).map_err(|failure| OpenError::Failed(failure.text()))?;
        }
        let readers = (0..READERS).map(|_| connection::open_reading(path)).collect::<Result<_, _>>()?;
        let (status, wake) = (Arc::new(Status::new(pending)), Arc::new(Wake::default()));
        let engine = |error: rusqlite::Error| OpenError::Failed(error.to_string());
        let (log, waker, woken) = checkpoint::watch(&mut db, Arc::clone(&status)).map_err(engine)?;
        let writer = WriterHandle::start(db, clock.clone(), Arc::clone(&status), Arc::clone(&wake)).map_err(failed)?;
        let copier = connection::open_checkpointing(path)?;
        let checkpoints = Checkpoints::start(copier, log, (waker, woken), writer.downgrade(), Arc::clone(&status)).map_err(failed)?;
        Ok(Self { writer, checkpoints, pool: Pool::new(readers), clock, status, wake, lock: Mutex::new(Some(lock)) })
    }

    /// The store's clock.
    pub const fn clock(&self) -> &StoreClock {
        &self.clock
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.status.check_usable()?;
        self.pool.read(read).await
    }

    async fn read_at_once<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.status.check_usable()?;
        self.pool.read_at_once(read).await
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnMut(&mut Connection, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.status.check_usable()?;
        self.writer.step(write).await
    }

    /// Buries exhausted jobs, slice by slice.
    async fn bury_exhausted(&self) -> Result<u64, StoreError> {
        let (mut buried, mut last) = (0, None);
        loop {
            let (after, now) = (last.take(), self.clock.now());
            let keys = self.read(move |db| sweep::exhausted(db, after.as_ref(), now)).await?;
            let Some(end) = keys.last().cloned() else { return Ok(buried) };
            last = Some(end);
            buried += self.write(move |db, now| sweep::bury_slice(db, &keys, now)).await? as u64;
        }
    }

    /// Forgets rows that have served their time, slice by slice.
    async fn prune(&self, kept: Kept) -> Result<u64, StoreError> {
        let (mut pruned, mut last) = (0, Vec::new());
        loop {
            let (after, now) = (std::mem::take(&mut last), self.clock.now());
            let keys = self.read(move |db| kept.select(db, &after, now)).await?;
            let Some(end) = keys.last().cloned() else { return Ok(pruned) };
            last = end;
            pruned += self.write(move |db, now| kept.drop_slice(db, &keys, now)).await? as u64;
        }
    }
}

/// What only tests need.
#[cfg(feature = "test-support")]
impl SqliteStore {
    /// Commits changes that arrive at the same moment, in the batches that every store would make of them.
    pub async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
        if let Err(error) = self.status.check_usable() {
            return changes.iter().map(|_| Err(commit_error(error.clone()))).collect();
        }
        self.writer.commit_together(&changes).await
    }

    /// How many rows the writer has changed since the store was opened.
    pub async fn total_changes(&self) -> Result<u64, StoreError> {
        self.writer.alone(|db, _| Ok(db.total_changes())).await
    }

    /// Lets the database grow to so many pages at most, as a full disk would; returns the limit that holds now.
    pub async fn limit_pages(&self, pages: u32) -> Result<u32, StoreError> {
        let limit = move |db: &mut Connection, _| Ok(db.pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))?);
        self.writer.alone(limit).await
    }

    /// How many pages the database has.
    pub async fn pages(&self) -> Result<u32, StoreError> {
        self.writer.alone(|db, _| Ok(db.pragma_query_value(None, "page_count", |row| row.get(0))?)).await
    }

    /// Every statement this store runs: the name of its constant and its text.
    pub fn statements() -> Vec<(&'static str, &'static str)> {
        statement::ALL.iter().flat_map(|file| file.iter()).map(|statement| (statement.name, statement.text)).collect()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        self.status.check_usable().map_err(commit_error)?;
        self.writer.commit(change).await
    }

    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError> {
        let by = by.clone();
        self.read(move |db| reads::order(db, &by)).await
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
        let query = query.clone();
        self.read(move |db| order_list::orders(db, &query)).await
    }

    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.read(move |db| reads::events(db, order, after, limit)).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let key = key.clone();
        self.read(move |db| reads::get(db, &key)).await
    }

    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
        let (token, now) = (*token, self.clock.now());
        self.read(move |db| reads::session(db, &token, now)).await
    }

    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
        self.read_at_once(move |db| reads::catalogue(db, seen)).await
    }

    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
        let skus = skus.to_vec();
        self.read_at_once(move |db| reads::stock(db, &skus)).await
    }

    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError> {
        let page = page.clone();
        self.read(move |db| lists::users(db, &page)).await
    }

    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
        let page = page.clone();
        self.read(move |db| lists::api_keys(db, &page)).await
    }

    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
        let page = page.clone();
        self.read(move |db| lists::audit(db, &page)).await
    }

    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
        let query = query.clone();
        self.read(move |db| lists::inbox(db, &query)).await
    }

    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError> {
        let request = ClaimRequest { target: target.clone(), limit, lease_ms, worker: worker.to_owned() };
        let wake = Arc::clone(&self.wake);
        let claim = move |db: &mut Connection, now| {
            if let ClaimTarget::Queue(queue) = &request.target {
                wake.claimed(queue);
            }
            claim::claim(db, &request, now)
        };
        self.write(claim).await
    }

    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
        let claims = claims.to_vec();
        self.write(move |db, now| claim::extend(db, &claims, lease_ms, now)).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
        let (query, now) = (query.clone(), self.clock.now());
        self.read_at_once(move |db| job_lists::jobs(db, &query, now)).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        let now = self.clock.now();
        self.read_at_once(move |db| job_lists::queues(db, now)).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let query = query.clone();
        self.read(move |db| lists::dead_letters(db, &query)).await
    }

    async fn wait(&self, queues: &[&str], timeout: Duration) {
        let (names, now) = (queues.iter().map(|&queue| queue.to_owned()).collect::<Vec<_>>(), self.clock.now());
        // An error here is met again by the claim that follows, which can tell somebody.
        let next_due = self.read(move |db| job_lists::next_due_ms(db, &names, now)).await.ok().flatten();
        let next_due = next_due.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let at_most = timeout.min(LONGEST_WAIT).min(next_due.unwrap_or(LONGEST_WAIT));
        self.wake.wait(queues, at_most).await;
    }

    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        let now = self.clock.now();
        self.read(move |db| lists::due_orders(db, now, limit)).await
    }

    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
        self.write(move |db, _| numbers::reserve(db, sequence, count)).await
    }

    async fn sweep(&self) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport { exhausted_jobs: self.bury_exhausted().await?, pruned_rows: 0 };
        for kept in Kept::ALL {
            report.pruned_rows += self.prune(kept).await?;
        }
        Ok(report)
    }

    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
        let (cursor, now) = (cursor.map(str::to_owned), self.clock.now());
        self.read(move |db| scan::scan(db, table, cursor.as_deref(), limit, now)).await
    }

    async fn health(&self) -> Result<Health, StoreError> {
        let version = connection::engine_version().to_owned();
        let pending_migrations = self.status.pending_migrations();
        if let Some(why) = self.status.failure() {
            return Ok(Health { backend: "sqlite", version, pending_migrations, read_only: Some(why), time: self.clock.now() });
        }
        self.status.check_open()?;
        self.pool.read(health::answer).await?;
        if pending_migrations.is_empty() && self.status.disk_full().is_some() {
            // Whoever asks wants to know whether it has passed; a success clears the mark by itself.
            let _is_still_full = self.write(|db, _| health::probe_disk(db)).await.is_err();
        }
        Ok(Health { backend: "sqlite", version, pending_migrations, read_only: self.status.disk_full(), time: self.clock.now() })
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.status.check_open()?;
        let status = Arc::clone(&self.status);
        let migrate = move |db: &mut Connection, now| {
            let done = migrate::run(db, now);
            let pending = migrate::pending(db)?;
            if pending.is_empty() && !status.pending_migrations().is_empty() {
                release_leases(db)?;
            }
            status.set_pending_migrations(pending);
            done
        };
        self.writer.alone(migrate).await
    }

    fn failure(&self) -> Option<String> {
        self.status.failure()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { backend: "sqlite", is_durable: true, is_shared: false, read_your_writes_lists: true }
    }

    async fn close(&self) {
        self.status.close();
        self.writer.close().await;
        self.checkpoints.close().await;
        self.pool.close().await;
        drop(status::lock(&self.lock).take());
    }
}

/// The folder that a database lies in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Ends the leases of processes that are gone: this process holds the lock, and it has not leased anything yet.
fn release_leases(db: &Connection) -> Result<(), Failure> {
    let ended = claim::end_leases(db)?;
    if ended > 0 {
        tracing::info!(ended, "leases of an earlier process were ended; their jobs are tried again");
    }
    Ok(())
}

fn refused(failure: &Failure) -> OpenError {
    match failure {
        Failure::Store(StoreError::Unavailable(why)) => OpenError::Unsafe(why.clone()),
        other => OpenError::Failed(other.text()),
    }
}
