//! What staff does to the catalogue, and the lists that staff looks through.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores};
use ordermill_core::account::Role;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    staff_adds_and_changes_products;
    bad_products_change_nothing;
    stock_moves_once_with_a_reason;
    orders_are_found_by_what_people_remember;
}

async fn staff_adds_and_changes_products(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (customer, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    let new =
        json!({ "sku": "CUP-01", "title": "Cốc", "kind": "physical", "unitAmount": 25_000, "stock": 3, "url": "https://shop.example/cup" });
    app.post("/api/products", &customer, &new).await.assert_problem(403, "forbidden");
    let key = [("idempotency-key", "a-new-cup")];
    let made = app.post_with("/api/products", &staff, &key, &new).await;
    assert_eq!((made.status, &made.body["available"], &made.body["active"]), (201, &json!(3), &json!(true)), "{}", made.body);
    let copy = app.post_with("/api/products", &staff, &key, &new).await;
    assert_eq!((copy.status, copy.header("idempotent-replayed"), &copy.body), (201, "true", &made.body));
    app.post("/api/products", &staff, &new).await.assert_problem(409, "sku_taken");
    let same_page = json!({ "sku": "CUP-02", "title": "Cốc", "kind": "physical", "unitAmount": 1, "url": "https://shop.example/cup" });
    app.post("/api/products", &staff, &same_page).await.assert_problem(409, "url_taken");
    let path = format!("/api/products/{}", made.text("/id"));
    let shown = app.get(&path, "").await;
    assert_eq!((shown.header("etag"), shown.body.get("active")), ("\"1\"", None), "customers are not told");
    let edit = json!({ "title": "Cốc lớn", "unitAmount": 30_000, "active": true });
    let request = app.http.put(app.at(&path)).bearer_auth(&staff).header("if-match", "\"1\"").json(&edit);
    let changed = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["unitAmount"]), (200, "\"2\"", &json!(30_000)), "{}", changed.body);
    let request = app.http.put(app.at(&path)).bearer_auth(&staff).header("if-match", "\"1\"").json(&edit);
    Answer::of(request.send().await.expect("an answer")).await.assert_problem(412, "version_mismatch");
    let off = json!({ "title": "Cốc lớn", "unitAmount": 30_000, "active": false });
    app.send(Method::PUT, &path, &staff, &off).await;
    app.get(&path, "").await.assert_problem(404, "not_found");
    assert_eq!(app.get("/api/products", "").await.body["data"], json!([]));
    app.order(&customer, &made.text("/id"), 1, "cod").await.assert_problem(422, "unknown_product");
    app.fsck().await;
}

async fn bad_products_change_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let with = |name: &str, value: Value| {
        let mut body = json!({ "sku": "A", "title": "A", "kind": "digital", "unitAmount": 1 });
        body[name] = value;
        body
    };
    let bad = [
        with("sku", json!("")),
        with("sku", json!("two\nlines")),
        with("sku", json!("x".repeat(101))),
        with("title", json!(" ")),
        with("kind", json!("liquid")),
        with("unitAmount", json!(-1)),
        with("unitAmount", json!(1_000_000_000_000_i64)),
        with("unitAmount", json!(1.5)),
        with("currency", json!("dong")),
        with("url", json!("javascript:alert(1)")),
        with("stock", json!(1)),
        with("stock", json!(-1)),
        with("colour", json!("red")),
    ];
    for body in bad {
        let refused = app.post("/api/products", &staff, &body).await;
        assert_eq!((refused.status, refused.text("/code").as_str()), (422, "invalid_request"), "{body}");
    }
    assert_eq!(app.get("/api/products", "").await.body["data"], json!([]));
    let nothing = "/api/products/01890a5d-ac96-774b-bcce-b302099a8057";
    let edit = json!({ "title": "A", "unitAmount": 1, "active": true });
    app.send(Method::PUT, nothing, &staff, &edit).await.assert_problem(404, "not_found");
    app.post(&format!("{nothing}/stock"), &staff, &json!({ "delta": 1, "reason": "found" })).await.assert_problem(404, "not_found");
}

async fn stock_moves_once_with_a_reason(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let (cup, link) = (app.product("CUP", 25_000, 5).await, app.product("LINK", 1_000, 0).await);
    let path = format!("/api/products/{cup}/stock");
    let key = [("idempotency-key", "a-box-came")];
    let more = json!({ "delta": 10, "reason": "a box came" });
    let answers = futures_util::future::join_all((0..10).map(|_| app.post_with(&path, &staff, &key, &more))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body["available"] == 15), "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty()).count(), 1);
    let short = app.post(&path, &staff, &json!({ "delta": -16, "reason": "broken" })).await;
    short.assert_problem(409, "stock_too_low");
    assert_eq!(short.body["available"], 15);
    for bad in [json!({ "delta": 0, "reason": "nothing" }), json!({ "delta": 1, "reason": " " }), json!({ "delta": 1 })] {
        app.post(&path, &staff, &bad).await.assert_problem(422, "invalid_request");
    }
    app.post(&format!("/api/products/{link}/stock"), &staff, &more).await.assert_problem(422, "invalid_request");
    assert_eq!(app.post(&path, &staff, &json!({ "delta": -15, "reason": "broken" })).await.body["available"], 0);
    app.fsck().await;
}

async fn orders_are_found_by_what_people_remember(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (cup, bag) = (app.product("CUP", 25_000, 5).await, app.product("BAG", 100_000, 5).await);
    let (an, binh) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let staff = app.account("staff@example.com", Role::Staff).await;
    let first = app.order(&an, &cup, 1, "cod").await;
    let second = app.order(&binh, &bag, 1, "bank_transfer").await;
    let found = async |token: &str, query: &str| {
        let answer = app.get(&format!("/api/orders?{query}"), token).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.body["data"].as_array().expect("a list").iter().map(|order| order["code"].clone()).collect::<Vec<_>>()
    };
    let (one, two) = (first.body["code"].clone(), second.body["code"].clone());
    for (query, expected) in [
        ("status=processing".to_owned(), vec![&one]),
        ("paymentStatus=pending".to_owned(), vec![&two, &one]),
        (format!("q={}", first.text("/code")), vec![&one]),
        (format!("q={}", second.body["number"]), vec![&two]),
        (format!("q={}", second.text("/id")), vec![&two]),
        ("q=an%40example.com".to_owned(), vec![&one]),
        ("q=product%20bag".to_owned(), vec![&two]),
        ("q=nothing".to_owned(), vec![]),
        (format!("q={}&status=pending", first.text("/code")), vec![]),
        ("from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z".to_owned(), vec![]),
        ("from=2020-01-01T00:00:00Z".to_owned(), vec![&two, &one]),
    ] {
        assert_eq!(found(&staff, &query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(found(&an, &format!("q={}", second.text("/code"))).await, Vec::<Value>::new(), "another customer's is not there");
    for bad in ["status=lost", "from=yesterday", "limit=0", "limit=101", "cursor=x", "colour=red"] {
        app.get(&format!("/api/orders?{bad}"), &staff).await.assert_problem(422, "invalid_request");
    }
}
