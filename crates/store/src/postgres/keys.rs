//! How rows are found by their keys: for every kind of [`Key`] one statement that reads whole rows and one that locks
//! them. Both take arrays and answer with the place of the key in them. This file must not write.

use super::pipeline::Param;
use super::trouble::Trouble;
use crate::StoreError;
use crate::encode::{FORMAT, read_json};
use ordermill_core::change::{Key, Row};
use ordermill_core::job::JobKey;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// What kind of key, in the order in which rows are locked: orders before everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lookup {
    Order,
    OrderNumber,
    Payment,
    Product,
    Sku,
    ProductUrl,
    User,
    UserEmail,
    Session,
    Inbox,
    Idempotency,
    Effect,
    DeadLetter,
    QueuePause,
    Audit,
    Setting,
    Cart,
    ApiKey,
    ApiKeySecret,
    OneTimeToken,
    Throttle,
}

/// The statements of one kind of key.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyStatements {
    /// Place, creator, version, last change, format and body of the rows that exist.
    pub(super) find: &'static str,
    /// Place, creator, version and last change of the rows that exist, which stay locked until the transaction ends.
    /// They are locked in the order of the keys given.
    pub(super) lock: &'static str,
}

macro_rules! by_key {
    ($table:literal, $version:literal, $arrays:literal, $names:literal, $on:literal) => {
        KeyStatements {
            find: concat!(
                "SELECT k.place, r.created_by, ",
                $version,
                ", r.last_change, r.format, r.body FROM unnest(",
                $arrays,
                ") WITH ORDINALITY AS k (",
                $names,
                ", place) JOIN ",
                $table,
                " r ON ",
                $on
            ),
            lock: concat!(
                "SELECT k.place, r.created_by, ",
                $version,
                ", r.last_change FROM unnest(",
                $arrays,
                ") WITH ORDINALITY AS k (",
                $names,
                ", place) JOIN ",
                $table,
                " r ON ",
                $on,
                " ORDER BY k.place FOR UPDATE OF r"
            ),
        }
    };
}

/// Nobody is remembered as the writer of a dead letter, and it is not a row that is handed out.
const DEAD_LETTER: KeyStatements = KeyStatements {
    find: "SELECT k.place, '00000000-0000-0000-0000-000000000000'::uuid, r.attempt::bigint, '00000000-0000-0000-0000-000000000000'::uuid \
           FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (queue, grp, seq, place) \
           JOIN dead_letters r ON r.queue = k.queue AND r.grp = k.grp AND r.seq = k.seq",
    lock: "SELECT k.place, '00000000-0000-0000-0000-000000000000'::uuid, r.attempt::bigint, '00000000-0000-0000-0000-000000000000'::uuid \
           FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS k (queue, grp, seq, place) \
           JOIN dead_letters r ON r.queue = k.queue AND r.grp = k.grp AND r.seq = k.seq \
           ORDER BY k.place FOR UPDATE OF r",
};

/// A row without a body: it is put together from its columns as all others are stored.
const IDEMPOTENCY: KeyStatements = KeyStatements {
    find: "SELECT k.place, r.created_by, 1::bigint, r.created_by, 1, json_build_object('key', encode(r.key, 'hex'), \
           'fingerprint', encode(r.fingerprint, 'hex'), 'result', r.result, 'at', r.at)::text \
           FROM unnest($1::bytea[]) WITH ORDINALITY AS k (key, place) JOIN idempotency r ON r.key = k.key",
    lock: "SELECT k.place, r.created_by, 1::bigint, r.created_by FROM unnest($1::bytea[]) WITH ORDINALITY AS k (key, place) \
           JOIN idempotency r ON r.key = k.key ORDER BY k.place FOR UPDATE OF r",
};

impl Lookup {
    #[cfg(feature = "test-support")]
    pub(super) const ALL: [Self; 21] = [
        Self::Order,
        Self::OrderNumber,
        Self::Payment,
        Self::Product,
        Self::Sku,
        Self::ProductUrl,
        Self::User,
        Self::UserEmail,
        Self::Session,
        Self::Inbox,
        Self::Idempotency,
        Self::Effect,
        Self::DeadLetter,
        Self::QueuePause,
        Self::Audit,
        Self::Setting,
        Self::Cart,
        Self::ApiKey,
        Self::ApiKeySecret,
        Self::OneTimeToken,
        Self::Throttle,
    ];

