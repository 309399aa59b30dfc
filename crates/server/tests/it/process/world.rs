//! What stands around a server that is killed: the data folder, the provider that outlives it on a port of its own, the
//! goods it sells. The provider delivers webhooks to the server's one port until it hears 2xx, whoever answers there.

use super::server::{Settings, free_port};
use crate::test_app::Folder;
use ordermill::app::{Clock, Randomness, SystemClock, SystemRandomness};
use ordermill::http::serve::{Addresses, ListenLimits, serve};
use ordermill::simulator::stripe::{SimulatorSettings, StripeSimulator, WebhookRetries};
use ordermill_core::account::{Notifications, Role, Session, User};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Cause, Change, Row, Setting, StockKey, StockMove};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use ordermill_core::id::{ChangeId, ProductId, UserId};
use ordermill_core::job::RetryPolicy;
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_store::postgres::throwaway;
use ordermill_store::{Store, Table};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What webhooks are signed with.
pub(super) const WEBHOOK_SECRET: &str = "whsec_process_0123456789";
const API_KEY: &str = "sk_test_process_0123456789";
/// Goods that a whole run cannot sell out.
pub(super) const PLENTY: &str = "PLENTY-01";
/// What the demo catalogue has: goods that are sold out soon, and goods that never are.
pub(super) const SCARCE: &str = "CUP-01";
pub(super) const DIGITAL: &str = "COURSE-01";
/// How many sessions lie there that ended long ago: more than two slices of a sweep.
const OLD_SESSIONS: u32 = 1_200;
/// Rows per change, well below what one may carry.
const ROWS_PER_CHANGE: u32 = 60;

/// Where orders are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Sqlite,
    Postgres,
    /// Forgets everything with its process: for the control of the oracle.
    Memory,
}

/// A server's surroundings.
pub(super) struct World {
    pub(super) server: Settings,
    pub(super) store_url: String,
    pub(super) stripe: Arc<StripeSimulator>,
    pub(super) stripe_url: String,
    pub(super) http: reqwest::Client,
    stop: CancellationToken,
    folder: Folder,
}

impl World {
    pub(super) async fn new(keeping: Keeping) -> Self {
        let folder = Folder::new();
        let data = folder.0.join("data");
        let mut server = Settings::new(data.clone(), folder.0.join("server.log"));
        let store_url = match keeping {
            Keeping::Sqlite => format!("sqlite:{}", data.join("ordermill.db").display()),
            Keeping::Postgres => {
                let postgres = throwaway::shared_url().expect("a Postgres server");
                throwaway::fresh_schema(&postgres).await.expect("a schema")
            }
            Keeping::Memory => "memory:".to_owned(),
        };
        let stripe_port = free_port();
        let stripe_url = format!("http://127.0.0.1:{stripe_port}");
        server.set("STORE__URL", &store_url);
        server.set("STRIPE__API_URL", &stripe_url);
        server.set("STRIPE__SECRET_KEY", API_KEY);
        server.set("STRIPE__WEBHOOK_SECRETS", WEBHOOK_SECRET);
        // Tests count mails; those about the order itself are a matter of the crash test, which switches them on.
        server.set("MAIL__ORDER_RECEIVED", "false");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        let stop = CancellationToken::new();
        let stripe = start_stripe(stripe_port, server.url("/api/webhook/stripe"), &http, &stop).await;
        Self { server, store_url, stripe, stripe_url, http, stop, folder }
    }

    /// Opens the store that no server has open.
    pub(super) async fn open_store(&self) -> Arc<dyn Store> {
        ordermill_store::open(&self.store_url).await.unwrap_or_else(|error| panic!("the store does not open: {error}"))
    }

    /// How many migrations have not run yet.
    pub(super) async fn pending_migrations(&self) -> usize {
        let store = self.open_store().await;
        let health = store.health().await.expect("the store answers");
        store.close().await;
        health.pending_migrations.len()
    }

    /// Brings the schema up to date and fills in goods, and sessions for a sweep to forget. Marked as `dev` marks what it
    /// makes, because `dev` is to sell them.
    pub(super) async fn stock_up(&self) {
        let store = self.open_store().await;
        store.migrate().await.expect("the schema is brought up to date");
        let mut made = change();
        made.insert(Row::Setting(Setting { name: "made_by".to_owned(), value: "dev".to_owned(), version: 1 }));
        store.commit(&Arc::new(made)).await.expect("the store is marked");
        sell_plenty(store.as_ref()).await;
        forgotten_sessions(store.as_ref()).await;
        store.close().await;
    }

