//! Rows and changes that cannot be: each fails alone, and everything beside it goes on.

use super::{client_of, fresh_at, stock_of};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::job::Outcome;
use ordermill_store::conformance::fixture::{Fixture, claim_one, commit, job, job_key, scan_all};
use ordermill_store::postgres::throwaway::shared_url;
use ordermill_store::{ClaimTarget, CommitError, DeadLetterQuery, OrderRef, Store, StoreError, Table};
use std::sync::Arc;

#[tokio::test]
async fn a_change_that_the_server_refuses_fails_alone() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let fixture = Fixture::new();
    let shirt = fixture.goods("shirt");
    commit(&store, &fixture.adjust("shirt", 100)).await;
    let changes: Vec<(_, Arc<Change>)> = (1..=20).map(|number| fixture.place(number, &[(&shirt, 1)])).collect();
    // A stray event under one order's id: nothing a guard names, but the insert cannot pass it.
    let stray =
        "INSERT INTO events (order_id, seq, kind, v, at, actor, data, created_by) VALUES ($1, 1, 'order.note', 1, 0, 'system', '{}', $1)";
    client_of(&url).await.execute(stray, &[&changes[7].0.id.uuid()]).await.expect("a stray event");
    let answers = store.commit_together(changes.iter().map(|(_, change)| Arc::clone(change)).collect()).await;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok(()) => assert_ne!(index, 7),
            Err(CommitError::Unavailable(why)) => assert!(index == 7 && why.contains("23505"), "{index}: {why}"),
            Err(other) => panic!("{index}: {other}"),
        }
    }
    assert_eq!(stock_of(&store, "shirt").await, (81, 19));
}

#[tokio::test]
async fn an_unreadable_row_is_named_to_whoever_needs_it() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let fixture = Fixture::new();
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(&store, &placed).await;
    let client = client_of(&url).await;
    for (damage, why) in [("UPDATE orders SET body = left(body, 40)", "EOF"), ("UPDATE orders SET format = 9", "format is 9")] {
        client.execute(damage, &[]).await.expect("damaged");
        let read = store.order(&OrderRef::Id(order.id)).await;
        assert!(matches!(&read, Err(StoreError::Corrupt { why: found, .. }) if found.contains(why)), "{read:?}");
        let answers = store.commit_together(vec![fixture.place(2, &[(&ebook, 1)]).1, Arc::clone(&placed)]).await;
        assert!(matches!(&answers[1], Err(CommitError::Corrupt { why: found, .. }) if found.contains(why)), "{answers:?}");
        // The second time the number is taken, but by a row that was damaged as well.
        assert!(answers[0].is_ok() || matches!(answers[0], Err(CommitError::Corrupt { .. })), "{answers:?}");
    }
}

#[tokio::test]
async fn text_that_postgres_cannot_keep_is_refused_and_never_found() {
    let (store, _) = fresh_at(&shared_url().expect("a server")).await;
    let fixture = Fixture::new();
    let ebook = fixture.product("e\0book", ProductKind::Digital);
    let refused = fixture.insert([Row::Product(ebook)]);
    let answers = store.commit_together(vec![Arc::clone(&refused), fixture.adjust("shirt", 1)]).await;
    assert!(matches!(&answers[..], [Err(CommitError::Unavailable(why)), Ok(())] if why.contains("U+0000")), "{answers:?}");
    assert_eq!(store.get(&Key::Sku("e\0book".to_owned())).await.expect("get"), None);
    assert!(store.claim(&ClaimTarget::Jobs(vec![job_key("email", "\0", 1)]), 1, 1_000, "w").await.expect("claim").is_empty());
    assert_eq!(store.stock(&["e\0book".to_owned()]).await.expect("stock").len(), 1);
    // In a body it is only an escape.
    let mut product = fixture.product("novel", ProductKind::Digital);
    product.title = "e\0book".to_owned();
    commit(&store, &fixture.insert([Row::Product(product.clone())])).await;
    assert_eq!(store.get(&Key::Product(product.id)).await.expect("get").map(|stored| stored.row), Some(Row::Product(product)));
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_does_not_keep_the_others_alive() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let fixture = Fixture::new();
    let exhausted = |n: i32| {
        let mut job = job("email", &format!("g{n}"), 1);
        job.past.attempt = 3;
        job
    };
    commit(&store, &fixture.queue((0..10).map(exhausted))).await;
    let trap = "ALTER TABLE dead_letters ADD CONSTRAINT trap CHECK (grp <> 'g4')";
    client_of(&url).await.batch_execute(trap).await.expect("a trap");
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 9);
    assert_eq!(scan_all(&store, Table::Jobs, 10).await.len(), 1);
    let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
    assert_eq!(store.dead_letters(&query).await.expect("dead").rows.len(), 9);
}