    pub(super) const fn of(key: &Key) -> Self {
        match key {
            Key::Order(_) => Self::Order,
            Key::OrderNumber(_) => Self::OrderNumber,
            Key::Payment(..) => Self::Payment,
            Key::Product(_) => Self::Product,
            Key::Sku(_) => Self::Sku,
            Key::ProductUrl(_) => Self::ProductUrl,
            Key::User(_) => Self::User,
            Key::UserEmail(_) => Self::UserEmail,
            Key::Session(_) => Self::Session,
            Key::Inbox(..) => Self::Inbox,
            Key::Idempotency(_) => Self::Idempotency,
            Key::Effect(_) => Self::Effect,
            Key::DeadLetter(_) => Self::DeadLetter,
            Key::QueuePause(_) => Self::QueuePause,
            Key::Audit(_) => Self::Audit,
            Key::Setting(_) => Self::Setting,
            Key::Cart(_) => Self::Cart,
            Key::ApiKey(_) => Self::ApiKey,
            Key::ApiKeySecret(_) => Self::ApiKeySecret,
            Key::OneTimeToken(_) => Self::OneTimeToken,
            Key::Throttle(_) => Self::Throttle,
        }
    }

    pub(super) const fn statements(self) -> KeyStatements {
        match self {
            Self::Order => by_key!("orders", "r.version", "$1::uuid[]", "id", "r.id = k.id"),
            Self::OrderNumber => by_key!("orders", "r.version", "$1::bigint[]", "number", "r.number = k.number"),
            Self::Payment => by_key!(
                "payments",
                "1::bigint",
                "$1::text[], $2::text[]",
                "provider, reference",
                "r.provider = k.provider AND r.reference = k.reference"
            ),
            Self::Product => by_key!("products", "r.version", "$1::uuid[]", "id", "r.id = k.id"),
            Self::Sku => by_key!("products", "r.version", "$1::text[]", "sku", "r.sku = k.sku"),
            Self::ProductUrl => by_key!("products", "r.version", "$1::text[]", "url", "r.url = k.url"),
            Self::User => by_key!("users", "r.version", "$1::uuid[]", "id", "r.id = k.id"),
            Self::UserEmail => by_key!("users", "r.version", "$1::text[]", "email", "r.email = k.email"),
            Self::Session => by_key!("sessions", "1::bigint", "$1::bytea[]", "token", "r.token = k.token"),
            Self::Inbox => by_key!(
                "inbox",
                "r.version",
                "$1::text[], $2::text[]",
                "provider, event_id",
                "r.provider = k.provider AND r.event_id = k.event_id"
            ),
            Self::Idempotency => IDEMPOTENCY,
            Self::Effect => by_key!("effects", "r.version", "$1::bytea[]", "key", "r.key = k.key"),
            Self::DeadLetter => DEAD_LETTER,
            Self::QueuePause => by_key!("queue_pauses", "r.version", "$1::text[]", "queue", "r.queue = k.queue"),
            Self::Audit => by_key!("audit", "1::bigint", "$1::uuid[]", "id", "r.id = k.id"),
            Self::Setting => by_key!("settings", "r.version", "$1::text[]", "name", "r.name = k.name"),
            Self::Cart => by_key!("carts", "r.version", "$1::uuid[]", "customer", "r.customer = k.customer"),
            Self::ApiKey => by_key!("api_keys", "r.version", "$1::uuid[]", "id", "r.id = k.id"),
            Self::ApiKeySecret => by_key!("api_keys", "r.version", "$1::bytea[]", "secret", "r.secret = k.secret"),
            Self::OneTimeToken => by_key!("one_time_tokens", "1::bigint", "$1::bytea[]", "token", "r.token = k.token"),
            Self::Throttle => by_key!("throttles", "r.version", "$1::bytea[]", "scope", "r.scope = k.scope"),
        }
    }

