//! Many at once: real tasks on the shared store, rivals for the same thing.

use super::Subject;
use super::fixture::{Fixture, LEASE_MS, commit, everything, job, scan_all};
use crate::{ClaimTarget, CommitError, OrderRef, Sequence, Store, Table};
use ordermill_core::admit::Failed;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Change, IdempotencyRow, Key, Row};
use ordermill_core::job::Outcome;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Commits all of them from tasks that start at the same moment; results in the order of the changes.
async fn race(store: &Arc<dyn Store>, changes: &[Arc<Change>]) -> Vec<Result<(), CommitError>> {
    let barrier = Arc::new(Barrier::new(changes.len()));
    let mut tasks = JoinSet::new();
    for (index, change) in changes.iter().cloned().enumerate() {
        let (store, barrier) = (Arc::clone(store), Arc::clone(&barrier));
        tasks.spawn(async move {
            barrier.wait().await;
            (index, store.commit(&change).await)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

pub(super) async fn of_many_rivals_for_one_key_exactly_one_wins(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let shared = fixture.idempotency(fixture.terms(1).order_id);
    let rivals: Vec<(IdempotencyRow, Arc<Change>)> = (1..=64)
        .map(|number| {
            let (order, placed) = fixture.place(number, &[(&ebook, 1)]);
            let row = IdempotencyRow { result: order.id.into(), ..shared.clone() };
            let mut change = Arc::unwrap_or_clone(placed);
            change.insert(Row::Idempotency(row.clone()));
            (row, Arc::new(change))
        })
        .collect();
    let changes: Vec<_> = rivals.iter().map(|(_, change)| Arc::clone(change)).collect();
    let results = race(&store, &changes).await;
    let winners: Vec<usize> = results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(index, _)| index).collect();
    let [winner] = winners[..] else { panic!("{} of 64 rivals won", winners.len()) };
    let (row, won) = &rivals[winner];
    let key = Key::Idempotency(shared.key);
    for (index, result) in results.iter().enumerate().filter(|(index, _)| *index != winner) {
        let Err(CommitError::Conflict(conflict)) = result else { panic!("rival {index} got {result:?}") };
        let expected = Failed::Exists { key: key.clone(), by: won.id, row: Some(Box::new(Row::Idempotency(row.clone()))) };
        assert_eq!(conflict.failed, [expected], "rival {index}");
    }
    assert_eq!(scan_all(&*store, Table::Orders, 10).await.len(), 1);
}

pub(super) async fn of_many_edits_of_one_version_exactly_one_wins(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(&*store, &placed).await;
    let edits: Vec<_> = (0..32).map(|n| fixture.note(&order, &format!("ghi chú {n}")).1).collect();
    let results = race(&store, &edits).await;
    let won: Vec<&Arc<Change>> = edits.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(edit, _)| edit).collect();
    assert_eq!(won.len(), 1);
    for result in results.iter().filter(|result| result.is_err()) {
        let Err(CommitError::Conflict(conflict)) = result else { panic!("{result:?}") };
        let key = Key::Order(order.id);
        assert_eq!(conflict.failed, [Failed::Version { key, found: Some(2), last_change: Some(won[0].id) }]);
    }
    assert_eq!(store.events(order.id, 1, 10).await.expect("events"), won[0].events);
}

pub(super) async fn copies_of_one_change_are_applied_once(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(&*store, &fixture.adjust("shirt", 100)).await;
    let (order, placed) = fixture.place(1, &[(&shirt, 1)]);
    let results = race(&store, &vec![Arc::clone(&placed); 24]).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in results.iter().filter(|result| result.is_err()) {
        assert!(matches!(result, Err(CommitError::Conflict(conflict)) if conflict.was_me(placed.id)), "{result:?}");
    }
    assert_eq!(store.stock(&["shirt".to_owned()]).await.expect("stock")[0].available, 99);
    assert_eq!(store.order(&OrderRef::Number(1)).await.expect("order"), Some(order));
}

pub(super) async fn concurrent_claimers_never_share_an_attempt(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Arc::new(Fixture::new()));
    let changes = (0..500).map(|n| job("email", &format!("g{n}"), 1)).collect::<Vec<_>>();
    for chunk in changes.chunks(50) {
        commit(&*store, &fixture.queue(chunk.to_vec())).await;
    }
    let barrier = Arc::new(Barrier::new(50));
    let mut tasks = JoinSet::new();
    for worker in 0..50 {
        let (store, barrier, fixture) = (Arc::clone(&store), Arc::clone(&barrier), Arc::clone(&fixture));
        tasks.spawn(async move {
            barrier.wait().await;
            let mut seen = Vec::new();
            loop {
                let target = ClaimTarget::Queue("email".to_owned());
                let claimed = store.claim(&target, 7, LEASE_MS, &format!("worker-{worker}")).await.expect("claim");
                if claimed.is_empty() {
                    return seen;
                }
                for job in claimed {
                    seen.push(job.claim());
                    // Every fifth job is tried once more, so that second attempts are raced for as well.
                    let again = job.past.attempt == 1 && job.key.group.ends_with(['0', '5']);
                    let outcome = if again { super::fixture::unavailable(0) } else { Outcome::Done };
                    commit(&*store, &fixture.finish(&job.claim(), outcome)).await;
                }
            }
        });
    }
    let seen: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "an attempt was handed out twice");
    assert_eq!(scan_all(&*store, Table::Jobs, 100).await, []);
    assert_eq!((seen.len(), seen.iter().filter(|claim| claim.attempt == 2).count()), (600, 100));
}

pub(super) async fn concurrent_number_blocks_are_disjoint(subject: &dyn Subject) {
    let store = subject.shared();
    let mut tasks = JoinSet::new();
    for task in 0..32_u32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..5 {
                numbers.extend(store.numbers(Sequence::Order, 1 + task % 3).await.expect("numbers"));
            }
            numbers
        });
    }
    let numbers: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<i64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number was handed out twice");
    assert!(numbers.iter().all(|number| *number >= 1));
}

pub(super) async fn one_poisoned_change_does_not_stop_the_others(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let mut changes: Vec<Arc<Change>> = (1..=20).map(|number| fixture.place(number, &[(&ebook, 1)]).1).collect();
    // A rival for number 1, a stale edit, an unguarded write and a copy: each must fail alone.
    changes.push(fixture.place(1, &[(&ebook, 1)]).1);
    let (stranger, _) = fixture.place(99, &[(&ebook, 1)]);
    changes.push(fixture.note(&stranger, "không có đơn này").1);
    let mut unguarded = fixture.change();
    unguarded.puts.push(Row::Setting(fixture.setting("unguarded", "1")));
    changes.push(Arc::new(unguarded));
    let results = race(&store, &changes).await;
    let applied = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(applied, 20, "{results:?}");
    assert!(results[1..20].iter().all(Result::is_ok) && results[21].is_err() && results[22].is_err());
    assert_eq!(results[0].is_ok(), results[20].is_err());
    let orders = everything(&*store).await.into_iter().find(|(table, _)| *table == Table::Orders).expect("orders").1;
    assert_eq!(orders.len(), 20);
}
