//! What only the embedded store promises: its lock, its file, its migrations, its plans, and how it behaves when the disk
//! is full or one change is bad. What all stores promise stands in [`crate::conformance`].

mod folder;
mod plans;

pub(crate) use folder::Folder;

use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Key, Row};
use ordermill_core::job::Outcome;
use ordermill_store::clock::StoreClock;
use ordermill_store::conformance::fixture::{Fixture, HOUR_MS, LEASE_MS, claim_one, commit, job};
use ordermill_store::sqlite::SqliteStore;
use ordermill_store::{ClaimTarget, CommitError, OpenError, OrderRef, Sequence, Store, StoreError, Table};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A migrated store in a folder of its own.
async fn fresh(folder: &Folder) -> SqliteStore {
    let store = SqliteStore::open(&folder.database()).await.expect("a store");
    store.migrate().await.expect("migrations");
    store
}

#[tokio::test]
async fn a_second_opening_is_refused_and_told_who_holds_the_store() {
    let folder = Folder::new();
    let store = fresh(&folder).await;
    let Err(OpenError::Locked { pid, path }) = SqliteStore::open(&folder.database()).await else { panic!("it must be locked") };
    assert_eq!(pid, std::process::id().to_string());
    assert!(path.ends_with("lock"), "{path}");
    store.close().await;
    let again = SqliteStore::open(&folder.database()).await.expect("a closed store lets go");
    drop(again);
    SqliteStore::open(&folder.database()).await.expect("a dropped store lets go");
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let folder = Folder::new();
    let path = folder.path().join("made/by/ordermill/shop.db");
    let store = SqliteStore::open(&path).await.expect("a store");
    store.migrate().await.expect("migrations");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    let parent = path.parent().expect("a folder");
    assert_eq!(mode(parent), 0o700);
    for entry in std::fs::read_dir(parent).expect("a folder") {
        let file = entry.expect("a file").path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await;
}

#[tokio::test]
async fn before_its_migrations_a_store_says_what_is_missing() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.database()).await.expect("a store");
    let pending = store.health().await.expect("health").pending_migrations;
    assert!(!pending.is_empty());
    let unavailable = |error: StoreError| assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("migrat")), "{error}");
    unavailable(store.order(&OrderRef::Number(1)).await.expect_err("no tables"));
    unavailable(store.numbers(Sequence::Order, 1).await.expect_err("no tables"));
    unavailable(store.sweep().await.expect_err("no tables"));
    let change = Fixture::new().adjust("shirt", 1);
    assert!(matches!(store.commit(&change).await, Err(CommitError::Unavailable(_))));
    assert_eq!(store.migrate().await.expect("migrations"), pending);
    assert_eq!(store.migrate().await.expect("migrations"), Vec::<String>::new());
    commit(&store, &change).await;
    store.close().await;
}

