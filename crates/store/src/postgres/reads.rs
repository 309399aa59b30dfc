//! Reads of single things and of orders: each a statement or two over an index. This file must not write, except that
//! handing out numbers moves a counter.

use super::clock::now;
use super::keys::{Lookup, column, decode_row, is_impossible, key_arrays, read_body};
use super::migrate::pending_names;
use super::reader::Reader;
use crate::query::{MAX_PAGE, MAX_SCANNED};
use crate::{Catalogue, CatalogueStamp, Health, OrderQuery, OrderRef, Page, Sequence, StoreError, Stored};
use ordermill_core::account::{Session, User};
use ordermill_core::admit::StockLevel;
use ordermill_core::catalogue::Product;
use ordermill_core::change::{Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::{Actor, Event, EventKind};
use ordermill_core::id::{ChangeId, OrderId, UserId};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::PaymentStatus;
use ordermill_core::time::Timestamp;
use std::collections::HashMap;
use std::ops::Range;
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

const ORDER_BY_ID: &str = "SELECT id, format, body FROM orders WHERE id = $1";
const ORDER_BY_NUMBER: &str = "SELECT id, format, body FROM orders WHERE number = $1";
const ORDER_BY_REFERENCE: &str = "SELECT o.id, o.format, o.body FROM payments p JOIN orders o ON o.id = p.order_id \
     WHERE p.provider = $1 AND p.reference = $2";

const EVENTS: &str = "SELECT order_id, seq, kind, v, at, actor, data FROM events WHERE order_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

const SESSION: &str = concat!(
    "SELECT s.format, s.body, u.format, u.body FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token = $2 AND s.expires_at > ",
    now!("$1")
);

const CATALOGUE_STAMP: &str = "SELECT count(*), coalesce(sum(version), 0)::bigint FROM products";
const CATALOGUE: &str = "SELECT sku, format, body FROM products ORDER BY sku";

const STOCK: &str = "SELECT sku, sum(available)::bigint, sum(reserved)::bigint FROM stock WHERE sku = ANY($1::text[]) GROUP BY sku";

const DUE_ORDERS: &str = concat!(
    "SELECT id FROM orders WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= ",
    now!("$1"),
    " ORDER BY expires_at, id LIMIT $2"
);

const NUMBERS: &str = "INSERT INTO numbers (name, next) VALUES ($1, 1 + $2::bigint) \
     ON CONFLICT (name) DO UPDATE SET next = numbers.next + $2::bigint RETURNING next";

/// Orders of one indexed dimension, newest first from below number $2: looks at $3 rows, applies the other filters, and
/// returns at most $4. The first columns say how many rows were looked at and the lowest number among them.
macro_rules! orders_where {
    ($condition:literal) => {
        concat!(
            "WITH scanned AS MATERIALIZED (SELECT number, customer, email, status, payment_status FROM orders WHERE ",
            $condition,
            " AND number < $2::bigint ORDER BY number DESC LIMIT $3::bigint), ",
            "edge AS (SELECT count(*) AS looked_at, min(number) AS lowest FROM scanned), ",
            "matching AS MATERIALIZED (SELECT number FROM scanned WHERE ($5::uuid IS NULL OR customer = $5::uuid) ",
            "AND ($6::text IS NULL OR email = $6::text) AND ($7::text IS NULL OR status = $7::text) ",
            "AND ($8::text IS NULL OR payment_status = $8::text) ORDER BY number DESC LIMIT $4::bigint) ",
            "SELECT edge.looked_at, edge.lowest, o.id, o.format, o.body FROM edge LEFT JOIN matching m ON true ",
            "LEFT JOIN orders o ON o.number = m.number ORDER BY m.number DESC"
        )
    };
}

const ORDERS_OF_CUSTOMER: &str = orders_where!("customer = $1::uuid");
const ORDERS_OF_EMAIL: &str = orders_where!("email = $1::text");
const ORDERS_IN_RARE_STATUS: &str = orders_where!("status = $1::text AND status NOT IN ('pending', 'processing', 'completed')");
const ORDERS_IN_RARE_PAYMENT_STATUS: &str = orders_where!("payment_status = $1::text AND payment_status NOT IN ('pending', 'paid')");
const ORDERS_OF_ALL: &str = orders_where!("$1::text IS NULL");

/// How many orders a filter that only we can apply fetches at once.
const SLICE: usize = 250;

const HEALTH: &str = "SELECT current_setting('server_version'), current_setting('transaction_read_only') = 'on', \
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[
    ORDER_BY_ID,
    ORDER_BY_NUMBER,
    ORDER_BY_REFERENCE,
    EVENTS,
    SESSION,
    CATALOGUE_STAMP,
    CATALOGUE,
    STOCK,
    DUE_ORDERS,
    NUMBERS,
    HEALTH,
    ORDERS_OF_CUSTOMER,
    ORDERS_OF_EMAIL,
    ORDERS_IN_RARE_STATUS,
    ORDERS_IN_RARE_PAYMENT_STATUS,
    ORDERS_OF_ALL,
];

