//! What was promised to the outside: I6 (received events come to an end), I7 (every effect has one outcome), I14 (nobody
//! who must hear of an event is forgotten).

use super::Promises;
use super::finding::{Finding, Findings};
use super::invariant::Invariant::{I6, I7, I14, I19};
use super::roster::{Place, Roster, fingerprint};
use super::work::{Work, kind_of};
use crate::Record;
use ordermill_core::change::{AuditEntry, Effect, EffectState, Key};
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::JobKey;
use ordermill_core::order::intent::{create_intent_key, effect_key};
use ordermill_core::order::{Order, PaymentMethod};
use ordermill_core::payment::Provider;
use ordermill_core::route::route;
use std::collections::HashMap;

/// What the audit trail calls the act of throwing a dead letter away, with the job's key as its subject: who must hear of
/// an event then never will, by a person's decision.
pub(super) const DISCARDED: &str = "dead_letter.discarded";

/// Everything that somebody still has to hear of, see to or prove.
#[derive(Debug, Default)]
pub(super) struct Promised {
    /// Queue and kind of the jobs that events cause.
    routes: Vec<(String, String)>,
    /// Sorted by order and event, because orders come sorted.
    owed: Vec<Owed>,
    /// Effects that must explain why an order's payment has a reference, and the order.
    intents: HashMap<u64, Place>,
    open_events: Vec<(Provider, String)>,
}

/// A job that an event must have caused.
#[derive(Debug)]
struct Owed {
    place: Place,
    route: u8,
    is_met: bool,
    seq: i64,
}

impl Promised {
    /// Takes note of what an order's events and its row promise.
    pub(super) fn note_order(&mut self, order: &Order, events: &[Event], place: Place, promises: &Promises) {
        for event in events.iter().filter(|event| event.at >= promises.routed_since) {
            for job in route(event, order, promises.routing) {
                let route = self.route(&job.key.queue, &kind_of(&job.payload).unwrap_or_default());
                self.owed.push(Owed { place, route, is_met: false, seq: event.seq });
            }
        }
        if order.payment.method == PaymentMethod::Stripe
            && let Some(reference) = &order.payment.reference
        {
            let key = create_intent_key(order.id, order.payment.id);
            self.intents.insert(fingerprint((key, reference.as_str())), place);
        }
    }

    fn route(&mut self, queue: &str, kind: &str) -> u8 {
        let known = self.routes.iter().position(|route| (route.0.as_str(), route.1.as_str()) == (queue, kind));
        let index = known.unwrap_or_else(|| {
            self.routes.push((queue.to_owned(), kind.to_owned()));
            self.routes.len() - 1
        });
        u8::try_from(index).unwrap_or(u8::MAX)
    }

    /// A received event (I6).
    pub(super) fn judge_inbox(&mut self, entry: &InboxEntry, roster: &Roster, findings: &mut Findings) {
        let key = || Key::Inbox(entry.provider, entry.event_id.clone());
        if entry.state.is_open() {
            self.open_events.push((entry.provider, entry.event_id.clone()));
        } else if entry.outcome.is_empty() {
            findings.add(Finding::row(I6, key(), format!("it is {} without an outcome", entry.state.name())));
        }
        match entry.order_id {
            None if entry.state == InboxState::Applied => {
                findings.add(Finding::row(I6, key(), "it is applied and names no order"));
            }
            Some(order) if roster.place(order).is_none() => {
                let finding = Finding::row(I6, key(), format!("it names {order}, which does not exist")).with([order]);
                findings.add(finding.young_if(roster.may_be_young(order)));
            }
            _ => {}
        }
    }

    /// A job or dead letter: somebody hears of its event.
    pub(super) fn note_job(&mut self, key: &JobKey, roster: &Roster) {
        let Some(place) = OrderId::parse(&key.group).and_then(|id| roster.place(id)) else { return };
        let routes = &self.routes;
        for owed in owed_by(&mut self.owed, place).iter_mut().filter(|owed| owed.seq == key.seq) {
            owed.is_met |= routes.get(usize::from(owed.route)).is_some_and(|(queue, _)| *queue == key.queue);
        }
    }

