//! The plan on examples, and on random changes: whatever core lets through is one transaction.

use super::*;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Account, Cause, QueuePause, Setting, StockKey};
use ordermill_core::event::{Actor, EventKind};
use ordermill_core::id::{ApiKeyId, ChangeId, OrderId, ProductId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{Claim, MAX_ATTEMPTS, Past};
use ordermill_core::money::Currency;
use ordermill_core::payment::Provider;
use ordermill_core::time::Timestamp;
use proptest::prelude::*;
use std::collections::HashSet;

fn change() -> Change {
    Change::new(ChangeId::new(1, [7; 10]))
}

fn product(sku: &str, version: i64) -> Row {
    Row::Product(Product {
        id: ProductId::new(1, [u8::try_from(sku.len()).unwrap(); 10]),
        sku: sku.to_owned(),
        title: String::new(),
        kind: ProductKind::Physical,
        url: Some(format!("https://shop.example/{sku}")),
        unit_amount: 1,
        currency: Currency::VND,
        is_active: true,
        version,
    })
}

fn setting(name: &str, version: i64) -> Row {
    Row::Setting(Setting { name: name.to_owned(), value: String::new(), version })
}

fn job_key(group: &str) -> JobKey {
    JobKey { queue: "email".to_owned(), group: group.to_owned(), seq: 1 }
}

fn job(group: &str) -> NewJob {
    let key = job_key(group);
    NewJob { key, payload: "{}".to_owned(), delay_ms: 0, max_attempts: MAX_ATTEMPTS, is_ordered: false, past: Past::default() }
}

fn finish(group: &str, outcome: Outcome, circuit: CircuitMove) -> Finish {
    Finish { claim: Claim { key: job_key(group), attempt: 2 }, outcome, circuit }
}

fn step(sku: &str, available_delta: i64, reserved_delta: i64) -> StockMove {
    StockMove { key: StockKey::main(sku), available_delta, reserved_delta, cause: Cause::Change(change().id) }
}

/// Table, what happens, and under which condition.
fn outline(change: &Change) -> Vec<(&'static str, &'static str, Option<Condition>)> {
    let name = |operation: &Operation<'_>| match operation {
        Operation::Put(_) => "put",
        Operation::Update(_) => "update",
        Operation::Delete => "delete",
        Operation::Check => "check",
    };
    let plan = dynamo_plan(change).expect("a plan");
    plan.iter().map(|action| (action.item.table, name(&action.operation), action.condition)).collect()
}

#[test]
fn every_unique_value_of_a_new_row_is_an_item_of_its_own() {
    let mut change = change();
    change.insert(product("shirt", 1));
    let absent = Some(Condition::Absent);
    assert_eq!(outline(&change), [("product_urls", "put", absent), ("products", "put", absent), ("skus", "put", absent)]);
}

#[test]
fn replacing_a_row_leaves_its_creator_and_its_unique_values_alone() {
    let mut change = change();
    change.replace(product("shirt", 4), 3);
    assert_eq!(outline(&change), [("products", "update", Some(Condition::Version(3)))]);
}

#[test]
fn a_guard_without_a_write_is_a_check_and_one_with_a_write_is_its_condition() {
    let mut change = change();
    change.expects.push(Guard::Absent(Key::Setting("a".to_owned())));
    change.expects.push(Guard::LeaseHeld(Claim { key: job_key("a"), attempt: 1 }));
    change.delete(Key::Setting("b".to_owned()), 2);
    let lease = Condition::Lease { attempt: 1 };
    let expected = [
        ("jobs", "check", Some(lease)),
        ("settings", "check", Some(Condition::Absent)),
        ("settings", "delete", Some(Condition::Version(2))),
    ];
    assert_eq!(outline(&change), expected);
}

