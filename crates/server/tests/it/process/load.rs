//! Customers and a provider's other events, from several tasks at once. Every request has an identity of its own and is
//! sent until a definite answer comes, through as many restarts as that takes; the journal knows what was asked and told.

use super::journal::{Fate, Journal, Told, WantedOrder};
use super::world::{DIGITAL, PLENTY, SCARCE, WEBHOOK_SECRET, World, ask_stripe};
use ordermill::app::{Clock, SystemClock};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many customers there are; each has an order task.
const CUSTOMERS: usize = 4;
/// How many tasks deliver events of their own.
const SENDERS: usize = 2;
/// The rest between two orders of a task: what one server of these tests works off at the same time as it starts anew.
const PAUSE: Duration = Duration::from_millis(12);
/// How long a client waits before it asks again.
const AGAIN: Duration = Duration::from_millis(15);
/// How many customers pay at the same time.
const PAYING_MAX: usize = 32;
const PASSWORD: &str = "correct horse battery";

/// A client's view of the server.
struct Shop {
    http: reqwest::Client,
    url: String,
    stripe_url: String,
    journal: Arc<Journal>,
    /// No new requests from here on.
    stop: CancellationToken,
    /// Not even old ones again.
    give_up: CancellationToken,
    products: BTreeMap<String, (String, i64)>,
    admin: String,
    paying: Semaphore,
    tasks: TaskTracker,
}

/// An account that orders.
#[derive(Clone)]
struct Account {
    id: String,
    token: String,
}

/// Running clients.
pub(super) struct Load {
    shop: Arc<Shop>,
}

/// An answer that says what became of a request.
struct Definite {
    status: u16,
    body: Value,
}

impl Load {
    /// Registers the customers at a running server and lets them begin.
    pub(super) async fn start(world: &World, journal: Arc<Journal>) -> Self {
        let mut shop = Shop {
            http: world.http.clone(),
            url: world.server.url(""),
            stripe_url: world.stripe_url.clone(),
            journal,
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
            products: BTreeMap::new(),
            admin: String::new(),
            paying: Semaphore::new(PAYING_MAX),
            tasks: TaskTracker::new(),
        };
        shop.products = shop.catalogue().await;
        shop.admin = shop.sign_in("login", json!({ "email": "admin@example.com", "password": "ordermill-dev" })).await.token;
        let mut accounts = Vec::new();
        for number in 0..CUSTOMERS {
            let email = format!("customer-{number}@example.com");
            let locale = if number % 2 == 0 { "vi" } else { "en" };
            accounts.push(shop.sign_in("register", json!({ "email": email, "password": PASSWORD, "locale": locale })).await);
        }
        let shop = Arc::new(shop);
        for (number, account) in accounts.into_iter().enumerate() {
            shop.tasks.spawn(Arc::clone(&shop).order_again_and_again(number, account));
        }
        for number in 0..SENDERS {
            shop.tasks.spawn(Arc::clone(&shop).send_again_and_again(number));
        }
        Self { shop }
    }

    /// No new requests; returns when every old one has a definite answer.
    pub(super) async fn finish(self) {
        self.shop.stop.cancel();
        self.shop.tasks.close();
        if timeout(Duration::from_mins(1), self.shop.tasks.wait()).await.is_err() {
            self.shop.journal.trouble(format!("{} clients never got a definite answer", self.shop.tasks.len()));
            self.give_up().await;
        }
    }

    /// Leaves every request that is under way.
    pub(super) async fn give_up(self) {
        self.shop.stop.cancel();
        self.shop.give_up.cancel();
        self.shop.tasks.close();
        self.shop.tasks.wait().await;
    }
}

impl Shop {
    /// Sends a request until its outcome is known; `None` when the test gave up before.
    async fn until_definite(&self, request: impl Fn() -> RequestBuilder) -> Option<Definite> {
        loop {
            let answer = tokio::select! {
                () = self.give_up.cancelled() => return None,
                answer = attempt(request()) => answer,
            };
            match answer {
                Some(definite) => return Some(definite),
                None => sleep(AGAIN).await,
            }
        }
    }

    async fn catalogue(&self) -> BTreeMap<String, (String, i64)> {
        let answer = self.until_definite(|| self.http.get(format!("{}/api/products?limit=100", self.url))).await.expect("an answer");
        let text = |product: &Value, name: &str| product[name].as_str().expect("a text").to_owned();
        let products = answer.body["data"].as_array().expect("a list").iter();
        products.map(|one| (text(one, "sku"), (text(one, "id"), one["unitAmount"].as_i64().expect("a price")))).collect()
    }

