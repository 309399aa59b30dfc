//! `ordermill user …`

use super::client::Client;
use super::output::{Format, Output, pretty};
use super::{Failure, Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::json;
use std::io::{BufRead, IsTerminal};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account; the password is read from standard input, one line
    Create {
        /// Its e-mail address
        email: String,
        /// What it may do: customer, student, staff or admin
        #[arg(long, default_value = "customer")]
        role: String,
        /// The person's name
        #[arg(long)]
        name: Option<String>,
    },
}

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    let Command::Create { email, role, name } = command;
    let password = read_password(output)?;
    let client = Client::connect_or_make(global).await?;
    let body = json!({ "email": email, "password": password, "role": role, "name": name });
    let outcome = client.call(Method::POST, "/api/admin/users", Some(&body)).await.map(|answer| match output.format {
        Format::Table | Format::Csv => output.line(&format!("{email} is {role}")),
        Format::Json => output.line(&pretty(&answer)),
    });
    client.close().await;
    outcome
}

/// Never a flag: flags can be read by everybody on the machine, and stay in the shell's history.
fn read_password(output: &Output) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        output.note("password (it will be shown while you type; or pipe it in):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::usage(format!("no password: {error}")))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("no password: send one line on standard input")),
        password => Ok(password.to_owned()),
    }
}
