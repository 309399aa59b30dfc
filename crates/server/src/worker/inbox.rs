//! Moves received events on that could not be applied when they came: those whose order did not exist yet, those that only
//! hint at an object to be read from the provider, and those that name nothing but a payment that no order had.

mod reading;

use super::Handled;
use crate::app::payments::inbox::OTHER_MODE;
use crate::app::payments::ingest::{Companion, Ingested, Tidings, ingest};
use crate::app::{App, Fault};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::id::ChangeId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{Finish, Job, Queue, Report, RetryPolicy};
use ordermill_core::payment::{OrderLinks, Provider};
use ordermill_core::stripe::{self, Meaning};
use reading::Unread;

/// How long an object is looked for that the provider does not know. It knew it when it made the event, so either our key
/// opens another account than the event is from, which no waiting changes, or the answer was about to be true.
const MISSING_MS_MAX: i64 = 3_600_000;

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
    let attempt = Attempt { app, job, entry };
    let event = match stripe::parse(attempt.entry.body.as_bytes()) {
        Ok(event) => event,
        Err(fault) => return Ok(attempt.close(InboxState::Quarantined, &fault.to_string())),
    };
    if event.is_of_other_mode(app.stripe.mode()) {
        return Ok(attempt.close(InboxState::Unrelated, OTHER_MODE));
    }
    match event.meaning {
        Meaning::Fact(fact) => attempt.bring_home(Tidings { fact, links: event.links }).await,
        Meaning::Hint(hint) => match reading::follow(app, &hint).await {
            Ok(tidings) => attempt.take_in(&tidings).await,
            Err(unread) => attempt.without_reading(unread),
        },
        Meaning::Ignored => attempt.take_in(&[]).await,
    }
}

/// What became of one fact.
enum Settled {
    Applied,
    NotOurs,
    OfUnknownPayment(String),
}

/// One attempt at one received event.
struct Attempt<'a> {
    app: &'a App,
    job: &'a Job,
    entry: InboxEntry,
}

impl Attempt<'_> {
    /// Applies the event's fact. If it names nothing but its payment, the payment itself is read: it says whose it is, and
    /// how far it got besides. Nothing is read when the payment became known meanwhile.
    async fn bring_home(&self, tidings: Tidings) -> Result<Handled, Report> {
        let reference = match self.settle(&tidings, &self.last()).await? {
            Settled::Applied => return Ok(Handled::settled()),
            Settled::NotOurs => return Ok(self.close_as_strange()),
            Settled::OfUnknownPayment(reference) => reference,
        };
        match reading::payment(self.app, &reference).await {
            Ok(Some(payment)) => {
                let links = OrderLinks { payment_reference: Some(payment.fact.reference.clone()), ..payment.links.clone() };
                self.take_in(&[payment, Tidings { links, ..tidings }]).await
            }
            // A charge from before payment intents: ours all have one.
            Ok(None) => Ok(self.close_as_strange()),
            Err(unread) => self.without_reading(unread),
        }
    }

    /// Applies what was read, the last fact together with the end of the job.
    async fn take_in(&self, tidings: &[Tidings]) -> Result<Handled, Report> {
        let Some((last, earlier)) = tidings.split_last() else {
            return Ok(self.close(InboxState::Unrelated, "the provider's object moves nothing"));
        };
        for tidings in earlier {
            self.settle(tidings, &Companion::Nothing).await?;
        }
        match self.settle(last, &self.last()).await? {
            Settled::Applied => Ok(Handled::settled()),
            // The payment was read, and names nobody either.
            Settled::NotOurs | Settled::OfUnknownPayment(_) => Ok(self.close_as_strange()),
        }
    }

    async fn settle(&self, tidings: &Tidings, companion: &Companion) -> Result<Settled, Report> {
        let app = self.app;
        let change_id = ChangeId::new(app.now().unix_ms(), app.random());
        match ingest(app, tidings, companion, change_id).await {
            Ok(Ingested::Applied(_) | Ingested::LostLease | Ingested::Duplicate(_)) => Ok(Settled::Applied),
            Ok(Ingested::NotOurs) => Ok(Settled::NotOurs),
            Ok(Ingested::OfUnknownPayment(reference)) => Ok(Settled::OfUnknownPayment(reference)),
            Ok(Ingested::NoOrder) => {
                let waited_ms = app.now().ms_since(self.entry.received_at);
                Err(Report::NotYet { why: format!("its order does not exist after {} s", waited_ms / 1_000) })
            }
            Err(Fault::Unavailable(why)) => Err(Report::NotYet { why }),
            Err(other) => Err(Report::Failed { why: other.to_string() }),
        }
    }

    /// The event's row and the job's end, for the commit of the last fact.
    fn last(&self) -> Companion {
        let done = RetryPolicy::of(Queue::Inbox).finish(self.job, Report::Done, 0.0);
        Companion::OpenEntry(self.entry.clone(), Finish { claim: self.job.claim(), ..done })
    }

    /// What an attempt comes to that could not read what it needs. A missing object is somebody else's, in the end: an
    /// account may be shared, and a platform hears of accounts that its key does not open. Nobody is alarmed.
    fn without_reading(&self, unread: Unread) -> Result<Handled, Report> {
        let why = "Stripe does not know the object that it names";
        match unread {
            Unread::Missing if self.job.age_ms >= MISSING_MS_MAX => Ok(self.close(InboxState::Unrelated, why)),
            Unread::Missing => Err(Report::NotYet { why: why.to_owned() }),
            Unread::Report(report) => Err(report),
        }
    }

    fn close_as_strange(&self) -> Handled {
        self.close(InboxState::Unrelated, "it is about nothing of ours")
    }

    /// Ends an event that moves no order, together with its job.
    fn close(&self, state: InboxState, why: &str) -> Handled {
        let next = InboxEntry { state, outcome: why.to_owned(), version: self.entry.version + 1, ..self.entry.clone() };
        let mut change = Change::new(self.app.change_id());
        change.replace(Row::Inbox(next), self.entry.version);
        Handled::done_with(change)
    }
}
