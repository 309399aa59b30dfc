//! Placing an order: totals, limits and the edges of the integers.

use crate::shop::{MINUTE_MS, NOW, Shop, customer, wanted};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::MAX_LINES;
use ordermill_core::event::EventKind;
use ordermill_core::id::{ProductId, UserId};
use ordermill_core::job::{JobKey, Queue};
use ordermill_core::money::Currency;
use ordermill_core::order::place::{INTENT_GRACE_MS, MAX_QUANTITY, MAX_TOTAL, Wanted, place};
use ordermill_core::order::{Context, Customer, OrderStatus, PaymentMethod, StockHold};
use ordermill_core::payment::PaymentStatus;
use ordermill_core::refusal::Refusal;
use ordermill_core::route::{Routing, route};
use proptest::prelude::*;

/// What core says to an order of one product at this price.
fn one_line(unit_amount: i64, quantity: i64) -> Result<i64, Refusal> {
    let shop = Shop::default();
    let product = shop.product("shirt", ProductKind::Physical, unit_amount);
    let wanted = wanted(PaymentMethod::Stripe, [(product.id, quantity)]);
    shop.place(&wanted, &[product]).map(|(order, _)| order.total_amount)
}

#[test]
fn totals_are_quantities_at_the_catalogues_prices() {
    let shop = Shop::default();
    let catalogue = [shop.product("shirt", ProductKind::Physical, 250_000), shop.product("ebook", ProductKind::Digital, 49_000)];
    let [shirt, ebook] = &catalogue;
    let wanted = wanted(PaymentMethod::BankTransfer, [(shirt.id, 2), (ebook.id, 3)]);
    let (order, change) = shop.place(&wanted, &catalogue).expect("an order");
    let lines: Vec<_> = order.lines.iter().map(|line| (line.sku.as_str(), line.quantity, line.unit_amount, line.total_amount)).collect();
    assert_eq!(lines, [("shirt", 2, 250_000, 500_000), ("ebook", 3, 49_000, 147_000)]);
    assert_eq!((order.subtotal_amount, order.total_amount, order.payment.amount), (647_000, 647_000, 647_000));
    assert_eq!((order.status, order.payment_status, order.version), (OrderStatus::Pending, PaymentStatus::Pending, 1));
    assert_eq!((order.code.as_str(), order.number), ("DH000001", 1));
    assert_eq!(
        change.stock.iter().map(|step| (step.key.sku.as_str(), step.available_delta, step.reserved_delta)).collect::<Vec<_>>(),
        [("shirt", -2, 2)]
    );
    assert_eq!(change.check(), Ok(()));
}

