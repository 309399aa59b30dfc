//! The Idempotency-Key of a request (api.md): its scope is who asks and which route, its fingerprint what exactly is asked.

use super::identity::Caller;
use super::problem::Problem;
use crate::app::idempotency::RequestKey;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use ordermill_core::digest::Digest;

/// What of a request, besides its body, says whether another one is a copy of it.
pub(super) struct Repeatable {
    key: Option<Digest>,
    method: String,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
        let method = parts.method.as_str().to_owned();
        let scope = parts.extensions.get::<Caller>().map(Caller::scope);
        let text = key_text(&parts.headers)?;
        let key = match (text, scope) {
            (Some(text), Some(scope)) => Some(Digest::of_parts(&[&scope, method.as_bytes(), route.as_bytes(), text.as_bytes()])),
            _ => None,
        };
        Ok(Self { key, method, path: parts.uri.path().to_owned() })
    }
}

impl Repeatable {
    /// The request's identity, if it carries an Idempotency-Key.
    pub(super) fn request_key(&self, body: &[u8]) -> Option<RequestKey> {
        self.key.map(|key| RequestKey { key, fingerprint: fingerprint(&self.method, &self.path, body) })
    }
}

/// The answer, marked when an earlier copy of the request did the work.
pub(super) fn answered(mut response: Response, is_replay: bool) -> Response {
    if is_replay {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// The key, unquoted or as a quoted structured-field string.
fn key_text(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || Problem::new("idempotency_key_invalid", "8 to 255 visible ASCII characters");
    let text = header.to_str().map_err(|_| wrong())?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_key = (8..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok(Some(text)) } else { Err(wrong()) }
}

/// SHA-256 of method, path and raw body.
fn fingerprint(method: &str, path: &str, raw: &[u8]) -> Digest {
    let mut message = format!("{method}\n{path}\n").into_bytes();
    message.extend_from_slice(raw);
    Digest::of(&message)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    // reference/money-tax-ids.md §7
    #[test]
    fn fingerprints_as_the_reference_does() {
        let body = |quantity| format!(r#"{{"email":"a@example.com","items":[{{"sku":"C1","qty":{quantity}}}]}}"#);
        let of = |quantity| fingerprint("POST", "/api/v1/orders", body(quantity).as_bytes()).to_string();
        assert_eq!(of(1), "3525eb2cc636ff1e309b19cb4cb785e22df5a9003709ea7fa6a95108571e7866");
        assert_eq!(of(2), "d5e54c364f41ef2e46cac9fb1eda08a35d92bc90e76de8144879fe3fa2192afa");
    }
}
