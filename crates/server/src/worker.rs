//! Carries out what commits decided on: claim, run, finish.
//!
//! A handler runs with no transaction open, under a deadline and a heartbeat, isolated from panics, and its end is
//! committed only if the lease and the attempt are still ours: a worker that slept through its lease stops and undoes
//! nothing (F16). What a job does stands in one file per consumer; this file must not know any of them but by name.

mod cache;
pub mod email;
pub mod inbox;
mod password_reset;
mod pool;

pub use pool::{run, run_due};

use crate::app::commit::commit;
use crate::app::{App, payments};
use email::OrderMail;
use futures_util::FutureExt;
use ordermill_core::change::Change;
use ordermill_core::job::{Job, Outcome, Payload, Queue, Report, RetryPolicy};
use ordermill_core::order::Order;
use ordermill_store::{CommitError, failpoint};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// What a consumer made of a job: its report, and what must become true in the same commit as the job's end.
#[derive(Debug)]
pub struct Handled {
    /// How it went.
    pub report: Report,
    /// What goes into the same commit.
    pub change: Option<Change>,
    /// The consumer has committed the job's end itself, or found that the job is no longer ours.
    pub is_settled: bool,
}

impl Handled {
    /// Done, with nothing more to write.
    pub const fn done() -> Self {
        Self { report: Report::Done, change: None, is_settled: false }
    }

    /// Done, with a change for the same commit.
    pub const fn done_with(change: Change) -> Self {
        Self { report: Report::Done, change: Some(change), is_settled: false }
    }

    /// The job's end is written already.
    pub const fn settled() -> Self {
        Self { report: Report::Done, change: None, is_settled: true }
    }
}

impl From<Report> for Handled {
    fn from(report: Report) -> Self {
        Self { report, change: None, is_settled: false }
    }
}

/// Runs one claimed job to the end of this attempt. Every line that is logged meanwhile carries the consumer, the job, and
/// from `about_order` on the order.
pub async fn run_claimed(app: &App, queue: Queue, job: &Job) {
    let begun = app.now();
    run_attempt(app, queue, job).instrument(span(job)).await;
    app.metrics.job_tried(queue, app.now().micros() - begun.micros());
}

/// What a job's lines are found by.
fn span(job: &Job) -> Span {
    let consumer = job.key.queue.as_str();
    tracing::info_span!("job", consumer, job = %job.key, attempt = job.past.attempt, order = Empty)
}

/// Says which order the job that is running now is about.
pub(crate) fn about_order(order: &Order) {
    Span::current().record("order", &order.code);
}

async fn run_attempt(app: &App, queue: Queue, job: &Job) {
    let handled = match failpoint::hit("task.claimed") {
        Ok(()) => supervise(app, job).await,
        Err(fault) => Some(Report::Failed { why: fault.to_string() }.into()),
    };
    let Some(handled) = handled else {
        tracing::warn!("the lease was lost; leaving the job to whoever has it now");
        return;
    };
    if !handled.is_settled {
        finish(app, queue, job, handled).await;
    }
}

/// Runs the handler under its deadline and heartbeat. `None` when the lease was lost meanwhile.
async fn supervise(app: &App, job: &Job) -> Option<Handled> {
    let lease = Duration::from_millis(u64::try_from(app.config.worker.lease_ms).unwrap_or(30_000));
    let handler = AssertUnwindSafe(dispatch(app, job)).catch_unwind();
    // A handler that takes longer than its lease is taken for dead anyway; the heartbeat only covers slow commits.
    let handler = tokio::time::timeout(lease.mul_f32(0.8), handler);
    tokio::pin!(handler);
    let mut heartbeat = tokio::time::interval(lease / 3);
    heartbeat.tick().await;
    loop {
        tokio::select! {
            handled = &mut handler => return Some(match handled {
                Ok(Ok(handled)) => handled,
                Ok(Err(panic)) => Report::Failed { why: format!("the handler panicked: {}", panic_text(panic.as_ref())) }.into(),
                Err(_) => Report::Failed { why: "the handler took too long".to_owned() }.into(),
            }),
            _ = heartbeat.tick() => {
                if !still_ours(app, job).await {
                    return None;
                }
            }
        }
    }
}

async fn still_ours(app: &App, job: &Job) -> bool {
    if failpoint::hit("lease.refresh").is_err() {
        return true;
    }
    match app.store.extend(&[job.claim()], app.config.worker.lease_ms).await {
        Ok(held) => held.first().copied().unwrap_or(false),
        // The store did not answer, which does not mean that the lease is lost: the finish will tell.
        Err(_) => true,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Hands the job to its consumer.
async fn dispatch(app: &App, job: &Job) -> Handled {
    match Payload::decode(&job.payload) {
        Some(Payload::EmailOrderReceived { order_id }) => email::run(app, job, order_id, OrderMail::Received).await,
        Some(Payload::EmailOrderPaid { order_id }) => email::run(app, job, order_id, OrderMail::Paid).await,
        Some(Payload::EmailPasswordReset { user_id }) => password_reset::run(app, job, user_id).await,
        Some(Payload::InboxApply { provider, event_id }) => inbox::run(app, job, provider, &event_id).await,
        Some(Payload::StripeCreateIntent { order_id }) => payments::intent::create(app, job, order_id).await,
        Some(Payload::CacheForgetOrders { customer_id, .. }) => cache::run(app, job, customer_id).await,
        None => Report::NotYet { why: "only a newer version knows what to do with this job".to_owned() }.into(),
    }
}

/// Commits the end of the attempt, together with what the consumer wants true.
async fn finish(app: &App, queue: Queue, job: &Job, handled: Handled) {
    let Handled { report, change, .. } = handled;
    let jitter = jitter(app);
    let policy = RetryPolicy::of(queue);
    let mut change = change.unwrap_or_else(|| Change::new(app.change_id()));
    let end = policy.finish(job, report, jitter);
    note(app, queue, &end.outcome);
    change.finish(end);
    if failpoint::hit("task.before_commit").is_err() {
        return;
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => {
            if failpoint::hit("task.after_commit").is_err() {
                tracing::debug!("a fail point after a commit changes nothing");
            }
        }
        Err(CommitError::Conflict(conflict)) if conflict.lost_lease() => {
            tracing::warn!("finished too late: the job has another attempt now");
        }
        Err(CommitError::Conflict(conflict)) => {
            // What the consumer wanted to write no longer fits; the next attempt decides on what is there then.
            let mut again = Change::new(app.change_id());
            again.finish(policy.finish(job, Report::NotYet { why: conflict.to_string() }, jitter));
            if let Err(error) = commit(app, &Arc::new(again)).await {
                tracing::warn!(%error, "the end of an attempt could not be written; its lease will run out");
            }
        }
        Err(error) => tracing::warn!(%error, "the end of an attempt could not be written; its lease will run out"),
    }
}

/// Says once, where it is handled, what became of an attempt.
fn note(app: &App, queue: Queue, outcome: &Outcome) {
    match outcome {
        Outcome::Done => {
            app.metrics.job_done(queue);
            tracing::info!("a job is done");
        }
        Outcome::Retry { why, after_ms, counted } => {
            app.metrics.job_retried(queue);
            tracing::info!(counted, after_ms, why, "an attempt failed and will be repeated");
        }
        Outcome::Dead { why } => {
            app.metrics.job_died(queue);
            tracing::error!(why, "a job became a dead letter");
        }
    }
}

/// A uniform draw from 0 to 1.
pub(crate) fn jitter(app: &App) -> f64 {
    f64::from(u32::from_be_bytes(app.random())) / f64::from(u32::MAX)
}
