//! The Idempotency-Key of a request (api.md): its scope is who asks and which route, its fingerprint what exactly is asked.

use super::identity::Caller;
use super::problem::Problem;
use crate::app::Fault;
use crate::app::idempotency::RequestKey;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use ordermill_core::digest::Digest;
use secrecy::{ExposeSecret, SecretSlice};

/// The shortest and the longest key, in bytes.
pub(super) const KEY_BYTES_MIN: usize = 8;
pub(super) const KEY_BYTES_MAX: usize = 255;
/// The same and what it is made of, as the API's description says it.
pub(super) const KEY_PATTERN: &str = "^[!-~]+$";

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
        self.key.map(|key| RequestKey { key, fingerprint: Digest::of(&self.message(body)), former: None })
    }

    /// The same where the body holds a password. Its plain digest could be guessed from, by whoever reads the store.
    /// The newest secret comes first.
    pub(super) fn secret_request_key(&self, secrets: &[SecretSlice<u8>], body: &[u8]) -> Result<Option<RequestKey>, Problem> {
        let Some(key) = self.key else { return Ok(None) };
        let message = self.message(body);
        let mut digests = secrets.iter().map(|secret| Digest::keyed(secret.expose_secret(), &message));
        let no_secret = || Fault::Internal("there is no [server] secret_key".to_owned());
        let fingerprint = digests.next().ok_or_else(no_secret)?;
        Ok(Some(RequestKey { key, fingerprint, former: digests.next() }))
    }

    /// Method, path and raw body: what a fingerprint is made of.
    fn message(&self, body: &[u8]) -> Vec<u8> {
        let mut message = format!("{}\n{}\n", self.method, self.path).into_bytes();
        message.extend_from_slice(body);
        message
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
    let is_key = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok(Some(text)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Repeatable {
        Repeatable { key: Some(Digest::of(b"a key")), method: "POST".to_owned(), path: "/api/v1/orders".to_owned() }
    }

    #[test]
    fn a_body_with_a_password_is_digested_with_the_secret() {
        let (new, old) = (SecretSlice::from(vec![1; 32]), SecretSlice::from(vec![2; 32]));
        let of = |secrets: &[SecretSlice<u8>]| request().secret_request_key(secrets, b"{}").ok().flatten().expect("a key");
        let (before, during) = (of(std::slice::from_ref(&old)), of(&[new, old]));
        assert_eq!((before.former, during.former), (None, Some(before.fingerprint)), "a copy is known while the key changes");
        assert_ne!(during.fingerprint, before.fingerprint);
        assert_ne!(Some(before.fingerprint), request().request_key(b"{}").map(|plain| plain.fingerprint));
        assert!(request().secret_request_key(&[], b"{}").is_err(), "without a secret nothing is kept");
    }

    // reference/money-tax-ids.md §7
    #[test]
    fn fingerprints_as_the_reference_does() {
        let body = |quantity| format!(r#"{{"email":"a@example.com","items":[{{"sku":"C1","qty":{quantity}}}]}}"#);
        let request = request();
        let of =
            |quantity| request.request_key(body(quantity).as_bytes()).map(|request| request.fingerprint.to_string()).unwrap_or_default();
        assert_eq!(of(1), "3525eb2cc636ff1e309b19cb4cb785e22df5a9003709ea7fa6a95108571e7866");
        assert_eq!(of(2), "d5e54c364f41ef2e46cac9fb1eda08a35d92bc90e76de8144879fe3fa2192afa");
    }
}