#[test]
fn stock_is_added_to_and_compared_with_constants() {
    let mut change = change();
    change.stock = vec![step("a", -3, 3), step("b", 5, 0), step("c", 0, -2), step("d", -1, -1)];
    let at_least = |available, reserved| Some(Condition::AtLeast { available, reserved });
    let expected = [
        ("stock", "update", at_least(Some(3), None)),
        ("stock", "update", None),
        ("stock", "update", at_least(None, Some(2))),
        ("stock", "update", at_least(Some(1), Some(1))),
        // All movements of one cause are one item.
        ("stock_movements", "put", None),
    ];
    assert_eq!(outline(&change), expected);
}

#[test]
fn a_finish_is_fenced_by_attempt_and_lease() {
    let lease = Some(Condition::Lease { attempt: 2 });
    let why = || "refused".to_owned();
    let cases = [
        (finish("a", Outcome::Done, CircuitMove::Keep), vec![("jobs", "delete", lease)]),
        (finish("a", Outcome::Done, CircuitMove::Close), vec![("circuits", "delete", None), ("jobs", "delete", lease)]),
        (
            finish("a", Outcome::Retry { after_ms: 1, counted: false, why: why() }, CircuitMove::Open { for_ms: 1 }),
            vec![("circuits", "put", None), ("jobs", "update", lease)],
        ),
        (finish("a", Outcome::Dead { why: why() }, CircuitMove::Keep), vec![("dead_letters", "put", None), ("jobs", "delete", lease)]),
    ];
    for (finish, expected) in cases {
        let mut change = change();
        change.finish(finish);
        assert_eq!(outline(&change), expected);
    }
}

#[test]
fn a_redrive_is_one_transaction() {
    let mut change = change();
    change.delete(Key::DeadLetter(job_key("a")), 3);
    change.jobs.push(job("a"));
    assert_eq!(outline(&change), [("dead_letters", "delete", Some(Condition::Version(3))), ("jobs", "update", None)]);
}

#[test]
fn what_no_transaction_can_do_is_named() {
    let mut guards_unique = change();
    guards_unique.expects.push(Guard::Version(Key::Sku("shirt".to_owned()), 1));
    assert!(matches!(dynamo_plan(&guards_unique), Err(Inexpressible::VersionOfUniqueValue(Key::Sku(_)))));
    let mut deletes_user = change();
    deletes_user.delete(product("shirt", 1).key(), 1);
    assert!(matches!(dynamo_plan(&deletes_user), Err(Inexpressible::HiddenUniqueValues(Key::Product(_)))));
    let mut deletes_key = change();
    deletes_key.delete(Key::ApiKey(ApiKeyId::new(1, [7; 10])), 1);
    assert!(matches!(dynamo_plan(&deletes_key), Err(Inexpressible::HiddenUniqueValues(Key::ApiKey(_)))));
    let mut twice = change();
    twice.delete(Key::DeadLetter(job_key("a")), 1);
    twice.finish(finish("a", Outcome::Dead { why: String::new() }, CircuitMove::Keep));
    assert!(matches!(dynamo_plan(&twice), Err(Inexpressible::TwoWrites(_))));
    let mut at_odds = change();
    at_odds.expects = vec![Guard::Absent(Key::Setting("a".to_owned())), Guard::Version(Key::Setting("a".to_owned()), 1)];
    assert!(matches!(dynamo_plan(&at_odds), Err(Inexpressible::TwoConditions(_))));
    let mut many = change();
    many.jobs = (0..=MAX_TRANSACTION).map(|n| job(&n.to_string())).collect();
    assert_eq!(dynamo_plan(&many), Err(Inexpressible::TooManyActions(MAX_TRANSACTION + 1)));
    let mut large = change();
    large.jobs = ["a", "b"].map(|group| NewJob { payload: "x".repeat(MAX_BYTES / 2 + 1), ..job(group) }).to_vec();
    assert!(matches!(dynamo_plan(&large), Err(Inexpressible::TooManyBytes(_))));
    let mut huge = change();
    huge.jobs = vec![NewJob { payload: "x".repeat(MAX_ITEM_BYTES), ..job("a") }];
    assert!(matches!(dynamo_plan(&huge), Err(Inexpressible::ItemTooLarge { .. })));
}

