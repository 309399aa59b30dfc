//! What a change may not be, whatever stands in a store. The stores' suite holds each store to it; this names each rule.

use crate::shop::{Shop, setting};
use ordermill_core::change::{
    Account, Cause, Change, ChangeFault, Guard, Key, LedgerEntry, MAX_ACTIONS, MAX_KEY_BYTES, Row, StockKey, StockMove,
};
use ordermill_core::job::{CircuitMove, Claim, Finish, JobKey, NewJob, Outcome, Payload, Queue};
use ordermill_core::money::Currency;
use ordermill_core::order::Order;

fn key(name: &str) -> Key {
    Key::Setting(name.to_owned())
}

fn job(group: &str) -> NewJob {
    let payload = Payload::StripeCreateIntent { order_id: Shop::default().order_id() };
    NewJob::new(JobKey::new(Queue::Email, group, 1), &payload)
}

fn finish(group: &str) -> Finish {
    let claim = Claim { key: JobKey::new(Queue::Email, group, 1), attempt: 1 };
    Finish { claim, outcome: Outcome::Done, circuit: CircuitMove::Keep }
}

fn fault(build: impl FnOnce(&Shop, &mut Change)) -> ChangeFault {
    let shop = Shop::default();
    let mut change = shop.change();
    build(&shop, &mut change);
    change.check().expect_err("a fault")
}

#[test]
fn a_change_of_nothing_and_one_of_everything_are_fine() {
    let shop = Shop::default();
    assert_eq!((shop.change().check(), shop.change().actions()), (Ok(()), 0));
    let mut change = shop.change();
    change.insert(Row::Setting(setting("a", 1)));
    change.replace(Row::Setting(setting("b", 8)), 7);
    change.delete(key("c"), 3);
    change.expects.push(Guard::Absent(key("d")));
    change.jobs.push(job("a"));
    change.finish(finish("b"));
    let cause = Cause::Change(change.id);
    change.stock.push(StockMove { key: StockKey::main("shirt"), available_delta: -2, reserved_delta: 2, cause: cause.clone() });
    change.stock.push(StockMove { key: StockKey::main("hat"), available_delta: -2, reserved_delta: 0, cause: cause.clone() });
    let (debit, credit) = (Account::Order, Account::Fees);
    change.ledger.push(LedgerEntry { cause, leg: 0, debit, credit, amount: 1, currency: Currency::VND });
    assert_eq!(change.check(), Ok(()));
    // Four rows, two jobs, two places, one movement, one booking.
    assert_eq!(change.actions(), 10);
}

#[test]
fn writes_need_their_guard() {
    let unguarded = |name: &str| ChangeFault::Unguarded { key: key(name) };
    assert_eq!(fault(|_, change| change.puts.push(Row::Setting(setting("a", 1)))), unguarded("a"));
    assert_eq!(fault(|_, change| change.deletes.push(key("a"))), unguarded("a"));
    let absent_delete = |_: &Shop, change: &mut Change| {
        change.expects.push(Guard::Absent(key("a")));
        change.deletes.push(key("a"));
    };
    assert_eq!(fault(absent_delete), unguarded("a"));
    let put_and_delete = |_: &Shop, change: &mut Change| {
        change.replace(Row::Setting(setting("a", 2)), 1);
        change.deletes.push(key("a"));
    };
    assert_eq!(fault(put_and_delete), unguarded("a"));
    let half_guarded = |shop: &Shop, change: &mut Change| {
        let order = Order { version: 0, ..shop.order() };
        change.expects.push(Guard::Absent(Key::Order(order.id)));
        change.puts.push(Row::Order(Box::new(order)));
    };
    assert!(matches!(fault(half_guarded), ChangeFault::Unguarded { .. }), "its number is a key as well");
}

#[test]
fn versions_follow_from_guards_and_events() {
    for (found_version, version) in [(1, 1), (1, 3), (1, 0), (7, 7)] {
        let wrong = fault(|_, change| change.replace(Row::Setting(setting("a", version)), found_version));
        assert_eq!(wrong, ChangeFault::WrongVersion { key: key("a"), found: version, expected: found_version + 1 });
    }
    assert!(matches!(fault(|_, change| change.insert(Row::Setting(setting("a", 2)))), ChangeFault::WrongVersion { expected: 1, .. }));
    let silent = fault(|shop, change| {
        let order = shop.order();
        change.replace(Row::Order(Box::new(order.clone())), order.version);
    });
    assert!(matches!(silent, ChangeFault::WrongVersion { .. }), "an order without an event would fence nobody off");
}

#[test]
fn events_follow_from_the_order() {
    let shop = Shop::default();
    let order = shop.order();
    let noted = |seqs: &[i64], with_order: bool| {
        let mut change = shop.change();
        let mut order = order.clone();
        order.version += i64::try_from(seqs.len()).expect("few");
        if with_order {
            change.replace(Row::Order(Box::new(order.clone())), order.version - i64::try_from(seqs.len()).expect("few"));
        }
        change.events = seqs.iter().map(|seq| event(&order, *seq)).collect();
        change.check()
    };
    assert_eq!(noted(&[2], true), Ok(()));
    assert_eq!(noted(&[2, 3, 4], true), Ok(()));
    for seqs in [&[1_i64][..], &[3], &[2, 4], &[3, 2], &[2, 2], &[i64::MAX]] {
        assert!(matches!(noted(seqs, true), Err(ChangeFault::LooseEvent { .. })), "{seqs:?}");
    }
    assert!(matches!(noted(&[2], false), Err(ChangeFault::LooseEvent { seq: 2, .. })), "an event without its order");
}

