//! Counting what somebody may do only so often for one address, in the store, so that every node counts the same. Addresses
//! with an account and without one are counted alike: the counting tells nobody which is which.

use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault};
use ordermill_core::account::Throttle;
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::CommitError;
use std::sync::Arc;

/// Failed log-ins.
pub(super) const LOGIN: &str = "login";
/// Mails with a token for a new password.
pub(super) const PASSWORD_RESET: &str = "password_reset";

/// What is counted together: one kind of act for one address, in whatever spelling.
pub(super) fn scope(what: &str, email: &Email) -> Digest {
    Digest::of_parts(&[what.as_bytes(), email.as_str().as_bytes()])
}

/// What was counted so far.
pub(super) async fn find(app: &App, scope: Digest) -> Result<Option<Throttle>, Fault> {
    let stored = app.store.get(&Key::Throttle(scope)).await?;
    Ok(stored.and_then(|stored| if let Row::Throttle(found) = stored.row { Some(found) } else { None }))
}

/// Refuses while there were too many.
pub(super) fn check(found: Option<&Throttle>, max: i32, now: Timestamp) -> Result<(), Refusal> {
    match found.and_then(|found| found.closed_for_ms(max, now)) {
        Some(left_ms) => Err(Refusal::TooManyAttempts { retry_after_s: u32::try_from(left_ms.div_euclid(1_000) + 1).unwrap_or(u32::MAX) }),
        None => Ok(()),
    }
}

/// Adds one more to a change, after what was found.
pub(super) fn add(change: &mut Change, found: Option<&Throttle>, scope: Digest, now: Timestamp) {
    let next = Throttle::one_more(found, scope, now);
    match found {
        Some(found) => change.replace(Row::Throttle(next), found.version),
        None => change.insert(Row::Throttle(next)),
    }
}

/// Counts one more, or refuses if rivals used up the limit first: of any number at once exactly `max` come through. Nobody
/// loses more often than the limit allows winners, so the rounds suffice.
pub(super) async fn count(app: &App, scope: Digest, max: i32) -> Result<(), Fault> {
    let id = app.change_id();
    for _ in 0..DECISIONS {
        let found = find(app, scope).await?;
        let now = app.now();
        check(found.as_ref(), max, now)?;
        let mut change = Change::new(id);
        add(&mut change, found.as_ref(), scope, now);
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("too many attempts for one address at once".to_owned()))
}
