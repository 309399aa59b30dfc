//! What only `dev` has, and answers only to the machine itself: a loopback `Host` and no sign of a proxy in between.

use super::Shared;
use super::problem::Problem;
use axum::Json as Answer;
use axum::extract::{Request, State};
use axum::http::header;
use serde_json::{Value, json};

/// Headers that only a proxy adds.
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// `GET /dev/mail`
pub(super) async fn mail(State(shared): State<Shared>) -> Answer<Value> {
    let caught = shared.catcher.map(|catcher| catcher.list()).unwrap_or_default();
    Answer(json!({ "data": caught }))
}

/// Refuses requests for anything of `dev`'s that did not come straight from this machine, as if the route did not exist.
pub(super) fn check_local(request: &Request) -> Result<(), Problem> {
    if !request.uri().path().starts_with("/dev/") {
        return Ok(());
    }
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let is_loopback = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    if is_loopback && !FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        Ok(())
    } else {
        Err(Problem::new("not_found", "there is no such route"))
    }
}
