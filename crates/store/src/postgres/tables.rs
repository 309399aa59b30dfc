//! How rows are written: for every table one statement that inserts and one that writes over, both for many rows at once.
//! The first parameters are the changes and, of tables with bodies, the bodies and the format; then come the table's real
//! columns, the key first. This file must not read.

use super::pipeline::{Param, Step};
use crate::Table;
use crate::encode::FORMAT;
use ordermill_core::change::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A row to be written, and by which change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Put<'a> {
    pub(super) row: &'a Row,
    pub(super) body: &'a str,
    pub(super) change: Uuid,
}

/// The table a row lies in.
pub(super) const fn table_of(row: &Row) -> Table {
    match row {
        Row::Order(_) => Table::Orders,
        Row::Payment(_) => Table::Payments,
        Row::Product(_) => Table::Products,
        Row::User(_) => Table::Users,
        Row::Session(_) => Table::Sessions,
        Row::Inbox(_) => Table::Inbox,
        Row::Idempotency(_) => Table::Idempotency,
        Row::Effect(_) => Table::Effects,
        Row::QueuePause(_) => Table::QueuePauses,
        Row::Audit(_) => Table::Audit,
        Row::Setting(_) => Table::Settings,
        Row::Cart(_) => Table::Carts,
        Row::ApiKey(_) => Table::ApiKeys,
        Row::OneTimeToken(_) => Table::OneTimeTokens,
        Row::Throttle(_) => Table::Throttles,
    }
}

/// Writes rows that did not exist.
pub(super) fn insert<'a>(table: Table, puts: &[Put<'a>]) -> Option<Step<'a>> {
    Some(Step::new(insert_statement(table)?, arrays(table, puts)).writing(puts.len()))
}

/// Writes over rows that exist and are locked; none for rows that never change.
pub(super) fn update<'a>(table: Table, puts: &[Put<'a>]) -> Option<Step<'a>> {
    Some(Step::new(update_statement(table)?, arrays(table, puts)).writing(puts.len()))
}

pub(super) const fn insert_statement(table: Table) -> Option<&'static str> {
    Some(match table {
        Table::Orders => {
            "INSERT INTO orders (created_by, last_change, body, format, id, number, customer, email, status, payment_status, expires_at, \
             version) SELECT n.change, n.change, n.body, $3::integer, n.id, n.number, n.customer, n.email, n.status, n.payment_status, \
             n.expires_at, n.version FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::text[], \
             $9::text[], $10::bigint[], $11::bigint[]) \
             AS n (change, body, id, number, customer, email, status, payment_status, expires_at, version)"
        }
        Table::Payments => {
            "INSERT INTO payments (created_by, last_change, body, format, provider, reference, order_id) \
             SELECT n.change, n.change, n.body, $3::integer, n.provider, n.reference, n.order_id \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::text[], $6::uuid[]) AS n (change, body, provider, reference, order_id)"
        }
        Table::Products => {
            "INSERT INTO products (created_by, last_change, body, format, id, sku, url, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.id, n.sku, n.url, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[]) \
             AS n (change, body, id, sku, url, version)"
        }
        Table::Users | Table::Sessions | Table::Carts | Table::ApiKeys | Table::OneTimeTokens | Table::Throttles => {
            return insert_of_people(table);
        }
        Table::Inbox => {
            "INSERT INTO inbox (created_by, last_change, body, format, provider, event_id, state, received_at, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.provider, n.event_id, n.state, n.received_at, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) \
             AS n (change, body, provider, event_id, state, received_at, version)"
        }
        Table::Idempotency => {
            "INSERT INTO idempotency (created_by, key, fingerprint, result, at) \
             SELECT n.change, n.key, n.fingerprint, n.result, n.at \
             FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::uuid[], $5::bigint[]) AS n (change, key, fingerprint, result, at)"
        }
        Table::Effects => {
            "INSERT INTO effects (created_by, last_change, body, format, key, order_id, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.key, n.order_id, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::uuid[], $6::bigint[]) AS n (change, body, key, order_id, version)"
        }
        Table::QueuePauses => {
            "INSERT INTO queue_pauses (created_by, last_change, body, format, queue, is_paused, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.queue, n.is_paused, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::boolean[], $6::bigint[]) AS n (change, body, queue, is_paused, version)"
        }
        Table::Audit => {
            "INSERT INTO audit (created_by, last_change, body, format, id) SELECT n.change, n.change, n.body, $3::integer, n.id \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[]) AS n (change, body, id)"
        }
        Table::Settings => {
            "INSERT INTO settings (created_by, last_change, body, format, name, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.name, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::bigint[]) AS n (change, body, name, version)"
        }
        Table::Events | Table::Stock | Table::StockMovements | Table::Ledger | Table::Jobs | Table::DeadLetters => return None,
    })
}

