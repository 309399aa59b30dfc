//! What providers sent us, kept as it came before anything is done with it. This file must not interpret bodies.

use crate::digest::Digest;
use crate::id::OrderId;
use crate::payment::Provider;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of a received event. Every row reaches one of these in the commit that stores it; `Waiting` and
/// `Reading` have a job that moves them on (I6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxState {
    /// Its fact is part of an order.
    Applied,
    /// It names an order of ours that does not exist yet; a job tries again for 72 hours.
    Waiting,
    /// It only hints at a change; a job reads the object from the provider.
    Reading,
    /// It could not be understood; a person must look.
    Quarantined,
    /// It is about nothing of ours.
    Unrelated,
}

impl InboxState {
    /// Every state, for documentation and tests.
    pub const ALL: [Self; 5] = [Self::Applied, Self::Waiting, Self::Reading, Self::Quarantined, Self::Unrelated];

    /// The name used in JSON and storage.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting => "waiting",
            Self::Reading => "reading",
            Self::Quarantined => "quarantined",
            Self::Unrelated => "unrelated",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a job still has to move it on.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Reading)
    }
}

/// One received event, unique by provider and event id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Who sent it.
    pub provider: Provider,
    /// The provider's id of the event (never of the delivery attempt).
    pub event_id: String,
    /// The provider's type, such as `payment_intent.succeeded`; empty when the body could not be read.
    pub kind: String,
    /// The body exactly as it was signed.
    pub body: String,
    /// SHA-256 of the body: the same id with another digest is not the same event.
    pub body_digest: Digest,
    /// What became of it.
    pub state: InboxState,
    /// One line that says why, for people.
    pub outcome: String,
    /// The order it moved, once known.
    pub order_id: Option<OrderId>,
    /// When it came.
    pub received_at: Timestamp,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}
