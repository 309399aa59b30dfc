//! One change: whole or nothing, and who won.

use super::Subject;
use super::fixture::{Fixture, claim_one, commit, everything, failed, job, lose, payment};
use crate::OrderRef;
use ordermill_core::admit::{Failed, StockLevel};
use ordermill_core::change::{Cause, Guard, Key, Row, StockKey, StockMove};
use ordermill_core::inbox::InboxState;
use ordermill_core::job::{CircuitMove, Claim, Finish, Outcome};
use ordermill_core::payment::PaymentProgress;
use std::sync::Arc;

pub(super) async fn a_change_is_written_whole(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.insert([Row::Product(shirt.clone())])).await;
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, change) = fixture.place(1, &[(&shirt, 2)]);
    let idempotency = fixture.idempotency(order.id);
    let mut change = Arc::unwrap_or_clone(change);
    change.insert(Row::Idempotency(idempotency.clone()));
    let change = Arc::new(change);
    commit(store, &change).await;

    assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order"), Some(order.clone()));
    assert_eq!(store.events(order.id, 0, 10).await.expect("events"), change.events);
    let found = store.get(&Key::Idempotency(idempotency.key)).await.expect("get").expect("the idempotency row");
    assert_eq!((found.row, found.by, found.last_change), (Row::Idempotency(idempotency), change.id, change.id));
    assert_eq!(store.stock(&["shirt".to_owned()]).await.expect("stock"), [StockLevel { available: 3, reserved: 2 }]);
    let jobs = store.jobs(&crate::JobQuery { queue: None, cursor: None, limit: 10 }).await.expect("jobs").rows;
    assert_eq!(jobs.iter().map(|job| &job.key).collect::<Vec<_>>(), change.jobs.iter().map(|job| &job.key).collect::<Vec<_>>());
}

pub(super) async fn one_failed_guard_leaves_nothing_behind(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    let old = fixture.session(fixture.user("an@example.com").id, super::fixture::NOW);
    commit(store, &fixture.insert([Row::Setting(fixture.setting("taken", "1")), Row::Session(old.clone())])).await;
    commit(store, &fixture.adjust("shirt", 5)).await;
    commit(store, &fixture.queue([job("email", "claimed", 1), job("email", "zombie", 1)])).await;
    let claimed = claim_one(store, "email").await;
    let (order, placed) = fixture.place(1, &[(&shirt, 1)]);
    commit(store, &placed).await;

    let failing: Vec<(&str, Guard)> = vec![
        ("a taken key", Guard::Absent(Key::Setting("taken".to_owned()))),
        ("a taken unique value", Guard::Absent(Key::OrderNumber(1))),
        ("another version", Guard::Version(Key::Setting("taken".to_owned()), 7)),
        ("a missing row", Guard::Version(Key::Setting("missing".to_owned()), 1)),
    ];
    let before = everything(store).await;
    for (what, guard) in failing {
        // A change that does everything a change can do, and has one guard that does not hold.
        let (_, paid) = fixture.receive(&order, &payment("pi_1", PaymentProgress::Succeeded, order.total_amount));
        let mut change = Arc::unwrap_or_clone(paid);
        change.insert(Row::Inbox(fixture.inbox("evt_1", InboxState::Applied)));
        change.delete(Key::Session(old.token), 1);
        change.jobs.push(job("email", "new", 1));
        change.finish(Finish { claim: claimed.claim(), outcome: Outcome::Done, circuit: CircuitMove::Open { for_ms: 60_000 } });
        change.expects.push(guard);
        lose(store, &Arc::new(change)).await;
        assert_eq!(everything(store).await, before, "{what} left something behind");
    }
    let mut greedy = fixture.change();
    greedy.insert(Row::Audit(fixture.audit()));
    let cause = Cause::Change(greedy.id);
    greedy.stock.push(StockMove { key: StockKey::main("hat"), available_delta: 3, reserved_delta: 0, cause: cause.clone() });
    greedy.stock.push(StockMove { key: StockKey::main("shirt"), available_delta: -5, reserved_delta: 0, cause });
    lose(store, &Arc::new(greedy)).await;
    assert_eq!(everything(store).await, before, "short stock left something behind");
    let mut zombie = fixture.change();
    zombie.insert(Row::Audit(fixture.audit()));
    let stale = Claim { key: claimed.key.clone(), attempt: claimed.past.attempt + 1 };
    zombie.finish(Finish { claim: stale, outcome: Outcome::Done, circuit: CircuitMove::Keep });
    lose(store, &Arc::new(zombie)).await;
    assert_eq!(everything(store).await, before, "a lost lease left something behind");
    commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
}

pub(super) async fn every_failed_guard_is_named_in_the_order_of_the_change(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let setting = fixture.setting("taken", "1");
    let first = fixture.insert([Row::Setting(setting.clone())]);
    commit(store, &first).await;
    let user = fixture.user("an@example.com");
    let second = fixture.insert([Row::User(user.clone())]);
    commit(store, &second).await;
    commit(store, &fixture.adjust("shirt", 2)).await;

    let mut change = fixture.change();
    let claim = Claim { key: super::fixture::job_key("email", "nobody", 1), attempt: 1 };
    change.expects = vec![
        Guard::Version(Key::User(user.id), 2),
        Guard::Absent(Key::Setting("taken".to_owned())),
        Guard::Absent(Key::Setting("free".to_owned())),
        Guard::LeaseHeld(claim.clone()),
        Guard::Absent(Key::UserEmail("an@example.com".to_owned())),
        Guard::Version(Key::Setting("missing".to_owned()), 3),
    ];
    let cause = Cause::Change(change.id);
    let take =
        |sku: &str, available_delta| StockMove { key: StockKey::main(sku), available_delta, reserved_delta: 0, cause: cause.clone() };
    change.stock = vec![take("shirt", -3), take("hat", 1), take("cap", -1)];
    change.puts.push(Row::Setting(fixture.setting("free", "1")));
    let conflict = lose(store, &Arc::new(change)).await;
    let row = |row: Row| Some(Box::new(row));
    assert_eq!(
        conflict.failed,
        vec![
            Failed::Version { key: Key::User(user.id), found: Some(1), last_change: Some(second.id) },
            Failed::Exists { key: Key::Setting("taken".to_owned()), by: first.id, row: row(Row::Setting(setting)) },
            Failed::Lease { claim },
            Failed::Exists { key: Key::UserEmail("an@example.com".to_owned()), by: second.id, row: row(Row::User(user)) },
            Failed::Version { key: Key::Setting("missing".to_owned()), found: None, last_change: None },
            Failed::Stock { key: StockKey::main("shirt"), level: StockLevel { available: 2, reserved: 0 } },
            Failed::Stock { key: StockKey::main("cap"), level: StockLevel::default() },
        ]
    );
}