/// The same for accounts and what belongs to people.
const fn insert_of_people(table: Table) -> Option<&'static str> {
    Some(match table {
        Table::Users => {
            "INSERT INTO users (created_by, last_change, body, format, id, email, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.id, n.email, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::text[], $6::bigint[]) AS n (change, body, id, email, version)"
        }
        Table::Sessions => {
            "INSERT INTO sessions (created_by, last_change, body, format, token, user_id, expires_at) \
             SELECT n.change, n.change, n.body, $3::integer, n.token, n.user_id, n.expires_at \
             FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::uuid[], $6::bigint[]) AS n (change, body, token, user_id, expires_at)"
        }
        Table::Carts => {
            "INSERT INTO carts (created_by, last_change, body, format, customer, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.customer, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bigint[]) AS n (change, body, customer, version)"
        }
        Table::ApiKeys => {
            "INSERT INTO api_keys (created_by, last_change, body, format, id, secret, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.id, n.secret, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bytea[], $6::bigint[]) AS n (change, body, id, secret, version)"
        }
        Table::OneTimeTokens => {
            "INSERT INTO one_time_tokens (created_by, last_change, body, format, token, expires_at) \
             SELECT n.change, n.change, n.body, $3::integer, n.token, n.expires_at \
             FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::bigint[]) AS n (change, body, token, expires_at)"
        }
        Table::Throttles => {
            "INSERT INTO throttles (created_by, last_change, body, format, scope, since, version) \
             SELECT n.change, n.change, n.body, $3::integer, n.scope, n.since, n.version \
             FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::bigint[], $6::bigint[]) AS n (change, body, scope, since, version)"
        }
        _ => return None,
    })
}

pub(super) const fn update_statement(table: Table) -> Option<&'static str> {
    Some(match table {
        Table::Orders => {
            "UPDATE orders r SET last_change = n.change, body = n.body, format = $3::integer, number = n.number, customer = n.customer, \
             email = n.email, status = n.status, payment_status = n.payment_status, expires_at = n.expires_at, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bigint[], \
             $11::bigint[]) AS n (change, body, id, number, customer, email, status, payment_status, expires_at, version) \
             WHERE r.id = n.id"
        }
        Table::Products => {
            "UPDATE products r SET last_change = n.change, body = n.body, format = $3::integer, sku = n.sku, url = n.url, \
             version = n.version FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[]) \
             AS n (change, body, id, sku, url, version) WHERE r.id = n.id"
        }
        Table::Users | Table::Carts | Table::ApiKeys | Table::Throttles => return update_of_people(table),
        Table::Inbox => {
            "UPDATE inbox r SET last_change = n.change, body = n.body, format = $3::integer, state = n.state, \
             received_at = n.received_at, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) \
             AS n (change, body, provider, event_id, state, received_at, version) \
             WHERE r.provider = n.provider AND r.event_id = n.event_id"
        }
        Table::Effects => {
            "UPDATE effects r SET last_change = n.change, body = n.body, format = $3::integer, order_id = n.order_id, \
             version = n.version FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::uuid[], $6::bigint[]) \
             AS n (change, body, key, order_id, version) WHERE r.key = n.key"
        }
        Table::QueuePauses => {
            "UPDATE queue_pauses r SET last_change = n.change, body = n.body, format = $3::integer, is_paused = n.is_paused, \
             version = n.version FROM unnest($1::uuid[], $2::text[], $4::text[], $5::boolean[], $6::bigint[]) \
             AS n (change, body, queue, is_paused, version) WHERE r.queue = n.queue"
        }
        Table::Settings => {
            "UPDATE settings r SET last_change = n.change, body = n.body, format = $3::integer, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::text[], $5::bigint[]) AS n (change, body, name, version) WHERE r.name = n.name"
        }
        // Rows that never change, and tables that hold no rows.
        Table::Payments
        | Table::Sessions
        | Table::Idempotency
        | Table::Audit
        | Table::OneTimeTokens
        | Table::Events
        | Table::Stock
        | Table::StockMovements
        | Table::Ledger
        | Table::Jobs
        | Table::DeadLetters => return None,
    })
}

