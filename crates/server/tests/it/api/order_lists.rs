//! Customers' order lists come from a cache where that is safe, and are never older than the customer's last order.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill_core::account::Role;
use serde_json::{Value, json};

#[cfg(feature = "redis")]
mod shared;

on_both_stores! {
    a_list_shows_every_change_at_once;
    whoever_reads_while_others_order_never_misses_an_order;
    nobody_is_shown_anothers_list_and_staff_always_see_the_store;
    searches_come_from_the_store;
}

/// How often lists were at hand, and how often not.
pub(super) fn counted(app: &TestApp) -> (u64, u64) {
    let lists = &app.app.metrics.order_lists;
    (lists.hits.get(), lists.misses.get())
}

/// Whether a store alone allows to keep lists: others may write to Postgres.
fn is_kept(backend: Backend) -> bool {
    backend == Backend::Sqlite
}

/// The codes in a list.
pub(super) fn codes(list: &Answer) -> Vec<String> {
    assert_eq!((list.status, list.header("content-type")), (200, "application/json"), "{}", list.body);
    let data = list.body["data"].as_array().expect("a list");
    data.iter().map(|order| order["code"].as_str().expect("a code").to_owned()).collect()
}

async fn a_list_shows_every_change_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let token = app.customer("an@example.com").await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    assert_eq!(codes(&app.get("/api/orders", &token).await), [""; 0]);
    let order = app.order(&token, &cup, 1, "stripe").await;
    // Read twice each time: the second one may come from the cache, and must say the same.
    let shown = async |pointer: &str| {
        let (first, second) = (app.get("/api/orders", &token).await, app.get("/api/orders", &token).await);
        assert_eq!(first.body, second.body);
        first.body.pointer(&format!("/data/0{pointer}")).cloned().unwrap_or(Value::Null)
    };
    assert_eq!(shown("/code").await, order.body["code"]);
    assert_eq!(shown("/payment/clientSecret").await, order.body["payment"]["clientSecret"], "the intent is made after the order");
    assert_eq!(app.webhook(&paid_event("evt_1", &order)).await.status, 200);
    assert_eq!(shown("/paymentStatus").await, "paid");
    let path = format!("/api/orders/{}/status", order.text("/id"));
    let request = app.http.put(app.at(&path)).bearer_auth(&staff).json(&json!({ "status": "shipped" }));
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    assert_eq!(shown("/status").await, "shipped");
    let second = app.order(&token, &cup, 1, "bank_transfer").await;
    assert_eq!(shown("/code").await, second.body["code"]);
    let cancelled = app.post(&format!("/api/orders/{}/cancel", second.text("/id")), &token, &json!({})).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    assert_eq!(shown("/status").await, "cancelled");
    let (hits, misses) = counted(&app);
    assert_eq!((hits > 0, misses > 0), (is_kept(backend), is_kept(backend)), "{hits} hits, {misses} misses");
    app.fsck().await;
}

async fn whoever_reads_while_others_order_never_misses_an_order(backend: Backend) {
    const ORDERS: usize = 12;
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let ordering = async || {
        for _ in 0..ORDERS {
            let placed = app.order(&token, &cup, 1, "bank_transfer").await;
            let list = app.get("/api/orders?limit=100", &token).await;
            assert!(codes(&list).contains(&placed.text("/code")), "{} is not in the list", placed.text("/code"));
        }
    };
    let reading = async || {
        let mut seen = 0;
        while seen < 3 * ORDERS {
            let now = codes(&app.get("/api/orders?limit=100", &token).await).len();
            assert!(now >= seen, "a list of {now} after one of {seen}");
            seen = now;
        }
    };
    tokio::join!(ordering(), ordering(), ordering(), reading(), reading());
    assert_eq!(counted(&app).1 > 0, is_kept(backend));
}

async fn nobody_is_shown_anothers_list_and_staff_always_see_the_store(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let (an, binh) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let staff = app.account("staff@example.com", Role::Staff).await;
    let (of_an, of_binh) = (app.order(&an, &cup, 1, "cod").await, app.order(&binh, &cup, 1, "cod").await);
    for _ in 0..3 {
        assert_eq!(codes(&app.get("/api/orders", &an).await), [of_an.text("/code")]);
        assert_eq!(codes(&app.get("/api/orders", &binh).await), [of_binh.text("/code")]);
        assert_eq!(codes(&app.get("/api/orders", &staff).await), [of_binh.text("/code"), of_an.text("/code")]);
    }
    let before = counted(&app);
    for path in ["/api/orders", "/api/orders?status=processing", "/api/admin/orders"] {
        app.get(path, &staff).await;
    }
    assert_eq!(counted(&app), before, "staff's lists have nothing to do with the cache");
    // One customer's page is not another one, nor the same with another filter.
    app.order(&an, &cup, 1, "bank_transfer").await;
    for _ in 0..2 {
        assert_eq!(codes(&app.get("/api/orders", &an).await).len(), 2);
        assert_eq!(codes(&app.get("/api/orders?limit=1", &an).await).len(), 1);
        assert_eq!(codes(&app.get("/api/orders?status=processing", &an).await), [of_an.text("/code")]);
        assert_eq!(codes(&app.get("/api/orders?paymentStatus=paid", &an).await), [""; 0]);
    }
}

async fn searches_come_from_the_store(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &cup, 1, "cod").await;
    let before = counted(&app);
    for query in ["q=CUP", "q=an@example.com", "from=2020-01-01T00:00:00Z", &format!("q={}", order.text("/code"))] {
        assert_eq!(codes(&app.get(&format!("/api/orders?{query}"), &token).await), [order.text("/code")], "{query}");
    }
    assert_eq!(counted(&app), before);
    app.get("/api/orders?cursor=nonsense", &token).await.assert_problem(422, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_where_the_settings_say_so() {
    let app = TestApp::start_set(Backend::Sqlite, |config| config.cache.order_list_ms = 0).await;
    let token = app.customer("an@example.com").await;
    for _ in 0..3 {
        assert_eq!(codes(&app.get("/api/orders", &token).await), [""; 0]);
    }
    assert_eq!(counted(&app), (0, 0));
}
