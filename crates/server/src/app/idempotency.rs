//! Requests that may arrive again. What a request makes and the row that remembers it are one commit, so a copy loses on the
//! row, now or later, and is answered from what the winner made. Refusals leave nothing behind.

use super::commit::commit;
use super::{App, Fault};
use ordermill_core::admit::Conflict;
use ordermill_core::change::{AuditEntry, Change, IdempotencyRow, Key, Row};
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
    /// The same as the secret before the newest made it, where a secret makes it and both are active.
    pub former: Option<Digest>,
}

impl RequestKey {
    /// Writes the row that remembers the request beside what it makes.
    pub fn remember(self, change: &mut Change, result: impl Into<ResultId>, at: Timestamp) {
        let Self { key, fingerprint, .. } = self;
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
        let is_copy = row.fingerprint == self.fingerprint || Some(row.fingerprint) == self.former;
        if is_copy { Ok(row.result) } else { Err(Refusal::IdempotencyKeyReused.into()) }
    }
}

/// The entry of the audit trail that an earlier copy left.
pub async fn entry_of(app: &App, result: ResultId) -> Result<AuditEntry, Fault> {
    match app.store.get(&Key::Audit(result.audit())).await?.map(|stored| stored.row) {
        Some(Row::Audit(entry)) => Ok(entry),
        _ => Err(Fault::Internal(format!("a request is remembered by {result}, which is no act of anybody"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordermill_core::id::UserId;

    #[test]
    fn a_copy_is_known_by_the_former_secret_too_and_nothing_else_is() {
        let [key, new, old, other] = [1, 2, 3, 4].map(|byte| Digest::of(&[byte]));
        let request = RequestKey { key, fingerprint: new, former: Some(old) };
        let result: ResultId = UserId::new(1, [0; 10]).into();
        let row = |fingerprint| IdempotencyRow { key, fingerprint, result, at: Timestamp::from_millis(1) };
        for known in [new, old] {
            assert_eq!(request.check(&row(known)).ok(), Some(result));
        }
        assert!(request.check(&row(other)).is_err());
    }
}
