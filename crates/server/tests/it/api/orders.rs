//! Placing and reading orders.

use crate::test_app::{Backend, TestApp, on_both_stores, order_body};
use ordermill::config::Config;
use serde_json::{Value, json};

on_both_stores! {
    an_order_stands_with_everything_the_contract_names;
    prices_are_ours_and_the_total_is_only_a_guard;
    bad_orders_change_nothing;
    the_last_unit_is_sold_once;
    lines_of_one_product_are_summed_before_the_stock_check;
    a_repeated_request_places_one_order;
    a_key_of_another_request_is_refused;
    fifty_copies_at_once_place_one_order;
    a_refusal_leaves_its_key_free;
    another_customers_order_is_not_there;
    lists_are_newest_first_and_paged;
    cash_on_delivery_starts_at_once;
    a_transfer_names_the_account_and_the_text;
    a_method_that_is_not_set_up_is_refused;
}

async fn an_order_stands_with_everything_the_contract_names(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &cup, 2, "stripe").await;
    assert_eq!(order.status, 201, "{}", order.body);
    let shape: Vec<&str> = order.body.as_object().expect("an object").keys().map(String::as_str).collect();
    let contract = [
        "code",
        "createdAt",
        "creditAmount",
        "currency",
        "customer",
        "discountAmount",
        "expiresAt",
        "id",
        "lines",
        "note",
        "number",
        "paidAmount",
        "payment",
        "paymentStatus",
        "refundedAmount",
        "shipments",
        "shippingAddress",
        "shippingAmount",
        "status",
        "subtotalAmount",
        "tasks",
        "totalAmount",
        "updatedAt",
        "version",
    ];
    assert_eq!(shape, contract);
    assert_eq!((order.text("/status").as_str(), order.text("/paymentStatus").as_str()), ("pending", "pending"));
    assert_eq!(order.body["totalAmount"], 50_000);
    assert_eq!(order.text("/code"), format!("DH{:06}", order.body["number"].as_i64().expect("a number")));
    assert_eq!(order.text("/payment/provider"), "stripe");
    assert_eq!(order.text("/payment/status"), "requires_payment_method");
    assert!(order.text("/payment/paymentIntentId").starts_with("pi_") && !order.text("/payment/clientSecret").is_empty());
    assert_eq!(order.header("etag"), format!("\"{}\"", order.body["version"]));
    let read = app.get(&format!("/api/orders/{}", order.text("/code")), &token).await;
    assert_eq!((read.status, &read.body), (200, &order.body));
    assert_eq!(app.events(&order).await, ["order.created", "payment.created"]);
    app.fsck().await;
}

async fn prices_are_ours_and_the_total_is_only_a_guard(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let token = app.customer("an@example.com").await;
    let mut body = order_body(&cup, 2, "bank_transfer");
    body["totalAmount"] = json!(1);
    let refused = app.post("/api/orders/create", &token, &body).await;
    refused.assert_problem(409, "total_mismatch");
    assert_eq!((&refused.body["expectedTotalAmount"], &refused.body["totalAmount"]), (&json!(1), &json!(50_000)));
    body["totalAmount"] = json!(50_000);
    assert_eq!(app.post("/api/orders/create", &token, &body).await.status, 201);
}

async fn bad_orders_change_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let token = app.customer("an@example.com").await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let without_address = json!({ "products": [{ "productId": cup, "quantity": 1 }], "paymentMethod": "cod" });
    let many: Vec<Value> = (0..41).map(|_| json!({ "productId": cup, "quantity": 1 })).collect();
    let mut extra = order_body(&cup, 1, "cod");
    extra["unitAmount"] = json!(1);
    let cases = [
        (order_body(&cup, 0, "cod"), 422, "invalid_request"),
        (order_body(&cup, -3, "cod"), 422, "invalid_request"),
        (order_body(&cup, 10_001, "cod"), 422, "invalid_request"),
        (order_body(unknown, 1, "cod"), 422, "unknown_product"),
        (order_body("no id", 1, "cod"), 422, "unknown_product"),
        (order_body(&cup, 1, "shells"), 422, "invalid_request"),
        (json!({ "products": [], "paymentMethod": "cod" }), 422, "invalid_request"),
        (json!({ "products": many, "paymentMethod": "cod" }), 422, "too_many_lines"),
        (without_address, 422, "invalid_request"),
        (extra, 422, "invalid_request"),
        (order_body(&cup, 6, "cod"), 409, "out_of_stock"),
    ];
    for (body, status, code) in cases {
        app.post("/api/orders/create", &token, &body).await.assert_problem(status, code);
    }
    assert_eq!(app.get("/api/orders", &token).await.body["data"], json!([]));
    let stock = app.app.store.stock(&["CUP".to_owned()]).await.expect("stock");
    assert_eq!((stock[0].available, stock[0].reserved), (5, 0));
    app.fsck().await;
}

