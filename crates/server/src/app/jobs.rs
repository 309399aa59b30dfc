//! What people do to queues: redrive a dead letter, look at what waits. Every act leaves an entry in the audit trail.

use super::commit::commit;
use super::{App, Fault};
use ordermill_core::change::{AuditEntry, Change, Key, Row};
use ordermill_core::event::Actor;
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, DeadLetterQuery, failpoint};
use std::sync::Arc;

/// One dead letter.
pub async fn dead_letter(app: &App, key: &JobKey) -> Result<DeadLetter, Fault> {
    let query = DeadLetterQuery { key: Some(key.clone()), limit: 1, ..DeadLetterQuery::default() };
    let found = app.store.dead_letters(&query).await?.rows.pop();
    found.ok_or_else(|| Refusal::NotFound { what: "dead letter" }.into())
}

/// Lets a dead letter be tried again under its old identity, so that every effect keeps its key. Of two people who do it
/// at once, one succeeds and the other hears that it is gone (F28).
pub async fn redrive(app: &App, key: &JobKey, actor: Actor, reason: &str) -> Result<DeadLetter, Fault> {
    let dead = dead_letter(app, key).await?;
    let mut change = Change::new(app.change_id());
    change.delete(Key::DeadLetter(key.clone()), dead.version());
    change.jobs.push(dead.redrive());
    change.insert(Row::Audit(AuditEntry {
        id: app.audit_id(),
        at: app.now(),
        actor,
        action: "dead_letter.redriven".to_owned(),
        subject: key.to_string(),
        reason: reason.to_owned(),
    }));
    failpoint::hit("redrive.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(dead),
        Err(CommitError::Conflict(_)) => Err(Refusal::NotFound { what: "dead letter" }.into()),
        Err(other) => Err(other.into()),
    }
}
