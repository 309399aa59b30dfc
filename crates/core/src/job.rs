//! Durable work: what a job is, who may finish it, and when it is tried again or given up.
//!
//! A job waits in a queue, is claimed under a lease by one worker at a time, and ends as done or as a dead letter with
//! its whole history. The attempt number counts up *at the claim* and is the fencing token: whoever finishes must
//! still hold it (F16, F21). This file must not know how a store keeps jobs or what handlers do.

use crate::id::{OrderId, UserId};
use crate::payment::Provider;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How often a job may fail for its own fault (crash, panic, refusal) before it becomes a dead letter.
pub const MAX_ATTEMPTS: i32 = 3;
/// How long a job may wait for a provider or for its order before it becomes a dead letter.
pub const MAX_AGE_MS: i64 = 72 * 3_600 * 1_000;
/// How long a queue's circuit opens at most. A provider that comes back must be found out within half a minute, however
/// long the job that met it last has been failing and waits itself; one job of the queue tries each time, so a provider
/// that stays away is asked twice a minute.
pub const CIRCUIT_OPEN_MS_MAX: i64 = 30_000;
/// How many failures a job's history keeps; the first one and the latest ones stay.
pub const MAX_HISTORY: usize = 20;
/// How many bytes of a failure's reason a history keeps: a provider's error page must not grow a job without bounds.
pub const MAX_WHY_BYTES: usize = 2_000;

/// A queue: one consumer's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Mails to customers.
    Email,
    /// Received provider events that wait for their order.
    Inbox,
    /// Calls to Stripe that a commit decided on.
    Stripe,
    /// Copies of lists that are old since a commit.
    Cache,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 4] = [Self::Email, Self::Inbox, Self::Stripe, Self::Cache];

    /// The name in storage, JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Inbox => "inbox",
            Self::Stripe => "stripe",
            Self::Cache => "cache",
        }
    }

    /// The queue of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A job's identity: unique while it waits, runs or lies dead, so the same decision never queues the same work twice.
///
/// In an *ordered* queue a job is claimed only when no lower `seq` of its `group` waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// The queue's name; text, because a newer node may know more queues.
    pub queue: String,
    /// What the job belongs to: usually an order id.
    pub group: String,
    /// Its place in the group: usually the sequence number of the event that caused it.
    pub seq: i64,
}

impl JobKey {
    /// A key in a queue of ours.
    pub fn new(queue: Queue, group: impl Into<String>, seq: i64) -> Self {
        Self { queue: queue.name().to_owned(), group: group.into(), seq }
    }

    /// Parses `queue:group:seq`, the form shown to people. The group may itself contain colons.
    pub fn parse(text: &str) -> Option<Self> {
        let (queue, rest) = text.split_once(':')?;
        let (group, seq) = rest.rsplit_once(':')?;
        Some(Self { queue: queue.to_owned(), group: group.to_owned(), seq: seq.parse().ok()? })
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.queue, self.group, self.seq)
    }
}

/// What a job is to do. Ids only, never copies of rows; the version is part of the name, so that a node that does not
/// know it leaves the job to a newer one (F45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Payload {
    /// Tell a signed-in customer that the order stands, and how it is paid.
    #[serde(rename = "email.order_received.v1")]
    EmailOrderReceived {
        /// The order.
        order_id: OrderId,
    },
    /// Tell the customer that the payment arrived.
    #[serde(rename = "email.order_paid.v1")]
    EmailOrderPaid {
        /// The order.
        order_id: OrderId,
    },
    /// Send the token for a new password. The token is not in here: jobs are shown to operators and may become dead letters,
    /// so the worker makes it when it sends.
    #[serde(rename = "email.password_reset.v1")]
    EmailPasswordReset {
        /// The account.
        user_id: UserId,
    },
    /// Apply a received event whose order did not exist yet, or read the object it hints at.
    #[serde(rename = "inbox.apply.v1")]
    InboxApply {
        /// Who sent it.
        provider: Provider,
        /// The provider's event id.
        event_id: String,
    },
    /// Make the payment intent of an order that stands without one.
    #[serde(rename = "stripe.create_intent.v1")]
    StripeCreateIntent {
        /// The order.
        order_id: OrderId,
    },
    /// Let go of the copies of a customer's order list.
    #[serde(rename = "cache.forget_orders.v1")]
    CacheForgetOrders {
        /// The order that changed.
        order_id: OrderId,
        /// Whose list it is in.
        customer_id: UserId,
    },
}

