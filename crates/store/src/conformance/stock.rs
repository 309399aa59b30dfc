//! Goods: never sold twice, never below zero, and every change of what is in the house is written down.

use super::Subject;
use super::fixture::{Fixture, batch_order, commit, everything, lose, scan_all};
use crate::{CommitError, OrderRef, Record, Table};
use ordermill_core::admit::{Failed, StockLevel};
use ordermill_core::change::{Cause, Change, Row, StockKey, StockMove};
use ordermill_core::order::Order;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A change that moves goods, guarded by its audit entry.
fn moving(fixture: &Fixture, moves: &[(&str, &str, i64, i64)]) -> Arc<Change> {
    let mut change = fixture.change();
    change.insert(Row::Audit(fixture.audit()));
    for (sku, location, available_delta, reserved_delta) in moves.iter().copied() {
        let key = StockKey { sku: sku.to_owned(), location: location.to_owned() };
        change.stock.push(StockMove { key, available_delta, reserved_delta, cause: Cause::Change(change.id) });
    }
    Arc::new(change)
}

async fn level(subject: &dyn Subject, sku: &str) -> (i64, i64) {
    let levels = subject.store().stock(&[sku.to_owned()]).await.expect("stock");
    (levels[0].available, levels[0].reserved)
}

fn short(sku: &str, available: i64, reserved: i64) -> Failed {
    Failed::Stock { key: StockKey::main(sku), level: StockLevel { available, reserved } }
}

pub(super) async fn stock_never_falls_below_zero(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &moving(&fixture, &[("shirt", "main", 5, 0)])).await;
    commit(store, &moving(&fixture, &[("shirt", "main", -3, 3)])).await;
    assert_eq!(lose(store, &moving(&fixture, &[("shirt", "main", -3, 3)])).await.failed, [short("shirt", 2, 3)]);
    assert_eq!(lose(store, &moving(&fixture, &[("shirt", "main", 4, -4)])).await.failed, [short("shirt", 2, 3)]);
    assert_eq!(level(subject, "shirt").await, (2, 3));
    commit(store, &moving(&fixture, &[("shirt", "main", -2, 2)])).await;
    commit(store, &moving(&fixture, &[("shirt", "main", 0, -5)])).await;
    assert_eq!(level(subject, "shirt").await, (0, 0));
    assert_eq!(lose(store, &moving(&fixture, &[("shirt", "main", 0, -1)])).await.failed, [short("shirt", 0, 0)]);
}

pub(super) async fn unknown_goods_have_no_stock(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    assert_eq!(level(subject, "shirt").await, (0, 0));
    assert_eq!(lose(store, &moving(&fixture, &[("shirt", "main", -1, 1)])).await.failed, [short("shirt", 0, 0)]);
    assert_eq!(scan_all(store, Table::Stock, 10).await, []);
    commit(store, &moving(&fixture, &[("shirt", "main", 1, 0)])).await;
    assert_eq!(level(subject, "shirt").await, (1, 0));
    // Skus differ by case, as keys do.
    assert_eq!(level(subject, "Shirt").await, (0, 0));
}

pub(super) async fn every_short_sku_is_named_with_its_level(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let (cap, hat, shirt) = (fixture.goods("cap"), fixture.goods("hat"), fixture.goods("shirt"));
    commit(store, &moving(&fixture, &[("cap", "main", 1, 0), ("hat", "main", 5, 0)])).await;
    let (_, placed) = fixture.place(1, &[(&shirt, 1), (&hat, 5), (&cap, 2)]);
    let conflict = lose(store, &placed).await;
    assert_eq!(conflict.failed, [short("cap", 1, 0), short("shirt", 0, 0)]);
    assert_eq!(conflict.short_stock().count(), 2);
    assert_eq!(level(subject, "hat").await, (5, 0));
}

pub(super) async fn only_changes_of_what_is_in_the_house_leave_a_movement(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let bought = moving(&fixture, &[("hat", "main", 2, 0), ("shirt", "main", 5, 0)]);
    let reserved = moving(&fixture, &[("shirt", "main", -2, 2)]);
    let taken = moving(&fixture, &[("shirt", "main", 0, -2)]);
    let released = moving(&fixture, &[("hat", "main", -1, 1)]);
    let lost = moving(&fixture, &[("hat", "main", -1, 0)]);
    for change in [&bought, &reserved, &taken, &released, &lost] {
        commit(store, change).await;
    }
    let movement = |change: &Arc<Change>, sku: &str, on_hand_delta| Record::StockMovement {
        cause: Cause::Change(change.id),
        key: StockKey::main(sku),
        on_hand_delta,
    };
    let expected = [movement(&bought, "hat", 2), movement(&bought, "shirt", 5), movement(&taken, "shirt", -2), movement(&lost, "hat", -1)];
    assert_eq!(scan_all(store, Table::StockMovements, 3).await, expected);
}

pub(super) async fn stock_is_summed_over_places_in_the_order_asked(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &moving(&fixture, &[("shirt", "main", 5, 1), ("shirt", "hà nội", 7, 2), ("hat", "main", 1, 0)])).await;
    let skus = ["hat", "nothing", "shirt", "hat"].map(str::to_owned);
    let levels = store.stock(&skus).await.expect("stock");
    let level = |available, reserved| StockLevel { available, reserved };
    assert_eq!(levels, [level(1, 0), level(0, 0), level(12, 3), level(1, 0)]);
    assert_eq!(store.stock(&[]).await.expect("stock"), []);
    // A move draws on its own place only.
    lose(store, &moving(&fixture, &[("shirt", "main", -6, 0)])).await;
}

