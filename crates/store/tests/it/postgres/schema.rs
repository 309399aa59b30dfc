//! Opening and migrating: servers that may lose writes are refused, and so are schemas that are not ours to touch.

use super::{client_of, fresh_at};
use ordermill_store::conformance::fixture::{Fixture, commit};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::{fresh_schema, shared_url};
use ordermill_store::{CommitError, OpenError, Store, StoreError};

#[tokio::test]
async fn a_server_that_may_lose_writes_is_refused() {
    let url = fresh_schema(&shared_url().expect("a server")).await.expect("a schema");
    let strict = url.replace("unsafe_fsync=allow&", "");
    assert_ne!(strict, url);
    let refused = PostgresStore::open(&strict).await;
    assert!(matches!(&refused, Err(OpenError::Unsafe(why)) if why.contains("fsync=off")), "{refused:?}");
    let lax = format!("{url}&options=-c%20synchronous_commit=off");
    let refused = PostgresStore::open(&lax).await;
    assert!(matches!(&refused, Err(OpenError::Unsafe(why)) if why.contains("synchronous_commit")), "{refused:?}");
}

#[tokio::test]
async fn a_schema_that_does_not_exist_is_named() {
    let url = format!("{}&schema=nobody_made_this", shared_url().expect("a server"));
    let refused = PostgresStore::open(&url).await;
    assert!(matches!(&refused, Err(OpenError::Failed(why)) if why.contains("nobody_made_this")), "{refused:?}");
}

#[tokio::test]
async fn migrators_wait_for_each_other() {
    let url = fresh_schema(&shared_url().expect("a server")).await.expect("a schema");
    let (first, second) = (PostgresStore::open(&url).await.expect("a store"), PostgresStore::open(&url).await.expect("a store"));
    assert_eq!(first.health().await.expect("health").pending_migrations, ["0001_first_tables", "0002_carts_and_keys"]);
    let unmigrated = first.commit(&Fixture::new().adjust("shirt", 1)).await;
    assert!(matches!(unmigrated, Err(CommitError::Unavailable(_))), "{unmigrated:?}");
    let (ran, ran_too) = tokio::join!(first.migrate(), second.migrate());
    let mut ran = [ran.expect("migrated"), ran_too.expect("migrated")];
    ran.sort();
    assert_eq!(ran, [vec![], vec!["0001_first_tables".to_owned(), "0002_carts_and_keys".to_owned()]]);
    assert_eq!(second.health().await.expect("health").pending_migrations, Vec::<String>::new());
    commit(&first, &Fixture::new().adjust("shirt", 1)).await;
}

#[tokio::test]
async fn a_changed_or_unknown_migration_is_refused() {
    let (store, url) = fresh_at(&shared_url().expect("a server")).await;
    let client = client_of(&url).await;
    for (damage, why) in [
        ("INSERT INTO migrations (name, checksum, at) VALUES ('9999_tomorrow', 'x', 0)", "9999_tomorrow"),
        ("UPDATE migrations SET checksum = 'x' WHERE name LIKE '0001%'", "was changed"),
    ] {
        client.execute(damage, &[]).await.expect("damaged");
        let opened = PostgresStore::open(&url).await;
        assert!(matches!(&opened, Err(OpenError::Failed(found)) if found.contains(why)), "{opened:?}");
        let migrated = store.migrate().await;
        assert!(matches!(&migrated, Err(StoreError::Invalid(found)) if found.contains(why)), "{migrated:?}");
        client.execute("DELETE FROM migrations WHERE name LIKE '9999%'", &[]).await.expect("repaired");
    }
}

#[tokio::test]
async fn a_url_never_shows_in_an_error() {
    for url in
        ["postgres://u:geheim@127.0.0.1:1/d", "postgres://u:geheim@127.0.0.1/d?nonsense=1", "postgres://u:geheim@127.0.0.1/d?schema=A"]
    {
        let error = PostgresStore::open(url).await.expect_err("nothing listens there");
        assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
    }
}
