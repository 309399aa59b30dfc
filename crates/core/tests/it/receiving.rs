//! A fact moves an order: whatever comes when, the money ends the same, it is paid at most once, and the books agree.

use crate::facts::any_fact;
use crate::shop::{NOW, Shop, fact, permutations, wanted};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Account, Change, IdempotencyRow, LedgerEntry, MAX_ACTIONS, MAX_LINES, Row, StockMove};
use ordermill_core::event::EventKind;
use ordermill_core::job::{CircuitMove, Claim, Finish, JobKey, Outcome, Queue};
use ordermill_core::money::Currency;
use ordermill_core::order::intent::{Intent, attach_intent};
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Order, OrderStatus, PaymentMethod, StockHold};
use ordermill_core::payment::{DisputeProgress, Fact, FactKind, PaymentProgress, PaymentStatus, Provider, RefundProgress};
use proptest::prelude::*;

const TOTAL: i64 = 300_000;

fn pay(reference: &str, progress: PaymentProgress, amount: i64) -> Fact {
    fact(reference, FactKind::Payment(progress), amount)
}

fn refund(reference: &str, progress: RefundProgress, amount: i64) -> Fact {
    fact(reference, FactKind::Refund(progress), amount)
}

/// An order after it heard these facts, and every change on the way.
fn hear(shop: &Shop, order: &Order, facts: &[Fact]) -> (Order, Vec<Change>) {
    let mut order = order.clone();
    let mut changes = Vec::new();
    for fact in facts {
        if let Some((next, change)) = receive(&order, fact, GoodsOutlook::Hopeful, shop.context()) {
            assert_eq!(change.check(), Ok(()), "{fact:?}");
            assert_eq!(next.version, order.version + i64::try_from(change.events.len()).expect("few"));
            order = next;
            changes.push(change);
        }
    }
    (order, changes)
}

fn kinds(changes: &[Change]) -> Vec<&EventKind> {
    changes.iter().flat_map(|change| &change.events).map(|event| &event.kind).collect()
}

fn count(changes: &[Change], kind: &EventKind) -> usize {
    kinds(changes).into_iter().filter(|found| *found == kind).count()
}

/// What was put to an account less what was taken from it.
fn balance(changes: &[Change], account: Account, currency: Currency) -> i64 {
    let side = |wants: fn(&LedgerEntry) -> Account| -> i64 {
        let entries = changes.iter().flat_map(|change| &change.ledger).filter(|entry| entry.currency == currency);
        entries.filter(|entry| wants(entry) == account).map(|entry| entry.amount).sum()
    };
    side(|entry| entry.credit) - side(|entry| entry.debit)
}

/// The books agree with what the facts add up to.
fn assert_books(order: &Order, changes: &[Change]) {
    let (summary, own) = (order.summary(), order.currency);
    assert_eq!(balance(changes, Account::Order, own), summary.captured_amount - summary.refunded_amount, "{order:?}");
    assert_eq!(balance(changes, Account::CreditOwed, own), summary.credit_amount, "{order:?}");
    assert_eq!(balance(changes, Account::ProviderClearing, own), summary.refunded_amount - summary.received_amount);
    let foreign = |fact: &&Fact| fact.currency != own && fact.kind == FactKind::Payment(PaymentProgress::Succeeded);
    let suspense: i64 = order.facts.iter().filter(foreign).map(|fact| fact.amount).sum();
    assert_eq!(balance(changes, Account::Suspense, Currency::USD), suspense, "{order:?}");
}

/// What must not depend on the order of the tellings.
fn outcome(order: &Order) -> impl PartialEq + std::fmt::Debug + use<> {
    (order.facts.clone(), order.payment_status, order.status, order.stock_hold, order.expires_at)
}

fn agree_in_every_order(pool: &[Fact]) {
    let shop = Shop::default();
    let order = shop.order();
    let (expected, _) = hear(&shop, &order, pool);
    permutations(pool, &mut |facts| {
        let (heard, changes) = hear(&shop, &order, facts);
        assert_eq!(outcome(&heard), outcome(&expected), "{facts:?}");
        assert_eq!(count(&changes, &EventKind::OrderPaid), usize::from(heard.summary().is_settled), "{facts:?}");
        assert_books(&heard, &changes);
        let (again, more) = hear(&shop, &heard, facts);
        assert_eq!((again, more), (heard, vec![]), "what is known changes nothing");
    });
}

#[test]
fn a_payment_that_failed_first_and_was_refunded_ends_the_same_in_every_order() {
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Pending, TOTAL),
        pay("pi_1", PaymentProgress::Failed, TOTAL),
        pay("pi_1", PaymentProgress::Succeeded, TOTAL),
        refund("re_1", RefundProgress::Pending, 100_000),
        refund("re_1", RefundProgress::Succeeded, 100_000),
        fact("dp_1", FactKind::Dispute(DisputeProgress::Open), TOTAL),
    ]);
}

