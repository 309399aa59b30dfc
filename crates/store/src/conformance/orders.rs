//! Orders, their timelines, their money and their deadlines.

use super::Subject;
use super::fixture::{Fixture, HOUR_MS, MINUTE_MS, NOW, commit, guest, lose, payment, refund, scan_all, store_now};
use crate::{OrderRef, Record, Table};
use ordermill_core::admit::{Failed, StockLevel};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Account, Cause, Key, LedgerEntry, Row};
use ordermill_core::money::Currency;
use ordermill_core::order::{Order, OrderStatus, PaymentMethod};
use ordermill_core::payment::{PaymentProgress, PaymentStatus, Provider, RefundProgress};
use std::sync::Arc;

pub(super) async fn an_order_is_found_by_id_number_and_reference(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(41, &[(&ebook, 1)]);
    commit(store, &placed).await;
    let (order, received) = fixture.receive(&order, &payment("pi_41", PaymentProgress::Pending, order.total_amount));
    commit(store, &received).await;
    let reference = OrderRef::Reference(Provider::Stripe, "pi_41".to_owned());
    for by in [OrderRef::Id(order.id), OrderRef::Number(41), reference] {
        assert_eq!(store.order(&by).await.expect("order"), Some(order.clone()), "{by:?}");
    }
    let unknown = [
        OrderRef::Id(fixture.terms(1).order_id),
        OrderRef::Number(42),
        OrderRef::Number(i64::MAX),
        OrderRef::Reference(Provider::Sepay, "pi_41".to_owned()),
        OrderRef::Reference(Provider::Stripe, "pi_4".to_owned()),
    ];
    for by in unknown {
        assert_eq!(store.order(&by).await.expect("order"), None, "{by:?}");
    }
}

pub(super) async fn an_order_comes_back_as_it_was_written(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let (ebook, shirt) = (fixture.product("ebook", ProductKind::Digital), fixture.goods("shirt"));
    commit(store, &fixture.adjust("shirt", 10_000)).await;
    let goods = [(&ebook, 3), (&shirt, 10_000)];
    for (number, method) in (1..).zip(PaymentMethod::ALL) {
        let number = i64::MAX - number;
        let who = super::fixture::customer(&user);
        let (order, mut placed) = fixture.place_as(number, method, who, NOW, &goods[..=usize::from(number == i64::MAX - 1)]);
        let change = Arc::make_mut(&mut placed);
        let mut order = Order { note: Some("NUL không, nhưng \u{feff}\u{202e}\t\r\n'\"\\ và 🎁".to_owned()), ..order };
        order.payment.client_secret = Some("pi_1_secret_x".to_owned());
        change.puts = vec![Row::Order(Box::new(order.clone()))];
        commit(store, &placed).await;
        assert_eq!(store.order(&OrderRef::Number(number)).await.expect("order"), Some(order));
    }
}

pub(super) async fn events_come_in_the_order_of_their_numbers(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (mut order, placed) = fixture.place(1, &[(&ebook, 1)]);
    let (other, other_placed) = fixture.place(2, &[(&ebook, 1)]);
    commit(store, &placed).await;
    commit(store, &other_placed).await;
    let mut written = placed.events.clone();
    // More than ten, so that numbers sorted as text would show.
    for n in 0..12 {
        let (noted, change) = fixture.note(&order, &format!("ghi chú {n}"));
        commit(store, &change).await;
        order = noted;
        written.extend(change.events.iter().cloned());
    }
    let events = |after, limit| async move { store.events(order.id, after, limit).await.expect("events") };
    assert_eq!(events(0, 100).await, written);
    assert_eq!(events(0, 3).await, written[..3]);
    assert_eq!(events(3, 4).await, written[3..7]);
    assert_eq!(events(9, 2).await, written[9..11]);
    assert_eq!(events(i64::try_from(written.len()).expect("small"), 10).await, []);
    assert_eq!(events(i64::MAX, 10).await, []);
    assert_eq!(store.events(other.id, 0, 10).await.expect("events"), other_placed.events);
    assert_eq!(store.events(fixture.terms(3).order_id, 0, 10).await.expect("events"), []);
}

pub(super) async fn two_edits_of_one_version_never_both_win(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(store, &placed).await;
    let ((first, won), (_, lost)) = (fixture.note(&order, "một"), fixture.note(&order, "hai"));
    commit(store, &won).await;
    let conflict = lose(store, &lost).await;
    let key = Key::Order(order.id);
    assert_eq!(conflict.failed, [Failed::Version { key, found: Some(2), last_change: Some(won.id) }]);
    assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order"), Some(first));
    assert_eq!(store.events(order.id, 1, 10).await.expect("events"), won.events);
}

