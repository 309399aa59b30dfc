//! `ordermill fsck`: every invariant, checked by reading only.

use super::client::Client;
use super::output::{Format, Output, cell, is_watched, pretty};
use super::{Failure, Global, Outcome, exit};
use axum::http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

pub(super) async fn run(global: &Global, output: &Output) -> Outcome {
    let client = Client::connect(global).await?;
    let bar = if is_watched() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} checking {msg}") {
        bar.set_style(style);
    }
    let mut last = None;
    let streamed = client
        .stream(Method::POST, "/api/admin/fsck", |line| match line.get("progress") {
            Some(progress) => {
                bar.set_message(format!("{} {}", cell(progress.get("table")), cell(progress.get("records"))));
                bar.tick();
            }
            None => last = Some(line),
        })
        .await;
    bar.finish_and_clear();
    client.close().await;
    streamed?;
    let last = last.ok_or_else(|| Failure::unavailable("the check broke off"))?;
    match last.get("report") {
        Some(report) => print(output, report),
        None => Err(Failure::unavailable(cell(last.get("error")))),
    }
}

/// Prints a report; a violation is a failure.
pub(super) fn print(output: &Output, report: &Value) -> Outcome {
    let violations = report.get("violations").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.format == Format::Json {
        output.line(&pretty(report));
    } else {
        let columns = [("INVARIANT", "/id"), ("MEANING", "/meaning"), ("VIOLATIONS", "/violations")];
        output.list(&serde_json::json!({ "data": report.get("invariants") }), &columns);
        if !violations.is_empty() {
            let columns = [("INVARIANT", "/invariant"), ("SUBJECT", "/subject"), ("WHAT", "/what")];
            output.list(&serde_json::json!({ "data": violations }), &columns);
        }
    }
    match violations.len() {
        0 => {
            output.note("clean");
            Ok(())
        }
        count => Err(Failure::new(exit::FAILED, format!("{count} violations"))),
    }
}
