//! Writes one admitted change: in the order in which the model does it, so that both agree on every corner. This file
//! must not begin or end a transaction.

use super::failure::Failure;
use super::finish;
use super::put::{Put, delete};
use super::statement::statements;
use crate::encode::{Encoded, cause_text};
use ordermill_core::change::{Change, Guard, LedgerEntry, Row, StockMove};
use ordermill_core::event::Event;
use ordermill_core::id::ChangeId;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, params};

statements! {
    MOVE_STOCK = "UPDATE stock SET available = available + ?3, reserved = reserved + ?4 WHERE sku = ?1 AND location = ?2";
    // An upsert would check the bare difference against the column's limits, so the first move of a place is a plain insert.
    FIRST_STOCK = "INSERT INTO stock (sku, location, available, reserved) VALUES (?1, ?2, ?3, ?4)";
    INSERT_MOVEMENT = "INSERT INTO stock_movements (cause, sku, location, on_hand_delta, created_by)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    INSERT_LEDGER = "INSERT INTO ledger (cause, leg, debit, credit, amount, currency, created_by)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    INSERT_EVENT = "INSERT INTO events (order_id, seq, kind, v, at, actor, created_by, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
}

/// Writes everything the change says.
pub(super) fn write(db: &Connection, encoded: &Encoded, now: Timestamp) -> Result<(), Failure> {
    let change = &*encoded.change;
    for key in &change.deletes {
        delete(db, key)?;
    }
    for (row, body) in change.puts.iter().zip(&encoded.bodies) {
        Put { db, change: change.id, is_there: is_there(change, row), body }.row(row)?;
    }
    for step in &change.stock {
        move_stock(db, step, change.id)?;
    }
    for entry in &change.ledger {
        book(db, entry, change.id)?;
    }
    for (event, data) in change.events.iter().zip(&encoded.event_data) {
        record(db, event, data, change.id)?;
    }
    if let Some(ending) = &change.finish {
        finish::finish(db, ending, now)?;
    }
    for job in &change.jobs {
        finish::queue(db, job, change.id, now)?;
    }
    Ok(())
}

/// Whether the change writes over a row: then it guards its version, and the guard held.
fn is_there(change: &Change, row: &Row) -> bool {
    let key = row.key();
    change.expects.iter().any(|guard| matches!(guard, Guard::Version(guarded, _) if *guarded == key))
}

fn move_stock(db: &Connection, step: &StockMove, change: ChangeId) -> Result<(), Failure> {
    let values = params![step.key.sku, step.key.location, step.available_delta, step.reserved_delta];
    if MOVE_STOCK.execute(db, values)? == 0 {
        FIRST_STOCK.execute(db, values)?;
    }
    if step.on_hand_delta() != 0 {
        let (cause, by) = (cause_text(&step.cause), change.uuid().into_bytes());
        INSERT_MOVEMENT.execute(db, params![cause, step.key.sku, step.key.location, step.on_hand_delta(), by])?;
    }
    Ok(())
}

fn book(db: &Connection, entry: &LedgerEntry, change: ChangeId) -> Result<(), Failure> {
    let (cause, by) = (cause_text(&entry.cause), change.uuid().into_bytes());
    let accounts = (entry.debit.name(), entry.credit.name());
    INSERT_LEDGER.execute(db, params![cause, entry.leg, accounts.0, accounts.1, entry.amount, entry.currency.code(), by])?;
    Ok(())
}

fn record(db: &Connection, event: &Event, data: &str, change: ChangeId) -> Result<(), Failure> {
    let (order, by) = (event.order_id.uuid().into_bytes(), change.uuid().into_bytes());
    let values = params![order, event.seq, event.kind.name(), event.v, event.at.micros(), event.actor.as_str(), by, data];
    INSERT_EVENT.execute(db, values)?;
    Ok(())
}