impl Payload {
    /// The stored form.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form; `None` when a newer node wrote it.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whose work it is.
    pub const fn queue(&self) -> Queue {
        match self {
            Self::EmailOrderReceived { .. } | Self::EmailOrderPaid { .. } | Self::EmailPasswordReset { .. } => Queue::Email,
            Self::InboxApply { .. } => Queue::Inbox,
            Self::StripeCreateIntent { .. } => Queue::Stripe,
            Self::CacheForgetOrders { .. } => Queue::Cache,
        }
    }

    /// What its job belongs to: the group of the job's key.
    pub fn group(&self) -> String {
        match self {
            Self::EmailOrderReceived { order_id }
            | Self::EmailOrderPaid { order_id }
            | Self::StripeCreateIntent { order_id }
            | Self::CacheForgetOrders { order_id, .. } => order_id.to_string(),
            Self::EmailPasswordReset { user_id } => format!("user:{user_id}"),
            Self::InboxApply { provider, event_id } => format!("{}:{event_id}", provider.name()),
        }
    }

    /// Whether a job of this identity may carry it. Effects take their keys from both, so what is about something else
    /// would act a second time under a key of its own.
    pub fn fits(&self, key: &JobKey) -> bool {
        key.queue == self.queue().name() && key.group == self.group()
    }
}

/// A job to be added by a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its identity.
    pub key: JobKey,
    /// [`Payload`] in its stored form.
    pub payload: String,
    /// How long it waits before it may be claimed first.
    pub delay_ms: i64,
    /// After this many counted attempts it becomes a dead letter.
    pub max_attempts: i32,
    /// Whether lower numbers of its group must be gone first.
    pub is_ordered: bool,
    /// What it already went through, when it is a dead letter that is tried again.
    pub past: Past,
}

impl NewJob {
    /// A fresh unordered job that may be claimed at once.
    pub fn new(key: JobKey, payload: &Payload) -> Self {
        Self { key, payload: payload.encode(), delay_ms: 0, max_attempts: MAX_ATTEMPTS, is_ordered: false, past: Past::default() }
    }

    /// The same, claimable only after a while.
    #[must_use]
    pub fn after(mut self, delay_ms: i64) -> Self {
        self.delay_ms = delay_ms.max(0);
        self
    }
}

/// A job's earlier life. Attempt numbers never start again, or a worker that slept through a redrive could finish
/// somebody else's attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Past {
    /// The number of the last attempt; 0 before the first.
    pub attempt: i32,
    /// How many of the attempts did not count.
    pub uncounted: i32,
    /// What went wrong so far.
    pub history: Vec<Failure>,
}

impl Past {
    /// The attempts that count against the limit.
    pub const fn counted(&self) -> i32 {
        self.attempt.saturating_sub(self.uncounted)
    }

    /// Adds a failure, keeping the history short: the first one and the latest stay, each with the beginning of its reason.
    pub fn remember(&mut self, mut failure: Failure) {
        failure.why.truncate(failure.why.floor_char_boundary(MAX_WHY_BYTES));
        if self.history.len() >= MAX_HISTORY {
            self.history.remove(1);
        }
        self.history.push(failure);
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which attempt.
    pub attempt: i32,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Whether it counted against the limit.
    pub counted: bool,
    /// What went wrong, for people; no secrets, no personal data.
    pub why: String,
}

/// A claimed job, as the worker gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its identity.
    pub key: JobKey,
    /// [`Payload`] in its stored form.
    pub payload: String,
    /// This attempt's number is `past.attempt`.
    pub past: Past,
    /// The limit of counted attempts.
    pub max_attempts: i32,
    /// How long ago it was queued, by the store's clock.
    pub age_ms: i64,
}

