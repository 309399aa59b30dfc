//! Reading JSON bodies: the right content type, not encoded, not too large, nothing unknown in it. What is wrong is said
//! with its path.

use super::problem::Problem;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutError;

/// A JSON body of this shape, and the bytes it came as.
pub(super) struct Json<T> {
    pub(super) value: T,
    pub(super) raw: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_headers(&request)?;
        let raw = read(request, state).await?;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

/// A JSON body that may be left out altogether.
pub(super) struct MaybeJson<T> {
    pub(super) value: T,
    pub(super) raw: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let checked = check_headers(&request);
        let raw = read(request, state).await?;
        if raw.is_empty() {
            return Ok(Self { value: T::default(), raw });
        }
        checked?;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

fn check_headers(request: &Request) -> Result<(), Problem> {
    let named = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let content_type = named(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new("unsupported_media_type", "send content-type: application/json"));
    }
    check_encoding(request)
}

/// Nothing is ever unpacked: a small body must not become a large one here.
pub(super) fn check_encoding(request: &Request) -> Result<(), Problem> {
    let plain = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(Problem::new("unsupported_media_type", "send the body without content-encoding"))
}

/// The raw body.
pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        // The layers in between wrap the limit's error, so the status alone does not tell (a body in chunks has no length).
        let status = if has_cause::<LengthLimitError>(&rejection) {
            StatusCode::PAYLOAD_TOO_LARGE
        } else if has_cause::<TimeoutError>(&rejection) {
            StatusCode::REQUEST_TIMEOUT
        } else {
            rejection.status()
        };
        super::problem::of_status(status).unwrap_or_else(|| Problem::new("malformed_body", "the body could not be read"))
    })
}

fn has_cause<E: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(has_cause::<E>)
}

/// The value in a body. Zero characters are refused here, because not every store can keep them.
pub(super) fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    if raw.contains(&0) || raw.windows(6).any(|six| six == b"\\u0000") {
        return Err(Problem::new("invalid_request", "texts must not hold the zero character"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let message = inner.to_string();
        if inner.is_data() {
            Problem::new("invalid_request", format!("{path}: {message}")).at(&path, &message)
        } else {
            Problem::new("malformed_body", message)
        }
    })?;
    deserializer.end().map_err(|error| Problem::new("malformed_body", error.to_string()))?;
    Ok(value)
}
