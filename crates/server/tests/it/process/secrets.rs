//! Nothing that is secret, and nothing personal, is said where it does not belong (F63): canaries go through a shop, and
//! everything that it says and keeps is searched for them. Places that must hold one are searched too, so that the search is
//! known to find.

use super::shop::{PASSWORD, SECRET_KEY, Shop, eventually};
use super::world::{Keeping, WEBHOOK_SECRET};
use ordermill_store::Table;
use serde_json::json;
use std::path::Path;

const EMAIL: &str = "canary.kim.lien@example.com";
const NAME: &str = "Canary Kim Liên";
const PHONE: &str = "0907731964";
const NOTE: &str = "canary note: ring twice";
const STRIPE_KEY: &str = "sk_test_process_0123456789";
const DATABASE_PASSWORD: &str = "canary-database-password";

/// Something that was said or kept, and where.
struct Said {
    place: String,
    text: Vec<u8>,
}

impl Said {
    fn new(place: &str, text: impl Into<Vec<u8>>) -> Self {
        Self { place: place.to_owned(), text: text.into() }
    }

    fn holds(&self, canary: &str) -> bool {
        let needle = canary.as_bytes();
        self.text.windows(needle.len()).any(|part| part == needle)
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<Said> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(text) = std::fs::read(&path) {
            found.push(Said { place: path.display().to_string(), text });
        }
    }
    found
}

/// Everything that the store keeps, as it would be exported: `Debug` hides what this test looks for.
async fn stored(shop: &Shop) -> String {
    let store = shop.world.open_store().await;
    let mut lines = Vec::new();
    for table in Table::ALL {
        let page = store.scan(table, None, 1_000).await.unwrap_or_else(|error| panic!("{table:?}: {error}"));
        lines.extend(page.rows.iter().map(|record| serde_json::to_string(record).expect("JSON")));
    }
    store.close().await;
    lines.join("\n")
}

