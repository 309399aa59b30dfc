//! Idempotency-Key on every POST of somebody known (F65): read from the table of access, so that a new route cannot go
//! without. What a copy must not do again once the world has moved on is a test of its own.

use super::queues::{dead, dead_mails};
use crate::test_app::{Answer, Backend, PASSWORD, TestApp, on_both_stores, order_body};
use ordermill::http::access::{Access, ROUTES};
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use ordermill_core::change::Row;
use ordermill_core::digest::Digest;
use ordermill_store::{Record, Table};
use serde_json::{Value, json};

on_both_stores! {
    every_post_refuses_a_key_that_is_none;
    a_copy_of_every_post_is_answered_like_the_first;
    a_copy_does_not_undo_what_came_after_it;
    a_copy_of_a_bulk_redrive_counts_what_the_first_did;
    a_copied_log_out_hears_that_it_worked;
    a_password_cannot_be_guessed_from_what_is_kept_of_its_request;
}

/// The routes that this is about.
fn posts() -> impl Iterator<Item = (&'static str, Access)> {
    ROUTES.iter().filter(|(method, _, access)| *method == "POST" && access.is_authenticated()).map(|(_, route, access)| (*route, *access))
}

/// One request to a route.
struct Case {
    path: String,
    token: String,
    body: Value,
    /// Whether it makes or changes anything, so that a copy must say that it is one.
    is_act: bool,
}

/// A shop in which every route has something to do.
struct Shop {
    app: TestApp,
    admin: String,
    customer: String,
    key: String,
    student: String,
    product: String,
    course: String,
}

impl Shop {
    async fn start(backend: Backend) -> Self {
        let app = TestApp::start(backend).await;
        dead_mails(&app, 3).await;
        let (admin, customer) = (app.account("admin@example.com", Role::Admin).await, app.customer("binh@example.com").await);
        let student = app.account("student@example.com", Role::Student).await;
        let student = app.id_of(&student).await;
        let key = app.api_key(&[Scope::OrdersCreate]).await;
        let (product, course) = (app.product("MUG", 30_000, 50).await, app.product("COURSE", 90_000, 0).await);
        Self { app, admin, customer, key, student, product, course }
    }

    fn token_for(&self, access: Access) -> String {
        match access {
            Access::Key(_) => self.key.clone(),
            _ => self.admin.clone(),
        }
    }

    /// A request that the route takes.
    async fn case(&self, route: &str, access: Access) -> Case {
        let reason = json!({ "reason": "a test" });
        let mut case = Case { path: route.to_owned(), token: self.token_for(access), body: reason, is_act: true };
        match route {
            "/api/admin/api-keys" => case.body = json!({ "name": "shop", "scopes": ["orders:create"] }),
            "/api/admin/dead-letters/redrive" => case.body = json!({ "queue": "email", "limit": 1, "reason": "a test" }),
            "/api/admin/dead-letters/{key}/discard" | "/api/admin/dead-letters/{key}/redrive" => {
                case.path = route.replace("{key}", &dead(&self.app).await[0]);
            }
            "/api/admin/fsck" => case.is_act = false,
            "/api/admin/inbox/{provider}/{event}/replay" => case.path = route.replace("{provider}/{event}", "stripe/evt_0"),
            "/api/admin/queues/{queue}/pause" | "/api/admin/queues/{queue}/resume" => case.path = route.replace("{queue}", "stripe"),
            "/api/admin/users" => case.body = json!({ "email": "new@example.com", "password": PASSWORD, "role": "staff" }),
            "/api/admin/users/{id}/password" => {
                case.path = route.replace("{id}", &self.student);
                case.body = json!({ "password": "another password", "reason": "forgot it" });
            }
            "/api/orders" | "/api/orders/create" => {
                case.token.clone_from(&self.customer);
                case.body = order_body(&self.product, 1, "bank_transfer");
            }
            "/api/orders/{order}/cancel" => {
                case.token.clone_from(&self.customer);
                let order = self.app.order(&self.customer, &self.product, 1, "bank_transfer").await;
                case.path = route.replace("{order}", &order.text("/id"));
            }
            "/api/platform/orders" => case.body = json!({ "studentId": self.student, "productId": self.course, "quantity": 1 }),
            "/api/platform/orders/{order}/payment" => {
                let body = json!({ "studentId": self.student, "productId": self.course, "quantity": 2 });
                let order = self.app.post("/api/platform/orders", &self.key, &body).await;
                (case.path, case.body) = (route.replace("{order}", &order.text("/orderId")), json!({}));
            }
            "/api/products" => case.body = json!({ "sku": "NEW", "title": "New", "kind": "digital", "unitAmount": 1 }),
            "/api/products/{id}/stock" => {
                case.path = route.replace("{id}", &self.product);
                case.body = json!({ "delta": 2, "reason": "found behind the shelf" });
            }
            "/api/users/logout" => {
                let login = json!({ "email": "binh@example.com", "password": PASSWORD });
                (case.token, case.body) = (self.app.post("/api/users/login", "", &login).await.text("/token"), json!({}));
            }
            other => panic!("{other}: say here what it takes, so that a copy of it is tried"),
        }
        case
    }

