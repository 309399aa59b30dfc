//! What is known about an order's money is a join of facts: the set decides, never the order or the number of tellings (F3).

use crate::shop::{fact, permutations};
use ordermill_core::money::Currency;
use ordermill_core::payment::{DisputeProgress, Fact, FactKind, Facts, PaymentProgress, PaymentStatus, Provider, RefundProgress, Summary};
use proptest::prelude::*;

const DUE: i64 = 300_000;

fn pay(reference: &str, progress: PaymentProgress, amount: i64) -> Fact {
    fact(reference, FactKind::Payment(progress), amount)
}

fn refund(reference: &str, progress: RefundProgress, amount: i64) -> Fact {
    fact(reference, FactKind::Refund(progress), amount)
}

fn dispute(reference: &str, progress: DisputeProgress) -> Fact {
    fact(reference, FactKind::Dispute(progress), DUE)
}

fn learn(tellings: &[Fact]) -> (Facts, Summary) {
    let mut facts = Facts::default();
    for telling in tellings {
        facts.learn(telling);
    }
    let summary = facts.summary(DUE, 1_000, Currency::VND);
    (facts, summary)
}

/// Every order of every part of these tellings, each also told twice over.
fn agree_in_every_order(pool: &[Fact]) {
    assert!(pool.len() <= 7);
    for mask in 0_u32..1 << pool.len() {
        let chosen: Vec<Fact> = (0..).zip(pool).filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, fact)| fact.clone()).collect();
        let expected = learn(&chosen);
        permutations(&chosen, &mut |order| {
            assert_eq!(learn(order), expected, "{order:?}");
            let twice: Vec<Fact> = order.iter().flat_map(|fact| [fact.clone(), fact.clone()]).chain(order.first().cloned()).collect();
            assert_eq!(learn(&twice), expected, "{twice:?}");
        });
    }
}

#[test]
fn every_order_of_one_payments_life_ends_the_same() {
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Pending, DUE),
        pay("pi_1", PaymentProgress::Failed, DUE),
        pay("pi_1", PaymentProgress::Authorised, DUE),
        pay("pi_1", PaymentProgress::Cancelled, DUE),
        pay("pi_1", PaymentProgress::Succeeded, DUE),
        pay("pi_1", PaymentProgress::Succeeded, DUE - 1),
        refund("re_1", RefundProgress::Succeeded, DUE),
    ]);
}

#[test]
fn every_order_of_refunds_and_disputes_ends_the_same() {
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Succeeded, DUE),
        refund("re_1", RefundProgress::Pending, 100_000),
        refund("re_1", RefundProgress::Succeeded, 100_000),
        refund("re_1", RefundProgress::Failed, 100_000),
        refund("re_2", RefundProgress::Succeeded, 200_000),
        dispute("dp_1", DisputeProgress::Open),
        dispute("dp_1", DisputeProgress::Won),
    ]);
}

#[test]
fn every_order_of_part_payments_in_two_currencies_ends_the_same() {
    let dollars = Fact { currency: Currency::USD, ..pay("pi_3", PaymentProgress::Succeeded, 1_200) };
    let by_bank = Fact { provider: Provider::Sepay, ..pay("pi_1", PaymentProgress::Succeeded, 50_000) };
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Succeeded, 100_000),
        pay("pi_2", PaymentProgress::Failed, 200_000),
        pay("pi_2", PaymentProgress::Succeeded, 200_000),
        by_bank,
        dollars,
        dispute("dp_1", DisputeProgress::Lost),
        refund("re_1", RefundProgress::Succeeded, 350_000),
    ]);
}

#[test]
fn the_status_says_what_the_sums_say() {
    use PaymentStatus::{Disputed, Failed, Paid, PartiallyRefunded, Pending, Refunded, Underpaid};
    let paid = || pay("pi_1", PaymentProgress::Succeeded, DUE);
    let dollars = |fact: Fact| Fact { currency: Currency::USD, ..fact };
    let cases: Vec<(Vec<Fact>, PaymentStatus, bool)> = vec![
        (vec![dollars(paid())], Pending, false),
        (vec![paid(), dollars(refund("re_1", RefundProgress::Succeeded, DUE))], Paid, true),
        (vec![], Pending, false),
        (vec![pay("pi_1", PaymentProgress::Pending, DUE)], Pending, false),
        (vec![pay("pi_1", PaymentProgress::Authorised, DUE)], Pending, false),
        (vec![pay("pi_1", PaymentProgress::Failed, DUE)], Failed, false),
        (vec![pay("pi_1", PaymentProgress::Failed, DUE), pay("pi_2", PaymentProgress::Pending, DUE)], Pending, false),
        (vec![pay("pi_1", PaymentProgress::Succeeded, 1)], Underpaid, false),
        (vec![pay("pi_1", PaymentProgress::Succeeded, DUE - 1_001)], Underpaid, false),
        (vec![pay("pi_1", PaymentProgress::Succeeded, DUE - 1_000)], Paid, true),
        (vec![paid()], Paid, true),
        (vec![paid(), refund("re_1", RefundProgress::Pending, DUE)], Paid, true),
        (vec![paid(), refund("re_1", RefundProgress::Failed, DUE)], Paid, true),
        (vec![paid(), refund("re_1", RefundProgress::Succeeded, 1)], PartiallyRefunded, true),
        (vec![paid(), refund("re_1", RefundProgress::Succeeded, DUE)], Refunded, true),
        (vec![paid(), dispute("dp_1", DisputeProgress::Open)], Disputed, true),
        (vec![paid(), dispute("dp_1", DisputeProgress::Lost)], Disputed, true),
        (vec![paid(), dispute("dp_1", DisputeProgress::Won)], Paid, true),
    ];
    for (facts, status, is_settled) in cases {
        let summary = learn(&facts).1;
        assert_eq!((summary.status, summary.is_settled), (status, is_settled), "{facts:?}");
    }
}

