//! The store that many nodes share: Postgres 14 or newer, READ COMMITTED, one writing task per node.
//!
//! Writes go through `batcher`: what waits is admitted by the pure rule that all stores share and written by set-based
//! statements in one transaction. Reads and claims use a pool. Time is always the database's. Waiting workers poll: a
//! commit on this node wakes them at once, a commit on another node is seen at the next poll. Sending NOTIFY between nodes
//! would shorten that and changes nothing else; polling is the truth.
//!
//! This file must not hold SQL: every statement is plain text beside the function that runs it, in one of the parts.

mod batcher;
mod clock;
mod connect;
mod finish;
mod guards;
mod inspect;
mod jobs;
mod keys;
mod lists;
mod migrate;
mod pipeline;
mod reader;
mod reads;
mod scan;
mod storable;
mod sweep;
mod tables;
#[cfg(feature = "test-support")]
pub mod throwaway;
mod trouble;
mod write;

use crate::{
    Capabilities, Catalogue, CatalogueStamp, ClaimTarget, CommitError, DeadLetterQuery, Health, InboxQuery, Inspection, JobInfo, JobQuery,
    OpenError, OrderQuery, OrderRef, Page, QueueInfo, Record, Sequence, Store, StoreError, Stored, SweepReport, Table,
};
use async_trait::async_trait;
use batcher::{Batcher, Message, Waiting};
use clock::Clock;
use connect::{Endpoint, describe};
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
use reader::Reader;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How many changes may wait for the batcher; further callers wait for room.
const QUEUE_SIZE: usize = 1_024;
/// How long a worker sleeps at most before it looks for work that other nodes made or that became due.
const POLL: Duration = Duration::from_millis(250);

/// A store in a schema of a Postgres server.
pub struct PostgresStore {
    endpoint: Endpoint,
    reader: Reader,
    work: Arc<Notify>,
    writer: Mutex<Option<Writer>>,
}

/// The way to the batcher, gone once the store is closed.
struct Writer {
    inbox: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.endpoint.schema).finish_non_exhaustive()
    }
}

/// Ids of batches begin with these bits; the database draws them, so this crate needs no randomness of its own.
const OPENING: &str = "SELECT gen_random_uuid()";

impl PostgresStore {
    /// Opens a store: `postgres://user:password@host:port/database`. Besides what `tokio-postgres` knows, the URL may say
    /// `schema=NAME` (it must exist), `sslrootcert=PATH` (whom to trust, with `sslmode=require`) and, for servers that
    /// tests throw away, `unsafe_fsync=allow`. A server whose settings may lose acknowledged writes is refused, and so is
    /// a schema that a newer binary migrated. Migrations do not run by themselves. A pooler that shares sessions between
    /// clients (`PgBouncer` in transaction mode) must not stand in between: settings and prepared statements are per session.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let endpoint = Endpoint::parse(url)?;
        let failed = |error: tokio_postgres::Error| OpenError::Failed(describe(&error));
        let connection = endpoint.connect().await.map_err(|trouble| OpenError::Failed(trouble.why()))?;
        endpoint.check_server(&connection).await?;
        migrate::pending_names(&connection).await.map_err(|error| OpenError::Failed(error.to_string()))?;
        let opening = connection.query_one(OPENING, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
        let clock = Arc::new(Clock::default());
        let work = Arc::new(Notify::new());
        let reader = Reader::new(endpoint.pool()?, Arc::clone(&clock));
        let batcher = Batcher::new(endpoint.clone(), connection, clock, Arc::clone(&work), opening);
        let (inbox, messages) = mpsc::channel(QUEUE_SIZE);
        let task = tokio::spawn(batcher.run(messages));
        Ok(Self { endpoint, reader, work, writer: Mutex::new(Some(Writer { inbox, task })) })
    }

    /// What lies in the schema that a URL names; see [`crate::inspect`].
    pub async fn inspect(url: &str, mark: &str) -> Result<Inspection, OpenError> {
        inspect::inspect(url, mark).await
    }

    /// Moves the store's clock, as every statement of this node sees it.
    #[cfg(feature = "test-support")]
    pub fn advance_ms(&self, millis: i64) {
        self.reader.clock().advance_ms(millis);
    }

