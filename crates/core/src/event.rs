//! The order's timeline: one list that is audit trail, history for people and what consumers hear, all at once.
//!
//! Event data holds ids and amounts, never e-mail addresses, phone numbers, postal addresses or links, so that erasing
//! a person touches only accounts and orders. Adding a field keeps `v`; any other change raises it.

use crate::id::{ApiKeyId, OrderId, UserId};
use crate::payment::Provider;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What happened. Names are stable; a name this node does not know is kept as it is (F45).
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
            /// Written by a newer node.
            Unknown(Box<str>),
        }

        impl EventKind {
            /// Every kind this node knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(name) => name,
                }
            }

            /// The kind of that name.
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    other => Self::Unknown(other.into()),
                }
            }
        }
    };
}

event_kinds! {
    /// The order stands and its stock is reserved.
    OrderCreated = "order.created";
    /// Enough money arrived; at most once in an order's life (I2).
    OrderPaid = "order.paid";
    /// Its time ran out unpaid.
    OrderExpired = "order.expired";
    /// Called off.
    OrderCancelled = "order.cancelled";
    /// Money came after the end and the goods could be reserved again.
    OrderRevived = "order.revived";
    /// Work on it began.
    OrderProcessing = "order.processing";
    /// Handed to the carrier.
    OrderShipped = "order.shipped";
    /// Arrived.
    OrderDelivered = "order.delivered";
    /// Everything is done.
    OrderCompleted = "order.completed";
    /// Done except for tasks that failed.
    OrderPartiallyCompleted = "order.partially_completed";
    /// A person must decide.
    OrderNeedsAttention = "order.needs_attention";
    /// Somebody wrote something down.
    OrderNote = "order.note";
    /// The provider knows the payment and gave it a reference.
    PaymentCreated = "payment.created";
    /// Money arrived.
    PaymentReceived = "payment.received";
    /// An attempt to pay failed.
    PaymentFailed = "payment.failed";
    /// Money arrived that the order does not need.
    PaymentExtra = "payment.extra";
    /// The customer's bank disputes a payment.
    PaymentDisputed = "payment.disputed";
    /// The dispute is over.
    PaymentDisputeClosed = "payment.dispute_closed";
    /// A refund was asked for.
    RefundRequested = "refund.requested";
    /// Money went back.
    RefundSucceeded = "refund.succeeded";
    /// Money should have gone back and did not.
    RefundFailed = "refund.failed";
    /// A digital delivery was handed to the fulfilment worker.
    TaskEnrolled = "task.enrolled";
    /// A digital delivery is ready.
    TaskCompleted = "task.completed";
    /// A digital delivery failed.
    TaskFailed = "task.failed";
    /// A failed delivery is tried again.
    TaskRetried = "task.retried";
    /// A parcel exists at the carrier.
    ShipmentCreated = "shipment.created";
    /// The parcel moved.
    ShipmentUpdated = "shipment.updated";
    /// A mail, SMS or push went out.
    NotificationSent = "notification.sent";
    /// A mail, SMS or push could not be sent.
    NotificationFailed = "notification.failed";
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}

/// Who did it, as text that stays readable for ever: `customer:<id>`, `staff:<id>`, `stripe`, `system`, `operator:<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(String);

impl Actor {
    /// A signed-in customer.
    pub fn customer(id: UserId) -> Self {
        Self(format!("customer:{id}"))
    }

    /// A signed-in member of staff.
    pub fn staff(id: UserId) -> Self {
        Self(format!("staff:{id}"))
    }

    /// A program that speaks for its own people.
    pub fn api_key(id: ApiKeyId) -> Self {
        Self(format!("api_key:{id}"))
    }

    /// A provider that told us something.
    pub fn provider(provider: Provider) -> Self {
        Self(provider.name().to_owned())
    }

    /// ordermill itself.
    pub fn system() -> Self {
        Self("system".to_owned())
    }

    /// A person at the command line of the machine.
    pub fn operator(name: &str) -> Self {
        Self(format!("operator:{name}"))
    }

    /// An actor read back from storage.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One entry of an order's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The order.
    pub order_id: OrderId,
    /// 1, 2, 3 … without holes; the last one is the order's version (I15).
    pub seq: i64,
    /// What happened.
    pub kind: EventKind,
    /// The version of `data`'s shape.
    pub v: i32,
    /// When, by the deciding node's clock.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// Ids and amounts, by the kind's shape.
    pub data: serde_json::Value,
}

impl Event {
    /// The event's id: the same for everybody who computes it, so that consumers can drop repeats.
    pub fn id(&self) -> String {
        format!("evt_{}_{}", self.order_id.uuid().simple(), self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_names_survive() {
        for kind in EventKind::KNOWN {
            assert_eq!(EventKind::from_name(kind.name()), *kind);
        }
        let newer: EventKind = serde_json::from_str("\"order.teleported\"").expect("any text is a kind");
        assert_eq!(serde_json::to_string(&newer).expect("text"), "\"order.teleported\"");
    }
}
