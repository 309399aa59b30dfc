//! Moving orders: by the table, by whom it may, with the version seen, once per Idempotency-Key.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill_core::account::Role;
use serde_json::{Value, json};

on_both_stores! {
    staff_moves_an_order_by_the_table;
    customers_call_off_what_they_have_not_paid;
    money_is_never_cancelled_away;
    a_version_that_somebody_changed_is_refused;
    a_copy_of_a_cancellation_is_answered_like_the_first;
    two_members_of_staff_move_an_order_once;
}

impl TestApp {
    async fn set_status(&self, token: &str, order: &Answer, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request = self.http.put(self.at(&format!("/api/orders/{}/status", order.text("/id")))).bearer_auth(token).json(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.send().await.expect("an answer")).await
    }

    async fn available(&self, product: &str) -> i64 {
        self.get(&format!("/api/products/{product}"), "").await.body["available"].as_i64().expect("a count")
    }
}

async fn staff_moves_an_order_by_the_table(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let (customer, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    let order = app.order(&customer, &cup, 2, "cod").await;
    assert_eq!(order.text("/status"), "processing");
    let refused = app.set_status(&staff, &order, &[], &json!({ "status": "delivered" })).await;
    refused.assert_problem(409, "illegal_transition");
    assert_eq!(refused.body["allowed"], json!(["shipped", "completed", "cancelled"]));
    let shipped = json!({ "status": "shipped", "carrier": "ghn", "trackingNumber": "GHN1", "reason": "packed" });
    let shipped = app.set_status(&staff, &order, &[], &shipped).await;
    assert_eq!((shipped.status, shipped.text("/status").as_str()), (200, "shipped"), "{}", shipped.body);
    assert_eq!(app.available(&cup).await, 3);
    for status in ["delivered", "completed"] {
        let moved = app.set_status(&staff, &order, &[], &json!({ "status": status })).await;
        assert_eq!(moved.text("/status"), status, "{}", moved.body);
    }
    let ended = app.set_status(&staff, &order, &[], &json!({ "status": "cancelled" })).await;
    ended.assert_problem(409, "illegal_transition");
    assert_eq!(ended.body["allowed"], json!([]));
    app.set_status(&staff, &order, &[], &json!({ "status": "lost" })).await.assert_problem(422, "invalid_request");
    app.set_status(&staff, &order, &[], &json!({ "status": "shipped", "colour": "red" })).await.assert_problem(422, "invalid_request");
    let kinds = app.events(&order).await;
    assert_eq!(kinds, ["order.created", "order.processing", "order.shipped", "order.delivered", "order.completed"]);
    let timeline = app.get(&format!("/api/orders/{}/events?after=2", order.text("/id")), &customer).await;
    assert_eq!(timeline.body["data"][0]["data"], json!({ "note": "packed", "carrier": "ghn", "trackingNumber": "GHN1" }));
    assert!(timeline.text("/data/0/actor").starts_with("staff:"));
    app.fsck().await;
}

async fn customers_call_off_what_they_have_not_paid(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let (owner, other) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let order = app.order(&owner, &cup, 2, "bank_transfer").await;
    assert_eq!(app.available(&cup).await, 3);
    let path = format!("/api/orders/{}/cancel", order.text("/code"));
    app.post(&path, &other, &json!({})).await.assert_problem(404, "not_found");
    // The body may be left out.
    let cancelled = Answer::of(app.http.post(app.at(&path)).bearer_auth(&owner).send().await.expect("an answer")).await;
    assert_eq!((cancelled.status, cancelled.text("/status").as_str()), (200, "cancelled"), "{}", cancelled.body);
    assert_eq!((app.available(&cup).await, &cancelled.body["expiresAt"]), (5, &Value::Null));
    app.post(&path, &owner, &json!({})).await.assert_problem(409, "illegal_transition");
    let on_delivery = app.order(&owner, &cup, 1, "cod").await;
    let refused = app.post(&format!("/api/orders/{}/cancel", on_delivery.text("/id")), &owner, &json!({})).await;
    refused.assert_problem(409, "illegal_transition");
    assert_eq!(refused.body["allowed"], json!([]), "what is being worked on is staff's to call off");
    app.fsck().await;
}

async fn money_is_never_cancelled_away(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let (customer, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    let order = app.order(&customer, &cup, 1, "stripe").await;
    assert_eq!(app.webhook(&paid_event("evt_1", &order)).await.status, 200);
    let path = format!("/api/orders/{}/cancel", order.text("/id"));
    app.post(&path, &customer, &json!({})).await.assert_problem(409, "illegal_transition");
    app.post(&path, &staff, &json!({ "reason": "wrong size" })).await.assert_problem(409, "order_has_money");
    app.set_status(&staff, &order, &[], &json!({ "status": "cancelled" })).await.assert_problem(409, "order_has_money");
    assert_eq!(app.get(&format!("/api/orders/{}", order.text("/id")), &customer).await.text("/status"), "processing");
    app.fsck().await;
}

async fn a_version_that_somebody_changed_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let (customer, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    let order = app.order(&customer, &cup, 1, "cod").await;
    let seen = order.header("etag").to_owned();
    let moved = app.set_status(&staff, &order, &[("if-match", &seen)], &json!({ "status": "shipped" })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    assert_ne!(moved.header("etag"), seen);
    let late = app.set_status(&staff, &order, &[("if-match", &seen)], &json!({ "status": "delivered" })).await;
    late.assert_problem(412, "version_mismatch");
    assert_eq!(late.body["version"], moved.body["version"]);
    for foreign in ["W/\"1\"", "1", "\"abc\"", ""] {
        let refused = app.set_status(&staff, &order, &[("if-match", foreign)], &json!({ "status": "delivered" })).await;
        refused.assert_problem(412, "version_mismatch");
    }
    let whatever = app.set_status(&staff, &order, &[("if-match", "*")], &json!({ "status": "delivered" })).await;
    assert_eq!(whatever.text("/status"), "delivered");
}

async fn a_copy_of_a_cancellation_is_answered_like_the_first(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let customer = app.customer("an@example.com").await;
    let order = app.order(&customer, &cup, 1, "bank_transfer").await;
    let path = format!("/api/orders/{}/cancel", order.text("/id"));
    let key = [("idempotency-key", "cancel-it-once")];
    let first = app.post_with(&path, &customer, &key, &json!({ "reason": "changed my mind" })).await;
    let copy = app.post_with(&path, &customer, &key, &json!({ "reason": "changed my mind" })).await;
    assert_eq!((first.status, copy.status, first.body.clone()), (200, 200, copy.body.clone()));
    assert_eq!((first.header("idempotent-replayed"), copy.header("idempotent-replayed")), ("", "true"));
    let other = app.post_with(&path, &customer, &key, &json!({ "reason": "another" })).await;
    other.assert_problem(422, "idempotency_key_reused");
    let short = app.post_with(&path, &customer, &[("idempotency-key", "short")], &json!({})).await;
    short.assert_problem(400, "idempotency_key_invalid");
    assert_eq!(app.events(&order).await, ["order.created", "order.cancelled"]);
    assert_eq!(app.available(&cup).await, 5);
}

async fn two_members_of_staff_move_an_order_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let (customer, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    let order = app.order(&customer, &cup, 1, "cod").await;
    let ship = json!({ "status": "shipped" });
    let moves = futures_util::future::join_all((0..20).map(|_| app.set_status(&staff, &order, &[], &ship))).await;
    assert_eq!(moves.iter().filter(|answer| answer.status == 200).count(), 1);
    let refused: Vec<String> = moves.iter().filter(|answer| answer.status != 200).map(|answer| answer.text("/code")).collect();
    assert_eq!(refused, ["illegal_transition"; 19]);
    assert_eq!(app.events(&order).await, ["order.created", "order.processing", "order.shipped"]);
    assert_eq!(app.available(&cup).await, 4);
    app.fsck().await;
}