async fn the_last_unit_is_sold_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let bag = app.product("BAG", 450_000, 1).await;
    let mut tokens = Vec::new();
    for number in 0..8 {
        tokens.push(app.customer(&format!("buyer{number}@example.com")).await);
    }
    let orders = futures_util::future::join_all(tokens.iter().map(|token| app.order(token, &bag, 1, "bank_transfer"))).await;
    let won = orders.iter().filter(|order| order.status == 201).count();
    assert_eq!(won, 1);
    for lost in orders.iter().filter(|order| order.status != 201) {
        lost.assert_problem(409, "out_of_stock");
        assert_eq!((&lost.body["lines"][0]["available"], &lost.body["lines"][0]["requested"]), (&json!(0), &json!(1)));
    }
    app.fsck().await;
}

async fn lines_of_one_product_are_summed_before_the_stock_check(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 5).await;
    let token = app.customer("an@example.com").await;
    let mut body = order_body(&cup, 3, "cod");
    body["products"] = json!([{ "productId": cup, "quantity": 3 }, { "productId": cup, "quantity": 3 }]);
    let refused = app.post("/api/orders/create", &token, &body).await;
    refused.assert_problem(409, "out_of_stock");
    assert_eq!(refused.body["lines"][0]["requested"], 6);
}

async fn a_repeated_request_places_one_order(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1).await;
    let token = app.customer("an@example.com").await;
    let headers = [("idempotency-key", "order-of-an-1")];
    let body = order_body(&cup, 1, "bank_transfer");
    let first = app.post_with("/api/orders/create", &token, &headers, &body).await;
    // The stock is gone now, which must not matter to the copy.
    let second = app.post_with("/api/orders/create", &token, &headers, &body).await;
    let quoted = app.post_with("/api/orders/create", &token, &[("idempotency-key", "\"order-of-an-1\"")], &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    for copy in [second, quoted] {
        assert_eq!((copy.status, copy.header("idempotent-replayed")), (201, "true"), "{}", copy.body);
        assert_eq!(copy.body, first.body);
    }
    app.fsck().await;
}

async fn a_key_of_another_request_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let (an, chi) = (app.customer("an@example.com").await, app.customer("chi@example.com").await);
    let headers = [("idempotency-key", "order-of-an-1")];
    let first = app.post_with("/api/orders/create", &an, &headers, &order_body(&cup, 1, "cod")).await;
    assert_eq!(first.status, 201);
    let other = app.post_with("/api/orders/create", &an, &headers, &order_body(&cup, 2, "cod")).await;
    other.assert_problem(422, "idempotency_key_reused");
    let of_chi = app.post_with("/api/orders/create", &chi, &headers, &order_body(&cup, 1, "cod")).await;
    assert_eq!((of_chi.status, of_chi.header("idempotent-replayed")), (201, ""), "keys belong to their customer");
    for key in ["short", "with space in it", &"x".repeat(256)] {
        let answer = app.post_with("/api/orders/create", &an, &[("idempotency-key", key)], &order_body(&cup, 1, "cod")).await;
        answer.assert_problem(400, "idempotency_key_invalid");
    }
}

async fn fifty_copies_at_once_place_one_order(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    let (headers, body) = ([("idempotency-key", "order-of-an-1")], order_body(&cup, 1, "bank_transfer"));
    let copies = (0..50).map(|_| app.post_with("/api/orders/create", &token, &headers, &body));
    let answers = futures_util::future::join_all(copies).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text("/id") == answers[0].text("/id")));
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty()).count(), 1);
    let stock = app.app.store.stock(&["CUP".to_owned()]).await.expect("stock");
    assert_eq!(stock[0].reserved, 1);
    app.fsck().await;
}

