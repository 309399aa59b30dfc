//! `ordermill user …`

use super::client::{Client, segment};
use super::output::{Column, Format, Output, pretty};
use super::{Failure, Global, Outcome};
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};
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
    /// The accounts, newest first
    List {
        /// An e-mail address, or a part of one
        #[arg(long, value_name = "EMAIL")]
        search: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page begins: what the page before it ended with
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Give an account another role; the last admin keeps theirs
    SetRole {
        /// Its id or e-mail address
        user: String,
        /// What it may do: customer, student, staff or admin
        role: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
    /// Set an account's password, which ends its sessions; the password is read from standard input, one line
    ResetPassword {
        /// Its id or e-mail address
        user: String,
        /// Why; goes into the audit trail
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: &[Column] = &[("ID", "/id"), ("EMAIL", "/email"), ("ROLE", "/role"), ("NAME", "/name"), ("CREATED", "/createdAt")];

pub(super) async fn run(global: &Global, command: Command, output: &Output) -> Outcome {
    match command {
        Command::Create { email, role, name } => create(global, &email, &role, name, output).await,
        Command::List { search, limit, cursor } => {
            let filters = [("q", search), ("cursor", cursor)];
            let filters = filters.into_iter().filter_map(|(name, value)| value.map(|value| format!("&{name}={}", segment(&value))));
            let path = format!("/api/admin/users?limit={limit}{}", filters.collect::<String>());
            let client = Client::connect(global).await?;
            let outcome = client.call(Method::GET, &path, None).await.map(|answer| output.page(&answer, COLUMNS));
            client.close().await;
            outcome
        }
        Command::SetRole { user, role, reason } => {
            let body = json!({ "role": role, "reason": reason });
            act(global, &user, (Method::PUT, "role"), &body, (&format!("is {role}"), output)).await
        }
        Command::ResetPassword { user, reason } => {
            let body = json!({ "password": read_password(output)?, "reason": reason });
            act(global, &user, (Method::POST, "password"), &body, ("has the new password, and is signed out everywhere", output)).await
        }
    }
}

async fn create(global: &Global, email: &str, role: &str, name: Option<String>, output: &Output) -> Outcome {
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

/// Does something to one account, and says what it is now.
async fn act(global: &Global, user: &str, to: (Method, &str), body: &Value, told: (&str, &Output)) -> Outcome {
    let client = Client::connect(global).await?;
    let (method, part) = to;
    let outcome = match find(&client, user).await {
        Ok(id) => client.call(method, &format!("/api/admin/users/{}/{part}", segment(&id)), Some(body)).await.map(|answer| {
            let (sentence, output) = told;
            match output.format {
                Format::Table | Format::Csv => output.line(&format!("{user} {sentence}")),
                Format::Json => output.line(&pretty(&answer)),
            }
        }),
        Err(failure) => Err(failure),
    };
    client.close().await;
    outcome
}

/// The id of an account that a person names by id or address.
async fn find(client: &Client, user: &str) -> Result<String, Failure> {
    if !user.contains('@') {
        return Ok(user.to_owned());
    }
    let found = client.call(Method::GET, &format!("/api/admin/users?q={}", segment(user)), None).await?;
    let is_it = |row: &&Value| row.get("email").and_then(Value::as_str).is_some_and(|email| email.eq_ignore_ascii_case(user.trim()));
    let row = found.get("data").and_then(Value::as_array).and_then(|rows| rows.iter().find(is_it));
    let id = row.and_then(|row| row.get("id")).and_then(Value::as_str);
    id.map(ToOwned::to_owned).ok_or_else(|| Failure::new(super::exit::FAILED, format!("{user} has no account (not_found)")))
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
