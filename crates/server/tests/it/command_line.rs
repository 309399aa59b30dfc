//! The command line as people and scripts meet it: help, refusals, exit codes, output formats. Commands run as processes,
//! each test on a data folder of its own.

mod operating;

use crate::test_app::Folder;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Runs the binary in an empty environment but for the path, and returns what it said.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the binary runs")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordermill"));
    command.args(arguments).current_dir(folder).env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A `dev` server that is killed at the end of its test.
struct Dev {
    child: Child,
    url: String,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let log = std::fs::File::create(folder.join("out.log")).expect("a log");
        let mut command = command(folder, &["dev", "--listen", "127.0.0.1:0"]);
        let child = command.stdout(log).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut dev = Self { child, url: String::new() };
        for _ in 0..600 {
            let banner = std::fs::read_to_string(folder.join("out.log")).unwrap_or_default();
            if let Some(line) = banner.lines().find(|line| line.contains("/api/products")) {
                line.split_whitespace().last().expect("a URL").trim_end_matches("/api/products").clone_into(&mut dev.url);
                return dev;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("dev did not become ready");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn help_names_every_command() {
    let folder = Folder::new();
    let help = run(&folder.0, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    insta::assert_snapshot!(text(&help.stdout));
    for name in [
        "orders list",
        "orders show",
        "queue list",
        "queue pause",
        "dlq redrive",
        "inbox replay",
        "test-webhook stripe",
        "user create",
        "user list",
        "user set-role",
        "user reset-password",
        "key create",
        "key list",
        "key revoke",
        "audit list",
        "bench place",
        "bench lists",
        "bench slow-clients",
    ] {
        let mut arguments: Vec<&str> = name.split(' ').collect();
        arguments.push("--help");
        let help = run(&folder.0, &arguments);
        assert_eq!(help.status.code(), Some(0), "{name}");
        assert!(text(&help.stdout).contains("Usage: ordermill"), "{name}");
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    let folder = Folder::new();
    for arguments in [&["orders", "list", "--colour"][..], &["fly"], &[], &["dev", "--listen", "nowhere"], &["orders", "list", "-o", "xml"]]
    {
        let output = run(&folder.0, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let open = run(&folder.0, &["dev", "--listen", "0.0.0.0:1"]);
    assert_eq!(open.status.code(), Some(2));
    assert!(text(&open.stderr).contains("this machine only"), "{}", text(&open.stderr));
}

#[test]
fn serve_says_everything_that_is_missing_at_once() {
    let folder = Folder::new();
    let output = run(&folder.0, &["serve"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for setting in ["secret_key", "smtp_url", "from"] {
        assert!(said.lines().any(|line| line.contains(setting)), "{setting}: {said}");
    }
    let typo = command(&folder.0, &["config", "check"]).env("ORDERMILL__SERVER__LISTN", "127.0.0.1:1").output().expect("the binary runs");
    assert_eq!(typo.status.code(), Some(2));
    assert!(text(&typo.stderr).contains("ORDERMILL__SERVER__LISTN"), "{}", text(&typo.stderr));
}

#[test]
fn commands_reach_a_running_server_and_its_folder_afterwards() {
    let folder = Folder::new();
    let dev = Dev::start(&folder.0);
    let second = run(&folder.0, &["dev", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(75), "F42: a second process on one folder");
    let pid = dev.child.id().to_string();
    assert!(text(&second.stderr).contains(&pid), "it names the process that holds it: {}", text(&second.stderr));
    let queues = run(&folder.0, &["queue", "list", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&queues.stdout).expect("JSON");
    assert!(answer["data"].is_array() && queues.status.success());
    let made = with_input(&folder.0, &["user", "create", "boss@example.com", "--role", "admin"], "a long password\n");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let twice = with_input(&folder.0, &["user", "create", "boss@example.com"], "a long password\n");
    assert_eq!((twice.status.code(), text(&twice.stderr).contains("email_taken")), (Some(1), true));
    assert_eq!(with_input(&folder.0, &["user", "create", "x@example.com"], "").status.code(), Some(2), "no password");
    let missing = run(&folder.0, &["orders", "show", "DH999999"]);
    assert_eq!((missing.status.code(), text(&missing.stderr).contains("not_found")), (Some(1), true));
    let products = std::process::Command::new("curl").args(["-sS", &format!("{}/api/products", dev.url)]).output();
    assert!(products.is_ok_and(|output| text(&output.stdout).contains("CUP-01")));
    drop(dev);
    // Nobody serves now: the same commands open the store themselves.
    let check = run(&folder.0, &["fsck", "-o", "csv"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
    assert!(text(&check.stdout).starts_with("INVARIANT,MEANING,VIOLATIONS"));
    let serve = run(&folder.0, &["serve", "--data", "ordermill-data"]);
    assert_eq!(serve.status.code(), Some(2), "a folder of dev's never becomes production");
    assert_eq!(run(&folder.0, &["migrate"]).status.code(), Some(0));
    assert!(text(&run(&folder.0, &["migrate"]).stderr).contains("up to date"));
    assert_eq!(text(&run(&folder.0, &["dlq", "list"]).stderr).trim(), "nothing there");
}

#[test]
fn fsck_finds_a_spoilt_row_and_exits_with_one() {
    let folder = Folder::new();
    drop(Dev::start(&folder.0));
    spoil_stock(&folder.0.join("ordermill-data/ordermill.db"));
    let check = run(&folder.0, &["fsck", "-o", "json"]);
    assert_eq!(check.status.code(), Some(1), "{}", text(&check.stderr));
    let report: Value = serde_json::from_slice(&check.stdout).expect("JSON");
    let found: Vec<&str> = report["violations"].as_array().expect("a list").iter().filter_map(|row| row["invariant"].as_str()).collect();
    assert!(found.contains(&"I16"), "{report}");
}

/// Takes goods out of the house without a movement, as no change can.
fn spoil_stock(path: &Path) {
    let python = "import sqlite3,sys; db=sqlite3.connect(sys.argv[1]); db.execute('UPDATE stock SET available=available-1'); db.commit()";
    let output = Command::new("python3").args(["-c", python]).arg(path).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new();
    let script = format!("{} config example | head -n 1", env!("CARGO_BIN_EXE_ordermill"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(&folder.0).output().expect("a shell");
    assert!(output.status.success() && !text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

#[test]
fn the_demo_tells_the_whole_story() {
    let folder = Folder::new();
    let demo = run(&folder.0, &["demo"]);
    let told = text(&demo.stdout);
    assert_eq!(demo.status.code(), Some(0), "{told}\n{}", text(&demo.stderr));
    for sign in
        ["409  out_of_stock", "still pending/pending", "processing/paid", "the same webhook again: 200", "attempt 3", "redriven", "I16"]
    {
        assert!(told.contains(sign), "{sign}: {told}");
    }
}

fn with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = command(folder, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("written");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn people_keys_and_their_trail_are_looked_after() {
    let folder = Folder::new();
    drop(Dev::start(&folder.0));
    assert!(with_input(&folder.0, &["user", "create", "an@example.com", "--name", "An"], "a long password\n").status.success());
    let role = run(&folder.0, &["user", "set-role", "An@Example.com", "staff", "--reason", "helps out"]);
    assert!(role.status.success(), "{}", text(&role.stderr));
    let unknown = run(&folder.0, &["user", "set-role", "nobody@example.com", "staff", "--reason", "x"]);
    assert_eq!((unknown.status.code(), text(&unknown.stderr).contains("not_found")), (Some(1), true));
    let reset = with_input(&folder.0, &["user", "reset-password", "an@example.com", "--reason", "forgot it"], "another password\n");
    assert!(reset.status.success(), "{}", text(&reset.stderr));
    let listed: Value = serde_json::from_slice(&run(&folder.0, &["user", "list", "--search", "an@", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(listed["data"][0]["role"], "staff", "{listed}");
    let made = run(&folder.0, &["key", "create", "school", "--scope", "orders:create", "--scope", "orders:read"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let key = text(&made.stdout);
    assert!(key.starts_with("omk_live_") && key.trim().len() == 52, "the key alone: {key}");
    assert_eq!(run(&folder.0, &["key", "create", "school"]).status.code(), Some(2), "a key without scopes");
    let keys: Value = serde_json::from_slice(&run(&folder.0, &["key", "list", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(keys["data"][0]["shown"].as_str(), Some(&key[..16]));
    let id = keys["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(text(&run(&folder.0, &["key", "revoke", &id]).stdout).trim(), "school is revoked");
    let table = text(&run(&folder.0, &["key", "list"]).stdout);
    assert!(table.starts_with("ID") || table.trim_start().starts_with("ID"), "{table}");
    let audit = text(&run(&folder.0, &["audit", "list", "-o", "csv"]).stdout);
    let mut lines = audit.lines();
    assert_eq!(lines.next(), Some("AT,ACTOR,ACTION,SUBJECT,REASON"));
    let acts: Vec<&str> = lines.filter_map(|line| line.split(',').nth(2)).collect();
    assert_eq!(acts[..5], ["api_key.revoked", "api_key.created", "user.password_set", "user.role_set", "user.created"], "{audit}");
}
