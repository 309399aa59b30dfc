//! Set-ups that are broken, at a shop that serves: `doctor`, `monitor`, `queue list` and `logs` say what is wrong and what to do.

use super::shop::{Shop, eventually};
use super::world::{Keeping, WEBHOOK_SECRET};
use ordermill::app::{Clock, SystemClock};
use serde_json::Value;

/// What `doctor` finds about something: `what → fix`.
async fn findings(shop: &Shop, about: &str) -> Vec<String> {
    let output = shop.world.server.run(&["doctor", "-o", "json"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let rows = answer["data"].as_array().expect("a list").iter();
    let rows = rows.filter(|row| row["about"] == about && (row["state"] == "finding" || row["state"] == "wrong"));
    let found: Vec<String> = rows.map(|row| format!("{} → {}", row["what"], row["fix"]).replace('"', "")).collect();
    assert!(found.is_empty() || output.status.code() == Some(1), "a finding is exit code 1: {output:?}");
    found
}

async fn finding(shop: &Shop, about: &str, words: &str, fix: &str) {
    let is_found = async || {
        let found = findings(shop, about).await;
        found
            .iter()
            .any(|line| line.split_once(" → ").is_some_and(|(what, to_do)| what.contains(words) && to_do.contains(fix)))
            .then_some(())
    };
    eventually(&format!("{about}: {words} → {fix}"), is_found).await;
}

async fn dead_letters_quarantined_events_and_open_circuits_are_told(keeping: Keeping) {
    let shop = Shop::new(keeping).await;
    let server = shop.open().await;
    for about in ["mail", "stripe", "queue email", "received events", "clock", "store"] {
        assert_eq!(findings(&shop, about).await, [""; 0], "{about}");
    }
    let token = shop.customer("lien@example.com", "Liên").await;
    let code = shop.order(&token, "stripe", "").await;
    shop.mail.refuse();
    shop.pay(&code).await;
    finding(&shop, "queue email", "1 dead letters", "ordermill dlq list --queue email --group-by-error").await;
    assert!(shop.said(&["monitor"]).await.contains("dead letters        1"));
    let why = shop.said(&["logs", "--order", &code, "--consumer", "email"]).await;
    assert!(why.contains("a job became a dead letter") && why.contains("550") && why.contains("l***@example.com"), "{why}");

    let event = "{\"id\":\"evt_odd\",\"object\":\"event\",\"type\":7}";
    let signature = ordermill_core::stripe::sign(WEBHOOK_SECRET, SystemClock.now().unix_s(), event.as_bytes());
    let sent = shop.world.http.post(shop.world.server.url("/api/webhook/stripe")).header("stripe-signature", signature).body(event);
    assert_eq!(sent.send().await.expect("an answer").status(), 200);
    finding(&shop, "received events", "1 could not be understood", "ordermill inbox replay").await;
    assert!(shop.said(&["monitor"]).await.contains("events quarantined  1"));

    let paused = shop.world.server.run(&["queue", "pause", "inbox", "--reason", "we look at it"]).await;
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    finding(&shop, "queue inbox", "it is paused", "ordermill queue resume inbox").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_of_a_shop_on_sqlite_are_told() {
    dead_letters_quarantined_events_and_open_circuits_are_told(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_of_a_shop_on_postgres_are_told() {
    dead_letters_quarantined_events_and_open_circuits_are_told(Keeping::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_down_and_a_key_that_stripe_does_not_take_are_told() {
    let mut shop = Shop::new(Keeping::Sqlite).await;
    shop.world.server.set("MAIL__SMTP_URL", "smtp://127.0.0.1:9");
    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let code = shop.order(&token, "stripe", "").await;
    shop.pay(&code).await;
    finding(&shop, "mail", "connecting", "start the mail server").await;
    finding(&shop, "queue email", "the circuit is open", "it closes by itself").await;
    let seen = eventually("monitor shows the open circuit", async || {
        let seen: Value = serde_json::from_str(&shop.said(&["monitor", "-o", "json"]).await).expect("JSON");
        let queues = seen["queues"].as_array().expect("a list").iter();
        queues.clone().any(|queue| queue["queue"] == "email" && queue["circuitOpenMs"].as_i64() > Some(0)).then_some(seen.clone())
    });
    assert_eq!(seen.await["dead"], 0, "an absent mail server kills nothing");
    let healthy = shop.world.server.run(&["healthcheck"]).await;
    assert_eq!(healthy.status.code(), Some(0), "it takes orders all the same: {healthy:?}");

    shop.world.server.set("STRIPE__SECRET_KEY", "sk_test_of_somebody_else");
    finding(&shop, "stripe", "does not take our key", "[stripe] secret_key").await;
    shop.world.server.set("SERVER__SECRET_KEY", "short");
    let wrong = shop.world.server.run(&["config", "check"]).await;
    let said = String::from_utf8_lossy(&[wrong.stdout, wrong.stderr].concat()).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("secret_key") && said.contains("32 bytes"), "{said}");
    // The log is what one looks for when the settings are wrong.
    shop.world.server.set("SERVER__LISTN", "127.0.0.1:1");
    assert!(shop.said(&["logs", "--order", &code]).await.contains("an order was placed"));
    server.stop().await;
}