fn demand_absent(said: &[Said], canaries: &[(&str, &str)]) {
    let found: Vec<String> = said
        .iter()
        .flat_map(|said| canaries.iter().filter(|(_, canary)| said.holds(canary)).map(|(what, _)| format!("{what} in {}", said.place)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Requests that are refused in every way, by somebody who sends canaries.
async fn problems(shop: &Shop, token: &str) -> Vec<Said> {
    let mut said = Vec::new();
    for (path, body) in [
        ("/api/users/login", json!({ "email": EMAIL, "password": format!("{PASSWORD}x") })),
        ("/api/users/login", json!({ "email": EMAIL, "password": [PASSWORD] })),
        ("/api/users/register", json!({ "email": EMAIL, "password": PASSWORD, "name": NAME })),
        ("/api/users/register", json!({ "email": EMAIL, "password": "short" })),
        ("/api/orders/create", json!({ "products": [], "paymentMethod": "cash", "note": NOTE })),
        (
            "/api/orders/create",
            json!({ "products": [{ "productId": "00000000-0000-7000-8000-000000000000", "quantity": 1 }],
            "paymentMethod": "stripe", "note": NOTE }),
        ),
        ("/api/nowhere", json!({ "email": EMAIL, "password": PASSWORD })),
        ("/api/admin/orders", json!({})),
    ] {
        let (status, problem) = shop.post(path, token, &body).await;
        assert!((400..500).contains(&status), "{path}: {status} {problem}");
        said.push(Said::new(&format!("the problem of {path}"), problem.to_string()));
    }
    let event = json!({ "id": "evt_canary", "receipt_email": EMAIL }).to_string();
    for signature in ["", "t=1,v1=00", &ordermill_core::stripe::sign("whsec_of_another", 1, event.as_bytes())] {
        let request = shop.world.http.post(shop.world.server.url("/api/webhook/stripe")).header("stripe-signature", signature);
        let answer = request.body(event.clone()).send().await.expect("an answer");
        assert_eq!(answer.status(), 400);
        said.push(Said::new("the problem of a webhook", answer.text().await.expect("text")));
    }
    said
}

/// What commands say that show no orders and no accounts.
async fn commands(shop: &Shop) -> Vec<Said> {
    let mut said = Vec::new();
    for command in [
        "queue list",
        "queue jobs",
        "dlq list",
        "dlq list --group-by-error",
        "inbox list",
        "audit list",
        "key list",
        "monitor",
        "logs",
        "config show --origin",
        "config check",
        "doctor",
    ] {
        for format in ["json", "csv", "table"] {
            let arguments: Vec<&str> = command.split(' ').chain(["-o", format]).collect();
            let output = shop.world.server.run(&arguments).await;
            assert!(output.status.code().is_some_and(|code| code < 2), "{command}: {output:?}");
            said.push(Said::new(command, [output.stdout, output.stderr].concat()));
        }
    }
    said
}

async fn nothing_is_said_where_it_does_not_belong(keeping: Keeping) {
    let mut shop = Shop::new(keeping).await;
    if keeping == Keeping::Postgres {
        let with_password = shop.world.store_url.replace("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"));
        assert!(with_password.contains(DATABASE_PASSWORD), "{with_password}");
        shop.world.server.set("STORE__URL", &with_password);
    }
    shop.world.server.set("LOG__LEVEL", "debug");
    let server = shop.open().await;
    let token = shop.customer(EMAIL, NAME).await;
    let code = shop.order(&token, "stripe", NOTE).await;
    shop.mail.refuse();
    shop.pay(&code).await;
    eventually("the mail server refuses the customer", async || (shop.mail.refused() > 0).then_some(())).await;
    eventually("the refusal is logged", async || {
        let lines = shop.logged(&["--order", &code, "--consumer", "email"]).await;
        lines.iter().any(|line| line["why"].as_str().is_some_and(|why| why.contains("550"))).then_some(())
    })
    .await;
    shop.post("/api/users/password/forgot", "", &json!({ "email": EMAIL })).await;
    let made = shop.said(&["key", "create", "school", "--scope", "orders:read"]).await;
    let api_key = made.trim();

    let mut said = problems(&shop, &token).await;
    said.extend(commands(&shop).await);
    said.push(Said::new("/metrics", shop.metrics().await));
    // What operators ask for names customers, but never a secret.
    let mut asked = vec![Said::new("orders list", shop.said(&["orders", "list", "-o", "json"]).await)];
    asked.push(Said::new("orders show", shop.said(&["orders", "show", &code, "-o", "json"]).await));
    asked.push(Said::new("user list", shop.said(&["user", "list", "-o", "json"]).await));
    server.stop().await;
    said.push(Said::new("standard error", std::fs::read(&shop.world.server.log).expect("what it said")));
    let logs = files(&shop.world.server.data.join("logs"));
    assert!(!logs.is_empty());
    said.extend(logs);
    let mut kept = files(&shop.world.server.data);
    kept.push(Said::new("the records", stored(&shop).await));

    let secrets = [
        ("the password", PASSWORD),
        ("the session", &token),
        ("the API key", api_key),
        ("the secret key", SECRET_KEY),
        ("Stripe's key", STRIPE_KEY),
        ("the webhook secret", WEBHOOK_SECRET),
        ("the database's password", DATABASE_PASSWORD),
    ];
    let persons = [("the e-mail", EMAIL), ("the name", NAME), ("the phone", PHONE), ("the note", NOTE)];
    // Controls: what must hold a canary does, so the search finds.
    for canary in [EMAIL, NAME, PHONE, NOTE] {
        assert!(kept.iter().any(|said| said.holds(canary)), "{canary} is kept nowhere");
    }
    assert!(asked.iter().any(|said| said.holds(EMAIL)));
    assert!(Said::new("", made.clone()).holds(api_key));

    demand_absent(&said, &persons);
    for place in [&said, &asked, &kept] {
        demand_absent(place, &secrets);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_on_sqlite_says_nothing_where_it_does_not_belong() {
    nothing_is_said_where_it_does_not_belong(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_on_postgres_says_nothing_where_it_does_not_belong() {
    nothing_is_said_where_it_does_not_belong(Keeping::Postgres).await;
}

#[test]
#[should_panic(expected = "the e-mail in standard error")]
fn control_a_canary_is_found() {
    let said = [Said::new("/metrics", "fine"), Said::new("standard error", format!("{{\"to\":\"<{EMAIL}>\"}}"))];
    demand_absent(&said, &[("the e-mail", EMAIL), ("the note", NOTE)]);
}