#[test]
fn one_product_is_one_line_however_often_it_is_named() {
    let shop = Shop::default();
    let catalogue = [shop.product("b", ProductKind::Physical, 10), shop.product("a", ProductKind::Physical, 1)];
    let [b, a] = &catalogue;
    let wanted = wanted(PaymentMethod::Cod, [(b.id, 2), (a.id, 1), (b.id, 3)]);
    let (order, change) = shop.place(&wanted, &catalogue).expect("an order");
    assert_eq!(order.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect::<Vec<_>>(), [("b", 5), ("a", 1)]);
    assert_eq!(order.goods(), [("a", 1), ("b", 5)], "goods are locked in one order by everybody");
    assert_eq!(change.stock.iter().map(|step| step.key.sku.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn an_account_hears_of_its_order_when_everybody_agrees() {
    let shop = Shop::default();
    let product = shop.product("ebook", ProductKind::Digital, 49_000);
    let wanted = wanted(PaymentMethod::BankTransfer, [(product.id, 1)]);
    let account = || Customer { id: Some(UserId::new(NOW.unix_ms(), [1; 10])), ..customer() };
    let told = |who: Customer, routing: Routing| {
        let context = Context { routing, ..shop.context() };
        let find = |id| Some(&product).filter(|product| product.id == id);
        let (order, change) = place(&wanted, who, &shop.terms(1), find, context).expect("an order");
        let again: Vec<_> = change.events.iter().flat_map(|event| route(event, &order, Routing::default())).collect();
        assert_eq!(again, change.jobs, "who must hear of an event stays the same when settings change");
        change.jobs.iter().map(|job| job.key.clone()).collect::<Vec<_>>() == [JobKey::new(Queue::Email, order.id.to_string(), 1)]
    };
    let all = Routing { order_received: true, ..Routing::default() };
    assert!(told(account(), all));
    assert!(!told(customer(), all), "guests see it on the page");
    assert!(!told(account(), Routing::default()));
    assert!(!told(account(), Routing { email: false, ..all }));
}

#[test]
fn each_method_begins_in_its_own_way() {
    let shop = Shop::default();
    let product = shop.product("ebook", ProductKind::Digital, 49_000);
    let place = |method| shop.place(&wanted(method, [(product.id, 1)]), std::slice::from_ref(&product)).expect("an order");
    let (card, change) = place(PaymentMethod::Stripe);
    assert_eq!((card.expires_at, card.needs_intent()), (Some(NOW.plus_ms(30 * MINUTE_MS)), true));
    let jobs: Vec<_> = change.jobs.iter().map(|job| (job.key.clone(), job.delay_ms)).collect();
    assert_eq!(jobs, [(JobKey::new(Queue::Stripe, card.id.to_string(), 1), INTENT_GRACE_MS)]);
    let (transfer, change) = place(PaymentMethod::BankTransfer);
    assert_eq!((transfer.expires_at, transfer.needs_intent()), (Some(NOW.plus_ms(24 * 60 * MINUTE_MS)), false));
    assert_eq!(change.jobs, []);
    let (cash, change) = place(PaymentMethod::Cod);
    assert_eq!((cash.expires_at, cash.status, cash.version), (None, OrderStatus::Processing, 2));
    assert_eq!(change.events.iter().map(|event| &event.kind).collect::<Vec<_>>(), [&EventKind::OrderCreated, &EventKind::OrderProcessing]);
    assert_eq!((cash.stock_hold, change.stock), (StockHold::None, vec![]), "a link has no stock");
}

#[test]
fn quantities_have_limits() {
    for quantity in [i64::MIN, -1, 0, MAX_QUANTITY + 1, i64::MAX] {
        let refusal = one_line(1, quantity).expect_err("out of range");
        assert!(matches!(&refusal, Refusal::Invalid { path, .. } if path == "products[0].quantity"), "{quantity}: {refusal}");
    }
    assert_eq!(one_line(1, MAX_QUANTITY), Ok(MAX_QUANTITY));
    let shop = Shop::default();
    let product = shop.product("shirt", ProductKind::Physical, 1);
    for (first, second) in [(MAX_QUANTITY, 1), (1, i64::MAX), (5, -1)] {
        let wanted = wanted(PaymentMethod::Stripe, [(product.id, first), (product.id, second)]);
        let refusal = shop.place(&wanted, std::slice::from_ref(&product)).expect_err("too many together");
        assert!(matches!(&refusal, Refusal::Invalid { path, .. } if path == "products[1].quantity"), "{refusal}");
    }
}

#[test]
fn totals_have_limits_and_never_wrap() {
    assert_eq!(one_line(MAX_TOTAL, 1), Ok(MAX_TOTAL));
    for (unit_amount, quantity) in
        [(MAX_TOTAL + 1, 1), (MAX_TOTAL, 2), (i64::MAX, 1), (i64::MAX, MAX_QUANTITY), (i64::MIN, MAX_QUANTITY), (0, 1), (-1, 1)]
    {
        assert_eq!(one_line(unit_amount, quantity), Err(Refusal::AmountOutOfRange), "{quantity} at {unit_amount}");
    }
    let shop = Shop::default();
    // Each line fits an integer, their sum does not.
    let catalogue = [shop.product("a", ProductKind::Digital, i64::MAX), shop.product("b", ProductKind::Digital, i64::MAX)];
    let wanted = wanted(PaymentMethod::Stripe, catalogue.iter().map(|product| (product.id, 1)));
    assert_eq!(shop.place(&wanted, &catalogue).map(drop), Err(Refusal::AmountOutOfRange));
}

#[test]
fn an_order_has_at_least_one_and_at_most_so_many_lines() {
    let shop = Shop::default();
    let catalogue: Vec<Product> = (0..=MAX_LINES).map(|n| shop.product(&format!("sku-{n}"), ProductKind::Physical, 1)).collect();
    let place = |count: usize| {
        let wanted = wanted(PaymentMethod::Stripe, catalogue.iter().take(count).map(|product| (product.id, 1)));
        shop.place(&wanted, &catalogue).map(|(_, change)| change.check())
    };
    assert!(matches!(place(0), Err(Refusal::Invalid { path, .. }) if path == "products"));
    assert_eq!(place(MAX_LINES), Ok(Ok(())));
    assert_eq!(place(MAX_LINES + 1), Err(Refusal::TooManyLines { max: MAX_LINES, found: MAX_LINES + 1 }));
}

#[test]
fn what_is_not_for_sale_is_refused() {
    let shop = Shop::default();
    let off = Product { is_active: false, ..shop.product("old", ProductKind::Digital, 1) };
    let unknown = ProductId::new(1, [9; 10]);
    for id in [off.id, unknown] {
        let wanted = wanted(PaymentMethod::Stripe, [(id, 1)]);
        assert_eq!(shop.place(&wanted, std::slice::from_ref(&off)).map(drop), Err(Refusal::UnknownProduct { product_id: id.to_string() }));
    }
}

#[test]
fn currencies_methods_and_totals_must_fit() {
    let shop = Shop::default();
    let dong = shop.product("a", ProductKind::Digital, 100);
    let dollar = Product { currency: Currency::USD, ..shop.product("b", ProductKind::Digital, 100) };
    let catalogue = [dong.clone(), dollar.clone()];
    let place = |wanted: &Wanted| shop.place(wanted, &catalogue).map(|(order, _)| order.currency);
    let mixed = Refusal::MixedCurrency { first: "VND".to_owned(), second: "USD".to_owned() };
    assert_eq!(place(&wanted(PaymentMethod::Stripe, [(dong.id, 1), (dollar.id, 1)])), Err(mixed));
    let method = Refusal::MethodCurrency { method: "bank_transfer".to_owned(), currency: "USD".to_owned() };
    assert_eq!(place(&wanted(PaymentMethod::BankTransfer, [(dollar.id, 1)])), Err(method));
    assert_eq!(place(&wanted(PaymentMethod::Stripe, [(dollar.id, 1)])), Ok(Currency::USD));
    let guarded = |expected| Wanted { expected_total: Some(expected), ..wanted(PaymentMethod::Stripe, [(dong.id, 2)]) };
    assert_eq!(place(&guarded(200)), Ok(Currency::VND));
    for expected in [i64::MIN, 0, 199, 201, i64::MAX] {
        let mismatch = Refusal::TotalMismatch { expected, actual: 200, currency: "VND".to_owned() };
        assert_eq!(place(&guarded(expected)), Err(mismatch));
    }
}

#[test]
fn only_goods_that_are_sent_need_an_address() {
    let shop = Shop::default();
    let catalogue = [shop.product("shirt", ProductKind::Physical, 1), shop.product("ebook", ProductKind::Digital, 1)];
    let place = |index: usize| {
        let wanted = Wanted { shipping_address: None, ..wanted(PaymentMethod::Stripe, [(catalogue[index].id, 1)]) };
        shop.place(&wanted, &catalogue).map(drop)
    };
    assert!(matches!(place(0), Err(Refusal::Invalid { path, .. }) if path == "shippingAddress"));
    assert_eq!(place(1), Ok(()));
}

proptest! {
    #[test]
    fn an_accepted_order_adds_up_and_a_refused_one_has_a_reason(
        prices in prop::collection::vec(prop_oneof![1_i64..1_000_000, any::<i64>(), Just(i64::MAX), Just(i64::MIN)], 1..6),
        lines in prop::collection::vec((0_usize..6, prop_oneof![9 => 1_i64..50, 1 => any::<i64>()]), 0..45),
        method in prop::sample::select(PaymentMethod::ALL.to_vec()),
    ) {
        let shop = Shop::default();
        let kind = |n: usize| if n.is_multiple_of(2) { ProductKind::Physical } else { ProductKind::Digital };
        let catalogue: Vec<Product> = prices.iter().enumerate().map(|(n, price)| shop.product(&format!("sku-{n}"), kind(n), *price)).collect();
        let lines: Vec<_> = lines.iter().map(|(n, quantity)| (catalogue[n % catalogue.len()].id, *quantity)).collect();
        let wanted = wanted(method, lines.clone());
        match shop.place(&wanted, &catalogue) {
            Ok((order, change)) => {
                prop_assert_eq!(change.check(), Ok(()));
                let exact: i128 = lines.iter().map(|(id, quantity)| {
                    let product = catalogue.iter().find(|product| product.id == *id).expect("in the catalogue");
                    i128::from(product.unit_amount) * i128::from(*quantity)
                }).sum();
                prop_assert_eq!(i128::from(order.total_amount), exact);
                prop_assert!((1..=MAX_TOTAL).contains(&order.total_amount));
                let wanted_goods: i64 = order.lines.iter().filter(|line| line.kind == ProductKind::Physical).map(|line| line.quantity).sum();
                prop_assert_eq!(change.stock.iter().map(|step| step.reserved_delta).sum::<i64>(), wanted_goods);
                prop_assert!(change.stock.iter().all(|step| step.on_hand_delta() == 0));
                prop_assert_eq!(order.version, i64::try_from(change.events.len()).expect("few"));
            }
            Err(refusal) => prop_assert!(!refusal.code().is_empty() && !refusal.to_string().is_empty()),
        }
    }
}
