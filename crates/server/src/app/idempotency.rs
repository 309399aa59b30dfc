//! Requests that may arrive again. What a request makes and the row that remembers it are one commit, so a copy loses on the
//! row, now or later, and is answered from what the winner made. Refusals leave nothing behind.

use super::commit::commit;
use super::{App, Fault};
use ordermill_core::admit::Conflict;
use ordermill_core::change::{Change, IdempotencyRow, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::id::ResultId;
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::CommitError;
use std::sync::Arc;

/// A request that may arrive again: digests of its scope and key, and of its method, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    /// Scope and key.
    pub key: Digest,
    /// Method, path and body.
    pub fingerprint: Digest,
}

impl RequestKey {
    /// Writes the row that remembers the request beside what it makes.
    pub fn remember(self, change: &mut Change, result: impl Into<ResultId>, at: Timestamp) {
        let Self { key, fingerprint } = self;
        change.insert(Row::Idempotency(IdempotencyRow { key, fingerprint, result: result.into(), at }));
    }

    /// Remembers a request whose work is done by others, such as a job. Says whether an earlier copy had been remembered.
    pub async fn remember_alone(self, app: &App, result: impl Into<ResultId>) -> Result<bool, Fault> {
        let mut change = Change::new(app.change_id());
        self.remember(&mut change, result, app.now());
        match commit(app, &Arc::new(change)).await {
            Ok(()) => Ok(false),
            Err(CommitError::Conflict(conflict)) => match self.winner(&conflict)? {
                Some(_) => Ok(true),
                None => Err(CommitError::Conflict(conflict).into()),
            },
            Err(other) => Err(other.into()),
        }
    }

    /// What an earlier copy made, as a lost commit found it.
    pub fn winner(self, conflict: &Conflict) -> Result<Option<ResultId>, Fault> {
        match conflict.existing(&Key::Idempotency(self.key)) {
            Some(Row::Idempotency(row)) => self.check(row).map(Some),
            _ => Ok(None),
        }
    }

    /// What an earlier copy made, as the store knows it.
    pub async fn earlier(self, app: &App) -> Result<Option<ResultId>, Fault> {
        match app.store.get(&Key::Idempotency(self.key)).await?.map(|stored| stored.row) {
            Some(Row::Idempotency(row)) => self.check(&row).map(Some),
            _ => Ok(None),
        }
    }

    fn check(self, row: &IdempotencyRow) -> Result<ResultId, Fault> {
        if row.fingerprint == self.fingerprint { Ok(row.result) } else { Err(Refusal::IdempotencyKeyReused.into()) }
    }
}