#[test]
fn two_part_payments_and_a_refund_that_failed_end_the_same_in_every_order() {
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Succeeded, 200_000),
        pay("pi_2", PaymentProgress::Succeeded, 200_000),
        refund("re_1", RefundProgress::Succeeded, 150_000),
        refund("re_1", RefundProgress::Failed, 150_000),
        refund("re_2", RefundProgress::Succeeded, 50_000),
        fact("dp_1", FactKind::Dispute(DisputeProgress::Lost), TOTAL),
        fact("dp_1", FactKind::Dispute(DisputeProgress::Won), TOTAL),
    ]);
}

#[test]
fn money_that_is_not_enough_never_pays() {
    agree_in_every_order(&[
        pay("pi_1", PaymentProgress::Succeeded, 100_000),
        pay("pi_2", PaymentProgress::Succeeded, 199_999),
        pay("pi_3", PaymentProgress::Authorised, TOTAL),
        refund("re_1", RefundProgress::Succeeded, 100_000),
    ]);
}

#[test]
fn money_in_another_currency_ends_the_same_before_and_after_the_own() {
    let dollars = |reference| Fact { currency: Currency::USD, ..pay(reference, PaymentProgress::Succeeded, 1_000) };
    agree_in_every_order(&[dollars("pi_1"), pay("pi_2", PaymentProgress::Succeeded, TOTAL), dollars("pi_3")]);
    agree_in_every_order(&[dollars("pi_1"), pay("pi_2", PaymentProgress::Succeeded, TOTAL - 1)]);
    let shop = Shop::default();
    let (unclear, changes) = hear(&shop, &shop.order(), &[dollars("pi_1")]);
    assert_eq!((unclear.status, unclear.stock_hold), (OrderStatus::NeedsAttention, StockHold::Reserved), "a person must look");
    assert_eq!(count(&changes, &EventKind::OrderNeedsAttention), 1);
    let (paid, _) = hear(&shop, &unclear, &[pay("pi_2", PaymentProgress::Succeeded, TOTAL)]);
    assert_eq!((paid.status, paid.stock_hold), (OrderStatus::Processing, StockHold::Taken), "enough came: it goes on");
}

#[test]
fn paying_takes_the_goods_and_tells_the_customer() {
    let shop = Shop::default();
    let order = shop.order();
    let (paid, changes) = hear(&shop, &order, &[pay("pi_1", PaymentProgress::Succeeded, TOTAL)]);
    let [change] = &changes[..] else { panic!("one change") };
    assert_eq!((paid.status, paid.payment_status, paid.stock_hold), (OrderStatus::Processing, PaymentStatus::Paid, StockHold::Taken));
    assert_eq!(paid.expires_at, None, "a paid order does not expire");
    let kinds: Vec<&EventKind> = kinds(&changes);
    assert_eq!(kinds, [&EventKind::PaymentReceived, &EventKind::OrderPaid, &EventKind::OrderProcessing]);
    assert_eq!(change.stock.iter().map(|step| (step.available_delta, step.reserved_delta)).collect::<Vec<_>>(), [(0, -1)]);
    assert_eq!(change.jobs.iter().map(|job| job.key.clone()).collect::<Vec<_>>(), [JobKey::new(Queue::Email, order.id.to_string(), 3)]);
    let mut silent = shop.context();
    silent.routing.email = false;
    let (_, change) = receive(&order, &pay("pi_1", PaymentProgress::Succeeded, TOTAL), GoodsOutlook::Hopeful, silent).expect("news");
    assert_eq!(change.jobs, []);
}

#[test]
fn money_after_the_end_revives_the_order_if_its_goods_can_be_had() {
    let shop = Shop::default();
    for ended in [OrderStatus::Expired, OrderStatus::Cancelled] {
        let order = Order { status: ended, stock_hold: StockHold::None, ..shop.order() };
        let late = pay("pi_1", PaymentProgress::Succeeded, TOTAL);
        let (revived, change) = receive(&order, &late, GoodsOutlook::Hopeful, shop.context()).expect("news");
        assert_eq!((revived.status, revived.stock_hold), (OrderStatus::Processing, StockHold::Taken));
        assert_eq!(change.stock.iter().map(|step| (step.available_delta, step.reserved_delta)).collect::<Vec<_>>(), [(-1, 0)]);
        let (gone, change) = receive(&order, &late, GoodsOutlook::Gone, shop.context()).expect("news");
        assert_eq!((gone.status, gone.stock_hold), (OrderStatus::NeedsAttention, StockHold::None));
        assert_eq!(change.stock, []);
        for (order, change) in [(revived, change.clone()), (gone, change)] {
            assert_eq!(order.payment_status, PaymentStatus::Paid);
            assert_eq!(count(&[change], &EventKind::OrderPaid), 1);
        }
    }
}

