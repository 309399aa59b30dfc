//! The demo's people, as clients of the HTTP API: what a storefront would send.

use crate::cli::Failure;
use crate::cli::boot::Node;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the story waits for anything before it says that it did not happen.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// A client of the node.
pub(super) struct Shop {
    http: reqwest::Client,
    url: String,
    stripe_key: String,
    webhook_secret: String,
}

/// An answer: status and body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// A text in the body.
    pub(super) fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The body, if the status is this one.
    pub(super) fn expect(self, status: u16, what: &str) -> Result<Self, Failure> {
        if self.status == status {
            return Ok(self);
        }
        Err(failed(format!("{what}: the API answered {} {}", self.status, self.body)))
    }
}

/// The story took another turn.
pub(super) fn failed(message: impl Into<String>) -> Failure {
    Failure::new(crate::cli::exit::FAILED, message)
}

impl Shop {
    pub(super) fn new(node: &Node) -> Result<Self, Failure> {
        let stripe = &node.app.config.stripe;
        let expose = |secret: Option<&secrecy::SecretString>| secret.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        Ok(Self {
            http: http.map_err(|error| failed(error.to_string()))?,
            url: node.app.config.server.public_url.clone(),
            stripe_key: expose(stripe.secret_key.as_ref()),
            webhook_secret: expose(stripe.webhook_secrets.first()),
        })
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Result<Answer, Failure> {
        self.send(self.http.get(self.at(path)).bearer_auth(token)).await
    }

    pub(super) async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer, Failure> {
        self.send(self.http.post(self.at(path)).bearer_auth(token).header("content-type", "application/json").body(body.to_string())).await
    }

    /// Registers a customer; returns the token.
    pub(super) async fn register(&self, email: &str, name: &str) -> Result<String, Failure> {
        let body = json!({ "email": email, "password": "a long enough password", "name": name, "locale": "vi" });
        Ok(self.post("/api/users/register", "", &body).await?.expect(201, "registering")?.text("/token"))
    }

    /// The id of the product with this sku.
    pub(super) async fn product(&self, sku: &str) -> Result<String, Failure> {
        let answer = self.get(&format!("/api/products?q={sku}"), "").await?.expect(200, "listing products")?;
        Ok(answer.text("/data/0/id"))
    }

    /// Orders one of a product, by card.
    pub(super) async fn order(&self, token: &str, product: &str) -> Result<Answer, Failure> {
        let body = json!({
            "products": [{ "productId": product, "quantity": 1 }],
            "paymentMethod": "stripe",
            "shippingAddress": { "name": "Nguyễn Văn An", "phone": "0901234567", "line1": "1 Lê Lợi", "province": "TP. Hồ Chí Minh", "country": "VN" },
        });
        self.post("/api/orders/create", token, &body).await
    }

    /// Pays as the customer's browser would: at Stripe, not with us.
    pub(super) async fn pay(&self, order: &Answer) -> Result<(), Failure> {
        let intent = order.text("/payment/paymentIntentId");
        let url = self.at(&format!("/dev/stripe/v1/payment_intents/{intent}/confirm"));
        let request = self.http.post(url).bearer_auth(&self.stripe_key).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body("payment_method=pm_card_visa")).await?.expect(200, "paying")?;
        Ok(())
    }

    /// Delivers an event again, freshly signed, as Stripe's retries are.
    pub(super) async fn deliver_again(&self, body: &str, now_unix_s: i64) -> Result<Answer, Failure> {
        let signature = ordermill_core::stripe::sign(&self.webhook_secret, now_unix_s, body.as_bytes());
        let request = self.http.post(self.at("/api/webhook/stripe")).header("stripe-signature", signature);
        self.send(request.body(body.to_owned())).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let response = request.send().await.map_err(|error| failed(format!("no answer: {error}")))?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| failed(format!("no answer: {error}")))?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }
}

/// Waits until something is there.
pub(super) async fn until<T, F: Future<Output = Result<Option<T>, Failure>>>(what: &str, look: impl Fn() -> F) -> Result<T, Failure> {
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    seen.await.unwrap_or_else(|_| Err(failed(format!("{what} did not happen in time"))))
}
