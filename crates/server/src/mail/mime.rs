//! A [`Message`] as the bytes of a mail: headers, then the text, then the same as HTML. Everything comes out as ASCII in
//! lines of at most 998 bytes, so that no server has to convert it. This file must not open a connection.

use super::Message;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use ordermill_core::contact::{Email, HeaderSafe};
use ordermill_core::time::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The mail's bytes, dated `now`. The same message at the same time gives the same bytes.
pub(super) fn encode(message: &Message, now: Timestamp) -> Result<Vec<u8>, String> {
    let mail = lettre::Message::builder()
        .date(date(now))
        .from(mailbox(&message.from.email, message.from.name.as_ref())?)
        .to(mailbox(&message.to, message.to_name.as_ref())?)
        .subject(header_text(&message.subject))
        .message_id(Some(message.message_id.as_str().to_owned()))
        // Out-of-office programs must not answer (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(alternatives(message)?)
        .map_err(|error| error.to_string())?;
    Ok(mail.formatted())
}

/// An address in the mail library's type.
pub(super) fn address(email: &Email) -> Result<lettre::Address, String> {
    email.as_str().parse().map_err(|error: lettre::address::AddressError| error.to_string())
}

fn mailbox(email: &Email, name: Option<&HeaderSafe>) -> Result<Mailbox, String> {
    let name = name.map(header_text).filter(|name| !name.is_empty());
    Ok(Mailbox::new(name, address(email)?))
}

/// A header's line has at most 998 bytes and a word of ASCII is never folded, so this leaves room for the header's name.
const HEADER_TEXT_BYTES_MAX: usize = 900;

/// A header's text as the library may have it. It writes ASCII as it stands, so that an "encoded-word" which a stranger
/// put into a name would be decoded by the reader's program (RFC 2047); a space takes its meaning away. And two spaces
/// between encoded words would be none to a reader, so every gap is one.
fn header_text(text: &HeaderSafe) -> String {
    let text = text.as_str();
    let end = text.floor_char_boundary(HEADER_TEXT_BYTES_MAX);
    let words: Vec<&str> = text.get(..end).unwrap_or_default().split_whitespace().collect();
    words.join(" ").replace("=?", "= ?")
}

/// The plain text first and the HTML last: readers show the last one they understand (RFC 2046 §5.1.4).
fn alternatives(message: &Message) -> Result<MultiPart, String> {
    // `=_` stands in no quoted-printable body, so no text can end a part early; and it is the same at every attempt.
    let boundary = format!("=_{}", message.message_id.token());
    let text = SinglePart::builder().header(lettre::message::header::ContentType::TEXT_PLAIN).body(body(&message.text)?);
    let html = SinglePart::builder().header(lettre::message::header::ContentType::TEXT_HTML).body(body(&message.html)?);
    Ok(MultiPart::alternative().boundary(boundary).singlepart(text).singlepart(html))
}

/// Quoted-printable whatever the text: short lines of ASCII without controls, which nothing on the way rewrites.
fn body(text: &str) -> Result<Body, String> {
    // Both line endings become one, and a lone CR never reaches a server that takes it for a line's end.
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    Body::new_with_encoding(unix, ContentTransferEncoding::QuotedPrintable).map_err(|_| "the text cannot be encoded".to_owned())
}

/// The last second that a mail's date can name with a year of four digits.
const DATE_S_MAX: u64 = 253_402_300_799;

fn date(now: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((now.unix_ms() / 1_000).min(DATE_S_MAX))
}
