//! The cart: filled, read at the prices of now, ordered once, empty afterwards.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores};
use ordermill_core::account::Role;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    a_cart_is_filled_changed_and_emptied;
    ordering_the_cart_empties_it_in_the_same_commit;
    a_cart_is_ordered_once_however_often_it_is_asked_for;
    what_cannot_be_ordered_stays_in_the_cart;
}

impl TestApp {
    pub(super) async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let request = self.http.request(method, self.at(path)).bearer_auth(token).json(body);
        Answer::of(request.send().await.expect("an answer")).await
    }

    async fn put_item(&self, token: &str, product: &str, quantity: i64) -> Answer {
        self.send(Method::PUT, "/api/carts/items", token, &json!({ "productId": product, "quantity": quantity })).await
    }
}

/// An order of what is in the cart.
fn of_the_cart() -> Value {
    json!({
        "paymentMethod": "cod",
        "shippingAddress": { "name": "An", "phone": "0901234567", "line1": "1 Lê Lợi", "country": "VN" },
    })
}

async fn a_cart_is_filled_changed_and_emptied(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (cup, bag) = (app.product("CUP", 25_000, 5).await, app.product("BAG", 100_000, 1).await);
    let (token, other) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let empty = app.get("/api/carts", &token).await;
    assert_eq!(empty.body, json!({ "items": [], "subtotalAmount": null, "currency": null, "version": 0 }));
    app.put_item(&token, &cup, 2).await;
    let filled = app.put_item(&token, &bag, 1).await;
    assert_eq!((&filled.body["subtotalAmount"], &filled.body["currency"]), (&json!(150_000), &json!("VND")), "{}", filled.body);
    let cups = app.put_item(&token, &cup, 3).await;
    assert_eq!((&cups.body["items"][0]["quantity"], &cups.body["subtotalAmount"]), (&json!(3), &json!(175_000)));
    assert_eq!(cups.body["items"][0]["product"]["available"], 5, "a cart reserves nothing");
    for quantity in [0, -1, 10_001] {
        app.put_item(&token, &cup, quantity).await.assert_problem(422, "invalid_request");
    }
    app.put_item(&token, "01890a5d-ac96-774b-bcce-b302099a8057", 1).await.assert_problem(422, "unknown_product");
    app.put_item(&token, "cup", 1).await.assert_problem(422, "unknown_product");
    let gone = app.send(Method::DELETE, &format!("/api/carts/items/{cup}"), &token, &Value::Null).await;
    assert_eq!(gone.body["items"].as_array().map(Vec::len), Some(1));
    app.send(Method::DELETE, &format!("/api/carts/items/{cup}"), &token, &Value::Null).await.assert_problem(404, "not_found");
    let cleared = app.send(Method::DELETE, "/api/carts", &token, &Value::Null).await;
    assert_eq!(cleared.body["items"], json!([]));
    assert_eq!(app.get("/api/carts", &other).await.body["version"], 0, "everybody has a cart of their own");
}

async fn ordering_the_cart_empties_it_in_the_same_commit(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (cup, bag) = (app.product("CUP", 25_000, 5).await, app.product("BAG", 100_000, 1).await);
    let token = app.customer("an@example.com").await;
    app.post("/api/orders/create", &token, &of_the_cart()).await.assert_problem(422, "cart_empty");
    app.put_item(&token, &cup, 2).await;
    app.put_item(&token, &bag, 1).await;
    let order = app.post("/api/orders/create", &token, &of_the_cart()).await;
    assert_eq!((order.status, &order.body["totalAmount"]), (201, &json!(150_000)), "{}", order.body);
    assert_eq!(app.get("/api/carts", &token).await.body["items"], json!([]));
    app.post("/api/orders/create", &token, &of_the_cart()).await.assert_problem(422, "cart_empty");
    // Products that are named leave the cart alone.
    app.put_item(&token, &cup, 1).await;
    assert_eq!(app.order(&token, &cup, 1, "cod").await.status, 201);
    assert_eq!(app.get("/api/carts", &token).await.body["items"].as_array().map(Vec::len), Some(1));
    app.fsck().await;
}

async fn a_cart_is_ordered_once_however_often_it_is_asked_for(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 50).await;
    let token = app.customer("an@example.com").await;
    app.put_item(&token, &cup, 2).await;
    let asked = of_the_cart();
    let answers = futures_util::future::join_all((0..20).map(|_| app.post("/api/orders/create", &token, &asked))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.text("/code") == "cart_empty").count(), 19);
    // With a key, every copy gets the order.
    app.put_item(&token, &cup, 3).await;
    let key = [("idempotency-key", "order-my-cart")];
    let copies = futures_util::future::join_all((0..20).map(|_| app.post_with("/api/orders/create", &token, &key, &asked))).await;
    let codes: std::collections::HashSet<String> = copies.iter().map(|answer| answer.text("/code")).collect();
    assert!(copies.iter().all(|answer| answer.status == 201) && codes.len() == 1, "{codes:?}");
    assert_eq!(app.get("/api/orders", &token).await.body["data"].as_array().map(Vec::len), Some(2));
    app.fsck().await;
}

async fn what_cannot_be_ordered_stays_in_the_cart(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (cup, bag) = (app.product("CUP", 25_000, 5).await, app.product("BAG", 100_000, 1).await);
    let (token, staff) = (app.customer("an@example.com").await, app.account("staff@example.com", Role::Staff).await);
    app.put_item(&token, &cup, 2).await;
    app.put_item(&token, &bag, 2).await;
    let short = app.post("/api/orders/create", &token, &of_the_cart()).await;
    short.assert_problem(409, "out_of_stock");
    assert_eq!(short.body["lines"][0]["sku"], "BAG");
    let off = json!({ "title": "Bag", "unitAmount": 100_000, "active": false });
    assert_eq!(app.send(Method::PUT, &format!("/api/products/{bag}"), &staff, &off).await.status, 200);
    let cart = app.get("/api/carts", &token).await;
    assert_eq!((&cart.body["items"][1]["product"], &cart.body["subtotalAmount"]), (&Value::Null, &Value::Null), "{}", cart.body);
    let refused = app.post("/api/orders/create", &token, &of_the_cart()).await;
    refused.assert_problem(422, "unknown_product");
    assert_eq!(refused.body["productId"], json!(bag));
    assert_eq!(app.get("/api/carts", &token).await.body["items"].as_array().map(Vec::len), Some(2), "nothing was changed");
}
