//! An order against its own events: I4 (the row is their fold), I11 (completed once), I15 (numbered without holes).

use super::dossier::Dossier;
use super::finding::{Finding, Findings};
use super::invariant::Invariant::{I4, I11, I15};
use super::replay::{Expected, replay};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::{Facts, PaymentStatus};

/// Judges an order by its events, and returns what they add up to.
pub(super) fn judge(dossier: &Dossier, order: &Order, findings: &mut Findings) -> Expected {
    numbers(dossier, order, findings);
    let expected = replay(&dossier.events);
    if !expected.has_unknown {
        for what in differences(order, &expected) {
            findings.add(Finding::order(I4, order.id, what));
        }
        completed(order, &expected, findings);
    }
    expected
}

/// Events without an order (I15).
pub(super) fn judge_orphan(dossier: &Dossier, findings: &mut Findings) {
    if !dossier.events.is_empty() {
        let what = format!("{} events of an order that does not exist", dossier.events.len());
        findings.add(Finding::order(I15, dossier.id, what).young_if(dossier.is_young));
    }
}

fn numbers(dossier: &Dossier, order: &Order, findings: &mut Findings) {
    let hole = dossier.events.iter().zip(1..).find(|(event, expected)| event.seq != *expected);
    if let Some((event, expected)) = hole {
        findings.add(Finding::order(I15, order.id, format!("event {expected} is missing, {} stands in its place", event.seq)));
    }
    let last = dossier.events.last().map_or(0, |event| event.seq);
    if last != order.version || last == 0 {
        findings.add(Finding::order(I15, order.id, format!("its version is {}, its last event {last}", order.version)));
    }
}

/// Everything in which a row differs from the fold of its events.
fn differences(order: &Order, expected: &Expected) -> Vec<String> {
    let mut found: Vec<String> = expected
        .illegal
        .iter()
        .map(|(seq, from, to)| format!("event {seq} moves it from {} to {}, which no rule allows", name(*from), to.name()))
        .collect();
    if expected.status != Some(order.status) {
        found.push(format!("its status is {}, by its events {}", order.status.name(), name(expected.status)));
    }
    if let Some(reference) = first_difference(&order.facts, &expected.facts) {
        found.push(format!("its facts and its events tell different things about {reference}"));
    }
    let status = summary_status(order, &expected.facts);
    if status != order.payment_status {
        found.push(format!("its payment status is {}, by its events {}", order.payment_status.name(), status.name()));
    }
    if expected.reference != order.payment.reference {
        found.push(format!("its payment is {:?}, by its events {:?}", order.payment.reference, expected.reference));
    }
    if let Some(placed) = &expected.placed {
        let differs = placed.number.is_some_and(|number| number != order.number)
            || placed.total_amount.is_some_and(|total| total != order.total_amount)
            || placed.currency.as_deref().is_some_and(|currency| currency != order.currency.code());
        if differs {
            found.push("its number, total or currency is not the one it was placed with".to_owned());
        }
    }
    if expected.paid > 0 && order.expires_at.is_some() {
        found.push("it is paid and still expires".to_owned());
    }
    found
}

fn name(status: Option<OrderStatus>) -> &'static str {
    status.map_or("nothing", OrderStatus::name)
}

fn summary_status(order: &Order, facts: &Facts) -> PaymentStatus {
    facts.summary(order.total_amount, order.tolerance_amount, order.currency).status
}

/// The first money object about which two sets of facts differ.
fn first_difference(row: &Facts, events: &Facts) -> Option<String> {
    let differs = |one: &Facts, other: &Facts| {
        let fact = one.iter().find(|fact| other.about(fact.provider, &fact.reference) != Some(fact))?;
        Some(format!("{} {}", fact.provider.name(), fact.reference))
    };
    differs(row, events).or_else(|| differs(events, row))
}

/// Nothing leads out of `completed`, so the event and the status come together. Delivery tasks and parcels join here
/// when orders have them.
fn completed(order: &Order, expected: &Expected, findings: &mut Findings) {
    let wanted = usize::from(order.status == OrderStatus::Completed);
    if expected.completed != wanted {
        let what = format!("it is {} and has {} completed events", order.status.name(), expected.completed);
        findings.add(Finding::order(I11, order.id, what));
    }
}
