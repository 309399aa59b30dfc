//! A mailer that keeps mails instead of sending them: `dev` shows them at `GET /dev/mail`, and tests script it to refuse,
//! stall or lose its answer as real servers do.
//!
//! With a file, a mail is in it and synced *before* it counts as accepted, so that a crash test can count what was
//! accepted. This file must not hand anything to a network.

use super::{Mailer, Message, Receipt, SendError};
use crate::app::Clock;
use async_trait::async_trait;
use ordermill_core::contact::Email;
use ordermill_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many mails are shown, the latest ones; the file keeps them all.
const LISTED_MAX: usize = 10_000;
/// The code of a refusal that no script names.
const UNKNOWN_MAILBOX: u16 = 550;

/// Keeps mails instead of sending them.
pub struct Catcher {
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<Kept>>,
    script: Mutex<Script>,
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
    /// Is away, for every mail alike.
    Later,
    /// Takes this mail later, as one whose recipient's mailbox is full.
    PutOff,
    /// Keeps it, but its answer is lost.
    AcceptThenLose,
    /// Keeps it after so many milliseconds.
    Slow(u64),
    /// Panics before it keeps anything.
    Panic,
}

/// Which mails a scripted behaviour is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scripted {
    /// The next so many, whoever they go to; queued after those scripted before. They come before [`Scripted::To`].
    Next(usize),
    /// Every one to this person, until scripted otherwise.
    To(Email),
    /// Every one that nothing else is scripted for, until scripted otherwise.
    Others,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Behaviour>,
    by_recipient: HashMap<Email, Behaviour>,
    others: Option<Behaviour>,
}

#[derive(Default)]
struct Kept {
    mails: VecDeque<CaughtMail>,
    file: Option<File>,
}

impl Catcher {
    /// A catcher that keeps what it catches in memory, and in this file too: one JSON object per line, those of earlier
    /// runs included. A last line that a crash cut short was never accepted and is removed.
    pub fn new(file: Option<PathBuf>, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let kept = file.map_or_else(|| Ok(Kept::default()), |path| Kept::open(&path))?;
        Ok(Arc::new(Self { clock, kept: Arc::new(Mutex::new(kept)), script: Mutex::default() }))
    }

    /// What was caught, oldest first.
    pub fn list(&self) -> Vec<CaughtMail> {
        lock(&self.kept).mails.iter().cloned().collect()
    }

    /// Scripts what happens to mails to come.
    pub fn script(&self, which: Scripted, behaviour: Behaviour) {
        let mut script = lock(&self.script);
        match which {
            Scripted::Next(count) => script.next.extend(std::iter::repeat_n(behaviour, count)),
            Scripted::To(person) => drop(script.by_recipient.insert(person, behaviour)),
            Scripted::Others => script.others = Some(behaviour),
        }
    }

    fn behaviour(&self, recipient: &Email) -> Behaviour {
        let mut script = lock(&self.script);
        let next = script.next.pop_front();
        next.or_else(|| script.by_recipient.get(recipient).copied()).or(script.others).unwrap_or(Behaviour::Ok)
    }

    async fn keep(&self, message: &Message) -> Result<Receipt, SendError> {
        let mail = CaughtMail {
            to: message.to.as_str().to_owned(),
            subject: message.subject.as_str().to_owned(),
            text: message.text.clone(),
            html: message.html.clone(),
            message_id: message.message_id.to_string(),
            at: rfc3339(self.clock.now()),
        };
        let kept = Arc::clone(&self.kept);
        // Syncing a file takes as long as the disk likes, so it must not hold up the other tasks.
        let written = tokio::task::spawn_blocking(move || lock(&kept).add(mail)).await;
        match written {
            Ok(Ok(count)) => Ok(Receipt { reference: format!("caught as number {count}") }),
            Ok(Err(error)) => Err(SendError::Later { why: format!("the caught mail could not be written: {error}") }),
            Err(error) => Err(SendError::Unknown { why: error.to_string() }),
        }
    }
}

#[async_trait]
impl Mailer for Catcher {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        match self.behaviour(&message.to) {
            Behaviour::Ok => self.keep(message).await,
            Behaviour::Refuse(code) => {
                let code = if (500..=599).contains(&code) { code } else { UNKNOWN_MAILBOX };
                Err(SendError::Refused { code, why: format!("{code} refused by script") })
            }
            Behaviour::Later => Err(SendError::Later { why: "421 away by script".to_owned() }),
            Behaviour::PutOff => Err(SendError::PutOff { why: "450 put off by script".to_owned() }),
            Behaviour::AcceptThenLose => {
                self.keep(message).await?;
                Err(SendError::Unknown { why: "the answer was lost by script".to_owned() })
            }
            Behaviour::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.keep(message).await
            }
            Behaviour::Panic => std::panic::panic_any("the mailer panicked by script"),
        }
    }

    fn name(&self) -> &'static str {
        "catcher"
    }

    async fn check(&self) -> Result<(), SendError> {
        Ok(())
    }
}

impl Kept {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut mails = VecDeque::new();
        let mut whole_bytes: u64 = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            whole_bytes += line.len() as u64;
            match serde_json::from_slice(&line) {
                Ok(mail) => push(&mut mails, mail),
                Err(error) => tracing::warn!(%error, file = %path.display(), "a line of the caught mails cannot be read"),
            }
            line.clear();
        }
        if file.metadata()?.len() > whole_bytes {
            tracing::warn!(file = %path.display(), "the last caught mail was cut short by a crash and is removed");
            file.set_len(whole_bytes)?;
        }
        file.seek(SeekFrom::End(0))?;
        // The file itself may be new: without this its name could be lost in a crash.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { mails, file: Some(file) })
    }

    /// Writes the mail down, then lists it; says how many are listed.
    fn add(&mut self, mail: CaughtMail) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            let before = file.metadata()?.len();
            let mut line = serde_json::to_vec(&mail)?;
            line.push(b'\n');
            if let Err(error) = file.write_all(&line).and_then(|()| file.sync_data()) {
                // Half a line would swallow the next one.
                file.set_len(before)?;
                return Err(error);
            }
        }
        push(&mut self.mails, mail);
        Ok(self.mails.len())
    }
}

fn push(mails: &mut VecDeque<CaughtMail>, mail: CaughtMail) {
    if mails.len() >= LISTED_MAX {
        mails.pop_front();
    }
    mails.push_back(mail);
}

/// A panic while somebody held the lock left whole mails behind: each is written before it is listed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