/// One order.
pub(super) async fn order(reader: &Reader, by: &OrderRef) -> Result<Option<Order>, StoreError> {
    let row = match by {
        OrderRef::Id(id) => reader.first(ORDER_BY_ID, &[&id.uuid()]).await?,
        OrderRef::Number(number) => reader.first(ORDER_BY_NUMBER, &[number]).await?,
        OrderRef::Reference(_, reference) if super::keys::has_nul(reference) => None,
        OrderRef::Reference(provider, reference) => reader.first(ORDER_BY_REFERENCE, &[&provider.name(), reference]).await?,
    };
    row.map(|row| order_at(&row, 0)).transpose()
}

/// Reads id, format and body from this column on.
fn order_at(row: &SqlRow, first: usize) -> Result<Order, StoreError> {
    let id = OrderId::from_uuid(column(row, first)?);
    read_body(|| format!("{id:?}"), column(row, first.saturating_add(1))?, column(row, first.saturating_add(2))?)
}

/// Orders, newest first.
pub(super) async fn orders(reader: &Reader, query: &OrderQuery) -> Result<Page<Order>, StoreError> {
    let mut below = query.below()?;
    if query.email.as_deref().is_some_and(super::keys::has_nul) {
        return Ok(Page::of(Vec::new(), None, query.limit));
    }
    let limit = query.limit.min(MAX_PAGE);
    if !query.looks_inside() {
        let Slice { orders, edge } = slice_of_orders(reader, query, below, None).await?;
        return Ok(page_of_orders(orders, limit, edge));
    }
    // What stands in bodies only we can read, so they come in slices until there are enough.
    let (mut found, mut looked_at) = (Vec::new(), 0_usize);
    loop {
        let Slice { orders, edge } = slice_of_orders(reader, query, below, Some(SLICE)).await?;
        found.extend(orders.into_iter().filter(|order| query.matches(order)));
        looked_at = looked_at.saturating_add(SLICE);
        match edge {
            Some(lowest) if found.len() <= limit && looked_at < MAX_SCANNED => below = lowest,
            edge => return Ok(page_of_orders(found, limit, edge)),
        }
    }
}

/// What one statement found.
struct Slice {
    orders: Vec<Order>,
    /// The lowest number that was looked at, if there may be more below it.
    edge: Option<i64>,
}

