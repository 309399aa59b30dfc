//! What people do to queues: hold them up, look after what gave up. Every act leaves an entry in the audit trail in its
//! own commit.

mod dead_letters;
mod groups;

pub use dead_letters::{Acted, Redriven, dead_letter, discard, edit, redrive, redrive_page};
pub use groups::{Group, GroupQuery, Groups, groups};

use super::commit::{DECISIONS, commit};
use super::idempotency::RequestKey;
use super::{App, Fault};
use ordermill_core::change::{AuditEntry, Change, Key, QueuePause, Row};
use ordermill_core::event::Actor;
use ordermill_core::job::Queue;
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, QueueInfo};
use std::sync::Arc;

/// Who does something, and why.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Who goes into the audit trail.
    pub actor: &'a Actor,
    /// Why, in the person's words.
    pub reason: &'a str,
    /// The request's identity, if it may arrive again.
    pub request: Option<RequestKey>,
}

impl<'a> By<'a> {
    /// Somebody whose act comes once.
    pub const fn new(actor: &'a Actor, reason: &'a str) -> Self {
        Self { actor, reason, request: None }
    }
}

/// A queue after it was paused or resumed.
#[derive(Debug, Clone)]
pub struct Paused {
    /// The queue as it is now.
    pub queue: QueueInfo,
    /// Whether an earlier copy of the request did it.
    pub is_replay: bool,
}

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
/// with the reason that it had; a request that may arrive again leaves an entry all the same, so that its copy does not
/// hold up what somebody resumed meanwhile.
pub async fn set_paused(app: &App, name: &str, is_paused: bool, by: By<'_>) -> Result<Paused, Fault> {
    queue(app, name).await?;
    let change_id = app.change_id();
    let action = if is_paused { "queue.paused" } else { "queue.resumed" };
    for _ in 0..DECISIONS {
        let found = match app.store.get(&Key::QueuePause(name.to_owned())).await?.map(|stored| stored.row) {
            Some(Row::QueuePause(found)) => Some(found),
            _ => None,
        };
        let changes_nothing = found.as_ref().is_some_and(|found| found.is_paused) == is_paused;
        if changes_nothing && by.request.is_none() {
            return Ok(Paused { queue: queue(app, name).await?, is_replay: false });
        }
        let mut change = Change::new(change_id);
        if !changes_nothing {
            set_pause(&mut change, found, name, is_paused, by);
        }
        leave_entry(app, &mut change, by, audit(app, by.actor, action, name, by.reason.to_owned()));
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(Paused { queue: queue(app, name).await?, is_replay: false }),
            Err(CommitError::Conflict(conflict)) => {
                if by.request.map(|request| request.winner(&conflict)).transpose()?.flatten().is_some() {
                    return Ok(Paused { queue: queue(app, name).await?, is_replay: true });
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the queue was paused and resumed too often meanwhile".to_owned()))
}

fn set_pause(change: &mut Change, found: Option<QueuePause>, name: &str, is_paused: bool, by: By<'_>) {
    let version = found.as_ref().map_or(1, |found| found.version.saturating_add(1));
    let (actor, reason) = (by.actor.clone(), by.reason.to_owned());
    let pause = QueuePause { queue: name.to_owned(), is_paused, actor, reason, version };
    match found {
        Some(found) => change.replace(Row::QueuePause(pause), found.version),
        None => change.insert(Row::QueuePause(pause)),
    }
}

/// Writes an act's entry, which is also what its request is remembered by.
fn leave_entry(app: &App, change: &mut Change, by: By<'_>, entry: AuditEntry) {
    if let Some(request) = by.request {
        request.remember(change, entry.id, app.now());
    }
    change.insert(Row::Audit(entry));
}

/// An entry of the audit trail about a queue or what gave up in it.
fn audit(app: &App, actor: &Actor, action: &str, subject: &str, reason: String) -> AuditEntry {
    let (action, subject) = (action.to_owned(), subject.to_owned());
    AuditEntry { id: app.audit_id(), at: app.now(), actor: actor.clone(), action, subject, reason, outcome: None }
}
