//! Who owns what: I1 (an Idempotency-Key names one result), I5 (a money object belongs to one order), I19 (parents exist,
//! unique values are unique).

use super::finding::{Finding, Findings};
use super::invariant::Invariant::{I1, I5, I19};
use super::roster::{Place, Roster, fingerprint};
use ordermill_core::change::{IdempotencyRow, Key, PaymentRow, Row};
use ordermill_core::code;
use ordermill_core::digest::Digest;
use ordermill_core::id::ResultId;
use ordermill_core::order::Order;
use ordermill_core::payment::Fact;
use std::collections::{HashMap, HashSet};

/// Who owns which money object and which unique value.
#[derive(Debug, Default)]
pub(super) struct Owners {
    facts: HashMap<u64, (Place, bool)>,
    order_values: HashMap<u64, Place>,
    row_values: HashSet<u64>,
    /// What a request may have made other than an order.
    made: HashSet<u64>,
}

impl Owners {
    /// Takes note of what an order owns.
    pub(super) fn judge_order(&mut self, order: &Order, place: Place, roster: &Roster, findings: &mut Findings) {
        let mut last: Option<&Fact> = None;
        for fact in order.facts.iter() {
            if last.is_some_and(|last| (last.provider, &last.reference) >= (fact.provider, &fact.reference)) {
                let what = format!("{} {} stands twice or out of order among its facts", fact.provider.name(), fact.reference);
                findings.add(Finding::order(I5, order.id, what));
            }
            last = Some(fact);
            let before = self.facts.insert(fingerprint((fact.provider, &fact.reference)), (place, false));
            if let Some(other) = before.filter(|(other, _)| *other != place).and_then(|(other, _)| roster.id(other)) {
                let what = format!("{} {} belongs to {other} as well", fact.provider.name(), fact.reference);
                findings.add(Finding::order(I5, order.id, what).with([other]));
            }
        }
        let prefix = order.code.trim_end_matches(|character: char| character.is_ascii_digit());
        if code::parse_number(prefix, &order.code) != Some(order.number) {
            findings.add(Finding::order(I19, order.id, format!("its code {} is not that of number {}", order.code, order.number)));
        }
        let values = [("number", fingerprint(("number", order.number))), ("code", fingerprint(("code", &order.code)))];
        for (name, value) in values {
            if let Some(other) = self.order_values.insert(value, place).and_then(|other| roster.id(other)) {
                findings.add(Finding::order(I19, order.id, format!("its {name} is also that of {other}")).with([other]));
            }
        }
    }

    /// A payment row: its order exists and knows the money object.
    pub(super) fn judge_payment(&mut self, row: &PaymentRow, roster: &Roster, findings: &mut Findings) {
        let key = Key::Payment(row.provider, row.reference.clone());
        let Some(place) = roster.place(row.order_id) else {
            let what = format!("it belongs to {}, which does not exist", row.order_id);
            findings.add(Finding::row(I19, key, what).with([row.order_id]).young_if(roster.may_be_young(row.order_id)));
            return;
        };
        let owner = self.facts.get_mut(&fingerprint((row.provider, &row.reference)));
        match owner {
            Some((owner, is_seen)) if *owner == place => *is_seen = true,
            Some((owner, _)) => {
                let other = roster.id(*owner);
                let what = format!("it belongs to {}, but its fact is with another order", row.order_id);
                findings.add(Finding::row(I5, key, what).with([row.order_id]).with(other));
            }
            None => {
                let what = format!("its order {} knows nothing of it", row.order_id);
                findings.add(Finding::row(I5, key, what).with([row.order_id]).young_if(roster.is_later(place, row.at)));
            }
        }
    }

    /// After all payment rows: facts without one (I5).
    pub(super) fn judge_facts_left(&self, roster: &Roster, findings: &mut Findings) {
        let mut left: Vec<Place> = self.facts.values().filter(|(_, is_seen)| !is_seen).map(|(place, _)| *place).collect();
        left.sort_unstable();
        for id in left.into_iter().filter_map(|place| roster.id(place)) {
            findings.add(Finding::order(I5, id, "one of its money objects has no payment row that names it"));
        }
    }

    /// The unique values of a product, an account or an API key (I19).
    pub(super) fn judge_unique(&mut self, row: &Row, findings: &mut Findings) {
        for value in row.keys().iter().skip(1) {
            if !self.row_values.insert(fingerprint(value)) {
                findings.add(Finding::row(I19, row.key(), "one of its unique values is also another row's"));
            }
        }
    }

    /// Takes note of what a request may have made.
    pub(super) fn note_made(&mut self, row: &Row) {
        let made: Option<ResultId> = match row {
            Row::Product(row) => Some(row.id.into()),
            Row::User(row) => Some(row.id.into()),
            Row::ApiKey(row) => Some(row.id.into()),
            Row::Audit(row) => Some(row.id.into()),
            _ => None,
        };
        self.made.extend(made.map(fingerprint));
    }

    /// An idempotency row, after everything that it may name: its result exists, and the request it stands for is known
    /// (I1).
    pub(super) fn judge_idempotency(&self, row: &IdempotencyRow, roster: &Roster, findings: &mut Findings) {
        let order = row.result.order();
        if roster.place(order).is_none() && !self.made.contains(&fingerprint(row.result)) {
            let what = format!("it names {}, which does not exist", row.result);
            let finding = Finding::row(I1, Key::Idempotency(row.key), what).with([order]);
            // Whatever was made since orders were read has a higher id than all of them: ids begin with the time.
            findings.add(finding.young_if(roster.may_be_young(order)));
        }
        if Digest::from_bytes(&[0; 32]) == Some(row.fingerprint) {
            findings.add(Finding::row(I1, Key::Idempotency(row.key), "it does not say which request it stands for"));
        }
    }
}
