//! `ordermill queue …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, cell, pretty};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every queue: what waits, runs and lies dead
    List,
    /// The jobs that wait or run, in the order they become due
    Jobs {
        /// Only this queue's
        #[arg(long)]
        queue: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Let nobody claim a queue's jobs; those that run go on
    Pause {
        /// Its name, as the list shows it
        queue: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
    /// Let a queue's jobs be claimed again
    Resume {
        /// Its name, as the list shows it
        queue: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
}

const QUEUES: &[Column] = &[
    ("QUEUE", "/queue"),
    ("WAITING", "/waiting"),
    ("RUNNING", "/running"),
    ("DEAD", "/dead"),
    ("OLDEST DUE MS", "/oldestDueMs"),
    ("PAUSED", "/paused"),
    ("CIRCUIT OPEN MS", "/circuitOpenMs"),
];
const JOBS: &[Column] = &[
    ("KEY", "/key"),
    ("ATTEMPT", "/attempt"),
    ("RUNNING", "/running"),
    ("WORKER", "/worker"),
    ("DUE", "/dueAt"),
    ("JOB", "/payload/type"),
];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        Command::List => client.call(Method::GET, "/api/admin/queues", None).await.map(|answer| output.list(&answer, QUEUES)),
        Command::Jobs { queue, limit } => {
            let filter = queue.map(|queue| format!("&queue={}", segment(&queue))).unwrap_or_default();
            let path = format!("/api/admin/jobs?limit={limit}{filter}");
            client.call(Method::GET, &path, None).await.map(|answer| output.list(&answer, JOBS))
        }
        Command::Pause { queue, reason } => set_paused(&client, &queue, "pause", &reason, output).await,
        Command::Resume { queue, reason } => set_paused(&client, &queue, "resume", &reason, output).await,
    };
    client.close().await;
    outcome
}

async fn set_paused(client: &Client, queue: &str, act: &str, reason: &str, output: &Output) -> Outcome {
    let path = format!("/api/admin/queues/{}/{act}", segment(queue));
    let answer = client.call(Method::POST, &path, Some(&json!({ "reason": reason }))).await?;
    let waiting = cell(answer.get("waiting"));
    let state = if act == "pause" { "is paused: nothing of it is claimed until it is resumed" } else { "is not paused" };
    match output.format {
        Format::Json => output.line(&pretty(&answer)),
        Format::Csv => output.list(&json!({ "data": [answer] }), QUEUES),
        Format::Table => output.line(&format!("{queue} {state}; {waiting} jobs wait")),
    }
    Ok(())
}
