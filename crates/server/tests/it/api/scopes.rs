//! What the scopes of an API key open: reading orders, keeping the catalogue, reading received events; and nothing besides.

use crate::test_app::{Backend, TestApp, on_both_stores, order_body, paid_event};
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    a_program_reads_every_order_and_changes_none;
    a_program_keeps_the_catalogue;
    a_program_reads_what_was_received;
}

async fn a_program_reads_every_order_and_changes_none(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let (an, binh) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let (first, second) = (app.order(&an, &cup, 1, "cod").await, app.order(&binh, &cup, 2, "bank_transfer").await);
    let key = app.api_key(&[Scope::OrdersRead]).await;
    let codes = |list: &Value| list["data"].as_array().expect("a list").iter().map(|order| order["code"].clone()).collect::<Vec<_>>();
    let listed = app.get("/api/orders", &key).await;
    assert_eq!((listed.status, codes(&listed.body)), (200, vec![second.body["code"].clone(), first.body["code"].clone()]));
    let found = app.get("/api/orders?status=processing", &key).await;
    assert_eq!(codes(&found.body), [first.body["code"].clone()]);
    let page = app.get("/api/orders?limit=1", &key).await;
    let next = app.get(&format!("/api/orders?limit=1&cursor={}", page.text("/nextCursor")), &key).await;
    assert_eq!(codes(&next.body), [first.body["code"].clone()]);
    for name in [first.text("/id"), first.text("/code")] {
        let path = format!("/api/orders/{name}");
        let shown = app.get(&path, &key).await;
        assert_eq!((shown.status, &shown.body, shown.header("etag")), (200, &first.body, first.header("etag")));
        assert_eq!(app.get(&format!("{path}/events"), &key).await.text("/data/0/type"), "order.created");
    }
    app.get("/api/orders/DH999999", &key).await.assert_problem(404, "not_found");
    app.post("/api/orders", &key, &order_body(&cup, 1, "cod")).await.assert_problem(401, "unauthenticated");
    let cancel = format!("/api/orders/{}/cancel", second.text("/id"));
    app.post(&cancel, &key, &json!({})).await.assert_problem(401, "unauthenticated");
    let other = app.api_key(&[Scope::OrdersCreate, Scope::CatalogueWrite, Scope::WebhooksRead]).await;
    app.get("/api/orders", &other).await.assert_problem(403, "forbidden");
    app.get(&format!("/api/orders/{}", first.text("/code")), &other).await.assert_problem(403, "forbidden");
    // Whoever signs in still sees their own only.
    assert_eq!(codes(&app.get("/api/orders", &an).await.body), [first.body["code"].clone()]);
}

async fn a_program_keeps_the_catalogue(backend: Backend) {
    let app = TestApp::start(backend).await;
    let key = app.api_key(&[Scope::CatalogueWrite]).await;
    let new = json!({ "sku": "CUP-01", "title": "Cốc", "kind": "physical", "unitAmount": 25_000, "stock": 3 });
    let once = [("idempotency-key", "a-new-cup")];
    let made = app.post_with("/api/products", &key, &once, &new).await;
    assert_eq!((made.status, &made.body["available"]), (201, &json!(3)), "{}", made.body);
    let copy = app.post_with("/api/products", &key, &once, &new).await;
    assert_eq!((copy.status, copy.header("idempotent-replayed"), &copy.body), (201, "true", &made.body));
    let path = format!("/api/products/{}", made.text("/id"));
    let edit = json!({ "title": "Cốc lớn", "unitAmount": 30_000, "active": true });
    let changed = app.send(Method::PUT, &path, &key, &edit).await;
    assert_eq!((changed.status, &changed.body["unitAmount"]), (200, &json!(30_000)), "{}", changed.body);
    let moved = app.post(&format!("{path}/stock"), &key, &json!({ "delta": 4, "reason": "counted" })).await;
    assert_eq!((moved.status, &moved.body["available"]), (200, &json!(7)), "{}", moved.body);
    // The trail says which key it was.
    let id = {
        let keys = app.app.store.api_keys(&ordermill_store::Page::first(10)).await.expect("the store answers").rows;
        keys.iter().find(|found| found.scopes.contains(&Scope::CatalogueWrite)).expect("it was made").id
    };
    let audit = app.app.store.audit(&ordermill_store::Page::first(10)).await.expect("the store answers").rows;
    let acts = audit.iter().filter(|entry| entry.actor.as_str() == format!("api_key:{id}")).count();
    assert_eq!(acts, 3, "{audit:#?}");
    let other = app.api_key(&[Scope::OrdersRead]).await;
    app.post("/api/products", &other, &new).await.assert_problem(403, "forbidden");
    app.get("/api/admin/audit", &key).await.assert_problem(401, "unauthenticated");
    app.fsck().await;
}

async fn a_program_reads_what_was_received(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let an = app.customer("an@example.com").await;
    let order = app.order(&an, &cup, 1, "stripe").await;
    assert_eq!(app.webhook(&paid_event("evt_1", &order)).await.status, 200);
    let key = app.api_key(&[Scope::WebhooksRead]).await;
    let listed = app.get("/api/admin/inbox?state=applied", &key).await;
    assert_eq!((listed.status, listed.text("/data/0/eventId")), (200, "evt_1".to_owned()), "{}", listed.body);
    let shown = app.get("/api/admin/inbox/stripe/evt_1", &key).await;
    assert_eq!((shown.status, &shown.body), (200, &listed.body["data"][0]));
    assert_eq!(shown.body.get("body"), None, "it holds personal data");
    for strange in ["evt_2", "evt_1%00", "%F0%9F%92%A9", "evt_1%27--"] {
        app.get(&format!("/api/admin/inbox/stripe/{strange}"), &key).await.assert_problem(404, "not_found");
    }
    app.get("/api/admin/inbox/shells/evt_1", &key).await.assert_problem(404, "not_found");
    let replay = "/api/admin/inbox/stripe/evt_1/replay";
    app.post(replay, &key, &json!({ "reason": "again" })).await.assert_problem(401, "unauthenticated");
    let staff = app.account("staff@example.com", Role::Staff).await;
    assert_eq!(app.get("/api/admin/inbox/stripe/evt_1", &staff).await.body, shown.body);
}
