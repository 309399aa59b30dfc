//! Moves received events on that could not be applied when they came: those whose order did not exist yet, and those
//! that only hint at an object to be read from the provider.

use super::Handled;
use crate::app::payments::ingest::{Companion, Ingested, Tidings, ingest};
use crate::app::payments::intent::report;
use crate::app::{App, Fault};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::id::ChangeId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{Finish, Job, Queue, Report, RetryPolicy};
use ordermill_core::payment::Provider;
use ordermill_core::stripe::{self, Hint, Meaning};
use serde_json::Value;

/// Moves one received event on.
pub async fn run(app: &App, job: &Job, provider: Provider, event_id: &str) -> Handled {
    match apply(app, job, provider, event_id).await {
        Ok(handled) => handled,
        Err(report) => report.into(),
    }
}

async fn apply(app: &App, job: &Job, provider: Provider, event_id: &str) -> Result<Handled, Report> {
    let stored = app.store.get(&Key::Inbox(provider, event_id.to_owned())).await;
    // A store that is away says nothing about the provider: no circuit opens.
    let stored = stored.map_err(|error| Report::NotYet { why: error.to_string() })?;
    let Some(Row::Inbox(entry)) = stored.map(|stored| stored.row) else {
        return Err(Report::Refused { why: "the received event is gone".to_owned() });
    };
    if !entry.state.is_open() {
        return Ok(Handled::done());
    }
    let event = match stripe::parse(entry.body.as_bytes()) {
        Ok(event) => event,
        Err(fault) => return Ok(close(app, &entry, InboxState::Quarantined, &fault.to_string())),
    };
    let facts = match event.meaning {
        Meaning::Fact(fact) => vec![Tidings { fact, links: event.links }],
        Meaning::Hint(hint) => read_hint(app, &hint).await?,
        Meaning::Ignored => Vec::new(),
    };
    let Some((last, earlier)) = facts.split_last() else {
        return Ok(close(app, &entry, InboxState::Unrelated, "the provider's object moves nothing"));
    };
    let change_id = app.change_id();
    for tidings in earlier {
        settle(app, &entry, ingest(app, tidings, &Companion::Nothing, ChangeId::new(app.now().unix_ms(), app.random())).await)?;
    }
    let done = RetryPolicy::of(Queue::Inbox).finish(job, Report::Done, 0.0);
    let finish = Finish { claim: job.claim(), ..done };
    let companion = Companion::OpenEntry(entry.clone(), finish);
    match settle(app, &entry, ingest(app, last, &companion, change_id).await)? {
        Settled::Applied => Ok(Handled::settled()),
        Settled::NotOurs => Ok(close(app, &entry, InboxState::Unrelated, "it names nothing of ours")),
    }
}

enum Settled {
    Applied,
    NotOurs,
}

fn settle(app: &App, entry: &InboxEntry, ingested: Result<Ingested, Fault>) -> Result<Settled, Report> {
    match ingested {
        Ok(Ingested::Applied(_) | Ingested::LostLease | Ingested::Duplicate(_)) => Ok(Settled::Applied),
        Ok(Ingested::NotOurs) => Ok(Settled::NotOurs),
        Ok(Ingested::NoOrder) => {
            let waited_ms = app.now().ms_since(entry.received_at);
            Err(Report::NotYet { why: format!("its order does not exist after {} s", waited_ms / 1_000) })
        }
        Err(Fault::Unavailable(why)) => Err(Report::NotYet { why }),
        Err(other) => Err(Report::Failed { why: other.to_string() }),
    }
}

/// Ends an event that moves no order, together with its job.
fn close(app: &App, entry: &InboxEntry, state: InboxState, why: &str) -> Handled {
    let next = InboxEntry { state, outcome: why.to_owned(), version: entry.version + 1, ..entry.clone() };
    let mut change = Change::new(app.change_id());
    change.replace(Row::Inbox(next), entry.version);
    Handled::done_with(change)
}

/// Reads the object that an event hints at, and the facts that it holds.
async fn read_hint(app: &App, hint: &Hint) -> Result<Vec<Tidings>, Report> {
    match hint {
        Hint::PaymentIntent(id) => read_intent(app, id).await.map(|tidings| vec![tidings]),
        Hint::Charge(id) => {
            let charge = app.stripe.read_charge(id).await.map_err(report)?;
            let mut tidings = match reference(&charge, "payment_intent") {
                Some(intent) => vec![read_intent(app, intent).await?],
                None => Vec::new(),
            };
            let refunds = app.stripe.read_refunds(id).await.map_err(report)?;
            for refund in refunds.get("data").and_then(Value::as_array).into_iter().flatten() {
                tidings.push(understand(stripe::fact_from_refund(refund))?);
            }
            Ok(tidings)
        }
        Hint::CheckoutSession(id) => {
            let session = app.stripe.read_checkout_session(id).await.map_err(report)?;
            read_named_intent(app, reference(&session, "payment_intent")).await
        }
        Hint::Invoice(id) => {
            let invoice = app.stripe.read_invoice(id).await.map_err(report)?;
            // Newer API versions list the invoice's payments, older ones name the one intent.
            let listed = invoice.pointer("/payments/data/0/payment").and_then(|payment| reference(payment, "payment_intent"));
            read_named_intent(app, listed.or_else(|| reference(&invoice, "payment_intent"))).await
        }
    }
}

async fn read_named_intent(app: &App, intent: Option<&str>) -> Result<Vec<Tidings>, Report> {
    match intent {
        Some(intent) => read_intent(app, intent).await.map(|tidings| vec![tidings]),
        None => Ok(Vec::new()),
    }
}

async fn read_intent(app: &App, id: &str) -> Result<Tidings, Report> {
    let intent = app.stripe.read_payment_intent(id).await.map_err(report)?;
    understand(stripe::fact_from_payment_intent(&intent))
}

fn understand<E: std::fmt::Display>(
    read: Result<(ordermill_core::payment::Fact, ordermill_core::payment::OrderLinks), E>,
) -> Result<Tidings, Report> {
    read.map(|(fact, links)| Tidings { fact, links }).map_err(|fault| Report::Failed { why: fault.to_string() })
}

/// An expandable field: an id, or the object itself.
fn reference<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    let value = object.get(field)?;
    value.as_str().or_else(|| value.get("id").and_then(Value::as_str))
}
