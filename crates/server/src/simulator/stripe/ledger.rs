//! What the simulator knows, as a fold over its journal: objects, remembered answers, and what was done how often. Nothing
//! becomes true here before its line is on the disk.

use super::answer::Answer;
use super::journal::{Accepted, Entry, Execution, Journal};
use ordermill_core::digest::Digest;
use ordermill_core::time::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io;

/// How long a key is known. Stripe forgets keys "after at least 24 hours"; the worst case is the useful one (F20).
const KEY_WINDOW_MS: i64 = 24 * 3_600 * 1_000;

/// More than one object for one payment of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// What was done more than once.
    pub op: String,
    /// For which payment of ours (metadata `paymentId`).
    pub payment_id: String,
    /// What came of it, in order.
    pub object_ids: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    journal: Journal,
    accepted: Vec<Accepted>,
    objects: HashMap<String, Value>,
    keys: HashMap<String, Remembered>,
}

/// The first request under a key, and its answer.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) fingerprint: Digest,
    pub(super) answer: Answer,
    at: Timestamp,
}

impl Ledger {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, accepted: Vec::new(), objects: HashMap::new(), keys: HashMap::new() }
    }

    /// Takes in an entry that the journal already holds.
    pub(super) fn restore(&mut self, entry: Entry) {
        if let Entry::Accepted(execution) = entry {
            self.apply(*execution);
        }
    }

    /// Makes an execution durable, then true.
    pub(super) fn record(&mut self, execution: Execution) -> io::Result<()> {
        let entry = Entry::Accepted(Box::new(execution));
        self.journal.append(&entry)?;
        self.restore(entry);
        Ok(())
    }

    /// Notes what became of a webhook.
    pub(super) fn note(&mut self, entry: &Entry) -> io::Result<()> {
        self.journal.append(entry)
    }

    pub(super) fn object(&self, id: &str) -> Option<&Value> {
        self.objects.get(id)
    }

    /// The intent whose last attempt this charge was.
    pub(super) fn intent_of_charge(&self, charge: &str) -> Option<&Value> {
        self.objects.values().find(|object| object.get("latest_charge").and_then(Value::as_str) == Some(charge))
    }

    pub(super) fn remembered(&self, key: &str, now: Timestamp) -> Option<&Remembered> {
        self.keys.get(key).filter(|known| now.ms_since(known.at) < KEY_WINDOW_MS)
    }

    pub(super) fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// Only making something can be done twice; what is done *to* an object is guarded by the object's state.
    pub(super) fn duplicates(&self) -> Vec<Duplicate> {
        let mut made: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for accepted in self.accepted.iter().filter(|accepted| accepted.op.ends_with(".create")) {
            let Some(payment_id) = accepted.payment_id.as_deref() else { continue };
            made.entry((accepted.op.as_str(), payment_id)).or_default().push(accepted.object_id.clone());
        }
        let repeated = made.into_iter().filter(|(_, object_ids)| object_ids.len() > 1);
        repeated
            .map(|((op, payment_id), object_ids)| Duplicate { op: op.to_owned(), payment_id: payment_id.to_owned(), object_ids })
            .collect()
    }

    fn apply(&mut self, execution: Execution) {
        let Execution { accepted, fingerprint, answer, object, event: _ } = execution;
        if let Some(key) = &accepted.key {
            self.keys.insert(key.clone(), Remembered { fingerprint, answer, at: accepted.at });
        }
        self.objects.insert(accepted.object_id.clone(), object);
        self.accepted.push(accepted);
    }
}
