//! What every answer and every request has in common: problems, limits, headers, probes.

use crate::test_app::{Answer, Backend, PASSWORD, TestApp, on_both_stores};
use serde_json::json;

on_both_stores! {
    requests_that_cannot_be_read_are_refused_clearly;
    a_refusal_reaches_a_client_that_is_still_sending;
    every_answer_has_an_id_and_the_safe_headers;
    probes_answer;
    mail_is_shown_only_to_this_machine;
}

async fn requests_that_cannot_be_read_are_refused_clearly(backend: Backend) {
    let app = TestApp::start(backend).await;
    let send = async |content_type: &str, body: Vec<u8>| {
        let request = app.http.post(app.at("/api/users/login")).header("content-type", content_type).body(body);
        Answer::of(request.send().await.expect("an answer")).await
    };
    let good = json!({ "email": "a@example.com", "password": PASSWORD }).to_string().into_bytes();
    send("text/plain", good.clone()).await.assert_problem(415, "unsupported_media_type");
    send("application/json", b"{".to_vec()).await.assert_problem(400, "malformed_body");
    send("application/json", b"{} {}".to_vec()).await.assert_problem(422, "invalid_request");
    send("application/json", vec![0xff, 0xfe]).await.assert_problem(400, "malformed_body");
    send("application/json", b"\xef\xbb\xbf{}".to_vec()).await.assert_problem(400, "malformed_body");
    send("application/json", br#"{"email":"a","email":"b","password":"c"}"#.to_vec()).await.assert_problem(422, "invalid_request");
    send("application/json", br#"{"email":"a\u0000b@example.com","password":"c"}"#.to_vec()).await.assert_problem(422, "invalid_request");
    send("application/json", vec![b' '; 300 * 1024]).await.assert_problem(413, "body_too_large");
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500)).into_bytes();
    send("application/json", deep).await.assert_problem(422, "invalid_request");
    let encoded = app.http.post(app.at("/api/users/login")).header("content-type", "application/json").header("content-encoding", "gzip");
    let encoded = Answer::of(encoded.body(good).send().await.expect("an answer")).await;
    encoded.assert_problem(415, "unsupported_media_type");
    app.get("/api/nothing", "").await.assert_problem(404, "not_found");
    let wrong_method = Answer::of(app.http.delete(app.at("/api/users/login")).send().await.expect("an answer")).await;
    wrong_method.assert_problem(405, "method_not_allowed");
    assert!(wrong_method.header("allow").contains("POST"));
}

async fn a_refusal_reaches_a_client_that_is_still_sending(backend: Backend) {
    let app = TestApp::start(backend).await;
    // More than any socket buffer takes, so the client is still writing when it is refused: with a reset, the answer may be lost.
    for _ in 0..20 {
        let request = app.http.post(app.at("/api/users/login")).header("content-type", "application/json").body(vec![b' '; 900 * 1024]);
        Answer::of(request.send().await.expect("an answer")).await.assert_problem(413, "body_too_large");
        let request = app.http.post(app.at("/api/users/login")).header("content-type", "text/plain").body(vec![b' '; 250 * 1024]);
        Answer::of(request.send().await.expect("an answer")).await.assert_problem(415, "unsupported_media_type");
    }
}

async fn every_answer_has_an_id_and_the_safe_headers(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut ids = std::collections::HashSet::new();
    for path in ["/api/products", "/livez", "/api/nothing", "/api/orders"] {
        let answer = app.get(path, "").await;
        assert!(ids.insert(answer.header("x-request-id").to_owned()), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    }
}

async fn probes_answer(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(app.get("/livez", "").await.status, 200);
    let ready = app.get("/readyz", "").await;
    assert_eq!((ready.status, &ready.body["ready"]), (200, &json!(true)), "{}", ready.body);
    app.app.store.close().await;
    let closed = app.get("/readyz", "").await;
    assert_eq!((closed.status, &closed.body["ready"]), (503, &json!(false)));
    app.get("/api/products", "").await.assert_problem(503, "unavailable");
}

async fn mail_is_shown_only_to_this_machine(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(app.get("/dev/mail", "").await.body["data"], json!([]));
    let from_outside = app.http.get(app.at("/dev/mail")).header("host", "shop.example");
    Answer::of(from_outside.send().await.expect("an answer")).await.assert_problem(404, "not_found");
    let through_a_proxy = app.http.get(app.at("/dev/mail")).header("x-forwarded-for", "203.0.113.7");
    Answer::of(through_a_proxy.send().await.expect("an answer")).await.assert_problem(404, "not_found");
}
