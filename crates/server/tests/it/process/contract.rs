//! The OpenAPI description against the server that serves it: schemathesis makes requests from the description, good and
//! hostile ones, and compares every answer with it (F53, F55, F66). What it says, it keeps: no 5xx, no undocumented status,
//! no body of another shape, no hostile request let through, no route open that says it is not.

use super::server::Settings;
use crate::test_app::{Folder, python};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Requests made for each operation.
const EXAMPLES: &str = "40";
/// The same requests in every run.
const SEED: &str = "20261121";
/// A part of what it takes when the machine is busy with other tests.
const TIME_MAX: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_does_what_its_description_says() {
    let folder = Folder::new();
    let settings = Settings::new(folder.0.join("data"), folder.0.join("server.log"));
    let server = settings.start_ready().await;
    let login = json!({ "email": "admin@example.com", "password": "ordermill-dev" });
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
    let answer = http.post(settings.url("/api/users/login")).json(&login).send().await.expect("an answer");
    let session: Value = answer.json().await.expect("JSON");
    let token = session["token"].as_str().unwrap_or_else(|| panic!("no token: {session}"));

    let mut command = Command::new(schemathesis());
    command.args(["run", &settings.url("/openapi.json"), "--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1", "--phases", "examples,coverage,fuzzing"]);
    // A request of the right shape may still be refused: a cursor that is none, a product that is not there.
    command.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--no-color"]);
    // It would end the session that every other request is made with.
    command.args(["--exclude-path", "/api/users/logout"]);
    command.current_dir(&folder.0).stdin(Stdio::null()).kill_on_drop(true);
    let ran = timeout(TIME_MAX, command.output()).await.expect("it ends").expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    let said: String = said.lines().filter(|line| line.len() < 1_000).collect::<Vec<_>>().join("\n");
    assert_eq!(ran.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains(" passed"), "{said}");
    server.stop().await;
}

/// The program beside the Python of the tests.
fn schemathesis() -> PathBuf {
    PathBuf::from(python()).with_file_name("st")
}