#[test]
fn different_things_never_share_an_item() {
    let keys = ["a:b", "a", "b", "", "=", "a:", ":a", "1:a"];
    let mut jobs = HashSet::new();
    for queue in keys {
        for group in keys {
            for seq in [-1, 1, 11] {
                let key = JobKey { queue: queue.to_owned(), group: group.to_owned(), seq };
                assert!(jobs.insert(ItemKey::of_job(&key)), "{key:?}");
            }
        }
    }
    assert!(jobs.iter().all(|item| !item.partition.is_empty()));
    assert!(!ItemKey::of_key(&Key::Setting(String::new())).partition.is_empty());
}

/// One part of a random change.
#[derive(Debug, Clone)]
enum Part {
    Insert(Row),
    Replace(Row, i64),
    Delete(Key, i64),
    Guard(Guard),
    Stock(StockMove),
    Ledger(LedgerEntry),
    Event(i64),
    Job(NewJob),
    Finish(Finish),
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("a:1".to_owned()), Just(String::new()), "[a-c:=]{0,3}"]
}

fn rows(version: i64) -> impl Strategy<Value = Row> {
    let entry = |event_id: String, bytes: usize| InboxEntry {
        provider: Provider::Stripe,
        event_id,
        kind: String::new(),
        body: "x".repeat(bytes),
        body_digest: ordermill_core::digest::Digest::of_parts(&[]),
        state: InboxState::Applied,
        outcome: String::new(),
        order_id: None,
        received_at: Timestamp::default(),
        version: 1,
    };
    let pause =
        move |queue: String| Row::QueuePause(QueuePause { queue, is_paused: true, actor: Actor::system(), reason: String::new(), version });
    prop_oneof![
        names().prop_map(move |name| setting(&name, version)),
        names().prop_map(move |name| product(&name, version)),
        names().prop_map(pause),
        (names(), 0_usize..1_000).prop_map(move |(id, bytes)| Row::Inbox(InboxEntry { version, ..entry(id, bytes) })),
        (names(), 0_usize..200_000).prop_map(move |(id, bytes)| Row::Inbox(InboxEntry { version, ..entry(id, bytes) })),
    ]
}

fn keys() -> impl Strategy<Value = Key> {
    let any_row = rows(1).prop_map(|row| row.keys().swap_remove(0));
    prop_oneof![
        4 => any_row,
        1 => names().prop_map(Key::Sku),
        1 => names().prop_map(|group| Key::DeadLetter(job_key(&group))),
        1 => (1_i64..3).prop_map(Key::OrderNumber),
    ]
}

fn endings() -> impl Strategy<Value = Finish> {
    let outcomes = prop_oneof![
        Just(Outcome::Done),
        names().prop_map(|why| Outcome::Retry { after_ms: 1, counted: true, why }),
        names().prop_map(|why| Outcome::Dead { why }),
    ];
    let circuits = prop_oneof![Just(CircuitMove::Keep), Just(CircuitMove::Close), Just(CircuitMove::Open { for_ms: 1 })];
    (names(), outcomes, circuits).prop_map(|(group, outcome, circuit)| finish(&group, outcome, circuit))
}