    async fn send(&self, case: &Case, key: &str) -> Answer {
        self.app.post_with(&case.path, &case.token, &[("idempotency-key", key)], &case.body).await
    }
}

async fn every_post_refuses_a_key_that_is_none(backend: Backend) {
    let shop = Shop::start(backend).await;
    let mut count = 0;
    for (route, access) in posts() {
        let path = route.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect::<Vec<_>>().join("/");
        let case = Case { path, token: shop.token_for(access), body: json!({}), is_act: false };
        for key in ["abc", "seven77", "with spaces in it"] {
            let answer = shop.send(&case, key).await;
            assert_eq!((answer.status, answer.text("/code").as_str()), (400, "idempotency_key_invalid"), "{route}: {}", answer.body);
        }
        count += 1;
    }
    assert!(count >= 18, "{count} routes");
}

async fn a_copy_of_every_post_is_answered_like_the_first(backend: Backend) {
    let shop = Shop::start(backend).await;
    for (number, (route, access)) in posts().enumerate() {
        let case = shop.case(route, access).await;
        let key = format!("copy-of-{number}");
        let first = shop.send(&case, &key).await;
        assert!((200..300).contains(&first.status) && first.header("idempotent-replayed").is_empty(), "{route}: {}", first.body);
        let copy = shop.send(&case, &key).await;
        let marked = if case.is_act { "true" } else { "" };
        assert_eq!((copy.status, copy.header("idempotent-replayed")), (first.status, marked), "{route}: {}", copy.body);
        match route {
            // A secret is told once.
            "/api/admin/api-keys" => assert_eq!((&copy.body["id"], &copy.body["key"]), (&first.body["id"], &Value::Null)),
            _ => assert_eq!(copy.body, first.body, "{route}"),
        }
        // Whoever is signed out hears nothing about a body.
        if case.is_act && access != Access::Token {
            let other = Case { body: json!({ "reason": "another" }), ..case };
            let answer = shop.send(&other, &key).await;
            assert!(answer.status == 422, "{route}: another body under the same key got {}", answer.body);
        }
    }
    shop.app.fsck().await;
}

async fn a_copy_does_not_undo_what_came_after_it(backend: Backend) {
    let shop = Shop::start(backend).await;
    let (app, admin) = (&shop.app, &shop.admin);
    let body = json!({ "reason": "the mail server is moving" });
    let post = async |path: &str, key: &str| app.post_with(path, admin, &[("idempotency-key", key)], &body).await;
    // A pause that found the queue paused is remembered like any other.
    for key in ["pause-one", "pause-two"] {
        assert_eq!(post("/api/admin/queues/email/pause", key).await.body["paused"], true);
    }
    assert_eq!(post("/api/admin/queues/email/resume", "resume-one").await.body["paused"], false);
    for key in ["pause-one", "pause-two"] {
        let late = post("/api/admin/queues/email/pause", key).await;
        assert_eq!((late.header("idempotent-replayed"), &late.body["paused"]), ("true", &json!(false)), "it stays as it is: {}", late.body);
    }
    // A letter whose work is done since is not asked for again.
    let letters = dead(app).await;
    let path = format!("/api/admin/dead-letters/{}/redrive", letters[0]);
    let first = post(&path, "redrive-one").await;
    assert_eq!(first.text("/redriven/key"), letters[0], "{}", first.body);
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 1);
    let late = post(&path, "redrive-one").await;
    assert_eq!((late.status, late.header("idempotent-replayed"), &late.body), (200, "true", &first.body));
    post(&path, "redrive-two").await.assert_problem(404, "not_found");
    assert_eq!((app.run_jobs().await, app.catcher.list().len()), (0, 1), "nothing was queued again");
    // Of two copies at once, both hear the same.
    let path = format!("/api/admin/dead-letters/{}/discard", letters[1]);
    let (one, two) = tokio::join!(post(&path, "discard-one"), post(&path, "discard-one"));
    assert_eq!((one.status, &one.body), (200, &two.body), "{}", two.body);
    app.fsck().await;
}

