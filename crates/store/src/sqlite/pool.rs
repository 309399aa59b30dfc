//! A few connections that only read. Each read runs on a blocking thread with a connection of its own, and sees what was
//! committed before it began.

use super::failure::Failure;
use super::status::{closed, lock};
use crate::StoreError;
use rusqlite::Connection;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// How many reads run at once; more wait. Reads are short, and the machine has few cores.
pub(super) const READERS: usize = 4;

/// The readers.
#[derive(Debug)]
pub(super) struct Pool {
    /// As many permits as connections; closed when the store is.
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Pool {
    /// A pool of these connections.
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Self { permits, idle: Arc::new(Mutex::new(connections)) }
    }

    /// Runs a read.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let outcome = tokio::task::spawn_blocking(move || {
            let db = lock(&idle).pop();
            let lent = Lent { db, idle };
            let outcome = lent.db.as_ref().map_or_else(|| Err(Failure::Store(closed())), read);
            drop(lent);
            drop(permit);
            outcome
        });
        match outcome.await {
            Ok(outcome) => outcome.map_err(|failure| failure.to_store_error()),
            Err(error) => Err(StoreError::Unavailable(format!("a read did not finish: {error}"))),
        }
    }

    /// Runs several statements of one read on one state of the database.
    pub(super) async fn read_at_once<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|db| {
            // Rolled back at its end, whichever way that comes; there is nothing to commit.
            let snapshot = db.unchecked_transaction()?;
            read(&snapshot)
        })
        .await
    }

    /// Waits for the reads that run, and closes the connections.
    pub(super) async fn close(&self) {
        let all = u32::try_from(READERS).unwrap_or(u32::MAX);
        let permits = self.permits.acquire_many(all).await;
        self.permits.close();
        lock(&self.idle).clear();
        drop(permits);
    }
}

/// A connection on loan; it goes back even when the read panics.
struct Lent {
    db: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(db) = self.db.take() {
            lock(&self.idle).push(db);
        }
    }
}
