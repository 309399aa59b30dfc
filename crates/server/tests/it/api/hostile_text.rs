//! Texts that mean no good in every field, path and query (F54, F56): each is kept in a harmless spelling or refused, the same
//! on both stores, and nothing of it is taken for a command by whoever reads it later.

use crate::test_app::{Answer, Backend, PASSWORD, TestApp, order_body, paid_event};
use ordermill_core::account::Role;
use ordermill_core::text::{is_break, is_deceptive};
use ordermill_store::Page;
use reqwest::Method;
use serde_json::{Value, json};

/// What people would never write and attackers do.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "NUL \0 in the middle",
        "\u{202e}txt.exe turned around\u{202c}",
        "\u{2066}isolated\u{2069} \u{200f}mark",
        "zero\u{200b}width\u{feff} and soft\u{ad}hyphen",
        "\u{200b}\u{2060}",
        "tags \u{e0041}\u{e0042}",
        "👩\u{200d}🔧 🎉 🏴\u{200d}☠\u{fe0f}",
        "Nguye\u{302}\u{303}n decomposed",
        "' OR '1'='1",
        "'; DROP TABLE orders; --",
        "\" OR \"\"=\"",
        "\\'; DELETE FROM users WHERE ''='",
        "1 UNION SELECT name, value, 1 FROM settings",
        "'||(SELECT pg_sleep(30))||'",
        "$1 ?1 :name %s %n {} {0}",
        "%",
        "_",
        "\\",
        "<script>alert('x')</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{ order.code }}{% for x in y %}{# c #}",
        "${7*7}#{7*7}<%= 7*7 %>",
        "=HYPERLINK(\"http://evil.example\",\"x\")",
        "+1-1",
        "@SUM(1)",
        "-2+3",
        "x\r\nBcc: evil@example.com",
        "x\nX-Injected: yes",
        "line\u{2028}separator",
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "\u{9b}2J single byte",
        "\u{fffe}\u{ffff}\u{fdd0} nobody's characters",
        "../../etc/passwd",
        "null",
        "undefined",
        "true",
        "NaN",
        "-0",
        "1e309",
        "   ",
        "",
    ]
    .map(str::to_owned)
    .into();
    texts.push(format!("o{}", "\u{300}".repeat(10_000)));
    texts.push(format!("o{}", "\u{300}".repeat(60)));
    texts.push("a".repeat(300));
    texts.push("🎉".repeat(5_000));
    texts
}

/// A shop with somebody of each kind in it.
struct Shop {
    app: TestApp,
    customer: String,
    admin: String,
    product: String,
    order: String,
}

impl Shop {
    async fn start(backend: Backend) -> Self {
        let app = TestApp::start_set(backend, |config| config.mail.order_received = true).await;
        let (customer, admin) = (app.customer("an@example.com").await, app.account("admin@example.com", Role::Admin).await);
        let product = app.product("CUP", 10_000, 1_000_000).await;
        let order = app.order(&customer, &product, 1, "cod").await.text("/id");
        Self { app, customer, admin, product, order }
    }

