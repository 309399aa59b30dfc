//! What people may change about themselves.

use super::App;
use crate::app::Fault;
use crate::app::commit::{DECISIONS, commit};
use ordermill_core::account::User;
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::Phone;
use ordermill_core::locale::Locale;
use ordermill_core::refusal::Refusal;
use ordermill_core::id::UserId;
use ordermill_store::CommitError;
use std::sync::Arc;

/// A change to one's own account: an outer `None` leaves the field, an inner one empties it.
#[derive(Debug, Clone, Default)]
pub struct ProfileEdit {
    /// The name.
    pub name: Option<Option<String>>,
    /// The phone number.
    pub phone: Option<Option<Phone>>,
    /// The language of mails.
    pub locale: Option<Locale>,
    /// The push token of the person's device.
    pub fcm_token: Option<Option<String>>,
}

/// Changes an account; a rival's change to other fields is kept.
pub async fn edit_profile(app: &App, id: UserId, edit: &ProfileEdit) -> Result<User, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let stored = app.store.get(&Key::User(id)).await?;
        let Some(Row::User(mut user)) = stored.map(|stored| stored.row) else {
            return Err(Refusal::NotFound { what: "account" }.into());
        };
        let found_version = user.version;
        user.version += 1;
        apply(&mut user, edit);
        let mut change = Change::new(change_id);
        change.replace(Row::User(user.clone()), found_version);
        match commit(app, &Arc::new(change)).await {
            Ok(()) => {
                app.sessions.forget_user(id);
                return Ok(user);
            }
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the account is being changed by too many requests".to_owned()))
}

fn apply(user: &mut User, edit: &ProfileEdit) {
    if let Some(name) = &edit.name {
        user.name.clone_from(name);
    }
    if let Some(phone) = &edit.phone {
        user.phone.clone_from(phone);
    }
    if let Some(locale) = edit.locale {
        user.locale = locale;
    }
    if let Some(token) = &edit.fcm_token {
        user.fcm_token.clone_from(token);
    }
}
