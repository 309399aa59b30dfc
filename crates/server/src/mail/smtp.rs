//! Hands mails to an SMTP server, and tells exactly how far it got: what failed before the mail itself was sent was
//! certainly not accepted, and what failed after it perhaps was (F19, RFC 1047). That is why the dialogue is led step by
//! step here instead of by the mail library's transport, which reports both alike.
//!
//! A password is only ever sent under TLS. This file must not try a mail twice: that is the e-mail consumer's.

mod careful;
mod target;
mod verdict;

use super::{Mailer, Message, Receipt, SendError, Sender, mime};
use crate::app::Clock;
use async_trait::async_trait;
use careful::Careful;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use ordermill_core::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use target::{Security, Target};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use verdict::{Step, one_line, overdue, unreachable, verdict};

/// Connections kept for the next mail; as many as one worker usually has mails under way.
const IDLE_MAX: usize = 4;
/// How long one is kept: well below the five minutes after which servers hang up (RFC 5321 §4.5.3.2.7).
const IDLE_MS_MAX: i64 = 60_000;
/// How long saying goodbye may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// The code for mails that we ourselves could not write: "transaction failed".
const TRANSACTION_FAILED: u16 = 554;

/// Hands mails to an SMTP server.
pub struct SmtpMailer {
    target: Target,
    tls: Option<TlsParameters>,
    from: Sender,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    idle: Mutex<Vec<Idle>>,
}

/// A connection that waits for the next mail.
struct Idle {
    connection: AsyncSmtpConnection,
    since: Timestamp,
}

/// Why there can be no mailer with these settings. The texts never show the URL, which holds a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MailSetupError {
    /// `mail.smtp_url` cannot be used.
    #[error("mail.smtp_url {0}")]
    Url(String),
    /// `mail.from` is no address.
    #[error("mail.from is not an address such as `Shop <shop@example.com>`")]
    From,
    /// The file of certificates cannot be used.
    #[error("the certificates of mail.smtp_url's ?ca=: {0}")]
    Certificates(String),
}

impl SmtpMailer {
    /// A mailer for the server of this URL; connects to nothing yet. `from` is the address that bounces go to. One mail
    /// takes at most twice `timeout_ms`: once until the server wants to have it, once until it confirms it.
    pub fn new(url: &SecretString, from: &str, timeout_ms: u64, clock: Arc<dyn Clock>) -> Result<Self, MailSetupError> {
        let target = Target::parse(url)?;
        let tls = match target.security {
            Security::Plain => None,
            Security::StartTls | Security::Implicit => Some(tls_parameters(&target)?),
        };
        Ok(Self {
            from: Sender::parse(from).ok_or(MailSetupError::From)?,
            timeout: Duration::from_millis(timeout_ms.max(1)),
            idle: Mutex::default(),
            target,
            tls,
            clock,
        })
    }

