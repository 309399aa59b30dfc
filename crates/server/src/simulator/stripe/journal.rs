//! The journal on disk: one JSON line per thing that happened, only ever appended. A line that is there whole happened; a
//! torn last one did not, since nobody had been answered. This file must not interpret what it keeps.

use super::answer::Answer;
use ordermill_core::digest::Digest;
use ordermill_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const FILE_NAME: &str = "stripe-journal.jsonl";

/// A request that was executed, well or badly (a declined card is one too). What was refused before leaves no line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its idempotency key, if it had one.
    pub key: Option<String>,
    /// What was asked for: `payment_intents.create`, `.confirm`, `.cancel`.
    pub op: String,
    /// What it was done to, or what it made.
    pub object_id: String,
    /// Metadata `paymentId` of that object: which payment of ours it is for.
    pub payment_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Everything that one executed request changed, in one line, so that it is on disk whole or not at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Execution {
    #[serde(flatten)]
    pub(super) accepted: Accepted,
    pub(super) fingerprint: Digest,
    pub(super) answer: Answer,
    pub(super) object: Value,
    pub(super) event: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    Accepted(Box<Execution>),
    /// A webhook was delivered.
    Delivered {
        event_id: String,
    },
    /// A webhook was given up.
    Undelivered {
        event_id: String,
        tries: u32,
        why: String,
    },
}

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Option<File>,
    /// After a failed write nobody knows what the file ends with, so nothing more is written to it.
    is_broken: bool,
}

impl Journal {
    pub(super) const fn in_memory() -> Self {
        Self { file: None, is_broken: false }
    }

    /// Opens the journal in a folder, which is made if need be, and reads what is in it.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
        fs::create_dir_all(folder)?;
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let text = fs::read(&path)?;
        let whole_bytes = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline.saturating_add(1));
        let (whole, torn) = text.split_at(whole_bytes);
        if !torn.is_empty() {
            tracing::warn!(bytes = torn.len(), "dropping the torn last line of the Stripe simulator's journal");
            file.set_len(u64::try_from(whole_bytes).map_err(io::Error::other)?)?;
        }
        // The name of a new file is as durable as its first line.
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entries = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        Ok((Self { file: Some(file), is_broken: false }, entries))
    }

    /// Appends a line and returns when it is on the disk.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.is_broken {
            return Err(io::Error::other("an earlier write to the journal failed"));
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        self.is_broken = written.is_err();
        written
    }
}