    /// Brings the schema up to date and fills in goods, as a shop has them.
    pub(super) async fn open_shop(&self) {
        let store = self.open_store().await;
        store.migrate().await.expect("the schema is brought up to date");
        sell_plenty(store.as_ref()).await;
        store.close().await;
    }

    /// Every record of the store that no server has open, as text.
    pub(super) async fn records(&self) -> Vec<String> {
        let store = self.open_store().await;
        let mut records = Vec::new();
        for table in Table::ALL {
            let page = store.scan(table, None, 1_000).await.unwrap_or_else(|error| panic!("{table:?}: {error}"));
            records.extend(page.rows.iter().map(|record| format!("{record:?}")));
        }
        store.close().await;
        records
    }

    /// A path beside the data folder.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Goods that nobody can sell out.
async fn sell_plenty(store: &dyn Store) {
    let mut goods = change();
    goods.stock.push(StockMove {
        key: StockKey::main(PLENTY),
        available_delta: 1_000_000,
        reserved_delta: 0,
        cause: Cause::Change(goods.id),
    });
    goods.insert(Row::Product(Product {
        id: ProductId::new(SystemClock.now().unix_ms(), random()),
        sku: PLENTY.to_owned(),
        title: "Plenty".to_owned(),
        kind: ProductKind::Physical,
        url: None,
        unit_amount: 120_000,
        currency: Currency::VND,
        is_active: true,
        version: 1,
    }));
    store.commit(&Arc::new(goods)).await.expect("the goods are there");
}

/// A request to the provider, as the customer's browser sends it.
pub(super) fn ask_stripe(http: &reqwest::Client, url: &str, path: &str, form: String) -> reqwest::RequestBuilder {
    let request = http.post(format!("{url}{path}")).bearer_auth(API_KEY).body(form);
    request.header("content-type", "application/x-www-form-urlencoded")
}

async fn start_stripe(port: u16, webhook_url: String, http: &reqwest::Client, stop: &CancellationToken) -> Arc<StripeSimulator> {
    let settings =
        SimulatorSettings { webhook_url, webhook_secret: SecretString::from(WEBHOOK_SECRET), api_key: Some(SecretString::from(API_KEY)) };
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness::default()));
    // In memory: this process outlives every server, so there is nothing to survive.
    let stripe = StripeSimulator::open(None, settings, clock, randomness).expect("a simulator");
    stripe.set_webhook_retries(WebhookRetries { tries: u32::MAX, policy: RetryPolicy { base_ms: 20, cap_ms: 100 } });
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let limits = ListenLimits {
        connections_max: 256,
        addresses: Addresses::unlimited(),
        header_timeout: Duration::from_secs(5),
        drain: Duration::from_millis(10),
    };
    tokio::spawn(serve(listener, stripe.router(), limits, stop.clone()));
    tokio::spawn(Arc::clone(&stripe).deliver_webhooks(http.clone(), stop.clone()));
    stripe
}

/// Sessions that ended days ago, and the account that they were of.
async fn forgotten_sessions(store: &dyn Store) {
    let now = SystemClock.now();
    let user = User {
        id: UserId::new(now.unix_ms(), random()),
        email: Email::parse("forgotten@example.com").expect("an address"),
        password_hash: "nobody signs in with this".to_owned(),
        role: Role::Customer,
        name: None,
        phone: None,
        locale: Locale::Vi,
        fcm_token: None,
        notifications: Notifications::default(),
        generation: 0,
        is_dev: true,
        created_at: now,
        version: 1,
    };
    let user_id = user.id;
    let mut filling = change();
    filling.insert(Row::User(user));
    for number in 0..OLD_SESSIONS {
        let token = Digest::of(&number.to_be_bytes());
        let (created_at, expires_at) = (now.plus_ms(-9 * 86_400_000), now.plus_ms(-8 * 86_400_000));
        filling.insert(Row::Session(Session { token, user_id, created_at, expires_at, generation: 0, is_dev: true }));
        if number % ROWS_PER_CHANGE == ROWS_PER_CHANGE - 1 {
            let full = std::mem::replace(&mut filling, change());
            store.commit(&Arc::new(full)).await.expect("the sessions are there");
        }
    }
}

fn change() -> Change {
    Change::new(ChangeId::new(SystemClock.now().unix_ms(), random()))
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    SystemRandomness::default().fill(&mut bytes);
    bytes
}