    /// A connection that is ready for `MAIL FROM`: one that waited, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        while let Some(mut connection) = self.take_idle() {
            if connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let hello = ClientId::default();
        let server = (self.target.host.as_str(), self.target.port);
        let greeted = if self.target.security == Security::StartTls {
            let stream = TcpStream::connect(server).await.map_err(|error| unreachable(&error))?;
            AsyncSmtpConnection::connect_with_transport(Box::new(Careful::new(stream)), &hello).await
        } else {
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, self.tls.clone(), None).await
        };
        let mut connection = greeted.map_err(|error| verdict(Step::Connect, &error))?;
        if let (Security::StartTls, Some(tls)) = (self.target.security, self.tls.clone()) {
            // Fails when STARTTLS is not offered: somebody on the way may have removed the offer.
            connection.starttls(tls, &hello).await.map_err(|error| verdict(Step::Connect, &error))?;
        }
        if let Some((user, password)) = &self.target.credentials {
            // Checked when the URL was read; checked again where the password goes out.
            if !connection.is_encrypted() {
                return Err(SendError::Later { why: "the connection is not encrypted, so the password was not sent".to_owned() });
            }
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            signed_in.map_err(|error| verdict(Step::SignIn, &error))?;
        }
        Ok(connection)
    }

    /// Leads the dialogue up to the point where the server waits for the mail. Whatever fails here, nothing was sent.
    async fn announce(&self, message: &Message) -> Result<AsyncSmtpConnection, Halted> {
        let unwritable = |why| Halted::from(SendError::Refused { code: TRANSACTION_FAILED, why });
        let sender = mime::address(&self.from.email).map_err(unwritable)?;
        let recipient = mime::address(&message.to).map_err(unwritable)?;
        let mut connection = self.connection().await?;
        if let Err(error) = connection.command(Mail::new(Some(sender), Vec::new())).await {
            return Err(Halted::after(Step::Sender, &error, connection));
        }
        if let Err(error) = connection.command(Rcpt::new(recipient, Vec::new())).await {
            return Err(Halted::after(Step::Recipient, &error, connection));
        }
        if let Err(error) = connection.command(Data).await {
            return Err(Halted::after(Step::Data, &error, connection));
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let now = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| (0..IDLE_MS_MAX).contains(&now.ms_since(idle.since)));
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let since = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(Idle { connection, since });
        }
    }
}

/// A dialogue that ended before the mail was sent, with the connection if there still is one to say goodbye on.
struct Halted {
    error: SendError,
    connection: Option<Box<AsyncSmtpConnection>>,
}

impl Halted {
    fn after(step: Step, error: &lettre::transport::smtp::Error, connection: AsyncSmtpConnection) -> Self {
        Self { error: verdict(step, error), connection: Some(Box::new(connection)) }
    }
}

impl From<SendError> for Halted {
    fn from(error: SendError) -> Self {
        Self { error, connection: None }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let mail = mime::encode(message, self.clock.now()).map_err(|why| SendError::Refused { code: TRANSACTION_FAILED, why })?;
        let mut connection = match timeout(self.timeout, self.announce(message)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(halted)) => {
                if let Some(connection) = halted.connection {
                    farewell(*connection).await;
                }
                return Err(halted.error);
            }
            Err(_) => return Err(overdue(Step::Data)),
        };
        // From here on the server may have the mail, whatever we hear.
        match timeout(self.timeout, connection.message(&mail)).await {
            Ok(Ok(reply)) if reply.code().severity == Severity::PositiveCompletion => {
                self.keep(connection);
                let words: Vec<&str> = reply.message().collect();
                Ok(Receipt { reference: one_line(&words.join(" ")) })
            }
            Ok(Ok(reply)) => Err(SendError::Unknown { why: format!("the mail's end was answered with {}", reply.code()) }),
            Ok(Err(error)) => {
                let verdict = verdict(Step::Content, &error);
                if error.status().is_some() {
                    farewell(connection).await;
                }
                Err(verdict)
            }
            Err(_) => Err(overdue(Step::Content)),
        }
    }

    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn check(&self) -> Result<(), SendError> {
        let connection = timeout(self.timeout, self.connection()).await.map_err(|_| overdue(Step::Connect))??;
        self.keep(connection);
        Ok(())
    }
}

/// Says goodbye, so that the server does not log a broken connection. What it answers no longer matters.
async fn farewell(mut connection: AsyncSmtpConnection) {
    if timeout(FAREWELL_MAX, connection.abort()).await.is_err() {
        tracing::debug!("the mail server did not answer to QUIT");
    }
}

fn tls_parameters(target: &Target) -> Result<TlsParameters, MailSetupError> {
    let mut parameters = TlsParameters::builder(target.host.clone());
    if let Some(file) = &target.ca {
        let fault = |why: String| MailSetupError::Certificates(format!("{}: {why}", file.display()));
        let pem = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
        // The library takes a file without any certificate for a list of none.
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(fault("holds no certificate in PEM form".to_owned()));
        }
        parameters = parameters.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| fault(error.to_string()))?);
    }
    parameters.build().map_err(|error| MailSetupError::Url(format!("cannot be used with TLS: {error}")))
}
