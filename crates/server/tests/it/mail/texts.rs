//! What people read, as snapshots, and the reference's vectors for what stands on the wire.

use super::wire::{Manners, Wire};
use super::{FROM, mailer, message, paid_order, placed_order};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ordermill::mail::{BankAccount, Mailer, Message, MessageId, Sender, Templates};
use ordermill_core::contact::{Email, HeaderSafe};
use ordermill_core::digest::Digest;
use ordermill_core::locale::Locale;
use serde::Deserialize;

fn settings(name: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(name);
    settings
}

#[tokio::test]
async fn the_mail_order_paid_in_every_language() {
    let templates = Templates::load(None).unwrap();
    for locale in Locale::ALL {
        let (order, _) = paid_order(locale);
        let mail = templates.render_order_paid(&order, locale, "https://shop.example").unwrap();
        let from = Sender::parse(FROM).unwrap();
        let message = Message {
            to: order.customer.email.clone(),
            to_name: order.customer.name.as_deref().map(HeaderSafe::from_lossy),
            message_id: MessageId::of(&Digest::of(b"order paid"), &from),
            from,
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: mail.html.clone(),
        };
        let wire = Wire::start(Manners::default());
        mailer(&wire.url()).send(&message).await.unwrap();
        let raw = wire.mail().replace("\r\n", "\n");
        let (headers, _) = raw.split_once("\n\n").unwrap();
        let name = locale.name();
        settings("The plain text, under its subject.").bind(|| {
            insta::assert_snapshot!(format!("order_paid.{name}.txt"), format!("{}\n\n{}", mail.subject, mail.text));
        });
        settings("The HTML.").bind(|| insta::assert_snapshot!(format!("order_paid.{name}.html"), mail.html));
        settings("The headers on the wire.").bind(|| insta::assert_snapshot!(format!("order_paid.{name}.headers"), headers));
    }
}

#[test]
fn the_mail_order_received_in_every_language() {
    let templates = Templates::load(None).unwrap();
    let account = BankAccount { bank: Some("970436"), number: Some("0011001234567"), holder: Some("CONG TY VI DU") };
    for locale in Locale::ALL {
        let (order, _) = placed_order(locale);
        let mail = templates.render_order_received(&order, account, locale, "https://shop.example").unwrap();
        let name = locale.name();
        settings("The plain text, under its subject.").bind(|| {
            insta::assert_snapshot!(format!("order_received.{name}.txt"), format!("{}\n\n{}", mail.subject, mail.text));
        });
        settings("The HTML.").bind(|| insta::assert_snapshot!(format!("order_received.{name}.html"), mail.html));
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Vector {
    Subject { subject: String, decoded_must_equal: String, rule: String },
    Header { header_value: String, verdict: String },
    Line { line: String, wire: String },
}

#[tokio::test]
async fn the_references_vectors() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        match vector {
            Vector::Subject { subject, decoded_must_equal, rule } => {
                assert!(rule.contains("75"), "the rule that is checked below");
                let value = subject_on_the_wire(&message(&subject, "x")).await;
                assert_eq!(decoded(&value), decoded_must_equal, "{value}");
            }
            Vector::Header { header_value, verdict } => {
                assert_eq!((HeaderSafe::parse(&header_value), verdict.as_str()), (None, "reject"));
                assert_eq!(Email::parse(&header_value), None);
                assert_eq!(Sender::parse(&format!("{header_value} <shop@example.com>")), None);
            }
            Vector::Line { line, wire: expected } => {
                let wire = Wire::start(Manners::default());
                mailer(&wire.url()).send(&message("x", &format!("first\n{line}\n"))).await.unwrap();
                assert!(wire.mail().contains(&format!("first\r\n{expected}\r\n")), "{}", wire.mail());
            }
        }
    }
}

#[tokio::test]
async fn long_subjects_are_split_between_characters() {
    for subject in
        ["ế".repeat(300), "Đơn hàng đã thanh toán ".repeat(12).trim().to_owned(), "🎉".repeat(60), format!("{}đ", "a".repeat(200))]
    {
        let value = subject_on_the_wire(&message(&subject, "x")).await;
        assert_eq!(decoded(&value), subject, "{value}");
    }
}

async fn subject_on_the_wire(message: &Message) -> String {
    let wire = Wire::start(Manners::default());
    mailer(&wire.url()).send(message).await.unwrap();
    let mail = wire.mail();
    let (_, rest) = mail.split_once("\r\nSubject: ").unwrap();
    let mut lines = rest.split("\r\n");
    let mut value = lines.next().unwrap().to_owned();
    // A line that begins with a space goes on with the one before (RFC 5322 §2.2.3).
    for line in lines.take_while(|line| line.starts_with(' ')) {
        value.push_str(line);
    }
    value
}

/// Decodes a header by RFC 2047 alone: each encoded-word at most 75 characters and whole in itself, and no space between
/// two of them.
fn decoded(value: &str) -> String {
    let mut text = String::new();
    let mut was_encoded = false;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let encoded = word.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?="));
        let is_first = text.is_empty();
        if !(is_first || was_encoded && encoded.is_some()) {
            text.push(' ');
        }
        if let Some(base64) = encoded {
            assert!(word.len() <= 75, "{word}");
            text.push_str(&String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap());
        } else {
            text.push_str(word);
        }
        was_encoded = encoded.is_some();
    }
    text
}
