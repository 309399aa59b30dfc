//! `ordermill doctor`: looks at everything that usually goes wrong, and says for each thing what to do. It changes nothing
//! and sends nothing but greetings.

use super::boot;
use super::client::Client;
use super::output::{Column, Format, Output, cell, pretty};
use super::{Failure, Global, Outcome, exit};
use crate::app::SystemClock;
use crate::config::dev::STRIPE_PATH;
use crate::config::{Config, Level, Mode, Problem, check_serve};
use crate::mail::{Mailer, SmtpMailer, Templates};
use axum::http::{Method, StatusCode};
use rustix::fs::{Access, access, statvfs};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Less room than this for the store is worth a word: writes stop when it is gone.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// How far two clocks may be apart.
const CLOCK_MS_MAX: i64 = 5_000;
/// How long a due job may wait for a worker.
const DUE_MS_MAX: i64 = 5 * 60 * 1_000;
/// How long a received event may wait for its order.
const EVENT_MS_MAX: i64 = 60 * 60 * 1_000;
/// How long a provider may take to answer at all.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// As it should be.
    Fine,
    /// Good to know.
    Note,
    /// Somebody must do something.
    Finding,
    /// The settings are wrong.
    Wrong,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Finding => "finding",
            Self::Wrong => "wrong",
        }
    }
}

/// What was looked at, how it is, and what to do about it.
#[derive(Debug)]
struct Checked {
    about: String,
    state: State,
    what: String,
    fix: String,
}

/// What a whole look found.
#[derive(Debug, Default)]
struct Report(Vec<Checked>);

impl Report {
    fn add(&mut self, about: &str, state: State, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Checked { about: about.to_owned(), state, what: what.into(), fix: fix.into() });
    }

    fn fine(&mut self, about: &str, what: impl Into<String>) {
        self.add(about, State::Fine, what, "");
    }

    fn finding(&mut self, about: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(about, State::Finding, what, fix);
    }
}

pub(super) async fn run(global: &Global, output: &Output) -> Outcome {
    let mut report = Report::default();
    match boot::load(global, None) {
        Ok(loaded) => look(global, &loaded.config, &mut report).await,
        Err(failure) => {
            for line in failure.message.lines() {
                report.add("settings", State::Wrong, line, "`ordermill config example` shows every setting");
            }
        }
    }
    print(&report, output);
    conclude(&report, output)
}

async fn look(global: &Global, config: &Config, report: &mut Report) {
    check_settings(config, report);
    check_folder(config, report);
    check_store(global, report).await;
    check_mail(config, report).await;
    check_stripe(config, report).await;
}

fn check_settings(config: &Config, report: &mut Report) {
    if config.mode == Mode::Dev {
        return report.fine("settings", "good for `dev`; `serve` needs a data folder of its own");
    }
    let problems = check_serve(config);
    for Problem { level, place, message, hint } in &problems {
        let state = if *level == Level::Refusal { State::Wrong } else { State::Note };
        report.add("settings", state, format!("{place} {message}"), hint.clone().unwrap_or_default());
    }
    if problems.iter().all(|problem| problem.level != Level::Refusal) {
        report.fine("settings", "good for `serve`");
    }
    if let Err(error) = Templates::load(config.mail.templates_dir.as_deref()) {
        report.add("settings", State::Wrong, error.to_string(), "mend the file, or unset [mail] templates_dir");
    }
}

fn check_folder(config: &Config, report: &mut Report) {
    let (folder, shown) = (&config.data_dir, config.data_dir.display());
    if !folder.is_dir() {
        let fix = format!("name the right one with --data DIR, or make it with `ordermill migrate --data {shown}`");
        return report.finding("data folder", format!("there is no folder {shown}"), fix);
    }
    if access(folder, Access::WRITE_OK).is_err() {
        let fix = "run as the user who owns it, or give it to this one (chown)";
        return report.finding("data folder", format!("{shown} cannot be written to"), fix);
    }
    match statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let mebibytes = free >> 20;
            if free < FREE_BYTES_MIN {
                report.finding(
                    "data folder",
                    format!("only {mebibytes} MiB are free under {shown}"),
                    "make room: without it orders are refused",
                );
            } else {
                report.fine("data folder", format!("{shown}, {mebibytes} MiB free"));
            }
        }
        Err(error) => report.finding("data folder", format!("{shown} does not say how much room it has: {error}"), "check the disk"),
    }
}

/// The store, and through it clocks, queues and received events.
async fn check_store(global: &Global, report: &mut Report) {
    let client = match Client::connect(global).await {
        Ok(client) => client,
        Err(failure) => {
            let fix = match failure.exit {
                exit::USAGE => "do what it says; `ordermill migrate` makes a store and brings it up to date",
                _ => "start the database, or wait for the process that holds the store",
            };
            report.finding("store", failure.message, fix);
            return;
        }
    };
    if client.is_server() {
        report.fine("server", "answers on the control socket");
    } else {
        report.add("server", State::Note, "none runs on this data folder", "`ordermill serve` starts one");
    }
    let status = client.call(Method::GET, "/api/admin/status", None).await;
    client.close().await;
    match status {
        Ok(status) => judge(&status, report),
        Err(failure) => report.finding("store", failure.message, "look at the server's log"),
    }
}

