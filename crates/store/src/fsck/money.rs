//! An order's money: I2 (paid once) and I3 (facts, bookings and the row's own sums agree).

use super::dossier::Dossier;
use super::finding::{Finding, Findings, Subject};
use super::invariant::Invariant::{I2, I3};
use super::replay::Expected;
use ordermill_core::change::{Account, Cause, LedgerEntry};
use ordermill_core::money::Currency;
use ordermill_core::order::Order;
use ordermill_core::payment::{Fact, FactKind, PaymentProgress, RefundProgress};
use std::collections::BTreeMap;

/// Judges an order's money.
pub(super) fn judge(dossier: &Dossier, order: &Order, expected: &Expected, findings: &mut Findings) {
    // Facts only grow and the ranks of a payment end with "succeeded", so an order that was settled once stays settled.
    let wanted = usize::from(order.summary().is_settled);
    if expected.paid != wanted && !expected.has_unknown {
        findings.add(Finding::order(I2, order.id, format!("{} paid events, its money asks for {wanted}", expected.paid)));
    }
    let prices = price_faults(order);
    let facts = fact_faults(order);
    let bookings = booking_faults(dossier, order);
    for what in prices.into_iter().chain(facts).chain(bookings) {
        findings.add(Finding::order(I3, order.id, what));
    }
}

/// Bookings for an order that does not exist (I3).
pub(super) fn judge_orphan(dossier: &Dossier, findings: &mut Findings) {
    if !dossier.ledger.is_empty() {
        let what = format!("{} bookings for an order that does not exist", dossier.ledger.len());
        findings.add(Finding::order(I3, dossier.id, what).young_if(dossier.is_young));
    }
}

/// A booking that a person or an import caused.
pub(super) fn judge_loose(entry: &LedgerEntry, findings: &mut Findings) {
    if matches!(entry.cause, Cause::Change(_))
        && let Some(what) = entry_fault(entry)
    {
        findings.add(Finding::new(I3, Subject::Cause(entry.cause.clone()), what));
    }
}

/// The arithmetic of the order itself.
fn price_faults(order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    for line in &order.lines {
        let total = i128::from(line.unit_amount) * i128::from(line.quantity);
        if line.quantity < 1 || line.unit_amount < 0 || total != i128::from(line.total_amount) {
            found.push(format!("line {}: {} × {} is not {}", line.sku, line.quantity, line.unit_amount, line.total_amount));
        }
    }
    let lines: i128 = order.lines.iter().map(|line| i128::from(line.total_amount)).sum();
    if lines != i128::from(order.subtotal_amount) {
        found.push(format!("its lines add up to {lines}, its subtotal is {}", order.subtotal_amount));
    }
    let total = i128::from(order.subtotal_amount) - i128::from(order.discount_amount) + i128::from(order.shipping_amount);
    if total != i128::from(order.total_amount) || order.total_amount < 0 {
        found.push(format!("its parts add up to {total}, its total is {}", order.total_amount));
    }
    if [order.discount_amount, order.shipping_amount, order.tolerance_amount].iter().any(|amount| *amount < 0) {
        found.push("its discount, shipping or tolerance is negative".to_owned());
    }
    found
}

/// The order's facts among themselves and against what the row says of them.
fn fact_faults(order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    for fact in order.facts.iter() {
        let moved = matches!(
            fact.kind,
            FactKind::Payment(PaymentProgress::Succeeded) | FactKind::Refund(RefundProgress::Succeeded | RefundProgress::Failed)
        );
        if fact.amount < 0 || (moved && fact.amount == 0) {
            found.push(format!("{} {} moved {}", fact.provider.name(), fact.reference, fact.amount));
        }
    }
    let summary = order.summary();
    if order.payment_status != summary.status {
        found.push(format!("its payment status is {}, by its facts {}", order.payment_status.name(), summary.status.name()));
    }
    let payable = most_received(order);
    if i128::from(summary.refunded_amount) > payable {
        found.push(format!("{} was paid back, and no more than {payable} was ever asked for", summary.refunded_amount));
    }
    found
}

