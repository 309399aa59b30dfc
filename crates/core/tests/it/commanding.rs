//! People move orders only where the table leads, goods follow, and money is never cancelled away.

use crate::facts::any_fact;
use crate::shop::{Shop, fact, wanted};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Change, StockMove};
use ordermill_core::event::EventKind;
use ordermill_core::order::command::{Command, command};
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Order, OrderStatus, PaymentMethod, StockHold};
use ordermill_core::payment::{FactKind, PaymentProgress, RefundProgress};
use ordermill_core::refusal::Refusal;
use proptest::prelude::*;

const TOTAL: i64 = 300_000;

fn deltas(change: &Change) -> Vec<(i64, i64)> {
    change.stock.iter().map(|step| (step.available_delta, step.reserved_delta)).collect()
}

fn go(shop: &Shop, order: &Order, status: OrderStatus) -> (Order, Change) {
    let (next, change) = command(order, &Command::to(status), shop.context()).expect("the table has this way");
    assert_eq!(change.check(), Ok(()));
    (next, change)
}

fn hear(shop: &Shop, order: &Order, kind: FactKind, amount: i64) -> Order {
    receive(order, &fact(&format!("{kind:?}"), kind, amount), GoodsOutlook::Hopeful, shop.context()).expect("news").0
}

#[test]
fn cancelling_gives_the_goods_back() {
    let shop = Shop::default();
    let order = shop.order();
    let (cancelled, change) = go(&shop, &order, OrderStatus::Cancelled);
    assert_eq!((cancelled.status, cancelled.stock_hold, cancelled.expires_at), (OrderStatus::Cancelled, StockHold::None, None));
    assert_eq!(deltas(&change), [(1, -1)]);
    assert_eq!(change.events.iter().map(|event| &event.kind).collect::<Vec<_>>(), [&EventKind::OrderCancelled]);
}

#[test]
fn an_order_with_money_is_not_cancelled_until_the_money_is_given_back() {
    let shop = Shop::default();
    let paid = hear(&shop, &shop.order(), FactKind::Payment(PaymentProgress::Succeeded), TOTAL);
    let part_paid = hear(&shop, &shop.order(), FactKind::Payment(PaymentProgress::Succeeded), 1);
    for order in [&paid, &part_paid] {
        assert_eq!(command(order, &Command::to(OrderStatus::Cancelled), shop.context()), Err(Refusal::OrderHasMoney));
    }
    let refunded = hear(&shop, &paid, FactKind::Refund(RefundProgress::Succeeded), TOTAL);
    let (cancelled, change) = go(&shop, &refunded, OrderStatus::Cancelled);
    assert_eq!((cancelled.stock_hold, deltas(&change)), (StockHold::None, vec![(1, 0)]), "they never left the house");
}

#[test]
fn goods_paid_on_delivery_leave_with_the_parcel() {
    let shop = Shop::default();
    let product = shop.product("cup", ProductKind::Physical, TOTAL);
    let wanted = wanted(PaymentMethod::Cod, [(product.id, 1)]);
    let (order, _) = shop.place(&wanted, std::slice::from_ref(&product)).expect("an order");
    assert_eq!((order.status, order.stock_hold), (OrderStatus::Processing, StockHold::Reserved));
    let ship = Command { carrier: Some("ghn".to_owned()), tracking_number: Some("GHN1".to_owned()), ..Command::to(OrderStatus::Shipped) };
    let (shipped, change) = command(&order, &ship, shop.context()).expect("it can be shipped");
    assert_eq!((shipped.stock_hold, deltas(&change)), (StockHold::Taken, vec![(0, -1)]));
    assert_eq!(change.events[0].data, serde_json::json!({ "carrier": "ghn", "trackingNumber": "GHN1" }));
    let (delivered, _) = go(&shop, &shipped, OrderStatus::Delivered);
    let (completed, change) = go(&shop, &delivered, OrderStatus::Completed);
    assert_eq!((completed.status, deltas(&change)), (OrderStatus::Completed, vec![]));
}

#[test]
fn what_the_table_does_not_lead_to_is_refused_with_what_it_does() {
    let shop = Shop::default();
    for (from, to) in OrderStatus::ALL.into_iter().flat_map(|from| OrderStatus::ALL.map(|to| (from, to))) {
        let order = Order { status: from, ..shop.order() };
        match command(&order, &Command::to(to), shop.context()) {
            Ok((moved, _)) => assert!(moved.status == to && from.allowed().contains(&to), "{from:?} {to:?}"),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::IllegalTransition { from, allowed: from.allowed() });
                assert!(!from.allowed().contains(&to), "{from:?} {to:?}");
            }
        }
    }
}

proptest! {
    /// Whatever people and providers do in turn, the goods of the order are in exactly one place.
    #[test]
    fn goods_are_never_lost_or_doubled(steps in prop::collection::vec(prop_oneof![
        any_fact().prop_map(Ok),
        prop::sample::select(OrderStatus::ALL.to_vec()).prop_map(Err),
    ], 0..14)) {
        let shop = Shop::default();
        let mut order = shop.order();
        // Placing it reserved one of ten.
        let (mut available, mut reserved) = (9_i64, 1_i64);
        for step in steps {
            let told = match step {
                Ok(fact) => receive(&order, &fact, GoodsOutlook::Hopeful, shop.context()),
                Err(status) => command(&order, &Command::to(status), shop.context()).ok(),
            };
            let Some((next, change)) = told else { continue };
            prop_assert_eq!(change.check(), Ok(()));
            available += change.stock.iter().map(|step| step.available_delta).sum::<i64>();
            reserved += change.stock.iter().map(|step| step.reserved_delta).sum::<i64>();
            let gone: i64 = change.stock.iter().map(StockMove::on_hand_delta).sum();
            prop_assert_eq!(gone != 0, (order.stock_hold == StockHold::Taken) != (next.stock_hold == StockHold::Taken));
            order = next;
            let expected = match order.stock_hold {
                StockHold::None => (10, 0),
                StockHold::Reserved => (9, 1),
                StockHold::Taken => (9, 0),
            };
            prop_assert_eq!((available, reserved), expected, "{:?}", order.status);
            if matches!(order.status, OrderStatus::Shipped | OrderStatus::Delivered | OrderStatus::Completed) {
                prop_assert_eq!(order.stock_hold, StockHold::Taken);
            }
        }
    }
}