pub(super) async fn a_payment_books_money_moves_goods_and_queues_mail_in_one_change(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, placed) = fixture.place(1, &[(&shirt, 2)]);
    commit(store, &placed).await;
    let (order, paid) = fixture.receive(&order, &payment("pi_1", PaymentProgress::Succeeded, order.total_amount));
    commit(store, &paid).await;
    assert_eq!((order.status, order.payment_status), (OrderStatus::Processing, PaymentStatus::Paid));
    assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order"), Some(order.clone()));
    assert_eq!(store.stock(&["shirt".to_owned()]).await.expect("stock"), [StockLevel { available: 3, reserved: 0 }]);
    let ledger = scan_all(store, Table::Ledger, 10).await;
    assert_eq!(ledger, paid.ledger.iter().cloned().map(Record::Ledger).collect::<Vec<_>>());
    assert_eq!(super::fixture::claim_one(store, "email").await.key.group, order.id.to_string());

    let (order, refunded) = fixture.receive(&order, &refund("re_1", RefundProgress::Succeeded, order.total_amount));
    commit(store, &refunded).await;
    assert_eq!(order.payment_status, PaymentStatus::Refunded);
    assert_eq!(scan_all(store, Table::Ledger, 1).await.len(), 2);
}

pub(super) async fn bookings_are_kept_by_cause_and_leg(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let mut change = fixture.change();
    change.insert(Row::Audit(fixture.audit()));
    let cause = Cause::Change(change.id);
    for (leg, account) in (0..).zip(Account::ALL.into_iter().skip(1)) {
        let amount = i64::MAX - i64::from(leg);
        let (debit, credit) = (Account::ProviderClearing, account);
        change.ledger.push(LedgerEntry { cause: cause.clone(), leg, debit, credit, amount, currency: Currency::USD });
    }
    let change = Arc::new(change);
    commit(store, &change).await;
    let written: Vec<Record> = change.ledger.iter().cloned().map(Record::Ledger).collect();
    assert_eq!(scan_all(store, Table::Ledger, 2).await, written);
}

pub(super) async fn due_orders_are_unpaid_ones_whose_time_ran_out(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let now = store_now(subject, &fixture).await;
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let place = |number, method, at| fixture.place_as(number, method, guest("an@example.com"), at, &[(&ebook, 1)]);
    let (card, card_placed) = place(1, PaymentMethod::Stripe, now);
    let (earlier, earlier_placed) = place(2, PaymentMethod::Stripe, now.plus_ms(-10 * MINUTE_MS));
    let (transfer, transfer_placed) = place(3, PaymentMethod::BankTransfer, now);
    let (_, cash_placed) = place(4, PaymentMethod::Cod, now);
    let (paid, paid_placed) = place(5, PaymentMethod::Stripe, now.plus_ms(-20 * MINUTE_MS));
    for change in [card_placed, earlier_placed, transfer_placed, cash_placed, paid_placed] {
        commit(store, &change).await;
    }
    let (_, paid) = fixture.receive(&paid, &payment("pi_5", PaymentProgress::Succeeded, paid.total_amount));
    commit(store, &paid).await;
    // One that is over already keeps its deadline and is never due again.
    let (over, over_placed) = place(6, PaymentMethod::Stripe, now.plus_ms(-20 * MINUTE_MS));
    let (over, mut expired) = fixture.note(&over, "hết hạn");
    let over = Order { status: OrderStatus::Expired, ..over };
    Arc::make_mut(&mut expired).puts = vec![Row::Order(Box::new(over))];
    commit(store, &over_placed).await;
    commit(store, &expired).await;

    let due = |limit| async move { store.due_orders(limit).await.expect("due orders") };
    assert_eq!(due(10).await, []);
    subject.advance_ms(25 * MINUTE_MS);
    assert_eq!(due(10).await, [earlier.id]);
    subject.advance_ms(10 * MINUTE_MS);
    assert_eq!(due(10).await, [earlier.id, card.id]);
    assert_eq!(due(1).await, [earlier.id]);
    subject.advance_ms(24 * HOUR_MS);
    assert_eq!(due(10).await, [earlier.id, card.id, transfer.id]);
}
