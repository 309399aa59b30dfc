//! Ways to reach people, parsed into types that cannot be wrong: one spelling per account, no header injection.
//!
//! `Debug` shows them masked, so that a log line never carries an address or a number by accident; the plain text is
//! taken out by name (`as_str`). This file must not send anything nor ask whether an address exists.

mod phone;

pub use phone::{Phone, PhoneKind};

use crate::text::is_break;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// An e-mail address in the one spelling we keep: trimmed and in small letters throughout. Mail hosts that tell
/// `Ann@` from `ann@` are extinct, two accounts for one mailbox are not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Reads an address: ASCII, one `@`, a local part of at most 64 bytes, a domain with a dot, 254 bytes in all.
    /// Quoted local parts, comments, address literals and international domains are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.split_once('@')?;
        let is_address = text.len() <= EMAIL_BYTES_MAX && local.len() <= LOCAL_PART_BYTES_MAX && is_local_part(local) && is_domain(domain);
        is_address.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address for logs and pages: `n***@example.com`.
    pub fn masked(&self) -> String {
        mask_email(&self.0)
    }
}

/// A forward path of 256 bytes less its angle brackets (RFC 5321 §4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LOCAL_PART_BYTES_MAX: usize = 64;
/// RFC 1035 §2.3.4.
const DOMAIN_LABEL_BYTES_MAX: usize = 63;

/// Dot-separated, each piece of visible ASCII without what has a meaning in mail headers.
fn is_local_part(local: &str) -> bool {
    local
        .split('.')
        .all(|piece| !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_graphic() && !br#"@<>,;:\"()[]"#.contains(&byte)))
}

/// At least two labels, the last of which is no number (that would be an IP address).
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=DOMAIN_LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label) && domain.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email({})", self.masked())
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an e-mail address"))
    }
}

/// Text that is safe as the value of a mail header, so that nobody adds headers through a name or a subject (F58):
/// no line break, no NUL, no other control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HeaderSafe(String);

impl HeaderSafe {
    /// The text if it is safe and short enough as it stands.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= HEADER_BYTES_MAX && !text.chars().any(is_break)).then(|| Self(text.to_owned()))
    }

    /// The text made safe: a space for every character a header must not hold, and cut to the longest a header may be.
    pub fn from_lossy(text: &str) -> Self {
        let cleaned: String = text.chars().map(|character| if is_break(character) { ' ' } else { character }).collect();
        let end = cleaned.floor_char_boundary(HEADER_BYTES_MAX);
        Self(cleaned.get(..end).unwrap_or_default().to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest line of a mail without its line break (RFC 5322 §2.1.1); a longer header value helps no reader.
const HEADER_BYTES_MAX: usize = 998;

impl fmt::Display for HeaderSafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HeaderSafe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("control characters or too long for a mail header"))
    }
}

/// What stands for text that is neither an address nor a number: it may be a secret pasted into the wrong field.
const REDACTED: &str = "[redacted]";

/// An address for logs: the first character and the domain. Anything else than an address is wholly hidden.
pub fn mask_email(text: &str) -> String {
    match Email::parse(text) {
        Some(Email(address)) => match address.split_once('@') {
            Some((local, domain)) => format!("{}***@{domain}", local.get(..1).unwrap_or_default()),
            None => REDACTED.to_owned(),
        },
        None => REDACTED.to_owned(),
    }
}

/// An international number for logs: its first five and last two characters. Anything else is wholly hidden.
pub fn mask_phone(text: &str) -> String {
    let is_international = text.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_international || text.len() <= 7 {
        return REDACTED.to_owned();
    }
    let (head, rest) = text.split_at(5);
    let (hidden, tail) = rest.split_at(rest.len() - 2);
    format!("{head}{}{tail}", "*".repeat(hidden.len()))
}

#[cfg(test)]
mod tests;
