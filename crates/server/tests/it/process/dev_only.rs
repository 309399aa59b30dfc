//! What `dev` makes never opens a production server: one test for each way there might be.

use super::server::{Server, Settings};
use super::tampering::run_sql;
use super::world::{Keeping, World};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Output;

const KNOWN_PASSWORD: &str = "ordermill-dev";

/// Production on a folder of its own beside `dev`'s, with settings that `serve` takes.
fn production(world: &World) -> Settings {
    let mut serve = Settings::new(world.beside("production"), world.server.log.clone());
    let (listen, ops) = (format!("127.0.0.1:{}", serve.port), format!("127.0.0.1:{}", serve.ops_port));
    let key = "Qk9PS1NIT1AtS0VZLVdJVEgtMzMtQllURVMtSU4tSVQh";
    for (name, value) in [
        ("SERVER__LISTEN", listen.as_str()),
        ("SERVER__OPS_LISTEN", &ops),
        ("SERVER__PUBLIC_URL", "https://shop.example"),
        ("SERVER__SECRET_KEY", key),
        ("STORE__URL", &world.store_url),
        ("MAIL__SMTP_URL", "smtp://127.0.0.1:1"),
        ("MAIL__FROM", "Shop <shop@example.com>"),
    ] {
        serve.set(name, value);
    }
    serve
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Both ways to run in production must refuse with these words.
async fn refused(settings: &Settings, words: &str) {
    for arguments in [&["serve"][..], &["worker", "--once"]] {
        let output = settings.run(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
}

/// A store that `dev` has filled and left.
async fn after_dev(keeping: Keeping) -> World {
    let world = World::new(keeping).await;
    world.server.start_ready().await.stop().await;
    world
}

async fn a_store_that_dev_filled_is_refused(keeping: Keeping) {
    let world = after_dev(keeping).await;
    refused(&production(&world), "this store was filled by `ordermill dev`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_dev_filled_is_refused() {
    a_store_that_dev_filled_is_refused(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_dev_filled_is_refused() {
    a_store_that_dev_filled_is_refused(Keeping::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_of_dev_are_refused_also_without_its_mark() {
    let world = after_dev(Keeping::Sqlite).await;
    let file = world.server.data.join("ordermill.db");
    run_sql(&file, "DELETE FROM settings WHERE name = 'made_by'").await;
    refused(&production(&world), "this store was filled by `ordermill dev`").await;
    run_sql(&file, "DELETE FROM users").await;
    let clean = production(&world).run(&["worker", "--once"]).await;
    assert_eq!(clean.status.code(), Some(0), "without mark and accounts it is a store like any other: {}", said(&clean));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_dev_made_is_refused() {
    let world = after_dev(Keeping::Sqlite).await;
    refused(&Settings { data: world.server.data.clone(), ..production(&world) }, "this data folder was made by `ordermill dev`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_dev_made_are_refused() {
    let world = World::new(Keeping::Sqlite).await;
    let mut own = Settings::new(world.server.data.clone(), world.server.log.clone());
    own.set("STORE__URL", &world.store_url);
    own.start_ready().await.stop().await;
    let secrets = std::fs::read_to_string(world.server.data.join("dev.toml")).expect("dev's secrets");
    let values: Vec<&str> = secrets.split('"').skip(1).step_by(2).collect();
    let [key, stripe_key, webhook_secret] = values[..] else { panic!("three secrets: {}", values.len()) };
    let mut serve = production(&world);
    for (name, value) in [
        ("SERVER__SECRET_KEY", key),
        ("STRIPE__SECRET_KEY", stripe_key),
        ("STRIPE__WEBHOOK_SECRETS", webhook_secret),
        ("STRIPE__API_URL", "http://127.0.0.1:1/dev/stripe"),
        ("SEPAY__BANK_BIN", "970436"),
        ("SEPAY__ACCOUNT_NUMBER", "0000000000"),
        ("SEPAY__ACCOUNT_NAME", "ORDERMILL DEV"),
    ] {
        serve.set(name, value);
    }
    let output = serve.run(&["serve"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    for line in [
        "[server] secret_key: was made by `ordermill dev`",
        "[stripe] secret_key: was made by `ordermill dev`",
        "[stripe] webhook_secrets: was made by `ordermill dev`",
        "[stripe] api_url: is the simulated Stripe",
        "[sepay] account_number: is the demo account",
    ] {
        assert!(said(&output).contains(line), "{line}: {}", said(&output));
    }
    assert!(!secrets.is_empty() && values.iter().all(|secret| !said(&output).contains(secret)), "no secret is shown");
    assert!(!world.beside("production").join("ordermill.db").exists(), "nothing is made before the settings are right");
}

/// `dev --expose`, running, and what it printed.
struct Exposed {
    server: Server,
    password: String,
}

async fn expose(settings: &Settings) -> Exposed {
    let before = std::fs::read_to_string(&settings.log).unwrap_or_default().len();
    let server = settings.start_ready_as(&["dev", "--expose"]).await;
    let log = std::fs::read_to_string(&settings.log).expect("it said something");
    let banner = &log[before..];
    assert!(banner.contains("owner@example.com") && !banner.contains(KNOWN_PASSWORD), "{banner}");
    assert!(!banner.contains("customer@example.com"), "{banner}");
    let line = banner.lines().find(|line| line.trim_start().starts_with("Password")).expect("a password");
    Exposed { server, password: line.split_whitespace().nth(1).expect("a password").to_owned() }
}

/// What a log-in from this machine, or through a tunnel, is answered.
async fn log_in(settings: &Settings, email: &str, password: &str, is_tunnel: bool) -> StatusCode {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = http.post(settings.url("/api/users/login")).json(&json!({ "email": email, "password": password }));
    if is_tunnel {
        request = request.header("host", "shop.example").header("x-forwarded-for", "198.51.100.7");
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert!(status.is_success() == body["token"].is_string(), "{body}");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_exposed_has_one_password_and_nobody_known() {
    let world = World::new(Keeping::Sqlite).await;
    let settings = &world.server;
    let first = expose(settings).await;
    for email in ["admin@example.com", "staff@example.com", "customer@example.com", "owner@example.com"] {
        assert_eq!(log_in(settings, email, KNOWN_PASSWORD, false).await, StatusCode::UNAUTHORIZED, "{email}");
    }
    assert_eq!(log_in(settings, "owner@example.com", &first.password, true).await, StatusCode::OK, "from elsewhere, too");
    first.server.stop().await;
    let second = expose(settings).await;
    assert_ne!(first.password, second.password);
    assert_eq!(log_in(settings, "owner@example.com", &first.password, false).await, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(settings, "owner@example.com", &second.password, false).await, StatusCode::OK);
    second.server.stop().await;
    // Known accounts that an ordinary `dev` left in the folder stay this machine's own.
    settings.start_ready().await.stop().await;
    let third = expose(settings).await;
    assert_eq!(log_in(settings, "admin@example.com", KNOWN_PASSWORD, false).await, StatusCode::OK);
    assert_eq!(log_in(settings, "admin@example.com", KNOWN_PASSWORD, true).await, StatusCode::UNAUTHORIZED);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for path in ["/dev/mail", "/dev/stripe/v1/payment_intents/pi_1"] {
        let through = http.get(settings.url(path)).header("host", "shop.example").send().await.expect("an answer");
        assert_eq!(through.status(), StatusCode::NOT_FOUND, "{path}");
        assert_ne!(http.get(settings.url(path)).send().await.expect("an answer").status(), StatusCode::NOT_FOUND, "{path} is there");
    }
    third.server.stop().await;
    refused(&production(&world), "this store was filled by `ordermill dev`").await;
}
