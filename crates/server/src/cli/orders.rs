//! `ordermill orders …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, cell, pretty};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The orders, newest first
    List {
        /// Only these: pending, processing, …
        #[arg(long)]
        status: Option<String>,
        /// Only these: pending, paid, …
        #[arg(long)]
        payment_status: Option<String>,
        /// A code, number, e-mail address, or a part of a name, phone number, title or sku
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only from this time on: 2026-11-21T08:30:00Z
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Only from before this time
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page begins: what the page before it ended with
        #[arg(long)]
        cursor: Option<String>,
    },
    /// One order with its timeline
    Show {
        /// Its id or code
        order: String,
    },
}

const COLUMNS: &[Column] = &[
    ("CODE", "/code"),
    ("STATUS", "/status"),
    ("PAYMENT", "/paymentStatus"),
    ("TOTAL", "/totalAmount"),
    ("CURRENCY", "/currency"),
    ("CUSTOMER", "/customer/email"),
    ("CREATED", "/createdAt"),
];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        Command::List { status, payment_status, search, from, to, limit, cursor } => {
            let filters =
                [("status", status), ("paymentStatus", payment_status), ("q", search), ("from", from), ("to", to), ("cursor", cursor)];
            let filters = filters.into_iter().filter_map(|(name, value)| value.map(|value| format!("&{name}={}", segment(&value))));
            let path = format!("/api/admin/orders?limit={limit}{}", filters.collect::<String>());
            client.call(Method::GET, &path, None).await.map(|answer| output.page(&answer, COLUMNS))
        }
        Command::Show { order } => show(&client, &order, output).await,
    };
    client.close().await;
    outcome
}

async fn show(client: &Client, order: &str, output: &Output) -> Outcome {
    let path = format!("/api/admin/orders/{}", segment(order));
    let answer = client.call(Method::GET, &path, None).await?;
    let events = client.call(Method::GET, &format!("{path}/events"), None).await?;
    if output.format == Format::Json {
        let mut whole = answer;
        if let (Some(whole), Some(data)) = (whole.as_object_mut(), events.get("data")) {
            whole.insert("events".to_owned(), data.clone());
        }
        output.line(&pretty(&whole));
        return Ok(());
    }
    let of = |pointer: &str| cell(answer.pointer(pointer));
    output.line(&format!(
        "{}  {}  {}  {} {}  {}",
        of("/code"),
        of("/status"),
        of("/paymentStatus"),
        of("/totalAmount"),
        of("/currency"),
        of("/customer/email")
    ));
    for line in answer.get("lines").and_then(Value::as_array).into_iter().flatten() {
        let of = |pointer: &str| cell(line.pointer(pointer));
        output.line(&format!("  {} × {} ({})  {}", of("/quantity"), of("/title"), of("/sku"), of("/totalAmount")));
    }
    timeline(output, &events);
    Ok(())
}

/// An order's events as people read them.
pub(super) fn timeline(output: &Output, events: &Value) {
    output.list(events, &[("SEQ", "/seq"), ("AT", "/at"), ("EVENT", "/type"), ("ACTOR", "/actor"), ("DATA", "/data")]);
}
