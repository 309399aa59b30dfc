//! Mails to customers: what one consists of, how it is written, and who carries it away.
//!
//! A [`Message`] cannot hold a value that breaks out of its header (F58): everything in a header is a type of core that
//! refuses line breaks. A [`Mailer`] says of every attempt whether the mail was accepted, certainly not accepted, or
//! perhaps accepted (F19). This module must not know the effect ledger, nor decide about sending again: that is the
//! e-mail consumer's (`worker/email.rs`).

mod catcher;
mod display;
mod message;
mod mime;
mod smtp;
mod templates;

pub use catcher::{Behaviour, Catcher, CaughtMail, Scripted};
pub use display::display_text;
pub use message::{Message, MessageId, Sender};
pub use smtp::{MailSetupError, SmtpMailer};
pub use templates::{BankAccount, Rendered, TemplateError, Templates};

use async_trait::async_trait;
use thiserror::Error;

/// Carries mails away.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one mail over. `Ok` only when the other side said that it took it.
    async fn send(&self, message: &Message) -> Result<Receipt, SendError>;

    /// Which kind of mailer this is, for logs and pages.
    fn name(&self) -> &'static str;

    /// Whether mails could be handed over now. Sends nothing.
    async fn check(&self) -> Result<(), SendError>;
}

/// What the other side said when it took a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its words, on one line of limited length; they often name its queue.
    pub reference: String,
}

/// Why a mail was not, or not certainly, handed over. Each answer says whether it may have been accepted. The texts hold
/// no secrets, and addresses only masked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// Certainly not accepted, and the same mail will not be accepted later: its recipient or content is refused.
    #[error("refused with {code}: {why}")]
    Refused {
        /// The SMTP reply code, 500 to 599.
        code: u16,
        /// What the other side said.
        why: String,
    },
    /// Certainly not accepted now, and any other mail would meet the same: the other side is away, does not let us in, or
    /// asked us to come later.
    #[error("not now: {why}")]
    Later {
        /// What happened.
        why: String,
    },
    /// Certainly not accepted now, for a reason that concerns this mail alone: a full mailbox, greylisting, its content.
    /// Other mails may well be taken meanwhile.
    #[error("this mail not now: {why}")]
    PutOff {
        /// What the other side said.
        why: String,
    },
    /// Perhaps accepted: the whole mail was sent and no answer came back.
    #[error("it is unknown whether the mail was accepted: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
}
