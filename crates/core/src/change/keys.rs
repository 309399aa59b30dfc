//! Every unique value is a [`Key`], and every stored thing a [`Row`] that knows its keys. Both enums are closed: a new
//! kind of row is a new line here, in each store and in the conformance suite.

use crate::account::{OneTimeToken, Session, Throttle, User};
use crate::api_key::ApiKey;
use crate::cart::Cart;
use crate::catalogue::{MAIN_LOCATION, Product};
use crate::digest::Digest;
use crate::event::Actor;
use crate::id::{ApiKeyId, AuditId, ChangeId, OrderId, ProductId, ResultId, UserId};
use crate::inbox::InboxEntry;
use crate::job::JobKey;
use crate::order::Order;
use crate::payment::Provider;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A unique value: a unique index in SQL, an item of its own on `DynamoDB`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// An order.
    Order(OrderId),
    /// An order's number, and with it its code.
    OrderNumber(i64),
    /// A provider's money object, so that no two orders claim it (I5).
    Payment(Provider, String),
    /// A product.
    Product(ProductId),
    /// A product's sku.
    Sku(String),
    /// A product's page.
    ProductUrl(String),
    /// An account.
    User(UserId),
    /// An account's e-mail address.
    UserEmail(String),
    /// A session, by the digest of its token.
    Session(Digest),
    /// A received event, by provider and event id.
    Inbox(Provider, String),
    /// An Idempotency-Key in its scope, digested.
    Idempotency(Digest),
    /// An effect on the outside world.
    Effect(Digest),
    /// A dead letter.
    DeadLetter(JobKey),
    /// Whether people paused a queue.
    QueuePause(String),
    /// An entry of the audit trail.
    Audit(AuditId),
    /// A setting that the store itself remembers, such as who made it.
    Setting(String),
    /// A customer's cart.
    Cart(UserId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// An API key, by the digest of its secret.
    ApiKeySecret(Digest),
    /// A one-time token, by its digest.
    OneTimeToken(Digest),
    /// Failed log-ins, by the digest of what they are counted for.
    Throttle(Digest),
}

/// Which goods, in which place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StockKey {
    /// The goods.
    pub sku: String,
    /// The place.
    pub location: String,
}

impl StockKey {
    /// Goods in the one place there is for now.
    pub fn main(sku: impl Into<String>) -> Self {
        Self { sku: sku.into(), location: MAIN_LOCATION.to_owned() }
    }
}

/// Why goods or money moved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An event of an order.
    Order(OrderId, i64),
    /// A person or an import; the change is the cause.
    Change(ChangeId),
}

/// The result of a request that carried an Idempotency-Key. The answer is rendered from what the request made, never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// Digest of scope and key.
    pub key: Digest,
    /// Digest of method, path and raw body: another one under the same key is a client's mistake. Made with a secret where
    /// the body holds a password.
    pub fingerprint: Digest,
    /// What the request made or changed.
    pub result: ResultId,
    /// When.
    pub at: Timestamp,
}

/// A provider's money object and the order that it belongs to, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRow {
    /// The provider.
    pub provider: Provider,
    /// The provider's name for it.
    pub reference: String,
    /// The order.
    pub order_id: OrderId,
    /// When we first heard of it.
    pub at: Timestamp,
}

/// What is known of one effect on the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// About to be done; after a crash, perhaps done.
    Intended,
    /// Done, with the provider's reference.
    Confirmed,
    /// Nobody can tell; a person must look.
    NeedsReview,
}

/// One effect on the outside world: one key, one recorded outcome (I7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Digest of order, kind and business sequence; never of an attempt or a time.
    pub key: Digest,
    /// The order it belongs to.
    pub order_id: OrderId,
    /// What it is, such as `email.order_paid`.
    pub kind: String,
    /// What is known.
    pub state: EffectState,
    /// The provider's reference once confirmed.
    pub reference: Option<String>,
    /// How often it was sent again without knowing whether the earlier one arrived.
    pub resends: i32,
    /// When the state was reached.
    pub at: Timestamp,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

