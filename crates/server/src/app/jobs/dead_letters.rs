//! What people do with jobs that gave up: try them again as they were or put right, one or many, or throw them away.
//! Nothing here lets an effect happen under another key than before.

use super::{By, audit, leave_entry};
use crate::app::commit::commit;
use crate::app::idempotency::entry_of;
use crate::app::{App, Fault};
use ordermill_core::admit::Conflict;
use ordermill_core::change::{AuditEntry, Change, Effect, EffectState, Key, Row};
use ordermill_core::id::OrderId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey, Payload};
use ordermill_core::order::intent::{ORDER_PAID_MAIL, ORDER_RECEIVED_MAIL, effect_key};
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, DeadLetterQuery, failpoint};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the audit trail calls a dead letter that was thrown away; `fsck` reads it (I14).
const DISCARDED: &str = "dead_letter.discarded";

/// What the audit trail calls a dead letter that is tried again.
const REDRIVEN: &str = "dead_letter.redriven";
/// What it calls a request that tried many again, where the request may arrive again.
const REDRIVEN_MANY: &str = "dead_letters.redriven";

/// Something done to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The entry that it left.
    pub entry: AuditEntry,
    /// Whether an earlier copy of the request did it.
    pub is_replay: bool,
}

/// What became of a page of dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    /// How many wait again.
    pub redriven: usize,
    /// How many somebody else had taken meanwhile.
    pub gone: usize,
    /// Where the next page begins; none at the end.
    pub cursor: Option<String>,
    /// Whether an earlier copy of the request did it.
    #[serde(skip)]
    pub is_replay: bool,
}

/// One dead letter.
pub async fn dead_letter(app: &App, key: &JobKey) -> Result<DeadLetter, Fault> {
    let query = DeadLetterQuery { key: Some(key.clone()), limit: 1, ..DeadLetterQuery::default() };
    app.store.dead_letters(&query).await?.rows.pop().ok_or_else(gone)
}

/// Lets a dead letter be tried again under its old identity, so that every effect keeps its key. Of two people who do it
/// at once, one succeeds and the other hears that it is gone (F28).
pub async fn redrive(app: &App, key: &JobKey, by: By<'_>) -> Result<Acted, Fault> {
    match dead_letter(app, key).await {
        Ok(dead) => requeue(app, &dead, &dead, by, audit(app, by.actor, REDRIVEN, &key.to_string(), by.reason.to_owned())).await,
        Err(fault) => replay_or(app, by, fault).await,
    }
}

/// Does the same with a page of those that the query names, one commit each. What dies again meanwhile stands before the
/// page, so whoever follows the cursor meets each once.
///
/// The request is remembered last: a copy of one that was cut short goes on with what is still dead.
pub async fn redrive_page(app: &App, query: &DeadLetterQuery, by: By<'_>) -> Result<Redriven, Fault> {
    if let Some(request) = by.request
        && let Some(earlier) = request.earlier(app).await?
    {
        return redriven_before(&entry_of(app, earlier).await?);
    }
    let page = app.store.dead_letters(query).await?;
    let mut done = Redriven { cursor: page.cursor, ..Redriven::default() };
    for dead in page.rows {
        let entry = audit(app, by.actor, REDRIVEN, &dead.key.to_string(), by.reason.to_owned());
        match requeue(app, &dead, &dead, By { request: None, ..by }, entry).await {
            Ok(_) => done.redriven += 1,
            Err(Fault::Refused(Refusal::NotFound { .. })) => done.gone += 1,
            Err(other) => return Err(other),
        }
    }
    if by.request.is_some() { remember_page(app, done, by).await } else { Ok(done) }
}

/// Keeps what became of a page for copies of the request, of which the first to do so answers for all.
async fn remember_page(app: &App, done: Redriven, by: By<'_>) -> Result<Redriven, Fault> {
    let outcome = serde_json::to_string(&done).map_err(|error| Fault::Internal(error.to_string()))?;
    let entry = audit(app, by.actor, REDRIVEN_MANY, "dead letters", by.reason.to_owned());
    let mut change = Change::new(app.change_id());
    leave_entry(app, &mut change, by, AuditEntry { outcome: Some(outcome), ..entry });
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(done),
        Err(CommitError::Conflict(conflict)) => redriven_before(&acted_before(app, &conflict, by).await?.entry),
        Err(other) => Err(other.into()),
    }
}

fn redriven_before(entry: &AuditEntry) -> Result<Redriven, Fault> {
    let outcome = entry.outcome.as_deref().and_then(|text| serde_json::from_str::<Redriven>(text).ok());
    let done = outcome.ok_or_else(|| Fault::Internal(format!("audit entry {} does not say what came of it", entry.id)))?;
    Ok(Redriven { is_replay: true, ..done })
}

/// Puts a dead letter's payload right and lets it be tried again. It stays about the same thing: its effects keep their
/// keys, so what was done is not done again. What it said before goes into the audit trail.
pub async fn edit(app: &App, key: &JobKey, payload: &str, by: By<'_>) -> Result<DeadLetter, Fault> {
    let dead = dead_letter(app, key).await?;
    let payload = Payload::decode(payload).ok_or_else(|| Refusal::invalid("payload", "is none that this version knows"))?;
    if !payload.fits(key) {
        let message = format!("is about {}:{}, and the dead letter is {key}", payload.queue(), payload.group());
        return Err(Refusal::invalid("payload", message).into());
    }
    let edited = dead.clone().with_payload(&payload);
    let reason = format!("{} (it was {})", by.reason, dead.payload);
    requeue(app, &dead, &edited, by, audit(app, by.actor, "dead_letter.edited", &key.to_string(), reason)).await?;
    Ok(edited)
}

