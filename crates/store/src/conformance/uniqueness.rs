//! Rows and their keys: every unique value has one holder; versions fence writes and deletes.

use super::Subject;
use super::fixture::{Fixture, NOW, commit, customer, lose};
use crate::OrderRef;
use ordermill_core::account::{Throttle, User};
use ordermill_core::admit::Failed;
use ordermill_core::api_key::ApiKey;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Change, Key, PaymentRow, Row, Setting};
use ordermill_core::id::ChangeId;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::order::PaymentMethod;
use ordermill_core::payment::Provider;
use std::sync::Arc;

/// What a change that wanted a taken key is told.
fn exists(key: Key, by: ChangeId, row: Row) -> Vec<Failed> {
    vec![Failed::Exists { key, by, row: Some(Box::new(row)) }]
}

pub(super) async fn two_orders_never_share_a_number(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (first, created) = fixture.place(7, &[(&ebook, 1)]);
    commit(store, &created).await;
    let (_, rival) = fixture.place(7, &[(&ebook, 2)]);
    let conflict = lose(store, &rival).await;
    assert_eq!(conflict.failed, exists(Key::OrderNumber(7), created.id, Row::Order(Box::new(first.clone()))));
    assert_eq!(conflict.existing(&Key::OrderNumber(7)), Some(&Row::Order(Box::new(first))));
}

pub(super) async fn two_products_never_share_a_sku_or_a_page(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    let created = fixture.insert([Row::Product(shirt.clone())]);
    commit(store, &created).await;
    let same_sku = Product { url: None, ..fixture.goods("shirt") };
    let conflict = lose(store, &fixture.insert([Row::Product(same_sku)])).await;
    assert_eq!(conflict.failed, exists(Key::Sku("shirt".to_owned()), created.id, Row::Product(shirt.clone())));
    let url = shirt.url.clone().expect("a page");
    let same_page = Product { url: Some(url.clone()), ..fixture.goods("hat") };
    let conflict = lose(store, &fixture.insert([Row::Product(same_page)])).await;
    assert_eq!(conflict.failed, exists(Key::ProductUrl(url), created.id, Row::Product(shirt)));
    assert!(store.get(&Key::Sku("hat".to_owned())).await.expect("get").is_none());
}

pub(super) async fn products_without_a_page_do_not_collide(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    for sku in ["a", "b", "c"] {
        commit(store, &fixture.insert([Row::Product(Product { url: None, ..fixture.goods(sku) })])).await;
    }
}

pub(super) async fn two_accounts_never_share_an_address(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let created = fixture.insert([Row::User(user.clone())]);
    commit(store, &created).await;
    let conflict = lose(store, &fixture.insert([Row::User(fixture.user("An@Example.com"))])).await;
    assert_eq!(conflict.failed, exists(Key::UserEmail("an@example.com".to_owned()), created.id, Row::User(user)));
}

pub(super) async fn two_api_keys_never_share_a_secret(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let key = fixture.api_key("kho");
    let created = fixture.insert([Row::ApiKey(key.clone())]);
    commit(store, &created).await;
    let rival = ApiKey { secret: key.secret, ..fixture.api_key("kho 2") };
    let conflict = lose(store, &fixture.insert([Row::ApiKey(rival.clone())])).await;
    assert_eq!(conflict.failed, exists(Key::ApiKeySecret(key.secret), created.id, Row::ApiKey(key)));
    assert!(store.get(&Key::ApiKey(rival.id)).await.expect("get").is_none());
}

pub(super) async fn a_customer_has_one_cart(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let cart = fixture.cart(user.id);
    let created = fixture.insert([Row::Cart(cart.clone())]);
    commit(store, &created).await;
    let conflict = lose(store, &fixture.insert([Row::Cart(fixture.cart(user.id))])).await;
    assert_eq!(conflict.failed, exists(Key::Cart(user.id), created.id, Row::Cart(cart)));
    commit(store, &fixture.insert([Row::Cart(fixture.cart(fixture.user("binh@example.com").id))])).await;
}

pub(super) async fn a_money_object_belongs_to_one_order(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let ((first, one), (second, two)) = (fixture.place(1, &[(&ebook, 1)]), fixture.place(2, &[(&ebook, 1)]));
    commit(store, &one).await;
    commit(store, &two).await;
    let row = |provider, order_id| PaymentRow { provider, reference: "pi_1".to_owned(), order_id, at: NOW };
    let created = fixture.insert([Row::Payment(row(Provider::Stripe, first.id))]);
    commit(store, &created).await;
    let conflict = lose(store, &fixture.insert([Row::Payment(row(Provider::Stripe, second.id))])).await;
    let key = Key::Payment(Provider::Stripe, "pi_1".to_owned());
    assert_eq!(conflict.failed, exists(key, created.id, Row::Payment(row(Provider::Stripe, first.id))));
    // The same text from another provider is another object.
    commit(store, &fixture.insert([Row::Payment(row(Provider::Sepay, second.id))])).await;
    let by = OrderRef::Reference(Provider::Sepay, "pi_1".to_owned());
    assert_eq!(store.order(&by).await.expect("order").map(|order| order.id), Some(second.id));
}

