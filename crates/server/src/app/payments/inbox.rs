//! Takes a provider's webhook in: verified on its raw bytes, stored as it came, and applied in the same commit when it
//! can be. Only then the provider hears 2xx, so nothing acknowledged is ever lost (I6).

use super::ingest::{Companion, Ingested, Tidings, ingest};
use crate::app::audit::Act;
use crate::app::commit::commit;
use crate::app::idempotency::RequestKey;
use crate::app::{App, Fault};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;
use ordermill_core::id::ChangeId;
use ordermill_core::inbox::{InboxEntry, InboxState, keep};
use ordermill_core::job::{JobKey, NewJob, Payload, Queue};
use ordermill_core::payment::Provider;
use ordermill_core::refusal::Refusal;
use ordermill_core::stripe::{self, Meaning, SignatureFault};
use ordermill_store::{CommitError, failpoint};
use secrecy::ExposeSecret;
use std::sync::Arc;

/// How long an event that came before its order waits before it is tried again.
const FIRST_RETRY_MS: i64 = 200;
/// The longest provider event id that is believed.
const EVENT_ID_MAX: usize = 255;
/// Why an event that could be understood is in quarantine all the same.
const TOO_LARGE: &str = "its body is too large to be kept whole";
/// Why an event of the other mode moves nothing.
pub(crate) const OTHER_MODE: &str = "it is of the other mode (test or live) than our key";

/// What a webhook led to. All of these are a 2xx for the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is stored, in this state.
    Stored(InboxState),
    /// It was there already.
    Duplicate,
}

/// Why a webhook was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFault {
    /// It is not from the provider, or not from now. Nothing is stored.
    #[error("the signature does not hold: {}", .0.code())]
    Signature(SignatureFault),
    /// It could not be stored; the provider must send it again.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Takes one Stripe event in.
pub async fn receive_stripe(app: &App, header: &str, body: &[u8]) -> Result<Receipt, WebhookFault> {
    let secrets: Vec<&str> = app.config.stripe.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    if let Err(fault) = stripe::verify(header, body, &secrets, app.now().unix_s()) {
        app.metrics.webhook_refused(fault);
        return Err(WebhookFault::Signature(fault));
    }
    let receipt = store_event(app, Incoming::read(app, body)).await?;
    failpoint::hit("inbox.before_2xx").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    app.metrics.webhooks_received.inc();
    Ok(receipt)
}

/// A received event and what it says.
struct Incoming {
    entry: InboxEntry,
    meaning: Result<stripe::Event, String>,
}

impl Incoming {
    fn read(app: &App, body: &[u8]) -> Self {
        let parsed = stripe::parse(body).map_err(|fault| fault.to_string());
        let digest = Digest::of(body);
        let (event_id, kind) = match &parsed {
            Ok(event) => (event.id.clone(), event.kind.clone()),
            Err(_) => named(body).unwrap_or_else(|| (format!("sha256:{digest}"), String::new())),
        };
        let kept = keep(body, &digest);
        // What is not kept whole could not be read again: a person must look at it, as at what cannot be understood.
        let meaning = parsed.and_then(|event| if kept.is_whole { Ok(event) } else { Err(TOO_LARGE.to_owned()) });
        let entry = InboxEntry {
            provider: Provider::Stripe,
            event_id,
            kind,
            body: kept.text,
            body_digest: digest,
            state: InboxState::Quarantined,
            outcome: String::new(),
            order_id: None,
            received_at: app.now(),
            version: 1,
        };
        Self { entry, meaning }
    }
}

/// Id and type of an event that could otherwise not be understood.
fn named(body: &[u8]) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).map(ToOwned::to_owned);
    let id = text("id").filter(|id| !id.is_empty() && id.len() <= EVENT_ID_MAX && !id.contains('\0'))?;
    let kind = text("type").filter(|kind| kind.len() <= EVENT_ID_MAX && !kind.contains('\0'));
    Some((id, kind.unwrap_or_default()))
}

async fn store_event(app: &App, incoming: Incoming) -> Result<Receipt, Fault> {
    let change_id = app.change_id();
    failpoint::hit("inbox.before_commit").map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    let Incoming { entry, meaning } = incoming;
    let event = match meaning {
        Ok(event) => event,
        Err(why) => return store_as(app, entry, InboxState::Quarantined, &why, change_id).await,
    };
    let is_of_other_mode = event.is_of_other_mode(app.stripe.mode());
    match event.meaning {
        _ if is_of_other_mode => store_as(app, entry, InboxState::Unrelated, OTHER_MODE, change_id).await,
        Meaning::Ignored => store_as(app, entry, InboxState::Unrelated, "this type moves nothing", change_id).await,
        Meaning::Hint(_) => store_as(app, entry, InboxState::Reading, "asks us to read the object", change_id).await,
        Meaning::Fact(fact) => store_fact(app, entry, &Tidings { fact, links: event.links }, change_id).await,
    }
}

