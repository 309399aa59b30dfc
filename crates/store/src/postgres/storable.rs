//! What Postgres cannot keep: text with U+0000. JSON bodies escape it, but key columns, payloads and actors are bare text.
//! Such input is refused at the edge long before; here it is turned away before it can spoil a batch. Nothing is ever
//! stripped: another text would be another key.

use super::keys::{has_nul, is_impossible, is_impossible_job};
use crate::CommitError;
use crate::encode::{Encoded, encode};
use ordermill_core::change::Change;
use std::sync::Arc;

/// Checks a change and writes its bodies.
pub(super) fn encode_storable(change: &Arc<Change>) -> Result<Encoded, CommitError> {
    let encoded = encode(change)?;
    if is_storable(change) {
        Ok(encoded)
    } else {
        Err(CommitError::Unavailable("the change holds text with U+0000, which Postgres cannot keep".to_owned()))
    }
}

fn is_storable(change: &Change) -> bool {
    let rows = change.puts.iter().all(|row| !row.keys().iter().any(is_impossible));
    let stock = change.stock.iter().all(|step| !has_nul(&step.key.sku) && !has_nul(&step.key.location));
    let events = change.events.iter().all(|event| !has_nul(event.kind.name()) && !has_nul(event.actor.as_str()));
    let jobs = change.jobs.iter().all(|job| !is_impossible_job(&job.key) && !has_nul(&job.payload));
    rows && stock && events && jobs
}