pub(super) async fn keys_differ_by_every_byte(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    // Databases like to fold case, trim blanks, compose accents and sort by dictionary.
    let names = ["key", "Key", "key ", " key", "ke\u{301}y", "k\u{e9}y", "key%", "k_y", "", "ключ", "钥匙", "🔑", "'", "\"", "\\", "key:1"];
    for name in names {
        commit(store, &fixture.insert([Row::Setting(fixture.setting(name, name))])).await;
        let sku = Product { sku: name.to_owned(), url: Some(name.to_owned()), ..fixture.goods("x") };
        commit(store, &fixture.insert([Row::Product(sku)])).await;
    }
    for name in names {
        let found = store.get(&Key::Setting(name.to_owned())).await.expect("get").expect("the setting");
        assert_eq!(found.row, Row::Setting(fixture.setting(name, name)));
        let found = store.get(&Key::Sku(name.to_owned())).await.expect("get").expect("the product");
        assert!(matches!(found.row, Row::Product(product) if product.sku == name && product.url.as_deref() == Some(name)));
    }
}

pub(super) async fn a_row_is_found_by_each_of_its_keys(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place_as(9, PaymentMethod::Stripe, customer(&user), NOW, &[(&ebook, 1)]);
    let rows = [
        Row::Payment(PaymentRow { provider: Provider::Sepay, reference: "FT1".to_owned(), order_id: order.id, at: NOW }),
        Row::Product(ebook),
        Row::User(user.clone()),
        Row::Session(fixture.session(user.id, NOW)),
        Row::Inbox(fixture.inbox("evt_1", InboxState::Quarantined)),
        Row::Idempotency(fixture.idempotency(order.id)),
        Row::Effect(fixture.effect(order.id)),
        Row::Audit(fixture.audit()),
        Row::Setting(fixture.setting("made_by", "serve")),
        Row::Cart(fixture.cart(user.id)),
        Row::ApiKey(fixture.api_key("kho")),
        Row::OneTimeToken(fixture.one_time_token(user.id, NOW)),
        Row::Throttle(fixture.throttle(NOW)),
    ];
    let pause = fixture.pause("email", true, 0);
    let change = fixture.insert(rows.clone());
    commit(store, &change).await;
    commit(store, &pause).await;
    commit(store, &placed).await;
    let mut expected: Vec<(Row, ChangeId)> = rows.into_iter().map(|row| (row, change.id)).collect();
    expected.extend(pause.puts.iter().map(|row| (row.clone(), pause.id)));
    expected.push((Row::Order(Box::new(order)), placed.id));
    for (row, by) in expected {
        for key in row.keys() {
            let found = store.get(&key).await.expect("get").unwrap_or_else(|| panic!("nothing under {key:?}"));
            assert_eq!((found.row, found.by, found.last_change), (row.clone(), by, by), "{key:?}");
        }
    }
}

/// A change that replaces a setting.
fn set(fixture: &Fixture, value: &str, found_version: i64) -> Arc<Change> {
    let mut change = fixture.change();
    change.replace(Row::Setting(Setting { version: found_version + 1, ..fixture.setting("limit", value) }), found_version);
    Arc::new(change)
}

pub(super) async fn a_replaced_row_keeps_its_unique_values(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let (shirt, user) = (fixture.goods("shirt"), fixture.user("an@example.com"));
    commit(store, &fixture.insert([Row::Product(shirt.clone()), Row::User(user.clone())])).await;
    let mut change = fixture.change();
    let shirt = Product { title: "Áo thun".to_owned(), is_active: false, version: 2, ..shirt };
    let user = User { name: None, version: 2, ..user };
    change.replace(Row::Product(shirt.clone()), 1);
    change.replace(Row::User(user.clone()), 1);
    commit(store, &Arc::new(change)).await;
    for row in [Row::Product(shirt), Row::User(user)] {
        for key in row.keys() {
            assert_eq!(store.get(&key).await.expect("get").expect("the row").row, row, "{key:?}");
        }
    }
    lose(store, &fixture.insert([Row::Product(fixture.goods("shirt"))])).await;
    lose(store, &fixture.insert([Row::User(fixture.user("an@example.com"))])).await;
}