    /// Commits changes as if they had arrived at the same moment, in the batches that every store would make of them.
    #[cfg(feature = "test-support")]
    pub async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
        let encoded: Vec<_> = changes.iter().map(storable::encode_storable).collect();
        let good: Vec<_> = encoded.iter().filter_map(|one| one.as_ref().ok().cloned()).collect();
        let (reply, answers) = oneshot::channel();
        let mut answers = match self.send(Message::Together(good, reply)).await {
            Ok(()) => answers.await.unwrap_or_default().into_iter(),
            Err(error) => return changes.iter().map(|_| Err(error.clone())).collect(),
        };
        let unknown = || Err(CommitError::Unknown("the writer stopped".to_owned()));
        encoded.into_iter().map(|one| one.and_then(|_| answers.next().unwrap_or_else(unknown))).collect()
    }

    /// Every statement there is, for the test that prepares them all.
    #[cfg(feature = "test-support")]
    pub fn statements() -> Vec<&'static str> {
        let mut all = vec![OPENING];
        for part in [
            batcher::STATEMENTS,
            finish::STATEMENTS,
            guards::STATEMENTS,
            inspect::STATEMENTS,
            jobs::STATEMENTS,
            lists::STATEMENTS,
            migrate::STATEMENTS,
            reads::STATEMENTS,
            scan::STATEMENTS,
            sweep::STATEMENTS,
            write::STATEMENTS,
        ] {
            all.extend_from_slice(part);
        }
        for lookup in keys::Lookup::ALL {
            let statements = lookup.statements();
            all.extend([statements.find, statements.lock]);
            all.extend(lookup.delete_statement());
        }
        for table in Table::ALL {
            all.extend(tables::insert_statement(table));
            all.extend(tables::update_statement(table));
        }
        all
    }

    async fn send(&self, message: Message) -> Result<(), CommitError> {
        let closed = || CommitError::Unavailable("the store is closed".to_owned());
        let inbox = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.as_ref().map(|writer| writer.inbox.clone()).ok_or_else(closed)?
        };
        inbox.send(message).await.map_err(|_| closed())
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        let encoded = storable::encode_storable(change)?;
        let (reply, answer) = oneshot::channel();
        self.send(Message::One(Waiting { encoded, reply })).await?;
        answer.await.unwrap_or_else(|_| Err(CommitError::Unknown("the writer stopped".to_owned())))
    }

    async fn order(&self, by: &OrderRef) -> Result<Option<Order>, StoreError> {
        reads::order(&self.reader, by).await
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
        reads::orders(&self.reader, query).await
    }

    async fn events(&self, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        reads::events(&self.reader, order, after, limit).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        reads::get(&self.reader, key).await
    }

    async fn session(&self, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
        reads::session(&self.reader, token).await
    }

    async fn catalogue(&self, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
        reads::catalogue(&self.reader, seen).await
    }

    async fn stock(&self, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
        reads::stock(&self.reader, skus).await
    }

    async fn users(&self, page: &Page<()>) -> Result<Page<User>, StoreError> {
        lists::users(&self.reader, page).await
    }

    async fn api_keys(&self, page: &Page<()>) -> Result<Page<ApiKey>, StoreError> {
        lists::api_keys(&self.reader, page).await
    }

    async fn audit(&self, page: &Page<()>) -> Result<Page<AuditEntry>, StoreError> {
        lists::audit(&self.reader, page).await
    }

    async fn inbox(&self, query: &InboxQuery) -> Result<Page<InboxEntry>, StoreError> {
        lists::inbox(&self.reader, query).await
    }

    async fn claim(&self, target: &ClaimTarget, limit: usize, lease_ms: i64, worker: &str) -> Result<Vec<Job>, StoreError> {
        jobs::claim(&self.reader, target, limit, jobs::Lease { lease_ms, worker }).await
    }

    async fn extend(&self, claims: &[Claim], lease_ms: i64) -> Result<Vec<bool>, StoreError> {
        jobs::extend(&self.reader, claims, lease_ms).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<JobInfo>, StoreError> {
        lists::jobs(&self.reader, query).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        lists::queues(&self.reader).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        lists::dead_letters(&self.reader, query).await
    }

    async fn wait(&self, _queues: &[&str], timeout: Duration) {
        let _timed_out = tokio::time::timeout(timeout.min(POLL), self.work.notified()).await.is_err();
    }

    async fn due_orders(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        reads::due_orders(&self.reader, limit).await
    }

    async fn numbers(&self, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
        reads::numbers(&self.reader, sequence, count).await
    }

    async fn sweep(&self) -> Result<SweepReport, StoreError> {
        sweep::sweep(&self.reader).await
    }

    async fn scan(&self, table: Table, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StoreError> {
        scan::scan(&self.reader, table, cursor, limit).await
    }

    async fn health(&self) -> Result<Health, StoreError> {
        reads::health(&self.reader).await
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        if self.writer.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        migrate::migrate(&self.endpoint).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { backend: "postgres", is_durable: true, is_shared: true, read_your_writes_lists: true }
    }

    async fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Writer { inbox, task }) = writer {
            // The batcher ends when the last sender is gone and everything accepted is answered.
            drop(inbox);
            if let Err(error) = task.await {
                tracing::error!(%error, "the batcher did not end well");
            }
        }
        self.reader.close();
    }
}
