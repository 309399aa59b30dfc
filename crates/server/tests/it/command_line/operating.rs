//! What an operator types: pausing, looking after dead letters, `monitor`, `doctor`, `healthcheck`; on set-ups that are
//! broken, too.

use super::{Dev, command, run, text};
use crate::test_app::Folder;
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// What `doctor` says of one thing, as `state: what → fix` lines.
fn findings(output: &Output, about: &str) -> Vec<String> {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let rows = answer["data"].as_array().expect("a list").iter();
    let line = |row: &Value| format!("{}: {} → {}", row["state"], row["what"], row["fix"]).replace('"', "");
    rows.filter(|row| row["about"] == about).map(line).collect()
}

/// The banner comes a moment before the control socket, without which commands would open the store themselves.
fn wait_for_control(folder: &Path) {
    let socket = folder.join("ordermill-data/control.sock");
    for _ in 0..600 {
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody answers on the control socket");
}

/// Settings that `serve` takes, with a mail server and a Stripe that nobody answers for.
fn production(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command(folder, arguments);
    for (name, value) in [
        ("SERVER__SECRET_KEY", "3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs="),
        ("MAIL__SMTP_URL", "smtp://127.0.0.1:9"),
        ("MAIL__FROM", "Shop <shop@example.com>"),
        ("STRIPE__API_URL", "http://127.0.0.1:9"),
        ("STRIPE__SECRET_KEY", "sk_live_doctor"),
        ("STRIPE__WEBHOOK_SECRETS", "whsec_doctor_doctor"),
    ] {
        command.env(format!("ORDERMILL__{name}"), value);
    }
    command
}

#[test]
fn doctor_finds_nothing_on_a_healthy_dev_server() {
    let folder = Folder::new();
    let dev = Dev::start(&folder.0);
    wait_for_control(&folder.0);
    let healthy = run(&folder.0, &["doctor"]);
    let said = text(&healthy.stdout);
    assert_eq!(healthy.status.code(), Some(0), "{said}\n{}", text(&healthy.stderr));
    for sign in ["ok       settings", "ok       store", "ok       clock", "ok       stripe", "control socket"] {
        assert!(said.contains(sign), "{sign}: {said}");
    }
    let paused = run(&folder.0, &["queue", "pause", "email", "--reason", "the mail server moves"]);
    assert_eq!(paused.status.code(), Some(0), "{}", text(&paused.stderr));
    assert_eq!(run(&folder.0, &["queue", "pause", "pigeons", "--reason", "x"]).status.code(), Some(1));
    let sick = run(&folder.0, &["doctor", "-o", "json"]);
    assert_eq!(sick.status.code(), Some(1), "{}", text(&sick.stdout));
    let found = findings(&sick, "queue email");
    assert!(found[0].contains("paused") && found[0].contains("ordermill queue resume email"), "{found:?}");
    let resumed = run(&folder.0, &["queue", "resume", "email", "--reason", "it has moved"]);
    assert!(text(&resumed.stdout).contains("not paused"), "{}", text(&resumed.stderr));
    assert_eq!(run(&folder.0, &["doctor"]).status.code(), Some(0));

    let looked = run(&folder.0, &["monitor", "-o", "json"]);
    let seen: Value = serde_json::from_slice(&looked.stdout).expect("JSON");
    assert!(seen["perMinute"]["ordersPlaced"].is_number() && seen["queues"].is_array(), "{seen}");
    assert!(text(&run(&folder.0, &["monitor"]).stdout).contains("dead letters        0"));
    let ready = run(&folder.0, &["healthcheck", &dev.url]);
    assert_eq!((ready.status.code(), text(&ready.stdout).trim()), (Some(0), "ready"), "{}", text(&ready.stderr));
    let found = run(&folder.0, &["healthcheck"]);
    assert_eq!((found.status.code(), text(&found.stdout).trim()), (Some(0), "ready"), "it finds the port of --listen: {found:?}");
    let url = dev.url.clone();
    drop(dev);
    assert_eq!(run(&folder.0, &["healthcheck"]).status.code(), Some(1), "what a killed server announced leads to nobody");
    assert_eq!(run(&folder.0, &["healthcheck", &url]).status.code(), Some(1), "nobody is there any more");
    assert_eq!(run(&folder.0, &["monitor", "--watch", "1"]).status.code(), Some(75), "nothing to watch");
}

#[test]
fn doctor_says_what_is_broken_and_what_to_do() {
    let folder = Folder::new();
    let missing = production(&folder.0, &["doctor", "--data", "nowhere", "-o", "json"]).output().expect("the binary runs");
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing.stdout));
    for (about, sign) in [
        ("data folder", "there is no folder nowhere → name the right one"),
        ("store", "ordermill migrate"),
        ("mail", "start the mail server"),
        ("stripe", "does not answer"),
    ] {
        let found = findings(&missing, about);
        assert!(found.iter().any(|line| line.starts_with("finding") && line.contains(sign)), "{about}: {found:?}");
    }
    assert!(!folder.0.join("nowhere").exists(), "who looks makes nothing");
    let said = text(&missing.stdout);
    assert!(!said.contains("sk_live_doctor") && !said.contains("whsec_doctor"), "{said}");

    for (setting, value) in [("SERVER__SECRET_KEY", "short"), ("STRIPE__WEBHOOK_SECRETS", ""), ("SERVER__LISTN", "x")] {
        let name = format!("ORDERMILL__{setting}");
        let wrong = production(&folder.0, &["doctor", "-o", "json"]).env(&name, value).output().expect("the binary runs");
        assert_eq!(wrong.status.code(), Some(2), "{setting}: {}", text(&wrong.stdout));
        assert!(findings(&wrong, "settings").iter().any(|line| line.starts_with("wrong")), "{setting}: {}", text(&wrong.stdout));
    }
}

