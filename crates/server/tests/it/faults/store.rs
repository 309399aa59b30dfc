//! F33–F35: a store whose answers get lost. (Its own crash tests stand beside the stores.)

use crate::test_app::{Backend, TestApp, on_both_stores, order_body, paid_event};
use ordermill_store::faulty::{Fault, Odds, Verb};
use serde_json::json;

on_both_stores! {
    f33_an_order_whose_commit_answer_was_lost_is_placed_once_and_said_so;
    f33_a_webhook_whose_commit_answer_was_lost_is_applied_once;
    f35_a_store_that_often_fails_loses_nothing;
    f39_a_store_that_takes_no_writes_still_reads;
    the_hot_path_keeps_its_budget;
}

/// I1, I14: never a wrong 409.
async fn f33_an_order_whose_commit_answer_was_lost_is_placed_once_and_said_so(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 7).await;
    let product = app.product("CUP", 25_000, 1).await;
    let token = app.customer("an@example.com").await;
    app.get("/api/products", "").await;
    faulty.fail_next(Verb::Commit, Fault::AnswerLost);
    let headers = [("idempotency-key", "order-of-an-1")];
    let order = app.post_with("/api/orders/create", &token, &headers, &order_body(&product, 1, "bank_transfer")).await;
    assert_eq!((order.status, order.header("idempotent-replayed")), (201, ""), "{}", order.body);
    assert_eq!(faulty.injected_of(Verb::Commit, Fault::AnswerLost), 1);
    assert_eq!(app.get("/api/orders", &token).await.body["data"].as_array().map(Vec::len), Some(1));
    app.fsck().await;
}

async fn f33_a_webhook_whose_commit_answer_was_lost_is_applied_once(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 7).await;
    let product = app.product("CUP", 25_000, 5).await;
    let order = app.order(&app.customer("an@example.com").await, &product, 1, "bank_transfer").await;
    for fault in [Fault::AnswerLost, Fault::UnknownLost] {
        faulty.fail_next(Verb::Commit, fault);
        assert_eq!(app.webhook(&paid_event("evt_1", &order)).await.status, 200, "{fault:?}");
    }
    assert_eq!(app.events(&order).await, ["order.created", "payment.received", "order.paid", "order.processing"]);
    app.fsck().await;
}

/// I0: whatever was acknowledged is there; whatever was not is there once or not at all.
async fn f35_a_store_that_often_fails_loses_nothing(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 7).await;
    let product = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    faulty.set_odds(Odds { unavailable: 100, unknown_lost: 50, answer_lost: 50, ..Odds::default() });
    let mut acknowledged = Vec::new();
    for number in 0..60 {
        let key = format!("order-number-{number}");
        let body = order_body(&product, 1, "bank_transfer");
        for _ in 0..20 {
            let answer = app.post_with("/api/orders/create", &token, &[("idempotency-key", &key)], &body).await;
            assert!(matches!(answer.status, 201 | 503), "{} {}", answer.status, answer.body);
            if answer.status == 201 {
                acknowledged.push(answer.text("/id"));
                break;
            }
        }
    }
    faulty.heal();
    acknowledged.sort();
    acknowledged.dedup();
    assert_eq!(acknowledged.len(), 60, "each key has its own order");
    for id in &acknowledged {
        assert_eq!(app.get(&format!("/api/orders/{id}"), &token).await.status, 200);
    }
    let all = app.app.store.scan(ordermill_store::Table::Orders, None, 1_000).await.expect("the store answers");
    assert_eq!(all.rows.len(), 60, "and nothing else is there");
    app.fsck().await;
}

async fn f39_a_store_that_takes_no_writes_still_reads(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 7).await;
    let product = app.product("CUP", 25_000, 5).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &product, 1, "bank_transfer").await;
    faulty.script(Verb::Commit, std::iter::repeat_n(Some(Fault::Unavailable), 2));
    let refused = app.order(&token, &product, 1, "bank_transfer").await;
    refused.assert_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    app.webhook(&paid_event("evt_1", &order)).await.assert_problem(503, "unavailable");
    assert_eq!(app.get(&format!("/api/orders/{}", order.text("/code")), &token).await.status, 200);
    assert_eq!(app.order(&token, &product, 1, "bank_transfer").await.status, 201, "and it recovers alone");
}

/// architecture.md §2: at most one read (the session, when it is not remembered), one commit.
async fn the_hot_path_keeps_its_budget(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 7).await;
    let (cup, tee) = (app.product("CUP", 25_000, 1_000).await, app.product("TEE", 90_000, 1_000).await);
    let token = app.customer("an@example.com").await;
    let mut body = order_body(&cup, 1, "bank_transfer");
    body["products"] = json!([{ "productId": cup, "quantity": 1 }, { "productId": tee, "quantity": 2 }]);
    // The first order fetches the catalogue and a block of numbers.
    let first = app.post_with("/api/orders/create", &token, &[("idempotency-key", "the-first-one")], &body).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let before = faulty.calls();
    let second = app.post_with("/api/orders/create", &token, &[("idempotency-key", "the-second-one")], &body).await;
    assert_eq!(second.status, 201, "{}", second.body);
    let spent = faulty.calls().since(&before);
    assert!(spent.reads() <= 1, "{spent:?}");
    assert_eq!(spent.commits(), 1, "{spent:?}");
}