fn event(order: &Order, seq: i64) -> ordermill_core::event::Event {
    ordermill_core::event::Event {
        order_id: order.id,
        seq,
        kind: ordermill_core::event::EventKind::OrderNote,
        v: 1,
        at: crate::shop::NOW,
        actor: ordermill_core::event::Actor::system(),
        data: serde_json::Value::Null,
    }
}

#[test]
fn nothing_is_named_twice() {
    let row = |version| Row::Setting(setting("a", version));
    let twice: Vec<fn(&Shop, &mut Change)> = vec![
        |_, change| change.expects = vec![Guard::Absent(key("a")), Guard::Absent(key("a"))],
        |_, change| change.expects = vec![Guard::Version(key("a"), 1), Guard::Version(key("a"), 1)],
        |_, change| change.expects = vec![Guard::Version(key("a"), 1), Guard::Absent(key("a"))],
        |_, change| change.expects = vec![Guard::Absent(key("a")), Guard::Version(key("a"), 1)],
        |_, change| change.jobs = vec![job("a"), job("a")],
        |_, change| {
            change.finish(finish("a"));
            change.jobs.push(job("a"));
        },
        |_, change| {
            let step = StockMove { key: StockKey::main("a"), available_delta: 1, reserved_delta: 0, cause: Cause::Change(change.id) };
            change.stock = vec![step.clone(), StockMove { reserved_delta: 1, ..step }];
        },
        |_, change| {
            let (cause, debit, credit) = (Cause::Change(change.id), Account::Order, Account::Fees);
            let entry = LedgerEntry { cause, leg: 0, debit, credit, amount: 1, currency: Currency::VND };
            change.ledger = vec![entry.clone(), LedgerEntry { amount: 2, ..entry }];
        },
    ];
    for build in twice {
        let found = fault(build);
        assert!(matches!(found, ChangeFault::Twice { .. }), "{found}");
    }
    let rows = fault(|_, change| {
        change.insert(row(1));
        change.puts.push(row(1));
    });
    assert!(matches!(rows, ChangeFault::Twice { .. }), "{rows}");
}

#[test]
fn amounts_say_something() {
    let still = |_: &Shop, change: &mut Change| {
        let cause = Cause::Change(change.id);
        change.stock.push(StockMove { key: StockKey::main("a"), available_delta: 0, reserved_delta: 0, cause });
    };
    assert_eq!(fault(still), ChangeFault::NotPositive { what: "a stock move" });
    let alone = |_: &Shop, change: &mut Change| {
        let cause = Cause::Change(change.id);
        change.stock.push(StockMove { key: StockKey::main("a"), available_delta: 1, reserved_delta: 0, cause });
    };
    assert_eq!(fault(alone), ChangeFault::Unfenced, "sent twice, it would move the goods twice");
    for (debit, credit, amount) in
        [(Account::Order, Account::Fees, 0), (Account::Order, Account::Fees, i64::MIN), (Account::Order, Account::Order, 1)]
    {
        let book = |_: &Shop, change: &mut Change| {
            let cause = Cause::Change(change.id);
            change.ledger.push(LedgerEntry { cause, leg: 0, debit, credit, amount, currency: Currency::VND });
        };
        assert_eq!(fault(book), ChangeFault::NotPositive { what: "a ledger entry" });
    }
}

#[test]
fn a_finish_comes_with_exactly_its_own_guard() {
    let loose: Vec<fn(&Shop, &mut Change)> = vec![
        |_, change| change.finish = Some(finish("a")),
        |_, change| {
            change.finish = Some(finish("a"));
            change.expects.push(Guard::LeaseHeld(finish("b").claim));
        },
        |_, change| {
            change.finish = Some(finish("a"));
            change.expects.push(Guard::LeaseHeld(Claim { attempt: 2, ..finish("a").claim }));
        },
        |_, change| {
            change.finish(finish("a"));
            change.expects.push(Guard::LeaseHeld(finish("b").claim));
        },
        |_, change| change.expects = vec![Guard::LeaseHeld(finish("a").claim), Guard::LeaseHeld(finish("b").claim)],
    ];
    for build in loose {
        assert_eq!(fault(build), ChangeFault::LooseFinish);
    }
}

#[test]
fn size_has_limits() {
    let jobs = |count: usize| {
        let mut change = Shop::default().change();
        change.jobs = (0..count).map(|n| job(&n.to_string())).collect();
        change.check()
    };
    assert_eq!(jobs(MAX_ACTIONS), Ok(()));
    assert_eq!(jobs(MAX_ACTIONS + 1), Err(ChangeFault::TooManyActions { found: MAX_ACTIONS + 1 }));
    let named = |bytes: usize| {
        let mut change = Shop::default().change();
        change.insert(Row::Setting(setting(&"a".repeat(bytes), 1)));
        change.check()
    };
    assert_eq!(named(MAX_KEY_BYTES), Ok(()));
    assert_eq!(named(MAX_KEY_BYTES + 1), Err(ChangeFault::KeyTooLong { found: MAX_KEY_BYTES + 1 }));
}
