//! Changes that no store may take: refused as faults, whatever else is going on, and nothing of them written.

use super::Subject;
use super::fixture::{Fixture, NOW, claim_one, commit, everything, job, job_key};
use crate::CommitError;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{
    Account, Cause, Change, ChangeFault, Guard, Key, LedgerEntry, MAX_ACTIONS, MAX_BYTES, MAX_KEY_BYTES, Row, Setting, StockKey, StockMove,
};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{CircuitMove, Claim, Finish, NewJob, Outcome};
use ordermill_core::money::Currency;
use std::sync::Arc;

/// Commits what must be refused as a fault, and makes sure that nothing of it stays.
async fn refused(subject: &dyn Subject, change: Change) -> ChangeFault {
    let before = everything(subject.store()).await;
    let fault = match subject.store().commit(&Arc::new(change)).await {
        Err(CommitError::Fault(fault)) => fault,
        other => panic!("expected a fault, got {other:?}"),
    };
    assert_eq!(everything(subject.store()).await, before, "{fault}");
    fault
}

pub(super) async fn an_unguarded_write_is_refused(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let setting = fixture.setting("limit", "1");
    commit(store, &fixture.insert([Row::Setting(setting.clone())])).await;
    let mut put = fixture.change();
    put.puts.push(Row::Setting(Setting { version: 2, ..setting }));
    assert!(matches!(refused(subject, put).await, ChangeFault::Unguarded { .. }));
    let mut delete = fixture.change();
    delete.deletes.push(Key::Setting("limit".to_owned()));
    assert!(matches!(refused(subject, delete).await, ChangeFault::Unguarded { .. }));
    // A row with two unique values and only one of them guarded.
    let mut half = fixture.change();
    half.insert(Row::User(fixture.user("an@example.com")));
    half.expects.truncate(1);
    assert!(matches!(refused(subject, half).await, ChangeFault::Unguarded { .. }));
}

pub(super) async fn versions_must_follow(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let setting = |version| Row::Setting(Setting { version, ..fixture.setting("limit", "1") });
    let mut late = fixture.change();
    late.insert(setting(2));
    assert!(matches!(refused(subject, late).await, ChangeFault::WrongVersion { found: 2, expected: 1, .. }));
    commit(store, &fixture.insert([setting(1)])).await;
    for version in [0, 1, 3] {
        let mut change = fixture.change();
        change.replace(setting(version), 1);
        assert!(matches!(refused(subject, change).await, ChangeFault::WrongVersion { expected: 2, .. }));
    }
}

pub(super) async fn events_must_follow(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(store, &placed).await;
    let (_, noted) = fixture.note(&order, "ghi chú");
    let mut gap = Change::clone(&noted);
    gap.events[0].seq += 1;
    assert!(matches!(refused(subject, gap).await, ChangeFault::LooseEvent { seq: 3, .. }));
    let mut alone = Change::clone(&noted);
    alone.puts.clear();
    assert!(matches!(refused(subject, alone).await, ChangeFault::LooseEvent { seq: 2, .. }));
    let mut silent = Change::clone(&noted);
    silent.events.clear();
    assert!(matches!(refused(subject, silent).await, ChangeFault::WrongVersion { .. }));
}

pub(super) async fn nothing_may_be_named_twice(subject: &dyn Subject) {
    let fixture = Fixture::new();
    let mut rows = fixture.change();
    rows.insert(Row::Setting(fixture.setting("limit", "1")));
    rows.puts.push(Row::Setting(fixture.setting("limit", "2")));
    let mut guards = fixture.change();
    guards.expects = vec![Guard::Absent(Key::OrderNumber(1)), Guard::Absent(Key::OrderNumber(1))];
    let mut contradiction = fixture.change();
    contradiction.expects = vec![Guard::Absent(Key::Setting("a".to_owned())), Guard::Version(Key::Setting("a".to_owned()), 1)];
    let mut jobs = fixture.change();
    jobs.jobs = vec![job("email", "a", 1), job("email", "a", 1)];
    let mut goods = fixture.change();
    let cause = Cause::Change(goods.id);
    let step = StockMove { key: StockKey::main("shirt"), available_delta: 1, reserved_delta: 0, cause: cause.clone() };
    goods.stock = vec![step.clone(), step];
    let mut ledger = fixture.change();
    let (debit, credit) = (Account::ProviderClearing, Account::Order);
    let entry = LedgerEntry { cause, leg: 0, debit, credit, amount: 1, currency: Currency::VND };
    ledger.ledger = vec![entry.clone(), entry];
    for change in [rows, guards, contradiction, jobs, goods, ledger] {
        let fault = refused(subject, change).await;
        assert!(matches!(fault, ChangeFault::Twice { .. }), "{fault}");
    }
}

pub(super) async fn amounts_must_say_something(subject: &dyn Subject) {
    let fixture = Fixture::new();
    let mut still = fixture.change();
    let cause = Cause::Change(still.id);
    still.stock.push(StockMove { key: StockKey::main("shirt"), available_delta: 0, reserved_delta: 0, cause: cause.clone() });
    assert!(matches!(refused(subject, still).await, ChangeFault::NotPositive { .. }));
    let (order, clearing) = (Account::Order, Account::ProviderClearing);
    for (debit, credit, amount) in [(order, clearing, 0), (order, clearing, -1), (order, order, 1)] {
        let mut change = fixture.change();
        change.ledger.push(LedgerEntry { cause: cause.clone(), leg: 0, debit, credit, amount, currency: Currency::VND });
        assert!(matches!(refused(subject, change).await, ChangeFault::NotPositive { .. }));
    }
}

