//! `ordermill dlq …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, cell, is_watched, pretty};
use super::{Failure, Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest payload that is read; no job's comes near it.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The dead letters, latest first
    List {
        /// Only this queue's
        #[arg(long)]
        queue: Option<String>,
        /// Only those that died of something with this text in it
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Count them by what they died of
        #[arg(long, conflicts_with = "limit")]
        group_by_error: bool,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One dead letter with every attempt
    Show {
        /// Its key, as the list shows it: queue:group:number
        key: String,
    },
    /// Try one again under its old identity, or many
    Redrive {
        /// Its key, as the list shows it: queue:group:number
        #[arg(required_unless_present_any = ["queue", "search"], conflicts_with_all = ["queue", "search", "yes"])]
        key: Option<String>,
        /// All of this queue
        #[arg(long)]
        queue: Option<String>,
        /// All that died of something with this text in it
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Do it; without this, only say how many they are
        #[arg(long)]
        yes: bool,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
    /// Put a payload right, and try again under the old identity
    Edit {
        /// Its key, as the list shows it: queue:group:number
        key: String,
        /// The file with the payload as JSON; - is standard input
        #[arg(long, value_name = "FILE")]
        payload: PathBuf,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
    /// Throw one away; what it was to see to is left to people
    Discard {
        /// Its key, as the list shows it: queue:group:number
        key: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
}

const DEAD: &[Column] = &[("KEY", "/key"), ("ATTEMPTS", "/attempts"), ("DIED", "/diedAt"), ("WHY", "/why")];
const ACTS: &[Column] = &[("KEY", "/key"), ("AT", "/at"), ("REASON", "/reason")];
const GROUPS: &[Column] =
    &[("QUEUE", "/queue"), ("COUNT", "/count"), ("WHY", "/why"), ("OLDEST", "/oldest"), ("NEWEST", "/newest"), ("EXAMPLE", "/example")];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    // Before the store is asked for: whoever sends no payload need not wait for it.
    let payload = match &command {
        Command::Edit { payload, .. } => Some(read_payload(payload)?),
        _ => None,
    };
    let client = Client::connect(global).await?;
    let outcome = act(&client, command, payload, output).await;
    client.close().await;
    outcome
}

async fn act(client: &Client, command: Command, payload: Option<Value>, output: &Output) -> Outcome {
    match command {
        Command::List { queue, search, group_by_error: false, limit } => {
            let path = format!("/api/admin/dead-letters?limit={limit}{}", filters(queue.as_deref(), search.as_deref()));
            let answer = client.call(Method::GET, &path, None).await?;
            output.list(&answer, DEAD);
        }
        Command::List { queue, search, .. } => {
            let answer = grouped(client, queue.as_deref(), search.as_deref()).await?;
            output.list(&answer, GROUPS);
            if answer.get("cut").and_then(Value::as_bool).unwrap_or(false) {
                output.note(&format!("only the latest {} were looked at", cell(answer.get("counted"))));
            }
        }
        Command::Show { key } => {
            let answer = client.call(Method::GET, &format!("/api/admin/dead-letters/{}", segment(&key)), None).await?;
            show(output, &answer);
        }
        Command::Redrive { key: Some(key), reason, .. } => {
            let path = format!("/api/admin/dead-letters/{}/redrive", segment(&key));
            let answer = client.call(Method::POST, &path, Some(&json!({ "reason": reason }))).await?;
            say(output, (&answer, "/redriven"), ACTS, &format!("{key} waits again"));
        }
        Command::Redrive { key: None, queue, search, yes, reason } => {
            let wanted = Wanted { queue, search };
            return redrive_many(client, &wanted, yes, &reason, output).await;
        }
        Command::Edit { key, reason, .. } => {
            let body = json!({ "payload": payload, "reason": reason });
            let answer = client.call(Method::PUT, &format!("/api/admin/dead-letters/{}", segment(&key)), Some(&body)).await?;
            say(output, (&answer, "/redriven"), DEAD, &format!("{key} waits again with the new payload"));
        }
        Command::Discard { key, reason } => {
            let path = format!("/api/admin/dead-letters/{}/discard", segment(&key));
            let answer = client.call(Method::POST, &path, Some(&json!({ "reason": reason }))).await?;
            say(output, (&answer, "/discarded"), ACTS, &format!("{key} is gone"));
        }
    }
    Ok(())
}

/// Which dead letters are tried again together.
struct Wanted {
    queue: Option<String>,
    search: Option<String>,
}

async fn redrive_many(client: &Client, wanted: &Wanted, yes: bool, reason: &str, output: &Output) -> Outcome {
    let found = grouped(client, wanted.queue.as_deref(), wanted.search.as_deref()).await?;
    let count = found.get("counted").and_then(Value::as_u64).unwrap_or(0);
    let more = if found.get("cut").and_then(Value::as_bool).unwrap_or(false) { " or more" } else { "" };
    if !yes {
        return Err(Failure::usage(format!("{count}{more} dead letters would be tried again: say --yes to do it")));
    }
    let bar = if is_watched() { ProgressBar::new(count) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} dead letters, {eta} left") {
        bar.set_style(style);
    }
    let (mut redriven, mut gone, mut cursor) = (0, 0, None);
    loop {
        let body = json!({ "queue": wanted.queue, "q": wanted.search, "cursor": cursor, "reason": reason });
        let answer = match client.call(Method::POST, "/api/admin/dead-letters/redrive", Some(&body)).await {
            Ok(answer) => answer,
            Err(failure) => {
                bar.finish_and_clear();
                output.note(&format!("{redriven} wait again; what follows stopped it"));
                return Err(failure);
            }
        };
        let of = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        redriven += of("redriven");
        gone += of("gone");
        bar.set_position(redriven + gone);
        cursor = answer.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    let answer = json!({ "redriven": redriven, "gone": gone });
    match output.format {
        Format::Json => output.line(&pretty(&answer)),
        Format::Csv => output.list(&json!({ "data": [answer] }), &[("REDRIVEN", "/redriven"), ("GONE", "/gone")]),
        Format::Table => output.line(&format!("{redriven} wait again, {gone} were gone")),
    }
    Ok(())
}

async fn grouped(client: &Client, queue: Option<&str>, search: Option<&str>) -> Result<Value, Failure> {
    let filters = filters(queue, search);
    client.call(Method::GET, &format!("/api/admin/dead-letters/groups?{}", filters.trim_start_matches('&')), None).await
}

fn filters(queue: Option<&str>, search: Option<&str>) -> String {
    let queue = queue.map(|queue| format!("&queue={}", segment(queue)));
    let search = search.map(|search| format!("&q={}", segment(search)));
    queue.into_iter().chain(search).collect()
}

fn read_payload(path: &Path) -> Result<Value, Failure> {
    let unreadable = |why: String| Failure::usage(format!("no payload from {}: {why}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?)
    };
    let mut text = String::new();
    source.take(PAYLOAD_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))
}

/// What an act on one dead letter answered.
fn say(output: &Output, (answer, at): (&Value, &str), columns: &[Column], said: &str) {
    match output.format {
        Format::Table => output.line(said),
        Format::Csv => output.list(&json!({ "data": [answer.pointer(at)] }), columns),
        Format::Json => output.line(&pretty(answer)),
    }
}

fn show(output: &Output, dead: &Value) {
    if output.format == Format::Json {
        return output.line(&pretty(dead));
    }
    let history = json!({ "data": dead.get("history") });
    let columns = [("ATTEMPT", "/attempt"), ("AT", "/at"), ("COUNTED", "/counted"), ("WHY", "/why")];
    if output.format == Format::Table {
        let of = |pointer: &str| cell(dead.pointer(pointer));
        output.line(&format!("{}  {} attempts, died {}", of("/key"), of("/attempts"), of("/diedAt")));
        output.line(&format!("  {}", of("/payload")));
    }
    output.list(&history, &columns);
}