fn judge(status: &Value, report: &mut Report) {
    let of = |pointer: &str| cell(status.pointer(pointer));
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let pending = status.pointer("/store/pendingMigrations").and_then(Value::as_array).map_or(0, Vec::len);
    match (of("/store/readOnly"), pending) {
        (why, 0) if why.is_empty() => report.fine("store", format!("{} {}, up to date", of("/store/backend"), of("/store/version"))),
        (why, 0) => report.finding("store", format!("it takes no writes: {why}"), "make room on its disk, or name the database's primary"),
        (_, count) => report.finding("store", format!("{count} migrations are pending"), "run `ordermill migrate`"),
    }
    let ahead_ms = number("/store/clockAheadMs");
    if ahead_ms.abs() > CLOCK_MS_MAX {
        let what = format!("the store's clock and this machine's are {} s apart", ahead_ms.abs() / 1_000);
        report.finding("clock", what, "let NTP set both; after a jump of this machine's, start the server again");
    } else {
        report.fine("clock", format!("{} ms from the store's", ahead_ms.abs()));
    }
    for queue in status.get("queues").and_then(Value::as_array).into_iter().flatten() {
        judge_queue(queue, report);
    }
    judge_events(status, report);
}

fn judge_queue(queue: &Value, report: &mut Report) {
    let number = |name: &str| queue.get(name).and_then(Value::as_i64).unwrap_or(0);
    let name = cell(queue.get("queue"));
    let about = format!("queue {name}");
    let before = report.0.len();
    if queue.get("paused") == Some(&json!(true)) {
        let what = format!("it is paused, and {} jobs wait", number("waiting"));
        report.finding(&about, what, format!("`ordermill queue resume {name} --reason TEXT` when its cause is mended"));
    }
    if number("circuitOpenMs") > 0 {
        let what = format!("its provider is away: the circuit is open for {} ms more", number("circuitOpenMs"));
        report.finding(&about, what, format!("see why with `ordermill queue jobs --queue {name} -o json`; it closes by itself"));
    }
    if number("oldestDueMs") > DUE_MS_MAX {
        let what = format!("its oldest due job has waited for {} s", number("oldestDueMs") / 1_000);
        report.finding(&about, what, "start a worker (`ordermill serve` or `ordermill worker`), or more of them");
    }
    if number("dead") > 0 {
        let what = format!("{} dead letters", number("dead"));
        let fix = format!("`ordermill dlq list --queue {name} --group-by-error`; mend the cause, then `ordermill dlq redrive`");
        report.finding(&about, what, fix);
    }
    if report.0.len() == before {
        report.fine(&about, format!("{} wait, {} run", number("waiting"), number("running")));
    }
}

fn judge_events(status: &Value, report: &mut Report) {
    let time = |pointer: &str| cell(status.pointer(pointer)).parse::<jiff::Timestamp>().ok();
    let age_ms = time("/at").zip(time("/inboxOpen/oldest")).map_or(0, |(now, then)| now.as_millisecond() - then.as_millisecond());
    let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (open, quarantined) = (count("/inboxOpen/count"), count("/inboxQuarantined/count"));
    if age_ms > EVENT_MS_MAX {
        let what = format!("{open} wait for their order, the oldest for {} min", age_ms / 60_000);
        report.finding(
            "received events",
            what,
            "`ordermill inbox list --state waiting`: do they belong to another shop of the same account?",
        );
    }
    if quarantined > 0 {
        let what = format!("{quarantined} could not be understood");
        report.finding("received events", what, "`ordermill inbox list --state quarantined`; `ordermill inbox replay EVENT --reason TEXT`");
    }
    if age_ms <= EVENT_MS_MAX && quarantined == 0 {
        report.fine("received events", format!("{open} wait for their order"));
    }
}

async fn check_mail(config: &Config, report: &mut Report) {
    let Some(url) = &config.mail.smtp_url else {
        if config.mode == Mode::Dev {
            report.fine("mail", "is caught: GET /dev/mail");
        }
        return;
    };
    let mailer = match SmtpMailer::new(url, &config.mail.from, config.mail.timeout_ms, Arc::new(SystemClock)) {
        Ok(mailer) => mailer,
        // The settings' own checks have said so already.
        Err(error) => return report.add("mail", State::Wrong, error.to_string(), "mend [mail]"),
    };
    match mailer.check().await {
        Ok(()) => report.fine("mail", "the server greets us and lets us in"),
        Err(error) => report.finding("mail", error.to_string(), "start the mail server, or mend [mail] smtp_url; mails wait until then"),
    }
}