fn parts() -> impl Strategy<Value = Part> {
    let claims = names().prop_map(|group| Guard::LeaseHeld(Claim { key: job_key(&group), attempt: 2 }));
    let guards = prop_oneof![keys().prop_map(Guard::Absent), (keys(), 1_i64..4).prop_map(|(key, n)| Guard::Version(key, n)), claims];
    let entry = |(leg, amount)| LedgerEntry {
        cause: Cause::Order(OrderId::new(1, [1; 10]), 1),
        leg,
        debit: Account::Order,
        credit: Account::Fees,
        amount,
        currency: Currency::VND,
    };
    prop_oneof![
        4 => rows(1).prop_map(Part::Insert),
        4 => rows(4).prop_map(|row| Part::Replace(row, 3)),
        2 => (keys(), 1_i64..4).prop_map(|(key, version)| Part::Delete(key, version)),
        2 => guards.prop_map(Part::Guard),
        4 => (names(), -5_i64..5, -5_i64..5).prop_map(|(sku, a, r)| Part::Stock(step(&sku, a, r))),
        2 => (0_i32..20, 0_i64..5).prop_map(entry).prop_map(Part::Ledger),
        1 => (1_i64..3).prop_map(Part::Event),
        4 => "[a-z]{0,2}".prop_map(|group| Part::Job(job(&group))),
        1 => endings().prop_map(Part::Finish),
    ]
}

fn build(parts: Vec<Part>) -> Change {
    let mut change = change();
    for part in parts {
        match part {
            Part::Insert(row) => change.insert(row),
            Part::Replace(row, version) => change.replace(row, version),
            Part::Delete(key, version) => change.delete(key, version),
            Part::Guard(guard) => change.expects.push(guard),
            Part::Stock(step) => change.stock.push(step),
            Part::Ledger(entry) => change.ledger.push(entry),
            Part::Job(job) => change.jobs.push(job),
            Part::Finish(finish) => change.finish(finish),
            Part::Event(seq) => change.events.push(Event {
                order_id: OrderId::new(1, [1; 10]),
                seq,
                kind: EventKind::OrderNote,
                v: 1,
                at: Timestamp::default(),
                actor: Actor::system(),
                data: serde_json::Value::Null,
            }),
        }
    }
    change
}

/// Adds the parts one by one and leaves out each that core would not let through.
fn checked(parts: Vec<Part>) -> Change {
    let mut taken: Vec<Part> = Vec::new();
    for part in parts {
        taken.push(part);
        if build(taken.clone()).check().is_err() {
            taken.pop();
        }
    }
    build(taken)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_core_lets_through_is_one_transaction(parts in prop::collection::vec(parts(), 0..24)) {
        let change = checked(parts);
        prop_assert_eq!(change.check(), Ok(()));
        match dynamo_plan(&change) {
            Ok(plan) => {
                let items: HashSet<_> = plan.iter().map(|action| &action.item).collect();
                prop_assert_eq!(items.len(), plan.len(), "one action per item");
                // The dead letter and the circuit of a job that ends are the two that core leaves to the adapter.
                let endings = plan.iter().filter(|action| {
                    let is_written = matches!(action.operation, Operation::Put(Item::DeadLetter(_)));
                    (is_written && action.condition.is_none()) || action.item.table == "circuits"
                });
                prop_assert_eq!(plan.len() - endings.count(), change.actions(), "core counts what DynamoDB will count");
                for action in &plan {
                    prop_assert!(!action.item.partition.is_empty());
                    prop_assert!(action.operation != Operation::Check || action.condition.is_some());
                }
            }
            // The four things that core cannot know to be impossible there; the encoder refuses the last one itself.
            Err(Inexpressible::VersionOfUniqueValue(key)) => prop_assert!(is_unique_value(&key)),
            Err(Inexpressible::HiddenUniqueValues(key)) => prop_assert!(matches!(key, Key::Product(_))),
            Err(Inexpressible::TwoWrites(item)) => prop_assert_eq!(item.table, "dead_letters"),
            Err(Inexpressible::TooManyBytes(bytes)) => prop_assert!(bytes > MAX_BYTES),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn guards_alone_never_write(keys in prop::collection::hash_set(keys(), 0..8)) {
        let mut change = change();
        change.expects = keys.into_iter().map(Guard::Absent).collect();
        let plan = dynamo_plan(&change).expect("guards only");
        prop_assert!(plan.iter().all(|action| action.operation == Operation::Check));
    }
}