/// The same for accounts and what belongs to people.
const fn update_of_people(table: Table) -> Option<&'static str> {
    Some(match table {
        Table::Users => {
            "UPDATE users r SET last_change = n.change, body = n.body, format = $3::integer, email = n.email, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::text[], $6::bigint[]) AS n (change, body, id, email, version) \
             WHERE r.id = n.id"
        }
        Table::Carts => {
            "UPDATE carts r SET last_change = n.change, body = n.body, format = $3::integer, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bigint[]) AS n (change, body, customer, version) \
             WHERE r.customer = n.customer"
        }
        Table::ApiKeys => {
            "UPDATE api_keys r SET last_change = n.change, body = n.body, format = $3::integer, secret = n.secret, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::uuid[], $5::bytea[], $6::bigint[]) AS n (change, body, id, secret, version) \
             WHERE r.id = n.id"
        }
        Table::Throttles => {
            "UPDATE throttles r SET last_change = n.change, body = n.body, format = $3::integer, since = n.since, version = n.version \
             FROM unnest($1::uuid[], $2::text[], $4::bytea[], $5::bigint[], $6::bigint[]) AS n (change, body, scope, since, version) \
             WHERE r.scope = n.scope"
        }
        _ => return None,
    })
}

/// The values of rows of one table, column by column.
macro_rules! columns {
    ($puts:expr, $variant:ident: $($value:expr),+ $(,)?) => {
        vec![$(of($puts, |row| if let Row::$variant(row) = row { Some($value(row)) } else { None })),+]
    };
}

