//! The command line. One file per group of commands; those that touch orders or queues are clients of the HTTP router
//! (over the control socket of a running server, else in this process), so there is one implementation of each act.
//! This module and its parts alone may print, and use `anyhow`.

mod audit;
mod bench;
mod boot;
mod client;
mod config_command;
mod dead_letters;
mod demo;
mod dev;
mod doctor;
mod file_limit;
mod fsck;
mod healthcheck;
mod inbox;
mod keys;
mod logging;
mod logs;
mod migrate;
mod monitor;
mod node;
mod orders;
mod output;
mod pages;
mod queues;
mod serve;
mod users;
mod webhook;
mod worker;

use clap::{Args, Parser, Subcommand};
use output::{Format, Output};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit codes, as documented in `docs/operations.md`.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Failed, or found a violation.
    pub const FAILED: u8 = 1;
    /// Wrong usage or configuration.
    pub const USAGE: u8 = 2;
    /// Temporarily unavailable: trying again later makes sense.
    pub const UNAVAILABLE: u8 = 75;
}

/// Takes orders and money, and carries every paid order to its end exactly once in effect.
#[derive(Debug, Parser)]
#[command(name = "ordermill", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
struct Global {
    /// The settings file (default: `DIR/ordermill.toml` or `./ordermill.toml`, when there is one)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder (default: `./ordermill-data`)
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it out: everything inside, demo products, simulated Stripe, mail caught; loopback only
    Dev {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Let others reach it: no known accounts, one password drawn at each start; pages under /dev/ stay local
        #[arg(long)]
        expose: bool,
    },
    /// Run in production: API and workers in one process
    Serve {
        /// Where to listen, over what the settings say
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
        /// Serve the API only; workers run elsewhere
        #[arg(long)]
        no_worker: bool,
    },
    /// Run the workers only
    Worker {
        /// Do what is due now, then end
        #[arg(long)]
        once: bool,
    },
    /// Bring the store's schema up to date
    Migrate,
    /// Tell the whole story on a temporary store, in a few seconds
    Demo,
    /// Look at orders
    #[command(subcommand)]
    Orders(orders::Command),
    /// Look at queues and jobs, pause and resume queues
    #[command(subcommand)]
    Queue(queues::Command),
    /// Look at dead letters; put them right, try them again, throw them away
    #[command(subcommand)]
    Dlq(dead_letters::Command),
    /// Look at received provider events, and apply them again
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Send a really signed webhook to a running server
    #[command(subcommand)]
    TestWebhook(webhook::Command),
    /// Make and look after accounts
    #[command(subcommand)]
    User(users::Command),
    /// Make and revoke API keys
    #[command(subcommand)]
    Key(keys::Command),
    /// Look at what people did
    #[command(subcommand)]
    Audit(audit::Command),
    /// Read what the nodes on this data folder logged, also after they died
    Logs(logs::Wanted),
    /// See what happens: rates, waiting work, dead letters
    Monitor {
        /// Look again after so many seconds, until interrupted
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
    },
    /// Look for what usually goes wrong, and say what to do; exits 1 on a finding, 2 on wrong settings
    Doctor,
    /// Ask a server whether it takes work in; exits 1 when it does not
    Healthcheck {
        /// Where it listens (default: where the settings say)
        url: Option<String>,
    },
    /// Check every invariant of the store, reading only; exits 1 on a violation
    Fsck,
    /// Show and check the settings
    #[command(subcommand)]
    Config(config_command::Command),
    /// Print the API's OpenAPI description
    Openapi,
    /// Print the script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for every command into this folder instead
        folder: Option<PathBuf>,
    },
    /// Measure
    #[command(subcommand)]
    Bench(bench::Command),
}

/// Why a command did not succeed, and what the process exits with.
#[derive(Debug)]
struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Self::new(exit::UNAVAILABLE, message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(exit::FAILED, format!("{error:#}"))
    }
}

type Outcome = Result<(), Failure>;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&output, &Failure::unavailable(format!("cannot start: {error}"))),
    };
    let outcome = runtime.block_on(run(cli, &output));
    // Whatever still runs in the background must not keep the process: what counts is committed already.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(failure) => report(&output, &failure),
    }
}

fn report(output: &Output, failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        output.error(&failure.message);
    }
    ExitCode::from(failure.exit)
}

async fn run(cli: Cli, output: &Output) -> Outcome {
    let global = &cli.global;
    match cli.command {
        Command::Dev { listen, expose } => {
            let audience = if expose { dev::Audience::Everybody } else { dev::Audience::Local };
            dev::run(global, listen, audience, output).await
        }
        Command::Serve { listen, no_worker } => serve::run(global, listen, no_worker).await,
        Command::Worker { once } => worker::run(global, once, output).await,
        Command::Migrate => migrate::run(global, output).await,
        Command::Demo => demo::run(output).await,
        Command::Orders(command) => orders::run(global, command, output).await,
        Command::Queue(command) => queues::run(global, command, output).await,
        Command::Dlq(command) => dead_letters::run(global, command, output).await,
        Command::Inbox(command) => inbox::run(global, command, output).await,
        Command::TestWebhook(command) => webhook::run(global, command, output).await,
        Command::User(command) => users::run(global, command, output).await,
        Command::Key(command) => keys::run(global, command, output).await,
        Command::Audit(command) => audit::run(global, command, output).await,
        Command::Logs(wanted) => logs::run(global, &wanted, output).await,
        Command::Monitor { watch } => monitor::run(global, watch, output).await,
        Command::Doctor => doctor::run(global, output).await,
        Command::Healthcheck { url } => healthcheck::run(global, url.as_deref(), output).await,
        Command::Completions { shell } => {
            pages::completions(shell, output);
            Ok(())
        }
        Command::Man { folder } => pages::man(folder.as_deref(), output),
        Command::Fsck => fsck::run(global, output).await,
        Command::Config(command) => config_command::run(global, &command, output),
        Command::Openapi => {
            output.line(crate::http::openapi_text().trim_end());
            Ok(())
        }
        Command::Bench(command) => bench::run(command, output).await,
    }
}
