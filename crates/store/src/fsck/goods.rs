//! Goods: I16 (stock adds up), I17 (moved once per cause, gone once per order), I18 (ended orders hold nothing).

use super::dossier::Dossier;
use super::finding::{Drift, Finding, Findings, Subject};
use super::invariant::Invariant::{I16, I17, I18};
use crate::Record;
use ordermill_core::admit::StockLevel;
use ordermill_core::change::{Cause, Row, StockKey};
use ordermill_core::order::{Order, OrderStatus, StockHold};
use std::collections::BTreeMap;

/// Judges what an order did to stock (I17, I18).
pub(super) fn judge(dossier: &Dossier, order: &Order, findings: &mut Findings) {
    for what in movement_faults(dossier, order) {
        findings.add(Finding::order(I17, order.id, what));
    }
    let is_over = matches!(order.status, OrderStatus::Cancelled | OrderStatus::Expired | OrderStatus::Completed);
    if is_over && order.stock_hold == StockHold::Reserved {
        findings.add(Finding::order(I18, order.id, format!("it is {} and still reserves goods", order.status.name())));
    }
}

/// Movements for an order that does not exist (I17).
pub(super) fn judge_orphan(dossier: &Dossier, findings: &mut Findings) {
    if !dossier.movements.is_empty() {
        let what = format!("{} movements for an order that does not exist", dossier.movements.len());
        findings.add(Finding::order(I17, dossier.id, what).young_if(dossier.is_young));
    }
}

/// What an order's movements add up to is known: what it took if its goods are taken, nothing otherwise.
fn movement_faults(dossier: &Dossier, order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    let mut sums: BTreeMap<&StockKey, i128> = BTreeMap::new();
    for (seq, key, delta) in &dossier.movements {
        *sums.entry(key).or_default() += i128::from(*delta);
        if !(1..=order.version).contains(seq) {
            found.push(format!("moved for event {seq}, which is no event of it"));
        }
        if *delta == 0 {
            found.push(format!("event {seq} moves none of {}", key.sku));
        }
    }
    let twice = dossier.movements.windows(2).find(|pair| matches!(pair, [a, b] if (a.0, &a.1) == (b.0, &b.1)));
    if let Some([(seq, key, _), _]) = twice {
        found.push(format!("event {seq} moves {} twice", key.sku));
    }
    let mut wanted: BTreeMap<StockKey, i128> = BTreeMap::new();
    if order.stock_hold == StockHold::Taken {
        wanted.extend(order.goods().into_iter().map(|(sku, quantity)| (StockKey::main(sku), -i128::from(quantity))));
    }
    for key in wanted.keys().chain(sums.keys().copied().filter(|key| !wanted.contains_key(*key))) {
        let (sum, wanted) = (sums.get(key).copied().unwrap_or_default(), wanted.get(key).copied().unwrap_or_default());
        if sum != wanted {
            found.push(format!("its movements of {} add up to {sum}, expected {wanted}", key.sku));
        }
    }
    found
}

/// What all orders, movements and levels say about each sku.
#[derive(Debug, Default)]
pub(super) struct Goods {
    sums: BTreeMap<StockKey, Sums>,
    last_loose: Option<(Cause, StockKey)>,
}

#[derive(Debug, Default)]
struct Sums {
    reserved: i128,
    on_hand: i128,
    level: StockLevel,
}

impl Sums {
    fn drift(&self) -> Drift {
        let narrow = |difference: i128| i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX });
        let on_hand = i128::from(self.level.available) + i128::from(self.level.reserved);
        Drift { reserved: narrow(i128::from(self.level.reserved) - self.reserved), on_hand: narrow(on_hand - self.on_hand) }
    }
}

impl Goods {
    /// Adds what a record says; records that say nothing about goods are left aside.
    pub(super) fn add(&mut self, record: &Record) {
        match record {
            Record::Row { row: Row::Order(order), .. } => self.reserve(order),
            Record::StockMovement { key, on_hand_delta, .. } => self.of(key).on_hand += i128::from(*on_hand_delta),
            Record::Stock { key, level } => self.of(key).level = *level,
            _ => {}
        }
    }

    fn reserve(&mut self, order: &Order) {
        if order.stock_hold == StockHold::Reserved {
            for (sku, quantity) in order.goods() {
                self.of(&StockKey::main(sku)).reserved += i128::from(quantity);
            }
        }
    }

    fn of(&mut self, key: &StockKey) -> &mut Sums {
        self.sums.entry(key.clone()).or_default()
    }

    /// A movement that a person or an import caused: once per cause and place (I17).
    pub(super) fn judge_loose(&mut self, record: &Record, findings: &mut Findings) {
        let Record::StockMovement { cause: cause @ Cause::Change(_), key, on_hand_delta } = record else { return };
        let this = Some((cause.clone(), key.clone()));
        if self.last_loose == this {
            findings.add(Finding::new(I17, Subject::Cause(cause.clone()), format!("it moves {} twice", key.sku)));
        }
        if *on_hand_delta == 0 {
            findings.add(Finding::new(I17, Subject::Cause(cause.clone()), format!("it moves none of {}", key.sku)));
        }
        self.last_loose = this;
    }

    /// Judges every sku (I16).
    pub(super) fn judge(&self, findings: &mut Findings) {
        for (key, sums) in &self.sums {
            let drift = sums.drift();
            let mut add = |what: String| {
                findings.add(Finding { drift: Some(drift), ..Finding::new(I16, Subject::Stock(key.clone()), what) });
            };
            if drift.reserved != 0 {
                add(format!("{} are reserved, its orders reserve {}", sums.level.reserved, sums.reserved));
            }
            if drift.on_hand != 0 {
                let on_hand = i128::from(sums.level.available) + i128::from(sums.level.reserved);
                add(format!("{on_hand} are on hand, its movements add up to {}", sums.on_hand));
            }
            if sums.level.available < 0 || sums.level.reserved < 0 {
                add(format!("{} are available and {} reserved", sums.level.available, sums.level.reserved));
            }
        }
    }
}
