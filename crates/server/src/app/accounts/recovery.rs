//! A new password for somebody who forgot the old one: a token by mail that works once and for an hour.

use super::attempts::{self, LOGIN, PASSWORD_RESET};
use super::{check_password, find_user};
use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault};
use ordermill_core::account::{OneTimeToken, RESET_MAILS_MAX, TokenPurpose, User};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use ordermill_core::job::{JobKey, NewJob, Payload};
use ordermill_core::refusal::Refusal;
use ordermill_store::CommitError;
use std::sync::Arc;

/// Takes note that the owner of an address wants a new password. Whether it has an account shows neither in the answer nor in
/// the work: the same rows are read, and one commit counts the wish; that of an account also queues a mail. Beyond the limit
/// nothing more is sent, silently, because the refusal would tell whose mailbox is being filled.
pub async fn forgot_password(app: &App, email: &Email) -> Result<(), Fault> {
    let scope = attempts::scope(PASSWORD_RESET, email);
    let id = app.change_id();
    for _ in 0..DECISIONS {
        let asked = attempts::find(app, scope).await?;
        let user = find_user(app, email).await?;
        let now = app.now();
        if attempts::check(asked.as_ref(), RESET_MAILS_MAX, now).is_err() {
            return Ok(());
        }
        let mut change = Change::new(id);
        attempts::add(&mut change, asked.as_ref(), scope, now);
        if let Some(user) = user {
            // The group is no order's, and the time tells the wishes of one account apart: two at once meet in the count.
            let payload = Payload::EmailPasswordReset { user_id: user.id };
            change.jobs.push(NewJob::new(JobKey::new(payload.queue(), payload.group(), now.micros()), &payload));
        }
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("too many wishes for one address at once".to_owned()))
}

/// Sets the password of the account that the token was made for, uses the token up, ends every session begun before, and
/// opens the account if failed log-ins had closed it: all in one commit, so of two uses at once one wins.
pub async fn reset_password(app: &App, token: &str, password: String) -> Result<(), Fault> {
    check_password(app, &password)?;
    let digest = Digest::of(token.as_bytes());
    // Looked up first so that only a good token costs the hashing; what is found after it decides.
    find_good(app, digest).await?;
    let password_hash = app.passwords.hash(password).await?;
    let id = app.change_id();
    for _ in 0..DECISIONS {
        let found = find_good(app, digest).await?;
        let user = found.with_password(password_hash.clone());
        let failed = attempts::find(app, attempts::scope(LOGIN, &user.email)).await?;
        let mut change = Change::new(id);
        change.delete(Key::OneTimeToken(digest), 1);
        change.replace(Row::User(user), found.version);
        if let Some(failed) = failed {
            change.delete(Key::Throttle(failed.scope), failed.version);
        }
        let done = commit(app, &Arc::new(change)).await;
        app.sessions.forget_user(found.id);
        match done {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the account is being changed by too many requests".to_owned()))
}

/// The account of a token that may set its password.
async fn find_good(app: &App, token: Digest) -> Result<User, Fault> {
    let Some(token) = find_token(app, token).await? else { return Err(Refusal::InvalidToken.into()) };
    let stored = app.store.get(&Key::User(token.user_id)).await?;
    let user = stored.and_then(|stored| if let Row::User(user) = stored.row { Some(user) } else { None });
    let good = user.filter(|user| token.is_good(TokenPurpose::PasswordReset, user, app.now()));
    good.ok_or_else(|| Refusal::InvalidToken.into())
}

async fn find_token(app: &App, token: Digest) -> Result<Option<OneTimeToken>, Fault> {
    let stored = app.store.get(&Key::OneTimeToken(token)).await?;
    Ok(stored.and_then(|stored| if let Row::OneTimeToken(token) = stored.row { Some(token) } else { None }))
}