#[test]
fn the_webhook_may_be_faster_than_the_answer_that_names_the_intent() {
    let shop = Shop::default();
    let order = shop.order();
    let intent = Intent { reference: "pi_1".to_owned(), client_secret: Some("secret".to_owned()) };
    let paid = pay("pi_1", PaymentProgress::Succeeded, TOTAL);
    let (attached, change) = attach_intent(&order, &intent, shop.context()).expect("it has none");
    assert_eq!(change.check(), Ok(()));
    let (one, _) = receive(&attached, &paid, GoodsOutlook::Hopeful, shop.context()).expect("news");
    let (heard, _) = receive(&order, &paid, GoodsOutlook::Hopeful, shop.context()).expect("news");
    let (other, change) = attach_intent(&heard, &intent, shop.context()).expect("it has none");
    assert_eq!(change.check(), Ok(()));
    assert_eq!(outcome(&one), outcome(&other));
    assert_eq!(one.payment, other.payment);
    assert_eq!(attach_intent(&one, &intent, shop.context()), None);
    assert!(change.puts.iter().all(|row| !matches!(row, Row::Payment(_))), "the money object is known already");
}

#[test]
fn the_largest_order_can_be_placed_and_paid_on_every_store() {
    let shop = Shop::default();
    let catalogue: Vec<_> = (0..MAX_LINES).map(|n| shop.product(&format!("sku-{n}"), ProductKind::Physical, 10_000)).collect();
    let wanted = wanted(PaymentMethod::Stripe, catalogue.iter().map(|product| (product.id, 1)));
    let (order, mut placed) = shop.place(&wanted, &catalogue).expect("an order");
    let (key, fingerprint) = (order_digest(&order, 1), order_digest(&order, 2));
    placed.insert(Row::Idempotency(IdempotencyRow { key, fingerprint, result: order.id.into(), at: NOW }));
    assert_eq!(placed.check(), Ok(()), "{} actions", placed.actions());
    // Overpaid, by an event that waited for its order: the most that one payment can do at once.
    let paid = pay("pi_1", PaymentProgress::Succeeded, order.total_amount + 1);
    let (_, mut change) = receive(&order, &paid, GoodsOutlook::Hopeful, shop.context()).expect("news");
    change.replace(Row::Setting(crate::shop::setting("stands for the received event", 2)), 1);
    let claim = Claim { key: JobKey::new(Queue::Inbox, "evt_1", 1), attempt: 1 };
    change.finish(Finish { claim, outcome: Outcome::Done, circuit: CircuitMove::Close });
    // Room for what later consumers of `order.paid` add.
    assert!(change.actions() <= MAX_ACTIONS - 20, "{} actions, the limit is {MAX_ACTIONS}", change.actions());
    assert_eq!(change.check(), Ok(()));
}

fn order_digest(order: &Order, n: u8) -> ordermill_core::digest::Digest {
    ordermill_core::digest::Digest::of_parts(&[order.id.uuid().as_bytes(), &[n]])
}

/// Tellings as providers send them: a money object keeps its kind and currency for life.
fn honest_fact() -> impl Strategy<Value = Fact> {
    any_fact().prop_map(|told| {
        let (prefix, currency) = match told.kind {
            FactKind::Payment(_) if told.currency == Currency::VND => ("pi", Currency::VND),
            FactKind::Payment(_) => ("pi_usd", Currency::USD),
            FactKind::Refund(_) => ("re", Currency::VND),
            FactKind::Dispute(_) => ("dp", Currency::VND),
        };
        let n = told.reference.trim_start_matches("object_").to_owned();
        Fact { provider: Provider::Stripe, reference: format!("{prefix}_{n}"), amount: told.amount % 1_000_000, currency, ..told }
    })
}

proptest! {
    #[test]
    fn whatever_is_told_in_whatever_order_the_money_is_the_same(
        (facts, shuffled) in prop::collection::vec(honest_fact(), 0..10).prop_flat_map(|facts| {
            let twice: Vec<Fact> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(twice).prop_shuffle())
        }),
        has_ended in any::<bool>(),
    ) {
        let shop = Shop::default();
        let open = shop.order();
        let order = if has_ended { Order { status: OrderStatus::Expired, stock_hold: StockHold::None, expires_at: None, ..open } } else { open };
        let ((one, one_changes), (other, other_changes)) = (hear(&shop, &order, &facts), hear(&shop, &order, &shuffled));
        prop_assert_eq!((&one.facts, one.payment_status), (&other.facts, other.payment_status));
        for (heard, changes) in [(&one, &one_changes), (&other, &other_changes)] {
            prop_assert_eq!(count(changes, &EventKind::OrderPaid), usize::from(heard.summary().is_settled));
            prop_assert_eq!(heard.payment_status, heard.summary().status);
            assert_books(heard, changes);
            let taken: i64 = changes.iter().flat_map(|change| &change.stock).map(StockMove::on_hand_delta).sum();
            prop_assert_eq!(taken, if heard.stock_hold == StockHold::Taken { -1 } else { 0 });
            let seqs: Vec<i64> = changes.iter().flat_map(|change| &change.events).map(|event| event.seq).collect();
            prop_assert_eq!(seqs, ((order.version + 1)..=heard.version).collect::<Vec<_>>());
        }
        prop_assert_eq!(outcome(&one), outcome(&other));
    }
}
