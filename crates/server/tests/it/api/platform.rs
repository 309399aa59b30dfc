//! Orders that another service places for its people (flow D).

use crate::test_app::{Backend, TestApp, on_both_stores, paid_event};
use ordermill::simulator::stripe::Mode;
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use serde_json::{Value, json};

on_both_stores! {
    a_platform_orders_for_its_student;
    who_is_unknown_or_of_another_role_is_not_found;
    a_copy_is_answered_like_the_first;
    parcels_and_nonsense_are_refused;
    a_paid_order_takes_no_second_payment;
    an_intent_that_stripe_could_not_make_is_made_later;
}

const ORDERS: &str = "/api/platform/orders";

/// A shop with a course, a student, and a platform's key.
struct Stage {
    app: TestApp,
    key: String,
    student_token: String,
    student: String,
    course: String,
}

impl Stage {
    async fn new(backend: Backend) -> Self {
        let app = TestApp::start(backend).await;
        let key = app.api_key(&[Scope::OrdersCreate]).await;
        let student_token = app.account("student@example.com", Role::Student).await;
        let student = app.id_of(&student_token).await;
        let course = app.product("RUST", 250_000, 0).await;
        Self { app, key, student_token, student, course }
    }

    fn body(&self) -> Value {
        json!({ "studentId": self.student, "productId": self.course, "quantity": 3 })
    }
}

async fn a_platform_orders_for_its_student(backend: Backend) {
    let stage = Stage::new(backend).await;
    let app = &stage.app;
    let placed = app.post(ORDERS, &stage.key, &stage.body()).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let members: Vec<_> = placed.body.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["amount", "clientSecret", "currency", "orderCode", "orderId", "paymentIntentId"]);
    assert_eq!((placed.body["amount"].as_i64(), placed.text("/currency").as_str()), (Some(750_000), "VND"));
    assert!(placed.text("/paymentIntentId").starts_with("pi_") && !placed.text("/clientSecret").is_empty(), "{}", placed.body);
    let seen = app.get(&format!("/api/orders/{}", placed.text("/orderId")), &stage.student_token).await;
    assert_eq!((seen.text("/code"), seen.text("/customer/id")), (placed.text("/orderCode"), stage.student.clone()), "it is the student's");
    assert_eq!(seen.text("/payment/paymentIntentId"), placed.text("/paymentIntentId"));
    let events = app.get(&format!("/api/orders/{}/events", placed.text("/orderId")), &stage.student_token).await;
    assert!(events.text("/data/0/actor").starts_with("api_key:"), "{}", events.body);
    let again = app.post(&format!("{ORDERS}/{}/payment", placed.text("/orderId")), &stage.key, &json!({})).await;
    assert_eq!((again.status, &again.body), (200, &placed.body));
    app.fsck().await;
}

