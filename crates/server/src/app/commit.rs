//! The one caller of `Store::commit`. An answer of "unknown" is asked again with the same change until it is known: the
//! change's id tells whether an earlier attempt was applied after all (F33).

use super::{App, StoreFault, StoreVerb};
use ordermill_core::change::Change;
use ordermill_store::CommitError;
use std::sync::Arc;
use std::time::Duration;

/// How often an unknown outcome is asked for again before the caller is told that nobody knows.
const TRIES: u32 = 5;
/// How long the first of these waits; each further one waits twice as long.
const WAIT: Duration = Duration::from_millis(20);

/// How often a decision that lost against a rival is taken again on what the rival left.
pub const DECISIONS: usize = 16;

/// Makes a change true, or says why not.
pub async fn commit(app: &App, change: &Arc<Change>) -> Result<(), CommitError> {
    let mut wait = WAIT;
    let mut doubt = None;
    for _ in 0..TRIES {
        match measured(app, change).await {
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
async fn measured(app: &App, change: &Arc<Change>) -> Result<(), CommitError> {
    let begun = app.now();
    let answer = app.store.commit(change).await;
    app.count_store(StoreVerb::Commit, begun, answer.as_ref().err().and_then(StoreFault::of_commit));
    answer
}
