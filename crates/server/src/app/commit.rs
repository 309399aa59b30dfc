//! The one caller of `Store::commit`. An answer of "unknown" is asked again with the same change until it is known: the
//! change's id tells whether an earlier attempt was applied after all (F33). What a commit makes old is let go of here, so
//! that no act can forget it.

use super::orders::lists::{OrderLists, customers_of};
use super::{App, Clock, Metrics, StoreFault, StoreVerb};
use ordermill_core::change::Change;
use ordermill_core::id::UserId;
use ordermill_store::{CommitError, Store, failpoint};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// How often an unknown outcome is asked for again before the caller is told that nobody knows.
const TRIES: u32 = 5;
/// How long the first of these waits; each further one waits twice as long.
const WAIT: Duration = Duration::from_millis(20);

/// How often a decision that lost against a rival is taken again on what the rival left.
pub const DECISIONS: usize = 16;

/// Makes a change true, or says why not.
pub async fn commit(app: &App, change: &Arc<Change>) -> Result<(), CommitError> {
    let customers = customers_of(change);
    if customers.is_empty() {
        let ways = Ways { store: app.store.as_ref(), clock: app.clock.as_ref(), metrics: &app.metrics };
        return commit_until_known(ways, change).await;
    }
    // In a task of its own: a caller that goes away in the middle stops listening, and the commit happens all the same.
    let (store, clock, metrics) = (Arc::clone(&app.store), Arc::clone(&app.clock), Arc::clone(&app.metrics));
    let (lists, change) = (Arc::clone(&app.order_lists), Arc::clone(change));
    let task = async move {
        let ways = Ways { store: store.as_ref(), clock: clock.as_ref(), metrics: &metrics };
        let outcome = commit_until_known(ways, &change).await;
        if matches!(outcome, Ok(()) | Err(CommitError::Unknown(_))) {
            forget_lists(&lists, &customers).await;
        }
        outcome
    };
    match tokio::spawn(task.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(ended) => Err(CommitError::Unknown(ended.to_string())),
        },
    }
}

/// What a commit needs, so that it can go on without its caller.
#[derive(Clone, Copy)]
struct Ways<'a> {
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    metrics: &'a Metrics,
}

async fn commit_until_known(ways: Ways<'_>, change: &Arc<Change>) -> Result<(), CommitError> {
    let mut wait = WAIT;
    let mut doubt = None;
    for _ in 0..TRIES {
        match measured(ways, change).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(conflict)) if doubt.is_some() && conflict.was_me(change.id) => return Ok(()),
            Err(CommitError::Unknown(why)) => doubt = Some(why),
            // Unavailable means "certainly not now", which says nothing about the attempt before.
            Err(CommitError::Unavailable(_)) if doubt.is_some() => {}
            Err(other) => return Err(other),
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Err(CommitError::Unknown(doubt.unwrap_or_default()))
}

/// One attempt, counted.
async fn measured(ways: Ways<'_>, change: &Arc<Change>) -> Result<(), CommitError> {
    let begun = ways.clock.now();
    let answer = ways.store.commit(change).await;
    let took = ways.clock.now().micros() - begun.micros();
    ways.metrics.store_asked(StoreVerb::Commit, took, answer.as_ref().err().and_then(StoreFault::of_commit));
    answer
}

/// What is not let go of here is let go of by the change's own job (`worker/cache.rs`).
async fn forget_lists(lists: &OrderLists, customers: &[UserId]) {
    if failpoint::hit("lists.before_forget").is_err() {
        return;
    }
    for customer in customers {
        if let Err(away) = lists.forget(*customer).await {
            tracing::debug!(%away, "a customer's lists are left to the job");
        }
    }
}