#[tokio::test]
async fn two_sweeps_at_once_bury_each_job_once() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let rival = ordermill_store::postgres::PostgresStore::open(&url).await.expect("another node");
    let fixture = Fixture::new();
    let exhausted = |n: i32| {
        let mut job = job("email", &format!("g{n}"), 1);
        job.past.attempt = 3;
        job
    };
    for chunk in (0..1_300).collect::<Vec<_>>().chunks(80) {
        commit(&store, &fixture.queue(chunk.iter().map(|n| exhausted(*n)))).await;
    }
    let (first, second) = tokio::join!(store.sweep(), rival.sweep());
    let buried = first.expect("sweep").exhausted_jobs + second.expect("sweep").exhausted_jobs;
    assert_eq!(buried, 1_300);
    assert_eq!(scan_all(&store, Table::DeadLetters, 500).await.len(), 1_300);
}

#[tokio::test]
async fn old_batches_are_forgotten_and_young_ones_kept() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let (client, fixture) = (client_of(&url).await, Fixture::new());
    let count = async || client.query_one("SELECT count(*) FROM batches", &[]).await.expect("a count").get::<_, i64>(0);
    for _ in 0..3 {
        commit(&store, &fixture.adjust("shirt", 1)).await;
    }
    store.advance_ms(59 * 60_000);
    commit(&store, &fixture.adjust("shirt", 1)).await;
    assert_eq!((store.sweep().await.expect("sweep").pruned_rows, count().await), (0, 4));
    store.advance_ms(2 * 60_000);
    assert_eq!((store.sweep().await.expect("sweep").pruned_rows, count().await), (3, 1));
}

#[tokio::test]
async fn a_job_with_an_unreadable_history_does_not_stop_its_queue() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let fixture = Fixture::new();
    commit(&store, &fixture.queue([job("email", "a", 1), job("email", "b", 1)])).await;
    client_of(&url).await.execute("UPDATE jobs SET history = 'no list' WHERE grp = 'a'", &[]).await.expect("damaged");
    let claimed = store.claim(&ClaimTarget::Queue("email".to_owned()), 10, 1_000, "w").await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.key.group.as_str()).collect::<Vec<_>>(), ["b"]);
    commit(&store, &fixture.finish(&claimed[0].claim(), Outcome::Done)).await;
    assert_eq!(claim_one_later(&store).await, None);
}

/// What a later claim of the queue gives: nothing while the damaged job is leased.
async fn claim_one_later(store: &ordermill_store::postgres::PostgresStore) -> Option<String> {
    let claimed = store.claim(&ClaimTarget::Queue("email".to_owned()), 1, 1_000, "w").await.expect("claim");
    claimed.into_iter().next().map(|job| job.key.group)
}

#[tokio::test]
async fn a_zombie_on_another_node_cannot_finish() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let rival = ordermill_store::postgres::PostgresStore::open(&url).await.expect("another node");
    let fixture = Fixture::new();
    commit(&store, &fixture.queue([job("email", "a", 1)])).await;
    let slept = claim_one(&store, "email").await;
    rival.advance_ms(120_000);
    let won = claim_one(&rival, "email").await;
    assert_eq!(won.past.attempt, 2);
    let zombie = store.commit(&fixture.finish(&slept.claim(), Outcome::Done)).await;
    assert!(matches!(zombie, Err(CommitError::Conflict(conflict)) if conflict.lost_lease()));
    assert_eq!(rival.extend(&[slept.claim(), won.claim()], 60_000).await.expect("extend"), [false, true]);
    commit(&rival, &fixture.finish(&won.claim(), Outcome::Done)).await;
}