/// Throws a dead letter away. What it was to see to is left to people in the same commit: a received event is quarantined,
/// a mail that may have gone out goes under review.
pub async fn discard(app: &App, key: &JobKey, by: By<'_>) -> Result<Acted, Fault> {
    let dead = match dead_letter(app, key).await {
        Ok(dead) => dead,
        Err(fault) => return replay_or(app, by, fault).await,
    };
    let mut change = Change::new(app.change_id());
    change.delete(Key::DeadLetter(key.clone()), dead.version());
    leave_to_people(app, &mut change, &dead, by.reason).await?;
    act(app, change, by, audit(app, by.actor, DISCARDED, &key.to_string(), by.reason.to_owned())).await
}

/// What a dead letter was to see to, once nobody will.
async fn leave_to_people(app: &App, change: &mut Change, dead: &DeadLetter, reason: &str) -> Result<(), Fault> {
    match Payload::decode(&dead.payload) {
        Some(Payload::InboxApply { provider, event_id }) => {
            if let Some(Row::Inbox(entry)) = app.store.get(&Key::Inbox(provider, event_id)).await?.map(|stored| stored.row) {
                leave_event(change, &entry, reason);
            }
        }
        Some(Payload::EmailOrderReceived { order_id }) => leave_mail(app, change, dead, (order_id, ORDER_RECEIVED_MAIL)).await?,
        Some(Payload::EmailOrderPaid { order_id }) => leave_mail(app, change, dead, (order_id, ORDER_PAID_MAIL)).await?,
        // A mail with a token leaves no effect: whoever still wants one asks again.
        // A copy of a list comes to its end by its age.
        Some(Payload::StripeCreateIntent { .. } | Payload::EmailPasswordReset { .. } | Payload::CacheForgetOrders { .. }) | None => {}
    }
    Ok(())
}

/// A mail that may have gone out.
async fn leave_mail(app: &App, change: &mut Change, dead: &DeadLetter, (order_id, kind): (OrderId, &str)) -> Result<(), Fault> {
    let effect = Key::Effect(effect_key(order_id, kind, &dead.key.seq.to_string()));
    if let Some(Row::Effect(effect)) = app.store.get(&effect).await?.map(|stored| stored.row) {
        leave_effect(app, change, &effect);
    }
    Ok(())
}

/// An event that no job moves on any more must not look as if one did.
fn leave_event(change: &mut Change, entry: &InboxEntry, reason: &str) {
    if entry.state.is_open() {
        let outcome = format!("its job was discarded: {reason}");
        let left = InboxEntry { state: InboxState::Quarantined, outcome, version: entry.version.saturating_add(1), ..entry.clone() };
        change.replace(Row::Inbox(left), entry.version);
    }
}

/// An effect that nobody will settle any more must not look as if somebody did.
fn leave_effect(app: &App, change: &mut Change, effect: &Effect) {
    if effect.state == EffectState::Intended {
        let version = effect.version.saturating_add(1);
        let left = Effect { state: EffectState::NeedsReview, at: app.now(), version, ..effect.clone() };
        change.replace(Row::Effect(left), effect.version);
    }
}

/// Takes a dead letter away and queues its job again, as it was or put right, in one commit.
async fn requeue(app: &App, dead: &DeadLetter, next: &DeadLetter, by: By<'_>, entry: AuditEntry) -> Result<Acted, Fault> {
    let mut change = Change::new(app.change_id());
    change.delete(Key::DeadLetter(dead.key.clone()), dead.version());
    change.jobs.push(next.redrive());
    failpoint::hit("redrive.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    act(app, change, by, entry).await
}

/// Commits an act on a dead letter with its entry. Whoever loses was too late, unless a copy of the request won.
async fn act(app: &App, mut change: Change, by: By<'_>, entry: AuditEntry) -> Result<Acted, Fault> {
    leave_entry(app, &mut change, by, entry.clone());
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(Acted { entry, is_replay: false }),
        Err(CommitError::Conflict(conflict)) => acted_before(app, &conflict, by).await,
        Err(other) => Err(other.into()),
    }
}

/// What a copy of the request did, if that is what a commit lost against.
async fn acted_before(app: &App, conflict: &Conflict, by: By<'_>) -> Result<Acted, Fault> {
    let winner = by.request.map(|request| request.winner(conflict)).transpose()?.flatten().ok_or_else(gone)?;
    Ok(Acted { entry: entry_of(app, winner).await?, is_replay: true })
}

/// What an earlier copy of the request did, else the fault that this one met.
async fn replay_or(app: &App, by: By<'_>, fault: Fault) -> Result<Acted, Fault> {
    let Some(request) = by.request else { return Err(fault) };
    let earlier = request.earlier(app).await?.ok_or(fault)?;
    Ok(Acted { entry: entry_of(app, earlier).await?, is_replay: true })
}

fn gone() -> Fault {
    Refusal::NotFound { what: "dead letter" }.into()
}