/// A queue that people paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePause {
    /// The queue.
    pub queue: String,
    /// Whether it is paused now.
    pub is_paused: bool,
    /// Who did it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

/// One act of a person on the system, as opposed to on one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, such as `dead_letter.redriven`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, in the person's words.
    pub reason: String,
    /// What came of it, as JSON, where a copy of the request must hear it again and no other row tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A setting that the store itself remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

/// A stored thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// An order.
    Order(Box<Order>),
    /// A provider's money object.
    Payment(PaymentRow),
    /// A product.
    Product(Product),
    /// An account.
    User(User),
    /// A session.
    Session(Session),
    /// A received event.
    Inbox(InboxEntry),
    /// The result of an idempotent request.
    Idempotency(IdempotencyRow),
    /// An effect on the outside world.
    Effect(Effect),
    /// A paused queue.
    QueuePause(QueuePause),
    /// An act of a person.
    Audit(AuditEntry),
    /// A remembered setting.
    Setting(Setting),
    /// A customer's cart.
    Cart(Cart),
    /// An API key.
    ApiKey(ApiKey),
    /// A one-time token.
    OneTimeToken(OneTimeToken),
    /// Failed log-ins.
    Throttle(Throttle),
}

impl Row {
    /// The key it is written under.
    pub fn key(&self) -> Key {
        match self {
            Self::Order(row) => Key::Order(row.id),
            Self::Payment(row) => Key::Payment(row.provider, row.reference.clone()),
            Self::Product(row) => Key::Product(row.id),
            Self::User(row) => Key::User(row.id),
            Self::Session(row) => Key::Session(row.token),
            Self::Inbox(row) => Key::Inbox(row.provider, row.event_id.clone()),
            Self::Idempotency(row) => Key::Idempotency(row.key),
            Self::Effect(row) => Key::Effect(row.key),
            Self::QueuePause(row) => Key::QueuePause(row.queue.clone()),
            Self::Audit(row) => Key::Audit(row.id),
            Self::Setting(row) => Key::Setting(row.name.clone()),
            Self::Cart(row) => Key::Cart(row.customer),
            Self::ApiKey(row) => Key::ApiKey(row.id),
            Self::OneTimeToken(row) => Key::OneTimeToken(row.token),
            Self::Throttle(row) => Key::Throttle(row.scope),
        }
    }

    /// Every key it holds: the one it is written under, then its other unique values.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = vec![self.key()];
        match self {
            Self::Order(row) => keys.push(Key::OrderNumber(row.number)),
            Self::Product(row) => {
                keys.push(Key::Sku(row.sku.clone()));
                keys.extend(row.url.clone().map(Key::ProductUrl));
            }
            Self::User(row) => keys.push(Key::UserEmail(row.email.as_str().to_owned())),
            Self::ApiKey(row) => keys.push(Key::ApiKeySecret(row.secret)),
            Self::Payment(_)
            | Self::Session(_)
            | Self::Inbox(_)
            | Self::Idempotency(_)
            | Self::Effect(_)
            | Self::QueuePause(_)
            | Self::Audit(_)
            | Self::Setting(_)
            | Self::Cart(_)
            | Self::OneTimeToken(_)
            | Self::Throttle(_) => {}
        }
        keys
    }

    /// The row's version: an order's last event, otherwise the count of its writes. Rows that never change have 1.
    pub const fn version(&self) -> i64 {
        match self {
            Self::Order(row) => row.version,
            Self::Product(row) => row.version,
            Self::User(row) => row.version,
            Self::Inbox(row) => row.version,
            Self::Effect(row) => row.version,
            Self::QueuePause(row) => row.version,
            Self::Setting(row) => row.version,
            Self::Cart(row) => row.version,
            Self::ApiKey(row) => row.version,
            Self::Throttle(row) => row.version,
            Self::Payment(_) | Self::Session(_) | Self::Idempotency(_) | Self::Audit(_) | Self::OneTimeToken(_) => 1,
        }
    }
}
