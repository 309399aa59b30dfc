//! Sends the mails that commits decided on, each at most once more than crashes and lost answers make unavoidable.
//!
//! SMTP takes no key, so the effect ledger stands in for one (F18, F19): "intended" is committed before the mail goes
//! out, "confirmed" with the job's end. An intended effect that is found again may have been sent; the mail goes out once
//! more under the same `Message-ID`, which many mailboxes show once, and at most [`RESENDS_MAX`] times. What was certainly
//! *not* accepted takes its intention back, so it uses up no resend. This file must not know SMTP.

use super::Handled;
use crate::app::App;
use crate::app::commit::commit;
use crate::mail::{BankAccount, Message, MessageId, SendError, Sender, display_text};
use ordermill_core::change::{Change, Effect, EffectState, Guard, Key, Row};
use ordermill_core::contact::HeaderSafe;
use ordermill_core::digest::Digest;
use ordermill_core::id::OrderId;
use ordermill_core::job::{Job, Report};
use ordermill_core::order::intent::{ORDER_PAID_MAIL, ORDER_RECEIVED_MAIL, effect_key};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_store::{CommitError, OrderRef, failpoint};
use std::sync::Arc;

/// How often a mail is sent again without knowing whether the earlier one arrived.
pub const RESENDS_MAX: i32 = 2;

/// What a mail tells a customer of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderMail {
    /// That it stands, and how it is paid.
    Received,
    /// That the payment arrived.
    Paid,
}

impl OrderMail {
    /// The kind of its effect.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Received => ORDER_RECEIVED_MAIL,
            Self::Paid => ORDER_PAID_MAIL,
        }
    }

    /// Why it would only confuse by now, if it would.
    const fn is_moot(self, order: &Order) -> Option<&'static str> {
        match (self, order.status) {
            (Self::Received, OrderStatus::Cancelled) => Some("the order was cancelled"),
            (Self::Received, OrderStatus::Expired) => Some("the order expired"),
            (Self::Received | Self::Paid, _) => None,
        }
    }
}

/// Sends a mail about an order, once for the event that this job's number names.
pub async fn run(app: &App, job: &Job, order_id: OrderId, mail: OrderMail) -> Handled {
    match send(app, job, order_id, mail).await {
        Ok(handled) => handled,
        Err(report) => report.into(),
    }
}

async fn send(app: &App, job: &Job, order_id: OrderId, mail: OrderMail) -> Result<Handled, Report> {
    let key = effect_key(order_id, mail.kind(), &job.key.seq.to_string());
    let before = find(app, key).await?;
    match before.as_ref().map(|effect| effect.state) {
        Some(EffectState::Confirmed) => return Ok(Handled::done()),
        Some(EffectState::NeedsReview) => return Err(needs_review()),
        Some(EffectState::Intended) | None => {}
    }
    if let Some(effect) = before.as_ref().filter(|effect| effect.resends >= RESENDS_MAX) {
        return Ok(give_up(app, effect, needs_review()));
    }
    let order = app.store.order(&OrderRef::Id(order_id)).await.map_err(|error| store_away(&error))?;
    let order = order.ok_or_else(|| Report::Refused { why: "the order does not exist".to_owned() })?;
    super::about_order(&order);
    let moot = mail.is_moot(&order);
    // The mail is written before anything is intended: a text that cannot be filled in was certainly not sent.
    let message = write(app, key, order, mail)?;
    let attempt = Attempt::of(before, key, order_id, mail, app);
    if let Some(why) = moot {
        return Ok(attempt.leave_out(app, why));
    }
    intend(app, job, &attempt).await?;
    failpoint::hit("effect.intended").map_err(|fault| stumbled(&fault))?;
    let begun = app.now();
    let answer = app.mailer.send(&message).await;
    if answer.is_ok() && mail == OrderMail::Paid {
        // The job was queued by the payment's own commit.
        app.metrics.order_mailed(job.age_ms.saturating_add(app.now().ms_since(begun)));
    }
    failpoint::hit("provider.sent").map_err(|fault| stumbled(&fault))?;
    let handled = attempt.end(app, answer.map(|receipt| receipt.reference));
    failpoint::hit("provider.answered").map_err(|fault| stumbled(&fault))?;
    Ok(handled)
}