pub(super) async fn a_finish_needs_its_own_lease_guard(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    let finish = Finish { claim: claimed.claim(), outcome: Outcome::Done, circuit: CircuitMove::Keep };
    let mut unguarded = fixture.change();
    unguarded.finish = Some(finish.clone());
    let mut elsewhere = fixture.change();
    elsewhere.finish = Some(finish.clone());
    elsewhere.expects.push(Guard::LeaseHeld(Claim { key: job_key("email", "b", 1), attempt: 1 }));
    let mut two = fixture.change();
    two.finish(finish.clone());
    two.expects.push(Guard::LeaseHeld(Claim { key: job_key("email", "b", 1), attempt: 1 }));
    for change in [unguarded, elsewhere, two] {
        assert_eq!(refused(subject, change).await, ChangeFault::LooseFinish);
    }
    // Ending a job and queueing it anew would start its attempts again from one, and a zombie could hold one of them.
    let mut anew = fixture.change();
    anew.finish(finish);
    anew.jobs.push(job("email", "a", 1));
    assert!(matches!(refused(subject, anew).await, ChangeFault::Twice { .. }));
}

pub(super) async fn a_change_has_at_most_so_many_actions(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let jobs = |count: usize| (1..).take(count).map(|seq| job("email", "a", seq));
    let mut change = fixture.change();
    change.jobs.extend(jobs(MAX_ACTIONS + 1));
    assert_eq!(refused(subject, change).await, ChangeFault::TooManyActions { found: MAX_ACTIONS + 1 });
    commit(store, &fixture.queue(jobs(MAX_ACTIONS))).await;
    assert_eq!(super::fixture::claim(store, "email", 1_000).await.len(), MAX_ACTIONS);
}

pub(super) async fn a_change_has_at_most_so_many_bytes(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let entry = |id: &str, bytes: usize| InboxEntry { body: "a".repeat(bytes), ..fixture.inbox(id, InboxState::Applied) };
    let mut change = fixture.change();
    change.insert(Row::Inbox(entry("evt_1", MAX_BYTES)));
    assert!(matches!(refused(subject, change).await, ChangeFault::TooManyBytes { found } if found > MAX_BYTES));
    // Small parts add up.
    let mut change = fixture.change();
    for n in 0..8 {
        change.insert(Row::Inbox(entry(&format!("evt_{n}"), MAX_BYTES / 8)));
    }
    assert!(matches!(refused(subject, change).await, ChangeFault::TooManyBytes { .. }));
    let mut change = fixture.change();
    change.jobs.push(NewJob { payload: "a".repeat(MAX_BYTES + 1), ..job("email", "a", 1) });
    assert!(matches!(refused(subject, change).await, ChangeFault::TooManyBytes { .. }));
    let large = Row::Inbox(entry("evt_1", MAX_BYTES - 2_000));
    commit(store, &fixture.insert([large.clone()])).await;
    assert_eq!(store.get(&large.key()).await.expect("get").expect("the large row").row, large);
}

pub(super) async fn a_key_has_at_most_so_many_bytes(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let longest = "ă".repeat(MAX_KEY_BYTES / 2);
    let too_long = format!("{longest}a");
    let mut long_setting = fixture.change();
    long_setting.insert(Row::Setting(fixture.setting(&too_long, "1")));
    let mut long_group = fixture.change();
    long_group.jobs.push(job("email", &too_long, 1));
    let mut long_sku = fixture.change();
    long_sku.insert(Row::Setting(fixture.setting("a fence", "1")));
    let cause = Cause::Change(long_sku.id);
    long_sku.stock.push(StockMove { key: StockKey::main(too_long.clone()), available_delta: 1, reserved_delta: 0, cause });
    for change in [long_setting, long_group, long_sku] {
        let fault = refused(subject, change).await;
        assert!(matches!(fault, ChangeFault::KeyTooLong { .. }), "{fault}");
    }
    // Every index of every store takes the longest one there may be.
    let product = ordermill_core::catalogue::Product { sku: longest.clone(), url: Some(longest.clone()), ..fixture.goods("x") };
    commit(store, &fixture.insert([Row::Product(product), Row::Setting(fixture.setting(&longest, "1"))])).await;
    // The place's name and the queue's name count, too.
    commit(store, &fixture.adjust(&longest[..longest.len() - 4], 1)).await;
    commit(store, &fixture.queue([job("email1", &longest[..longest.len() - 6], 1)])).await;
    let event = InboxEntry { received_at: NOW, ..fixture.inbox(&longest, InboxState::Waiting) };
    commit(store, &fixture.insert([Row::Inbox(event)])).await;
}

pub(super) async fn a_refused_change_spoils_nobody_elses(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let mut faulty = fixture.change();
    faulty.puts.push(Row::Setting(fixture.setting("unguarded", "1")));
    let (first, second) = (fixture.setting("first", "1"), fixture.setting("second", "1"));
    let changes = vec![fixture.insert([Row::Setting(first.clone())]), Arc::new(faulty), fixture.insert([Row::Setting(second.clone())])];
    let results = subject.commit_together(changes).await;
    assert!(matches!(&results[..], [Ok(()), Err(CommitError::Fault(_)), Ok(())]), "{results:?}");
    for setting in [first, second] {
        assert!(store.get(&Key::Setting(setting.name)).await.expect("get").is_some());
    }
}
