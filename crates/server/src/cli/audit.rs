//! `ordermill audit …`

use super::client::{Client, segment};
use super::output::{Column, Output};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What people did, latest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page begins: what the page before it ended with
        #[arg(long)]
        cursor: Option<String>,
    },
}

const COLUMNS: &[Column] = &[("AT", "/at"), ("ACTOR", "/actor"), ("ACTION", "/action"), ("SUBJECT", "/subject"), ("REASON", "/reason")];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let Command::List { limit, cursor } = command;
    let cursor = cursor.map(|cursor| format!("&cursor={}", segment(&cursor))).unwrap_or_default();
    let client = Client::connect(global).await?;
    let path = format!("/api/admin/audit?limit={limit}{cursor}");
    let outcome = client.call(Method::GET, &path, None).await.map(|answer| output.page(&answer, COLUMNS));
    client.close().await;
    outcome
}
