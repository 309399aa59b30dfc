//! What customers hear of by mail, and what of it they may switch off.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, order_body, paid_event};
use ordermill::mail::CaughtMail;
use ordermill_core::api_key::Scope;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    everybody_chooses_for_themselves;
    an_order_is_answered_by_a_mail_that_says_how_to_pay;
    who_switched_it_off_still_hears_of_payments;
    nobody_is_asked_to_pay_what_was_called_off;
    only_who_ordered_themselves_is_told;
}

const PATH: &str = "/api/users/me/notifications";

async fn telling(backend: Backend) -> TestApp {
    TestApp::start_set(backend, |config| config.mail.order_received = true).await
}

async fn choose(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.send(Method::PUT, PATH, token, body).await
}

/// Whether somebody of this language was told of the order, and how.
fn mails(app: &TestApp, order: &Answer) -> Vec<CaughtMail> {
    let to = order.text("/customer/email");
    app.catcher.list().into_iter().filter(|mail| mail.to.contains(&to) && mail.subject.contains(&order.text("/code"))).collect()
}

async fn everybody_chooses_for_themselves(backend: Backend) {
    let app = telling(backend).await;
    let (an, binh) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    assert_eq!(app.get(PATH, &an).await.body, json!({ "orderReceived": true }), "wanted until somebody says otherwise");
    let off = choose(&app, &an, &json!({ "orderReceived": false })).await;
    assert_eq!((off.status, &off.body), (200, &json!({ "orderReceived": false })));
    assert_eq!(app.get(PATH, &an).await.body, off.body);
    assert_eq!(app.get(PATH, &binh).await.body, json!({ "orderReceived": true }));
    for wrong in [json!({}), json!({ "orderReceived": "no" }), json!({ "orderReceived": false, "paymentReceived": false })] {
        choose(&app, &an, &wrong).await.assert_problem(422, "invalid_request");
    }
    app.send(Method::PATCH, "/api/users/me", &an, &json!({ "name": "An" })).await;
    assert_eq!(app.get(PATH, &an).await.body, off.body, "another edit leaves it as it is");
    app.fsck().await;
}

async fn an_order_is_answered_by_a_mail_that_says_how_to_pay(backend: Backend) {
    let app = telling(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let an = app.customer("an@example.com").await;
    let key = [("idempotency-key", "one-order-only")];
    let body = order_body(&cup, 2, "bank_transfer");
    let transfer = app.post_with("/api/orders", &an, &key, &body).await;
    assert_eq!(app.post_with("/api/orders", &an, &key, &body).await.body, transfer.body);
    let (card, cash) = (app.order(&an, &cup, 1, "stripe").await, app.order(&an, &cup, 1, "cod").await);
    app.run_jobs_until("the mails", async || app.catcher.list().len() >= 3).await;
    let only = |order: &Answer| {
        let mut found = mails(&app, order);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let mail = only(&transfer);
    assert_eq!(mail.subject, format!("Đã nhận đơn hàng {}", transfer.text("/code")));
    let sepay = &app.app.config.sepay;
    for shown in
        ["50.000 ₫", sepay.account_number.as_deref().expect("an account"), "CONG TY VI DU", "970436", &transfer.text("/code"), "(UTC)"]
    {
        assert!(mail.text.contains(shown), "{shown} is missing in {}", mail.text);
        assert!(mail.html.contains(shown), "{shown} is missing in {}", mail.html);
    }
    assert!(mail.text.contains(&format!("Nội dung chuyển khoản: {}\n", transfer.text("/code"))), "{}", mail.text);
    let (card_mail, cash_mail) = (only(&card), only(&cash));
    assert!(card_mail.text.contains("ngay khi nhận được thanh toán") && !card_mail.text.contains("chuyển khoản"), "{}", card_mail.text);
    assert!(cash_mail.text.contains("tiền mặt khi nhận hàng") && !cash_mail.text.contains("chuyển khoản"), "{}", cash_mail.text);
    app.webhook(&paid_event("evt_paid", &transfer)).await;
    app.run_jobs_until("the confirmation", async || mails(&app, &transfer).len() == 2).await;
    let ids: std::collections::BTreeSet<String> = app.catcher.list().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(ids.len(), 4, "each mail has an id of its own");
    app.fsck().await;
}

async fn who_switched_it_off_still_hears_of_payments(backend: Backend) {
    let app = telling(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let an = app.customer("an@example.com").await;
    choose(&app, &an, &json!({ "orderReceived": false })).await;
    let order = app.order(&an, &cup, 1, "bank_transfer").await;
    assert_eq!((app.run_jobs().await, app.catcher.list().len()), (0, 0), "there is no job for it either");
    app.webhook(&paid_event("evt_paid", &order)).await;
    app.run_jobs_until("the confirmation", async || !app.catcher.list().is_empty()).await;
    assert_eq!(mails(&app, &order)[0].subject, format!("Đã nhận thanh toán - Đơn hàng {}", order.text("/code")));
    app.fsck().await;
    // What an installation switches off, nobody gets.
    let silent = TestApp::start_set(backend, |config| config.mail.order_received = false).await;
    let cup = silent.product("CUP", 25_000, 9).await;
    silent.order(&silent.customer("an@example.com").await, &cup, 1, "bank_transfer").await;
    assert_eq!((silent.run_jobs().await, silent.catcher.list().len()), (0, 0));
    silent.fsck().await;
}

async fn nobody_is_asked_to_pay_what_was_called_off(backend: Backend) {
    let app = telling(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let an = app.customer("an@example.com").await;
    let order = app.order(&an, &cup, 1, "bank_transfer").await;
    assert_eq!(app.post(&format!("/api/orders/{}/cancel", order.text("/id")), &an, &json!({})).await.status, 200);
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(app.catcher.list().len(), 0);
    app.fsck().await;
}

async fn only_who_ordered_themselves_is_told(backend: Backend) {
    let app = telling(backend).await;
    let course = app.product("COURSE", 90_000, 0).await;
    let an = app.customer("an@example.com").await;
    let body = json!({ "customerId": app.id_of(&an).await, "productId": course, "quantity": 1 });
    let order = app.post("/api/platform/orders", &app.api_key(&[Scope::OrdersCreate]).await, &body).await;
    assert_eq!(order.status, 201, "{}", order.body);
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 0, "the platform tells its people itself");
    app.fsck().await;
}