    /// Removes rows by the key they are written under; none for keys that only point to a row.
    pub(super) const fn delete_statement(self) -> Option<&'static str> {
        Some(match self {
            Self::Order => "DELETE FROM orders r USING unnest($1::uuid[]) AS k (id) WHERE r.id = k.id",
            Self::Payment => {
                "DELETE FROM payments r USING unnest($1::text[], $2::text[]) AS k (provider, reference) \
                 WHERE r.provider = k.provider AND r.reference = k.reference"
            }
            Self::Product => "DELETE FROM products r USING unnest($1::uuid[]) AS k (id) WHERE r.id = k.id",
            Self::User => "DELETE FROM users r USING unnest($1::uuid[]) AS k (id) WHERE r.id = k.id",
            Self::Session => "DELETE FROM sessions r USING unnest($1::bytea[]) AS k (token) WHERE r.token = k.token",
            Self::Inbox => {
                "DELETE FROM inbox r USING unnest($1::text[], $2::text[]) AS k (provider, event_id) \
                 WHERE r.provider = k.provider AND r.event_id = k.event_id"
            }
            Self::Idempotency => "DELETE FROM idempotency r USING unnest($1::bytea[]) AS k (key) WHERE r.key = k.key",
            Self::Effect => "DELETE FROM effects r USING unnest($1::bytea[]) AS k (key) WHERE r.key = k.key",
            Self::DeadLetter => {
                "DELETE FROM dead_letters r USING unnest($1::text[], $2::text[], $3::bigint[]) AS k (queue, grp, seq) \
                 WHERE r.queue = k.queue AND r.grp = k.grp AND r.seq = k.seq"
            }
            Self::QueuePause => "DELETE FROM queue_pauses r USING unnest($1::text[]) AS k (queue) WHERE r.queue = k.queue",
            Self::Audit => "DELETE FROM audit r USING unnest($1::uuid[]) AS k (id) WHERE r.id = k.id",
            Self::Setting => "DELETE FROM settings r USING unnest($1::text[]) AS k (name) WHERE r.name = k.name",
            Self::Cart => "DELETE FROM carts r USING unnest($1::uuid[]) AS k (customer) WHERE r.customer = k.customer",
            Self::ApiKey => "DELETE FROM api_keys r USING unnest($1::uuid[]) AS k (id) WHERE r.id = k.id",
            Self::OneTimeToken => "DELETE FROM one_time_tokens r USING unnest($1::bytea[]) AS k (token) WHERE r.token = k.token",
            Self::Throttle => "DELETE FROM throttles r USING unnest($1::bytea[]) AS k (scope) WHERE r.scope = k.scope",
            Self::OrderNumber | Self::Sku | Self::ProductUrl | Self::UserEmail | Self::ApiKeySecret => return None,
        })
    }
}

/// Keys of one kind as the arrays that its statements take.
pub(super) fn key_arrays<'a>(lookup: Lookup, keys: &[&'a Key]) -> Vec<Param<'a>> {
    match lookup {
        Lookup::Order | Lookup::Product | Lookup::User | Lookup::Audit | Lookup::Cart | Lookup::ApiKey => vec![all(keys, uuid_of)],
        Lookup::OrderNumber => vec![all(keys, number_of)],
        Lookup::Session | Lookup::Idempotency | Lookup::Effect | Lookup::ApiKeySecret | Lookup::OneTimeToken | Lookup::Throttle => {
            vec![all(keys, digest_of)]
        }
        Lookup::Payment | Lookup::Inbox => vec![all(keys, provider_of), all(keys, text_of)],
        Lookup::Sku | Lookup::ProductUrl | Lookup::UserEmail | Lookup::QueuePause | Lookup::Setting => vec![all(keys, text_of)],
        Lookup::DeadLetter => {
            let jobs: Vec<&JobKey> = keys.iter().filter_map(|key| if let Key::DeadLetter(job) = key { Some(job) } else { None }).collect();
            job_arrays(&jobs)
        }
    }
}

/// Job keys as the arrays queue, group, number.
pub(super) fn job_arrays<'a>(keys: &[&'a JobKey]) -> Vec<Param<'a>> {
    vec![
        Box::new(keys.iter().map(|key| key.queue.as_str()).collect::<Vec<_>>()),
        Box::new(keys.iter().map(|key| key.group.as_str()).collect::<Vec<_>>()),
        Box::new(keys.iter().map(|key| key.seq).collect::<Vec<_>>()),
    ]
}

