//! Lets go of copies of a customer's order list that are old since a commit. The process that committed has done so already,
//! unless it died or the shared cache was away; this job sees to it either way. This file must not know what is kept where.

use super::Handled;
use crate::app::App;
use ordermill_core::id::UserId;
use ordermill_core::job::{Job, Report};

/// How much longer than a list lives may pass between the change and its end: a list that was read just before may be put
/// down that much later.
const LATE_MS: i64 = 60_000;

/// Lets go of the copies.
pub(super) async fn run(app: &App, job: &Job, customer: UserId) -> Handled {
    match app.order_lists.forget(customer).await {
        Ok(()) => Handled::done(),
        // By now every copy has come to its end by itself.
        Err(_) if job.age_ms > app.order_lists.ttl_ms().saturating_add(LATE_MS) => Handled::done(),
        // Not "unavailable": this node may be the only one that cannot reach the cache, and others take the job then.
        Err(away) => Report::NotYet { why: away.to_string() }.into(),
    }
}