fn arrays<'a>(table: Table, puts: &[Put<'a>]) -> Vec<Param<'a>> {
    let mut arrays: Vec<Param<'a>> = vec![Box::new(puts.iter().map(|put| put.change).collect::<Vec<_>>())];
    if table != Table::Idempotency {
        arrays.extend([Box::new(puts.iter().map(|put| put.body).collect::<Vec<_>>()) as Param<'a>, Box::new(FORMAT)]);
    }
    arrays.extend(own_columns(table, puts));
    arrays
}

fn own_columns<'a>(table: Table, puts: &[Put<'a>]) -> Vec<Param<'a>> {
    use ordermill_core::account::{OneTimeToken, Session, Throttle, User};
    use ordermill_core::api_key::ApiKey;
    use ordermill_core::cart::Cart;
    use ordermill_core::catalogue::Product;
    use ordermill_core::change::{AuditEntry, Effect, IdempotencyRow, PaymentRow, QueuePause, Setting};
    use ordermill_core::id::UserId;
    use ordermill_core::inbox::InboxEntry;
    use ordermill_core::order::Order;
    use ordermill_core::time::Timestamp;
    match table {
        Table::Orders => columns!(puts, Order:
            |row: &'a Order| row.id.uuid(), |row: &'a Order| row.number, |row: &'a Order| row.customer.id.map(UserId::uuid),
            |row: &'a Order| row.customer.email.as_str(), |row: &'a Order| row.status.name(),
            |row: &'a Order| row.payment_status.name(), |row: &'a Order| row.expires_at.map(Timestamp::micros),
            |row: &'a Order| row.version),
        Table::Payments => columns!(puts, Payment:
            |row: &'a PaymentRow| row.provider.name(), |row: &'a PaymentRow| row.reference.as_str(),
            |row: &'a PaymentRow| row.order_id.uuid()),
        Table::Products => columns!(puts, Product:
            |row: &'a Product| row.id.uuid(), |row: &'a Product| row.sku.as_str(), |row: &'a Product| row.url.as_deref(),
            |row: &'a Product| row.version),
        Table::Users => columns!(puts, User:
            |row: &'a User| row.id.uuid(), |row: &'a User| row.email.as_str(), |row: &'a User| row.version),
        Table::Sessions => columns!(puts, Session:
            |row: &'a Session| row.token.bytes().as_slice(), |row: &'a Session| row.user_id.uuid(),
            |row: &'a Session| row.expires_at.micros()),
        Table::Inbox => columns!(puts, Inbox:
            |row: &'a InboxEntry| row.provider.name(), |row: &'a InboxEntry| row.event_id.as_str(),
            |row: &'a InboxEntry| row.state.name(), |row: &'a InboxEntry| row.received_at.micros(),
            |row: &'a InboxEntry| row.version),
        Table::Idempotency => columns!(puts, Idempotency:
            |row: &'a IdempotencyRow| row.key.bytes().as_slice(), |row: &'a IdempotencyRow| row.fingerprint.bytes().as_slice(),
            |row: &'a IdempotencyRow| row.result.uuid(), |row: &'a IdempotencyRow| row.at.micros()),
        Table::Effects => columns!(puts, Effect:
            |row: &'a Effect| row.key.bytes().as_slice(), |row: &'a Effect| row.order_id.uuid(), |row: &'a Effect| row.version),
        Table::QueuePauses => columns!(puts, QueuePause:
            |row: &'a QueuePause| row.queue.as_str(), |row: &'a QueuePause| row.is_paused, |row: &'a QueuePause| row.version),
        Table::Audit => columns!(puts, Audit: |row: &'a AuditEntry| row.id.uuid()),
        Table::Settings => columns!(puts, Setting: |row: &'a Setting| row.name.as_str(), |row: &'a Setting| row.version),
        Table::Carts => columns!(puts, Cart: |row: &'a Cart| row.customer.uuid(), |row: &'a Cart| row.version),
        Table::ApiKeys => columns!(puts, ApiKey:
            |row: &'a ApiKey| row.id.uuid(), |row: &'a ApiKey| row.secret.bytes().as_slice(), |row: &'a ApiKey| row.version),
        Table::OneTimeTokens => columns!(puts, OneTimeToken:
            |row: &'a OneTimeToken| row.token.bytes().as_slice(), |row: &'a OneTimeToken| row.expires_at.micros()),
        Table::Throttles => columns!(puts, Throttle:
            |row: &'a Throttle| row.scope.bytes().as_slice(), |row: &'a Throttle| row.since.micros(), |row: &'a Throttle| row.version),
        Table::Events | Table::Stock | Table::StockMovements | Table::Ledger | Table::Jobs | Table::DeadLetters => Vec::new(),
    }
}

fn of<'a, T>(puts: &[Put<'a>], part: impl Fn(&'a Row) -> Option<T>) -> Param<'a>
where
    Vec<T>: ToSql + Sync + Send + 'a,
{
    Box::new(puts.iter().filter_map(|put| part(put.row)).collect::<Vec<T>>())
}
