//! Jobs and dead letters: I8 (attempts are numbered), I9 (only the current attempt ends a job), I10 (attempts end), I20
//! (nothing is stuck).

use super::Promises;
use super::finding::{Finding, Findings};
use super::invariant::Invariant::{I8, I9, I10, I20};
use super::roster::fingerprint;
use crate::Record;
use ordermill_core::id::OrderId;
use ordermill_core::job::{DeadLetter, JobKey, MAX_HISTORY, Past, Payload};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::Provider;
use serde::Deserialize;
use std::collections::{BTreeSet, HashSet};

/// What is being worked on, as hashes: for those who ask whether somebody sees to a thing.
#[derive(Debug, Default)]
pub(super) struct Work {
    keys: HashSet<u64>,
    kinds: HashSet<u64>,
    events: HashSet<u64>,
    /// The group of an ordered queue that was seen last: only its first job can be claimed.
    last_group: Option<(String, String)>,
}

/// The name of a payload, which every version of a job has.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow)]
    name: std::borrow::Cow<'a, str>,
}

/// What a job does, without the version of its payload: `email.order_paid` for `email.order_paid.v1`. The effect that it
/// leaves has this kind.
pub(super) fn kind_of(payload: &str) -> Option<String> {
    let named: Named<'_> = serde_json::from_str(payload).ok()?;
    let is_version = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let kind = named.name.rsplit_once(".v").filter(|(_, version)| is_version(version)).map_or(&*named.name, |(kind, _)| kind);
    Some(kind.to_owned())
}

impl Work {
    /// A waiting or running job.
    pub(super) fn judge_job(&mut self, record: &Record, held: &BTreeSet<String>, promises: &Promises, findings: &mut Findings) {
        let Record::Job { key, payload, past, max_attempts, is_ordered, is_running, due_for_ms } = record else { return };
        self.note(key, payload);
        self.keys.insert(fingerprint(key));
        judge_past(key, past, findings);
        let told = told(past);
        if *is_running && past.attempt < 1 {
            findings.add(Finding::job(I8, key, "it runs without an attempt"));
        } else if *is_running && told == past.attempt {
            findings.add(Finding::job(I9, key, format!("attempt {told} runs and has ended already")));
        }
        if past.counted() > *max_attempts {
            findings.add(Finding::job(I10, key, format!("{} attempts of at most {max_attempts}", past.counted())));
        }
        let is_exhausted = past.counted() >= *max_attempts;
        if is_exhausted && !is_running && *due_for_ms > promises.buried_within_ms {
            findings.add(Finding::job(I10, key, "its attempts are used up and it is no dead letter"));
        }
        let is_first = self.is_first_of_group(key) || !is_ordered;
        let is_late = *due_for_ms > promises.due_within_ms;
        if is_late && is_first && !is_running && !is_exhausted && !held.contains(&key.queue) {
            findings.add(Finding::job(I20, key, format!("it has been due for {} s", due_for_ms / 1_000)));
        }
    }

    /// A dead letter.
    pub(super) fn judge_dead(&mut self, dead: &DeadLetter, findings: &mut Findings) {
        self.note(&dead.key, &dead.payload);
        if self.keys.contains(&fingerprint(&dead.key)) {
            findings.add(Finding::job(I10, &dead.key, "it is a dead letter and waits as well"));
        }
        judge_past(&dead.key, &dead.past, findings);
        if dead.past.history.is_empty() {
            findings.add(Finding::job(I10, &dead.key, "it is a dead letter without a history"));
        } else if told(&dead.past) != dead.past.attempt {
            let what = format!("attempt {} killed it, its last one was {}", told(&dead.past), dead.past.attempt);
            findings.add(Finding::job(I9, &dead.key, what));
        }
    }

    /// Whether somebody sees to something of this kind for an order.
    pub(super) fn is_seen_to(&self, order: OrderId, kind: &str) -> bool {
        self.kinds.contains(&fingerprint((order, kind)))
    }

    /// Whether somebody sees to a received event.
    pub(super) fn moves_on(&self, provider: Provider, event_id: &str) -> bool {
        self.events.contains(&fingerprint((provider, event_id)))
    }

    fn note(&mut self, key: &JobKey, payload: &str) {
        if let (Some(order), Some(kind)) = (OrderId::parse(&key.group), kind_of(payload)) {
            self.kinds.insert(fingerprint((order, kind.as_str())));
        }
        if let Some(Payload::InboxApply { provider, event_id }) = Payload::decode(payload) {
            self.events.insert(fingerprint((provider, event_id.as_str())));
        }
    }

    /// Jobs come sorted by queue, group and number.
    fn is_first_of_group(&mut self, key: &JobKey) -> bool {
        let is_same = self.last_group.as_ref().is_some_and(|(queue, group)| (queue, group) == (&key.queue, &key.group));
        if !is_same {
            self.last_group = Some((key.queue.clone(), key.group.clone()));
        }
        !is_same
    }
}

/// The last attempt that the history tells of.
fn told(past: &Past) -> i32 {
    past.history.last().map_or(0, |failure| failure.attempt)
}

/// Every attempt but the current one left a failure behind; of a long history only the first and the latest are kept.
fn judge_past(key: &JobKey, past: &Past, findings: &mut Findings) {
    let mut add = |what: String| findings.add(Finding::job(I8, key, what));
    if past.attempt < 0 || past.uncounted < 0 || past.uncounted > past.attempt {
        add(format!("{} attempts, of which {} do not count", past.attempt, past.uncounted));
    }
    let attempts: Vec<i32> = past.history.iter().map(|failure| failure.attempt).collect();
    let is_whole = attempts.len() < MAX_HISTORY;
    let rises = attempts.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let has_holes = is_whole && !attempts.iter().zip(1..).all(|(attempt, expected)| *attempt == expected);
    if !rises || has_holes || attempts.first().is_some_and(|first| *first != 1) {
        add(format!("its history tells of attempts {attempts:?}"));
    }
    let told = told(past);
    if told != past.attempt && told != past.attempt.saturating_sub(1) {
        add(format!("its history ends with attempt {told}, it is at {}", past.attempt));
    }
}

/// An order that has its money and still waits for it (I20). Both move in one change, so no time is allowed for it.
pub(super) fn judge_order(order: &Order, findings: &mut Findings) {
    if order.status == OrderStatus::Pending && order.summary().is_settled {
        findings.add(Finding::order(I20, order.id, "it is paid and still pending"));
    }
}