    async fn sign_in(&self, how: &str, body: Value) -> Account {
        let answer = self.until_definite(|| self.post(&format!("/api/users/{how}"), &body)).await.expect("an answer");
        assert!((200..300).contains(&answer.status), "{how}: {}", answer.body);
        let text = |pointer: &str| answer.body.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned();
        Account { id: text("/user/id"), token: text("/token") }
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).header("content-type", "application/json").body(body.to_string())
    }

    async fn order_again_and_again(self: Arc<Self>, task: usize, account: Account) {
        for number in 0.. {
            if self.stop.is_cancelled() {
                return;
            }
            self.place_order(&account, &format!("order-{task}-{number}"), number).await;
            sleep(PAUSE).await;
        }
    }

    /// One order: asked for under its key until it stands or is refused, sometimes asked for once more, mostly paid.
    async fn place_order(self: &Arc<Self>, account: &Account, key: &str, number: usize) {
        let method = if number.is_multiple_of(5) { "bank_transfer" } else { "stripe" };
        let (sku, quantity) = [(PLENTY, 2), (DIGITAL, 1), (PLENTY, 1), (SCARCE, 1)][number % 4];
        let Some((product, price)) = self.products.get(sku).or_else(|| self.products.get(DIGITAL)) else { return };
        let wanted = WantedOrder {
            told: Told::Nothing,
            customer: account.id.clone(),
            method,
            product: product.clone(),
            quantity,
            order: None,
            paid_intent: None,
        };
        self.journal.order_invoked(key, wanted);
        let body = json!({
            "products": [{ "productId": product, "quantity": quantity }], "totalAmount": price * quantity, "paymentMethod": method,
            "note": key, "shippingAddress": { "name": "An", "phone": "0901234567", "line1": "1 Lê Lợi", "country": "VN" },
        });
        let ask = || self.post("/api/orders/create", &body).bearer_auth(&account.token).header("idempotency-key", key);
        let copies = if number.is_multiple_of(7) { 2 } else { 1 };
        let mut placed = None;
        for _ in 0..copies {
            let Some(answer) = self.until_definite(ask).await else { return };
            if answer.status != 201 {
                self.journal.order_told(key, Told::No(answer.status), None);
                return;
            }
            placed = answer.body["id"].as_str().map(str::to_owned);
            self.journal.order_told(key, Told::Yes, placed.as_deref());
        }
        if let Some(order) = placed.filter(|_| method == "stripe" && !number.is_multiple_of(9)) {
            self.tasks.spawn(Arc::clone(self).pay(account.clone(), key.to_owned(), order, number));
        }
    }

    /// What the customer's browser does: waits for the intent, confirms it, now and then with a card that is declined first.
    async fn pay(self: Arc<Self>, account: Account, key: String, order: String, number: usize) {
        let Ok(_turn) = self.paying.acquire().await else { return };
        let show = || self.http.get(format!("{}/api/orders/{order}", self.url)).bearer_auth(&account.token);
        let (intent, order) = loop {
            let Some(answer) = self.until_definite(show).await else { return };
            if answer.status != 200 {
                self.journal.trouble(format!("{key} was acknowledged and then answers {}: {}", answer.status, answer.body));
                return;
            }
            if let Some(intent) = answer.body["payment"]["paymentIntentId"].as_str() {
                break (intent.to_owned(), answer.body);
            }
            sleep(AGAIN).await;
        };
        if number.is_multiple_of(8) {
            self.confirm(&intent, "pm_card_chargeDeclined").await;
        }
        if number.is_multiple_of(3) {
            let failed = about_intent(&format!("evt_own_failed_{key}"), "payment_intent.payment_failed", &intent, &order);
            self.deliver(Fate::Applied, failed).await;
        }
        if self.confirm(&intent, "pm_card_visa").await == 200 {
            self.journal.paid(&key, &intent);
            if number.is_multiple_of(4) {
                self.deliver(Fate::Applied, about_session(&format!("evt_own_session_{key}"), &intent, &order)).await;
            }
        }
    }

    /// The provider lives in this process, so one try is enough.
    async fn confirm(&self, intent: &str, card: &str) -> u16 {
        let path = format!("/v1/payment_intents/{intent}/confirm");
        let sent = ask_stripe(&self.http, &self.stripe_url, &path, format!("payment_method={card}")).send().await;
        sent.map_or_else(
            |error| {
                self.journal.trouble(format!("the provider does not answer: {error}"));
                0
            },
            |answer| answer.status().as_u16(),
        )
    }

    /// Events that concern no order: of a type we do not use, about others' money, not to be understood.
    async fn send_again_and_again(self: Arc<Self>, task: usize) {
        for number in 0_usize.. {
            if self.stop.is_cancelled() {
                return;
            }
            let id = format!("evt_own_{task}_{number}");
            let (fate, kind, object) = match number % 3 {
                0 => (Fate::Unrelated, "customer.created", json!({ "id": "cus_1", "object": "customer" })),
                1 => (Fate::Unrelated, "payment_intent.succeeded", foreign_intent(&id)),
                _ => (Fate::Quarantined, "payment_intent.succeeded", json!({ "id": "pi_x", "object": "charge" })),
            };
            self.deliver(fate, event(&id, kind, &object)).await;
            if number.is_multiple_of(6) {
                self.replay(&id).await;
            }
            sleep(PAUSE * 3).await;
        }
    }

    /// Delivers one event until the server takes it, sometimes once more than that. A signed event is never refused.
    async fn deliver(&self, fate: Fate, event: Value) {
        let id = event["id"].as_str().expect("an id").to_owned();
        let body = event.to_string();
        self.journal.event_invoked(&id, fate, &body);
        let copies = if id.len().is_multiple_of(5) { 2 } else { 1 };
        for _ in 0..copies {
            let send = || {
                let header = ordermill_core::stripe::sign(WEBHOOK_SECRET, SystemClock.now().unix_s(), body.as_bytes());
                self.http.post(format!("{}/api/webhook/stripe", self.url)).header("stripe-signature", header).body(body.clone())
            };
            let Some(answer) = self.until_definite(send).await else { return };
            if (200..300).contains(&answer.status) {
                self.journal.event_told(&id, Told::Yes);
            } else {
                self.journal.event_told(&id, Told::No(answer.status));
                self.journal.trouble(format!("the signed event {id} was refused with {}: {}", answer.status, answer.body));
            }
        }
    }

    /// A person lets an event be applied again, which is a job. Once is enough: nothing is promised about it.
    async fn replay(&self, id: &str) {
        let path = format!("/api/admin/inbox/stripe/{id}/replay");
        let request = self.post(&path, &json!({ "reason": "the crash test says so" })).bearer_auth(&self.admin);
        if let Ok(answer) = request.send().await
            && matches!(answer.status().as_u16(), 400 | 403 | 404 | 422)
        {
            self.journal.trouble(format!("the acknowledged event {id} cannot be replayed: {}", answer.status()));
        }
    }
}

