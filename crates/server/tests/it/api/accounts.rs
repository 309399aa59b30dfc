//! Registering, signing in, one's own account.

use crate::test_app::{Backend, PASSWORD, TestApp, on_both_stores};
use serde_json::{Value, json};

on_both_stores! {
    an_account_registers_signs_in_and_edits_itself;
    an_address_has_one_account_whatever_its_spelling;
    who_signs_in_wrongly_does_not_learn_why;
    bad_registrations_change_nothing;
    a_token_of_nobody_opens_nothing;
    passwords_and_tokens_are_not_stored;
}

async fn an_account_registers_signs_in_and_edits_itself(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({ "email": "An@Example.com", "password": PASSWORD, "name": "Nguyễn Văn An", "phone": "090 123 4567" });
    let made = app.post("/api/users/register", "", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.text("/user/email"), "an@example.com");
    assert_eq!(made.text("/user/phone"), "+84901234567");
    assert_eq!((made.text("/user/role").as_str(), made.text("/user/locale").as_str()), ("customer", "vi"));
    let login = app.post("/api/users/login", "", &json!({ "email": "an@example.com", "password": PASSWORD })).await;
    assert_eq!(login.status, 200);
    assert_ne!(login.text("/token"), made.text("/token"));
    let token = login.text("/token");
    let edit = json!({ "name": null, "locale": "en", "userFcmToken": "device-1" });
    let request = app.http.patch(app.at("/api/users/me")).bearer_auth(&token).header("content-type", "application/json");
    let edited = crate::test_app::Answer::of(request.body(edit.to_string()).send().await.expect("an answer")).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    let me = app.get("/api/users/me", &token).await;
    assert_eq!((me.body["name"].clone(), me.text("/locale")), (Value::Null, "en".to_owned()));
    assert_eq!(me.text("/phone"), "+84901234567", "what is not named stays");
}

async fn an_address_has_one_account_whatever_its_spelling(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let again = app.post("/api/users/register", "", &json!({ "email": " AN@example.COM", "password": PASSWORD })).await;
    again.assert_problem(409, "email_taken");
    let body = json!({ "email": "both@example.com", "password": PASSWORD });
    let (a, b) = tokio::join!(app.post("/api/users/register", "", &body), app.post("/api/users/register", "", &body));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "two at once: one account");
}

async fn who_signs_in_wrongly_does_not_learn_why(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let login =
        async |email: &str, password: &str| app.post("/api/users/login", "", &json!({ "email": email, "password": password })).await;
    let wrong = login("an@example.com", "not the password").await;
    let unknown = login("nobody@example.com", PASSWORD).await;
    let nonsense = login("no address", PASSWORD).await;
    for answer in [&wrong, &unknown, &nonsense] {
        answer.assert_problem(401, "invalid_credentials");
        assert_eq!(answer.text("/detail"), wrong.text("/detail"));
    }
}

async fn bad_registrations_change_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cases = [
        (json!({ "email": "no address", "password": PASSWORD }), "email"),
        (json!({ "email": "a@example.com", "password": "short" }), "password"),
        (json!({ "email": "a@example.com", "password": PASSWORD, "phone": "113" }), "phone"),
        (json!({ "email": "a@example.com", "password": PASSWORD, "name": "a\nb" }), "name"),
        (json!({ "email": "a@example.com", "password": PASSWORD, "locale": "fr" }), "locale"),
    ];
    for (body, path) in cases {
        let answer = app.post("/api/users/register", "", &body).await;
        answer.assert_problem(422, "invalid_request");
        assert_eq!(answer.text("/errors/0/path"), path, "{}", answer.body);
    }
    let unknown = app.post("/api/users/register", "", &json!({ "email": "a@example.com", "password": PASSWORD, "role": "admin" })).await;
    unknown.assert_problem(422, "invalid_request");
    let login = app.post("/api/users/login", "", &json!({ "email": "a@example.com", "password": PASSWORD })).await;
    login.assert_problem(401, "invalid_credentials");
}

async fn a_token_of_nobody_opens_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    for path in ["/api/users/me", "/api/orders", "/api/orders/DH000001", "/api/orders/DH000001/events", "/api/admin/orders"] {
        app.get(path, "not-a-token").await.assert_problem(401, "unauthenticated");
        app.get(path, "").await.assert_problem(401, "unauthenticated");
    }
}

async fn passwords_and_tokens_are_not_stored(backend: Backend) {
    let app = TestApp::start(backend).await;
    let token = app.customer("an@example.com").await;
    for table in ordermill_store::Table::ALL {
        let page = app.app.store.scan(table, None, 100).await.expect("the store answers");
        let text = serde_json::to_string(&page.rows).expect("records are JSON");
        assert!(!text.contains(&token) && !text.contains(PASSWORD), "{table:?}");
    }
}
