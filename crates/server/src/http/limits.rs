//! What stands around every request: its id, a share of the process, time limits, panics caught, problems rendered, the
//! headers that every answer carries, one log line.

use super::arriving::Arriving;
use super::problem::{Problem, of_status};
use super::waiting::{Waiting, reserve_of};
use super::{Shared, dev};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use ordermill_store::failpoint;
use prometheus_client::metrics::counter::Counter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a request waits for the room of one that was sent away.
const PATIENCE: Duration = Duration::from_millis(20);

/// How many requests of a kind run at once. A further one takes the place of the one whose body has been on its way longest;
/// when every one is being worked on it is told to come back, at once, before anything is read.
#[derive(Clone)]
pub(super) struct Share {
    slots: Arc<Semaphore>,
    reserve: usize,
    waiting: Arc<Waiting>,
    sent_away: Counter,
}

impl Share {
    /// A share of so many requests, which counts those that it has no room for.
    pub(super) fn new(requests_max: usize, sent_away: Counter) -> Self {
        Self { slots: Arc::new(Semaphore::new(requests_max)), reserve: reserve_of(requests_max), waiting: Arc::default(), sent_away }
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        let is_scarce = self.slots.available_permits() <= self.reserve;
        let makes_room = is_scarce && self.waiting.send_longest_away(Instant::now());
        if let Ok(slot) = self.slots.try_acquire() {
            return Some(slot);
        }
        if !makes_room {
            return None;
        }
        tokio::time::timeout(PATIENCE, self.slots.acquire()).await.ok()?.ok()
    }
}

/// Lets a request in if its kind has room.
pub(super) async fn admit(State(share): State<Share>, request: Request, next: Next) -> Response {
    let overloaded = || {
        share.sent_away.inc();
        Problem::new("overloaded", "too many requests at once").retry_after(1).into_response()
    };
    let Some(_slot) = share.slot().await else { return overloaded() };
    let place = Waiting::beside(&share.waiting);
    let request = request.map(|body| Arriving::watch(body, &place));
    tokio::select! {
        biased;
        response = next.run(request) => response,
        // Nothing was begun: a body that is not whole is never handed on.
        () = place.gives_way() => overloaded(),
    }
}

/// The outermost layer.
pub(super) async fn around(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let app = &shared.app;
    let id = hex::encode(app.random::<8>());
    let started = app.now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
    let limit = Duration::from_millis(app.config.server.request_timeout_ms);
    // What is logged about a request carries its id, and its order once that is known.
    let span = tracing::info_span!("request", request_id = id, %method, route, order = Empty);
    let response = if failpoint::hit("http.accepted").is_err() {
        Problem::new("unavailable", "fail point").into_response()
    } else if let Err(problem) = dev::check_local(&request) {
        problem.into_response()
    } else {
        match tokio::time::timeout(limit, AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(_panic)) => {
                span.in_scope(|| tracing::error!("a handler panicked"));
                Problem::new("internal", "something broke on our side; it has been noted").into_response()
            }
            Err(_) => Problem::new("unavailable", "the request took too long; sending it again tells").retry_after(1).into_response(),
        }
    };
    let mut response = finish(response, &id);
    let millis = app.now().ms_since(started);
    app.metrics.request_done(&route, response.status().as_u16(), app.now().micros() - started.micros());
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), millis, "request"));
    add_headers(&mut response, &id);
    response
}

/// Renders problems, including those that a layer or the router left without a body.
fn finish(response: Response, id: &str) -> Response {
    let status = response.status();
    if let Some(problem) = response.extensions().get::<Problem>() {
        return problem.render(id);
    }
    let has_body = response.headers().contains_key(header::CONTENT_TYPE) && !is_plain_text(&response);
    if (status.is_client_error() || status.is_server_error())
        && !has_body
        && let Some(problem) = of_status(status)
    {
        let allow = response.headers().get(header::ALLOW).cloned();
        let mut rendered = problem.render(id);
        if let Some(allow) = allow {
            rendered.headers_mut().insert(header::ALLOW, allow);
        }
        return rendered;
    }
    response
}

fn is_plain_text(response: &Response<Body>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("text/plain"))
}

/// How many headers every answer gets here.
const HEADERS: usize = 6;

/// Headers of every answer (reference: OWASP REST Security).
fn add_headers(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    // Once instead of by and by: every answer passes here.
    headers.reserve(HEADERS);
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