/// `None` when nothing definite came back: no connection, a broken answer, or "try again".
async fn attempt(request: RequestBuilder) -> Option<Definite> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    let is_definite = (200..500).contains(&status) && !matches!(status, 408 | 425 | 429);
    is_definite.then(|| Definite { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}

fn event(id: &str, kind: &str, object: &Value) -> Value {
    json!({ "id": id, "object": "event", "created": 1_710_001_230, "livemode": false, "type": kind, "data": { "object": object } })
}

fn foreign_intent(id: &str) -> Value {
    json!({
        "id": format!("pi_foreign_{id}"), "object": "payment_intent", "amount": 1_000, "amount_received": 1_000, "currency": "vnd",
        "status": "succeeded", "metadata": {},
    })
}

fn about_intent(id: &str, kind: &str, intent: &str, order: &Value) -> Value {
    let object = json!({
        "id": intent, "object": "payment_intent", "amount": order["totalAmount"], "amount_received": 0, "currency": "vnd",
        "status": "requires_payment_method", "metadata": { "orderId": order["id"], "orderCode": order["code"] },
    });
    event(id, kind, &object)
}

/// The same payment told by another event: one payment all the same (F2).
fn about_session(id: &str, intent: &str, order: &Value) -> Value {
    let object = json!({
        "id": format!("cs_{id}"), "object": "checkout.session", "payment_status": "paid", "payment_intent": intent,
        "amount_total": order["totalAmount"], "currency": "vnd", "metadata": { "orderId": order["id"] },
    });
    event(id, "checkout.session.completed", &object)
}