async fn a_refusal_leaves_its_key_free(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1).await;
    let token = app.customer("an@example.com").await;
    let headers = [("idempotency-key", "order-of-an-1")];
    let refused = app.post_with("/api/orders/create", &token, &headers, &order_body(&cup, 2, "cod")).await;
    refused.assert_problem(409, "out_of_stock");
    let placed = app.post_with("/api/orders/create", &token, &headers, &order_body(&cup, 1, "cod")).await;
    assert_eq!(placed.status, 201);
}

async fn another_customers_order_is_not_there(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let (an, chi) = (app.customer("an@example.com").await, app.customer("chi@example.com").await);
    let staff = app.account("staff@example.com", ordermill_core::account::Role::Staff).await;
    let order = app.order(&an, &cup, 1, "cod").await;
    for name in [order.text("/id"), order.text("/code")] {
        app.get(&format!("/api/orders/{name}"), &chi).await.assert_problem(404, "not_found");
        app.get(&format!("/api/orders/{name}/events"), &chi).await.assert_problem(404, "not_found");
        assert_eq!(app.get(&format!("/api/orders/{name}"), &staff).await.status, 200);
    }
    assert_eq!(app.get("/api/orders", &chi).await.body["data"], json!([]));
    assert_eq!(app.get("/api/orders", &staff).await.body["data"].as_array().map(Vec::len), Some(1));
    app.get("/api/orders/DH000000", &an).await.assert_problem(404, "not_found");
    app.get("/api/orders/%00", &an).await.assert_problem(404, "not_found");
}

async fn lists_are_newest_first_and_paged(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(app.order(&token, &cup, 1, "cod").await.text("/code"));
    }
    placed.reverse();
    let first = app.get("/api/orders?limit=3", &token).await;
    let second = app.get(&format!("/api/orders?limit=3&cursor={}", first.text("/nextCursor")), &token).await;
    let codes = |page: &crate::test_app::Answer| -> Vec<String> {
        page.body["data"].as_array().expect("a list").iter().map(|order| order["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!([codes(&first), codes(&second)].concat(), placed);
    assert_eq!(second.body["nextCursor"], Value::Null);
    app.get("/api/orders?cursor=garbage", &token).await.assert_problem(422, "invalid_request");
}

async fn cash_on_delivery_starts_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &cup, 1, "cod").await;
    assert_eq!((order.text("/status").as_str(), &order.body["expiresAt"]), ("processing", &Value::Null));
    assert_eq!(app.events(&order).await, ["order.created", "order.processing"]);
    app.fsck().await;
}

async fn a_transfer_names_the_account_and_the_text(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &cup, 1, "bank_transfer").await;
    assert_eq!((order.text("/payment/provider").as_str(), order.text("/payment/transferContent")), ("sepay", order.text("/code")));
    assert_eq!(order.body["payment"]["amount"], 25_000);
    assert_eq!((order.text("/payment/bankBin").as_str(), order.text("/payment/accountNumber").as_str()), ("970436", "0011001234567"));
}

/// Nobody can transfer to no account, or to half of one.
async fn a_method_that_is_not_set_up_is_refused(backend: Backend) {
    for (method, missing) in [("bank_transfer", "bank"), ("bank_transfer", "account"), ("stripe", "key")] {
        let unset = |config: &mut Config| match missing {
            "bank" => config.sepay.bank_bin = None,
            "account" => config.sepay.account_number = None,
            _ => config.stripe.secret_key = None,
        };
        let app = TestApp::start_set(backend, unset).await;
        let cup = app.product("CUP", 25_000, 9).await;
        let token = app.customer("an@example.com").await;
        app.order(&token, &cup, 1, method).await.assert_problem(422, "payment_method_unavailable");
        assert_eq!(app.get("/api/orders", &token).await.body["data"], json!([]), "{method}");
        assert_eq!(app.order(&token, &cup, 1, "cod").await.status, 201, "the other methods go on");
    }
}
