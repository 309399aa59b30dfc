//! What a look at a store says, on every store that lasts, and that looking leaves nothing behind.

use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::Row;
use ordermill_store::conformance::fixture::{Fixture, commit};
use ordermill_store::{Inspection, Store, inspect, open};
use std::sync::Arc;

const MARK: &str = "made_by";

async fn look(url: &str) -> Inspection {
    inspect(url, MARK).await.unwrap_or_else(|error| panic!("it can be looked at: {error}"))
}

async fn opened(url: &str) -> Arc<dyn Store> {
    open(url).await.unwrap_or_else(|error| panic!("it opens: {error}"))
}

/// From a place where nothing is to a store with one row of the kind that `fill` writes.
async fn is_told_step_by_step(url: &str, fill: impl AsyncFnOnce(&dyn Store, &Fixture)) {
    assert!(!look(url).await.is_store, "nothing is there");
    let store = opened(url).await;
    store.close().await;
    let empty = look(url).await;
    assert_eq!((empty.is_store, empty.mark, empty.is_filled), (false, None, false), "no migration ran");

    let store = opened(url).await;
    store.migrate().await.expect("migrations");
    store.close().await;
    let fresh = Inspection { is_store: true, ..Inspection::default() };
    assert_eq!(look(url).await, fresh);

    let (store, fixture) = (opened(url).await, Fixture::new());
    commit(store.as_ref(), &fixture.insert([Row::Setting(fixture.setting("limit", "1"))])).await;
    store.close().await;
    assert_eq!(look(url).await, fresh, "another setting marks nothing");

    let store = opened(url).await;
    fill(store.as_ref(), &fixture).await;
    store.close().await;
    assert_eq!(look(url).await, Inspection { is_filled: true, ..fresh.clone() });

    let store = opened(url).await;
    commit(store.as_ref(), &fixture.insert([Row::Setting(fixture.setting(MARK, "dev"))])).await;
    store.close().await;
    assert_eq!(look(url).await, Inspection { is_filled: true, mark: Some("dev".to_owned()), ..fresh });
}

async fn add_user(store: &dyn Store, fixture: &Fixture) {
    commit(store, &fixture.insert([Row::User(fixture.user("an@example.com"))])).await;
}

async fn add_product(store: &dyn Store, fixture: &Fixture) {
    commit(store, &fixture.insert([Row::Product(fixture.goods("CUP"))])).await;
}

/// An order alone: what it sells was never put into this store.
async fn add_order(store: &dyn Store, fixture: &Fixture) {
    let (_, placed) = fixture.place(1, &[(&fixture.product("COURSE", ProductKind::Digital), 1)]);
    commit(store, &placed).await;
}

#[tokio::test]
async fn on_memory_there_is_always_a_fresh_one() {
    assert_eq!(look("memory:").await, Inspection { is_store: true, ..Inspection::default() });
    let unknown = inspect("mysql://db/orders", MARK).await;
    assert!(matches!(unknown, Err(ordermill_store::OpenError::UnknownBackend { .. })), "{unknown:?}");
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::{add_order, add_product, add_user, inspect, is_told_step_by_step, look};
    use crate::sqlite::Folder;
    use ordermill_store::{Inspection, OpenError, open};

    fn url(folder: &Folder) -> String {
        format!("sqlite:{}", folder.path().join("deep/shop.db").display())
    }

    #[tokio::test]
    async fn a_file_is_told_step_by_step() {
        is_told_step_by_step(&url(&Folder::new()), add_user).await;
        is_told_step_by_step(&url(&Folder::new()), add_product).await;
        is_told_step_by_step(&url(&Folder::new()), add_order).await;
    }

    #[tokio::test]
    async fn looking_makes_nothing() {
        let folder = Folder::new();
        assert_eq!(look(&url(&folder)).await, Inspection::default());
        let file = folder.path().join("a-file");
        std::fs::write(&file, "no folder").expect("a file");
        assert_eq!(look(&format!("sqlite:{}", file.join("shop.db").display())).await, Inspection::default());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let noise = inspect(&format!("sqlite:{}", file.display()), super::MARK).await;
        assert!(matches!(noise, Err(OpenError::Failed(_))), "no database: {noise:?}");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "no folder");
    }

    #[tokio::test]
    async fn a_store_that_somebody_holds_is_his() {
        let folder = Folder::new();
        let store = open(&url(&folder)).await.expect("a store");
        let held = inspect(&url(&folder), super::MARK).await;
        assert!(matches!(held, Err(OpenError::Locked { .. })), "{held:?}");
        store.close().await;
        assert!(!look(&url(&folder)).await.is_store);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{add_order, add_product, add_user, is_told_step_by_step};
    use ordermill_store::postgres::throwaway::{fresh_schema, shared_url};

    async fn url() -> String {
        fresh_schema(&shared_url().expect("a server")).await.expect("a schema")
    }

    #[tokio::test]
    async fn a_schema_is_told_step_by_step() {
        is_told_step_by_step(&url().await, add_user).await;
        is_told_step_by_step(&url().await, add_product).await;
        is_told_step_by_step(&url().await, add_order).await;
    }
}
