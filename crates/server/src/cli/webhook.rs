//! `ordermill test-webhook …`: sends webhooks the way the provider would, really signed or wrong in a chosen way, and says
//! whether the server behaved as it must.

mod event;

use super::client::{Client, segment};
use super::output::{Column, Output};
use super::{Failure, Global, Outcome, boot, exit};
use crate::app::{Clock, SystemClock};
use axum::http::Method;
use clap::{Args, Subcommand};
use event::{Kind, Payment};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a server at a URL may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Older than any server takes a signature for: Stripe's own limit is five minutes.
const STALE_S: i64 = 15 * 60;
/// How much earlier than its successor an event happened that comes after it.
const EARLIER_S: i64 = 60;
/// How much of an answer is shown.
const SHOWN_MAX: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A Stripe event about an order's payment; exits 1 when the server did not do with it what it must
    Stripe(Delivery),
}

/// What to send, and where.
#[derive(Debug, Args)]
pub(super) struct Delivery {
    /// What happened
    #[arg(value_enum)]
    kind: Kind,
    /// The order, by id or code
    #[arg(long)]
    order: String,
    /// The amount in Stripe's minor units (default: what the order asks for)
    #[arg(long)]
    amount: Option<i64>,
    /// Where to send it (default: the server of this data folder)
    #[arg(long)]
    url: Option<String>,
    /// Sign with somebody else's secret: must be refused
    #[arg(long)]
    bad_signature: bool,
    /// Sign as of a quarter of an hour ago: must be refused
    #[arg(long)]
    stale: bool,
    /// Send the event so many times more: must be taken, and move the order once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    duplicate: Option<u32>,
    /// Send an earlier event of the same payment, a failed attempt, after it: must be taken, and move nothing
    #[arg(long)]
    out_of_order: bool,
}

/// One webhook, and what the server must make of it.
struct Webhook {
    what: String,
    body: String,
    signature: Signature,
    /// Whether the order must be afterwards what it was before.
    moves_nothing: bool,
}

/// How a webhook is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    Good,
    OfAnother,
    Stale,
}

impl Signature {
    fn sign(self, secret: &str, body: &str) -> String {
        let now = SystemClock.now().unix_s();
        let sign = |secret: &str, at| ordermill_core::stripe::sign(secret, at, body.as_bytes());
        match self {
            Self::Good => sign(secret, now),
            Self::OfAnother => sign("whsec_of_somebody_else", now),
            Self::Stale => sign(secret, now.saturating_sub(STALE_S)),
        }
    }

    const fn must_be(self) -> &'static str {
        match self {
            Self::Good => "2xx",
            Self::OfAnother | Self::Stale => "4xx",
        }
    }
}

const COLUMNS: &[Column] = &[
    ("SENT", "/sent"),
    ("ANSWER", "/status"),
    ("MUST BE", "/mustBe"),
    ("VERDICT", "/verdict"),
    ("ORDER", "/order/status"),
    ("PAYMENT", "/order/paymentStatus"),
    ("SAID", "/said"),
];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let Command::Stripe(delivery) = command;
    let config = boot::load(global, None)?.config;
    let secret = config.stripe.webhook_secrets.first();
    let secret = secret.ok_or_else(|| Failure::usage("no secret to sign with: set [stripe] webhook_secrets"))?;
    let client = Client::connect(global).await?;
    let rows = send_all(&client, &delivery, secret.expose_secret()).await;
    client.close().await;
    let rows = rows?;
    output.list(&json!({ "data": rows }), COLUMNS);
    let wrong = rows.iter().filter(|row| row["verdict"] != AS_IT_MUST).count();
    if wrong == 0 {
        Ok(())
    } else {
        Err(Failure::new(exit::FAILED, format!("{wrong} of {} webhooks were not treated as they must be", rows.len())))
    }
}

/// What a server earns that did right.
const AS_IT_MUST: &str = "as it must";

