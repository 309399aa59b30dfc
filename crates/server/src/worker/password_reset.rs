//! Sends the token for a new password.
//!
//! The token is made here, when it is sent, and only its digest is kept: committed before the mail goes out, together with
//! the proof that the job is still ours. So no job, dead letter or log ever holds a token. Every attempt makes a token of its
//! own, which does no harm: each goes to the account's own mailbox, each lasts an hour, and the first one used makes all
//! others worthless. That is also why there is no effect in the ledger: a second mail is a nuisance, not a second effect, and
//! the job's attempts bound how many there can be. This file must not know SMTP.

use super::Handled;
use crate::app::App;
use crate::app::commit::commit;
use crate::mail::{Message, MessageId, SendError, Sender, display_text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ordermill_core::account::{OneTimeToken, RESET_TOKEN_TTL_MS, User};
use ordermill_core::change::{Change, Guard, Key, Row};
use ordermill_core::contact::HeaderSafe;
use ordermill_core::digest::Digest;
use ordermill_core::id::UserId;
use ordermill_core::job::{Job, Report};
use std::sync::Arc;

/// Sends a mail with a fresh token.
pub(super) async fn run(app: &App, job: &Job, user_id: UserId) -> Handled {
    match send(app, job, user_id).await {
        Ok(handled) => handled,
        Err(report) => report.into(),
    }
}

async fn send(app: &App, job: &Job, user_id: UserId) -> Result<Handled, Report> {
    if job.age_ms > RESET_TOKEN_TTL_MS {
        // Whoever still wants it has asked again; a mail out of the blue only frightens.
        return Ok(Handled::done());
    }
    let user = find(app, user_id).await?;
    let text = URL_SAFE_NO_PAD.encode(app.random::<32>());
    let token = OneTimeToken::for_reset(Digest::of(text.as_bytes()), &user, app.now());
    let message = write(app, &user, &text, token.token)?;
    let mut change = Change::new(app.change_id());
    change.insert(Row::OneTimeToken(token.clone()));
    change.expects.push(Guard::LeaseHeld(job.claim()));
    commit(app, &Arc::new(change)).await.map_err(|error| Report::NotYet { why: error.to_string() })?;
    Ok(match app.mailer.send(&message).await {
        Ok(_) => Handled::done(),
        Err(SendError::Unknown { why }) => Report::Failed { why: format!("it is unknown whether the mail arrived: {why}") }.into(),
        Err(error) => unsent(app, &token, error),
    })
}

/// The mail was certainly not taken: its token goes with it.
fn unsent(app: &App, token: &OneTimeToken, error: SendError) -> Handled {
    let report = match error {
        SendError::Refused { code, why } => Report::Failed { why: format!("{code}: {why}") },
        SendError::Later { why } => Report::Unavailable { why, retry_after_ms: None },
        SendError::PutOff { why } | SendError::Unknown { why } => Report::NotYet { why },
    };
    let mut change = Change::new(app.change_id());
    change.delete(Key::OneTimeToken(token.token), 1);
    Handled { change: Some(change), ..report.into() }
}

async fn find(app: &App, user_id: UserId) -> Result<User, Report> {
    let stored = app.store.get(&Key::User(user_id)).await.map_err(|error| Report::NotYet { why: error.to_string() })?;
    match stored.map(|stored| stored.row) {
        Some(Row::User(user)) => Ok(user),
        _ => Err(Report::Refused { why: "the account does not exist".to_owned() }),
    }
}

fn write(app: &App, user: &User, token: &str, digest: Digest) -> Result<Message, Report> {
    let from = Sender::parse(&app.config.mail.from).ok_or_else(|| Report::Refused { why: "mail.from is no address".to_owned() })?;
    let public_url = &app.config.server.public_url;
    let link = format!("{public_url}{}?token={token}", app.config.mail.password_reset_path);
    let rendered = app.templates.render_password_reset(user.name.as_deref(), &link, user.locale, public_url);
    let rendered = rendered.map_err(|error| Report::Failed { why: error.to_string() })?;
    let name = user.name.as_deref().map(display_text).filter(|name| !name.is_empty());
    Ok(Message {
        to: user.email.clone(),
        to_name: name.map(|name| HeaderSafe::from_lossy(&name)),
        // Of this token alone: mailboxes that show one mail per id must show the one with the token that works.
        message_id: MessageId::of(&Digest::of_parts(&[b"email.password_reset", digest.bytes()]), &from),
        from,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
    })
}
