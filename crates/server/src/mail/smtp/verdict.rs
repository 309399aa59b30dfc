//! What a failed step of the dialogue means: refused for good, not this mail now, nothing now, or nobody knows. This file must not speak to a
//! server, and nothing it writes may show an address unmasked.

use super::super::{SendError, display_text};
use lettre::transport::smtp::Error;
use ordermill_core::contact::mask_email;

/// "Service not available, closing transmission channel", which may answer any command (RFC 5321 §3.8).
const SHUTTING_DOWN: u16 = 421;

/// How far the dialogue was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Connecting, TLS, the greeting.
    Connect,
    /// Signing in.
    SignIn,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before any of the mail.
    Data,
    /// The mail itself and the answer to it.
    Content,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::SignIn => "signing in",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the mail's end",
        }
    }

    /// Whether a refusal here, for good or for now, is about this mail. Until the sender is accepted it is about us: the
    /// address, the password or the network we come from, and every other mail would meet the same.
    const fn is_about_the_mail(self) -> bool {
        matches!(self, Self::Recipient | Self::Data | Self::Content)
    }
}

/// What a failed step means.
pub(super) fn verdict(step: Step, error: &Error) -> SendError {
    let code = error.status().map(u16::from);
    let why = match code {
        Some(code) => format!("{}: {code} {}", step.name(), reply_text(error)),
        None => format!("{}: {}", step.name(), one_line(&error.to_string())),
    };
    match code {
        Some(code) if step.is_about_the_mail() && !is_about_access(code) => match code {
            SHUTTING_DOWN => SendError::Later { why },
            500..=599 => SendError::Refused { code, why },
            _ => SendError::PutOff { why },
        },
        None if step == Step::Content => SendError::Unknown { why },
        Some(_) | None => SendError::Later { why },
    }
}

/// What it means that nobody took the connection.
pub(super) fn unreachable(error: &std::io::Error) -> SendError {
    SendError::Later { why: format!("{}: {}", Step::Connect.name(), one_line(&error.to_string())) }
}

/// What a step that took too long means.
pub(super) fn overdue(step: Step) -> SendError {
    match step {
        Step::Content => SendError::Unknown { why: format!("{}: no answer in time", step.name()) },
        _ => SendError::Later { why: "the server took too long before it let us send the mail".to_owned() },
    }
}

/// "Authentication required", "mechanism too weak", "credentials invalid", "encryption required" (RFC 4954 §6).
const fn is_about_access(code: u16) -> bool {
    matches!(code, 530 | 534 | 535 | 538)
}

fn reply_text(error: &Error) -> String {
    std::error::Error::source(error).map(|reply| one_line(&reply.to_string())).unwrap_or_default()
}

/// A server's words fit for a log line: one line of limited length, every address in it masked.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut word = String::new();
    for character in display_text(text).chars() {
        if character.is_whitespace() || "<>()[],;:\"'".contains(character) {
            push_masked(&mut line, &mut word);
            line.push(character);
        } else {
            word.push(character);
        }
    }
    push_masked(&mut line, &mut word);
    line
}

fn push_masked(line: &mut String, word: &mut String) {
    if word.contains('@') {
        // A sentence may end right after an address.
        let address = word.trim_end_matches('.');
        line.push_str(&mask_email(address));
    } else {
        line.push_str(word);
    }
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_become_one_line_without_addresses() {
        for (words, line) in [
            ("2.0.0 Ok: queued as 4Fxyz", "2.0.0 Ok: queued as 4Fxyz"),
            ("5.1.1 <ann.lee@example.com>: unknown\r\nuser", "5.1.1 <a***@example.com>: unknown user"),
            ("no such user: ann@example.com.", "no such user: a***@example.com"),
            ("bad \u{1b}[31m @@ \"x@y\"", "bad [31m [redacted] \"[redacted]\""),
        ] {
            assert_eq!(one_line(words), line);
        }
        assert!(one_line(&"x".repeat(10_000)).len() < 1_000);
    }
}