#[test]
fn sums_at_the_end_of_the_range_saturate() {
    let most = |reference| pay(reference, PaymentProgress::Succeeded, i64::MAX);
    let (_, summary) = learn(&[most("pi_1"), most("pi_2"), refund("re_1", RefundProgress::Succeeded, i64::MAX)]);
    assert_eq!((summary.received_amount, summary.captured_amount, summary.credit_amount), (i64::MAX, DUE, i64::MAX - DUE));
    let facts = Facts::default();
    assert!(!facts.summary(0, i64::MAX, Currency::VND).is_settled, "nothing never pays for anything");
}

/// Any telling at all, also ones that no provider would send: one object of two kinds, in two currencies.
pub(crate) fn any_fact() -> impl Strategy<Value = Fact> {
    let kinds = prop_oneof![
        prop::sample::select(vec![
            PaymentProgress::Pending,
            PaymentProgress::Failed,
            PaymentProgress::Authorised,
            PaymentProgress::Cancelled,
            PaymentProgress::Succeeded
        ])
        .prop_map(FactKind::Payment),
        prop::sample::select(vec![RefundProgress::Pending, RefundProgress::Succeeded, RefundProgress::Failed]).prop_map(FactKind::Refund),
        prop::sample::select(vec![DisputeProgress::Open, DisputeProgress::Lost, DisputeProgress::Won]).prop_map(FactKind::Dispute),
    ];
    let providers = prop::sample::select(vec![Provider::Stripe, Provider::Sepay, Provider::Cash]);
    let amounts = prop_oneof![0_i64..400_000, Just(DUE), Just(i64::MAX)];
    (providers, 0_u8..4, kinds, amounts, prop::bool::weighted(0.1)).prop_map(|(provider, n, kind, amount, is_foreign)| Fact {
        provider,
        currency: if is_foreign { Currency::USD } else { Currency::VND },
        ..fact(&format!("object_{n}"), kind, amount)
    })
}

proptest! {
    #[test]
    fn any_order_and_any_repeats_end_the_same(
        (told, again) in prop::collection::vec(any_fact(), 0..12).prop_flat_map(|facts| {
            let twice: Vec<Fact> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(learn(&told), learn(&again));
    }

    #[test]
    fn joining_is_commutative_associative_and_idempotent(a in any_fact(), b in any_fact(), c in any_fact()) {
        let like = |fact: &Fact| Fact { provider: a.provider, reference: a.reference.clone(), ..fact.clone() };
        let (b, c) = (like(&b), like(&c));
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(a.join(&a), a);
    }

    #[test]
    fn learning_says_truly_whether_anything_is_new(facts in prop::collection::vec(any_fact(), 0..12)) {
        let mut known = Facts::default();
        for fact in &facts {
            let before = known.clone();
            let is_new = known.learn(fact);
            prop_assert_eq!(is_new, known != before);
            prop_assert!(known.about(fact.provider, &fact.reference).is_some_and(|joined| joined >= fact));
        }
        prop_assert!(known.iter().is_sorted());
    }

    #[test]
    fn what_was_received_is_captured_or_credit(facts in prop::collection::vec(any_fact(), 0..12), due in 1_i64..1_000_000) {
        let mut known = Facts::default();
        for fact in &facts {
            known.learn(fact);
        }
        let summary = known.summary(due, 0, Currency::VND);
        prop_assert_eq!(summary.captured_amount + summary.credit_amount, summary.received_amount);
        prop_assert!(summary.captured_amount <= due && summary.credit_amount >= 0);
        prop_assert_eq!(summary.is_settled, summary.received_amount >= due);
    }
}
