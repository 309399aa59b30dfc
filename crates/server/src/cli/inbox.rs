//! `ordermill inbox …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, pretty};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The received events, newest first
    List {
        /// Only these: applied, waiting, reading, quarantined, unrelated
        #[arg(long)]
        state: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Apply one again
    Replay {
        /// The provider's id of the event
        event: String,
        /// Who sent it
        #[arg(long, default_value = "stripe")]
        provider: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: &[Column] = &[
    ("PROVIDER", "/provider"),
    ("EVENT", "/eventId"),
    ("TYPE", "/type"),
    ("STATE", "/state"),
    ("OUTCOME", "/outcome"),
    ("RECEIVED", "/receivedAt"),
];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        Command::List { state, limit } => {
            let filter = state.map(|state| format!("&state={}", segment(&state))).unwrap_or_default();
            let path = format!("/api/admin/inbox?limit={limit}{filter}");
            client.call(Method::GET, &path, None).await.map(|answer| output.list(&answer, COLUMNS))
        }
        Command::Replay { event, provider, reason } => {
            let path = format!("/api/admin/inbox/{}/{}/replay", segment(&provider), segment(&event));
            let body = json!({ "reason": reason });
            client.call(Method::POST, &path, Some(&body)).await.map(|answer| match output.format {
                Format::Table | Format::Csv => output.line(&format!("{event} will be applied again")),
                Format::Json => output.line(&pretty(&answer)),
            })
        }
    };
    client.close().await;
    outcome
}
