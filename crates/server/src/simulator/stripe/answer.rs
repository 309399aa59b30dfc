//! Answers in Stripe's shape. This file must not decide anything.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A status and a JSON body, as it goes out and as it is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The object that was asked for, or made.
    pub(super) const fn object(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// An error of one of Stripe's types.
    pub(super) fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let mut error = Map::new();
        error.insert("type".to_owned(), json!(kind));
        error.insert("message".to_owned(), json!(message));
        if let Some(code) = code {
            error.insert("code".to_owned(), json!(code));
            error.insert("doc_url".to_owned(), json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))));
        }
        Self { status, body: json!({ "error": error }) }
    }

    /// A 400 about one parameter.
    pub(super) fn invalid(code: Option<&str>, param: &str, message: &str) -> Self {
        Self::error(400, "invalid_request_error", code, message).with("param", json!(param))
    }

    /// 404 for an object in the path.
    pub(super) fn missing(kind: &str, id: &str) -> Self {
        let param = if kind == "payment_intent" { "intent" } else { "id" };
        Self::error(404, "invalid_request_error", Some("resource_missing"), &format!("No such {kind}: '{id}'")).with("param", json!(param))
    }

    /// A failure of Stripe's own.
    pub(super) fn broken(status: u16, message: &str) -> Self {
        Self::error(status, "api_error", None, message)
    }

    /// Adds a field to the error.
    pub(super) fn with(mut self, field: &str, value: Value) -> Self {
        if let Some(error) = self.body.get_mut("error").and_then(Value::as_object_mut) {
            error.insert(field.to_owned(), value);
        }
        self
    }
}
