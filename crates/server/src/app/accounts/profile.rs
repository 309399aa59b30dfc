//! What people may change about themselves.

use super::App;
use crate::app::Fault;
use crate::app::commit::{DECISIONS, commit};
use ordermill_core::account::{Notifications, User};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::Phone;
use ordermill_core::id::UserId;
use ordermill_core::locale::Locale;
use ordermill_core::refusal::Refusal;
use ordermill_store::CommitError;
use std::sync::Arc;

/// What happens to one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It gets this value, or none.
    Set(Option<T>),
}

impl<T: Clone> Edit<T> {
    fn apply(&self, field: &mut Option<T>) {
        if let Self::Set(value) = self {
            field.clone_from(value);
        }
    }
}

/// A change to one's own account.
#[derive(Debug, Clone, Default)]
pub struct ProfileEdit {
    /// The name.
    pub name: Edit<String>,
    /// The phone number.
    pub phone: Edit<Phone>,
    /// The language of mails.
    pub locale: Option<Locale>,
    /// The push token of the person's device.
    pub fcm_token: Edit<String>,
    /// What the person wants to hear of.
    pub notifications: Option<Notifications>,
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
    edit.name.apply(&mut user.name);
    edit.phone.apply(&mut user.phone);
    edit.fcm_token.apply(&mut user.fcm_token);
    if let Some(locale) = edit.locale {
        user.locale = locale;
    }
    if let Some(notifications) = edit.notifications {
        user.notifications = notifications;
    }
}