impl Job {
    /// The proof that a finish must carry.
    pub fn claim(&self) -> Claim {
        Claim { key: self.key.clone(), attempt: self.past.attempt }
    }
}

/// The right to finish one attempt of one job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The job.
    pub key: JobKey,
    /// The attempt, which nobody else has.
    pub attempt: i32,
}

/// How a claimed job ends this attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Whose job it is.
    pub claim: Claim,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What this says about the provider behind the queue.
    pub circuit: CircuitMove,
}

/// What becomes of a job after an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is gone.
    Done,
    /// It waits and is tried again.
    Retry {
        /// How long it waits.
        after_ms: i64,
        /// Whether the attempt counts against the limit.
        counted: bool,
        /// What went wrong.
        why: String,
    },
    /// It becomes a dead letter.
    Dead {
        /// What went wrong.
        why: String,
    },
}

/// What an attempt says about the provider behind its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "move", rename_all = "snake_case")]
pub enum CircuitMove {
    /// Nothing.
    #[default]
    Keep,
    /// The provider is away: claim nothing of this queue for a while.
    Open {
        /// How long.
        for_ms: i64,
    },
    /// The provider answers again.
    Close,
}

/// What a handler reports. Every kind says whether it counts and whether the provider is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The effect is confirmed.
    Done,
    /// The provider could not be reached or asked us to come later: not the job's fault.
    Unavailable {
        /// What it said.
        why: String,
        /// When it wants us back, if it said so.
        retry_after_ms: Option<i64>,
    },
    /// What the job waits for is not there yet, be it a row of ours or room in a mailbox: nobody's fault, and no other
    /// job of the queue need wait for it.
    NotYet {
        /// What is missing.
        why: String,
    },
    /// This attempt failed in a way that another may not: counts.
    Failed {
        /// What went wrong.
        why: String,
    },
    /// No attempt can succeed: a person must look.
    Refused {
        /// Why.
        why: String,
    },
}

/// How a queue spaces its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first failure; it doubles with every further one.
    pub base_ms: i64,
    /// The longest wait.
    pub cap_ms: i64,
}

impl RetryPolicy {
    /// The policy of a queue.
    pub const fn of(queue: Queue) -> Self {
        match queue {
            Queue::Inbox => Self { base_ms: 200, cap_ms: 600_000 },
            Queue::Email => Self { base_ms: 1_000, cap_ms: 300_000 },
            Queue::Stripe => Self { base_ms: 500, cap_ms: 300_000 },
            Queue::Cache => Self { base_ms: 200, cap_ms: 5_000 },
        }
    }

    /// The wait before the next attempt: exponential with full jitter (F23). `jitter` is a uniform draw from 0 to 1.
    pub fn backoff_ms(&self, failures: i32, jitter: f64) -> i64 {
        let doublings = u32::try_from(failures.saturating_sub(1).clamp(0, 30)).unwrap_or(0);
        let ceiling = self.base_ms.saturating_mul(1_i64 << doublings).min(self.cap_ms);
        let floor = ceiling / 10;
        floor.saturating_add(scale(ceiling.saturating_sub(floor), jitter))
    }

