//! `ordermill monitor`: what happens now, in numbers, once or again and again.

use super::client::Client;
use super::output::{Column, Format, Output, cell};
use super::{Failure, Global, Outcome};
use axum::http::Method;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::time::Duration;

/// What is counted: its heading, and its name in the answer.
const COUNTS: &[(&str, &str)] = &[
    ("orders placed", "ordersPlaced"),
    ("orders paid", "ordersPaid"),
    ("webhooks in", "webhooksReceived"),
    ("webhooks with a bad signature", "webhookSignatureFaults"),
    ("webhooks nobody understood", "webhooksQuarantined"),
    ("jobs done", "jobsDone"),
    ("attempts that failed", "jobsRetried"),
    ("jobs that died", "jobsDied"),
];
const QUEUES: &[Column] = &[
    ("QUEUE", "/queue"),
    ("WAITING", "/waiting"),
    ("RUNNING", "/running"),
    ("DEAD", "/dead"),
    ("OLDEST DUE MS", "/oldestDueMs"),
    ("PAUSED", "/paused"),
    ("CIRCUIT OPEN MS", "/circuitOpenMs"),
];
/// Wipes a terminal and goes to its first line.
const WIPE: &str = "\u{1b}[2J\u{1b}[H";

pub(super) async fn run(global: &Global, watch_s: Option<u64>, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match watch_s {
        None => look(&client, None, output).await.map(|_| ()),
        Some(_) if !client.is_server() => Err(Failure::unavailable("no server runs on this data folder, so there is nothing to watch")),
        Some(seconds) => tokio::select! {
            outcome = watch(&client, Duration::from_secs(seconds), output) => outcome,
            // Whoever has seen enough.
            _ = tokio::signal::ctrl_c() => Ok(()),
        },
    };
    client.close().await;
    outcome
}

async fn watch(client: &Client, pause: Duration, output: &Output) -> Outcome {
    let is_screen = output.format == Format::Table && std::io::stdout().is_terminal();
    let mut before = None;
    loop {
        if is_screen {
            output.line(WIPE);
        }
        before = Some(look(client, before.as_ref(), output).await?);
        tokio::time::sleep(pause).await;
    }
}

/// Looks once, prints, and returns what was seen.
async fn look(client: &Client, before: Option<&Value>, output: &Output) -> Result<Value, Failure> {
    let seen = client.call(Method::GET, "/api/admin/status", None).await?;
    let over_ms = over_ms(&seen, before);
    let rates = rates(&seen, before, over_ms);
    match output.format {
        Format::Json => {
            let mut whole = seen.clone();
            if let Some(whole) = whole.as_object_mut() {
                whole.insert("overMs".to_owned(), json!(over_ms));
                whole.insert("perMinute".to_owned(), Value::Object(rates));
            }
            // One look is one line, so that a program can follow.
            output.line(&whole.to_string());
        }
        Format::Csv => output.list(&json!({ "data": count_rows(&seen, &rates) }), COUNT_COLUMNS),
        Format::Table => print(client, &seen, &rates, over_ms, output),
    }
    Ok(seen)
}

const COUNT_COLUMNS: &[Column] = &[("WHAT", "/what"), ("SINCE START", "/total"), ("PER MINUTE", "/perMinute")];

fn print(client: &Client, seen: &Value, rates: &Map<String, Value>, over_ms: i64, output: &Output) {
    let of = |pointer: &str| cell(seen.pointer(pointer));
    let up_s = number(seen, "/upMs") / 1_000;
    output.line(&format!("{}  up {up_s} s  {} {}", of("/at"), of("/store/backend"), of("/store/version")));
    if client.is_server() {
        output.list(&json!({ "data": count_rows(seen, rates) }), COUNT_COLUMNS);
        output.line(&format!("rates over the last {} s", over_ms / 1_000));
    } else {
        output.line("no server runs on this data folder, so nothing is counted now");
    }
    output.line("");
    output.list(&json!({ "data": seen.get("queues") }), QUEUES);
    let more = |pointer: &str| if seen.pointer(pointer) == Some(&json!(true)) { " or more" } else { "" };
    let oldest = of("/inboxOpen/oldest");
    let since = if oldest.is_empty() { String::new() } else { format!(", since {oldest}") };
    output.line("");
    output.line(&format!("oldest due job      {} ms", of("/oldestDueMs")));
    output.line(&format!("dead letters        {}", of("/dead")));
    output.line(&format!("events that wait    {}{}{since}", of("/inboxOpen/count"), more("/inboxOpen/cut")));
    output.line(&format!("events quarantined  {}{}", of("/inboxQuarantined/count"), more("/inboxQuarantined/cut")));
}

fn count_rows(seen: &Value, rates: &Map<String, Value>) -> Vec<Value> {
    let row = |(what, name): &(&str, &str)| json!({ "what": what, "total": count(seen, name), "perMinute": rates.get(*name) });
    COUNTS.iter().map(row).collect()
}

/// How long the rates cover: since the last look, or since the server began.
fn over_ms(seen: &Value, before: Option<&Value>) -> i64 {
    let up = number(seen, "/upMs");
    let since = before.map_or(up, |before| up - number(before, "/upMs"));
    // A server that began anew meanwhile has counted since then.
    if since > 0 { since } else { up }
}

/// Per minute, with one decimal.
fn rates(seen: &Value, before: Option<&Value>, over_ms: i64) -> Map<String, Value> {
    let rate = |(_, name): &(&str, &str)| {
        let now = count(seen, name);
        let earlier = before.map_or(0, |before| count(before, name));
        let counted = if now >= earlier { now - earlier } else { now };
        let tenths = counted.saturating_mul(600_000) / over_ms.max(1);
        ((*name).to_owned(), json!(f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0))
    };
    COUNTS.iter().map(rate).collect()
}

fn count(seen: &Value, name: &str) -> i64 {
    seen.get("counts").and_then(|counts| counts.get(name)).and_then(Value::as_i64).unwrap_or(0)
}

fn number(seen: &Value, pointer: &str) -> i64 {
    seen.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{over_ms, rates};
    use serde_json::json;

    #[test]
    fn rates_are_since_the_last_look() {
        let first = json!({ "upMs": 60_000, "counts": { "ordersPlaced": 30 } });
        let second = json!({ "upMs": 65_000, "counts": { "ordersPlaced": 40 } });
        assert_eq!(rates(&first, None, over_ms(&first, None))["ordersPlaced"], 30.0);
        assert_eq!(over_ms(&second, Some(&first)), 5_000);
        assert_eq!(rates(&second, Some(&first), 5_000)["ordersPlaced"], 120.0);
    }

    #[test]
    fn a_server_that_began_anew_counts_from_there() {
        let first = json!({ "upMs": 60_000, "counts": { "jobsDone": 30 } });
        let second = json!({ "upMs": 30_000, "counts": { "jobsDone": 5 } });
        assert_eq!(over_ms(&second, Some(&first)), 30_000);
        assert_eq!(rates(&second, Some(&first), 30_000)["jobsDone"], 10.0);
    }
}
