//! Whether the store may be used, and if not, why: one value that every part of it looks at and few change.

use crate::StoreError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The state of a store that its parts share.
#[derive(Debug)]
pub(super) struct Status {
    /// Set once, when the disk failed: from then on nothing is certain, and only a new process may look again.
    failure: watch::Sender<Option<String>>,
    disk_full: Mutex<Option<String>>,
    pending_migrations: Mutex<Vec<String>>,
    is_closed: AtomicBool,
    has_schema: AtomicBool,
}

impl Status {
    /// The state of a store that has just been opened, with the migrations it still lacks.
    pub(super) fn new(pending: Vec<String>) -> Self {
        Self {
            failure: watch::Sender::new(None),
            disk_full: Mutex::default(),
            has_schema: AtomicBool::new(pending.is_empty()),
            pending_migrations: Mutex::new(pending),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Refuses what needs the tables while there are none, and everything once the store failed or was closed.
    pub(super) fn check_usable(&self) -> Result<(), StoreError> {
        self.check_open()?;
        if self.has_schema.load(Ordering::Acquire) {
            return Ok(());
        }
        let count = self.pending_migrations().len();
        Err(StoreError::Unavailable(format!("{count} migration(s) have not run on this database yet; run them first (`migrate`)")))
    }

    /// Refuses everything once the store failed or was closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        self.check_disk()
    }

    /// Refuses everything once the store failed; what a closing store accepted before still passes.
    pub(super) fn check_disk(&self) -> Result<(), StoreError> {
        self.failure().map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    /// Notes that the disk failed. The first reason stays.
    pub(super) fn fail(&self, why: &str) {
        let is_first = self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert_with(|| format!("the store stopped for good and the process must start again: {why}"));
            is_first
        });
        if is_first {
            tracing::error!(why, "the store stopped: what is on the disk is uncertain until the process starts again");
        }
    }

    /// Why the store stopped for good, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Notes that the disk is full.
    pub(super) fn note_disk_full(&self, why: &str) {
        let mut disk_full = lock(&self.disk_full);
        if disk_full.is_none() {
            tracing::warn!(why, "writes are refused until the disk has room again");
        }
        *disk_full = Some(why.to_owned());
    }

    /// Notes that something was written.
    pub(super) fn note_written(&self) {
        if lock(&self.disk_full).take().is_some() {
            tracing::info!("the disk has room again");
        }
    }

    /// Why writes are refused, if they are.
    pub(super) fn disk_full(&self) -> Option<String> {
        lock(&self.disk_full).clone()
    }

    /// The migrations that have not run.
    pub(super) fn pending_migrations(&self) -> Vec<String> {
        lock(&self.pending_migrations).clone()
    }

    /// Notes what is left to migrate.
    pub(super) fn set_pending_migrations(&self, pending: Vec<String>) {
        let is_current = pending.is_empty();
        *lock(&self.pending_migrations) = pending;
        self.has_schema.store(is_current, Ordering::Release);
    }

    /// Refuses everything from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}

/// The answer of a closed store.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// A lock whose holder may have panicked: what it guards is replaced whole, so it is never half written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
