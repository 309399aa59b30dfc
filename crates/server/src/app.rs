//! [`App`]: everything that an entry point gets, and nothing global. Clock, ids, randomness and network are values here,
//! so that one seed replays a whole run. No type of the HTTP framework may enter this module or its parts.

pub mod accounts;
pub mod api_keys;
pub mod cart;
pub mod catalogue;
pub mod commit;
pub mod idempotency;
pub mod jobs;
pub mod orders;
pub mod payments;
pub mod status;

mod audit;
mod environment;
mod fault;

pub use environment::{Clock, ManualClock, Randomness, SeededRandomness, SystemClock, SystemRandomness};
pub use fault::Fault;

pub use crate::http::metrics::{Metrics, StoreFault, StoreVerb};

use crate::config::Config;
use crate::mail::{Mailer, Templates};
use crate::providers::stripe::StripeClient;
use ordermill_core::event::Actor;
use ordermill_core::id::{ApiKeyId, AuditId, ChangeId, OrderId, PaymentId, ProductId, UserId};
use ordermill_core::job::Job;
use ordermill_core::order::Context;
use ordermill_core::route::Routing;
use ordermill_core::time::Timestamp;
use ordermill_store::{ClaimTarget, Store, StoreError};
use std::sync::Arc;

/// What every act needs. Cheap to share: entry points hold an `Arc<App>`.
pub struct App {
    /// The settings, checked.
    pub config: Arc<Config>,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub randomness: Arc<dyn Randomness>,
    /// Sends mail.
    pub mailer: Arc<dyn Mailer>,
    /// The texts of mails.
    pub templates: Arc<Templates>,
    /// Speaks to Stripe.
    pub stripe: StripeClient,
    /// Hashes passwords, a few at a time.
    pub passwords: accounts::PasswordHasher,
    /// Who is signed in, for a few seconds.
    pub sessions: accounts::SessionCache,
    /// Whose keys were seen, for a few seconds.
    pub keys: api_keys::KeyCache,
    /// What is for sale, at most two seconds old.
    pub catalogue: catalogue::CatalogueCache,
    /// Customers' order lists as they were a moment ago.
    pub order_lists: Arc<orders::OrderLists>,
    /// Numbers reserved for this process.
    pub numbers: orders::NumberBlock,
    /// When this process began.
    pub started_at: Timestamp,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
}

/// The parts of an [`App`] that differ between production, `dev` and tests.
pub struct Parts {
    /// The settings, checked.
    pub config: Config,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub randomness: Arc<dyn Randomness>,
    /// Sends mail.
    pub mailer: Arc<dyn Mailer>,
    /// The texts of mails.
    pub templates: Templates,
    /// The shared HTTP client for providers.
    pub http: reqwest::Client,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let config = Arc::new(parts.config);
        let stripe = StripeClient::new(parts.http, &config.stripe);
        let metrics = Metrics::default();
        let lists = orders::OrderLists::new(&config, parts.store.as_ref(), &parts.clock, &parts.randomness, metrics.order_lists.clone());
        Arc::new(Self {
            passwords: accounts::PasswordHasher::new(Arc::clone(&parts.randomness)),
            sessions: accounts::SessionCache::default(),
            keys: api_keys::KeyCache::default(),
            catalogue: catalogue::CatalogueCache::default(),
            order_lists: Arc::new(lists),
            numbers: orders::NumberBlock::default(),
            started_at: parts.clock.now(),
            metrics: Arc::new(metrics),
            templates: Arc::new(parts.templates),
            stripe,
            config,
            store: parts.store,
            clock: parts.clock,
            randomness: parts.randomness,
            mailer: parts.mailer,
        })
    }

    /// Claims jobs for a worker, counted.
    pub async fn claim(&self, target: &ClaimTarget, limit: usize, worker: &str) -> Result<Vec<Job>, StoreError> {
        let begun = self.now();
        let claimed = self.store.claim(target, limit, self.config.worker.lease_ms, worker).await;
        self.count_store(StoreVerb::Claim, begun, claimed.as_ref().err().map(StoreFault::of));
        claimed
    }

    /// Counts a call of the store that began then.
    pub fn count_store(&self, verb: StoreVerb, begun: Timestamp, fault: Option<StoreFault>) {
        self.metrics.store_asked(verb, self.now().micros() - begun.micros(), fault);
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh id for a change, drawn once and kept over every retry.
    pub fn change_id(&self) -> ChangeId {
        ChangeId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh order id.
    pub fn order_id(&self) -> OrderId {
        OrderId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh payment id.
    pub fn payment_id(&self) -> PaymentId {
        PaymentId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh account id.
    pub fn user_id(&self) -> UserId {
        UserId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh id of an API key.
    pub fn api_key_id(&self) -> ApiKeyId {
        ApiKeyId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh product id.
    pub fn product_id(&self) -> ProductId {
        ProductId::new(self.now().unix_ms(), self.random())
    }

    /// A fresh id for an entry of the audit trail.
    pub fn audit_id(&self) -> AuditId {
        AuditId::new(self.now().unix_ms(), self.random())
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill(&mut bytes);
        bytes
    }

    /// Which consumers this installation has.
    fn routing(&self) -> Routing {
        Routing { order_received: self.config.mail.order_received, order_lists: self.order_lists.is_shared(), ..Routing::default() }
    }

    /// What a decision about an order needs to know besides the order.
    pub fn context(&self, actor: Actor, change_id: ChangeId) -> Context {
        Context { change_id, now: self.now(), actor, routing: self.routing() }
    }
}
