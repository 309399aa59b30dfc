//! The HTTP side: who may ask, which request it is, and in what broken way it is answered.
//!
//! "Accepts, then resets" answers with a body that fails at once. The HTTP library then closes the connection; the head
//! may or may not have left before, so the other side sees a connection that ended before or amid the answer, never a
//! whole one.

use super::answer::Answer;
use super::execute::{Answered, Op, Request};
use super::mode::Mode;
use super::params::Params;
use super::{StripeSimulator, lock};
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Stripe's own pinned version, for requests that name none.
const API_VERSION: &str = "2026-10-28.endive";
const KEY_CHARS_MAX: usize = 255;
/// A request of ours is below 1 KiB.
const BODY_BYTES_MAX: usize = 64 * 1_024;

type Simulator = State<Arc<StripeSimulator>>;

pub(super) fn router(simulator: Arc<StripeSimulator>) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create_intent))
        .route("/v1/payment_intents/{id}", get(retrieve_intent))
        .route("/v1/payment_intents/{id}/confirm", post(confirm_intent))
        .route("/v1/payment_intents/{id}/cancel", post(cancel_intent))
        .route("/v1/charges/{id}", get(retrieve_charge))
        .route("/_mode", post(set_mode))
        .fallback(unknown_url)
        .method_not_allowed_fallback(unknown_url)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(simulator)
}

/// `POST /_mode` with `{"mode":"slow(500)"}`: not Stripe's, for tests and for trying things out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    mode: String,
}

async fn set_mode(State(simulator): Simulator, Json(request): Json<SetMode>) -> Response {
    let Some(mode) = Mode::parse(&request.mode) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "there is no such mode" }))).into_response();
    };
    simulator.set_mode(mode);
    Json(json!({ "mode": request.mode })).into_response()
}

async fn create_intent(State(simulator): Simulator, headers: HeaderMap, form: Result<Bytes, BytesRejection>) -> Response {
    simulator.serve(Op::Create, &headers, form).await
}

async fn retrieve_intent(State(simulator): Simulator, Path(id): Path<String>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    simulator.serve(Op::Retrieve { id }, &headers, Ok(query.unwrap_or_default().into())).await
}

async fn confirm_intent(
    State(simulator): Simulator,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Response {
    simulator.serve(Op::Confirm { id }, &headers, form).await
}

async fn cancel_intent(
    State(simulator): Simulator,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Response {
    simulator.serve(Op::Cancel { id }, &headers, form).await
}

async fn retrieve_charge(State(simulator): Simulator, Path(id): Path<String>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    simulator.serve(Op::RetrieveCharge { id }, &headers, Ok(query.unwrap_or_default().into())).await
}

async fn unknown_url(method: Method, uri: Uri) -> Response {
    let message = format!("Unrecognized request URL ({method}: {}).", uri.path());
    respond(&Answer::error(404, "invalid_request_error", None, &message))
}

impl StripeSimulator {
    /// Serves one request of the API in the mode of the moment.
    async fn serve(self: Arc<Self>, op: Op, headers: &HeaderMap, form: Result<Bytes, BytesRejection>) -> Response {
        let mode = self.modes().answers;
        if mode == Mode::Unreachable {
            return respond(&Answer::broken(503, "The simulator is told to be unreachable."));
        }
        let request_id = self.fresh_id("req_");
        let mut response = match self.read(op, headers, form, &request_id) {
            Ok(request) => Arc::clone(&self).serve_request(request, mode).await,
            Err(refusal) => respond(&refusal),
        };
        if let Ok(request_id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, request_id);
        }
        response
    }

    async fn serve_request(self: Arc<Self>, request: Request, mode: Mode) -> Response {
        let Some(_in_flight) = self.begin(request.key.as_deref()) else {
            let message = "There is currently another in-progress request using this Idempotency-Key.";
            let busy = Answer::error(409, "invalid_request_error", Some("idempotency_key_in_use"), message);
            return with_header(respond(&busy), SHOULD_RETRY, HeaderValue::from_static("true"));
        };
        // Whatever begins is finished, even when the client hangs up meanwhile.
        let simulator = Arc::clone(&self);
        let Ok(Answered { answer, is_replay }) = tokio::task::spawn_blocking(move || simulator.answer(&request)).await else {
            return respond(&Answer::broken(500, "The simulator failed."));
        };
        match mode {
            Mode::AcceptThenReset => return reset(),
            Mode::Error500After => return respond(&Answer::broken(500, "The simulator lost its answer.")),
            Mode::Slow { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        let is_stored_failure = answer.status >= 500;
        let mut response = respond(&answer);
        if is_stored_failure {
            response = with_header(response, SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if is_replay {
            response = with_header(response, REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }

    /// Checks who asks and reads what is asked.
    fn read(&self, op: Op, headers: &HeaderMap, form: Result<Bytes, BytesRejection>, request_id: &str) -> Result<Request, Answer> {
        self.authorise(headers)?;
        let form = form.map_err(|_| Answer::error(400, "invalid_request_error", None, "Invalid request: the body cannot be read."))?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
        let key = text("idempotency-key").filter(|_| !op.is_reading()).map(str::to_owned);
        if key.as_ref().is_some_and(|key| key.chars().count() > KEY_CHARS_MAX) {
            return Err(Answer::error(400, "invalid_request_error", None, "Idempotency keys have up to 255 characters."));
        }
        let api_version = text("stripe-version").unwrap_or(API_VERSION).to_owned();
        Ok(Request { op, params: Params::parse(&form)?, key, id: request_id.to_owned(), api_version })
    }

    /// A bearer token, or the user name of Basic authentication.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let basic = |encoded: &str| {
            let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).ok()?).ok()?;
            Some(pair.split_once(':')?.0.to_owned())
        };
        let given = match header.split_once(' ') {
            Some(("Bearer", key)) => Some(key.trim().to_owned()),
            Some(("Basic", encoded)) => basic(encoded.trim()),
            _ => None,
        };
        let refuse = |message: &str| Err(Answer::error(401, "invalid_request_error", None, message));
        match (given.filter(|key| !key.is_empty()), &self.settings.api_key) {
            (None, _) => refuse("You did not provide an API key."),
            (Some(given), Some(key)) if given != key.expose_secret() => refuse("Invalid API Key provided."),
            (Some(_), _) => Ok(()),
        }
    }

    /// Takes a key for the time of a request; `None` when another request has it.
    fn begin(self: &Arc<Self>, key: Option<&str>) -> Option<InFlight> {
        if let Some(key) = key
            && !lock(&self.keys_in_flight).insert(key.to_owned())
        {
            return None;
        }
        Some(InFlight { simulator: Arc::clone(self), key: key.map(str::to_owned) })
    }
}

/// Gives the key back when the request is over, also when its client hung up.
struct InFlight {
    simulator: Arc<StripeSimulator>,
    key: Option<String>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            lock(&self.simulator.keys_in_flight).remove(key);
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

fn respond(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(&answer.body)).into_response()
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// An answer that never arrives; see the top of this file.
fn reset() -> Response {
    let failure = io::Error::new(io::ErrorKind::ConnectionReset, "told to reset");
    Response::new(Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(failure)])))
}
