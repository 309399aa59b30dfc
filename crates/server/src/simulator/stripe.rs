//! A small Stripe: payment intents over HTTP, idempotency keys, signed webhooks, and the ways Stripe fails.
//!
//! It answers what the real API answers for what ordermill uses, and refuses every parameter that it does not know instead
//! of ignoring it. Its journal is written and synced before any answer and is the oracle of the crash tests: what it lists
//! was done, exactly once per line. It must not use a type of ordermill's orders, or it would share their mistakes.
//!
//! Left out on purpose: minimum charges, `expand`, and events besides those of an attempt's end (`payment_intent.created`,
//! `charge.*`), as if the endpoint were not subscribed to them.

mod answer;
mod execute;
mod intents;
mod journal;
mod ledger;
mod mode;
mod outbox;
mod params;
mod routes;

pub use journal::Accepted;
pub use ledger::Duplicate;
pub use mode::Mode;
pub use outbox::{Undelivered, WebhookRetries};

use crate::app::{Clock, Randomness};
use journal::Journal;
use ledger::Ledger;
use mode::Modes;
use outbox::Outbox;
use secrecy::SecretString;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Whom it serves and whom it tells.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// Where webhooks go.
    pub webhook_url: String,
    /// What they are signed with.
    pub webhook_secret: SecretString,
    /// The only secret key it takes; any, if there is none.
    pub api_key: Option<SecretString>,
}

/// The simulated Stripe: one account, one webhook endpoint. One process at a time may have its folder open.
pub struct StripeSimulator {
    settings: SimulatorSettings,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    /// Held while the journal is synced, so it is locked on blocking threads only. Locked before `outbox`, never after.
    ledger: Mutex<Ledger>,
    outbox: Mutex<Outbox>,
    outbox_changed: Notify,
    keys_in_flight: Mutex<HashSet<String>>,
    modes: Mutex<Modes>,
}

impl StripeSimulator {
    /// Opens it on a folder, with all that it did there before and the webhooks it still owes; without a folder it
    /// forgets everything at the end.
    pub fn open(
        folder: Option<PathBuf>,
        settings: SimulatorSettings,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> io::Result<Arc<Self>> {
        let (journal, entries) = match folder {
            Some(folder) => Journal::open(&folder)?,
            None => (Journal::in_memory(), Vec::new()),
        };
        let mut ledger = Ledger::new(journal);
        let mut outbox = Outbox::default();
        for entry in entries {
            outbox.restore(&entry);
            ledger.restore(entry);
        }
        Ok(Arc::new(Self {
            settings,
            clock,
            randomness,
            ledger: Mutex::new(ledger),
            outbox: Mutex::new(outbox),
            outbox_changed: Notify::new(),
            keys_in_flight: Mutex::default(),
            modes: Mutex::default(),
        }))
    }

    /// The API, to be served at the root of a listener or under a path.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        routes::router(Arc::clone(self))
    }

    /// Everything that it was asked and did, in order: at most one line per idempotency key and day.
    pub fn journal(&self) -> Vec<Accepted> {
        lock(&self.ledger).accepted().to_vec()
    }

    /// What was done more than once for one payment of ours. Empty, or somebody was charged twice.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        lock(&self.ledger).duplicates()
    }

    /// How many webhooks wait to be delivered, for the first time or again.
    pub fn pending_webhooks(&self) -> usize {
        lock(&self.outbox).pending()
    }

    /// The webhooks that were given up.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        lock(&self.outbox).undelivered().to_vec()
    }

    /// Makes it behave well or badly from now on. A mode of answers and a mode of webhooks hold side by side;
    /// [`Mode::Ok`] ends both.
    pub fn set_mode(&self, mode: Mode) {
        lock(&self.modes).set(mode);
        lock(&self.outbox).release();
        self.outbox_changed.notify_one();
    }

    /// Changes how often webhooks are tried.
    pub fn set_webhook_retries(&self, retries: WebhookRetries) {
        lock(&self.outbox).set_retries(retries);
    }

    fn modes(&self) -> Modes {
        *lock(&self.modes)
    }

    /// An id as Stripe makes them.
    fn fresh_id(&self, prefix: &str) -> String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut random = [0_u8; 24];
        self.randomness.fill(&mut random);
        // The slight preference for early letters does not matter here.
        let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        letters.fold(prefix.to_owned(), |id, letter| format!("{id}{}", char::from(*letter)))
    }
}

impl fmt::Debug for StripeSimulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeSimulator").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves nothing half done: every change of what is locked is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
