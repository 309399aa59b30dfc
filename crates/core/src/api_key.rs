//! Keys by which programs speak to us: what each may do, and whether it still may. This file must not make secrets (that
//! needs randomness) and never holds one, only its digest.

use crate::digest::Digest;
use crate::event::Actor;
use crate::id::ApiKeyId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One thing that a key may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Place orders.
    #[serde(rename = "orders:create")]
    OrdersCreate,
    /// Read orders and their timelines.
    #[serde(rename = "orders:read")]
    OrdersRead,
    /// Change products and stock.
    #[serde(rename = "catalogue:write")]
    CatalogueWrite,
    /// Read received events.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
}

impl Scope {
    /// Every scope, for documentation and tests.
    pub const ALL: [Self; 4] = [Self::OrdersCreate, Self::OrdersRead, Self::CatalogueWrite, Self::WebhooksRead];

    /// The name used in JSON, storage and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrdersCreate => "orders:create",
            Self::OrdersRead => "orders:read",
            Self::CatalogueWrite => "catalogue:write",
            Self::WebhooksRead => "webhooks:read",
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// What every secret begins with: whoever finds one in a log or a repository knows what it opens.
pub const PREFIX: &str = "omk_live_";
/// How many characters of a secret are shown: the prefix and seven of 43 that are random.
const SHOWN_CHARACTERS: usize = 16;

/// The part of a secret that people may see.
pub fn shown_part(secret: &str) -> String {
    secret.chars().take(SHOWN_CHARACTERS).collect()
}

/// A key. The secret itself was shown once and is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// SHA-256 of the secret, unique among keys.
    pub secret: Digest,
    /// The beginning of the secret, by which people recognise it; too short to guess the rest from.
    pub shown: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing any more; none: never.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back. The row stays, so that old entries of the audit trail have a name to show.
    pub revoked_at: Option<Timestamp>,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

impl ApiKey {
    /// The key taken back, from now on and for ever.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self { revoked_at: Some(self.revoked_at.unwrap_or(now)), version: self.version.saturating_add(1), ..self.clone() }
    }

    /// Whether it opens anything now: neither taken back nor past its time.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);

    fn key() -> ApiKey {
        ApiKey {
            id: ApiKeyId::new(1, [1; 10]),
            secret: Digest::of(b"secret"),
            shown: shown_part("omk_live_3fk2uVw_the-rest-stays-unknown"),
            name: "kho".to_owned(),
            scopes: BTreeSet::from([Scope::OrdersRead]),
            created_by: Actor::operator("lan"),
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
            version: 1,
        }
    }

    #[test]
    fn names_round_trip_and_are_those_that_are_stored() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert_eq!(Scope::from_name("orders"), None);
    }

    #[test]
    fn little_of_a_secret_is_shown() {
        assert_eq!(key().shown, "omk_live_3fk2uVw");
        assert!(key().shown.starts_with(PREFIX));
    }

    #[test]
    fn a_key_opens_until_its_time_is_over() {
        assert!(key().is_usable(NOW));
        let limited = ApiKey { expires_at: Some(NOW), ..key() };
        assert!(limited.is_usable(NOW.plus_ms(-1)));
        assert!(!limited.is_usable(NOW) && !limited.is_usable(NOW.plus_ms(1)));
    }

    #[test]
    fn a_key_that_was_taken_back_opens_nothing() {
        let revoked = ApiKey { expires_at: Some(NOW.plus_ms(60_000)), ..key() }.revoked(NOW);
        assert_eq!((revoked.version, revoked.revoked(NOW.plus_ms(9)).revoked_at), (2, Some(NOW)), "the first time stands");
        assert!(!revoked.is_usable(NOW) && !revoked.is_usable(NOW.plus_ms(-1)));
    }
}
