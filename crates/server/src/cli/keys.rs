//! `ordermill key …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, cell, pretty};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an API key; it is printed once and kept nowhere
    Create {
        /// What people call it
        name: String,
        /// What it may do: orders:create, orders:read, catalogue:write, webhooks:read; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// From when on it opens nothing any more: 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// The API keys, newest first, revoked ones among them
    List {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page begins: what the page before it ended with
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Take a key back: it opens nothing from now on
    Revoke {
        /// Its id, as the list shows it
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("KEY", "/shown"),
    ("SCOPES", "/scopes"),
    ("CREATED", "/createdAt"),
    ("EXPIRES", "/expiresAt"),
    ("REVOKED", "/revokedAt"),
];

const KEYS: &str = "/api/admin/api-keys";

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        Command::Create { name, scopes, expires } => {
            let body = json!({ "name": name, "scopes": scopes, "expiresAt": expires });
            client.call(Method::POST, KEYS, Some(&body)).await.map(|answer| told_once(output, &answer))
        }
        Command::List { limit, cursor } => {
            let cursor = cursor.map(|cursor| format!("&cursor={}", segment(&cursor))).unwrap_or_default();
            let path = format!("{KEYS}?limit={limit}{cursor}");
            client.call(Method::GET, &path, None).await.map(|answer| output.page(&answer, COLUMNS))
        }
        Command::Revoke { id } => {
            let path = format!("{KEYS}/{}", segment(&id));
            client.call(Method::DELETE, &path, None).await.map(|answer| match output.format {
                Format::Table | Format::Csv => output.line(&format!("{} is revoked", cell(answer.get("name")))),
                Format::Json => output.line(&pretty(&answer)),
            })
        }
    };
    client.close().await;
    outcome
}

/// The key alone on standard output, so that a script can take it.
fn told_once(output: &Output, answer: &Value) {
    if output.format == Format::Json {
        return output.line(&pretty(answer));
    }
    output.line(&cell(answer.get("key")));
    output.note(&format!("{}: keep it now, it will not be shown again", cell(answer.get("name"))));
}
