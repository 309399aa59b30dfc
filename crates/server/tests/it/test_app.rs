//! A whole ordermill per test: a store of its own (`SQLite` file or Postgres schema), a mail catcher, a simulated Stripe on
//! its own port, the real router behind the real accept loop. Tests speak HTTP to it. Workers run only when a test says
//! so, so that every test decides what happens when.

use ordermill::app::accounts::{self, Registration};
use ordermill::app::api_keys::{self, NewKey};
use ordermill::app::catalogue::{self, NewProduct};
use ordermill::app::{App, Parts, SystemClock, SystemRandomness};
use ordermill::config::{Config, Mode, StoreUrl};
use ordermill::http::operations::Readiness;
use ordermill::http::serve::{Addresses, ListenLimits, serve};
use ordermill::http::{self, Shared};
use ordermill::mail::{Catcher, Templates};
use ordermill::simulator::stripe::{SimulatorSettings, StripeSimulator};
use ordermill::worker;
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_store::faulty::FaultyStore;
use ordermill_store::postgres::throwaway;
use ordermill_store::{InboxQuery, Store};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The secret that webhooks to the test app are signed with.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_test_current";
/// The one before it, still good during rotation.
pub(crate) const OLD_WEBHOOK_SECRET: &str = "whsec_test_previous";
/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// Runs one async test on both stores, as two tests.
macro_rules! on_both_stores {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::test_app::Backend::Sqlite).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::test_app::Backend::Postgres).await; })*
        }
    };
}
pub(crate) use on_both_stores;

/// The Python that has the packages of `scripts/test`.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration to be told by")]
pub(crate) fn python() -> String {
    std::env::var("ORDERMILL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A folder that is gone at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("ordermill-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What a node stands on.
struct Node {
    store: Arc<dyn Store>,
    store_url: String,
    folder: Arc<Folder>,
    /// Another node's Stripe and its address; none for one of its own.
    stripe: Option<(Arc<StripeSimulator>, String)>,
}

/// A whole ordermill.
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) url: String,
    pub(crate) catcher: Arc<Catcher>,
    pub(crate) stripe: Arc<StripeSimulator>,
    pub(crate) http: reqwest::Client,
    pub(crate) store_url: String,
    stop: CancellationToken,
    folder: Arc<Folder>,
}