    /// Turns a handler's report into what becomes of the job.
    pub fn finish(&self, job: &Job, report: Report, jitter: f64) -> Finish {
        let claim = job.claim();
        let tries = job.past.attempt;
        let too_old = job.age_ms >= MAX_AGE_MS;
        let wait = self.backoff_ms(tries, jitter);
        let (outcome, circuit) = match report {
            Report::Done => (Outcome::Done, CircuitMove::Close),
            Report::Refused { why } => (Outcome::Dead { why }, CircuitMove::Keep),
            Report::Unavailable { why, .. } | Report::NotYet { why } if too_old => (Outcome::Dead { why }, CircuitMove::Keep),
            Report::Unavailable { why, retry_after_ms } => {
                let after_ms = retry_after_ms.unwrap_or(wait).clamp(wait, self.cap_ms.max(wait));
                let for_ms = after_ms.min(CIRCUIT_OPEN_MS_MAX);
                (Outcome::Retry { after_ms, counted: false, why }, CircuitMove::Open { for_ms })
            }
            Report::NotYet { why } => (Outcome::Retry { after_ms: wait, counted: false, why }, CircuitMove::Keep),
            Report::Failed { why } if job.past.counted() >= job.max_attempts => (Outcome::Dead { why }, CircuitMove::Keep),
            Report::Failed { why } => (Outcome::Retry { after_ms: wait, counted: true, why }, CircuitMove::Keep),
        };
        Finish { claim, outcome, circuit }
    }
}

/// `span` times a share between 0 and 1, without floating-point money anywhere near.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a jittered wait of at most minutes; exactness is not wanted"
)]
fn scale(span: i64, share: f64) -> i64 {
    (span as f64 * share.clamp(0.0, 1.0)) as i64
}

/// A job that ran out of attempts, kept until somebody redrives or discards it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job's identity; a job lies dead at most once.
    pub key: JobKey,
    /// [`Payload`] in its stored form.
    pub payload: String,
    /// Every attempt, the last one included.
    pub past: Past,
    /// Whether its queue is ordered.
    pub is_ordered: bool,
    /// The last word, for lists.
    pub why: String,
    /// When it was first queued.
    pub queued_at: Timestamp,
    /// When it died.
    pub died_at: Timestamp,
}

impl DeadLetter {
    /// Guards a redrive: the number of the attempt that killed it.
    pub const fn version(&self) -> i64 {
        self.past.attempt as i64
    }

    /// The same with another payload, in its stored form.
    #[must_use]
    pub fn with_payload(mut self, payload: &Payload) -> Self {
        self.payload = payload.encode();
        self
    }