/// What became of the changes, in short.
fn outcomes(results: &[Result<(), CommitError>]) -> Vec<Result<(), Vec<Failed>>> {
    let outcome = |result: &Result<(), CommitError>| match result {
        Ok(()) => Ok(()),
        Err(CommitError::Conflict(conflict)) => Err(conflict.failed.clone()),
        Err(other) => panic!("neither applied nor refused: {other}"),
    };
    results.iter().map(outcome).collect()
}

pub(super) async fn changes_of_one_batch_take_stock_in_order_of_arrival(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let orders: Vec<(Order, Arc<Change>)> =
        (1..).zip([3, 3, 2, 1]).map(|(number, quantity)| fixture.place(number, &[(&shirt, quantity)])).collect();
    let results = subject.commit_together(orders.iter().map(|(_, change)| Arc::clone(change)).collect()).await;
    let expected = [Ok(()), Err(vec![short("shirt", 2, 3)]), Ok(()), Err(vec![short("shirt", 0, 5)])];
    assert_eq!(outcomes(&results), expected);
    assert_eq!(level(subject, "shirt").await, (0, 5));
    for ((order, _), result) in orders.iter().zip(&results) {
        assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order").is_some(), result.is_ok());
    }
}

pub(super) async fn a_refused_change_of_a_batch_takes_nothing(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let (hat, shirt) = (fixture.goods("hat"), fixture.goods("shirt"));
    commit(store, &moving(&fixture, &[("shirt", "main", 2, 0), ("hat", "main", 1, 0)])).await;
    let ((_, greedy), (_, modest)) = (fixture.place(1, &[(&shirt, 2), (&hat, 2)]), fixture.place(2, &[(&shirt, 2), (&hat, 1)]));
    // What the batch itself brings in may be taken by what comes after it.
    let restock = moving(&fixture, &[("hat", "main", 2, 0)]);
    let (_, late) = fixture.place(3, &[(&hat, 2)]);
    let results = subject.commit_together(vec![greedy, modest, restock, late]).await;
    assert_eq!(outcomes(&results), [Err(vec![short("hat", 1, 0)]), Ok(()), Ok(()), Ok(())]);
    assert_eq!((level(subject, "shirt").await, level(subject, "hat").await), ((0, 2), (0, 3)));
}

pub(super) async fn overlapping_changes_of_one_batch_keep_their_order(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ordermill_core::catalogue::ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    let (noted, first) = fixture.note(&order, "một");
    let (noted, second) = fixture.note(&noted, "hai");
    let (_, stale) = fixture.note(&order, "cũ");
    let (_, rival) = fixture.place(1, &[(&ebook, 1)]);
    // Each but the first needs what the one before it wrote.
    let all = vec![placed.clone(), rival, first, second.clone(), stale, placed.clone()];
    let results = subject.commit_together(all).await;
    let applied: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(applied, [true, false, true, true, false, false], "{results:?}");
    assert!(matches!(&results[5], Err(CommitError::Conflict(conflict)) if conflict.was_me(placed.id)));
    assert!(matches!(&results[4], Err(CommitError::Conflict(conflict))
        if matches!(&conflict.failed[..], [Failed::Version { found: Some(3), last_change: Some(last), .. }] if *last == second.id)));
    assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order"), Some(noted));
}

pub(super) async fn a_batch_is_as_good_as_one_by_one(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let model = crate::memory::MemoryStore::new();
    let goods: Vec<_> = ["a", "b", "c"].map(|sku| fixture.goods(sku)).to_vec();
    let stocked = moving(&fixture, &[("a", "main", 20, 0), ("b", "main", 10, 0), ("c", "main", 5, 0)]);
    let mut changes = vec![stocked];
    for number in 1..=60_i64 {
        let index = usize::try_from(number % 3).expect("small");
        changes.push(fixture.place(1 + number / 2, &[(&goods[index], 1 + number % 4)]).1);
    }
    let results = subject.commit_together(changes.clone()).await;
    let mut expected = vec![Ok(()); changes.len()];
    for index in batch_order(&changes) {
        expected[index] = crate::Store::commit(&model, &changes[index]).await;
    }
    assert_eq!(outcomes(&results), outcomes(&expected));
    assert_eq!(everything(store).await, everything(&model).await);
}

pub(super) async fn concurrent_orders_never_sell_more_than_there_is(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let (hat, shirt) = (fixture.goods("hat"), fixture.goods("shirt"));
    commit(&*store, &moving(&fixture, &[("shirt", "main", 30, 0), ("hat", "main", 1_000, 0)])).await;
    let mut tasks = JoinSet::new();
    for number in 1..=48 {
        let (_, placed) = fixture.place(number, &[(&shirt, 2), (&hat, 1)]);
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.commit(&placed).await });
    }
    let results = tasks.join_all().await;
    let applied = outcomes(&results).iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(applied, 15, "30 shirts make 15 orders of 2");
    assert_eq!((level(subject, "shirt").await, level(subject, "hat").await), ((0, 30), (985, 15)));
    assert_eq!(scan_all(&*store, Table::Orders, 7).await.len(), 15);
}
