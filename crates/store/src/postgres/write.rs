//! Writes the admitted changes of a batch: set-based, one statement per table, each sorted by key. This file must not
//! check guards; it relies on the locks that [`super::guards`] took and proves by counting rows that they held.

use super::finish::finish_steps;
use super::guards::Reads;
use super::keys::{Lookup, key_arrays};
use super::pipeline::{Param, Step};
use super::tables::{Put, insert, table_of, update};
use super::trouble::Trouble;
use crate::Table;
use crate::encode::{Encoded, cause_text};
use ordermill_core::change::{Guard, Key, LedgerEntry, StockKey, StockMove};
use ordermill_core::event::Event;
use ordermill_core::time::Timestamp;
use std::collections::BTreeMap;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

const UPDATE_STOCK: &str = "UPDATE stock r SET available = r.available + n.available, reserved = r.reserved + n.reserved \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS n (sku, location, available, reserved) \
     WHERE r.sku = n.sku AND r.location = n.location";

const INSERT_STOCK: &str = "INSERT INTO stock (sku, location, available, reserved) \
     SELECT n.sku, n.location, n.available, n.reserved \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS n (sku, location, available, reserved)";

const INSERT_MOVEMENTS: &str = "INSERT INTO stock_movements (cause, sku, location, on_hand_delta, created_by) \
     SELECT n.cause, n.sku, n.location, n.on_hand_delta, n.change \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::uuid[]) AS n (cause, sku, location, on_hand_delta, change)";

const INSERT_LEDGER: &str = "INSERT INTO ledger (cause, leg, debit, credit, amount, currency, created_by) \
     SELECT n.cause, n.leg, n.debit, n.credit, n.amount, n.currency, n.change \
     FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::uuid[]) \
     AS n (cause, leg, debit, credit, amount, currency, change)";

const INSERT_EVENTS: &str = "INSERT INTO events (order_id, seq, kind, v, at, actor, data, created_by) \
     SELECT n.order_id, n.seq, n.kind, n.v, n.at, n.actor, n.data, n.change \
     FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::uuid[]) \
     AS n (order_id, seq, kind, v, at, actor, data, change)";

const INSERT_BATCH: &str = "INSERT INTO batches (id, is_applied) VALUES ($1, true)";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[UPDATE_STOCK, INSERT_STOCK, INSERT_MOVEMENTS, INSERT_LEDGER, INSERT_EVENTS, INSERT_BATCH];

/// Everything that makes the admitted changes true, in the order in which one change does it: what goes, what comes,
/// goods, money, events, the end of the job, new jobs; and the row that proves the batch.
pub(super) fn steps<'a>(admitted: &[&'a Encoded], reads: &Reads, batch: Uuid) -> Result<Vec<Step<'a>>, Trouble> {
    let mut steps = delete_steps(admitted);
    steps.extend(put_steps(admitted));
    steps.extend(stock_steps(admitted, reads)?);
    steps.extend(ledger_step(admitted));
    steps.extend(event_step(admitted));
    steps.extend(finish_steps(admitted, reads)?);
    steps.push(Step::new(INSERT_BATCH, vec![Box::new(batch)]).writing(1));
    Ok(steps)
}

fn delete_steps<'a>(admitted: &[&'a Encoded]) -> Vec<Step<'a>> {
    let mut keys: BTreeMap<Lookup, Vec<&'a Key>> = BTreeMap::new();
    for key in admitted.iter().flat_map(|encoded| &encoded.change.deletes) {
        keys.entry(Lookup::of(key)).or_default().push(key);
    }
    let step = |(lookup, mut keys): (Lookup, Vec<&'a Key>)| {
        keys.sort_unstable();
        Some(Step::new(lookup.delete_statement()?, key_arrays(lookup, &keys)).writing(keys.len()))
    };
    keys.into_iter().filter_map(step).collect()
}

fn put_steps<'a>(admitted: &[&'a Encoded]) -> Vec<Step<'a>> {
    let mut inserts: BTreeMap<Table, Vec<Put<'a>>> = BTreeMap::new();
    let mut updates: BTreeMap<Table, Vec<Put<'a>>> = BTreeMap::new();
    for encoded in admitted {
        let change = encoded.change.id.uuid();
        for (row, body) in encoded.change.puts.iter().zip(&encoded.bodies) {
            let key = row.key();
            let exists = encoded.change.expects.iter().any(|guard| matches!(guard, Guard::Version(guarded, _) if *guarded == key));
            let side = if exists { &mut updates } else { &mut inserts };
            side.entry(table_of(row)).or_default().push(Put { row, body, change });
        }
    }
    let sorted = |mut puts: Vec<Put<'a>>| {
        puts.sort_by_cached_key(|put| put.row.key());
        puts
    };
    let updates = updates.into_iter().filter_map(|(table, puts)| update(table, &sorted(puts)));
    let inserts = inserts.into_iter().filter_map(|(table, puts)| insert(table, &sorted(puts)));
    updates.chain(inserts).collect()
}

