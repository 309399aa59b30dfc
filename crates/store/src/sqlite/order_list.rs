//! Lists of orders, newest first. One filter leads through an index; the others are applied on the way, to so many rows at
//! most that a rare match cannot make one read walk the whole table. This file must not write.

use super::failure::Failure;
use super::reads::order_of;
use super::rows::{column, text};
use super::statement::{Go, Statement, statements};
use crate::query::{MAX_PAGE, MAX_SCANNED};
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
    let limit = query.limit.min(MAX_PAGE);
    let mut page = Page::of(Vec::new(), None, query.limit);
    let mut scanned = 0_usize;
    let scan_limit = i64::try_from(MAX_SCANNED.max(limit + 1)).unwrap_or(i64::MAX);
    let mut visit = |row: &Row<'_>| {
        scanned += 1;
        let number: i64 = column(row, 2)?;
        if matches(query, row)? {
            if page.rows.len() == limit {
                page.cursor = page.rows.last().map(|order: &Order| order.number.to_string());
                return Ok(Go::Enough);
            }
            page.rows.push(order_of(row)?);
        }
        if i64::try_from(scanned).unwrap_or(i64::MAX) == scan_limit {
            // Enough work for one read; the caller may go on from here.
            page.cursor = Some(number.to_string());
            return Ok(Go::Enough);
        }
        Ok(Go::On)
    };
    let (statement, wanted) = leading(query);
    match wanted {
        Some(wanted) => statement.each(db, (below, scan_limit, wanted), &mut visit)?,
        None => statement.each(db, (below, scan_limit), &mut visit)?,
    }
    Ok(page)
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