    /// The job that tries again, with the same identity, so that every effect keeps its key (F28).
    pub fn redrive(&self) -> NewJob {
        let mut past = self.past.clone();
        // The attempts so far no longer count, but their numbers are never used again.
        past.uncounted = past.attempt;
        NewJob {
            key: self.key.clone(),
            payload: self.payload.clone(),
            delay_ms: 0,
            max_attempts: MAX_ATTEMPTS,
            is_ordered: self.is_ordered,
            past,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(attempt: i32, uncounted: i32, age_ms: i64) -> Job {
        Job {
            key: JobKey::new(Queue::Email, "group:with:colons", 3),
            payload: String::new(),
            past: Past { attempt, uncounted, history: Vec::new() },
            max_attempts: MAX_ATTEMPTS,
            age_ms,
        }
    }

    #[test]
    fn keys_round_trip_through_text() {
        let key = job(1, 0, 0).key;
        assert_eq!(key.to_string(), "email:group:with:colons:3");
        assert_eq!(JobKey::parse(&key.to_string()), Some(key));
        assert_eq!(JobKey::parse("email:3"), None);
    }

    #[test]
    fn a_failure_counts_and_the_third_one_kills() {
        let policy = RetryPolicy::of(Queue::Email);
        let report = || Report::Failed { why: "550".to_owned() };
        assert!(matches!(policy.finish(&job(2, 0, 0), report(), 0.5).outcome, Outcome::Retry { counted: true, .. }));
        assert!(matches!(policy.finish(&job(3, 0, 0), report(), 0.5).outcome, Outcome::Dead { .. }));
        assert!(matches!(policy.finish(&job(5, 3, 0), report(), 0.5).outcome, Outcome::Retry { .. }), "uncounted attempts do not count");
    }

    #[test]
    fn an_absent_provider_never_kills_a_young_job() {
        let policy = RetryPolicy::of(Queue::Stripe);
        let report = || Report::Unavailable { why: "refused".to_owned(), retry_after_ms: None };
        let finish = policy.finish(&job(50, 49, MAX_AGE_MS - 1), report(), 0.5);
        assert!(matches!(finish.outcome, Outcome::Retry { counted: false, .. }));
        let CircuitMove::Open { for_ms } = finish.circuit else { panic!("{finish:?}") };
        assert!((1..=CIRCUIT_OPEN_MS_MAX).contains(&for_ms), "one old job does not keep the others waiting: {for_ms} ms");
        assert!(matches!(policy.finish(&job(50, 49, MAX_AGE_MS), report(), 0.5).outcome, Outcome::Dead { .. }));
    }

    #[test]
    fn a_wait_that_a_provider_names_is_the_jobs_and_opens_the_circuit_no_longer_than_any() {
        let policy = RetryPolicy::of(Queue::Stripe);
        let report = Report::Unavailable { why: "429".to_owned(), retry_after_ms: Some(120_000) };
        let finish = policy.finish(&job(1, 0, 0), report, 0.5);
        assert!(matches!(finish.outcome, Outcome::Retry { after_ms: 120_000, counted: false, .. }), "{finish:?}");
        assert_eq!(finish.circuit, CircuitMove::Open { for_ms: CIRCUIT_OPEN_MS_MAX });
    }

    #[test]
    fn what_is_not_there_yet_is_one_jobs_own_affair() {
        let policy = RetryPolicy::of(Queue::Email);
        let report = || Report::NotYet { why: "450".to_owned() };
        let finish = policy.finish(&job(50, 49, MAX_AGE_MS - 1), report(), 0.5);
        assert!(matches!(finish.outcome, Outcome::Retry { counted: false, .. }));
        assert_eq!(finish.circuit, CircuitMove::Keep);
        assert!(matches!(policy.finish(&job(50, 49, MAX_AGE_MS), report(), 0.5).outcome, Outcome::Dead { .. }));
    }

    #[test]
    fn a_redriven_job_has_fresh_attempts_but_never_an_old_number() {
        let past = Past { attempt: 3, uncounted: 0, history: Vec::new() };
        let dead = DeadLetter {
            key: job(3, 0, 0).key,
            payload: String::new(),
            past,
            is_ordered: false,
            why: String::new(),
            queued_at: Timestamp::default(),
            died_at: Timestamp::default(),
        };
        let again = dead.redrive();
        assert_eq!((again.past.attempt, again.past.counted()), (3, 0));
    }

    #[test]
    fn payloads_of_newer_nodes_are_left_alone() {
        let ours = Payload::InboxApply { provider: Provider::Stripe, event_id: "evt_1".to_owned() };
        assert_eq!(ours.encode(), r#"{"type":"inbox.apply.v1","provider":"stripe","eventId":"evt_1"}"#);
        assert_eq!(Payload::decode(&ours.encode()), Some(ours));
        assert_eq!(Payload::decode(r#"{"type":"inbox.apply.v2"}"#), None);
    }

    #[test]
    fn a_payload_fits_the_key_of_what_it_is_about() {
        let ours = Payload::InboxApply { provider: Provider::Stripe, event_id: "evt_1".to_owned() };
        assert!(ours.fits(&JobKey::new(Queue::Inbox, "stripe:evt_1", 7)));
        assert!(!ours.fits(&JobKey::new(Queue::Inbox, "stripe:evt_2", 7)));
        assert!(!ours.fits(&JobKey::new(Queue::Email, "stripe:evt_1", 7)));
    }

    proptest! {
        #[test]
        fn backoff_stays_between_a_tenth_and_the_cap(failures in 0_i32..200, jitter in 0.0_f64..=1.0) {
            let policy = RetryPolicy::of(Queue::Inbox);
            let wait = policy.backoff_ms(failures, jitter);
            prop_assert!(wait >= policy.base_ms / 10 && wait <= policy.cap_ms);
        }
    }
}
