//! `ordermill queue …` and `ordermill dlq …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, cell, pretty};
use super::{Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
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
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetterCommand {
    /// The dead letters, latest first
    List {
        /// Only this queue's
        #[arg(long)]
        queue: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One dead letter with every attempt
    Show {
        /// Its key, as the list shows it: queue:group:number
        key: String,
    },
    /// Try one again, under its old identity
    Redrive {
        /// Its key, as the list shows it: queue:group:number
        key: String,
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
const DEAD: &[Column] = &[("KEY", "/key"), ("ATTEMPTS", "/attempts"), ("DIED", "/diedAt"), ("WHY", "/why")];

pub(super) async fn run_queue(global: &Global, command: QueueCommand, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        QueueCommand::List => client.call(Method::GET, "/api/admin/queues", None).await.map(|answer| output.list(&answer, QUEUES)),
        QueueCommand::Jobs { queue, limit } => {
            let path = list_path("jobs", queue.as_deref(), limit);
            client.call(Method::GET, &path, None).await.map(|answer| output.list(&answer, JOBS))
        }
    };
    client.close().await;
    outcome
}

pub(super) async fn run_dead_letters(global: &Global, command: DeadLetterCommand, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let outcome = match command {
        DeadLetterCommand::List { queue, limit } => {
            let path = list_path("dead-letters", queue.as_deref(), limit);
            client.call(Method::GET, &path, None).await.map(|answer| output.list(&answer, DEAD))
        }
        DeadLetterCommand::Show { key } => {
            let path = format!("/api/admin/dead-letters/{}", segment(&key));
            client.call(Method::GET, &path, None).await.map(|answer| show(output, &answer))
        }
        DeadLetterCommand::Redrive { key, reason } => {
            let path = format!("/api/admin/dead-letters/{}/redrive", segment(&key));
            let body = json!({ "reason": reason });
            client.call(Method::POST, &path, Some(&body)).await.map(|answer| match output.format {
                Format::Table | Format::Csv => output.line(&format!("{key} waits again")),
                Format::Json => output.line(&pretty(&answer)),
            })
        }
    };
    client.close().await;
    outcome
}

fn list_path(list: &str, queue: Option<&str>, limit: usize) -> String {
    let filter = queue.map(|queue| format!("&queue={}", segment(queue))).unwrap_or_default();
    format!("/api/admin/{list}?limit={limit}{filter}")
}

fn show(output: &Output, dead: &Value) {
    if output.format == Format::Json {
        return output.line(&pretty(dead));
    }
    let of = |pointer: &str| cell(dead.pointer(pointer));
    output.line(&format!("{}  {} attempts, died {}", of("/key"), of("/attempts"), of("/diedAt")));
    output.line(&format!("  {}", of("/payload")));
    let history = json!({ "data": dead.get("history") });
    output.list(&history, &[("ATTEMPT", "/attempt"), ("AT", "/at"), ("COUNTED", "/counted"), ("WHY", "/why")]);
}
