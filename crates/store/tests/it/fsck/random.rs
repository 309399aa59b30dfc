//! Whatever providers tell about an order, in whatever order and however often: what core decides keeps every invariant.

use super::history::Shop;
use super::judged;
use ordermill_core::money::Currency;
use ordermill_core::payment::{DisputeProgress, Fact, FactKind, PaymentProgress, Provider, RefundProgress};
use ordermill_store::fsck::Snapshot;
use ordermill_store::memory::MemoryStore;
use proptest::prelude::*;
use std::sync::Arc;

/// Something that happens to the order.
#[derive(Debug, Clone)]
enum Step {
    /// The worker makes the payment intent, unless it has.
    Attach,
    /// A provider tells something.
    Hear(Fact),
}

/// A money object keeps its kind and currency for life; how far it got and how much it is worth may be told differently.
/// Refunds stay below what the order asks for, because more is a violation, and rightly so.
fn steps() -> impl Strategy<Value = Step> {
    let payment = prop_oneof![
        Just(PaymentProgress::Pending),
        Just(PaymentProgress::Failed),
        Just(PaymentProgress::Authorised),
        Just(PaymentProgress::Succeeded),
    ];
    let refund = prop_oneof![Just(RefundProgress::Pending), Just(RefundProgress::Succeeded), Just(RefundProgress::Failed)];
    let dispute = prop_oneof![Just(DisputeProgress::Open), Just(DisputeProgress::Lost), Just(DisputeProgress::Won)];
    let objects = prop_oneof![
        4 => (prop_oneof![Just("pi_1"), Just("pi_2"), Just("pi_usd"), Just("pi_usd_2")], payment.prop_map(FactKind::Payment)),
        2 => (prop_oneof![Just("re_1"), Just("re_2")], refund.prop_map(FactKind::Refund)),
        1 => (Just("dp_1"), dispute.prop_map(FactKind::Dispute)),
    ];
    let amounts = prop_oneof![Just(100_000_i64), Just(250_000), Just(300_000)];
    let hear = (objects, amounts, any::<bool>()).prop_map(|((reference, kind), amount, by_bank)| {
        let amount = if matches!(kind, FactKind::Refund(_)) { amount / 10 } else { amount };
        let currency = if reference.contains("usd") { Currency::USD } else { Currency::VND };
        let by_bank = by_bank && reference == "pi_2";
        let provider = if by_bank { Provider::Sepay } else { Provider::Stripe };
        Step::Hear(Fact { provider, reference: reference.to_owned(), kind, amount, currency })
    });
    prop_oneof![1 => Just(Step::Attach), 6 => hear]
}

async fn live_through(steps: &[Step]) -> Snapshot {
    let store = Arc::new(MemoryStore::new());
    let shop = Shop::open(&store).await;
    let mut order = shop.place_one().await;
    for step in steps {
        order = match step {
            Step::Attach if order.payment.reference.is_none() => shop.attach(order, "pi_1").await,
            Step::Attach => order,
            Step::Hear(fact) => shop.hear(order, fact).await,
        };
    }
    // What was paid back is only judged against payments that somebody told of.
    if order.payment.reference.is_none() {
        shop.attach(order, "pi_1").await;
    }
    Snapshot::read(store.as_ref()).await.expect("a snapshot")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn core_keeps_every_invariant_whatever_providers_tell(steps in prop::collection::vec(steps(), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let report = judged(&runtime.block_on(live_through(&steps)));
        prop_assert!(report.is_clean(), "{:#?}", report.violations);
    }
}
