//! Stripe's API, as much of it as we call: make a payment intent, read one back.
//!
//! One function is one request. Nothing is tried again in here: the durable job that called is the retry, with back-off,
//! jitter and a circuit that outlive this process, and the effect's key makes its next attempt harmless. So this file must
//! not loop, must not decide what an answer means for an order, and must never let the secret key, a client secret or a
//! body into an error or a log line.

mod answer;
mod error;
mod objects;

pub use answer::PaymentIntent;
pub use error::StripeError;

use crate::config::StripeConfig;
use ordermill_core::digest::Digest;
use ordermill_core::id::{OrderId, PaymentId};
use ordermill_core::money::Money;
use ordermill_core::stripe::{Form, Mode, wire_amount};
use ordermill_store::failpoint;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Speaks to Stripe. Cheap to clone.
///
/// The client it is given must not follow redirects: Stripe sends none, so one is somebody else's answer.
#[derive(Clone)]
pub struct StripeClient {
    http: reqwest::Client,
    secret_key: Option<SecretString>,
    api_url: String,
    api_version: String,
    timeout: Duration,
}

/// "Make a payment intent for this payment of this order."
///
/// Everything in it must be the same at every attempt, because Stripe refuses a known key with other parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIntent {
    /// The effect's key; its hex is what Stripe gets.
    pub idempotency_key: Digest,
    /// Which order.
    pub order_id: OrderId,
    /// The order's code, for people who look at the payment in Stripe's dashboard.
    pub order_code: String,
    /// Which payment of the order.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
    /// Where Stripe sends its receipt, if it should.
    pub receipt_email: Option<String>,
}

impl CreateIntent {
    /// The request's body. The same value always gives the same bytes.
    pub fn body(&self) -> Result<String, StripeError> {
        let amount = wire_amount(self.amount).map_err(|fault| StripeError::Unsendable { why: fault.to_string() })?;
        let body = Form::new()
            .number("amount", amount)
            .text("currency", &self.amount.currency.lower_code())
            .flag("automatic_payment_methods[enabled]", true)
            .text("metadata[orderId]", &self.order_id.to_string())
            .text("metadata[orderCode]", &self.order_code)
            .text("metadata[paymentId]", &self.payment_id.to_string())
            .maybe("receipt_email", self.receipt_email.as_deref());
        Ok(body.finish())
    }
}

impl StripeClient {
    /// A client on the shared connections, with these settings.
    pub fn new(http: reqwest::Client, config: &StripeConfig) -> Self {
        Self {
            http,
            secret_key: config.secret_key.clone().filter(|key| !key.expose_secret().trim().is_empty()),
            api_url: config.api_url.trim_end_matches('/').to_owned(),
            api_version: config.api_version.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
        }
    }

    /// Whether there is a key to call with.
    pub const fn is_configured(&self) -> bool {
        self.secret_key.is_some()
    }

    /// Whether the key works with real money, if it says so.
    pub fn mode(&self) -> Option<Mode> {
        Mode::of_key(self.secret_key.as_ref()?.expose_secret())
    }

    /// Makes a payment intent, or gets the one that an earlier attempt with the same key made.
    pub async fn create_intent(&self, request: &CreateIntent) -> Result<PaymentIntent, StripeError> {
        let body = request.body()?;
        let key = request.idempotency_key.to_string();
        let post = self.http.post(self.url("/v1/payment_intents")).header(IDEMPOTENCY_KEY, key).header(CONTENT_TYPE, FORM).body(body);
        PaymentIntent::read(self.call("create_intent", post).await?, None)
    }

    /// Reads a payment intent as it is now.
    pub async fn retrieve_intent(&self, id: &str) -> Result<PaymentIntent, StripeError> {
        let get = self.http.get(self.url(&format!("/v1/payment_intents/{}", checked_id(id)?)));
        PaymentIntent::read(self.call("retrieve_intent", get).await?, Some(id))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api_url)
    }

    /// Sends one request and reads the JSON of a good answer.
    async fn call(&self, operation: &'static str, request: reqwest::RequestBuilder) -> Result<serde_json::Value, StripeError> {
        let key = self.secret_key.as_ref().ok_or(StripeError::NotConfigured)?;
        let request = request.bearer_auth(key.expose_secret()).header(STRIPE_VERSION, &self.api_version).timeout(self.timeout);
        failpoint::hit("provider.sent").map_err(|injected| StripeError::Unreachable { why: injected.to_string() })?;
        let answer = match request.send().await {
            Ok(response) => answer::read(operation, response).await,
            Err(error) => Err(error::from_transport(error)),
        };
        failpoint::hit("provider.answered").map_err(|injected| StripeError::unknown(injected.to_string()))?;
        answer
    }
}

/// The longest id of Stripe's.
const ID_BYTES_MAX: usize = 255;

/// An id fit to stand in a path: nothing that could lead to another one.
fn checked_id(id: &str) -> Result<&str, StripeError> {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain && !id.is_empty() && id.len() <= ID_BYTES_MAX {
        return Ok(id);
    }
    Err(StripeError::Unsendable { why: "that is no id of Stripe's".to_owned() })
}
