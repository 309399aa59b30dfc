//! What a node logs, and `ordermill logs`: one event one line whatever people type (F64), found by order and by consumer,
//! while the server runs and after it died.

use super::server::contained;
use super::shop::{PATIENCE, Shop, eventually};
use super::world::Keeping;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

/// What people type to make a log say what did not happen.
const HOSTILE: [&str; 6] = [
    "An\nlevel=ERROR the till is open",
    "An\r\n{\"timestamp\":\"2026-11-21T10:00:00Z\",\"level\":\"ERROR\",\"message\":\"forged\"}",
    "\"}\n{\"message\":\"forged",
    "\u{1b}[2J\u{1b}[31mred\u{7}",
    "\u{9b}31m\u{85}\u{2028}line\u{2029}",
    "\u{202e}desrever %0d%0aSet-Cookie: x",
];

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// A field of a line, or of what it happened within.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    let spans = line["spans"].as_array().into_iter().flatten().rev();
    std::iter::once(line).chain(spans).find_map(|fields| fields[name].as_str())
}

fn newest_file(data: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data.join("logs")).expect("a folder of logs");
    entries.map(|entry| entry.expect("an entry").path()).max().expect("a file")
}

async fn the_log_of_an_order_outlives_its_server(keeping: Keeping) {
    let shop = Shop::new(keeping).await;
    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let other = shop.order(&token, "bank_transfer", "").await;
    let code = shop.order(&token, "stripe", "").await;
    shop.pay(&code).await;
    // The first line about the mail's end is written a moment before the end itself.
    let is_mailed = async || {
        let lines = shop.logged(&["--order", &code, "--consumer", "email"]).await;
        lines.iter().any(|line| message(line) == "a job is done").then_some(())
    };
    eventually("the mail is sent and its end is logged", is_mailed).await;

    let lines = shop.logged(&["--order", &code]).await;
    let said: Vec<&str> = lines.iter().map(message).collect();
    for sign in ["an order was placed", "an order heard of its payment", "a job is done"] {
        assert!(said.contains(&sign), "{sign} is missing: {said:?}");
    }
    assert!(lines.iter().all(|line| field(line, "order") == Some(&code)), "{lines:?}");
    let consumers: Vec<Option<&str>> =
        lines.iter().filter(|line| message(line) == "a job is done").map(|line| field(line, "consumer")).collect();
    assert!(consumers.contains(&Some("email")) && consumers.contains(&Some("stripe")), "{consumers:?}");
    assert_eq!(shop.logged(&["--order", &other]).await.len(), 1, "the other order was only placed");
    let of_mails = shop.logged(&["--consumer", "email", "--minutes", "60"]).await;
    assert!(!of_mails.is_empty() && of_mails.iter().all(|line| field(line, "consumer") == Some("email")), "{of_mails:?}");

    server.end().await;
    let file = newest_file(&shop.world.server.data);
    OpenOptions::new().append(true).open(file).expect("a file").write_all(b"{\"timestamp\":\"2026-1").expect("written");
    assert_eq!(shop.logged(&["--order", &code]).await, lines, "the same lines, though nobody serves and the last line is cut");
    let server = shop.open().await;
    let third = shop.order(&token, "bank_transfer", "").await;
    assert_eq!(shop.logged(&["--order", &code]).await, lines);
    assert_eq!(shop.logged(&["--order", &third]).await.len(), 1, "the line after the cut one is whole");
    let all = shop.world.server.run(&["logs"]).await;
    let (shown, noted) = (String::from_utf8_lossy(&all.stdout), String::from_utf8_lossy(&all.stderr));
    assert!(shown.contains(&format!("order={code}")) && noted.contains("1 lines cannot be read"), "{shown}\n{noted}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_an_order_on_sqlite_outlives_its_server() {
    the_log_of_an_order_outlives_its_server(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_an_order_on_postgres_outlives_its_server() {
    the_log_of_an_order_outlives_its_server(Keeping::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_can_be_followed_over_a_restart() {
    let shop = Shop::new(Keeping::Sqlite).await;
    let nothing = shop.world.server.run(&["logs"]).await;
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no log is kept in"), "{nothing:?}");

    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let mut command = contained(&[]);
    command.args(["logs", "--follow", "-o", "csv", "--data"]).arg(&shop.world.server.data);
    let mut following = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut wait_for = async |code: &str| loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line comes").expect("text").expect("it goes on");
        if line.contains(&format!(",{code},")) && line.contains("an order was placed") {
            return;
        }
    };
    wait_for(&shop.order(&token, "bank_transfer", "").await).await;
    server.end().await;
    let server = shop.open().await;
    wait_for(&shop.order(&token, "bank_transfer", "").await).await;

    for (arguments, code) in
        [(&["logs", "--consumer", "pigeons"][..], 2), (&["logs", "--minutes", "0"], 2), (&["logs", "--order", "NO"], 0)]
    {
        let output = shop.world.server.run(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
    let pid = following.id().expect("it runs").to_string();
    let interrupted = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.expect("kill runs");
    assert!(interrupted.success());
    let ended = timeout(PATIENCE, following.wait()).await.expect("it ends").expect("its status");
    assert_eq!(ended.code(), Some(0), "whoever has seen enough is no failure");
    server.stop().await;
}

/// Everything that a busy server says on standard error and in its files is JSON, line by line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_people_type_one_event_is_one_line() {
    let mut shop = Shop::new(Keeping::Sqlite).await;
    shop.world.server.set("LOG__LEVEL", "debug");
    let server = shop.open().await;
    let http = &shop.world.http;
    for (number, text) in HOSTILE.iter().enumerate() {
        let body = serde_json::json!({ "email": format!("h{number}@example.com"), "password": "long enough 1", "name": text });
        let (status, _) = shop.post("/api/users/register", "", &body).await;
        assert!(status == 201 || status == 400 || status == 422, "{text:?}: {status}");
        let token = shop.customer(&format!("k{number}@example.com"), "An").await;
        let body = serde_json::json!({ "products": [], "paymentMethod": text, "note": text });
        shop.post("/api/orders/create", &token, &body).await;
        shop.post(&format!("/api/orders/{number}%0a%0dforged%1b[31m"), &token, &body).await;
        let event = serde_json::json!({ "id": text, "object": "event", "type": "payment_intent.succeeded", "data": text }).to_string();
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let signature = ordermill_core::stripe::sign(super::world::WEBHOOK_SECRET, i64::try_from(now).expect("soon"), event.as_bytes());
        let sent = http.post(shop.world.server.url("/api/webhook/stripe")).header("stripe-signature", signature).body(event).send().await;
        assert_eq!(sent.expect("an answer").status(), 200, "signed, stored, quarantined");
        let code = shop.order(&token, "stripe", "").await;
        shop.pay(&code).await;
    }
    let kept = eventually("every mail's end is logged", async || {
        let lines = shop.logged(&[]).await;
        let done = lines.iter().filter(|line| message(line) == "a job is done" && field(line, "consumer") == Some("email")).count();
        (done >= HOSTILE.len()).then_some(lines)
    });
    let kept = kept.await;
    assert!(kept.iter().any(|line| message(line) == "a signed event could not be understood"), "{kept:?}");
    assert!(kept.iter().any(|line| message(line) == "request" && field(line, "request_id").is_some()), "debug lines too");
    let shown = shop.said(&["logs"]).await;
    assert!(shown.lines().all(|line| !line.chars().any(char::is_control)), "nothing steers a terminal: {shown:?}");
    server.stop().await;

    let said = std::fs::read_to_string(&shop.world.server.log).expect("what it said");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))).collect();
    for line in &lines {
        let is_event = ["timestamp", "level", "message", "target"].iter().all(|name| line[*name].is_string());
        assert!(is_event && message(line) != "forged", "{line}");
        assert!(field(line, "job").is_none() || field(line, "consumer").is_some(), "every line of a job names its consumer: {line}");
    }
    assert_eq!(shop.logged(&[]).await, lines, "what is kept is what was said");
}
