//! What staff sees and does.

use crate::test_app::{Backend, TestApp, on_both_stores, paid_event, payment_event};
use ordermill::mail::{Behaviour, Scripted};
use ordermill_core::account::Role;
use serde_json::json;

on_both_stores! {
    operators_routes_are_closed_to_customers;
    staff_finds_orders_by_state_and_address;
    a_dead_letter_is_seen_and_redriven;
    a_waiting_event_is_seen_and_replayed;
    only_admins_make_accounts;
    fsck_streams_its_report;
}

async fn operators_routes_are_closed_to_customers(backend: Backend) {
    let app = TestApp::start(backend).await;
    let customer = app.customer("an@example.com").await;
    let student = app.account("student@example.com", Role::Student).await;
    for path in ["orders", "orders/DH000001", "orders/DH000001/events", "jobs", "queues", "dead-letters", "dead-letters/a:b:1", "inbox"] {
        for token in [&customer, &student] {
            app.get(&format!("/api/admin/{path}"), token).await.assert_problem(403, "forbidden");
        }
    }
    let body = json!({ "reason": "x" });
    for path in ["dead-letters/a:b:1/redrive", "inbox/stripe/evt_1/replay", "users", "fsck"] {
        app.post(&format!("/api/admin/{path}"), &customer, &body).await.assert_problem(403, "forbidden");
    }
}

async fn staff_finds_orders_by_state_and_address(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let (an, chi) = (app.customer("an@example.com").await, app.customer("chi@example.com").await);
    let staff = app.account("staff@example.com", Role::Staff).await;
    app.order(&an, &cup, 1, "cod").await;
    let pending = app.order(&chi, &cup, 1, "bank_transfer").await;
    let count = async |filter: &str| app.get(&format!("/api/admin/orders?{filter}"), &staff).await.body["data"].as_array().map(Vec::len);
    assert_eq!(count("").await, Some(2));
    assert_eq!(count("status=pending").await, Some(1));
    assert_eq!(count("status=processing").await, Some(1));
    assert_eq!(count("paymentStatus=pending").await, Some(2));
    assert_eq!(count("q=CHI@example.com").await, Some(1));
    assert_eq!(count("q=chi@example.com&status=processing").await, Some(0));
    app.get("/api/admin/orders?status=lost", &staff).await.assert_problem(422, "invalid_request");
    let shown = app.get(&format!("/api/admin/orders/{}", pending.text("/code")), &staff).await;
    assert_eq!(shown.body, pending.body);
}

async fn a_dead_letter_is_seen_and_redriven(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    app.catcher.script(Scripted::Others, Behaviour::Refuse(550));
    let order = app.order(&token, &cup, 1, "bank_transfer").await;
    app.webhook(&paid_event("evt_1", &order)).await;
    app.run_jobs_until("the death", async || !app.get("/api/admin/dead-letters", &staff).await.body["data"][0].is_null()).await;
    let dead = app.get("/api/admin/dead-letters", &staff).await;
    let key = dead.text("/data/0/key");
    let shown = app.get(&format!("/api/admin/dead-letters/{key}"), &staff).await;
    assert_eq!(shown.body["history"].as_array().map(Vec::len), Some(3), "{}", shown.body);
    app.fsck().await;
    app.catcher.script(Scripted::Others, Behaviour::Ok);
    let path = format!("/api/admin/dead-letters/{key}/redrive");
    app.post(&path, &staff, &json!({})).await.assert_problem(422, "invalid_request");
    app.post(&path, &staff, &json!({ "reason": " " })).await.assert_problem(422, "invalid_request");
    let redriven = app.post(&path, &staff, &json!({ "reason": "mail works again" })).await;
    assert_eq!(redriven.status, 200, "{}", redriven.body);
    app.post(&path, &staff, &json!({ "reason": "twice" })).await.assert_problem(404, "not_found");
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 1);
    app.fsck().await;
}

async fn a_waiting_event_is_seen_and_replayed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let event = json!({
        "id": "evt_early", "object": "event", "type": "payment_intent.succeeded",
        "data": { "object": { "id": "pi_1", "object": "payment_intent", "amount": 1, "amount_received": 1, "currency": "vnd",
            "metadata": { "orderCode": "DH999999" } } },
    });
    assert_eq!(app.webhook(&event).await.status, 200);
    let waiting = app.get("/api/admin/inbox?state=waiting", &staff).await;
    assert_eq!(waiting.text("/data/0/eventId"), "evt_early");
    let replayed = app.post("/api/admin/inbox/stripe/evt_early/replay", &staff, &json!({ "reason": "look again" })).await;
    assert_eq!((replayed.status, replayed.text("/state").as_str()), (200, "waiting"));
    let missing = app.post("/api/admin/inbox/stripe/evt_none/replay", &staff, &json!({ "reason": "look again" })).await;
    missing.assert_problem(404, "not_found");
    app.get("/api/admin/inbox?state=lost", &staff).await.assert_problem(422, "invalid_request");
    app.fsck().await;
}

async fn only_admins_make_accounts(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let body = json!({ "email": "new@example.com", "password": "long enough", "role": "staff" });
    app.post("/api/admin/users", &staff, &body).await.assert_problem(403, "forbidden");
    let made = app.post("/api/admin/users", &admin, &body).await;
    assert_eq!((made.status, made.text("/user/role").as_str()), (201, "staff"));
    app.post("/api/admin/users", &admin, &body).await.assert_problem(409, "email_taken");
    let wrong = json!({ "email": "other@example.com", "password": "long enough", "role": "king" });
    app.post("/api/admin/users", &admin, &wrong).await.assert_problem(422, "invalid_request");
}

async fn fsck_streams_its_report(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let order = app.order(&app.customer("an@example.com").await, &cup, 1, "bank_transfer").await;
    app.webhook(&payment_event("evt_1", "payment_intent.succeeded", &order, 25_000)).await;
    let response = app.http.post(app.at("/api/admin/fsck")).bearer_auth(&admin).send().await.expect("an answer");
    let text = response.text().await.expect("a body");
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["report"]["violations"], json!([]), "{last}");
}
