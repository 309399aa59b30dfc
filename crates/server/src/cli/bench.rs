//! `ordermill bench`: how fast it is, measured the way it is used. Every benchmark works on a fresh store, checks what it
//! was answered, and prints one rate; a run in which anything failed is a failure, whatever its rate.

mod baseline;
mod latency;
mod lists;
mod load;
mod node;
mod place;
mod process;
mod queue;
mod server;
mod slow_clients;
mod stopwatch;
mod world;

use super::demo::TemporaryFolder;
use super::output::{Column, Format, Output};
use super::{Failure, Outcome};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Place orders over HTTP, as fast as a server of its own takes them
    Place(place::Flags),
    /// Queue, claim and finish jobs that do nothing
    Queue(queue::Flags),
    /// Look at customers' order lists, kept at hand and not
    Lists(lists::Flags),
    /// What thousands of clients that dawdle do to those that behave
    SlowClients(slow_clients::Flags),
    /// What `place` is compared with: a plain `SQLite` loop, one order per transaction
    Baseline(baseline::Flags),
    /// The server of `place`, told by its standard input what to do
    #[command(hide = true)]
    Serve,
}

/// The store that is measured.
#[derive(Debug, Clone, Args)]
struct Target {
    /// Which store
    #[arg(long, value_enum, default_value_t = Backend::Sqlite)]
    store: Backend,
    /// Where Postgres is; its schema must be empty (`postgres://…?schema=NAME`)
    #[arg(long, value_name = "URL", required_if_eq("store", "postgres"))]
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Sqlite,
    Postgres,
}

impl Target {
    /// The store's URL: that of a fresh file in the folder, unless it is given.
    fn url(&self, folder: &TemporaryFolder) -> Result<String, Failure> {
        match (self.store, &self.url) {
            (Backend::Sqlite, None) => Ok(format!("sqlite:{}", folder.0.join("bench.db").display())),
            (Backend::Sqlite, Some(_)) => Err(Failure::usage("a SQLite store is made in a temporary folder (see TMPDIR): leave out --url")),
            (Backend::Postgres, Some(url)) => Ok(url.clone()),
            (Backend::Postgres, None) => Err(Failure::usage("--store postgres needs --url")),
        }
    }

    fn name(&self) -> &'static str {
        match self.store {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
        }
    }
}

pub(super) async fn run(command: Command, output: &Output) -> Outcome {
    let measured = async {
        match command {
            Command::Place(flags) => place::run(flags, output).await,
            Command::Queue(flags) => queue::run(flags, output).await,
            Command::Lists(flags) => lists::run(flags, output).await,
            Command::SlowClients(flags) => slow_clients::run(flags, output).await,
            Command::Baseline(flags) => baseline::run(flags, output).await,
            Command::Serve => server::run(output).await,
        }
    };
    // Ended by hand, the folder must go too.
    tokio::select! {
        outcome = measured => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(super::exit::FAILED, "stopped by hand; nothing was measured")),
    }
}

/// Prints what was measured: for programs the object alone and on one line, as the last line.
fn print(output: &Output, result: &Value, columns: &[Column]) {
    match output.format {
        Format::Json => output.line(&result.to_string()),
        Format::Table | Format::Csv => output.list(&json!({ "data": [result] }), columns),
    }
}

/// A measured value with as many digits as mean something.
fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
