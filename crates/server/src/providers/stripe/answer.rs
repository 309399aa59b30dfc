//! Reads what Stripe answered: never more than a bound, never a body into a log.

use super::error::{self, StripeError};
use ordermill_core::order::intent::Intent;
use ordermill_core::payment::{Fact, OrderLinks};
use ordermill_core::stripe::{ParseFault, fact_from_payment_intent};
use reqwest::Response;
use serde_json::Value;
use std::fmt;

/// A payment intent, expanded, is about 10 KiB; more than this is not one.
const BODY_BYTES_MAX: usize = 256 * 1_024;

/// A payment intent as Stripe described it just now.
#[derive(Clone, PartialEq)]
pub struct PaymentIntent {
    /// `pi_…`
    pub id: String,
    /// How far it got, in Stripe's words.
    pub status: String,
    /// What the customer's browser needs. Not for logs.
    pub client_secret: Option<String>,
    /// The whole object. Not for logs.
    pub object: Value,
}

impl PaymentIntent {
    /// Reads the object; `id` is the one that was asked for, if one was.
    pub(super) fn read(object: Value, id: Option<&str>) -> Result<Self, StripeError> {
        let text = |field: &str| object.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        // A 2xx without an intent in it: something was done, but not what we can use. The same key asks again.
        let (Some("payment_intent"), Some(read_id), Some(status)) = (text("object"), text("id"), text("status")) else {
            return Err(StripeError::unknown("the answer is no payment intent"));
        };
        if id.is_some_and(|id| id != read_id) {
            return Err(StripeError::unknown("the answer is another payment intent"));
        }
        let (id, status) = (read_id.to_owned(), status.to_owned());
        let client_secret = text("client_secret").map(str::to_owned);
        Ok(Self { id, status, client_secret, object })
    }

    /// What the order keeps of it.
    pub fn intent(&self) -> Intent {
        Intent { reference: self.id.clone(), client_secret: self.client_secret.clone() }
    }

    /// What it says about money, and whose order it claims to be.
    pub fn fact(&self) -> Result<(Fact, OrderLinks), ParseFault> {
        fact_from_payment_intent(&self.object)
    }
}

impl fmt::Debug for PaymentIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentIntent").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// The JSON of a good answer, or what a bad one means.
pub(super) async fn read(operation: &'static str, mut response: Response) -> Result<Value, StripeError> {
    let status = response.status();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    tracing::debug!(operation, status = status.as_u16(), request_id = header("request-id"), "Stripe answered");
    let body = match read_body(&mut response).await {
        Ok(body) => body,
        // The status of a refusal or a rate limit says enough without its body.
        Err(_) if status.is_client_error() => Vec::new(),
        Err(fault) => return Err(fault),
    };
    if !status.is_success() {
        return Err(error::from_status(status, response.headers(), &body));
    }
    serde_json::from_slice(&body).map_err(|_| StripeError::unknown("the answer is not JSON"))
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, StripeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(error::from_body)? {
        if body.len().saturating_add(chunk.len()) > BODY_BYTES_MAX {
            return Err(StripeError::unknown("the answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
