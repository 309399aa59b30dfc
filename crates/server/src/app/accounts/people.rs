//! What admins do to other people's accounts: make them, look for them, change their role, set their password. Every act
//! leaves an entry in the audit trail in its own commit; entries name accounts by id, never by address.

use super::{Registration, check_password, find_user, may_sign_in, new_user};
use crate::app::audit::Act;
use crate::app::commit::{DECISIONS, commit};
use crate::app::idempotency::RequestKey;
use crate::app::{App, Fault};
use ordermill_core::account::{Role, User};
use ordermill_core::change::{Change, Guard, Key, Row};
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::id::UserId;
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, Page};
use std::sync::Arc;

/// How many accounts a search looks at before it returns a short page.
const SCANNED_MAX: usize = 1_000;

/// An account that stands.
#[derive(Debug, Clone)]
pub struct Made {
    /// The account.
    pub user: User,
    /// Whether an earlier copy of the request did it.
    pub is_replay: bool,
}

/// A password that an admin sets.
pub struct NewPassword<'a> {
    /// In the clear; goes no further than the hasher.
    pub password: String,
    /// Who sets it.
    pub actor: &'a Actor,
    /// Why.
    pub reason: &'a str,
}

/// Makes an account of any role. Nobody is signed in by it.
pub async fn create(app: &App, registration: Registration, actor: &Actor, request: Option<RequestKey>) -> Result<Made, Fault> {
    check_password(app, &registration.password)?;
    let email_key = Key::UserEmail(registration.email.as_str().to_owned());
    // Looked up first only to spare the hashing; the guard on the address decides.
    if app.store.get(&email_key).await?.is_some() {
        let earlier = match request {
            Some(request) => request.earlier(app).await?,
            None => None,
        };
        let winner = earlier.ok_or(Refusal::EmailTaken)?;
        return Ok(Made { user: find(app, winner.user()).await?, is_replay: true });
    }
    let user = new_user(app, registration).await?;
    let mut change = Change::new(app.change_id());
    change.insert(Row::User(user.clone()));
    let (subject, reason) = (user.id.to_string(), user.role.name().to_owned());
    change.insert(Row::Audit(Act { actor, action: "user.created", subject, reason }.entry(app)));
    if let Some(request) = request {
        request.remember(&mut change, user.id, user.created_at);
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(Made { user, is_replay: false }),
        Err(CommitError::Conflict(conflict)) => match request.map(|request| request.winner(&conflict)).transpose()?.flatten() {
            Some(winner) => Ok(Made { user: find(app, winner.user()).await?, is_replay: true }),
            None if conflict.is_taken(&email_key) => Err(Refusal::EmailTaken.into()),
            None => Err(CommitError::Conflict(conflict).into()),
        },
        Err(other) => Err(other.into()),
    }
}

/// One account.
pub async fn find(app: &App, id: UserId) -> Result<User, Fault> {
    match app.store.get(&Key::User(id)).await?.map(|stored| stored.row) {
        Some(Row::User(user)) => Ok(user),
        _ => Err(Refusal::NotFound { what: "account" }.into()),
    }
}

/// Accounts, newest first. A whole address finds its account; a part of one is looked for in a limited number of accounts, so
/// that a page may be short and yet have a next one.
pub async fn list(app: &App, email: Option<&str>, mut page: Page<()>) -> Result<Page<User>, Fault> {
    let Some(part) = email else { return Ok(app.store.users(&page).await?) };
    if let Some(email) = Email::parse(part) {
        let found = find_user(app, &email).await?;
        return Ok(Page::of(found.into_iter().collect(), None, page.limit));
    }
    let part = part.to_lowercase();
    for _ in 0..SCANNED_MAX.div_ceil(page.limit) {
        let found = app.store.users(&page).await?;
        let rows: Vec<_> = found.rows.into_iter().filter(|user| user.email.as_str().contains(&part)).collect();
        if !rows.is_empty() || found.cursor.is_none() {
            return Ok(Page::of(rows, found.cursor, page.limit));
        }
        page.cursor = found.cursor;
    }
    Ok(Page::of(Vec::new(), page.cursor, page.limit))
}

/// Gives an account another role. The last admin keeps theirs: the change is guarded by another admin's row, so that of two
/// who demote each other at once only one succeeds.
pub async fn set_role(app: &App, id: UserId, role: Role, actor: &Actor, reason: &str) -> Result<User, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let found = find(app, id).await?;
        if found.role == role {
            return Ok(found);
        }
        let other = if found.role == Role::Admin { other_admin(app, id).await? } else { None };
        let changed = found.with_role(role, other.is_none())?;
        let mut change = Change::new(change_id);
        change.replace(Row::User(changed.clone()), found.version);
        if let Some(other) = other {
            change.expects.push(Guard::Version(Key::User(other.id), other.version));
        }
        let reason = format!("{} to {}: {reason}", found.role.name(), role.name());
        change.insert(Row::Audit(Act { actor, action: "user.role_set", subject: id.to_string(), reason }.entry(app)));
        match commit(app, &Arc::new(change)).await {
            Ok(()) => {
                app.sessions.forget_user(id);
                return Ok(changed);
            }
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(too_many())
}

/// Another admin who can sign in here. There is no index: whoever takes an admin's role away waits for a look at everybody.
async fn other_admin(app: &App, id: UserId) -> Result<Option<User>, Fault> {
    let mut page = Page::first(SCANNED_MAX);
    loop {
        let found = app.store.users(&page).await?;
        let mut admins = found.rows.into_iter().filter(|user| user.role == Role::Admin && user.id != id && may_sign_in(app, user));
        if let Some(admin) = admins.next() {
            return Ok(Some(admin));
        }
        match found.cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(None),
        }
    }
}

/// Sets an account's password. Every session of it ends: here at once, on other nodes within seconds.
pub async fn set_password(app: &App, id: UserId, new: NewPassword<'_>, request: Option<RequestKey>) -> Result<Made, Fault> {
    let NewPassword { password, actor, reason } = new;
    check_password(app, &password)?;
    find(app, id).await?;
    let password_hash = app.passwords.hash(password).await?;
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let found = find(app, id).await?;
        let changed = found.with_password(password_hash.clone());
        let mut change = Change::new(change_id);
        change.replace(Row::User(changed.clone()), found.version);
        let audit = Act { actor, action: "user.password_set", subject: id.to_string(), reason: reason.to_owned() }.entry(app);
        if let Some(request) = request {
            request.remember(&mut change, id, audit.at);
        }
        change.insert(Row::Audit(audit));
        match commit(app, &Arc::new(change)).await {
            Ok(()) => {
                app.sessions.forget_user(id);
                return Ok(Made { user: changed, is_replay: false });
            }
            Err(CommitError::Conflict(conflict)) => {
                if request.map(|request| request.winner(&conflict)).transpose()?.flatten().is_some() {
                    return Ok(Made { user: find(app, id).await?, is_replay: true });
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(too_many())
}

fn too_many() -> Fault {
    Fault::Unavailable("the account is being changed by too many requests".to_owned())
}
