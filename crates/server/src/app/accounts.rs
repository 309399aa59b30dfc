//! Registering, signing in and out, knowing who asks. Tokens are opaque and only their digest is kept; passwords are argon2id.

mod attempts;
mod passwords;
pub mod people;
mod profile;
mod recovery;
mod sessions;

pub use passwords::PasswordHasher;
pub use profile::{Edit, ProfileEdit, edit_profile};
pub use recovery::{forgot_password, reset_password};
pub use sessions::SessionCache;

use super::commit::{DECISIONS, commit};
use super::idempotency::RequestKey;
use super::{App, Fault};
use crate::config::Mode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ordermill_core::account::{LOGIN_FAILURES_MAX, Notifications, Role, Session, User};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::{Email, Phone};
use ordermill_core::digest::Digest;
use ordermill_core::locale::Locale;
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::CommitError;
use std::sync::Arc;

/// The shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;
/// The longest password, in characters: hashing must not be a way to keep us busy.
pub const PASSWORD_MAX: usize = 128;

/// The password of the accounts that `dev` makes. Everybody knows it, so it opens nothing but `dev`, and that only to
/// whoever sits at the machine.
pub const DEV_PASSWORD: &str = "ordermill-dev";

/// How a request to sign in came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Straight from this machine.
    Local,
    /// From elsewhere, or nobody can tell.
    Remote,
}

/// A new account.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its e-mail address.
    pub email: Email,
    /// Its password in the clear; goes no further than the hasher.
    pub password: String,
    /// What it may do.
    pub role: Role,
    /// The person's name.
    pub name: Option<String>,
    /// The person's phone number.
    pub phone: Option<Phone>,
    /// The language of mails.
    pub locale: Locale,
    /// Made by `dev`.
    pub is_dev: bool,
}

/// Somebody signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The token, told once and never stored.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Makes an account and signs it in, in one commit.
pub async fn register(app: &App, registration: Registration) -> Result<SignedIn, Fault> {
    check_password(app, &registration.password)?;
    // Looked up first only to spare the hashing; the guard on the address decides.
    if app.store.get(&Key::UserEmail(registration.email.as_str().to_owned())).await?.is_some() {
        return Err(Refusal::EmailTaken.into());
    }
    let user = new_user(app, registration).await?;
    let (token, session) = new_session(app, &user);
    let mut change = Change::new(app.change_id());
    let email_key = Key::UserEmail(user.email.as_str().to_owned());
    change.insert(Row::User(user.clone()));
    change.insert(Row::Session(session.clone()));
    let id = change.id;
    match commit(app, &Arc::new(change)).await {
        Ok(()) => {}
        Err(CommitError::Conflict(conflict)) if conflict.was_me(id) => {}
        Err(CommitError::Conflict(conflict)) if conflict.is_taken(&email_key) => return Err(Refusal::EmailTaken.into()),
        Err(other) => return Err(other.into()),
    }
    Ok(SignedIn { user, token, expires_at: session.expires_at })
}

/// The account that a registration asks for, not yet written.
async fn new_user(app: &App, registration: Registration) -> Result<User, Fault> {
    let password_hash = app.passwords.hash(registration.password).await?;
    Ok(User {
        id: app.user_id(),
        email: registration.email,
        password_hash,
        role: registration.role,
        name: registration.name,
        phone: registration.phone,
        locale: registration.locale,
        fcm_token: None,
        notifications: Notifications::default(),
        generation: 0,
        is_dev: registration.is_dev,
        created_at: app.now(),
        version: 1,
    })
}

/// Signs somebody in. An unknown address takes as long as a wrong password, and its failures are counted the same.
pub async fn login(app: &App, email: &str, password: String, way: Way) -> Result<SignedIn, Fault> {
    let Some(email) = Email::parse(email) else {
        // Nobody can have this address, so there is nothing to count for.
        app.passwords.verify(password, None).await?;
        return Err(Refusal::InvalidCredentials.into());
    };
    let scope = attempts::scope(attempts::LOGIN, &email);
    // Looked at first only to spare the hashing; what counts is what is found when the answer is known.
    attempts::check(attempts::find(app, scope).await?.as_ref(), LOGIN_FAILURES_MAX, app.now())?;
    let user = find_user(app, &email).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let is_fit = password != DEV_PASSWORD || (app.config.mode == Mode::Dev && way == Way::Local);
    let is_right = app.passwords.verify(password, hash).await? && is_fit;
    let Some(user) = user.filter(|user| is_right && may_sign_in(app, user)) else {
        attempts::count(app, scope, LOGIN_FAILURES_MAX).await?;
        return Err(Refusal::InvalidCredentials.into());
    };
    begin_session(app, user, scope).await
}