/// What all admitted changes together do to each place, and a row for every move of goods in the house.
fn stock_steps<'a>(admitted: &[&'a Encoded], reads: &Reads) -> Result<Vec<Step<'a>>, Trouble> {
    let moves: Vec<(Uuid, &'a StockMove)> = each(admitted, |encoded| &encoded.change.stock);
    let mut sums: BTreeMap<&'a StockKey, (i64, i64)> = BTreeMap::new();
    for (_, step) in &moves {
        let (available, reserved) = sums.entry(&step.key).or_default();
        let overflow = || Trouble::Refused("the moves of one batch overflow a stock level".to_owned());
        *available = available.checked_add(step.available_delta).ok_or_else(overflow)?;
        *reserved = reserved.checked_add(step.reserved_delta).ok_or_else(overflow)?;
    }
    let (known, new): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(key, _)| reads.found.stock.contains_key(*key));
    let mut steps = Vec::new();
    for (sql, levels) in [(UPDATE_STOCK, known), (INSERT_STOCK, new)] {
        if !levels.is_empty() {
            let params: Vec<Param<'a>> = vec![
                list(&levels, |(key, _)| key.sku.as_str()),
                list(&levels, |(key, _)| key.location.as_str()),
                list(&levels, |(_, (available, _))| available),
                list(&levels, |(_, (_, reserved))| reserved),
            ];
            steps.push(Step::new(sql, params).writing(levels.len()));
        }
    }
    let movements: Vec<_> = moves.into_iter().filter(|(_, step)| step.on_hand_delta() != 0).collect();
    if !movements.is_empty() {
        let params: Vec<Param<'a>> = vec![
            list(&movements, |(_, step)| cause_text(&step.cause)),
            list(&movements, |(_, step)| step.key.sku.as_str()),
            list(&movements, |(_, step)| step.key.location.as_str()),
            list(&movements, |(_, step)| step.on_hand_delta()),
            list(&movements, |(change, _)| change),
        ];
        steps.push(Step::new(INSERT_MOVEMENTS, params).writing(movements.len()));
    }
    Ok(steps)
}

fn ledger_step<'a>(admitted: &[&'a Encoded]) -> Option<Step<'a>> {
    let entries: Vec<(Uuid, &'a LedgerEntry)> = each(admitted, |encoded| &encoded.change.ledger);
    if entries.is_empty() {
        return None;
    }
    let params: Vec<Param<'a>> = vec![
        list(&entries, |(_, entry)| cause_text(&entry.cause)),
        list(&entries, |(_, entry)| entry.leg),
        list(&entries, |(_, entry)| entry.debit.name()),
        list(&entries, |(_, entry)| entry.credit.name()),
        list(&entries, |(_, entry)| entry.amount),
        list(&entries, |(_, entry)| entry.currency.code()),
        list(&entries, |(change, _)| change),
    ];
    Some(Step::new(INSERT_LEDGER, params).writing(entries.len()))
}

fn event_step<'a>(admitted: &[&'a Encoded]) -> Option<Step<'a>> {
    let mut events: Vec<(Uuid, &'a Event, &'a str)> = admitted
        .iter()
        .flat_map(|encoded| {
            encoded.change.events.iter().zip(&encoded.event_data).map(|(event, data)| (encoded.change.id.uuid(), event, data.as_str()))
        })
        .collect();
    if events.is_empty() {
        return None;
    }
    events.sort_by_key(|(_, event, _)| (event.order_id, event.seq));
    let params: Vec<Param<'a>> = vec![
        list(&events, |(_, event, _)| event.order_id.uuid()),
        list(&events, |(_, event, _)| event.seq),
        list(&events, |(_, event, _)| event.kind.name()),
        list(&events, |(_, event, _)| event.v),
        list(&events, |(_, event, _)| event.at.micros()),
        list(&events, |(_, event, _)| event.actor.as_str()),
        list(&events, |(_, _, data)| data),
        list(&events, |(change, _, _)| change),
    ];
    Some(Step::new(INSERT_EVENTS, params).writing(events.len()))
}

/// The parts of all changes, each with its change.
fn each<'a, T>(admitted: &[&'a Encoded], parts: impl Fn(&'a Encoded) -> &'a Vec<T>) -> Vec<(Uuid, &'a T)> {
    admitted.iter().flat_map(|encoded| parts(encoded).iter().map(|part| (encoded.change.id.uuid(), part))).collect()
}

/// One column of a list of things.
pub(super) fn list<'a, X: Copy, T>(things: &[X], part: impl Fn(X) -> T) -> Param<'a>
where
    Vec<T>: ToSql + Sync + Send + 'a,
{
    Box::new(things.iter().map(|thing| part(*thing)).collect::<Vec<T>>())
}

/// Whether a change leaves work that may be claimed soon, so that waiting workers should look.
pub(super) fn makes_work(encoded: &Encoded) -> bool {
    !encoded.change.jobs.is_empty() || encoded.change.finish.is_some()
}

/// A time moved by milliseconds, as a column holds it.
pub(super) const fn after(now: Timestamp, millis: i64) -> i64 {
    now.plus_ms(millis).micros()
}
