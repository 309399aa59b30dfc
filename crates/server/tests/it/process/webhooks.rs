//! `ordermill test-webhook` with events that a server must refuse, take once, or take and not act on; at a server that does
//! right, and at one that takes everything.

use super::shop::Shop;
use super::world::Keeping;
use axum::Router;
use axum::routing::post;
use serde_json::Value;
use std::process::Output;

async fn send(shop: &Shop, code: &str, more: &[&str]) -> Output {
    let arguments = [&["test-webhook", "stripe", "payment_intent.succeeded", "--order", code, "-o", "json"], more].concat();
    shop.world.server.run(&arguments).await
}

/// What was sent, how it was answered, and what is said of that.
fn rows(output: &Output) -> Vec<(String, u64, String)> {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = answer["data"].as_array().expect("a list").iter();
    rows.map(|row| (text(&row["sent"]), row["status"].as_u64().unwrap_or(0), text(&row["verdict"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_webhooks_are_tried_and_judged() {
    let shop = Shop::new(Keeping::Sqlite).await;
    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let code = shop.order(&token, "stripe", "").await;

    let refused = send(&shop, &code, &["--bad-signature", "--stale"]).await;
    assert_eq!(refused.status.code(), Some(0), "{refused:?}");
    let found = rows(&refused);
    assert_eq!(found.len(), 2, "nothing that could be taken: {found:?}");
    assert!(found.iter().all(|(_, status, verdict)| *status == 400 && verdict == "as it must"), "{found:?}");
    let order: Value = serde_json::from_str(&shop.said(&["orders", "show", &code, "-o", "json"]).await).expect("JSON");
    assert!(!order.to_string().contains("\"paid\""), "{order}");

    let all = send(&shop, &code, &["--bad-signature", "--duplicate", "3", "--out-of-order"]).await;
    assert_eq!(all.status.code(), Some(0), "{all:?}");
    let answers: Vec<u64> = rows(&all).iter().map(|(_, status, _)| *status).collect();
    assert_eq!(answers, [400, 200, 200, 200, 200, 200], "{all:?}");
    let table = shop.said(&["test-webhook", "stripe", "payment_intent.payment_failed", "--order", &code]).await;
    assert!(table.contains("as it must") && table.contains("processing") && table.contains("paid"), "{table}");
    assert_eq!(send(&shop, &code, &["--duplicate", "0"]).await.status.code(), Some(2));
    assert_eq!(send(&shop, "DH999999", &[]).await.status.code(), Some(1));

    let gullible = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}/hook", gullible.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(gullible, Router::new().route("/hook", post(|| async { "fine" }))).await });
    let taken = send(&shop, &code, &["--bad-signature", "--stale", "--url", &url]).await;
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    assert!(rows(&taken).iter().all(|(_, _, verdict)| verdict == "taken, though it proves nothing"), "{taken:?}");
    assert!(String::from_utf8_lossy(&taken.stderr).contains("2 of 2 webhooks"), "{taken:?}");
    server.stop().await;
}