/// The most that can have been received: payments that succeeded, and those whose success we may not have heard of yet
/// (a refund may be told before its payment).
fn most_received(order: &Order) -> i128 {
    let may_have_come = |fact: &&Fact| {
        fact.currency == order.currency && matches!(fact.kind, FactKind::Payment(progress) if progress != PaymentProgress::Cancelled)
    };
    order.facts.iter().filter(may_have_come).map(|fact| i128::from(fact.amount)).sum()
}

/// The order's bookings: each in itself, and their sums against the facts.
fn booking_faults(dossier: &Dossier, order: &Order) -> Vec<String> {
    let mut found: Vec<String> = dossier.ledger.iter().filter_map(entry_fault).collect();
    let twice = dossier.ledger.windows(2).find(|pair| matches!(pair, [a, b] if (&a.cause, a.leg) == (&b.cause, b.leg)));
    if let Some([entry, _]) = twice {
        found.push(format!("leg {} of one cause is booked twice", entry.leg));
    }
    let late = dossier.ledger.iter().find(|entry| !matches!(entry.cause, Cause::Order(_, seq) if (1..=order.version).contains(&seq)));
    if let Some(entry) = late {
        found.push(format!("booked for {}, which is no event of it", crate::encode::cause_text(&entry.cause)));
    }
    let balances = Balances::of(&dossier.ledger);
    let summary = order.summary();
    let own = |account| balances.of_account(account, order.currency);
    let paid = i128::from(summary.captured_amount) - i128::from(summary.refunded_amount);
    let credit = i128::from(summary.credit_amount);
    if own(Account::Order) != paid {
        found.push(format!("booked for it: {}, captured less paid back: {paid}", own(Account::Order)));
    }
    if own(Account::CreditOwed) != credit {
        found.push(format!("booked as credit: {}, received beyond its total: {credit}", own(Account::CreditOwed)));
    }
    found.extend(foreign_faults(order, &balances));
    found
}

fn entry_fault(entry: &LedgerEntry) -> Option<String> {
    let is_sound = entry.amount > 0 && entry.debit != entry.credit;
    (!is_sound).then(|| format!("leg {} books {} from {} to {}", entry.leg, entry.amount, entry.credit.name(), entry.debit.name()))
}

/// Money in other currencies waits in suspense, all of it and nothing else.
fn foreign_faults(order: &Order, balances: &Balances) -> Vec<String> {
    let mut received: BTreeMap<Currency, i128> = BTreeMap::new();
    for fact in order.facts.iter() {
        if fact.kind == FactKind::Payment(PaymentProgress::Succeeded) && fact.currency != order.currency {
            *received.entry(fact.currency).or_default() += i128::from(fact.amount);
        }
    }
    let mut found = Vec::new();
    for currency in balances.currencies().chain(received.keys().copied()).filter(|currency| *currency != order.currency) {
        let wanted = received.get(&currency).copied().unwrap_or_default();
        let suspense = balances.of_account(Account::Suspense, currency);
        let clearing = balances.of_account(Account::ProviderClearing, currency);
        let what = format!("{suspense} {currency} waits in suspense, {wanted} {currency} arrived");
        if (suspense != wanted || clearing != -wanted) && !found.contains(&what) {
            found.push(what);
        }
    }
    found
}

/// What accounts hold: what they gave less what they took.
struct Balances(BTreeMap<(Currency, Account), i128>);

impl Balances {
    fn of(entries: &[LedgerEntry]) -> Self {
        let mut sums = BTreeMap::new();
        for entry in entries {
            *sums.entry((entry.currency, entry.credit)).or_default() += i128::from(entry.amount);
            *sums.entry((entry.currency, entry.debit)).or_default() -= i128::from(entry.amount);
        }
        Self(sums)
    }

    fn of_account(&self, account: Account, currency: Currency) -> i128 {
        self.0.get(&(currency, account)).copied().unwrap_or_default()
    }

    fn currencies(&self) -> impl Iterator<Item = Currency> {
        self.0.keys().map(|(currency, _)| *currency)
    }
}