async fn send_all(client: &Client, delivery: &Delivery, secret: &str) -> Result<Vec<Value>, Failure> {
    let mut before = find(client, &delivery.order).await?;
    let mut rows = Vec::new();
    for webhook in plan(delivery, &Payment::of(&before, delivery.amount)) {
        let signature = webhook.signature.sign(secret, &webhook.body);
        let (status, said) = deliver(client, delivery.url.as_deref(), &signature, webhook.body.clone()).await?;
        let after = find(client, &delivery.order).await?;
        rows.push(json!({
            "sent": webhook.what, "status": status, "mustBe": webhook.signature.must_be(),
            "verdict": verdict(&webhook, status, &before, &after),
            "order": { "status": after["status"], "paymentStatus": after["paymentStatus"], "version": after["version"] },
            "said": said.get(..said.floor_char_boundary(SHOWN_MAX)).unwrap_or_default(),
        }));
        before = after;
    }
    Ok(rows)
}

/// What is sent, in its order: what must be refused first, so that it finds the order untouched.
fn plan(delivery: &Delivery, payment: &Payment) -> Vec<Webhook> {
    let name = delivery.kind.name();
    let body = payment.event(delivery.kind, 0);
    let webhook = |what: String, signature, moves_nothing| Webhook { what, body: body.clone(), signature, moves_nothing };
    let mut plan = Vec::new();
    if delivery.bad_signature {
        plan.push(webhook(format!("{name}, signed by somebody else"), Signature::OfAnother, true));
    }
    if delivery.stale {
        plan.push(webhook(format!("{name}, signed {} minutes ago", STALE_S / 60), Signature::Stale, true));
    }
    if plan.is_empty() || delivery.duplicate.is_some() || delivery.out_of_order {
        plan.push(webhook(name.to_owned(), Signature::Good, false));
    }
    for copy in 1..=delivery.duplicate.unwrap_or(0) {
        plan.push(webhook(format!("{name}, copy {copy}"), Signature::Good, true));
    }
    if delivery.out_of_order {
        let what = format!("{}, made {EARLIER_S} s before", Kind::Failed.name());
        plan.push(Webhook { what, body: payment.event(Kind::Failed, EARLIER_S), signature: Signature::Good, moves_nothing: true });
    }
    plan
}

fn verdict(webhook: &Webhook, status: u16, before: &Value, after: &Value) -> &'static str {
    let is_as_it_must = match webhook.signature {
        Signature::Good => (200..300).contains(&status),
        Signature::OfAnother | Signature::Stale => (400..500).contains(&status),
    };
    let moved =
        ["status", "paymentStatus", "paidAmount", "refundedAmount", "creditAmount"].iter().any(|name| before[*name] != after[*name]);
    match (is_as_it_must, webhook.signature) {
        (true, _) if webhook.moves_nothing && moved => "moved the order",
        (true, _) => AS_IT_MUST,
        (false, Signature::Good) => "not taken",
        (false, _) if (200..300).contains(&status) => "taken, though it proves nothing",
        (false, _) => "not refused as such",
    }
}

async fn find(client: &Client, order: &str) -> Result<Value, Failure> {
    client.call(Method::GET, &format!("/api/admin/orders/{}", segment(order)), None).await
}

/// To the server of this data folder, or to a URL.
async fn deliver(client: &Client, url: Option<&str>, signature: &str, body: String) -> Result<(u16, String), Failure> {
    let Some(url) = url else {
        return client.deliver("/api/webhook/stripe", ("stripe-signature", signature), body).await;
    };
    let http = boot::http_client()?;
    let request = http.post(url).timeout(ANSWER_MAX).header("content-type", "application/json").header("stripe-signature", signature);
    let away = |error: reqwest::Error| Failure::unavailable(format!("{url} does not answer: {error}"));
    let response = request.body(body).send().await.map_err(away)?;
    Ok((response.status().as_u16(), response.text().await.map_err(away)?))
}
