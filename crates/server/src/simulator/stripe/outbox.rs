//! The webhooks it owes and how they are delivered: signed afresh for each attempt, tried until a 2xx or to the bound, in
//! the order and number that the mode asks for. What is owed is known from the journal, so a restart forgets none.

use super::journal::Entry;
use super::mode::Mode;
use super::{StripeSimulator, lock};
use futures_util::future::join_all;
use ordermill_core::job::RetryPolicy;
use ordermill_core::stripe::sign;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a receiver may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long [`Mode::OutOfOrder`] collects webhooks before it turns them round.
const HOLD: Duration = Duration::from_millis(500);

/// A webhook that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// `evt_…`
    pub event_id: String,
    /// How often it was tried.
    pub tries: u32,
    /// What the last attempt met.
    pub why: String,
}

/// How often webhooks are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookRetries {
    /// How often in all.
    pub tries: u32,
    /// How long between.
    pub policy: RetryPolicy,
}

impl Default for WebhookRetries {
    /// About eight minutes: Stripe's three days are too long to wait for.
    fn default() -> Self {
        Self { tries: 20, policy: RetryPolicy { base_ms: 200, cap_ms: 60_000 } }
    }
}

impl StripeSimulator {
    /// Delivers webhooks, one after the other, until told to stop. Spawn it once. The client must not follow redirects.
    pub async fn deliver_webhooks(self: Arc<Self>, http: reqwest::Client, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let next = lock(&self.outbox).next();
            let wait = match next {
                Some(webhook) if webhook.due <= Instant::now() => {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        outcome = self.deliver(&http, &webhook) => self.settle(webhook, outcome).await,
                    }
                    continue;
                }
                Some(webhook) => webhook.due,
                None => Instant::now() + Duration::from_hours(1),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.outbox_changed.notified() => {}
                () = tokio::time::sleep_until(wait) => {}
            }
        }
    }

    /// Owes a webhook from now on.
    pub(super) fn enqueue(&self, event: &Value) {
        lock(&self.outbox).add(event, self.modes().webhooks);
        self.outbox_changed.notify_one();
    }

    /// One attempt: all copies at once. It counts as delivered when all of them were.
    async fn deliver(&self, http: &reqwest::Client, webhook: &Webhook) -> Result<(), String> {
        let body = webhook.body.as_bytes();
        let signature = sign(self.settings.webhook_secret.expose_secret(), self.clock.now().unix_s(), body);
        let attempts = (0..webhook.copies).map(|_| async {
            let request = http
                .post(&self.settings.webhook_url)
                .header("stripe-signature", &signature)
                .header(CONTENT_TYPE, "application/json; charset=utf-8")
                .header(USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
                .timeout(ATTEMPT_TIMEOUT)
                .body(webhook.body.clone());
            match request.send().await {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(format!("status {}", response.status().as_u16())),
                Err(error) => Err(error.without_url().to_string()),
            }
        });
        join_all(attempts).await.into_iter().collect()
    }

    async fn settle(self: &Arc<Self>, webhook: Webhook, outcome: Result<(), String>) {
        let mut jitter = [0_u8];
        self.randomness.fill(&mut jitter);
        let settled = lock(&self.outbox).settle(webhook, outcome, f64::from(jitter[0]) / 255.0);
        let Some(entry) = settled else { return };
        let simulator = Arc::clone(self);
        // Losing this line only means that the webhook comes once more after a restart, as Stripe's do.
        let noted = tokio::task::spawn_blocking(move || lock(&simulator.ledger).note(&entry)).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::error!(?noted, "the Stripe simulator cannot note what became of a webhook");
        }
    }
}

/// One event on its way.
#[derive(Debug, Clone)]
struct Webhook {
    seq: u64,
    event_id: String,
    body: String,
    copies: u32,
    tries: u32,
    due: Instant,
    is_reversed: bool,
}

impl Webhook {
    /// What goes first: the earlier due; of those held back together, the newer.
    fn place(&self) -> (Instant, u64) {
        (self.due, if self.is_reversed { u64::MAX - self.seq } else { self.seq })
    }
}

/// What is owed, and what was given up.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    webhooks: Vec<Webhook>,
    next_seq: u64,
    undelivered: Vec<Undelivered>,
    retries: WebhookRetries,
}

impl Outbox {
    /// Takes in an entry of the journal: what was accepted and is not settled later is still owed.
    pub(super) fn restore(&mut self, entry: &Entry) {
        match entry {
            Entry::Accepted(execution) => {
                if let Some(event) = &execution.event {
                    self.add(event, Mode::Ok);
                }
            }
            Entry::Delivered { event_id } => self.webhooks.retain(|webhook| webhook.event_id != *event_id),
            Entry::Undelivered { event_id, tries, why } => {
                self.webhooks.retain(|webhook| webhook.event_id != *event_id);
                self.undelivered.push(Undelivered { event_id: event_id.clone(), tries: *tries, why: why.clone() });
            }
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.webhooks.len()
    }

    pub(super) fn undelivered(&self) -> &[Undelivered] {
        &self.undelivered
    }

    pub(super) const fn set_retries(&mut self, retries: WebhookRetries) {
        self.retries = retries;
    }

    /// Lets go of what is held back, all at one instant, so that it still goes newest first.
    pub(super) fn release(&mut self) {
        let now = Instant::now();
        for webhook in self.webhooks.iter_mut().filter(|webhook| webhook.is_reversed && webhook.tries == 0) {
            webhook.due = webhook.due.min(now);
        }
    }

    fn add(&mut self, event: &Value, mode: Mode) {
        let now = Instant::now();
        let (copies, delay, is_reversed) = match mode {
            Mode::Duplicate { copies } => (copies, Duration::ZERO, false),
            Mode::Late { ms } => (1, Duration::from_millis(ms), false),
            Mode::OutOfOrder => (1, HOLD, true),
            _ => (1, Duration::ZERO, false),
        };
        // Those held back together become due together.
        let held = self.webhooks.iter().find(|webhook| webhook.is_reversed && webhook.tries == 0 && webhook.due > now);
        let due = held.filter(|_| is_reversed).map_or(now + delay, |held| held.due);
        let event_id = event.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.webhooks.push(Webhook { seq: self.next_seq, event_id, body: event.to_string(), copies, tries: 0, due, is_reversed });
        self.next_seq = self.next_seq.saturating_add(1);
    }

    /// The one to deliver next. It stays owed until it is settled.
    fn next(&self) -> Option<Webhook> {
        self.webhooks.iter().min_by_key(|webhook| webhook.place()).cloned()
    }

    /// Puts an attempt's outcome down, and returns what the journal should know of it.
    fn settle(&mut self, mut webhook: Webhook, outcome: Result<(), String>, jitter: f64) -> Option<Entry> {
        self.webhooks.retain(|other| other.seq != webhook.seq);
        webhook.tries = webhook.tries.saturating_add(1);
        let Err(why) = outcome else {
            return Some(Entry::Delivered { event_id: webhook.event_id });
        };
        let (event_id, tries) = (webhook.event_id.clone(), webhook.tries);
        if tries >= self.retries.tries {
            tracing::warn!(event_id, tries, why, "the Stripe simulator gave a webhook up");
            self.undelivered.push(Undelivered { event_id: event_id.clone(), tries, why: why.clone() });
            return Some(Entry::Undelivered { event_id, tries, why });
        }
        let wait_ms = self.retries.policy.backoff_ms(i32::try_from(tries).unwrap_or(i32::MAX), jitter);
        webhook.due = Instant::now() + Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default());
        self.webhooks.push(webhook);
        None
    }
}
