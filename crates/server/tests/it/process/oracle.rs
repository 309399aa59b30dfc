//! Compares what a store holds at the end with what was asked and told outside of it: I0, and what only the provider and
//! the mailbox can tell. This file must not ask a server.

use super::journal::{Fate, Journal, SentEvent, Told, WantedOrder};
use ordermill::mail::{CaughtMail, MessageId, Sender};
use ordermill::simulator::stripe::{Accepted, StripeSimulator};
use ordermill::worker::email::{OrderMail, RESENDS_MAX};
use ordermill_core::change::{Effect, EffectState, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::EventKind;
use ordermill_core::id::{OrderId, UserId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::Queue;
use ordermill_core::order::intent::CREATE_INTENT;
use ordermill_core::order::{Order, PaymentMethod};
use ordermill_core::payment::PaymentStatus;
use ordermill_store::fsck::Snapshot;
use ordermill_store::{Record, Table};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Who the mails of `dev` are from.
const SENDER: &str = "Ordermill Dev <shop@example.com>";

/// What is known at the end.
pub(super) struct Evidence<'a> {
    pub(super) journal: &'a Journal,
    pub(super) stripe: &'a StripeSimulator,
    pub(super) snapshot: &'a Snapshot,
    pub(super) mails: &'a [CaughtMail],
}

/// What it shows.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What must not be, each beginning with its kind.
    pub(super) violations: Vec<String>,
    pub(super) orders: usize,
    pub(super) paid: usize,
    pub(super) events: usize,
    /// Mails that arrived more than once, counted without the first.
    pub(super) extra_mails: usize,
    /// How often mails were sent again, by the ledger.
    pub(super) resends: usize,
    /// Mails of which nobody can tell whether they arrived, and which a person must look at.
    pub(super) in_review: usize,
}

impl Verdict {
    fn add(&mut self, what: String) {
        self.violations.push(what);
    }

    /// How many violations are of this kind.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.violations.iter().filter(|what| what.starts_with(kind)).count()
    }
}