/// Orders below a number that columns say are wanted, by the narrowest index that the query can use: so many of those
/// looked at, or enough for a page.
async fn slice_of_orders(reader: &Reader, query: &OrderQuery, below: i64, slice: Option<usize>) -> Result<Slice, StoreError> {
    let customer = query.customer.map(UserId::uuid);
    let (status, payment_status) = (query.status.map(OrderStatus::name), query.payment_status.map(PaymentStatus::name));
    let nothing: Option<&str> = None;
    let (sql, dimension): (&'static str, &(dyn ToSql + Sync)) = match query {
        OrderQuery { customer: Some(_), .. } => (ORDERS_OF_CUSTOMER, &customer),
        OrderQuery { email: Some(_), .. } => (ORDERS_OF_EMAIL, &query.email),
        OrderQuery { status: Some(found), .. } if is_rare(*found) => (ORDERS_IN_RARE_STATUS, &status),
        OrderQuery { payment_status: Some(_), .. } if is_rare_payment(query.payment_status) => {
            (ORDERS_IN_RARE_PAYMENT_STATUS, &payment_status)
        }
        _ => (ORDERS_OF_ALL, &nothing),
    };
    let page = query.limit.min(MAX_PAGE).saturating_add(1);
    let (scanned, wanted) = match slice {
        Some(slice) => (slice, slice),
        None if is_one_dimension(query, sql) => (page, page),
        None => (MAX_SCANNED.max(page), page),
    };
    let (scanned, wanted) = (as_count(scanned), as_count(wanted));
    let rows = reader.rows(sql, &[dimension, &below, &scanned, &wanted, &customer, &query.email, &status, &payment_status]).await?;
    let mut orders = Vec::with_capacity(rows.len());
    let mut edge = None;
    for row in &rows {
        let looked_at: i64 = column(row, 0)?;
        let lowest: Option<i64> = column(row, 1)?;
        edge = lowest.filter(|_| looked_at >= scanned);
        if column::<Option<uuid::Uuid>>(row, 2)?.is_some() {
            orders.push(order_at(row, 2)?);
        }
    }
    Ok(Slice { orders, edge })
}

fn page_of_orders(mut orders: Vec<Order>, limit: usize, edge: Option<i64>) -> Page<Order> {
    let has_more = orders.len() > limit;
    orders.truncate(limit);
    // A full page goes on after its last order, a short one after the last row that was looked at.
    let next = if has_more { orders.last().map(|order| order.number) } else { edge };
    Page::of(orders, next.map(|number| number.to_string()), limit)
}

/// Statuses few orders stay in have an index of their own.
const fn is_rare(status: OrderStatus) -> bool {
    !matches!(status, OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Completed)
}

fn is_rare_payment(status: Option<PaymentStatus>) -> bool {
    status.is_some_and(|status| !matches!(status, PaymentStatus::Pending | PaymentStatus::Paid))
}

/// Whether the index alone answers the query, so that no row is looked at in vain.
fn is_one_dimension(query: &OrderQuery, sql: &'static str) -> bool {
    let filters = usize::from(query.customer.is_some())
        + usize::from(query.email.is_some())
        + usize::from(query.status.is_some())
        + usize::from(query.payment_status.is_some());
    filters == usize::from(sql != ORDERS_OF_ALL)
}

fn as_count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// An order's events after a number.
pub(super) async fn events(reader: &Reader, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let rows = reader.rows(EVENTS, &[&order.uuid(), &after, &as_count(limit)]).await?;
    rows.iter().map(event_of).collect()
}

/// Reads an event from the columns order, number, kind, version, time, actor, data.
pub(super) fn event_of(row: &SqlRow) -> Result<Event, StoreError> {
    let (order_id, seq) = (OrderId::from_uuid(column(row, 0)?), column(row, 1)?);
    Ok(Event {
        order_id,
        seq,
        kind: EventKind::from_name(column(row, 2)?),
        v: column(row, 3)?,
        at: Timestamp::from_micros(column(row, 4)?),
        actor: Actor::from_text(column(row, 5)?),
        data: crate::encode::read_json(format!("event {seq} of {order_id}"), column(row, 6)?)?,
    })
}

/// One row by any of its keys.
pub(super) async fn get(reader: &Reader, key: &Key) -> Result<Option<Stored>, StoreError> {
    let lookup = Lookup::of(key);
    // A dead letter has a key but is not a row; there is a list of its own for them.
    if lookup == Lookup::DeadLetter || is_impossible(key) {
        return Ok(None);
    }
    let rows = reader.rows_with(lookup.statements().find, &key_arrays(lookup, &[key])).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let stored = |decoded: Row| -> Result<Stored, StoreError> {
        Ok(Stored { row: decoded, by: ChangeId::from_uuid(column(row, 1)?), last_change: ChangeId::from_uuid(column(row, 3)?) })
    };
    decode_row(lookup, &|| format!("{key:?}"), column(row, 4)?, column(row, 5)?)?.map(stored).transpose()
}

