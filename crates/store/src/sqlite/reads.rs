//! Single things: an order, its events, a row by its key, a session, the catalogue, stock. This file must not write.

use super::failure::Failure;
use super::found;
use super::rows::{column, order_id, read_body, text, timestamp};
use super::statement::statements;
use crate::{Catalogue, CatalogueStamp, OrderRef, Stored};
use ordermill_core::account::{Session, User};
use ordermill_core::admit::StockLevel;
use ordermill_core::change::Key;
use ordermill_core::digest::Digest;
use ordermill_core::event::{Actor, Event, EventKind};
use ordermill_core::id::OrderId;
use ordermill_core::order::Order;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Params, Row};

statements! {
    ORDER_BY_ID = "SELECT format, body, number FROM orders WHERE id = ?1";
    ORDER_BY_NUMBER = "SELECT format, body, number FROM orders WHERE number = ?1";
    ORDER_BY_REFERENCE = "SELECT orders.format, orders.body, orders.number FROM payments
        JOIN orders ON orders.id = payments.order_id WHERE payments.provider = ?1 AND payments.reference = ?2";
    EVENTS = "SELECT order_id, seq, kind, v, at, actor, data FROM events
        WHERE order_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    SESSION_AND_USER = "SELECT sessions.format, sessions.body, users.format, users.body FROM sessions
        JOIN users ON users.id = sessions.user_id WHERE sessions.token = ?1 AND sessions.expires_at > ?2";
    CATALOGUE_STAMP = "SELECT count(*), coalesce(sum(version), 0) FROM products";
    PRODUCTS = "SELECT format, body, sku FROM products ORDER BY sku";
    STOCK_OF_SKU = "SELECT coalesce(sum(available), 0), coalesce(sum(reserved), 0) FROM stock WHERE sku = ?1";
}

/// One order.
pub(super) fn order(db: &Connection, by: &OrderRef) -> Result<Option<Order>, Failure> {
    match by {
        OrderRef::Id(id) => one_order(&ORDER_BY_ID, db, (id.uuid().into_bytes(),)),
        OrderRef::Number(number) => one_order(&ORDER_BY_NUMBER, db, (number,)),
        OrderRef::Reference(provider, reference) => one_order(&ORDER_BY_REFERENCE, db, (provider.name(), reference)),
    }
}

fn one_order(statement: &super::statement::Statement, db: &Connection, params: impl Params) -> Result<Option<Order>, Failure> {
    statement.first(db, params, order_of)
}

/// An order from the columns format, body, number.
pub(super) fn order_of(row: &Row<'_>) -> Result<Order, Failure> {
    let number: i64 = column(row, 2)?;
    read_body(&|| format!("order number {number}"), column(row, 0)?, text(row, 1)?)
}

/// An order's events after a number.
pub(super) fn events(db: &Connection, order: OrderId, after: i64, limit: usize) -> Result<Vec<Event>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    EVENTS.all(db, (order.uuid().into_bytes(), after, limit), event_of)
}

/// An event from the columns of [`EVENTS`].
pub(super) fn event_of(row: &Row<'_>) -> Result<Event, Failure> {
    let (order_id, seq): (OrderId, i64) = (order_id(row, 0)?, column(row, 1)?);
    let data = text(row, 6)?;
    let data = serde_json::from_str(data).map_err(|error| Failure::corrupt(format_args!("event {seq} of order {order_id}"), error))?;
    Ok(Event {
        order_id,
        seq,
        kind: EventKind::from_name(text(row, 2)?),
        v: column(row, 3)?,
        at: timestamp(row, 4)?,
        actor: Actor::from_text(text(row, 5)?),
        data,
    })
}

/// One row by any of its keys.
pub(super) fn get(db: &Connection, key: &Key) -> Result<Option<Stored>, Failure> {
    let found = found::find(db, key, true)?;
    // Dead letters have a version to guard and no row of their own.
    Ok(found.and_then(|found| found.row.map(|row| Stored { row: *row, by: found.by, last_change: found.last_change })))
}

/// A session that has not ended, and its account.
pub(super) fn session(db: &Connection, token: &Digest, now: Timestamp) -> Result<Option<(Session, User)>, Failure> {
    SESSION_AND_USER.first(db, (token.bytes(), now.micros()), |row| {
        let session: Session = read_body(&|| "session".to_owned(), column(row, 0)?, text(row, 1)?)?;
        let user = read_body(&|| format!("user {}", session.user_id), column(row, 2)?, text(row, 3)?)?;
        Ok((session, user))
    })
}

/// All products, unless they are still those of `seen`.
pub(super) fn catalogue(db: &Connection, seen: Option<CatalogueStamp>) -> Result<Option<Catalogue>, Failure> {
    let stamp = CATALOGUE_STAMP.first(db, (), |row| Ok(CatalogueStamp { count: column(row, 0)?, versions: column(row, 1)? }))?;
    let stamp = stamp.unwrap_or(CatalogueStamp { count: 0, versions: 0 });
    if seen == Some(stamp) {
        return Ok(None);
    }
    let products = PRODUCTS.all(db, (), |row| {
        let name = || row.get(2).map_or_else(|_| "product".to_owned(), |sku: String| format!("product {sku}"));
        read_body(&name, column(row, 0)?, text(row, 1)?)
    })?;
    Ok(Some(Catalogue { stamp, products }))
}

/// The stock of some goods in all places together.
pub(super) fn stock(db: &Connection, skus: &[String]) -> Result<Vec<StockLevel>, Failure> {
    let level = |sku: &String| {
        let level = STOCK_OF_SKU.first(db, (sku,), |row| Ok(StockLevel { available: column(row, 0)?, reserved: column(row, 1)? }))?;
        Ok(level.unwrap_or_default())
    };
    skus.iter().map(level).collect()
}
