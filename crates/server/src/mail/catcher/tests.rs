//! What a catcher promises: nothing is accepted before it is kept, and a file outlives the process.

use super::*;
use crate::app::ManualClock;
use crate::mail::{MessageId, Sender};
use ordermill_core::contact::HeaderSafe;
use ordermill_core::digest::Digest;

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(Timestamp::from_micros(1_768_705_445_123_456)))
}

fn message(to: &str) -> Message {
    let from = Sender::parse("Shop <shop@example.com>").unwrap();
    Message {
        to: Email::parse(to).unwrap(),
        to_name: None,
        subject: HeaderSafe::parse("Đơn hàng DH000123").unwrap(),
        text: "two\nlines".to_owned(),
        html: "<p>one</p>".to_owned(),
        message_id: MessageId::of(&Digest::of(to.as_bytes()), &from),
        from,
    }
}

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ordermill-catcher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_caught_mail_is_listed_in_the_shape_of_the_api() {
    let catcher = Catcher::new(None, clock()).unwrap();
    catcher.send(&message("ann@example.com")).await.unwrap();
    let json = serde_json::to_value(catcher.list()).unwrap();
    let id = message("ann@example.com").message_id.to_string();
    let expected = serde_json::json!([{
        "to": "ann@example.com", "subject": "Đơn hàng DH000123", "text": "two\nlines", "html": "<p>one</p>",
        "messageId": id, "at": "2026-01-18T03:04:05.123456Z",
    }]);
    assert_eq!(json, expected);
}

#[tokio::test]
async fn a_file_outlives_the_process_and_a_torn_line_does_not() {
    let folder = Folder::new("restart");
    let file = folder.0.join("mail.jsonl");
    let first = Catcher::new(Some(file.clone()), clock()).unwrap();
    first.send(&message("ann@example.com")).await.unwrap();
    let caught = first.list();
    drop(first);
    OpenOptions::new().append(true).open(&file).unwrap().write_all(br#"{"to":"half@example.com","subj"#).unwrap();

    let second = Catcher::new(Some(file.clone()), clock()).unwrap();
    assert_eq!(second.list(), caught);
    second.send(&message("bob@example.com")).await.unwrap();
    let third = Catcher::new(Some(file), clock()).unwrap();
    assert_eq!(third.list(), second.list());
    assert_eq!(third.list().len(), 2);
}

#[tokio::test]
async fn scripts_are_followed_in_order() {
    let catcher = Catcher::new(None, clock()).unwrap();
    let ann = message("ann@example.com");
    catcher.script(Scripted::Next(2), Behaviour::Later);
    catcher.script(Scripted::Next(1), Behaviour::PutOff);
    catcher.script(Scripted::Next(1), Behaviour::Refuse(551));
    catcher.script(Scripted::To(ann.to.clone()), Behaviour::AcceptThenLose);
    for _ in 0..2 {
        assert!(matches!(catcher.send(&ann).await, Err(SendError::Later { .. })));
    }
    assert!(matches!(catcher.send(&ann).await, Err(SendError::PutOff { .. })));
    assert!(matches!(catcher.send(&ann).await, Err(SendError::Refused { code: 551, .. })));
    assert!(catcher.list().is_empty());
    assert!(matches!(catcher.send(&ann).await, Err(SendError::Unknown { .. })));
    assert_eq!(catcher.list().len(), 1, "accepted although the answer was lost");
    catcher.send(&message("bob@example.com")).await.unwrap();
    catcher.script(Scripted::Others, Behaviour::Slow(1));
    catcher.send(&message("bob@example.com")).await.unwrap();
    assert_eq!(catcher.list().len(), 3);
}

#[tokio::test]
async fn a_scripted_panic_keeps_nothing_and_breaks_nothing() {
    let catcher = Catcher::new(None, clock()).unwrap();
    catcher.script(Scripted::Next(1), Behaviour::Panic);
    let sending = Arc::clone(&catcher);
    let outcome = tokio::spawn(async move { sending.send(&message("ann@example.com")).await }).await;
    assert!(outcome.unwrap_err().is_panic());
    assert!(catcher.list().is_empty());
    catcher.send(&message("ann@example.com")).await.unwrap();
    assert_eq!(catcher.list().len(), 1);
}
