//! The audit trail: what people did, to what, and why. An entry is part of the act's own commit, so that there is no act
//! without one and no entry of what never happened. It must not name people but by their ids.

use super::App;
use ordermill_core::change::AuditEntry;
use ordermill_core::event::Actor;

/// What somebody did.
pub(super) struct Act<'a> {
    /// Who.
    pub(super) actor: &'a Actor,
    /// What, such as `api_key.revoked`.
    pub(super) action: &'static str,
    /// To what.
    pub(super) subject: String,
    /// Why, in the person's words, or what exactly.
    pub(super) reason: String,
}

impl Act<'_> {
    /// The entry about it.
    pub(super) fn entry(self, app: &App) -> AuditEntry {
        let Self { actor, action, subject, reason } = self;
        AuditEntry { id: app.audit_id(), at: app.now(), actor: actor.clone(), action: action.to_owned(), subject, reason, outcome: None }
    }
}