/// Stores an event with what it does to its order, or as one that has no order yet.
async fn store_fact(app: &App, entry: InboxEntry, tidings: &Tidings, change_id: ChangeId) -> Result<Receipt, Fault> {
    let (state, why) = match ingest(app, tidings, &Companion::NewEntry(entry.clone()), change_id).await {
        Ok(Ingested::Applied(_)) => return Ok(Receipt::Stored(InboxState::Applied)),
        Ok(Ingested::Duplicate(found)) => return duplicate(app, entry, found, change_id).await,
        Ok(Ingested::LostLease) => return Err(Fault::Internal("a webhook holds no lease".to_owned())),
        Ok(Ingested::NoOrder) => (InboxState::Waiting, "its order does not exist yet".to_owned()),
        Ok(Ingested::OfUnknownPayment(_)) => (InboxState::Reading, "no order has its payment yet".to_owned()),
        Ok(Ingested::NotOurs) => (InboxState::Unrelated, "it names nothing of ours".to_owned()),
        // The order has no room for it, and sending it again would not make any: a person must see to it.
        Err(Fault::Refused(refusal @ Refusal::TooLarge { .. })) => (InboxState::Quarantined, refusal.to_string()),
        Err(fault) => return Err(fault),
    };
    store_as(app, entry, state, &why, change_id).await
}

/// Stores an event that moves no order now, with the job that will move it on if one is needed.
async fn store_as(app: &App, entry: InboxEntry, state: InboxState, why: &str, change_id: ChangeId) -> Result<Receipt, Fault> {
    let entry = InboxEntry { state, outcome: why.to_owned(), ..entry };
    let key = Key::Inbox(entry.provider, entry.event_id.clone());
    let mut change = Change::new(change_id);
    if state.is_open() {
        change.jobs.push(apply_job(&entry).after(FIRST_RETRY_MS));
    }
    change.insert(Row::Inbox(entry.clone()));
    match commit(app, &Arc::new(change)).await {
        Ok(()) => {}
        Err(CommitError::Conflict(conflict)) => {
            return duplicate(app, entry, conflict.existing(&key).cloned().map(Box::new), change_id).await;
        }
        Err(other) => return Err(other.into()),
    }
    if state == InboxState::Quarantined {
        app.metrics.webhook_quarantined();
        tracing::warn!(event_id = entry.event_id, kind = entry.kind, why, "a signed event could not be understood");
    }
    Ok(Receipt::Stored(state))
}

/// The job that moves an open entry on. Its number is the entry's version, so that a replay is a job of its own.
fn apply_job(entry: &InboxEntry) -> NewJob {
    let payload = Payload::InboxApply { provider: entry.provider, event_id: entry.event_id.clone() };
    NewJob::new(JobKey::new(Queue::Inbox, format!("{}:{}", entry.provider.name(), entry.event_id), entry.version), &payload)
}

/// The same id came before. With the same body it is a repeat; with another it is not the same event, and a person must
/// look at it.
async fn duplicate(app: &App, entry: InboxEntry, found: Option<Box<Row>>, change_id: ChangeId) -> Result<Receipt, Fault> {
    let Some(Row::Inbox(first)) = found.map(|row| *row) else {
        return Err(Fault::Unavailable("the event is being stored by another request".to_owned()));
    };
    if first.body_digest == entry.body_digest {
        app.metrics.webhook_duplicates.inc();
        return Ok(Receipt::Duplicate);
    }
    let event_id = format!("{}#{}", entry.event_id, entry.body_digest);
    let second =
        InboxEntry { event_id, state: InboxState::Quarantined, outcome: "another body came under the same event id".to_owned(), ..entry };
    let mut change = Change::new(change_id);
    change.insert(Row::Inbox(second));
    match commit(app, &Arc::new(change)).await {
        Ok(()) | Err(CommitError::Conflict(_)) => Ok(Receipt::Duplicate),
        Err(other) => Err(other.into()),
    }
}

/// What is to be applied again, who says so and why.
pub struct Replay<'a> {
    /// Who sent the event.
    pub provider: Provider,
    /// The provider's id of it.
    pub event_id: &'a str,
    /// Who wants it.
    pub actor: &'a Actor,
    /// Why.
    pub reason: &'a str,
}

/// Lets a stored event be applied again by a job: for people who mended what was in its way. Says whether an earlier copy of
/// the request did it.
pub async fn replay(app: &App, asked: &Replay<'_>, request: Option<RequestKey>) -> Result<(InboxEntry, bool), Fault> {
    let Replay { provider, event_id, actor, reason } = *asked;
    let found = find(app, provider, event_id).await?;
    let entry =
        InboxEntry { state: InboxState::Waiting, outcome: format!("replayed: {reason}"), version: found.version + 1, ..found.clone() };
    let mut change = Change::new(app.change_id());
    change.jobs.push(apply_job(&entry));
    change.replace(Row::Inbox(entry.clone()), found.version);
    let subject = format!("{}:{event_id}", provider.name());
    let audit = Act { actor, action: "inbox.replayed", subject, reason: reason.to_owned() }.entry(app);
    if let Some(request) = request {
        request.remember(&mut change, audit.id, audit.at);
    }
    change.insert(Row::Audit(audit));
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok((entry, false)),
        Err(CommitError::Conflict(conflict)) => match request.map(|request| request.winner(&conflict)).transpose()?.flatten() {
            Some(_) => Ok((find(app, provider, event_id).await?, true)),
            None => Err(CommitError::Conflict(conflict).into()),
        },
        Err(other) => Err(other.into()),
    }
}

/// A stored event.
pub async fn find(app: &App, provider: Provider, event_id: &str) -> Result<InboxEntry, Fault> {
    match app.store.get(&Key::Inbox(provider, event_id.to_owned())).await?.map(|stored| stored.row) {
        Some(Row::Inbox(found)) => Ok(found),
        _ => Err(Refusal::NotFound { what: "received event" }.into()),
    }
}
