//! Several nodes on one schema: rivals for one key, for one queue, for the same goods.

use super::{fresh_at, stock_of};
use ordermill_core::admit::Failed;
use ordermill_core::change::{IdempotencyRow, Key, Row};
use ordermill_core::job::{CircuitMove, Outcome};
use ordermill_store::conformance::fixture::{Fixture, claim_one, commit, job, ordered_job, scan_all, unavailable};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::shared_url;
use ordermill_store::{ClaimTarget, CommitError, Store, Table};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Nodes on one fresh schema.
async fn nodes(count: usize) -> Vec<Arc<PostgresStore>> {
    let (first, url) = fresh_at(&shared_url().expect("a server")).await;
    let mut nodes = vec![Arc::new(first)];
    while nodes.len() < count {
        nodes.push(Arc::new(PostgresStore::open(&url).await.expect("another node")));
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_nodes_that_want_one_key_exactly_one_wins() {
    let nodes = nodes(2).await;
    let fixture = Fixture::new();
    let shirt = fixture.goods("shirt");
    commit(&*nodes[0], &fixture.adjust("shirt", 1_000)).await;
    for round in 0..200 {
        let shared = fixture.idempotency(fixture.terms(1).order_id);
        let mut tasks = JoinSet::new();
        for (index, node) in nodes.iter().enumerate() {
            let (order, placed) = fixture.place(round * 2 + 1 + i64::try_from(index).expect("small"), &[(&shirt, 1)]);
            let mut change = Arc::unwrap_or_clone(placed);
            change.insert(Row::Idempotency(IdempotencyRow { result: order.id.into(), ..shared.clone() }));
            let (node, change) = (Arc::clone(node), Arc::new(change));
            tasks.spawn(async move { (change.id, node.commit(&change).await) });
        }
        let results = tasks.join_all().await;
        let winners: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).map(|(id, _)| *id).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        let loser = results.into_iter().find_map(|(_, result)| result.err()).expect("a loser");
        let CommitError::Conflict(conflict) = loser else { panic!("round {round}: {loser:?}") };
        assert!(conflict.is_taken(&Key::Idempotency(shared.key)));
        assert!(matches!(&conflict.failed[..], [Failed::Exists { by, row: Some(_), .. }] if *by == winners[0]), "{conflict:?}");
    }
    assert_eq!(stock_of(&nodes[0], "shirt").await, (800, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_of_one_change_on_two_nodes_are_applied_once() {
    let nodes = nodes(2).await;
    let fixture = Fixture::new();
    let shirt = fixture.goods("shirt");
    commit(&*nodes[0], &fixture.adjust("shirt", 1_000)).await;
    for number in 1..=50 {
        let (order, placed) = fixture.place(number, &[(&shirt, 1)]);
        let noted = fixture.note(&order, "hai lần").1;
        for change in [&placed, &noted] {
            let (first, second) = tokio::join!(nodes[0].commit(change), nodes[1].commit(change));
            for result in [&first, &second] {
                let found_itself = matches!(result, Err(CommitError::Conflict(conflict)) if conflict.was_me(change.id));
                assert!(result.is_ok() || found_itself, "{result:?}");
            }
            assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        }
    }
    assert_eq!(stock_of(&nodes[0], "shirt").await, (950, 50));
}

/// Orders of several goods each, in every order, from two nodes at once: no deadlock may surface and nothing be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_move_the_same_goods_wait_for_each_other_in_line() {
    let nodes = nodes(2).await;
    let fixture = Arc::new(Fixture::new());
    let goods: Vec<_> = ["a", "b", "c", "d", "e"].map(|sku| fixture.goods(sku)).into();
    for product in &goods {
        commit(&*nodes[0], &fixture.adjust(&product.sku, 300)).await;
    }
    let mut tasks = JoinSet::new();
    for number in 0..200_usize {
        let node = Arc::clone(&nodes[number % 2]);
        let wanted: Vec<_> = (0..3).map(|offset| (&goods[(number * 7 + offset * (1 + number % 4)) % 5], 1)).collect();
        let distinct: HashSet<_> = wanted.iter().map(|(product, _)| product.id).collect();
        let wanted = if distinct.len() == 3 { wanted } else { vec![(&goods[number % 5], 3)] };
        let change = fixture.place(i64::try_from(number).expect("small") + 1, &wanted).1;
        tasks.spawn(async move { node.commit(&change).await });
    }
    for result in tasks.join_all().await {
        result.expect("there is enough of everything");
    }
    let (mut available, mut reserved) = (0, 0);
    for product in &goods {
        let level = stock_of(&nodes[1], &product.sku).await;
        (available, reserved) = (available + level.0, reserved + level.1);
    }
    assert_eq!((available, reserved), (5 * 300 - 600, 600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_attempt_is_handed_out_twice() {
    let nodes = nodes(2).await;
    let fixture = Arc::new(Fixture::new());
    let jobs: Vec<_> = (0..2_000).map(|n| job("email", &format!("g{n}"), 1)).collect();
    for chunk in jobs.chunks(80) {
        commit(&*nodes[0], &fixture.queue(chunk.to_vec())).await;
    }
    let mut tasks = JoinSet::new();
    for worker in 0..16_u64 {
        let (node, fixture) = (Arc::clone(&nodes[usize::try_from(worker).expect("small") % 2]), Fixture::nth(worker + 1));
        tasks.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let claimed =
                    node.claim(&ClaimTarget::Queue("email".to_owned()), 13, 60_000, &format!("worker-{worker}")).await.expect("claim");
                if claimed.is_empty() {
                    return seen;
                }
                let again = |attempt, group: &str| attempt == 1 && group.ends_with('7');
                let finishes = claimed.iter().map(|job| {
                    let outcome = if again(job.past.attempt, &job.key.group) { unavailable(0) } else { Outcome::Done };
                    fixture.finish(&job.claim(), outcome)
                });
                for answer in node.commit_together(finishes.collect()).await {
                    answer.expect("the lease is held");
                }
                seen.extend(claimed.iter().map(ordermill_core::job::Job::claim));
            }
        });
    }
    let mut counts = HashMap::new();
    for claim in tasks.join_all().await.into_iter().flatten() {
        *counts.entry(claim).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "an attempt was handed out twice");
    assert_eq!(counts.len(), 2_000 + 200);
    assert_eq!(scan_all(&*nodes[0], Table::Jobs, 100).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_ordered_group_runs_one_at_a_time_on_all_nodes() {
    let nodes = nodes(2).await;
    let fixture = Fixture::new();
    let jobs: Vec<_> = (1..=40).map(|seq| ordered_job("bus", &format!("g{}", seq % 4), seq)).collect();
    commit(&*nodes[0], &fixture.queue(jobs)).await;
    let mut tasks = JoinSet::new();
    let done = Arc::new(std::sync::Mutex::new(HashMap::<String, Vec<i64>>::new()));
    for worker in 0..8_u64 {
        let (node, fixture, done) =
            (Arc::clone(&nodes[usize::try_from(worker).expect("small") % 2]), Fixture::nth(worker + 1), Arc::clone(&done));
        tasks.spawn(async move {
            while done.lock().expect("no panic").values().map(Vec::len).sum::<usize>() < 40 {
                for job in node.claim(&ClaimTarget::Queue("bus".to_owned()), 3, 60_000, "w").await.expect("claim") {
                    done.lock().expect("no panic").entry(job.key.group.clone()).or_default().push(job.key.seq);
                    node.commit(&fixture.finish(&job.claim(), Outcome::Done)).await.expect("the lease is held");
                }
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.join_all().await;
    for (group, seqs) in done.lock().expect("no panic").iter() {
        assert!(seqs.is_sorted(), "{group} ran as {seqs:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_nodes_one_tries_whether_a_provider_is_back() {
    let nodes = nodes(4).await;
    let fixture = Fixture::new();
    for round in 0..20 {
        let queue = format!("sms{round}");
        let jobs: Vec<_> = (0..10).map(|n| job(&queue, &format!("g{n}"), 1)).collect();
        commit(&*nodes[0], &fixture.queue(jobs)).await;
        let first = claim_one(&*nodes[0], &queue).await;
        commit(&*nodes[0], &fixture.finish_with(&first.claim(), unavailable(0), CircuitMove::Open { for_ms: 0 })).await;
        let mut tasks = JoinSet::new();
        for worker in 0..12 {
            let (node, queue) = (Arc::clone(&nodes[worker % 4]), queue.clone());
            tasks.spawn(async move { node.claim(&ClaimTarget::Queue(queue), 5, 60_000, "w").await.expect("claim") });
        }
        let tried: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(tried.len(), 1, "round {round}");
    }
}