#[test]
fn many_dead_letters_need_a_yes() {
    let folder = Folder::new();
    drop(Dev::start(&folder.0));
    let asked = run(&folder.0, &["dlq", "redrive", "--queue", "email", "--reason", "x"]);
    assert_eq!((asked.status.code(), text(&asked.stderr).contains("--yes")), (Some(2), true), "{}", text(&asked.stderr));
    let done = run(&folder.0, &["dlq", "redrive", "--queue", "email", "--yes", "--reason", "x", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(answer, serde_json::json!({ "redriven": 0, "gone": 0 }));
    let grouped = run(&folder.0, &["dlq", "list", "--group-by-error", "--search", "x y", "-o", "csv"]);
    assert_eq!(text(&grouped.stdout).trim(), "QUEUE,COUNT,WHY,OLDEST,NEWEST,EXAMPLE", "{}", text(&grouped.stderr));
    assert_eq!(run(&folder.0, &["dlq", "redrive", "--reason", "x"]).status.code(), Some(2), "neither a key nor a filter");
    assert_eq!(run(&folder.0, &["dlq", "edit", "email:x:1", "--payload", "nofile", "--reason", "x"]).status.code(), Some(2));
    assert_eq!(run(&folder.0, &["dlq", "discard", "email:x:1", "--reason", "x"]).status.code(), Some(1));
    let edit = ["dlq", "edit", "email:x:1", "--payload", "-", "--reason", "x"];
    let edited = super::with_input(&folder.0, &edit, "{\"type\":\"email.order_paid.v1\"}");
    assert_eq!((edited.status.code(), text(&edited.stderr).contains("not_found")), (Some(1), true), "{}", text(&edited.stderr));
}

#[test]
fn settings_are_shown_with_their_origin_and_without_secrets() {
    let folder = Folder::new();
    let shown = production(&folder.0, &["config", "show", "--origin", "-o", "csv"]).output().expect("the binary runs");
    let said = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(said.contains("stripe.secret_key,[set],env ORDERMILL__STRIPE__SECRET_KEY"), "{said}");
    assert!(said.contains("server.listen,127.0.0.1:8080,default"), "{said}");
    assert!(!said.contains("sk_live_doctor"), "{said}");
    let plain = production(&folder.0, &["config", "show"]).output().expect("the binary runs");
    assert!(!text(&plain.stdout).contains("ORIGIN") && text(&plain.stdout).contains("SETTING"));
}

#[test]
fn shells_and_readers_get_their_pages() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&folder.0, &["completions", shell]);
        assert!(script.status.success() && text(&script.stdout).contains("test-webhook"), "{shell}");
    }
    assert!(text(&run(&folder.0, &["man"]).stdout).contains(".TH ordermill"));
    assert_eq!(run(&folder.0, &["man", "."]).status.code(), Some(0));
    assert!(folder.0.join("ordermill-queue-pause.1").exists());
}
