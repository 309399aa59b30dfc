//! One mail before it is put on the wire. Every part that ends in a header is a type that cannot hold a line break, so
//! that no name, subject or address adds a header (F58). This file must not know MIME or SMTP.

use ordermill_core::contact::{Email, HeaderSafe};
use ordermill_core::digest::Digest;
use std::fmt;

/// One mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub to: Email,
    /// How the person is called.
    pub to_name: Option<HeaderSafe>,
    /// Who it is from.
    pub from: Sender,
    /// What it is about.
    pub subject: HeaderSafe,
    /// The text for readers without HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// The same for every attempt to send this mail: many mailboxes show a repeated one once.
    pub message_id: MessageId,
}

/// Who mails are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The address.
    pub email: Email,
    /// The name that people see.
    pub name: Option<HeaderSafe>,
}

impl Sender {
    /// Reads `Shop <shop@example.com>`, `"Shop, Inc." <shop@example.com>` or a bare address.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(rest) = text.strip_suffix('>') else {
            return Email::parse(text).map(|email| Self { email, name: None });
        };
        let (name, address) = rest.rsplit_once('<')?;
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(name);
        if name.contains(['"', '<', '>', '\\']) {
            return None;
        }
        let name = if name.is_empty() { None } else { Some(HeaderSafe::parse(name)?) };
        Some(Self { email: Email::parse(address)?, name })
    }

    /// The part of the address after the `@`.
    pub fn domain(&self) -> &str {
        self.email.as_str().rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A mail's `Message-ID`, angle brackets included. Made of the effect's key and nothing else, so that every attempt on
/// every node makes the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId {
    text: String,
    token: String,
}

/// How many bytes of an effect's key stand in the id: 128 bits, 32 characters.
const TOKEN_BYTES: usize = 16;

impl MessageId {
    /// The id of the mail that an effect sends: `<ordermill.{32 hex digits}@domain of the sender>`.
    pub fn of(effect: &Digest, from: &Sender) -> Self {
        let token = effect.bytes().get(..TOKEN_BYTES).map(hex::encode).unwrap_or_default();
        Self { text: format!("<ordermill.{token}@{}>", from.domain()), token }
    }

    /// The id as it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its 32 hex digits, for what else must be the same at every attempt.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let named = |name: &str| HeaderSafe::parse(name);
        for (text, name) in [
            ("shop@example.com", None),
            ("<shop@example.com>", None),
            ("Shop <Shop@Example.com>", named("Shop")),
            ("\"Shop, Inc.\" <shop@example.com>", named("Shop, Inc.")),
            ("Cửa hàng Đỏ <shop@example.com>", named("Cửa hàng Đỏ")),
        ] {
            let sender = Sender::parse(text).unwrap();
            assert_eq!((sender.email.as_str(), sender.name), ("shop@example.com", name), "{text}");
        }
        for text in
            ["", "Shop", "Shop <shop>", "Shop <a@b.example> <c@d.example>", "x\r\nBcc: y <shop@example.com>", "Shop shop@example.com>"]
        {
            assert_eq!(Sender::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_message_id_follows_from_the_effect_alone() {
        let from = Sender::parse("Shop <shop@mail.example.com>").unwrap();
        let id = MessageId::of(&Digest::of(b"an effect"), &from);
        assert_eq!(id, MessageId::of(&Digest::of(b"an effect"), &from));
        assert_ne!(id, MessageId::of(&Digest::of(b"another"), &from));
        assert_eq!(id.as_str(), format!("<ordermill.{}@mail.example.com>", id.token()));
        assert_eq!(id.token().len(), 32);
    }
}