/// Begins a session of somebody whose password was right, and forgets the failures before it. While it was checked, rivals
/// may have used up what an account may fail: then this attempt learns nothing either, so that however many guess at once,
/// no more than the limit are told whether they were right.
async fn begin_session(app: &App, user: User, scope: Digest) -> Result<SignedIn, Fault> {
    let (token, session) = new_session(app, &user);
    let id = app.change_id();
    for _ in 0..DECISIONS {
        let failed = attempts::find(app, scope).await?;
        attempts::check(failed.as_ref(), LOGIN_FAILURES_MAX, app.now())?;
        let mut change = Change::new(id);
        change.insert(Row::Session(session.clone()));
        if let Some(failed) = &failed {
            change.delete(Key::Throttle(scope), failed.version);
        }
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(SignedIn { user, token, expires_at: session.expires_at }),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("too many log-ins of one account at once".to_owned()))
}

/// A session that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedOut {
    /// Whether an earlier copy of the request ended it.
    pub is_replay: bool,
}

/// Ends a session, here at once; a node that saw it lately believes it for some seconds more.
pub async fn logout(app: &App, session: &Session, request: Option<RequestKey>) -> Result<LoggedOut, Fault> {
    let mut change = Change::new(app.change_id());
    change.delete(Key::Session(session.token), 1);
    if let Some(request) = request {
        request.remember(&mut change, session.user_id, app.now());
    }
    let ended = commit(app, &Arc::new(change)).await;
    app.sessions.forget(&session.token);
    match (ended, request) {
        // Somebody else ended it at the same time: a copy, or another request.
        (Err(CommitError::Conflict(_)), Some(request)) => Ok(LoggedOut { is_replay: request.remember_alone(app, session.user_id).await? }),
        (Ok(()), _) | (Err(CommitError::Conflict(_)), None) => Ok(LoggedOut { is_replay: false }),
        (Err(other), _) => Err(other.into()),
    }
}

/// What became of a token that opens nothing any more: a copy of the request that ended its session hears so again.
pub async fn logged_out_before(app: &App, request: Option<RequestKey>) -> Result<Option<LoggedOut>, Fault> {
    let Some(request) = request else { return Ok(None) };
    Ok(request.earlier(app).await?.map(|_| LoggedOut { is_replay: true }))
}

/// The session of this token, if it is still good. Read from the store: the one to be ended must be there.
pub async fn session(app: &App, token: &Digest) -> Result<Option<Session>, Fault> {
    let found = app.store.session(token).await?;
    let good = found.filter(|(session, user)| session.is_good(user, app.now()) && may_sign_in(app, user));
    Ok(good.map(|(session, _)| session))
}

/// Who a token belongs to, if it is one of ours and still good.
pub async fn authenticate(app: &App, token: &str) -> Result<Option<User>, Fault> {
    let digest = Digest::of(token.as_bytes());
    let now = app.now();
    if let Some(user) = app.sessions.get(&digest, now) {
        return Ok(Some(user));
    }
    let looked_up = app.sessions.look_up();
    let Some((session, user)) = app.store.session(&digest).await? else { return Ok(None) };
    if !session.is_good(&user, now) || !may_sign_in(app, &user) {
        return Ok(None);
    }
    app.sessions.insert(digest, user.clone(), now, looked_up);
    Ok(Some(user))
}

/// The account of an e-mail address.
pub async fn find_user(app: &App, email: &Email) -> Result<Option<User>, Fault> {
    let stored = app.store.get(&Key::UserEmail(email.as_str().to_owned())).await?;
    Ok(stored.and_then(|stored| if let Row::User(user) = stored.row { Some(user) } else { None }))
}

/// Accounts made by `dev` never open a production server.
pub(super) fn may_sign_in(app: &App, user: &User) -> bool {
    !user.is_dev || app.config.mode == Mode::Dev
}

fn new_session(app: &App, user: &User) -> (String, Session) {
    let token = URL_SAFE_NO_PAD.encode(app.random::<32>());
    let now = app.now();
    let ttl_ms = app.config.server.session_ttl_s.saturating_mul(1_000);
    let session = Session {
        token: Digest::of(token.as_bytes()),
        user_id: user.id,
        created_at: now,
        expires_at: now.plus_ms(ttl_ms),
        generation: user.generation,
        is_dev: user.is_dev,
    };
    (token, session)
}

fn check_password(app: &App, password: &str) -> Result<(), Refusal> {
    if password == DEV_PASSWORD && app.config.mode != Mode::Dev {
        return Err(Refusal::invalid("password", "everybody knows this one"));
    }
    match password.chars().count() {
        PASSWORD_MIN..=PASSWORD_MAX => Ok(()),
        _ => Err(Refusal::invalid("password", format!("a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters"))),
    }
}
