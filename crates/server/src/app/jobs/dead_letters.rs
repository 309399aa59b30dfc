//! What people do with jobs that gave up: try them again as they were or put right, one or many, or throw them away.
//! Nothing here lets an effect happen under another key than before.

use super::audit;
use crate::app::commit::commit;
use crate::app::{App, Fault};
use ordermill_core::change::{Change, Effect, EffectState, Key, Row};
use ordermill_core::event::Actor;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{DeadLetter, JobKey, Payload};
use ordermill_core::order::intent::{ORDER_PAID_MAIL, effect_key};
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, DeadLetterQuery, failpoint};
use std::sync::Arc;

/// What the audit trail calls a dead letter that was thrown away; `fsck` reads it (I14).
const DISCARDED: &str = "dead_letter.discarded";

/// What became of a page of dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redriven {
    /// How many wait again.
    pub redriven: usize,
    /// How many somebody else had taken meanwhile.
    pub gone: usize,
    /// Where the next page begins; none at the end.
    pub cursor: Option<String>,
}

/// One dead letter.
pub async fn dead_letter(app: &App, key: &JobKey) -> Result<DeadLetter, Fault> {
    let query = DeadLetterQuery { key: Some(key.clone()), limit: 1, ..DeadLetterQuery::default() };
    app.store.dead_letters(&query).await?.rows.pop().ok_or_else(gone)
}

/// Lets a dead letter be tried again under its old identity, so that every effect keeps its key. Of two people who do it
/// at once, one succeeds and the other hears that it is gone (F28).
pub async fn redrive(app: &App, key: &JobKey, actor: &Actor, reason: &str) -> Result<DeadLetter, Fault> {
    let dead = dead_letter(app, key).await?;
    requeue(app, &dead, &dead, "dead_letter.redriven", actor, reason.to_owned()).await?;
    Ok(dead)
}

/// Does the same with a page of those that the query names, one commit each. What dies again meanwhile stands before the
/// page, so whoever follows the cursor meets each once.
pub async fn redrive_page(app: &App, query: &DeadLetterQuery, actor: &Actor, reason: &str) -> Result<Redriven, Fault> {
    let page = app.store.dead_letters(query).await?;
    let mut done = Redriven { cursor: page.cursor, ..Redriven::default() };
    for dead in page.rows {
        match requeue(app, &dead, &dead, "dead_letter.redriven", actor, reason.to_owned()).await {
            Ok(()) => done.redriven += 1,
            Err(Fault::Refused(Refusal::NotFound { .. })) => done.gone += 1,
            Err(other) => return Err(other),
        }
    }
    Ok(done)
}

/// Puts a dead letter's payload right and lets it be tried again. It stays about the same thing: its effects keep their
/// keys, so what was done is not done again. What it said before goes into the audit trail.
pub async fn edit(app: &App, key: &JobKey, payload: &str, actor: &Actor, reason: &str) -> Result<DeadLetter, Fault> {
    let dead = dead_letter(app, key).await?;
    let payload = Payload::decode(payload).ok_or_else(|| Refusal::invalid("payload", "is none that this version knows"))?;
    if !payload.fits(key) {
        let message = format!("is about {}:{}, and the dead letter is {key}", payload.queue(), payload.group());
        return Err(Refusal::invalid("payload", message).into());
    }
    let edited = dead.clone().with_payload(&payload);
    let reason = format!("{reason} (it was {})", dead.payload);
    requeue(app, &dead, &edited, "dead_letter.edited", actor, reason).await?;
    Ok(edited)
}

/// Throws a dead letter away. What it was to see to is left to people in the same commit: a received event is quarantined,
/// a mail that may have gone out goes under review.
pub async fn discard(app: &App, key: &JobKey, actor: &Actor, reason: &str) -> Result<DeadLetter, Fault> {
    let dead = dead_letter(app, key).await?;
    let mut change = Change::new(app.change_id());
    change.delete(Key::DeadLetter(key.clone()), dead.version());
    change.insert(Row::Audit(audit(app, actor, DISCARDED, &key.to_string(), reason.to_owned())));
    match Payload::decode(&dead.payload) {
        Some(Payload::InboxApply { provider, event_id }) => {
            if let Some(Row::Inbox(entry)) = app.store.get(&Key::Inbox(provider, event_id)).await?.map(|stored| stored.row) {
                leave_event(&mut change, &entry, reason);
            }
        }
        Some(Payload::EmailOrderPaid { order_id }) => {
            let effect = Key::Effect(effect_key(order_id, ORDER_PAID_MAIL, &key.seq.to_string()));
            if let Some(Row::Effect(effect)) = app.store.get(&effect).await?.map(|stored| stored.row) {
                leave_effect(app, &mut change, &effect);
            }
        }
        // A mail with a token leaves no effect: whoever still wants one asks again.
        // A copy of a list comes to its end by its age.
        Some(Payload::StripeCreateIntent { .. } | Payload::EmailPasswordReset { .. } | Payload::CacheForgetOrders { .. }) | None => {}
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(dead),
        Err(CommitError::Conflict(_)) => Err(gone()),
        Err(other) => Err(other.into()),
    }
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
async fn requeue(app: &App, dead: &DeadLetter, next: &DeadLetter, action: &str, actor: &Actor, reason: String) -> Result<(), Fault> {
    let mut change = Change::new(app.change_id());
    change.delete(Key::DeadLetter(dead.key.clone()), dead.version());
    change.jobs.push(next.redrive());
    change.insert(Row::Audit(audit(app, actor, action, &dead.key.to_string(), reason)));
    failpoint::hit("redrive.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(()),
        Err(CommitError::Conflict(_)) => Err(gone()),
        Err(other) => Err(other.into()),
    }
}

fn gone() -> Fault {
    Refusal::NotFound { what: "dead letter" }.into()
}
