//! The dialogue with real servers: what is protected, what an answer means, and what no mail can do to its headers.

use super::peer::{Auth, Peer, Scripted};
use super::wire::{Manners, Wire};
use super::{clock, header, mailer, mailer_on, message};
use ordermill::mail::{Mailer, SendError, SmtpMailer};
use ordermill_core::contact::HeaderSafe;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use secrecy::SecretString;
use std::net::TcpListener;
use std::sync::Arc;

const CREDENTIALS: &str = "shop%40example.com:p%3A%2F%40ss";

fn refused(error: &SendError) -> Option<u16> {
    match error {
        SendError::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

fn is_later(error: &SendError) -> bool {
    matches!(error, SendError::Later { .. })
}

fn is_put_off(error: &SendError) -> bool {
    matches!(error, SendError::PutOff { .. })
}

fn is_unknown(error: &SendError) -> bool {
    matches!(error, SendError::Unknown { .. })
}

#[tokio::test]
async fn a_mail_arrives_whole_by_starttls_and_by_implicit_tls() {
    let peer = Peer::start();
    let ca = peer.certificate();
    for (scheme, port, tls) in [("smtp", "starttls", "required"), ("smtps", "smtps", "required")] {
        peer.reset();
        let url = format!("{scheme}://{CREDENTIALS}@127.0.0.1:{}?tls={tls}&ca={}", peer.port(port), ca.display());
        let mailer = mailer(&url);
        mailer.check().await.unwrap();
        let sent = message("Khóa học đã sẵn sàng - Đơn hàng #DH000123", "Xin chào,\n.một dòng có dấu chấm\n\ntạm biệt\n");
        let receipt = mailer.send(&sent).await.unwrap();
        assert_eq!(receipt.reference, "2.0.0 OK queued as 1");

        let state = peer.state();
        assert_eq!(state.auth, [Auth { mechanism: "PLAIN".to_owned(), tls: true }], "one sign-in, under TLS");
        let [mail] = state.messages.as_slice() else { panic!("one mail, not {}", state.messages.len()) };
        assert_eq!((mail.tls, mail.user.as_str()), (true, "shop@example.com"));
        assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("shop@example.com", ["ann.lee@example.com".to_owned()].as_slice()));
        assert_eq!(mail.subject, sent.subject.as_str());
        assert_eq!(mail.to_addresses, [("Lý Ánh".to_owned(), "ann.lee@example.com".to_owned())]);
        assert_eq!(mail.from_addresses, [("Cửa hàng Hoa".to_owned(), "shop@example.com".to_owned())]);
        assert_eq!(mail.parts.iter().map(|part| part.kind.as_str()).collect::<Vec<_>>(), ["text/plain", "text/html"]);
        assert_eq!(mail.parts[0].text.replace("\r\n", "\n"), sent.text);
        assert_eq!(mail.parts[1].text.replace("\r\n", "\n"), sent.html);
        assert_eq!(mail.defects, Vec::<String>::new());
        let value = |name: &str| mail.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("Message-ID"), Some(sent.message_id.as_str()));
        assert_eq!(value("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(value("Date"), Some("Sun, 18 Jan 2026 03:04:05 +0000"));
    }
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let peer = Peer::start();
    let url = format!("smtp://127.0.0.1:{}", peer.port("plain"));
    let mailer = SmtpMailer::new(&SecretString::from(url), super::FROM, 500, clock()).unwrap();
    let is_550: fn(&SendError) -> bool = |error| refused(error) == Some(550);
    let is_554: fn(&SendError) -> bool = |error| refused(error) == Some(554);
    for (at, what, meaning, kept) in [
        ("mail", Scripted::Reply("451 4.3.0 try later"), is_later as fn(&SendError) -> bool, 0),
        ("mail", Scripted::Reply("550 5.7.1 sender refused"), is_later, 0),
        ("mail", Scripted::Reply("421 4.3.2 shutting down"), is_later, 0),
        ("rcpt", Scripted::Reply("450 4.2.1 <ann.lee@example.com>: mailbox busy"), is_put_off, 0),
        ("rcpt", Scripted::Reply("451 4.7.1 greylisted"), is_put_off, 0),
        ("rcpt", Scripted::Reply("452 4.2.2 mailbox full"), is_put_off, 0),
        ("rcpt", Scripted::Reply("421 4.3.2 shutting down"), is_later, 0),
        ("rcpt", Scripted::Reply("550 5.1.1 <ann.lee@example.com>: no such user"), is_550, 0),
        ("rcpt", Scripted::Reply("530 5.7.0 authentication required"), is_later, 0),
        ("rcpt", Scripted::Drop, is_later, 0),
        ("rcpt", Scripted::Hang, is_later, 0),
        ("end", Scripted::Reply("452 4.3.1 too large for now"), is_put_off, 0),
        ("end", Scripted::Reply("421 4.3.2 shutting down"), is_later, 0),
        ("end", Scripted::Reply("554 5.7.1 looks like spam"), is_554, 0),
        ("end", Scripted::Drop, is_unknown, 0),
        ("end", Scripted::Hang, is_unknown, 0),
        ("end", Scripted::StoreThenDrop, is_unknown, 1),
    ] {
        peer.reset();
        peer.script(at, what);
        let error = mailer.send(&message("x", "y")).await.unwrap_err();
        assert!(meaning(&error), "{what:?} at {at}: {error:?}");
        assert!(!error.to_string().contains("ann.lee"), "addresses are masked: {error}");
        assert_eq!(peer.state().messages.len(), kept, "{what:?} at {at}");
        mailer.send(&message("x", "y")).await.unwrap();
        assert_eq!(peer.state().messages.len(), kept + 1, "the next mail after {what:?} at {at}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_away() {
    let peer = Peer::start();
    let port = |name: &str| peer.port(name);
    let ca = peer.certificate().display().to_string();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let busy = Wire::start(Manners { greeting: "554 no service here", ..Manners::default() });
    for (url, why) in [
        (format!("smtp://127.0.0.1:{gone}"), "nobody listens"),
        (busy.url(), "refused at the greeting"),
        (format!("smtp://shop%40example.com:wrong@127.0.0.1:{}?tls=required&ca={ca}", port("starttls")), "wrong password"),
        (format!("smtps://shop%40example.com:wrong@127.0.0.1:{}?ca={ca}", port("smtps")), "wrong password"),
        (format!("smtp://127.0.0.1:{}?tls=required&ca={ca}", port("starttls")), "no password"),
        (format!("smtp://{CREDENTIALS}@127.0.0.1:{}?tls=required", port("starttls")), "unknown certificate"),
        (format!("smtps://{CREDENTIALS}@127.0.0.1:{}", port("smtps")), "unknown certificate"),
        (format!("smtps://{CREDENTIALS}@localhost.example:{}?ca={ca}", port("smtps")), "unknown name"),
        (format!("smtps://127.0.0.1:{}", port("plain")), "no TLS there"),
    ] {
        let error = mailer(&url).send(&message("x", "y")).await.unwrap_err();
        assert!(is_later(&error), "{why}: {error:?}");
        assert!(!error.to_string().contains("wrong@"), "{error}");
    }
    let state = peer.state();
    assert!(state.messages.is_empty());
    assert!(state.auth.iter().all(|auth| auth.tls), "{:?}", state.auth);
}

#[tokio::test]
async fn a_password_never_leaves_in_the_clear() {
    let peer = Peer::start();
    // It offers AUTH and no STARTTLS, as a server does whose offer somebody on the way removed.
    let url = format!("smtp://{CREDENTIALS}@127.0.0.1:{}?tls=required", peer.port("clearauth"));
    let error = mailer(&url).send(&message("x", "y")).await.unwrap_err();
    assert!(is_later(&error), "{error:?}");
    assert_eq!(peer.state().auth, []);

    let wire = Wire::start(Manners { extensions: &["AUTH PLAIN LOGIN", "8BITMIME"], ..Manners::default() });
    let url = format!("smtp://{CREDENTIALS}@127.0.0.1:{}?tls=required", wire.port());
    assert!(mailer(&url).check().await.is_err());
    assert!(!wire.heard().to_ascii_uppercase().contains("AUTH"), "{}", wire.heard());
}

/// Replies that somebody on the way sends before TLS begins must not be taken for the server's own: they would confirm a
/// mail that the server refuses.
#[tokio::test]
async fn replies_injected_before_tls_are_not_believed() {
    let peer = Peer::start();
    peer.script("end", Scripted::Reply("554 5.7.1 looks like spam"));
    let ca = peer.certificate().display().to_string();
    let url = format!("smtp://{CREDENTIALS}@127.0.0.1:{}?tls=required&ca={ca}", peer.port("injected"));
    let error = mailer(&url).send(&message("x", "y")).await.unwrap_err();
    assert!(is_later(&error), "{error:?}");
    assert_eq!(peer.state().auth, []);
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_fresh() {
    let peer = Peer::start();
    let clock = clock();
    let mailer = mailer_on(&format!("smtp://127.0.0.1:{}", peer.port("plain")), Arc::clone(&clock) as _);
    for number in 0..3 {
        mailer.send(&message(&format!("number {number}"), "y")).await.unwrap();
    }
    assert_eq!(peer.state().connections, 1);
    clock.advance_ms(61_000);
    mailer.send(&message("late", "y")).await.unwrap();
    assert_eq!((peer.state().connections, peer.state().messages.len()), (2, 4));
}

#[tokio::test]
async fn mails_go_out_side_by_side() {
    let peer = Peer::start();
    let mailer = Arc::new(mailer(&format!("smtp://127.0.0.1:{}", peer.port("plain"))));
    let sending = (0..12).map(|number| {
        let mailer = Arc::clone(&mailer);
        tokio::spawn(async move { mailer.send(&message(&format!("number {number}"), "y")).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    let mut subjects: Vec<String> = peer.state().messages.into_iter().map(|mail| mail.subject).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 12);
}

#[tokio::test]
async fn lines_on_the_wire_are_short_and_stuffed_and_end_in_crlf() {
    let wire = Wire::start(Manners::default());
    let text = ".hidden\n..twice\n.\nlone \r return\r\nQUIT\nđ".to_owned() + &"x".repeat(3_000);
    mailer(&wire.url()).send(&message("Đơn hàng", &text)).await.unwrap();
    let mail = wire.mail();
    assert!(mail.is_ascii());
    assert!(mail.contains("\r\n..hidden\r\n") && mail.contains("\r\n...twice\r\n") && mail.contains("\r\n..\r\n"), "{mail}");
    for line in mail.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
    assert_eq!(wire.heard().matches("\r\n.\r\n").count(), 1, "one mail and one end");
}

#[tokio::test]
async fn the_longest_headers_stay_within_a_line() {
    let wire = Wire::start(Manners::default());
    let long = HeaderSafe::from_lossy(&"x".repeat(5_000));
    let mut mail = message("x", "y");
    (mail.subject, mail.to_name) = (long.clone(), Some(long));
    mailer(&wire.url()).send(&mail).await.unwrap();
    assert!(wire.mail().split("\r\n").all(|line| line.len() <= 998), "{}", wire.mail());
}

/// F58: whatever people are called and whatever a subject says, an independent parser finds the same headers and the same
/// one recipient.
#[tokio::test]
async fn no_text_of_strangers_adds_a_header_or_a_recipient() {
    let peer = Peer::start();
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", peer.port("plain")));
    mailer.send(&message("plain", "plain")).await.unwrap();
    let plain = peer.state().messages.remove(0);

    let mut texts: Vec<String> = [
        "x\r\nBcc: evil@example.com",
        "x\nBcc: evil@example.com\r\n\r\nbody",
        "\r\n.\r\nMAIL FROM:<evil@example.com>",
        "a\u{85}Bcc: evil@example.com\u{2028}Cc: evil@example.com",
        "\"quoted\" <evil@example.com>, other@example.com",
        "evil@example.com>, <other@example.com",
        "(comment) [1.2.3.4]; : , \\ \" <>",
        "=?utf-8?q?x=0D=0ABcc:_evil=40example.com?=",
        "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20=?= tail",
        "\0\u{7f}\u{1b}[2J",
        "Bcc: evil@example.com",
        "   ",
        "",
    ]
    .map(str::to_owned)
    .into();
    let mut random = TestRunner::deterministic();
    let hostile = prop_oneof![".{0,120}", "[\\x00-\\x7f]{0,120}", "[ =?_\"\\\\<>@,;:()đế🎉\r\n.]{0,80}"];
    texts.extend((0..120).map(|_| hostile.new_tree(&mut random).unwrap().current()));

    for text in &texts {
        peer.reset();
        let mut hostile = message("x", text);
        hostile.subject = HeaderSafe::from_lossy(text);
        hostile.to_name = Some(HeaderSafe::from_lossy(text));
        mailer.send(&hostile).await.unwrap();
        let mail = peer.state().messages.remove(0);
        assert_eq!(mail.header_names(), plain.header_names(), "{text:?}");
        assert_eq!(mail.to, ["ann.lee@example.com"], "{text:?}");
        let boxes: Vec<&str> = mail.to_addresses.iter().map(|(_, address)| address.as_str()).collect();
        assert_eq!(boxes, ["ann.lee@example.com"], "{text:?}: {:?}", mail.headers);
        assert_eq!(mail.parts.len(), 2, "{text:?}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = hostile.subject.as_str().replace("=?", "= ?");
        assert_eq!(words(&mail.subject), words(&shown), "{text:?}");
    }
}

#[test]
fn headers_with_line_breaks_are_refused_by_their_type() {
    assert_eq!(HeaderSafe::parse("x\r\nBcc: evil@example.com"), None);
    assert_eq!(header("x").as_str(), "x");
}

#[test]
fn a_mailer_without_a_sender_or_with_a_broken_certificate_file_is_refused() {
    let make = |url: &str, from: &str| SmtpMailer::new(&SecretString::from(url), from, 1_000, clock()).err().map(|error| error.to_string());
    assert!(make("smtps://mail.example.com", "nobody").unwrap().starts_with("mail.from "));
    assert!(make("smtps://mail.example.com?ca=/nowhere", super::FROM).unwrap().contains("/nowhere"));
    assert!(make("smtps://mail.example.com?ca=/dev/null", super::FROM).unwrap().contains("holds no certificate"));
    assert_eq!(make("smtps://mail.example.com", super::FROM), None);
}