impl TestApp {
    /// On a fresh store.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_set(backend, |_| {}).await
    }

    /// On a fresh store, with other settings.
    pub(crate) async fn start_set(backend: Backend, set: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(Folder::new());
        let store_url = match backend {
            Backend::Sqlite => format!("sqlite:{}", folder.0.join("ordermill.db").display()),
            Backend::Postgres => {
                let server = throwaway::shared_url().expect("a Postgres server");
                throwaway::fresh_schema(&server).await.expect("a schema")
            }
        };
        let store = ordermill_store::open(&store_url).await.expect("the store opens");
        Self::start_node(Node { store, store_url, folder, stripe: None }, set).await
    }

    /// A second node on the same Postgres schema, with the same Stripe.
    pub(crate) async fn second_node(&self) -> Self {
        let store = ordermill_store::open(&self.store_url).await.expect("the store opens");
        self.second_node_with(store).await
    }

    /// A second node on the same Postgres schema, with the same Stripe and other settings.
    #[cfg(feature = "redis")]
    pub(crate) async fn second_node_set(&self, set: impl FnOnce(&mut Config)) -> Self {
        let store = ordermill_store::open(&self.store_url).await.expect("the store opens");
        self.second_node_of(store, set).await
    }

    async fn second_node_with(&self, store: Arc<dyn Store>) -> Self {
        self.second_node_of(store, |_| {}).await
    }

    async fn second_node_of(&self, store: Arc<dyn Store>, set: impl FnOnce(&mut Config)) -> Self {
        let stripe = Some((Arc::clone(&self.stripe), self.app.config.stripe.api_url.clone()));
        let node = Node { store, store_url: self.store_url.clone(), folder: Arc::clone(&self.folder), stripe };
        Self::start_node(node, set).await
    }

    /// On this store, which may be wrapped to misbehave.
    pub(crate) async fn start_with(store: Arc<dyn Store>, store_url: String, folder: Arc<Folder>) -> Self {
        Self::start_node(Node { store, store_url, folder, stripe: None }, |_| {}).await
    }

    /// On a fresh store that fails when told to.
    pub(crate) async fn start_faulty(backend: Backend, seed: u64) -> (Self, Arc<FaultyStore>) {
        // The first app only makes the store's URL and schema.
        let plain = Self::start(backend).await;
        let folder = Arc::new(Folder::new());
        let url = match backend {
            Backend::Sqlite => format!("sqlite:{}", folder.0.join("ordermill.db").display()),
            Backend::Postgres => plain.store_url.clone(),
        };
        let faulty = Self::faulty(&url, seed).await;
        (Self::start_with(faulty.clone(), url, folder).await, faulty)
    }

    /// A second node on the same Postgres schema, with the same Stripe and a store that fails when told to.
    pub(crate) async fn second_faulty_node(&self, seed: u64) -> (Self, Arc<FaultyStore>) {
        let faulty = Self::faulty(&self.store_url, seed).await;
        (self.second_node_with(faulty.clone()).await, faulty)
    }

    async fn faulty(store_url: &str, seed: u64) -> Arc<FaultyStore> {
        Arc::new(FaultyStore::new(ordermill_store::open(store_url).await.expect("the store opens"), seed))
    }

    async fn start_node(node: Node, set: impl FnOnce(&mut Config)) -> Self {
        let Node { store, store_url, folder, stripe } = node;
        // A second call in one process says so and changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        store.migrate().await.expect("the schema is brought up to date");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        let (stripe, stripe_url) = match stripe {
            Some(shared) => shared,
            None => start_stripe(&url, &http, &stop).await,
        };
        let mut config = config(&folder, &url, &stripe_url, &store_url);
        set(&mut config);
        let catcher = Catcher::new(None, Arc::new(SystemClock)).expect("a catcher");
        let app = App::new(Parts {
            config,
            store,
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness::default()),
            mailer: catcher.clone(),
            templates: Templates::load(None).expect("templates"),
            http: http.clone(),
        });
        let shared = Shared { app: Arc::clone(&app), readiness: Arc::new(Readiness::default()), catcher: Some(catcher.clone()) };
        let limits = ListenLimits {
            connections_max: app.config.server.connections_max,
            addresses: Addresses::new(&app.config.server),
            header_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(5),
        };
        tokio::spawn(serve(listener, http::router(shared, axum::Router::new()), limits, stop.clone()));
        Self { app, url, catcher, stripe, http, store_url, stop, folder }
    }

    /// Runs every job that is due now.
    pub(crate) async fn run_jobs(&self) -> usize {
        worker::run_due(&self.app, "test").await.expect("the store answers")
    }

    /// Runs jobs until `done` says so, or fails after a while.
    pub(crate) async fn run_jobs_until<F: Future<Output = bool>>(&self, what: &str, done: impl Fn() -> F) {
        for _ in 0..600 {
            if done().await {
                return;
            }
            self.run_jobs().await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what} did not happen in time");
    }

    /// A product with stock (digital without).
    pub(crate) async fn product(&self, sku: &str, unit_amount: i64, stock: i64) -> String {
        let kind = if stock > 0 { ProductKind::Physical } else { ProductKind::Digital };
        let title = format!("Product {sku}");
        let new = NewProduct { sku: sku.to_owned(), title, kind, url: None, unit_amount, currency: Currency::VND, stock };
        catalogue::add_product(&self.app, new, Actor::system()).await.expect("a product").id.to_string()
    }

    /// Registers a customer; returns the token.
    pub(crate) async fn customer(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Nguyễn Văn An", "locale": "vi" });
        let answer = self.post("/api/users/register", "", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.text("/token")
    }

    /// An account of another role; returns the token.
    pub(crate) async fn account(&self, email: &str, role: Role) -> String {
        let registration = Registration {
            email: Email::parse(email).expect("an address"),
            password: PASSWORD.to_owned(),
            role,
            name: None,
            phone: None,
            locale: Locale::En,
            is_dev: false,
        };
        accounts::register(&self.app, registration).await.expect("an account").token
    }

    /// An API key with these scopes; returns the secret.
    pub(crate) async fn api_key(&self, scopes: &[Scope]) -> String {
        let new = NewKey { name: "platform".to_owned(), scopes: scopes.iter().copied().collect(), expires_at: None };
        api_keys::create(&self.app, new, &Actor::system(), None).await.expect("a key").secret.expect("its secret")
    }

    /// The id of whoever has this token.
    pub(crate) async fn id_of(&self, token: &str) -> String {
        self.get("/api/users/me", token).await.text("/id")
    }

    /// Orders a quantity of one product.
    pub(crate) async fn order(&self, token: &str, product: &str, quantity: i64, method: &str) -> Answer {
        self.post("/api/orders/create", token, &order_body(product, quantity, method)).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        Answer::of(self.http.get(self.at(path)).bearer_auth(token).send().await.expect("an answer")).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.post_with(path, token, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, token: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self.http.post(self.at(path)).header("content-type", "application/json").body(body.to_string());
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Delivers a webhook signed now.
    pub(crate) async fn webhook(&self, event: &Value) -> Answer {
        let body = event.to_string();
        let header = ordermill_core::stripe::sign(WEBHOOK_SECRET, self.app.now().unix_s(), body.as_bytes());
        self.webhook_raw(&header, body.into_bytes()).await
    }

    /// Delivers bytes under a signature header.
    pub(crate) async fn webhook_raw(&self, header: &str, body: Vec<u8>) -> Answer {
        let request = self.http.post(self.at("/api/webhook/stripe")).header("stripe-signature", header).body(body);
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// A payment intent that the simulated Stripe knows and that was paid, with this metadata. Its own event is on its way.
    pub(crate) async fn paid_intent(&self, amount: i64, metadata: &[(&str, &str)]) -> String {
        let amount = format!("amount={amount}&currency=vnd");
        let form = metadata.iter().fold(amount, |form, (name, value)| format!("{form}&metadata[{name}]={value}"));
        let made = self.at_stripe(Method::POST, "payment_intents", &form).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        self.at_stripe(Method::POST, &format!("payment_intents/{id}/confirm"), "payment_method=pm_card_visa").await;
        id
    }

    /// What the simulated Stripe answers to a request of its API.
    pub(crate) async fn at_stripe(&self, method: Method, path: &str, form: &str) -> Value {
        let stripe = &self.app.config.stripe;
        let key = stripe.secret_key.as_ref().expect("a key").expose_secret();
        let request = self.http.request(method, format!("{}/v1/{path}", stripe.api_url)).bearer_auth(key);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The received events in a state, newest first.
    pub(crate) async fn inbox(&self, state: InboxState) -> Vec<InboxEntry> {
        let query = InboxQuery { state: Some(state), cursor: None, limit: 200 };
        self.app.store.inbox(&query).await.expect("the store answers").rows
    }

    pub(crate) async fn events(&self, order: &Answer) -> Vec<String> {
        let id = ordermill_core::id::OrderId::parse(&order.text("/id")).expect("an id");
        let events = self.app.store.events(id, 0, 500).await.expect("the store answers");
        events.iter().map(|event| event.kind.name().to_owned()).collect()
    }

    /// Fails unless every invariant holds.
    pub(crate) async fn fsck(&self) {
        let report = ordermill_store::fsck::run(self.app.store.as_ref(), &mut |_| {}).await.expect("the store answers");
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(crate) fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails unless it is this problem.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.text("/code").as_str()), (status, code), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(!self.text("/requestId").is_empty() && self.text("/requestId") == self.header("x-request-id"));
    }
}

/// The body of an order.
pub(crate) fn order_body(product: &str, quantity: i64, method: &str) -> Value {
    json!({
        "products": [{ "productId": product, "quantity": quantity }],
        "paymentMethod": method,
        "shippingAddress": { "name": "An", "phone": "0901234567", "line1": "1 Lê Lợi", "country": "VN" },
    })
}

/// The order's payment succeeding, as Stripe tells it under this event id.
pub(crate) fn paid_event(event_id: &str, order: &Answer) -> Value {
    payment_event(event_id, "payment_intent.succeeded", order, order.body["totalAmount"].as_i64().expect("a total"))
}

/// An event about an order's payment intent.
pub(crate) fn payment_event(event_id: &str, kind: &str, order: &Answer, amount: i64) -> Value {
    let intent = Some(order.text("/payment/paymentIntentId")).filter(|id| !id.is_empty());
    let intent = intent.unwrap_or_else(|| format!("pi_{}", order.text("/code")));
    let status = if kind.ends_with("succeeded") { "succeeded" } else { "requires_payment_method" };
    json!({
        "id": event_id, "object": "event", "created": 1_710_001_230, "livemode": false, "type": kind,
        "data": { "object": {
            "id": intent, "object": "payment_intent", "amount": amount, "amount_received": amount,
            "currency": order.text("/currency").to_lowercase(), "status": status,
            "metadata": { "orderId": order.text("/id"), "orderCode": order.text("/code") },
        } },
    })
}

async fn start_stripe(app_url: &str, http: &reqwest::Client, stop: &CancellationToken) -> (Arc<StripeSimulator>, String) {
    let settings = SimulatorSettings {
        webhook_url: format!("{app_url}/api/webhook/stripe"),
        webhook_secret: SecretString::from(WEBHOOK_SECRET),
        api_key: None,
    };
    let clock = Arc::new(SystemClock);
    let stripe = StripeSimulator::open(None, settings, clock, Arc::new(SystemRandomness::default())).expect("a simulator");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let limits = ListenLimits {
        connections_max: 256,
        addresses: Addresses::unlimited(),
        header_timeout: Duration::from_secs(5),
        drain: Duration::from_millis(10),
    };
    tokio::spawn(serve(listener, stripe.router(), limits, stop.clone()));
    tokio::spawn(Arc::clone(&stripe).deliver_webhooks(http.clone(), stop.clone()));
    (stripe, url)
}

fn config(folder: &Folder, url: &str, stripe_url: &str, store_url: &str) -> Config {
    let mut config = Config::defaults(Mode::Dev, &folder.0);
    url.clone_into(&mut config.server.public_url);
    config.store.url = StoreUrl::new(store_url);
    stripe_url.clone_into(&mut config.stripe.api_url);
    config.stripe.secret_key = Some(SecretString::from("sk_test_canary"));
    config.stripe.webhook_secrets = vec![SecretString::from(WEBHOOK_SECRET), SecretString::from(OLD_WEBHOOK_SECRET)];
    config.sepay.bank_bin = Some("970436".to_owned());
    config.sepay.account_number = Some("0011001234567".to_owned());
    config.sepay.account_name = Some("CONG TY VI DU".to_owned());
    // Tests count mails; that an order was received is told in tests of its own.
    config.mail.order_received = false;
    config.server.secret_key = vec![SecretString::from("test".repeat(16))];
    config.mail.from = "Shop <shop@example.com>".to_owned();
    // Everybody in a test has one address; what the limits do is a test of its own.
    (config.server.login_per_minute, config.server.register_per_minute, config.server.forgot_per_minute) = (0, 0, 0);
    config
}