pub(super) async fn every_row_that_changes_is_replaced_whole(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let cart = fixture.cart(fixture.user("an@example.com").id);
    let (key, throttle) = (fixture.api_key("kho"), fixture.throttle(NOW));
    let created = fixture.insert([Row::Cart(cart.clone()), Row::ApiKey(key.clone()), Row::Throttle(throttle.clone())]);
    commit(store, &created).await;
    let later = NOW.plus_ms(1);
    let next = [
        Row::Cart(cart.cleared(later)),
        Row::ApiKey(ApiKey { revoked_at: Some(later), version: 2, ..key }),
        Row::Throttle(Throttle { failures: 2, since: later, version: 2, ..throttle }),
    ];
    let mut change = fixture.change();
    for row in &next {
        change.replace(row.clone(), 1);
    }
    let change = Arc::new(change);
    commit(store, &change).await;
    for row in next {
        for key in row.keys() {
            let found = store.get(&key).await.expect("get").expect("the row");
            assert_eq!((found.row, found.by, found.last_change), (row.clone(), created.id, change.id), "{key:?}");
        }
        let mut stale = fixture.change();
        stale.replace(row.clone(), 1);
        let conflict = lose(store, &Arc::new(stale)).await;
        assert_eq!(conflict.failed, [Failed::Version { key: row.key(), found: Some(2), last_change: Some(change.id) }]);
    }
}

pub(super) async fn a_stale_version_loses(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.insert([Row::Setting(fixture.setting("limit", "1"))])).await;
    let second = set(&fixture, "2", 1);
    commit(store, &second).await;
    let key = Key::Setting("limit".to_owned());
    let conflict = lose(store, &set(&fixture, "3", 1)).await;
    assert_eq!(conflict.failed, [Failed::Version { key: key.clone(), found: Some(2), last_change: Some(second.id) }]);
    let conflict = lose(store, &set(&fixture, "9", 8)).await;
    assert_eq!(conflict.failed, [Failed::Version { key: key.clone(), found: Some(2), last_change: Some(second.id) }]);
    assert_eq!(store.get(&key).await.expect("get").expect("the setting").row.version(), 2);
}

pub(super) async fn a_missing_row_has_no_version(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let conflict = lose(store, &set(&fixture, "2", 1)).await;
    let key = Key::Setting("limit".to_owned());
    assert_eq!(conflict.failed, [Failed::Version { key, found: None, last_change: None }]);
}

/// A change that deletes one row.
fn delete(fixture: &Fixture, key: Key, found_version: i64) -> Arc<Change> {
    let mut change = fixture.change();
    change.delete(key, found_version);
    Arc::new(change)
}

pub(super) async fn a_deleted_row_is_gone_and_its_key_free(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let session = fixture.session(user.id, NOW);
    let pause = fixture.pause("email", true, 0);
    let rows = [
        Row::Session(session),
        Row::Setting(fixture.setting("limit", "1")),
        Row::Inbox(fixture.inbox("evt_1", InboxState::Waiting)),
        Row::Idempotency(fixture.idempotency(fixture.terms(1).order_id)),
        Row::Effect(fixture.effect(fixture.terms(1).order_id)),
        pause.puts[0].clone(),
        Row::Cart(fixture.cart(user.id)),
        Row::OneTimeToken(fixture.one_time_token(user.id, NOW)),
        Row::Throttle(fixture.throttle(NOW)),
    ];
    for row in rows {
        commit(store, &fixture.insert([row.clone()])).await;
        commit(store, &delete(&fixture, row.key(), row.version())).await;
        assert!(store.get(&row.key()).await.expect("get").is_none(), "{row:?}");
        let conflict = lose(store, &delete(&fixture, row.key(), row.version())).await;
        assert_eq!(conflict.failed, [Failed::Version { key: row.key(), found: None, last_change: None }]);
        let again = fixture.insert([row.clone()]);
        commit(store, &again).await;
        assert_eq!(store.get(&row.key()).await.expect("get").expect("the new row").by, again.id);
    }
}

pub(super) async fn a_stale_delete_loses(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let entry = fixture.inbox("evt_1", InboxState::Waiting);
    commit(store, &fixture.insert([Row::Inbox(entry.clone())])).await;
    let mut change = fixture.change();
    let applied = InboxEntry { state: InboxState::Applied, version: 2, ..entry };
    change.replace(Row::Inbox(applied.clone()), 1);
    commit(store, &Arc::new(change)).await;
    let key = Row::Inbox(applied.clone()).key();
    lose(store, &delete(&fixture, key.clone(), 1)).await;
    assert_eq!(store.get(&key).await.expect("get").expect("the entry").row, Row::Inbox(applied));
}