    /// After all jobs and dead letters: open events that nobody moves on (I6).
    pub(super) fn judge_open_events(&mut self, work: &Work, findings: &mut Findings) {
        for (provider, event_id) in std::mem::take(&mut self.open_events) {
            if !work.moves_on(provider, &event_id) {
                findings.add(Finding::row(I6, Key::Inbox(provider, event_id), "it waits and no job moves it on"));
            }
        }
    }

    /// An effect (I7, and I19 for its order).
    pub(super) fn judge_effect(&mut self, effect: &Effect, work: &Work, roster: &Roster, findings: &mut Findings) {
        let add = |what: &str| Finding::row(I7, Key::Effect(effect.key), format!("{}: {what}", effect.kind)).with([effect.order_id]);
        match (effect.state, effect.reference.as_deref()) {
            (EffectState::Confirmed, None) => findings.add(add("it is confirmed without a reference")),
            (EffectState::Confirmed, Some(reference)) => {
                self.intents.remove(&fingerprint((effect.key, reference)));
            }
            (EffectState::Intended, _) if !work.is_seen_to(effect.order_id, &effect.kind) => {
                findings.add(add("it was begun and nobody will settle it"));
            }
            (EffectState::Intended | EffectState::NeedsReview, _) => {}
        }
        let Some(place) = roster.place(effect.order_id) else {
            let what = format!("it belongs to {}, which does not exist", effect.order_id);
            let finding = Finding::row(I19, Key::Effect(effect.key), what).with([effect.order_id]);
            findings.add(finding.young_if(roster.may_be_young(effect.order_id)));
            return;
        };
        if effect.state != EffectState::Intended
            && let Some(order) = roster.id(place)
        {
            let routes = &self.routes;
            for owed in owed_by(&mut self.owed, place) {
                // An effect's business sequence is the number of the event that it answers.
                let is_it = |kind: &str| kind == effect.kind && effect_key(order, kind, &owed.seq.to_string()) == effect.key;
                owed.is_met |= routes.get(usize::from(owed.route)).is_some_and(|(_, kind)| is_it(kind));
            }
        }
    }

    /// An act of a person: a dead letter thrown away is heard of no more.
    pub(super) fn note_audit(&mut self, entry: &AuditEntry, roster: &Roster) {
        if entry.action == DISCARDED
            && let Some(key) = JobKey::parse(&entry.subject)
        {
            self.note_job(&key, roster);
        }
    }

    /// At the end: what nobody heard of (I14), and references that no effect explains (I7).
    pub(super) fn judge_left(&self, roster: &Roster, findings: &mut Findings) {
        for owed in self.owed.iter().filter(|owed| !owed.is_met) {
            let Some(id) = roster.id(owed.place) else { continue };
            let queue = self.routes.get(usize::from(owed.route)).map_or("", |(queue, _)| queue.as_str());
            let what = format!("its event {} has neither job nor dead letter nor effect in {queue}", owed.seq);
            findings.add(Finding::order(I14, id, what));
        }
        let mut unexplained: Vec<Place> = self.intents.values().copied().collect();
        unexplained.sort_unstable();
        for id in unexplained.into_iter().filter_map(|place| roster.id(place)) {
            findings.add(Finding::order(I7, id, "its payment has a reference that no confirmed effect explains"));
        }
    }
}

/// What is owed for one order.
fn owed_by(owed: &mut [Owed], place: Place) -> &mut [Owed] {
    let start = owed.partition_point(|owed| owed.place < place);
    let count = owed.get(start..).map_or(0, |rest| rest.partition_point(|owed| owed.place == place));
    owed.get_mut(start..start + count).unwrap_or_default()
}

/// The job key of a record, for jobs and dead letters.
pub(super) fn job_key(record: &Record) -> Option<&JobKey> {
    match record {
        Record::Job { key, .. } => Some(key),
        Record::DeadLetter(dead) => Some(&dead.key),
        _ => None,
    }
}