/// A session that has not ended, and its account.
pub(super) async fn session(reader: &Reader, token: &Digest) -> Result<Option<(Session, User)>, StoreError> {
    let Some(row) = reader.first(SESSION, &[&reader.offset_us(), &token.bytes().as_slice()]).await? else { return Ok(None) };
    let session = read_body(|| format!("session {token}"), column(&row, 0)?, column(&row, 1)?)?;
    let user = read_body(|| format!("the account of session {token}"), column(&row, 2)?, column(&row, 3)?)?;
    Ok(Some((session, user)))
}

/// All products, unless they are still those of `seen`.
pub(super) async fn catalogue(reader: &Reader, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, StoreError> {
    if let Some(seen) = seen
        && let Some(row) = reader.first(CATALOGUE_STAMP, &[]).await?
        && seen == (CatalogueStamp { count: column(&row, 0)?, versions: column(&row, 1)? })
    {
        return Ok(None);
    }
    let rows = reader.rows(CATALOGUE, &[]).await?;
    let product =
        |row: &SqlRow| read_body(|| format!("product {}", column::<&str>(row, 0).unwrap_or_default()), column(row, 1)?, column(row, 2)?);
    let products = rows.iter().map(product).collect::<Result<Vec<Product>, StoreError>>()?;
    // The stamp is that of the rows returned, whatever was written since the first statement.
    let stamp = CatalogueStamp { count: as_count(products.len()), versions: products.iter().map(|product| product.version).sum() };
    Ok((seen != Some(stamp)).then_some(Catalogue { stamp, products }))
}

/// The stock of these skus in all places together.
pub(super) async fn stock(reader: &Reader, skus: &[String]) -> Result<Vec<StockLevel>, StoreError> {
    let possible: Vec<&str> = skus.iter().map(String::as_str).filter(|sku| !super::keys::has_nul(sku)).collect();
    let mut levels = HashMap::new();
    for row in reader.rows(STOCK, &[&possible]).await? {
        let sku: String = column(&row, 0)?;
        levels.insert(sku, StockLevel { available: column(&row, 1)?, reserved: column(&row, 2)? });
    }
    Ok(skus.iter().map(|sku| levels.get(sku).copied().unwrap_or_default()).collect())
}

/// Unpaid orders whose time has run out.
pub(super) async fn due_orders(reader: &Reader, limit: usize) -> Result<Vec<OrderId>, StoreError> {
    let rows = reader.rows(DUE_ORDERS, &[&reader.offset_us(), &as_count(limit)]).await?;
    rows.iter().map(|row| Ok(OrderId::from_uuid(column(row, 0)?))).collect()
}

/// A block of numbers. A lost answer only makes a gap.
pub(super) async fn numbers(reader: &Reader, sequence: Sequence, count: u32) -> Result<Range<i64>, StoreError> {
    let count = i64::from(count);
    let row = reader.first(NUMBERS, &[&sequence.name(), &count]).await?;
    let next: i64 = row.map_or_else(|| Err(StoreError::Unavailable("no number was handed out".to_owned())), |row| Ok(column(&row, 0)?))?;
    Ok(next.saturating_sub(count)..next)
}

/// Whether the server answers, what it is, and what it still lacks.
pub(super) async fn health(reader: &Reader) -> Result<Health, StoreError> {
    let Some(row) = reader.first(HEALTH, &[]).await? else { return Err(StoreError::Unavailable("the server said nothing".to_owned())) };
    let is_read_only: bool = column(&row, 1)?;
    let time = Timestamp::from_micros(column(&row, 2)?);
    let client = reader.client().await?;
    let pending_migrations = pending_names(&client).await?;
    let read_only = is_read_only.then(|| "the server takes no writes: it is a standby or was set read-only".to_owned());
    Ok(Health { backend: "postgres", version: column(&row, 0)?, pending_migrations, read_only, time })
}