pub(super) async fn a_guard_may_stand_alone(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.insert([Row::Setting(fixture.setting("made_by", "serve"))])).await;
    let guarded = |guard| {
        let mut change = fixture.change();
        change.expects.push(guard);
        Arc::new(change)
    };
    let key = Key::Setting("made_by".to_owned());
    commit(store, &guarded(Guard::Version(key.clone(), 1))).await;
    lose(store, &guarded(Guard::Version(key.clone(), 2))).await;
    lose(store, &guarded(Guard::Absent(key))).await;
    commit(store, &guarded(Guard::Absent(Key::Setting("other".to_owned())))).await;
    commit(store, &Arc::new(fixture.change())).await;
}

pub(super) async fn a_replayed_change_finds_itself(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, placed) = fixture.place(1, &[(&shirt, 1)]);
    let (_, noted) = fixture.note(&order, "gói quà");
    for change in [placed, noted] {
        commit(store, &change).await;
        let before = everything(store).await;
        let conflict = lose(store, &change).await;
        assert!(conflict.was_me(change.id), "{conflict:?}");
        assert_eq!(everything(store).await, before);
    }
}

pub(super) async fn a_replay_after_its_jobs_ran_queues_nothing(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, placed) = fixture.place(1, &[(&shirt, 1)]);
    commit(store, &placed).await;
    let (_, paid) = fixture.receive(&order, &payment("pi_1", PaymentProgress::Succeeded, order.total_amount));
    commit(store, &paid).await;
    subject.advance_ms(super::fixture::MINUTE_MS);
    for queue in ["stripe", "email"] {
        let claimed = claim_one(store, queue).await;
        commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
    }
    for change in [placed, paid] {
        assert!(lose(store, &change).await.was_me(change.id));
    }
    assert_eq!(store.jobs(&crate::JobQuery { queue: None, cursor: None, limit: 10 }).await.expect("jobs").rows, []);
}

pub(super) async fn a_replay_after_a_rival_wrote_tells_who_wrote_last(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, placed) = fixture.place(1, &[(&shirt, 1)]);
    commit(store, &placed).await;
    let (noted, first) = fixture.note(&order, "một");
    commit(store, &first).await;
    let (_, second) = fixture.note(&noted, "hai");
    commit(store, &second).await;

    // A created row tells for ever who created it.
    assert!(lose(store, &placed).await.was_me(placed.id));
    // An edit is followed by another: the order's last change is the rival's.
    let conflict = lose(store, &first).await;
    let key = Key::Order(order.id);
    assert_eq!(conflict.failed, [Failed::Version { key, found: Some(order.version + 2), last_change: Some(second.id) }]);
    assert!(!conflict.was_me(first.id));
}

pub(super) async fn the_loser_of_an_idempotency_key_gets_the_row_of_the_winner(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (winner, won) = fixture.place(1, &[(&shirt, 1)]);
    let row = fixture.idempotency(winner.id);
    let mut won = Arc::unwrap_or_clone(won);
    won.insert(Row::Idempotency(row.clone()));
    let won = Arc::new(won);
    commit(store, &won).await;

    let (loser, lost) = fixture.place(2, &[(&shirt, 1)]);
    let mut lost = Arc::unwrap_or_clone(lost);
    lost.insert(Row::Idempotency(ordermill_core::change::IdempotencyRow { result: loser.id.into(), ..row.clone() }));
    let lost = Arc::new(lost);
    let conflict = lose(store, &lost).await;
    let key = Key::Idempotency(row.key);
    assert_eq!(conflict.failed, [Failed::Exists { key: key.clone(), by: won.id, row: Some(Box::new(Row::Idempotency(row))) }]);
    assert!(conflict.is_taken(&key) && !conflict.was_me(lost.id));
    assert_eq!(store.order(&OrderRef::Id(loser.id)).await.expect("order"), None);
}

pub(super) async fn the_creator_of_a_row_stays_while_its_last_change_moves(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let setting = fixture.setting("limit", "1");
    let created = fixture.insert([Row::Setting(setting.clone())]);
    commit(store, &created).await;
    let mut replace = fixture.change();
    let next = ordermill_core::change::Setting { value: "2".to_owned(), version: 2, ..setting };
    replace.replace(Row::Setting(next.clone()), 1);
    let replace = Arc::new(replace);
    commit(store, &replace).await;
    let found = store.get(&Key::Setting("limit".to_owned())).await.expect("get").expect("the setting");
    assert_eq!((found.row, found.by, found.last_change), (Row::Setting(next), created.id, replace.id));
    // A job that failed leaves no trace of a change in any row.
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish(&claimed.claim(), failed(0))).await;
}
