//! What people do to queues: hold them up, look after what gave up. Every act leaves an entry in the audit trail in its
//! own commit.

mod dead_letters;
mod groups;

pub use dead_letters::{Redriven, dead_letter, discard, edit, redrive, redrive_page};
pub use groups::{Group, GroupQuery, Groups, groups};

use super::commit::{DECISIONS, commit};
use super::{App, Fault};
use ordermill_core::change::{AuditEntry, Change, Key, QueuePause, Row};
use ordermill_core::event::Actor;
use ordermill_core::job::Queue;
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, QueueInfo};
use std::sync::Arc;

/// One queue as it is now: one of ours, or one of a newer node that has left something here.
pub async fn queue(app: &App, name: &str) -> Result<QueueInfo, Fault> {
    match app.store.queues().await?.into_iter().find(|info| info.queue == name) {
        Some(info) => Ok(info),
        None if Queue::from_name(name).is_some() => Ok(QueueInfo {
            queue: name.to_owned(),
            waiting: 0,
            running: 0,
            dead: 0,
            oldest_due_ms: 0,
            is_paused: false,
            circuit_open_ms: 0,
        }),
        None => Err(Refusal::NotFound { what: "queue" }.into()),
    }
}

/// Lets nobody claim a queue's jobs, or lets them again; jobs that run go on. A queue that is so already stays as it is,
/// with the reason that it had.
pub async fn set_paused(app: &App, name: &str, is_paused: bool, actor: &Actor, reason: &str) -> Result<QueueInfo, Fault> {
    queue(app, name).await?;
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let found = match app.store.get(&Key::QueuePause(name.to_owned())).await?.map(|stored| stored.row) {
            Some(Row::QueuePause(found)) => Some(found),
            _ => None,
        };
        if found.as_ref().is_some_and(|found| found.is_paused) == is_paused {
            return queue(app, name).await;
        }
        let version = found.as_ref().map_or(1, |found| found.version.saturating_add(1));
        let pause = QueuePause { queue: name.to_owned(), is_paused, actor: actor.clone(), reason: reason.to_owned(), version };
        let mut change = Change::new(change_id);
        match found {
            Some(found) => change.replace(Row::QueuePause(pause), found.version),
            None => change.insert(Row::QueuePause(pause)),
        }
        let action = if is_paused { "queue.paused" } else { "queue.resumed" };
        change.insert(Row::Audit(audit(app, actor, action, name, reason.to_owned())));
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return queue(app, name).await,
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the queue was paused and resumed too often meanwhile".to_owned()))
}

/// An entry of the audit trail about a queue or what gave up in it.
fn audit(app: &App, actor: &Actor, action: &str, subject: &str, reason: String) -> AuditEntry {
    AuditEntry { id: app.audit_id(), at: app.now(), actor: actor.clone(), action: action.to_owned(), subject: subject.to_owned(), reason }
}