async fn a_copy_of_a_bulk_redrive_counts_what_the_first_did(backend: Backend) {
    let shop = Shop::start(backend).await;
    let (app, path) = (&shop.app, "/api/admin/dead-letters/redrive");
    let body = json!({ "queue": "email", "limit": 2, "reason": "mail works again" });
    let post = async |key: &str, body: &Value| app.post_with(path, &shop.admin, &[("idempotency-key", key)], body).await;
    let first = post("redrive-two", &body).await;
    assert_eq!((&first.body["redriven"], &first.body["gone"]), (&json!(2), &json!(0)), "{}", first.body);
    let copy = post("redrive-two", &body).await;
    assert_eq!((copy.header("idempotent-replayed"), &copy.body), ("true", &first.body), "the third was not touched");
    assert_eq!(dead(app).await.len(), 1);
    post("redrive-two", &json!({ "reason": "another" })).await.assert_problem(422, "idempotency_key_reused");
    let (one, two) = tokio::join!(post("the-last-one", &body), post("the-last-one", &body));
    assert_eq!((one.status, &one.body), (200, &two.body), "{}", two.body);
    assert_eq!(dead(app).await.len(), 0);
    let acts = app.get("/api/admin/audit?limit=100", &shop.admin).await;
    let acts: Vec<String> = acts.body["data"].as_array().expect("a list").iter().map(|act| act["action"].to_string()).collect();
    assert_eq!(acts.iter().filter(|act| act.contains("dead_letter.redriven")).count(), 3, "each once");
    assert_eq!(acts.iter().filter(|act| act.contains("dead_letters.redriven")).count(), 2, "and each request once");
    app.fsck().await;
}

async fn a_copied_log_out_hears_that_it_worked(backend: Backend) {
    let shop = Shop::start(backend).await;
    let case = shop.case("/api/users/logout", Access::Token).await;
    let (one, two) = tokio::join!(shop.send(&case, "log-out-once"), shop.send(&case, "log-out-once"));
    assert_eq!((one.status, two.status), (204, 204), "{} {}", one.body, two.body);
    let late = shop.send(&case, "log-out-once").await;
    assert_eq!((late.status, late.header("idempotent-replayed")), (204, "true"), "{}", late.body);
    shop.send(&case, "another-log-out").await.assert_problem(401, "unauthenticated");
    shop.app.get("/api/users/me", &case.token).await.assert_problem(401, "unauthenticated");
    let forged = Case { token: "nobodys-token".to_owned(), ..case };
    shop.send(&forged, "log-out-once").await.assert_problem(401, "unauthenticated");
}

/// The digest of a body that somebody made up from a list of passwords must not be found.
async fn a_password_cannot_be_guessed_from_what_is_kept_of_its_request(backend: Backend) {
    let shop = Shop::start(backend).await;
    for (route, key) in [("/api/admin/users", "makes-somebody"), ("/api/admin/users/{id}/password", "sets-a-password")] {
        let case = shop.case(route, Access::Admin).await;
        let answer = shop.send(&case, key).await;
        assert!(answer.status < 300, "{}", answer.body);
        let guess = |path: &str, body: &Value| Digest::of(format!("POST\n{path}\n{body}").as_bytes());
        assert!(!kept(&shop.app).await.contains(&guess(&case.path, &case.body)), "{route}");
    }
    // The same look finds a request without a secret in it.
    let order = Case {
        path: "/api/orders".to_owned(),
        token: shop.customer.clone(),
        body: order_body(&shop.product, 1, "bank_transfer"),
        is_act: true,
    };
    assert_eq!(shop.send(&order, "places-an-order").await.status, 201);
    assert!(kept(&shop.app).await.contains(&Digest::of(format!("POST\n/api/orders\n{}", order.body).as_bytes())));
}

/// Every fingerprint in the store.
async fn kept(app: &TestApp) -> Vec<Digest> {
    let page = app.app.store.scan(Table::Idempotency, None, 500).await.expect("the store answers");
    let fingerprint = |record: &Record| match record {
        Record::Row { row: Row::Idempotency(row), .. } => Some(row.fingerprint),
        _ => None,
    };
    page.rows.iter().filter_map(fingerprint).collect()
}
