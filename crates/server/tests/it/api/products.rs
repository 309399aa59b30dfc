//! What is for sale.

use crate::test_app::{Backend, TestApp, on_both_stores};

on_both_stores! {
    everybody_sees_what_is_for_sale;
    the_list_is_cut_into_pages;
}

async fn everybody_sees_what_is_for_sale(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(app.get("/api/products", "").await.body["data"], serde_json::json!([]), "nothing yet");
    let cup = app.product("CUP", 120_000, 5).await;
    app.product("COURSE", 199_000, 0).await;
    let one = app.get(&format!("/api/products/{cup}"), "").await;
    assert_eq!((one.status, one.text("/sku").as_str(), &one.body["available"]), (200, "CUP", &serde_json::json!(5)));
    assert_eq!((&one.body["unitAmount"], one.text("/currency").as_str()), (&serde_json::json!(120_000), "VND"));
    let found = app.get("/api/products?q=cour", "").await;
    assert_eq!((found.body["data"].as_array().map(Vec::len), &found.body["data"][0]["available"]), (Some(1), &serde_json::Value::Null));
    app.get("/api/products/01890a5d-ac96-774b-bcce-b302099a8057", "").await.assert_problem(404, "not_found");
    app.get("/api/products/no-id", "").await.assert_problem(404, "not_found");
}

async fn the_list_is_cut_into_pages(backend: Backend) {
    let app = TestApp::start(backend).await;
    for number in 0..5 {
        app.product(&format!("SKU-{number}"), 1_000, 1).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/products?limit=2".to_owned();
    loop {
        let page = app.get(&path, "").await;
        seen.extend(page.body["data"].as_array().expect("a list").iter().map(|row| row["sku"].as_str().expect("a sku").to_owned()));
        let cursor = page.text("/nextCursor");
        if cursor.is_empty() {
            break;
        }
        path = format!("/api/products?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["SKU-0", "SKU-1", "SKU-2", "SKU-3", "SKU-4"]);
    app.get("/api/products?limit=0", "").await.assert_problem(422, "invalid_request");
    app.get("/api/products?limit=101", "").await.assert_problem(422, "invalid_request");
    app.get("/api/products?colour=red", "").await.assert_problem(422, "invalid_request");
}
