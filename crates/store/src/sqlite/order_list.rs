//! Lists of orders, newest first. One filter leads through an index; the others are applied on the way, to so many rows at
//! most that a rare match cannot make one read walk the whole table. This file must not write.

use super::failure::Failure;
use super::page::Sieve;
use super::reads::order_of;
use super::rows::{column, text};
use super::statement::{Statement, statements};
use crate::{OrderQuery, Page};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::PaymentStatus;
use rusqlite::{Connection, Row, ToSql};

// The columns to filter by come before the body, so a row that does not match is passed over without reading it.
statements! {
    BY_NUMBER = "SELECT format, body, number, status, payment_status, customer, email FROM orders
        WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
    BY_CUSTOMER = "SELECT format, body, number, status, payment_status, customer, email FROM orders
        WHERE customer = ?3 AND number < ?1 ORDER BY number DESC LIMIT ?2";
    BY_EMAIL = "SELECT format, body, number, status, payment_status, customer, email FROM orders
        WHERE email = ?3 AND number < ?1 ORDER BY number DESC LIMIT ?2";
    BY_RARE_STATUS = "SELECT format, body, number, status, payment_status, customer, email FROM orders
        WHERE status NOT IN ('pending', 'processing', 'completed') AND status = ?3 AND number < ?1
        ORDER BY number DESC LIMIT ?2";
    BY_RARE_PAYMENT = "SELECT format, body, number, status, payment_status, customer, email FROM orders
        WHERE payment_status NOT IN ('pending', 'paid') AND payment_status = ?3 AND number < ?1
        ORDER BY number DESC LIMIT ?2";
}

/// One page of orders.
pub(super) fn orders(db: &Connection, query: &OrderQuery) -> Result<Page<Order>, Failure> {
    let below = query.below()?;
    let mut sieve = Sieve::new(query.limit);
    let limit = sieve.limit();
    let mut visit = |row: &Row<'_>| {
        let number: i64 = column(row, 2)?;
        Ok(sieve.look(number.to_string(), wanted(query, row)?))
    };
    let (statement, leading) = leading(query);
    match leading {
        Some(leading) => statement.each(db, (below, limit, leading), &mut visit)?,
        None => statement.each(db, (below, limit), &mut visit)?,
    }
    Ok(sieve.into_page())
}

/// The order of a row, if it is one of those asked for.
fn wanted(query: &OrderQuery, row: &Row<'_>) -> Result<Option<Order>, Failure> {
    if !matches(query, row)? {
        return Ok(None);
    }
    let order = order_of(row)?;
    Ok((!query.looks_inside() || query.matches(&order)).then_some(order))
}

/// The filter that leads: the one that leaves the fewest orders, as far as that is known beforehand.
fn leading(query: &OrderQuery) -> (Statement, Option<Box<dyn ToSql>>) {
    use OrderStatus::{Completed, Pending, Processing};
    if let Some(customer) = query.customer {
        return (BY_CUSTOMER, Some(Box::new(customer.uuid().into_bytes())));
    }
    if let Some(email) = &query.email {
        return (BY_EMAIL, Some(Box::new(email.clone())));
    }
    match (query.status, query.payment_status) {
        (Some(status), _) if !matches!(status, Pending | Processing | Completed) => (BY_RARE_STATUS, Some(Box::new(status.name()))),
        (_, Some(status)) if !matches!(status, PaymentStatus::Pending | PaymentStatus::Paid) => {
            (BY_RARE_PAYMENT, Some(Box::new(status.name())))
        }
        _ => (BY_NUMBER, None),
    }
}

/// Whether a row is one of those asked for, by its columns alone.
fn matches(query: &OrderQuery, row: &Row<'_>) -> Result<bool, Failure> {
    if let Some(status) = query.status
        && text(row, 3)? != status.name()
    {
        return Ok(false);
    }
    if let Some(status) = query.payment_status
        && text(row, 4)? != status.name()
    {
        return Ok(false);
    }
    if let Some(customer) = query.customer
        && column::<Option<[u8; 16]>>(row, 5)? != Some(customer.uuid().into_bytes())
    {
        return Ok(false);
    }
    match query.email.as_deref() {
        Some(email) => Ok(text(row, 6)? == email),
        None => Ok(true),
    }
}