fn all<'a, T>(keys: &[&'a Key], part: impl Fn(&'a Key) -> Option<T>) -> Param<'a>
where
    Vec<T>: tokio_postgres::types::ToSql + Sync + Send + 'a,
{
    Box::new(keys.iter().filter_map(|key| part(key)).collect::<Vec<T>>())
}

const fn uuid_of(key: &Key) -> Option<Uuid> {
    match key {
        Key::Order(id) => Some(id.uuid()),
        Key::Product(id) => Some(id.uuid()),
        Key::User(id) => Some(id.uuid()),
        Key::Audit(id) => Some(id.uuid()),
        Key::Cart(customer) => Some(customer.uuid()),
        Key::ApiKey(id) => Some(id.uuid()),
        _ => None,
    }
}

const fn number_of(key: &Key) -> Option<i64> {
    if let Key::OrderNumber(number) = key { Some(*number) } else { None }
}

fn digest_of(key: &Key) -> Option<&[u8]> {
    match key {
        Key::Session(digest)
        | Key::Idempotency(digest)
        | Key::Effect(digest)
        | Key::ApiKeySecret(digest)
        | Key::OneTimeToken(digest)
        | Key::Throttle(digest) => Some(digest.bytes()),
        _ => None,
    }
}

const fn provider_of(key: &Key) -> Option<&'static str> {
    match key {
        Key::Payment(provider, _) | Key::Inbox(provider, _) => Some(provider.name()),
        _ => None,
    }
}

fn text_of(key: &Key) -> Option<&str> {
    match key {
        Key::Payment(_, text)
        | Key::Inbox(_, text)
        | Key::Sku(text)
        | Key::ProductUrl(text)
        | Key::UserEmail(text)
        | Key::QueuePause(text)
        | Key::Setting(text) => Some(text),
        _ => None,
    }
}

/// Whether a key holds U+0000, which no text column can: there is certainly no such row.
pub(super) fn is_impossible(key: &Key) -> bool {
    match key {
        Key::DeadLetter(job) => is_impossible_job(job),
        other => text_of(other).is_some_and(has_nul),
    }
}

/// The same for a job's key.
pub(super) fn is_impossible_job(key: &JobKey) -> bool {
    has_nul(&key.queue) || has_nul(&key.group)
}

/// Whether a text holds U+0000.
pub(super) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// Reads the row that a key of this kind leads to; none for dead letters, which are no rows.
pub(super) fn decode_row(lookup: Lookup, name: &dyn Fn() -> String, format: i32, body: &str) -> Result<Option<Row>, StoreError> {
    Ok(Some(match lookup {
        Lookup::Order | Lookup::OrderNumber => Row::Order(Box::new(read_body(name, format, body)?)),
        Lookup::Payment => Row::Payment(read_body(name, format, body)?),
        Lookup::Product | Lookup::Sku | Lookup::ProductUrl => Row::Product(read_body(name, format, body)?),
        Lookup::User | Lookup::UserEmail => Row::User(read_body(name, format, body)?),
        Lookup::Session => Row::Session(read_body(name, format, body)?),
        Lookup::Inbox => Row::Inbox(read_body(name, format, body)?),
        Lookup::Idempotency => Row::Idempotency(read_body(name, format, body)?),
        Lookup::Effect => Row::Effect(read_body(name, format, body)?),
        Lookup::QueuePause => Row::QueuePause(read_body(name, format, body)?),
        Lookup::Audit => Row::Audit(read_body(name, format, body)?),
        Lookup::Setting => Row::Setting(read_body(name, format, body)?),
        Lookup::Cart => Row::Cart(read_body(name, format, body)?),
        Lookup::ApiKey | Lookup::ApiKeySecret => Row::ApiKey(read_body(name, format, body)?),
        Lookup::OneTimeToken => Row::OneTimeToken(read_body(name, format, body)?),
        Lookup::Throttle => Row::Throttle(read_body(name, format, body)?),
        Lookup::DeadLetter => return Ok(None),
    }))
}

/// Reads a body of the format that this binary writes.
pub(super) fn read_body<T: DeserializeOwned>(name: impl Fn() -> String, format: i32, body: &str) -> Result<T, StoreError> {
    if format == FORMAT {
        read_json(name(), body)
    } else {
        Err(StoreError::Corrupt { key: name(), why: format!("its format is {format}, this binary knows {FORMAT}") })
    }
}

/// A column of a row, by its place.
pub(super) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r tokio_postgres::Row, place: usize) -> Result<T, Trouble> {
    row.try_get(place).map_err(|error| Trouble::Refused(super::connect::describe(&error)))
}