async fn who_is_unknown_or_of_another_role_is_not_found(backend: Backend) {
    let stage = Stage::new(backend).await;
    let app = &stage.app;
    let customer = app.id_of(&app.customer("an@example.com").await).await;
    let staff = app.id_of(&app.account("staff@example.com", Role::Staff).await).await;
    for (member, id) in [
        ("studentId", "nobody"),
        ("studentId", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("studentId", customer.as_str()),
        ("customerId", stage.student.as_str()),
        ("studentId", staff.as_str()),
        ("customerId", staff.as_str()),
    ] {
        let body = json!({ member: id, "productId": stage.course, "quantity": 1 });
        app.post(ORDERS, &stage.key, &body).await.assert_problem(400, "student_not_found");
    }
    let body = json!({ "customerId": customer, "productId": stage.course, "quantity": 1 });
    assert_eq!(app.post(ORDERS, &stage.key, &body).await.status, 201);
    let own = app.order(&app.account("boss@example.com", Role::Admin).await, &stage.course, 1, "stripe").await;
    let of_staff = app.post(&format!("{ORDERS}/{}/payment", own.text("/id")), &stage.key, &json!({})).await;
    of_staff.assert_problem(404, "not_found");
    app.post(&format!("{ORDERS}/DH999999/payment"), &stage.key, &json!({})).await.assert_problem(404, "not_found");
}

async fn a_copy_is_answered_like_the_first(backend: Backend) {
    let stage = Stage::new(backend).await;
    let (app, key) = (&stage.app, [("idempotency-key", "platform-order-1")]);
    let body = stage.body();
    let (one, two) = tokio::join!(app.post_with(ORDERS, &stage.key, &key, &body), app.post_with(ORDERS, &stage.key, &key, &body));
    assert_eq!((one.status, two.status), (201, 201), "{} {}", one.body, two.body);
    assert_eq!(one.text("/orderId"), two.text("/orderId"));
    let mut marks = [one.header("idempotent-replayed"), two.header("idempotent-replayed")];
    marks.sort_unstable();
    assert_eq!(marks, ["", "true"]);
    let other = json!({ "studentId": stage.student, "productId": stage.course, "quantity": 4 });
    app.post_with(ORDERS, &stage.key, &key, &other).await.assert_problem(422, "idempotency_key_reused");
    let second_key = app.api_key(&[Scope::OrdersCreate]).await;
    let elsewhere = app.post_with(ORDERS, &second_key, &key, &body).await;
    assert_ne!(elsewhere.text("/orderId"), one.text("/orderId"), "another key's requests are its own");
    let path = format!("{ORDERS}/{}/payment", one.text("/orderId"));
    let first = app.post_with(&path, &stage.key, &key, &json!({})).await;
    let copy = app.post_with(&path, &stage.key, &key, &json!({})).await;
    assert_eq!((first.status, copy.status, copy.header("idempotent-replayed")), (200, 200, "true"));
    assert_eq!(first.body, copy.body);
    app.fsck().await;
}

async fn parcels_and_nonsense_are_refused(backend: Backend) {
    let stage = Stage::new(backend).await;
    let app = &stage.app;
    let cup = app.product("CUP", 25_000, 9).await;
    let student = &stage.student;
    let parcel = app.post(ORDERS, &stage.key, &json!({ "studentId": student, "productId": cup, "quantity": 1 })).await;
    parcel.assert_problem(422, "invalid_request");
    assert_eq!(parcel.text("/errors/0/path"), "productId", "{}", parcel.body);
    let unknown = json!({ "studentId": student, "productId": "01890a5d-ac96-774b-bcce-b302099a8057", "quantity": 1 });
    app.post(ORDERS, &stage.key, &unknown).await.assert_problem(422, "unknown_product");
    for body in [
        json!({ "productId": stage.course, "quantity": 1 }),
        json!({ "studentId": student, "customerId": student, "productId": stage.course, "quantity": 1 }),
        json!({ "studentId": student, "productId": stage.course, "quantity": 0 }),
        json!({ "studentId": student, "productId": stage.course, "quantity": 10_001 }),
        json!({ "studentId": student, "productId": stage.course, "quantity": 1, "amount": 1 }),
    ] {
        app.post(ORDERS, &stage.key, &body).await.assert_problem(422, "invalid_request");
    }
    app.fsck().await;
}

async fn a_paid_order_takes_no_second_payment(backend: Backend) {
    let stage = Stage::new(backend).await;
    let app = &stage.app;
    let placed = app.post(ORDERS, &stage.key, &stage.body()).await;
    let seen = app.get(&format!("/api/orders/{}", placed.text("/orderId")), &stage.student_token).await;
    let path = format!("{ORDERS}/{}/payment", placed.text("/orderCode"));
    let key = [("idempotency-key", "asked-before-it-was-paid")];
    let before = app.post_with(&path, &stage.key, &key, &json!({})).await;
    assert_eq!(app.webhook(&paid_event("evt_1", &seen)).await.status, 200);
    app.post(&path, &stage.key, &json!({})).await.assert_problem(400, "payment_already_succeeded");
    let copy = app.post_with(&path, &stage.key, &key, &json!({})).await;
    assert_eq!((copy.status, copy.header("idempotent-replayed"), &copy.body), (200, "true", &before.body));
    let by_transfer = app.order(&stage.student_token, &stage.course, 1, "bank_transfer").await;
    let path = format!("{ORDERS}/{}/payment", by_transfer.text("/id"));
    app.post(&path, &stage.key, &json!({})).await.assert_problem(422, "invalid_request");
    app.fsck().await;
}

async fn an_intent_that_stripe_could_not_make_is_made_later(backend: Backend) {
    let stage = Stage::new(backend).await;
    let app = &stage.app;
    app.stripe.set_mode(Mode::Unreachable);
    let placed = app.post(ORDERS, &stage.key, &stage.body()).await;
    assert_eq!((placed.status, placed.body["clientSecret"].clone()), (201, Value::Null), "the order stands: {}", placed.body);
    app.stripe.set_mode(Mode::Ok);
    let path = format!("{ORDERS}/{}/payment", placed.text("/orderId"));
    let payment = app.post(&path, &stage.key, &json!({})).await;
    assert_eq!(payment.status, 200, "{}", payment.body);
    assert!(payment.text("/paymentIntentId").starts_with("pi_"), "{}", payment.body);
    assert_eq!(payment.text("/orderId"), placed.text("/orderId"));
    app.fsck().await;
}
