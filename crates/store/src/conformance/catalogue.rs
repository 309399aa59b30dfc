//! What the hot path reads: products and sessions.

use super::Subject;
use super::fixture::{Fixture, HOUR_MS, MINUTE_MS, commit, store_now};
use crate::CatalogueStamp;
use ordermill_core::account::User;
use ordermill_core::catalogue::Product;
use ordermill_core::change::{Key, Row};
use std::sync::Arc;

pub(super) async fn the_catalogue_is_sorted_by_sku(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let empty = store.catalogue(None).await.expect("catalogue").expect("an empty catalogue is one, too");
    assert_eq!((empty.products, empty.stamp), (vec![], CatalogueStamp { count: 0, versions: 0 }));
    let mut products: Vec<Product> = ["b", "B", "á", "a-10", "a-9", "a"].map(|sku| fixture.goods(sku)).to_vec();
    for product in &products {
        commit(store, &fixture.insert([Row::Product(product.clone())])).await;
    }
    products.sort_by(|a, b| a.sku.cmp(&b.sku));
    assert_eq!(store.catalogue(None).await.expect("catalogue").expect("the catalogue").products, products);
}

pub(super) async fn the_catalogue_is_only_sent_when_it_changed(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.insert([Row::Product(shirt.clone())])).await;
    let first = store.catalogue(None).await.expect("catalogue").expect("the catalogue").stamp;
    assert_eq!(first, CatalogueStamp { count: 1, versions: 1 });
    assert_eq!(store.catalogue(Some(first)).await.expect("catalogue"), None);
    // Stock is no part of it.
    commit(store, &fixture.adjust("shirt", 5)).await;
    assert_eq!(store.catalogue(Some(first)).await.expect("catalogue"), None);

    let mut change = fixture.change();
    let dearer = Product { unit_amount: 260_000, version: 2, ..shirt };
    change.replace(Row::Product(dearer.clone()), 1);
    commit(store, &Arc::new(change)).await;
    let second = store.catalogue(Some(first)).await.expect("catalogue").expect("it changed");
    assert_eq!((second.stamp, second.products), (CatalogueStamp { count: 1, versions: 2 }, vec![dearer]));
    assert!(store.catalogue(Some(first)).await.expect("catalogue").is_some(), "an old stamp stays old");
    commit(store, &fixture.insert([Row::Product(fixture.goods("hat"))])).await;
    assert_eq!(store.catalogue(Some(second.stamp)).await.expect("catalogue").expect("it grew").products.len(), 2);
}

pub(super) async fn a_session_comes_with_its_account(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let now = store_now(subject, &fixture).await;
    let user = fixture.user("an@example.com");
    let session = fixture.session(user.id, now.plus_ms(HOUR_MS));
    let orphan = fixture.session(fixture.user("b@example.com").id, now.plus_ms(HOUR_MS));
    commit(store, &fixture.insert([Row::User(user.clone()), Row::Session(session.clone()), Row::Session(orphan.clone())])).await;
    let found = store.session(&session.token).await.expect("session");
    assert_eq!(found, Some((session.clone(), user.clone())));
    assert_eq!(store.session(&orphan.token).await.expect("session"), None, "a session without an account is none");
    assert_eq!(store.session(&fixture.digest()).await.expect("session"), None);

    let mut change = fixture.change();
    let renamed = User { name: Some("Ánh".to_owned()), version: 2, ..user };
    change.replace(Row::User(renamed.clone()), 1);
    commit(store, &Arc::new(change)).await;
    assert_eq!(store.session(&session.token).await.expect("session"), Some((session.clone(), renamed)));
    let mut change = fixture.change();
    change.delete(Key::Session(session.token), 1);
    commit(store, &Arc::new(change)).await;
    assert_eq!(store.session(&session.token).await.expect("session"), None);
}

pub(super) async fn a_session_ends_by_the_clock_of_the_store(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let now = store_now(subject, &fixture).await;
    let user = fixture.user("an@example.com");
    let ends = |minutes: i64| fixture.session(user.id, now.plus_ms(minutes * MINUTE_MS));
    let (over, short, long) = (ends(-1), ends(10), ends(30));
    let rows = [&over, &short, &long].map(|session| Row::Session(session.clone()));
    commit(store, &fixture.insert(rows)).await;
    commit(store, &fixture.insert([Row::User(user.clone())])).await;
    let alive = || async {
        let mut alive = Vec::new();
        for session in [&over, &short, &long] {
            alive.push(store.session(&session.token).await.expect("session").is_some());
        }
        alive
    };
    assert_eq!(alive().await, [false, true, true]);
    subject.advance_ms(11 * MINUTE_MS);
    assert_eq!(alive().await, [false, false, true]);
    subject.advance_ms(20 * MINUTE_MS);
    assert_eq!(alive().await, [false, false, false]);
    // An ended session is still a row until a sweep forgets it.
    assert!(store.get(&Key::Session(long.token)).await.expect("get").is_some());
}
