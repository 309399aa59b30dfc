//! API keys: told once, good for their scopes until they expire or are revoked, every act in the audit trail.

use crate::test_app::{Backend, TestApp, on_both_stores};
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    a_key_is_told_once_and_never_stored;
    a_copy_of_the_request_makes_no_second_key;
    keys_that_may_do_nothing_are_refused;
    a_revoked_key_opens_nothing_from_then_on;
    a_key_ends_at_its_time;
}

const KEYS: &str = "/api/admin/api-keys";

/// What a key is answered where it is let in: past the table of access, the empty body is wrong.
async fn is_let_in(app: &TestApp, key: &str) -> bool {
    match app.post("/api/platform/orders", key, &json!({})).await.status {
        422 => true,
        401 => false,
        other => panic!("neither let in nor refused: {other}"),
    }
}

async fn a_key_is_told_once_and_never_stored(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let body = json!({ "name": "school", "scopes": ["orders:create", "orders:read"], "expiresAt": "2999-01-01T00:00:00Z" });
    let made = app.post(KEYS, &admin, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = made.text("/key");
    assert!(key.starts_with("omk_live_") && key.len() == 9 + 43, "{key}");
    assert_eq!(made.text("/shown"), key[..16]);
    assert_eq!(made.body["scopes"], json!(["orders:create", "orders:read"]));
    assert_eq!((made.text("/name").as_str(), made.text("/expiresAt").as_str()), ("school", "2999-01-01T00:00:00.000Z"));
    assert!(is_let_in(&app, &key).await);
    let listed = app.get(KEYS, &admin).await;
    assert_eq!((listed.text("/data/0/id"), listed.body["data"][0].get("key")), (made.text("/id"), None));
    for table in ordermill_store::Table::ALL {
        let page = app.app.store.scan(table, None, 100).await.expect("the store answers");
        let text = serde_json::to_string(&page.rows).expect("records are JSON");
        assert!(!text.contains(&key[16..]), "{table:?}");
    }
    let audit = app.app.store.audit(&ordermill_store::Page::first(10)).await.expect("the store answers").rows;
    assert_eq!((audit[0].action.as_str(), audit[0].subject.clone()), ("api_key.created", made.text("/id")));
    assert_eq!(audit[0].actor.as_str(), format!("staff:{}", app.id_of(&admin).await));
    app.fsck().await;
}

async fn a_copy_of_the_request_makes_no_second_key(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let body = json!({ "name": "school", "scopes": ["orders:create"] });
    let key = [("idempotency-key", "make-a-key-1")];
    let (first, copy) = tokio::join!(app.post_with(KEYS, &admin, &key, &body), app.post_with(KEYS, &admin, &key, &body));
    let (first, copy) = if first.body["key"].is_null() { (copy, first) } else { (first, copy) };
    assert_eq!((first.status, copy.status), (201, 201), "{} {}", first.body, copy.body);
    assert_eq!((first.header("idempotent-replayed"), copy.header("idempotent-replayed")), ("", "true"));
    assert_eq!((copy.text("/id"), copy.body["key"].clone()), (first.text("/id"), Value::Null), "nobody knows the secret any more");
    assert_eq!(app.get(KEYS, &admin).await.body["data"].as_array().map(Vec::len), Some(1));
    let other = json!({ "name": "other", "scopes": ["orders:create"] });
    app.post_with(KEYS, &admin, &key, &other).await.assert_problem(422, "idempotency_key_reused");
    app.fsck().await;
}

async fn keys_that_may_do_nothing_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    for (body, path) in [
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["orders"] }), "scopes"),
        (json!({ "name": " ", "scopes": ["orders:read"] }), "name"),
        (json!({ "name": "x".repeat(101), "scopes": ["orders:read"] }), "name"),
        (json!({ "name": "x", "scopes": ["orders:read"], "expiresAt": "2020-01-01T00:00:00Z" }), "expiresAt"),
        (json!({ "name": "x", "scopes": ["orders:read"], "expiresAt": "soon" }), "expiresAt"),
    ] {
        let refused = app.post(KEYS, &admin, &body).await;
        refused.assert_problem(422, "invalid_request");
        assert_eq!(refused.text("/errors/0/path"), path, "{}", refused.body);
    }
    assert_eq!(app.get(KEYS, &admin).await.body["data"], json!([]));
}

async fn a_revoked_key_opens_nothing_from_then_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let (key, other) = (app.api_key(&[Scope::OrdersCreate]).await, app.api_key(&[Scope::OrdersCreate]).await);
    assert!(is_let_in(&app, &key).await && is_let_in(&app, &other).await, "both are remembered now");
    // By what is shown of it: keys of one millisecond are listed in any order.
    let listed = app.get(KEYS, &admin).await;
    let rows = listed.body["data"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["shown"].as_str().is_some_and(|shown| key.starts_with(shown)));
    let id = row.and_then(|row| row["id"].as_str()).expect("the key is listed").to_owned();
    let path = format!("{KEYS}/{id}");
    let revoked = app.send(Method::DELETE, &path, &admin, &json!({})).await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert!(!revoked.text("/revokedAt").is_empty());
    assert!(!is_let_in(&app, &key).await, "at once, whatever was remembered");
    assert!(is_let_in(&app, &other).await);
    let again = app.send(Method::DELETE, &path, &admin, &json!({})).await;
    assert_eq!((again.status, &again.body), (200, &revoked.body), "the first time stands");
    let audit = app.app.store.audit(&ordermill_store::Page::first(10)).await.expect("the store answers").rows;
    assert_eq!(audit.iter().filter(|entry| entry.action == "api_key.revoked" && entry.subject == id).count(), 1);
    let missing = app.send(Method::DELETE, &format!("{KEYS}/01890a5d-ac96-774b-bcce-b302099a8057"), &admin, &json!({})).await;
    missing.assert_problem(404, "not_found");
    app.fsck().await;
}

async fn a_key_ends_at_its_time(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let soon = jiff::Timestamp::from_millisecond(app.app.now().plus_ms(1_500).micros() / 1_000).expect("a time");
    let body = json!({ "name": "short", "scopes": ["orders:create"], "expiresAt": soon.to_string() });
    let key = app.post(KEYS, &admin, &body).await.text("/key");
    assert!(is_let_in(&app, &key).await);
    tokio::time::sleep(std::time::Duration::from_millis(1_700)).await;
    assert!(!is_let_in(&app, &key).await, "also while it is remembered");
}
