//! F34: servers that are killed, connections that are cut, servers that become read-only. What was acknowledged is there,
//! and the store comes back by itself.

use super::{client_of, fresh_at};
use ordermill_store::conformance::fixture::{Fixture, commit};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::ThrowawayPostgres;
use ordermill_store::{CommitError, OrderRef, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a client was told about the orders it placed.
#[derive(Debug, Default)]
struct Journal {
    acknowledged: Vec<i64>,
    refused: Vec<i64>,
    unknown: Vec<i64>,
}

/// Places orders from eight tasks until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Journal>,
}

impl Load {
    fn start(store: &Arc<PostgresStore>) -> Self {
        let (stop, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(1)));
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let (store, stop, number, fixture) = (Arc::clone(store), Arc::clone(&stop), Arc::clone(&number), Fixture::nth(task + 1));
            tasks.spawn(async move {
                let ebook = fixture.product("ebook", ordermill_core::catalogue::ProductKind::Digital);
                let mut journal = Journal::default();
                while !stop.load(Ordering::SeqCst) {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    match store.commit(&fixture.place(number, &[(&ebook, 1)]).1).await {
                        Ok(()) => journal.acknowledged.push(number),
                        Err(CommitError::Unavailable(_)) => journal.refused.push(number),
                        Err(CommitError::Unknown(_)) => journal.unknown.push(number),
                        Err(other) => panic!("order {number}: {other}"),
                    }
                }
                journal
            });
        }
        Self { stop, tasks }
    }

    async fn stop(self) -> Journal {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Journal::default();
        for journal in self.tasks.join_all().await {
            all.acknowledged.extend(journal.acknowledged);
            all.refused.extend(journal.refused);
            all.unknown.extend(journal.unknown);
        }
        all
    }
}

/// Every acknowledged order is there and no refused one.
async fn check(store: &PostgresStore, journal: &Journal) {
    for number in &journal.acknowledged {
        assert!(store.order(&OrderRef::Number(*number)).await.expect("order").is_some(), "acknowledged order {number} is lost");
    }
    for number in &journal.refused {
        assert!(store.order(&OrderRef::Number(*number)).await.expect("order").is_none(), "refused order {number} is there");
    }
}

/// Tries until a change is accepted; returns how long it took.
async fn recovered(store: &PostgresStore) -> Duration {
    let (fixture, start) = (Fixture::nth(1_000), Instant::now());
    while store.commit(&fixture.adjust("shirt", 1)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "the store does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut server = ThrowawayPostgres::start().expect("a server");
    let store = Arc::new(fresh_at(&server.url()).await.0);
    let load = Load::start(&store);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server = tokio::task::spawn_blocking(move || {
            server.kill_9().expect("killed");
            server.restart().expect("restarted");
            server
        })
        .await
        .expect("no panic");
        let took = recovered(&store).await;
        assert!(took < Duration::from_secs(5), "the store came back only after {took:?}");
    }
    let journal = load.stop().await;
    assert!(journal.acknowledged.len() > 20, "{} orders are no load", journal.acknowledged.len());
    check(&store, &journal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cut_connections_cost_nobody_an_answer() {
    let server = ThrowawayPostgres::start().expect("a server");
    let (store, url) = fresh_at(&server.url()).await;
    let (store, assassin) = (Arc::new(store), client_of(&url).await);
    let load = Load::start(&store);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(75)).await;
        let cut =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        assassin.execute(cut, &[]).await.expect("terminated");
    }
    let journal = load.stop().await;
    check(&store, &journal).await;
    assert_eq!(journal.unknown, Vec::<i64>::new());
    assert!(journal.acknowledged.len() > 20, "{} orders are no load", journal.acknowledged.len());
    assert!(journal.refused.len() < journal.acknowledged.len(), "more orders were refused than placed: {journal:?}");
}

#[tokio::test]
async fn a_server_that_became_read_only_is_told_from_a_working_one() {
    let server = ThrowawayPostgres::start().expect("a server");
    let (store, url) = fresh_at(&server.url()).await;
    let operator = client_of(&url).await;
    let fixture = Fixture::new();
    commit(&store, &fixture.adjust("shirt", 1)).await;
    assert_eq!(store.health().await.expect("health").read_only, None);
    let flip = async |on: bool| {
        operator.batch_execute("SET default_transaction_read_only = off").await.expect("writable");
        let setting = if on { "on" } else { "off" };
        operator.batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {setting}")).await.expect("set");
        operator.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    flip(true).await;
    let refused = store.commit(&fixture.adjust("shirt", 1)).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    assert!(store.health().await.map_or(true, |health| health.read_only.is_some()));
    flip(false).await;
    assert!(recovered(&store).await < Duration::from_secs(5));
}

#[tokio::test]
async fn without_a_server_nobody_waits_for_ever() {
    let mut server = ThrowawayPostgres::start().expect("a server");
    let (store, _) = fresh_at(&server.url()).await;
    let fixture = Fixture::new();
    commit(&store, &fixture.adjust("shirt", 1)).await;
    server.kill_9().expect("killed");
    let start = Instant::now();
    for _ in 0..3 {
        let answer = store.commit(&fixture.adjust("shirt", 1)).await;
        assert!(matches!(answer, Err(CommitError::Unavailable(_))), "{answer:?}");
        store.order(&OrderRef::Number(1)).await.expect_err("no server, no order");
    }
    assert!(start.elapsed() < Duration::from_secs(8), "it took {:?}", start.elapsed());
    store.close().await;
}