    /// What the field of this name makes of a text: its answer, and what of the text was kept.
    async fn write(&self, field: &str, number: usize, text: &str) -> (Answer, String) {
        let (app, customer, admin) = (&self.app, self.customer.as_str(), self.admin.as_str());
        let fresh = format!("x{number}@example.com");
        let (method, path, token, body, kept) = match field {
            "name" | "phone" | "locale" => {
                (Method::PATCH, "/api/users/me".to_owned(), customer, json!({ field: text }), format!("/{field}"))
            }
            "userFcmToken" => (Method::PATCH, "/api/users/me".to_owned(), customer, json!({ field: text }), String::new()),
            "email" => {
                let body = json!({ "email": text, "password": PASSWORD });
                (Method::POST, "/api/users/register".to_owned(), "", body, "/user/email".to_owned())
            }
            "login" => (Method::POST, "/api/users/login".to_owned(), "", json!({ "email": text, "password": text }), String::new()),
            "token" => {
                (Method::POST, "/api/users/password/reset".to_owned(), "", json!({ "token": text, "password": PASSWORD }), String::new())
            }
            "made name" => {
                let body = json!({ "email": fresh, "password": PASSWORD, "role": "staff", "name": text });
                (Method::POST, "/api/admin/users".to_owned(), admin, body, "/user/name".to_owned())
            }
            "sku" | "title" | "url" | "kind" | "currency" => {
                let mut body = json!({ "sku": format!("SKU-{number}"), "title": "A title", "kind": "digital", "unitAmount": 1 });
                body[field] = json!(text);
                (Method::POST, "/api/products".to_owned(), admin, body, format!("/{field}"))
            }
            "stock reason" => {
                let path = format!("/api/products/{}/stock", self.product);
                (Method::POST, path, admin, json!({ "delta": 1, "reason": text }), String::new())
            }
            "pause reason" => (Method::POST, "/api/admin/queues/stripe/pause".to_owned(), admin, json!({ "reason": text }), String::new()),
            "key name" => {
                let body = json!({ "name": text, "scopes": ["orders:create"] });
                (Method::POST, "/api/admin/api-keys".to_owned(), admin, body, "/name".to_owned())
            }
            "carrier" | "trackingNumber" | "reason" => {
                let path = format!("/api/orders/{}/status", self.order);
                let mut body = json!({ "status": "shipped" });
                body[field] = json!(text);
                (Method::PUT, path, admin, body, String::new())
            }
            "note" | "paymentMethod" => {
                let mut body = order_body(&self.product, 1, "cod");
                body[field] = json!(text);
                (Method::POST, "/api/orders".to_owned(), customer, body, "/note".to_owned())
            }
            part => {
                let part = part.trim_start_matches("address ");
                let mut body = order_body(&self.product, 1, "cod");
                body["shippingAddress"][part] = json!(text);
                (Method::POST, "/api/orders".to_owned(), customer, body, format!("/shippingAddress/{part}"))
            }
        };
        let mut request = app.http.request(method, app.at(&path)).json(&body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        let kept = if kept.is_empty() { String::new() } else { answer.text(&kept) };
        (answer, kept)
    }
}

const FIELDS: &[&str] = &[
    "name",
    "phone",
    "locale",
    "userFcmToken",
    "email",
    "login",
    "token",
    "made name",
    "sku",
    "title",
    "url",
    "kind",
    "currency",
    "stock reason",
    "pause reason",
    "key name",
    "carrier",
    "trackingNumber",
    "reason",
    "note",
    "paymentMethod",
    "line1",
    "ward",
    "district",
    "province",
    "postalCode",
    "country",
    "address name",
    "address phone",
    "unknown member",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_keeps_a_harmless_spelling_or_refuses_alike_on_both_stores() {
    let mut outcomes = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::start(backend).await;
        let mut outcome = Vec::new();
        let mut number = 0;
        for field in FIELDS.iter().copied() {
            for text in texts() {
                number += 1;
                let (answer, kept) = shop.write(field, number, &text).await;
                let about = format!("{field} = {text:.60?} on {backend:?} was answered {} {}", answer.status, answer.text("/code"));
                assert!(answer.status < 500, "{about}");
                assert!(answer.status < 300 || !answer.text("/code").is_empty(), "{about}");
                let is_harmful = |character: char| (is_break(character) && character != '\n') || is_deceptive(character);
                assert!(!kept.contains(is_harmful), "{about}: {kept:?}");
                assert!(kept.chars().count() <= 1_000, "{about}");
                outcome.push((field, text, answer.status, answer.text("/code"), kept));
            }
        }
        look_again(&shop).await;
        outcomes.push(outcome);
    }
    let [sqlite, postgres] = &outcomes[..] else { panic!("two stores") };
    for (one, other) in sqlite.iter().zip(postgres) {
        assert_eq!(one, other, "the two stores differ");
    }
    let kept = |field: &str, text: &str| {
        let found = sqlite.iter().find(|(at, given, ..)| *at == field && given == text).expect("it was tried");
        (found.2, found.4.clone())
    };
    assert_eq!(kept("name", "Nguye\u{302}\u{303}n decomposed"), (200, "Nguy\u{1ec5}n decomposed".to_owned()));
    assert_eq!(kept("title", "<script>alert('x')</script>"), (201, "<script>alert('x')</script>".to_owned()), "text is text");
    assert_eq!(kept("title", "\u{202e}txt.exe turned around\u{202c}"), (201, "txt.exe turned around".to_owned()));
    for refused in ["NUL \0 in the middle", "x\r\nBcc: evil@example.com", "\u{1b}]0;owned\u{7}\u{1b}[2J", "\u{200b}\u{2060}", ""] {
        assert_eq!(kept("title", refused).0, 422, "{refused:?}");
    }
}

/// What was kept is read back, searched, listed and mailed, and everything still stands.
async fn look_again(shop: &Shop) {
    let Shop { app, admin, customer, product, .. } = shop;
    for path in [
        "/api/products?limit=100",
        "/api/admin/users?limit=100",
        "/api/admin/audit?limit=100",
        "/api/orders?limit=100",
        "/api/admin/api-keys",
    ] {
        assert_eq!(app.get(path, admin).await.status, 200, "{path}");
    }
    let hostile = "<script>alert('x')</script>";
    assert_eq!(
        app.send(Method::PATCH, "/api/users/me", customer, &json!({ "name": format!("{hostile} =cmd|' /C calc'!A0") })).await.status,
        200
    );
    let change = json!({ "title": format!("{hostile} {{{{ order.code }}}}"), "unitAmount": 10_000, "active": true });
    assert_eq!(app.send(Method::PUT, &format!("/api/products/{product}"), admin, &change).await.status, 200);
    let order = app.order(customer, product, 1, "bank_transfer").await;
    assert_eq!(order.status, 201, "{}", order.body);
    app.webhook(&paid_event("evt_paid", &order)).await;
    let mine = || app.catcher.list().into_iter().filter(|mail| mail.subject.contains(&order.text("/code"))).collect::<Vec<_>>();
    app.run_jobs_until("the mails", async || mine().len() == 2).await;
    for mail in mine() {
        assert!(!mail.html.contains("<script"), "{}", mail.html);
        assert!(mail.html.contains("{{ order.code }}") && mail.text.contains(hostile), "texts are shown, not run: {}", mail.html);
        assert!(!mail.subject.contains(is_break) && !mail.to.contains(is_break), "{mail:?}");
    }
    app.fsck().await;
}

/// Everywhere a client may search or name something, a text is a value and never a part of a question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_search_or_name_is_taken_for_sql_and_both_stores_answer_alike() {
    let mut outcomes = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::start(backend).await;
        let (app, admin) = (&shop.app, &shop.admin);
        let before = counts(app).await;
        let mut outcome = Vec::new();
        for text in texts().into_iter().filter(|text| text.len() < 2_000) {
            let encoded = text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
            for path in [
                format!("/api/products?q={encoded}"),
                format!("/api/orders?q={encoded}"),
                format!("/api/orders?cursor={encoded}"),
                format!("/api/orders?status={encoded}"),
                format!("/api/orders?from={encoded}"),
                format!("/api/admin/orders?q={encoded}"),
                format!("/api/admin/users?q={encoded}"),
                format!("/api/admin/users?cursor={encoded}"),
                format!("/api/admin/jobs?queue={encoded}"),
                format!("/api/admin/jobs?cursor={encoded}"),
                format!("/api/admin/dead-letters?q={encoded}&queue={encoded}"),
                format!("/api/admin/dead-letters?cursor={encoded}"),
                format!("/api/admin/dead-letters/groups?queue={encoded}"),
                format!("/api/admin/dead-letters/email:{encoded}:1"),
                format!("/api/admin/inbox?cursor={encoded}"),
                format!("/api/admin/audit?cursor={encoded}"),
                format!("/api/orders/{encoded}"),
                format!("/api/orders/DH{encoded}/events"),
                format!("/api/products/{encoded}"),
                format!("/api/admin/users/{encoded}"),
            ] {
                let answer = app.get(&path, admin).await;
                assert!(answer.status < 500, "{path} ({text:?}) on {backend:?}: {} {}", answer.status, answer.body);
                let found = answer.body["data"].as_array().map_or(0, Vec::len);
                outcome.push((path, answer.status, answer.text("/code"), found));
            }
            let path = format!("/api/admin/inbox/stripe/{encoded}/replay");
            let replay = app.post(&path, admin, &json!({ "reason": "a test" })).await;
            assert!(replay.status == 404, "{path} on {backend:?}: {} {}", replay.status, replay.body);
        }
        assert_eq!(counts(app).await, before, "nothing was added and nothing is gone");
        app.fsck().await;
        outcomes.push(outcome);
    }
    let [sqlite, postgres] = &outcomes[..] else { panic!("two stores") };
    for (one, other) in sqlite.iter().zip(postgres) {
        assert_eq!(one, other, "the two stores differ");
    }
    // A wildcard of LIKE is a character like any other.
    for (path, _, _, found) in sqlite.iter().filter(|(path, ..)| path.ends_with("q=%25") || path.ends_with("q=%5F")) {
        assert_eq!(*found, 0, "{path}");
    }
}

async fn counts(app: &TestApp) -> (usize, usize, Value) {
    let users = app.app.store.users(&Page::first(200)).await.expect("the store answers").rows.len();
    let audit = app.app.store.audit(&Page::first(200)).await.expect("the store answers").rows.len();
    (users, audit, app.get("/api/products", "").await.body["data"].clone())
}