async fn find(app: &App, key: Digest) -> Result<Option<Effect>, Report> {
    match app.store.get(&Key::Effect(key)).await {
        Ok(Some(stored)) => match stored.row {
            Row::Effect(effect) => Ok(Some(effect)),
            _ => Err(Report::Refused { why: format!("the row under effect {key} is none") }),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(store_away(&error)),
    }
}

/// The mail as every attempt writes it.
fn write(app: &App, key: Digest, order: Order, mail: OrderMail) -> Result<Message, Report> {
    let from = Sender::parse(&app.config.mail.from).ok_or_else(|| Report::Refused { why: "mail.from is no address".to_owned() })?;
    let (locale, public_url, sepay) = (order.customer.locale, &app.config.server.public_url, &app.config.sepay);
    let account =
        BankAccount { bank: sepay.bank_bin.as_deref(), number: sepay.account_number.as_deref(), holder: sepay.account_name.as_deref() };
    let rendered = match mail {
        OrderMail::Received => app.templates.render_order_received(&order, account, locale, public_url),
        OrderMail::Paid => app.templates.render_order_paid(&order, locale, public_url),
    };
    let rendered = rendered.map_err(|error| Report::Failed { why: error.to_string() })?;
    Ok(Message {
        to_name: called(&order),
        to: order.customer.email,
        message_id: MessageId::of(&key, &from),
        from,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
    })
}

fn called(order: &Order) -> Option<HeaderSafe> {
    let name = display_text(order.customer.name.as_deref()?);
    (!name.is_empty()).then(|| HeaderSafe::from_lossy(&name))
}

/// One attempt to send: what the ledger said before it, and what it says while the mail is on its way.
struct Attempt {
    before: Option<Effect>,
    intended: Effect,
}

impl Attempt {
    fn of(before: Option<Effect>, key: Digest, order_id: OrderId, mail: OrderMail, app: &App) -> Self {
        let intended = match &before {
            Some(effect) => {
                Effect { resends: effect.resends.saturating_add(1), at: app.now(), version: next_version(effect), ..effect.clone() }
            }
            None => Effect {
                key,
                order_id,
                kind: mail.kind().to_owned(),
                state: EffectState::Intended,
                reference: None,
                resends: 0,
                at: app.now(),
                version: 1,
            },
        };
        Self { before, intended }
    }

    /// What the mailer's answer makes of the job and of the ledger.
    ///
    /// A refusal counts: after three the job is a dead letter that a person can redrive, with the mail certainly unsent.
    /// A provider that is away does not count and holds up the whole queue for a moment; a recipient that cannot take the
    /// mail now does not count and holds up nobody else. An unknown outcome counts and leaves the intention standing.
    fn end(self, app: &App, answer: Result<String, SendError>) -> Handled {
        match answer {
            Ok(reference) => Handled::done_with(self.confirm(app, reference)),
            Err(SendError::Refused { code, why }) => {
                let why = if why.contains(&code.to_string()) { why } else { format!("{code}: {why}") };
                Handled { change: Some(self.take_back(app)), ..Report::Failed { why }.into() }
            }
            Err(SendError::Later { why }) => {
                Handled { change: Some(self.take_back(app)), ..Report::Unavailable { why, retry_after_ms: None }.into() }
            }
            Err(SendError::PutOff { why }) => Handled { change: Some(self.take_back(app)), ..Report::NotYet { why }.into() },
            Err(SendError::Unknown { why }) if self.intended.resends >= RESENDS_MAX => {
                let why = format!("it is unknown whether the mail arrived, and it was sent {} times: {why}", RESENDS_MAX + 1);
                give_up(app, &self.intended, Report::Refused { why })
            }
            Err(SendError::Unknown { why }) => Report::Failed { why: format!("it is unknown whether the mail arrived: {why}") }.into(),
        }
    }

    /// Nothing is sent, or nothing more, and the ledger says why: this is the effect's one outcome.
    fn leave_out(&self, app: &App, why: &str) -> Handled {
        let Some(before) = &self.before else {
            let reference = Some(format!("not sent: {why}"));
            let settled = Effect { state: EffectState::Confirmed, reference, ..self.intended.clone() };
            let mut change = Change::new(app.change_id());
            change.insert(Row::Effect(settled));
            return Handled::done_with(change);
        };
        let reference = Some(format!("not sent again: {why}"));
        let (at, version) = (app.now(), next_version(before));
        let settled = Effect { state: EffectState::Confirmed, reference, at, version, ..before.clone() };
        Handled::done_with(replacing(app, before, settled))
    }

    fn confirm(&self, app: &App, reference: String) -> Change {
        let confirmed = Effect {
            state: EffectState::Confirmed,
            reference: Some(reference),
            at: app.now(),
            version: next_version(&self.intended),
            ..self.intended.clone()
        };
        replacing(app, &self.intended, confirmed)
    }

    /// The ledger as it was before this attempt, which certainly sent nothing: no row if there was none, else the doubt
    /// that an earlier attempt left, and no resend more.
    fn take_back(&self, app: &App) -> Change {
        if let Some(before) = &self.before {
            let restored = Effect { at: app.now(), version: next_version(&self.intended), ..before.clone() };
            return replacing(app, &self.intended, restored);
        }
        let mut change = Change::new(app.change_id());
        change.delete(Key::Effect(self.intended.key), self.intended.version);
        change
    }
}

/// Commits that the mail is about to be sent, provided the job is still ours: whoever slept through the lease must not
/// send beside its successor (F16).
async fn intend(app: &App, job: &Job, attempt: &Attempt) -> Result<(), Report> {
    let mut change = Change::new(app.change_id());
    match &attempt.before {
        Some(before) => change.replace(Row::Effect(attempt.intended.clone()), before.version),
        None => change.insert(Row::Effect(attempt.intended.clone())),
    }
    change.expects.push(Guard::LeaseHeld(job.claim()));
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(()),
        // With the lease gone the end of this attempt finds the same, and the worker leaves the job alone.
        Err(error @ (CommitError::Conflict(_) | CommitError::Unavailable(_) | CommitError::Unknown(_))) => Err(store_away(&error)),
        Err(error) => Err(Report::Failed { why: error.to_string() }),
    }
}

/// Leaves the effect to a person.
fn give_up(app: &App, effect: &Effect, report: Report) -> Handled {
    let left = Effect { state: EffectState::NeedsReview, at: app.now(), version: next_version(effect), ..effect.clone() };
    Handled { change: Some(replacing(app, effect, left)), ..report.into() }
}

fn needs_review() -> Report {
    Report::Refused { why: "it is unknown whether earlier mails arrived; a person must look before another is sent".to_owned() }
}

fn replacing(app: &App, found: &Effect, next: Effect) -> Change {
    let mut change = Change::new(app.change_id());
    change.replace(Row::Effect(next), found.version);
    change
}

const fn next_version(effect: &Effect) -> i64 {
    effect.version.saturating_add(1)
}

/// The store is away, which is neither the job's fault nor the mail server's: no attempt is counted, no circuit opened.
fn store_away(error: &dyn std::fmt::Display) -> Report {
    Report::NotYet { why: error.to_string() }
}

/// A crash test stopped this attempt: what was intended stays so, as after a real crash.
fn stumbled(fault: &failpoint::Injected) -> Report {
    Report::Failed { why: fault.to_string() }
}