#[tokio::test]
async fn a_database_that_this_binary_does_not_understand_is_refused() {
    for (break_it, why) in [
        ("UPDATE migrations SET checksum = zeroblob(32) WHERE name = '0001_orders'", "not the one that ran"),
        ("INSERT INTO migrations (name, checksum, applied_at) VALUES ('9999_from_the_future', zeroblob(32), 0)", "newer ordermill"),
    ] {
        let folder = Folder::new();
        fresh(&folder).await.close().await;
        folder.connect().execute(break_it, []).expect("SQL");
        let Err(OpenError::Unsafe(text)) = SqliteStore::open(&folder.database()).await else { panic!("it must be refused") };
        assert!(text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_not_opened() {
    let folder = Folder::new();
    std::fs::write(folder.database(), b"this is a letter to my mother, not a database").expect("a file");
    assert!(SqliteStore::open(&folder.database()).await.is_err());
}

#[tokio::test]
async fn a_full_disk_stops_writes_only_and_passes() {
    let folder = Folder::new();
    let store = fresh(&folder).await;
    let fixture = Fixture::new();
    let shirt = fixture.goods("shirt");
    commit(&store, &fixture.adjust("shirt", 1_000)).await;
    let (first, placed) = fixture.place(1, &[(&shirt, 1)]);
    commit(&store, &placed).await;
    let pages = store.pages().await.expect("pages");
    store.limit_pages(pages).await.expect("a limit");

    let mut number = 1;
    let refused = loop {
        number += 1;
        let (order, placed) = fixture.place(number, &[(&shirt, 1)]);
        if let Err(error) = store.commit(&placed).await {
            break (error, order, placed);
        }
        assert!(number < 1_000, "the disk never filled up");
    };
    let (error, order, placed) = refused;
    assert!(matches!(&error, CommitError::Unavailable(why) if why.contains("disk full")), "{error}");
    assert_eq!(store.order(&OrderRef::Id(first.id)).await.expect("reads go on"), Some(first));
    assert_eq!(store.get(&Key::Order(order.id)).await.expect("reads go on"), None);
    assert!(store.health().await.expect("health").read_only.is_some_and(|why| why.contains("disk full")));
    assert_eq!(store.failure(), None, "a full disk is no reason to stop");

    store.limit_pages(u32::MAX).await.expect("a limit");
    assert_eq!(store.health().await.expect("health").read_only, None, "asking is enough to find room again");
    commit(&store, &placed).await;
    store.close().await;
}

#[tokio::test]
async fn leases_of_a_process_that_is_gone_end_at_opening() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let store = fresh(&folder).await;
    commit(&store, &fixture.queue([job("email", "a", 1)])).await;
    let lost = claim_one(&store, "email").await;
    drop(store);

    let store = SqliteStore::open(&folder.database()).await.expect("a store");
    let again = store.claim(&ClaimTarget::Queue("email".to_owned()), 10, LEASE_MS, "second").await.expect("claim");
    let [again] = again.as_slice() else { panic!("the job is tried again at once: {again:?}") };
    assert_eq!((again.past.attempt, again.past.counted()), (2, 2));
    assert!(
        matches!(again.past.history.as_slice(), [lease] if lease.attempt == 1 && lease.counted && lease.why.contains("the lease ran out"))
    );
    let zombie = fixture.finish(&lost.claim(), Outcome::Done);
    assert!(matches!(store.commit(&zombie).await, Err(CommitError::Conflict(conflict)) if conflict.lost_lease()));
    store.close().await;
}

#[tokio::test]
async fn a_bad_change_of_a_batch_fails_alone() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let store = fresh(&folder).await;
    folder
        .connect()
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON settings WHEN NEW.name = 'poison' BEGIN SELECT raise(ABORT, 'poisoned'); END",
        )
        .expect("a trigger");
    let setting = |name: &str| fixture.insert([Row::Setting(fixture.setting(name, "x"))]);
    let changes: Vec<_> = ["a", "poison", "b", "c"].into_iter().map(setting).collect();
    let results = store.commit_together(changes).await;
    assert!(matches!(&results[1], Err(CommitError::Unavailable(why)) if why.contains("poisoned")), "{results:?}");
    assert!([0, 2, 3].iter().all(|index| results[*index].is_ok()), "{results:?}");
    for (name, is_there) in [("a", true), ("poison", false), ("b", true), ("c", true)] {
        let found = store.get(&Key::Setting(name.to_owned())).await.expect("get");
        assert_eq!(found.is_some(), is_there, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stops_only_the_change_that_needs_it() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let store = fresh(&folder).await;
    commit(&store, &fixture.insert([Row::Setting(fixture.setting("broken", "x"))])).await;
    for break_it in ["UPDATE settings SET body = '{'", "UPDATE settings SET body = '{}'", "UPDATE settings SET format = 2"] {
        folder.connect().execute(break_it, []).expect("SQL");
        assert!(matches!(store.get(&Key::Setting("broken".to_owned())).await, Err(StoreError::Corrupt { .. })), "{break_it}");
        let setting = |name: &str| fixture.insert([Row::Setting(fixture.setting(name, "x"))]);
        let whole = format!("whole {}", fixture.draw());
        let results = store.commit_together(vec![setting("broken"), setting(&whole)]).await;
        assert!(matches!(results.as_slice(), [Err(CommitError::Corrupt { .. }), Ok(())]), "{results:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_every_kind_of_end() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let mut orders = Vec::new();
    for number in 1..=4 {
        let store = fresh(&folder).await;
        let (order, placed) = fixture.place(number, &[(&ebook, 1)]);
        commit(&store, &placed).await;
        orders.push(order);
        for order in &orders {
            assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order").as_ref(), Some(order));
        }
        if number % 2 == 0 {
            store.close().await;
            let log = std::fs::metadata(folder.path().join("shop.db-wal")).map_or(0, |file| file.len());
            assert_eq!(log, 0, "closing empties the log");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_queued_between_a_claim_and_a_wait_is_not_slept_through() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let store = fresh(&folder).await;
    let queue = ClaimTarget::Queue("email".to_owned());
    assert_eq!(store.claim(&queue, 10, LEASE_MS, "w").await.expect("claim"), []);
    commit(&store, &fixture.queue([job("email", "a", 1)])).await;
    let began = store.clock().now();
    store.wait(&["email"], Duration::from_mins(1)).await;
    let waited_ms = store.clock().now().ms_since(began);
    assert!(waited_ms < 500, "{waited_ms} ms");
    assert_eq!(store.claim(&queue, 10, LEASE_MS, "w").await.expect("claim").len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_when_the_next_job_is_due() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let store = fresh(&folder).await;
    commit(&store, &fixture.queue([job("email", "a", 1).after(150)])).await;
    let queue = ClaimTarget::Queue("email".to_owned());
    assert_eq!(store.claim(&queue, 10, LEASE_MS, "w").await.expect("claim"), []);
    let began = store.clock().now();
    store.wait(&["email"], Duration::from_mins(1)).await;
    let waited_ms = store.clock().now().ms_since(began);
    assert!(waited_ms < 900, "{waited_ms} ms");
    assert_eq!(store.claim(&queue, 10, LEASE_MS, "w").await.expect("claim").len(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_scan_takes_only_its_own_cursors() {
    let folder = Folder::new();
    let store = fresh(&folder).await;
    for table in Table::ALL {
        for garbage in ["", "x", "1", "[]", "[null]", "[1,2,3,4]", "{\"a\":1}", "[\"zz\"", "[[\"a\"]]"] {
            let answer = store.scan(table, Some(garbage), 10).await;
            assert!(matches!(answer, Err(StoreError::Invalid(_))), "{table:?} took {garbage:?}: {answer:?}");
        }
    }
    store.close().await;
}

#[tokio::test]
async fn an_open_order_is_due_by_the_clock_that_was_given() {
    let folder = Folder::new();
    let fixture = Fixture::new();
    let clock = StoreClock::start();
    let store = SqliteStore::open_with_clock(&folder.database(), clock.clone()).await.expect("a store");
    store.migrate().await.expect("migrations");
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let now = store.clock().now();
    let who = ordermill_store::conformance::fixture::guest("an@example.com");
    let (order, placed) = fixture.place_as(1, ordermill_core::order::PaymentMethod::Stripe, who, now, &[(&ebook, 1)]);
    commit(&store, &placed).await;
    assert_eq!(store.due_orders(10).await.expect("due"), []);
    clock.advance_ms(HOUR_MS);
    assert_eq!(store.due_orders(10).await.expect("due"), [order.id]);
    store.close().await;
}
