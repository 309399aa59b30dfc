//! What admins do to other people's accounts, and the trail that it leaves.

use crate::test_app::{Backend, PASSWORD, TestApp, on_both_stores};
use ordermill_core::account::Role;
use reqwest::Method;
use serde_json::json;

on_both_stores! {
    accounts_are_listed_and_found_by_address;
    a_role_changes_at_once_and_leaves_an_entry;
    the_last_admin_stays_one;
    of_two_admins_who_demote_each_other_one_stays;
    a_set_password_ends_every_session;
    a_copy_makes_no_second_account;
    a_copy_of_a_replay_is_answered_like_the_first;
}

const USERS: &str = "/api/admin/users";

/// The acts of the audit trail, latest first, with who, to what and why.
async fn trail(app: &TestApp, admin: &str) -> Vec<[String; 4]> {
    let page = app.get("/api/admin/audit?limit=100", admin).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let text = |entry: &serde_json::Value, name: &str| entry[name].as_str().expect("a text").to_owned();
    let entries = page.body["data"].as_array().expect("a list").clone();
    entries.iter().map(|entry| ["action", "actor", "subject", "reason"].map(|name| text(entry, name))).collect()
}

async fn accounts_are_listed_and_found_by_address(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    app.customer("an@example.com").await;
    app.customer("chi@shop.example").await;
    let found = async |query: &str| {
        let page = app.get(&format!("{USERS}?{query}"), &admin).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let rows = page.body["data"].as_array().expect("a list").clone();
        rows.iter().map(|row| row["email"].as_str().expect("an address").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, ["chi@shop.example", "an@example.com", "admin@example.com"]);
    assert_eq!(found("q=AN%40Example.com").await, ["an@example.com"]);
    assert_eq!(found("q=Shop").await, ["chi@shop.example"]);
    assert_eq!(found("q=nobody").await, Vec::<String>::new());
    assert_eq!(found("q=").await.len(), 3);
    let first = app.get(&format!("{USERS}?limit=2"), &admin).await;
    assert_eq!(found(&format!("limit=2&cursor={}", first.text("/nextCursor"))).await, ["admin@example.com"]);
    let shown = app.get(&format!("{USERS}/{}", first.text("/data/0/id")), &admin).await;
    assert_eq!(shown.body, first.body["data"][0]);
    app.get(&format!("{USERS}/nobody"), &admin).await.assert_problem(404, "not_found");
    app.get(&format!("{USERS}?cursor=x"), &admin).await.assert_problem(422, "invalid_request");
}

async fn a_role_changes_at_once_and_leaves_an_entry(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let an = app.customer("an@example.com").await;
    let id = app.id_of(&an).await;
    app.get("/api/admin/orders", &an).await.assert_problem(403, "forbidden");
    let path = format!("{USERS}/{id}/role");
    let set = app.send(Method::PUT, &path, &admin, &json!({ "role": "staff", "reason": "helps out" })).await;
    assert_eq!((set.status, set.text("/role").as_str()), (200, "staff"), "{}", set.body);
    assert_eq!(app.get("/api/admin/orders", &an).await.status, 200, "whatever was remembered of the session");
    let again = app.send(Method::PUT, &path, &admin, &json!({ "role": "staff", "reason": "twice" })).await;
    assert_eq!(again.status, 200);
    let actor = format!("staff:{}", app.id_of(&admin).await);
    let entries = trail(&app, &admin).await;
    assert_eq!(
        entries,
        [["user.role_set".to_owned(), actor, id, "customer to staff: helps out".to_owned()]],
        "nothing changed the second time"
    );
    for body in [json!({ "role": "king", "reason": "x" }), json!({ "role": "staff" }), json!({ "role": "staff", "reason": " " })] {
        app.send(Method::PUT, &path, &admin, &body).await.assert_problem(422, "invalid_request");
    }
    let nobody = app.send(Method::PUT, &format!("{USERS}/nobody/role"), &admin, &json!({ "role": "staff", "reason": "x" })).await;
    nobody.assert_problem(404, "not_found");
    app.fsck().await;
}

async fn the_last_admin_stays_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let path = format!("{USERS}/{}/role", app.id_of(&admin).await);
    let body = json!({ "role": "customer", "reason": "tired" });
    app.send(Method::PUT, &path, &admin, &body).await.assert_problem(409, "last_admin");
    app.account("second@example.com", Role::Admin).await;
    assert_eq!(app.send(Method::PUT, &path, &admin, &body).await.status, 200);
    app.get(USERS, &admin).await.assert_problem(403, "forbidden");
}