/// Reads the mails that `dev` caught; a last line that a crash cut short was never accepted.
pub(super) fn read_mails(data: &Path) -> Vec<CaughtMail> {
    let text = std::fs::read_to_string(data.join("mail.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// Judges the end of a run.
pub(super) fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    for trouble in evidence.journal.troubles() {
        verdict.add(format!("trouble: {trouble}"));
    }
    let held = Held::of(evidence.snapshot);
    let wanted = evidence.journal.orders();
    judge_orders(&wanted, &held, &mut verdict);
    judge_events(&evidence.journal.events(), &evidence.stripe.journal(), &held, &mut verdict);
    judge_provider(evidence.stripe, &held, &mut verdict);
    for (key, wanted) in &wanted {
        if let Some(order) = wanted.order.as_deref().and_then(|id| held.orders.get(id)) {
            judge_payment(key, wanted, order, &held, &mut verdict);
        }
    }
    judge_mails(evidence.mails, &held, &mut verdict);
    judge_jobs(evidence.snapshot, &held, &mut verdict);
    verdict
}

/// What the store holds, by what it is looked for.
#[derive(Default)]
struct Held {
    orders: BTreeMap<String, Order>,
    inbox: BTreeMap<String, InboxEntry>,
    idempotency: BTreeMap<Digest, OrderId>,
    effects: BTreeMap<(OrderId, String), Vec<Effect>>,
    paid_events: BTreeMap<OrderId, usize>,
    /// Orders whose customers hear by mail that they stand.
    told: BTreeSet<OrderId>,
}

impl Held {
    fn of(snapshot: &Snapshot) -> Self {
        let mut held = Self::default();
        let tables = [Table::Orders, Table::Inbox, Table::Idempotency, Table::Effects];
        for record in tables.into_iter().flat_map(|table| snapshot.records(table)) {
            let Record::Row { row, .. } = record else { continue };
            match row {
                Row::Order(order) => drop(held.orders.insert(order.id.to_string(), (**order).clone())),
                Row::Inbox(entry) => drop(held.inbox.insert(entry.event_id.clone(), entry.clone())),
                Row::Idempotency(row) => drop(held.idempotency.insert(row.key, row.result.order())),
                Row::Effect(effect) => held.effects.entry((effect.order_id, effect.kind.clone())).or_default().push(effect.clone()),
                _ => {}
            }
        }
        for record in snapshot.records(Table::Events) {
            let Record::Event(event) = record else { continue };
            if event.kind == EventKind::OrderPaid {
                *held.paid_events.entry(event.order_id).or_default() += 1;
            }
            if event.kind == EventKind::OrderCreated && event.data["receivedMail"] == true {
                held.told.insert(event.order_id);
            }
        }
        held
    }

    /// The mails that customers must have got, with their orders.
    fn mails(&self) -> impl Iterator<Item = (&Order, OrderMail)> {
        let received = self.orders.values().filter(|order| self.told.contains(&order.id)).map(|order| (order, OrderMail::Received));
        let paid = self.orders.values().filter(|order| self.paid_events.contains_key(&order.id)).map(|order| (order, OrderMail::Paid));
        received.chain(paid)
    }

    fn effects(&self, order: OrderId, kind: &str) -> &[Effect] {
        self.effects.get(&(order, kind.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// Every acknowledged order once, every other at most once, none that nobody asked for; each as it was asked for.
fn judge_orders(wanted: &BTreeMap<String, WantedOrder>, held: &Held, verdict: &mut Verdict) {
    let mut by_key: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
    for order in held.orders.values() {
        by_key.entry(order.note.as_deref().unwrap_or_default()).or_default().push(order);
    }
    for key in by_key.keys().filter(|key| !wanted.contains_key(**key)) {
        verdict.add(format!("invented: nobody asked for order {key:?}"));
    }
    for (key, wanted) in wanted {
        let found = by_key.get(key.as_str()).map_or(&[][..], Vec::as_slice);
        match (wanted.told, found) {
            (Told::Yes, [only]) if wanted.order.as_deref() == Some(only.id.to_string().as_str()) => {
                verdict.orders += 1;
                judge_order(key, wanted, only, held, verdict);
            }
            (Told::Yes, []) => verdict.add(format!("lost: order {key} was acknowledged and is not there")),
            (Told::Yes, [other]) => verdict.add(format!("changed: {key} was told {:?} and has {}", wanted.order, other.id)),
            (Told::Nothing, [] | [_]) | (Told::No(_), []) => {}
            (Told::No(status), _) => verdict.add(format!("invented: {key} was refused with {status} and is there")),
            (_, several) => verdict.add(format!("twice: {key} has {} orders", several.len())),
        }
    }
}

fn judge_order(key: &str, wanted: &WantedOrder, order: &Order, held: &Held, verdict: &mut Verdict) {
    let customer = UserId::parse(&wanted.customer).expect("an id");
    let scope = Digest::of_parts(&[customer.uuid().as_bytes(), b"POST", b"/api/orders/create", key.as_bytes()]);
    if held.idempotency.get(&scope) != Some(&order.id) {
        verdict.add(format!("lost: the key {key} does not lead to its order"));
    }
    let lines: Vec<(String, i64)> = order.lines.iter().map(|line| (line.product_id.to_string(), line.quantity)).collect();
    let is_as_asked = lines == [(wanted.product.clone(), wanted.quantity)]
        && order.payment.method.name() == wanted.method
        && order.customer.id == Some(customer);
    if !is_as_asked {
        verdict.add(format!("changed: {key} asked for something else than {lines:?} by {}", order.payment.method.name()));
    }
}

/// Every acknowledged event once and with the bytes it came with, every other at most once, none that nobody sent.
fn judge_events(sent: &BTreeMap<String, SentEvent>, at_provider: &[Accepted], held: &Held, verdict: &mut Verdict) {
    for (id, event) in sent {
        match (event.told, held.inbox.get(id)) {
            (Told::Yes, None) => verdict.add(format!("lost: event {id} was acknowledged and is not there")),
            (_, Some(entry)) => {
                verdict.events += 1;
                judge_entry(id, event, entry, verdict);
            }
            (_, None) => {}
        }
    }
    // The provider's own events have ids that only it knows: one for each time a customer tried to pay.
    let of_provider: Vec<&InboxEntry> = held.inbox.values().filter(|entry| !entry.event_id.starts_with("evt_own_")).collect();
    let tried: Vec<&str> = at_provider.iter().filter(|done| done.op.ends_with(".confirm")).map(|done| done.object_id.as_str()).collect();
    let intents: BTreeSet<&str> = tried.iter().copied().collect();
    if of_provider.len() != tried.len() {
        verdict.add(format!("lost: the provider sent {} events, {} are there", tried.len(), of_provider.len()));
    }
    verdict.events += of_provider.len();
    for entry in of_provider.iter().filter(|entry| !intents.contains(about(entry).as_str())) {
        verdict.add(format!("invented: event {} is about nothing that happened", entry.event_id));
    }
    for entry in held.inbox.values().filter(|entry| entry.event_id.starts_with("evt_own_")) {
        if !sent.contains_key(&entry.event_id) {
            verdict.add(format!("invented: nobody sent event {}", entry.event_id));
        }
    }
}

/// Which object of the provider an event is about.
fn about(entry: &InboxEntry) -> String {
    let event: Value = serde_json::from_str(&entry.body).unwrap_or_default();
    event.pointer("/data/object/id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn judge_entry(id: &str, event: &SentEvent, entry: &InboxEntry, verdict: &mut Verdict) {
    let state = match event.fate {
        Fate::Applied => InboxState::Applied,
        Fate::Unrelated => InboxState::Unrelated,
        Fate::Quarantined => InboxState::Quarantined,
    };
    if entry.body != event.body || entry.body_digest != Digest::of(event.body.as_bytes()) {
        verdict.add(format!("changed: event {id} has another body"));
    }
    if entry.state != state {
        verdict.add(format!("changed: event {id} is {} and should be {}", entry.state.name(), state.name()));
    }
}

/// At the provider, every order that pays by card has exactly one intent, made once, and nobody else has any.
fn judge_provider(stripe: &StripeSimulator, held: &Held, verdict: &mut Verdict) {
    for duplicate in stripe.duplicates() {
        verdict.add(format!("twice: {duplicate:?} at the provider"));
    }
    for given_up in stripe.undelivered() {
        verdict.add(format!("lost: the provider gave {given_up:?} up"));
    }
    let journal = stripe.journal();
    let made: BTreeMap<&str, &str> = journal
        .iter()
        .filter(|done| done.op.ends_with(".create"))
        .filter_map(|done| Some((done.payment_id.as_deref()?, done.object_id.as_str())))
        .collect();
    let mut expected = BTreeSet::new();
    for order in held.orders.values().filter(|order| order.payment.method == PaymentMethod::Stripe) {
        let payment = order.payment.id.to_string();
        let at_provider = made.get(payment.as_str()).copied();
        if at_provider.is_none() || at_provider != order.payment.reference.as_deref() {
            verdict.add(format!("lost: order {} has the intent {:?}, its provider {at_provider:?}", order.code, order.payment.reference));
        }
        let effects = held.effects(order.id, CREATE_INTENT);
        if !matches!(effects, [only] if only.state == EffectState::Confirmed && only.reference.as_deref() == at_provider) {
            verdict.add(format!("twice: order {} has the effects {effects:?}", order.code));
        }
        expected.insert(payment);
    }
    for payment in made.keys().filter(|payment| !expected.contains(**payment)) {
        verdict.add(format!("invented: the provider made an intent for payment {payment} of no order"));
    }
}

/// Paid at the provider means paid once here, and nothing else does.
fn judge_payment(key: &str, wanted: &WantedOrder, order: &Order, held: &Held, verdict: &mut Verdict) {
    let paid_events = held.paid_events.get(&order.id).copied().unwrap_or(0);
    let is_paid = order.payment_status == PaymentStatus::Paid;
    match &wanted.paid_intent {
        Some(intent) => {
            verdict.paid += 1;
            if paid_events != 1 || !is_paid || order.payment.reference.as_deref() != Some(intent) {
                let status = order.payment_status;
                verdict.add(format!("lost: {key} was paid by {intent}; it is {status:?} with {paid_events} paid events"));
            }
        }
        None if paid_events > 0 || is_paid => verdict.add(format!("invented: nobody paid {key}, and it is paid")),
        None => {}
    }
}

/// Every order that stands and every paid one has its mail, by its Message-ID; no other mail went out.
fn judge_mails(mails: &[CaughtMail], held: &Held, verdict: &mut Verdict) {
    let sender = Sender::parse(SENDER).expect("an address");
    let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
    for mail in mails {
        *copies.entry(mail.message_id.as_str()).or_default() += 1;
    }
    let mut expected = BTreeSet::new();
    for (order, mail) in held.mails() {
        let effects = held.effects(order.id, mail.kind());
        let [effect] = effects else {
            let what = if mail == OrderMail::Paid { "paid" } else { "received" };
            verdict.add(format!("lost: {what} order {} has the mail effects {effects:?}", order.code));
            continue;
        };
        let id = MessageId::of(&effect.key, &sender).to_string();
        let count = copies.get(id.as_str()).copied().unwrap_or(0);
        match effect.state {
            EffectState::Confirmed if count >= 1 => {}
            // It was called off before its mail went out.
            EffectState::Confirmed if effect.reference.as_deref().is_some_and(|reference| reference.starts_with("not sent: ")) => {}
            // Three attempts were killed between "about to send" and "sent".
            EffectState::NeedsReview => verdict.in_review += 1,
            state => verdict.add(format!("lost: the mail of order {} is {state:?} and arrived {count} times", order.code)),
        }
        // Each sending is written down before it begins, so a mailbox never holds more copies than the ledger knows of.
        let resends = usize::try_from(effect.resends).expect("it is not negative");
        if effect.resends > RESENDS_MAX || count > resends + 1 {
            verdict.add(format!("twice: the mail of order {} arrived {count} times with {resends} resends", order.code));
        }
        verdict.resends += resends;
        verdict.extra_mails += count.saturating_sub(1);
        expected.insert(id);
    }
    for id in copies.keys().filter(|id| !expected.contains(**id)) {
        verdict.add(format!("invented: the mail {id} belongs to no order"));
    }
}

/// Everything was worked off. Only mails that a person must look at may lie dead.
fn judge_jobs(snapshot: &Snapshot, held: &Held, verdict: &mut Verdict) {
    for record in snapshot.records(Table::Jobs) {
        if let Record::Job { key, past, .. } = record {
            verdict.add(format!("stuck: job {key} after {past:?}"));
        }
    }
    for record in snapshot.records(Table::DeadLetters) {
        let Record::DeadLetter(dead) = record else { continue };
        let order = OrderId::parse(&dead.key.group).filter(|_| dead.key.queue == Queue::Email.name());
        let effects = [OrderMail::Received, OrderMail::Paid]
            .into_iter()
            .flat_map(|mail| order.map_or(&[][..], |order| held.effects(order, mail.kind())));
        let is_in_review = effects.into_iter().any(|effect| effect.state == EffectState::NeedsReview);
        if !is_in_review {
            verdict.add(format!("stuck: dead letter {} after {:?}", dead.key, dead.past));
        }
    }
}
