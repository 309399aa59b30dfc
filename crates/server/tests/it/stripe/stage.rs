//! What the tests stand on: a simulator with a listener, a webhook endpoint that can say no, and our client.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ordermill::app::{Clock, Randomness, SeededRandomness, SystemClock};
use ordermill::config::StripeConfig;
use ordermill::providers::stripe::{CreateIntent, PaymentIntent, StripeClient, StripeError};
use ordermill::simulator::stripe::{SimulatorSettings, StripeSimulator, WebhookRetries};
use ordermill_core::id::{OrderId, PaymentId};
use ordermill_core::job::RetryPolicy;
use ordermill_core::money::{Currency, Money};
use ordermill_core::order::intent::create_intent_key;
use secrecy::SecretString;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) const API_KEY: &str = "sk_test_stage_0123456789";
pub(super) const WEBHOOK_SECRET: &str = "whsec_stage_0123456789";

/// The shared client as the server builds it: no redirects.
pub(super) fn http() -> reqwest::Client {
    // Another test of this binary may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub(super) fn config(api_url: &str) -> StripeConfig {
    StripeConfig {
        secret_key: Some(SecretString::from(API_KEY)),
        webhook_secrets: vec![SecretString::from(WEBHOOK_SECRET)],
        api_url: api_url.to_owned(),
        api_version: "2026-10-28.endive".to_owned(),
        timeout_ms: 5_000,
    }
}

/// "Make the intent of the payment with this number", the same at every call.
pub(super) fn create_intent(number: u8) -> CreateIntent {
    let order_id = OrderId::new(1_700_000_000_000, [number; 10]);
    let payment_id = PaymentId::new(1_700_000_000_000, [number; 10]);
    CreateIntent {
        idempotency_key: create_intent_key(order_id, payment_id),
        order_id,
        order_code: format!("DH{number:06}"),
        payment_id,
        amount: Money::new(250_000, Currency::VND),
        receipt_email: Some("test@example.com".to_owned()),
    }
}

/// Serves a router on a port of its own until the test ends.
pub(super) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// One webhook as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A webhook endpoint: keeps what it gets and says no as often as it is told.
#[derive(Default)]
pub(super) struct Endpoint {
    received: Mutex<Vec<Received>>,
    refusals_left: AtomicU64,
}

impl Endpoint {
    pub(super) async fn serve() -> (Arc<Self>, String) {
        let endpoint = Arc::new(Self::default());
        let router = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&endpoint));
        (endpoint, format!("http://{}/hook", serve(router).await))
    }

    pub(super) fn refuse(&self, times: u64) {
        self.refusals_left.store(times, Ordering::SeqCst);
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The intents that the webhooks were about, in the order they came.
    pub(super) fn intents(&self) -> Vec<String> {
        self.received().iter().map(|webhook| webhook.json()["data"]["object"]["id"].as_str().unwrap().to_owned()).collect()
    }
}

async fn receive(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    endpoint.received.lock().unwrap().push(Received { signature, body: body.to_vec() });
    let refused = endpoint.refusals_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if refused.is_ok() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// How a stage differs from the usual one.
pub(super) struct Plan {
    pub(super) folder: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout_ms: u64,
    pub(super) seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { folder: None, clock: Arc::new(SystemClock), timeout_ms: 5_000, seed: 1 }
    }
}

/// A simulator that is served and delivers, and a client of it.
pub(super) struct Stage {
    pub(super) simulator: Arc<StripeSimulator>,
    pub(super) client: StripeClient,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) http: reqwest::Client,
    pub(super) url: String,
    stop: CancellationToken,
    delivery: JoinHandle<()>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        Self::planned(Plan::default()).await
    }

    pub(super) async fn planned(plan: Plan) -> Self {
        let (endpoint, webhook_url) = Endpoint::serve().await;
        let settings = SimulatorSettings {
            webhook_url,
            webhook_secret: SecretString::from(WEBHOOK_SECRET),
            api_key: Some(SecretString::from(API_KEY)),
        };
        let randomness: Arc<dyn Randomness> = Arc::new(SeededRandomness::new(plan.seed));
        let simulator = StripeSimulator::open(plan.folder, settings, plan.clock, randomness).unwrap();
        simulator.set_webhook_retries(WebhookRetries { tries: 4, policy: RetryPolicy { base_ms: 10, cap_ms: 20 } });
        let http = http();
        let stop = CancellationToken::new();
        let delivery = tokio::spawn(Arc::clone(&simulator).deliver_webhooks(http.clone(), stop.clone()));
        // Under a path, as `ordermill dev` mounts it.
        let url = format!("http://{}/dev/stripe", serve(Router::new().nest("/dev/stripe", simulator.router())).await);
        let client = StripeClient::new(http.clone(), &StripeConfig { timeout_ms: plan.timeout_ms, ..config(&url) });
        Self { simulator, client, endpoint, http, url, stop, delivery }
    }

    /// Makes an intent that must come about.
    pub(super) async fn intent(&self, number: u8) -> PaymentIntent {
        self.client.create_intent(&create_intent(number)).await.unwrap()
    }

    pub(super) async fn try_intent(&self, number: u8) -> Result<PaymentIntent, StripeError> {
        self.client.create_intent(&create_intent(number)).await
    }

    /// Any request, as anybody's program sends it.
    pub(super) async fn post(&self, path: &str, key: Option<&str>, form: &str) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(API_KEY).body(form.to_owned());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// What the customer's browser does.
    pub(super) async fn confirm(&self, intent: &str, card: &str) -> (u16, Value) {
        self.post(&format!("/v1/payment_intents/{intent}/confirm"), None, &format!("payment_method={card}")).await
    }

    /// Waits until no webhook is owed any more.
    pub(super) async fn delivered(&self) {
        until(|| self.simulator.pending_webhooks() == 0).await;
    }

    /// Stops the delivery of webhooks and waits for its end.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.delivery.await.unwrap();
    }
}

/// Waits for something that happens soon.
pub(super) async fn until(mut is_true: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within ten seconds");
}

/// An empty folder of this test's own.
pub(super) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("stripe-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    folder
}
