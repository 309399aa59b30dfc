//! Accounts of `dev`, and the password that everybody knows: what they open, for whom, and that production takes neither.

use crate::test_app::{Answer, Backend, PASSWORD, TestApp, on_both_stores};
use ordermill::app::accounts::{self, DEV_PASSWORD, Registration};
use ordermill::config::Mode;
use ordermill_core::account::Role;
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::contact::Email;
use ordermill_core::locale::Locale;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;

on_both_stores! {
    the_known_password_opens_dev_to_this_machine_alone;
    an_account_of_dev_opens_nothing_in_production;
    production_takes_the_known_password_from_nobody;
}

async fn dev_account(app: &TestApp, email: &str, password: &str) -> String {
    let registration = Registration {
        email: Email::parse(email).expect("an address"),
        password: password.to_owned(),
        role: Role::Admin,
        name: None,
        phone: None,
        locale: Locale::En,
        is_dev: true,
    };
    accounts::register(&app.app, registration).await.expect("an account").token
}

async fn log_in(app: &TestApp, email: &str, password: &str, headers: &[(&str, &str)]) -> Answer {
    app.post_with("/api/users/login", "", headers, &json!({ "email": email, "password": password })).await
}

async fn production(backend: Backend) -> TestApp {
    TestApp::start_set(backend, |config| config.mode = Mode::Serve).await
}

async fn the_known_password_opens_dev_to_this_machine_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    dev_account(&app, "admin@example.com", DEV_PASSWORD).await;
    app.customer("an@example.com").await;
    let elsewhere: [&[(&str, &str)]; 5] = [
        &[("host", "shop.example")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("forwarded", "for=127.0.0.1")],
        &[("x-forwarded-proto", "https")],
        &[("via", "1.1 tunnel")],
    ];
    for headers in elsewhere {
        log_in(&app, "admin@example.com", DEV_PASSWORD, headers).await.assert_problem(401, "invalid_credentials");
        assert_eq!(log_in(&app, "an@example.com", PASSWORD, headers).await.status, 200, "{headers:?}: anybody else may");
    }
    assert_eq!(log_in(&app, "admin@example.com", DEV_PASSWORD, &[]).await.status, 200);
}

async fn an_account_of_dev_opens_nothing_in_production(backend: Backend) {
    let app = production(backend).await;
    // As if it had been copied there, with a session that still runs.
    let token = dev_account(&app, "admin@example.com", PASSWORD).await;
    app.get("/api/users/me", &token).await.assert_problem(401, "unauthenticated");
    app.get("/api/admin/users", &token).await.assert_problem(401, "unauthenticated");
    log_in(&app, "admin@example.com", PASSWORD, &[]).await.assert_problem(401, "invalid_credentials");
    // It is nobody's last admin either.
    let admin = app.account("boss@example.com", Role::Admin).await;
    let path = format!("/api/admin/users/{}/role", app.id_of(&admin).await);
    let demoted = app.send(Method::PUT, &path, &admin, &json!({ "role": "staff", "reason": "tired" })).await;
    demoted.assert_problem(409, "last_admin");
}

async fn production_takes_the_known_password_from_nobody(backend: Backend) {
    let app = production(backend).await;
    let register = json!({ "email": "an@example.com", "password": DEV_PASSWORD });
    app.post("/api/users/register", "", &register).await.assert_problem(422, "invalid_request");
    let admin = app.account("boss@example.com", Role::Admin).await;
    let create = json!({ "email": "an@example.com", "password": DEV_PASSWORD, "role": "staff" });
    app.post("/api/admin/users", &admin, &create).await.assert_problem(422, "invalid_request");
    let path = format!("/api/admin/users/{}/password", app.id_of(&admin).await);
    app.post(&path, &admin, &json!({ "password": DEV_PASSWORD, "reason": "easy" })).await.assert_problem(422, "invalid_request");
    // An account that has it all the same, from before or from elsewhere, is not opened by it.
    let key = Key::UserEmail("boss@example.com".to_owned());
    let Some(Row::User(user)) = app.app.store.get(&key).await.expect("the store answers").map(|stored| stored.row) else {
        panic!("no account")
    };
    let hash = app.app.passwords.hash(DEV_PASSWORD.to_owned()).await.expect("a hash");
    let mut change = Change::new(app.app.change_id());
    change.replace(Row::User(user.with_password(hash)), user.version);
    app.app.store.commit(&Arc::new(change)).await.expect("it is written");
    log_in(&app, "boss@example.com", DEV_PASSWORD, &[]).await.assert_problem(401, "invalid_credentials");
}