async fn check_stripe(config: &Config, report: &mut Report) {
    let stripe = &config.stripe;
    let Some(key) = &stripe.secret_key else { return };
    if config.mode == Mode::Dev && stripe.api_url.ends_with(STRIPE_PATH) {
        return report.fine("stripe", "is simulated by `dev`");
    }
    let fix = "check network, proxy and firewall, and [stripe] api_url";
    let client = match boot::http_client() {
        Ok(client) => client,
        Err(failure) => return report.finding("stripe", failure.message, fix),
    };
    // A payment that nobody has: with our key it is not found, with a wrong one we are not let in.
    let nothing = format!("{}/v1/payment_intents/pi_of_nobody", stripe.api_url);
    match client.get(nothing).bearer_auth(key.expose_secret()).timeout(ANSWER_MAX).send().await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            let fix = "put the right key into [stripe] secret_key: cards cannot be paid until then";
            report.finding("stripe", format!("{} does not take our key", stripe.api_url), fix);
        }
        Ok(answer) => report.fine("stripe", format!("{} answers ({})", stripe.api_url, answer.status().as_u16())),
        Err(error) => report.finding("stripe", format!("{} does not answer: {}", stripe.api_url, cause(&error)), fix),
    }
}

/// The innermost reason, which says most.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn print(report: &Report, output: &Output) {
    let row = |Checked { about, state, what, fix }: &Checked| json!({ "about": about, "state": state.name(), "what": what, "fix": fix });
    let answer = json!({ "data": report.0.iter().map(row).collect::<Vec<_>>() });
    let columns: &[Column] = &[("ABOUT", "/about"), ("STATE", "/state"), ("WHAT", "/what"), ("FIX", "/fix")];
    match output.format {
        Format::Json => output.line(&pretty(&answer)),
        Format::Csv => output.list(&answer, columns),
        Format::Table => {
            for Checked { about, state, what, fix } in &report.0 {
                let fix = if fix.is_empty() { String::new() } else { format!(" → {fix}") };
                output.line(&format!("{:<8} {about}: {what}{fix}", state.name()));
            }
        }
    }
}

fn conclude(report: &Report, output: &Output) -> Outcome {
    let found = match report.0.iter().filter(|checked| checked.state >= State::Finding).count() {
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    match report.0.iter().map(|checked| checked.state).max() {
        Some(State::Wrong) => Err(Failure::usage(format!("the settings are wrong; {found}"))),
        Some(State::Finding) => Err(Failure::new(exit::FAILED, found)),
        _ => {
            output.note("nothing to do");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status as a server gives it when all is well, with one thing changed.
    fn judged(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut status = json!({
            "at": "2026-11-21T10:00:00Z",
            "store": { "backend": "sqlite", "version": "3", "pendingMigrations": [], "readOnly": null, "clockAheadMs": 20 },
            "queues": [{ "queue": "email", "waiting": 3, "running": 1, "dead": 0, "oldestDueMs": 0, "paused": false, "circuitOpenMs": 0 }],
            "inboxOpen": { "count": 2, "oldest": "2026-11-21T09:30:00Z", "cut": false },
            "inboxQuarantined": { "count": 0, "oldest": null, "cut": false },
        });
        change(&mut status);
        let mut report = Report::default();
        judge(&status, &mut report);
        let findings = report.0.into_iter().filter(|checked| checked.state >= State::Finding);
        findings.map(|checked| format!("{}: {} → {}", checked.about, checked.what, checked.fix)).collect()
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        assert_eq!(judged(|_| {}), [""; 0]);
    }

    #[test]
    fn each_trouble_is_found_alone_and_has_its_remedy() {
        let found = |pointer: &str, value: Value| {
            let found = judged(|status| *status.pointer_mut(pointer).expect("a field") = value);
            assert_eq!(found.len(), 1, "{pointer}: {found:?}");
            found.into_iter().next().unwrap_or_default()
        };
        for (pointer, value, what, fix) in [
            ("/store/clockAheadMs", json!(-90_000), "90 s apart", "NTP"),
            ("/store/readOnly", json!("disk full"), "takes no writes: disk full", "make room"),
            ("/store/pendingMigrations", json!(["0009"]), "1 migrations are pending", "ordermill migrate"),
            ("/queues/0/paused", json!(true), "paused, and 3 jobs wait", "ordermill queue resume email"),
            ("/queues/0/circuitOpenMs", json!(12_000), "open for 12000 ms", "closes by itself"),
            ("/queues/0/oldestDueMs", json!(400_000), "waited for 400 s", "start a worker"),
            ("/queues/0/dead", json!(2), "2 dead letters", "ordermill dlq list --queue email"),
            ("/inboxOpen/oldest", json!("2026-11-21T08:00:00Z"), "oldest for 120 min", "ordermill inbox list --state waiting"),
            ("/inboxQuarantined/count", json!(1), "1 could not be understood", "ordermill inbox replay"),
        ] {
            let line = found(pointer, value);
            let (said, remedy) = line.split_once(" → ").unwrap_or_default();
            assert!(said.contains(what) && remedy.contains(fix), "{line}");
        }
    }
}