async fn of_two_admins_who_demote_each_other_one_stays(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (a, b) = (app.account("a@example.com", Role::Admin).await, app.account("b@example.com", Role::Admin).await);
    let (of_a, of_b) = (format!("{USERS}/{}/role", app.id_of(&a).await), format!("{USERS}/{}/role", app.id_of(&b).await));
    let body = json!({ "role": "staff", "reason": "a quarrel" });
    let (one, two) = tokio::join!(app.send(Method::PUT, &of_b, &a, &body), app.send(Method::PUT, &of_a, &b, &body));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    // The loser hears that it would be the last one's role, or that the winner has taken its own already.
    assert!(statuses == [200, 409] || statuses == [200, 403], "{statuses:?} {} {}", one.body, two.body);
    let users = app.app.store.users(&ordermill_store::Page::first(10)).await.expect("the store answers").rows;
    assert_eq!(users.iter().filter(|user| user.role == Role::Admin).count(), 1);
}

async fn a_set_password_ends_every_session(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let an = app.customer("an@example.com").await;
    let id = app.id_of(&an).await;
    let path = format!("{USERS}/{id}/password");
    let body = json!({ "password": "a new password", "reason": "forgot it" });
    app.post(&path, &admin, &json!({ "password": "short", "reason": "x" })).await.assert_problem(422, "invalid_request");
    app.post(&path, &admin, &json!({ "password": "a new password" })).await.assert_problem(422, "invalid_request");
    let key = [("idempotency-key", "set-it-once")];
    let set = app.post_with(&path, &admin, &key, &body).await;
    assert_eq!((set.status, set.text("/id")), (200, id.clone()), "{}", set.body);
    app.get("/api/users/me", &an).await.assert_problem(401, "unauthenticated");
    let login = async |password: &str| app.post("/api/users/login", "", &json!({ "email": "an@example.com", "password": password })).await;
    login(PASSWORD).await.assert_problem(401, "invalid_credentials");
    let token = login("a new password").await.text("/token");
    assert_eq!(app.get("/api/users/me", &token).await.status, 200);
    let copy = app.post_with(&path, &admin, &key, &body).await;
    assert_eq!((copy.status, copy.header("idempotent-replayed"), &copy.body), (200, "true", &set.body));
    assert_eq!(app.get("/api/users/me", &token).await.status, 200, "the copy ended nobody's session");
    let entries = trail(&app, &admin).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((entries[0][0].as_str(), &entries[0][2], entries[0][3].as_str()), ("user.password_set", &id, "forgot it"));
    app.fsck().await;
}

async fn a_copy_makes_no_second_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let body = json!({ "email": "new@example.com", "password": PASSWORD, "role": "staff" });
    let key = [("idempotency-key", "make-somebody")];
    let (one, two) = tokio::join!(app.post_with(USERS, &admin, &key, &body), app.post_with(USERS, &admin, &key, &body));
    assert_eq!((one.status, two.status), (201, 201), "{} {}", one.body, two.body);
    assert_eq!(one.body, two.body);
    let later = app.post_with(USERS, &admin, &key, &body).await;
    assert_eq!((later.status, later.header("idempotent-replayed"), &later.body), (201, "true", &one.body));
    app.post(USERS, &admin, &body).await.assert_problem(409, "email_taken");
    let other = json!({ "email": "new@example.com", "password": PASSWORD, "role": "admin" });
    app.post_with(USERS, &admin, &key, &other).await.assert_problem(422, "idempotency_key_reused");
    assert_eq!(trail(&app, &admin).await.iter().filter(|entry| entry[0] == "user.created").count(), 1);
    app.fsck().await;
}

async fn a_copy_of_a_replay_is_answered_like_the_first(backend: Backend) {
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    let event = json!({
        "id": "evt_early", "object": "event", "type": "payment_intent.succeeded",
        "data": { "object": { "id": "pi_1", "object": "payment_intent", "amount": 1, "amount_received": 1, "currency": "vnd",
            "metadata": { "orderCode": "DH999999" } } },
    });
    assert_eq!(app.webhook(&event).await.status, 200);
    let (path, key) = ("/api/admin/inbox/stripe/evt_early/replay", [("idempotency-key", "replay-once")]);
    let body = json!({ "reason": "look again" });
    let first = app.post_with(path, &admin, &key, &body).await;
    let copy = app.post_with(path, &admin, &key, &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""), "{}", first.body);
    assert_eq!((copy.status, copy.header("idempotent-replayed"), &copy.body), (200, "true", &first.body));
    assert_eq!(trail(&app, &admin).await.iter().filter(|entry| entry[0] == "inbox.replayed").count(), 1);
    app.fsck().await;
}
