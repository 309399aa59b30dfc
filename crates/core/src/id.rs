//! Identifiers: one newtype per thing, so that a payment id never stands where an order id belongs.
//!
//! All are `UUIDv7` (RFC 9562 §5.7) built from a time and random bytes that the caller supplies. This file must not
//! read a clock or draw randomness itself.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Builds a `UUIDv7` from Unix milliseconds and ten random bytes.
fn uuid_v7(unix_ms: u64, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id from Unix milliseconds and ten random bytes.
            pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid_v7(unix_ms, random))
            }

            /// An id read back from storage.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for storage columns.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Whether it has the form of the ids made here. Another program's UUID seldom has.
            pub fn is_version_7(self) -> bool {
                self.0.get_version_num() == 7
            }

            /// Parses the hyphenated text form; `None` for anything else, so that every id has one spelling.
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )*};
}

id_types! {
    /// One order, for ever.
    OrderId;
    /// One payment attempt of an order (ours, not the provider's).
    PaymentId;
    /// One product of the catalogue.
    ProductId;
    /// One account.
    UserId;
    /// One `Change`: 128 bits drawn before the first attempt and kept over every retry of it.
    ChangeId;
    /// One entry of the audit trail.
    AuditId;
    /// One dead letter.
    DeadLetterId;
    /// One API key.
    ApiKeyId;
    /// What a request with an Idempotency-Key made or changed, whatever that is: ids are drawn so that no two things share
    /// one, and whoever remembered the request knows which kind it is.
    ResultId;
}

macro_rules! results {
    ($($(#[$doc:meta])* $kind:ident: $name:ident;)*) => {
        $(impl From<$name> for ResultId {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        })*

        impl ResultId {
            $($(#[$doc])* pub const fn $kind(self) -> $name {
                $name(self.0)
            })*
        }
    };
}

results! {
    /// The order, if that is what it names.
    order: OrderId;
    /// The product, if that is what it names.
    product: ProductId;
    /// The account, if that is what it names.
    user: UserId;
    /// The API key, if that is what it names.
    api_key: ApiKeyId;
    /// The entry of the audit trail, if that is what it names.
    audit: AuditId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let early = OrderId::new(1_768_705_445_000, [0xff; 10]);
        let late = OrderId::new(1_768_705_445_001, [0x00; 10]);
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
        assert_eq!(OrderId::parse(&early.to_string()), Some(early));
    }

    #[test]
    fn a_result_is_stored_as_the_id_it_was_made_from() {
        let order = OrderId::new(1_768_705_445_000, [7; 10]);
        let result = ResultId::from(order);
        assert_eq!(serde_json::to_value(result).unwrap(), serde_json::to_value(order).unwrap());
        assert_eq!((result.order(), result.uuid()), (order, order.uuid()));
        let user = UserId::new(1_768_705_445_000, [8; 10]);
        assert_eq!(ResultId::from(user).user(), user);
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        for text in
            ["", "x", "01890a5d-ac96-774b-bcce-b302099a805", "{01890a5d-ac96-774b-bcce-b302099a8057}", "01890a5dac96774bbcceb302099a8057"]
        {
            assert_eq!(OrderId::parse(text), None, "{text}");
        }
    }
}
