//! Batches on the pure level: taken in order and disjoint, and admitted together exactly as one by one.

use crate::shop::{Shop, setting};
use ordermill_core::admit::{Failed, Found, FoundLease, FoundRow, StockLevel, admit, disjoint_prefix};
use ordermill_core::change::{Cause, Change, Guard, Key, Row, StockKey, StockMove};
use ordermill_core::id::ChangeId;
use ordermill_core::job::{CircuitMove, Claim, Finish, JobKey, NewJob, Outcome, Payload, Queue};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};

/// One small change: what it needs, writes and takes, in small numbers so that changes meet.
#[derive(Debug, Clone)]
enum Part {
    Insert(u8),
    Replace(u8, i64),
    Delete(u8, i64),
    Take(u8, i64, i64),
    Queue(u8),
    Finish(u8, i32),
}

fn parts() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => (0_u8..6).prop_map(Part::Insert),
        3 => (0_u8..6, 1_i64..4).prop_map(|(n, version)| Part::Replace(n, version)),
        1 => (0_u8..6, 1_i64..4).prop_map(|(n, version)| Part::Delete(n, version)),
        4 => (0_u8..3, -4_i64..4, -2_i64..3).prop_map(|(n, available, reserved)| Part::Take(n, available, reserved)),
        1 => (0_u8..4).prop_map(Part::Queue),
        1 => (0_u8..4, 1_i32..3).prop_map(|(n, attempt)| Part::Finish(n, attempt)),
    ]
}

fn job_key(n: u8) -> JobKey {
    JobKey::new(Queue::Email, n.to_string(), 1)
}

/// The parts as a change, without those that would make it faulty.
fn build(shop: &Shop, parts: &[Part]) -> Change {
    let mut change = shop.change();
    for part in parts {
        let before = change.clone();
        let cause = Cause::Change(change.id);
        match *part {
            Part::Insert(n) => change.insert(Row::Setting(setting(&n.to_string(), 1))),
            Part::Replace(n, version) => change.replace(Row::Setting(setting(&n.to_string(), version + 1)), version),
            Part::Delete(n, version) => change.delete(Key::Setting(n.to_string()), version),
            Part::Take(n, available_delta, reserved_delta) => {
                // Goods move only beside a row that fences a second time; this one is nobody else's.
                let fence = setting(&change.id.to_string(), 1);
                if !change.puts.contains(&Row::Setting(fence.clone())) {
                    change.insert(Row::Setting(fence));
                }
                change.stock.push(StockMove { key: StockKey::main(n.to_string()), available_delta, reserved_delta, cause });
            }
            Part::Queue(n) => {
                let payload = Payload::StripeCreateIntent { order_id: ordermill_core::id::OrderId::new(1, [n; 10]) };
                change.jobs.push(NewJob::new(job_key(n), &payload));
            }
            Part::Finish(n, attempt) => {
                let claim = Claim { key: job_key(n), attempt };
                change.finish(Finish { claim, outcome: Outcome::Done, circuit: CircuitMove::Keep });
            }
        }
        if change.check().is_err() {
            change = before;
        }
    }
    change
}

fn changes() -> impl Strategy<Value = Vec<Vec<Part>>> {
    prop::collection::vec(prop::collection::vec(parts(), 1..4), 1..16)
}

/// A store of three maps.
#[derive(Debug, Clone, Default, PartialEq)]
struct Maps {
    rows: HashMap<Key, FoundRow>,
    stock: HashMap<StockKey, StockLevel>,
    leases: HashMap<JobKey, FoundLease>,
}

impl Maps {
    fn found(&self) -> Found {
        Found { rows: self.rows.clone(), stock: self.stock.clone(), leases: self.leases.clone() }
    }

    fn apply(&mut self, change: &Change) {
        for key in &change.deletes {
            self.rows.remove(key);
        }
        for row in &change.puts {
            let by = self.rows.get(&row.key()).map_or(change.id, |found| found.by);
            let found = FoundRow { by, version: row.version(), last_change: change.id, row: Some(Box::new(row.clone())) };
            self.rows.insert(row.key(), found);
        }
        for step in &change.stock {
            let level = self.stock.entry(step.key.clone()).or_default();
            level.available += step.available_delta;
            level.reserved += step.reserved_delta;
        }
        for job in &change.jobs {
            self.leases.entry(job.key.clone()).or_insert(FoundLease { attempt: 0, is_live: false });
        }
        if let Some(finish) = &change.finish {
            self.leases.remove(&finish.claim.key);
        }
    }

    /// What there is before the batch: some rows, some goods, some claimed jobs.
    fn opened(shop: &Shop) -> Self {
        let mut maps = Self::default();
        for n in 0..3_u8 {
            maps.apply(&build(shop, &[Part::Insert(n), Part::Take(n, 5, 1)]));
            maps.leases.insert(job_key(n), FoundLease { attempt: i32::from(n), is_live: n != 2 });
        }
        maps
    }
}

/// The batches that a store would make.
fn batches(changes: Vec<Change>, limit: usize) -> Vec<Vec<Change>> {
    let mut waiting = VecDeque::from(changes);
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        let batch = disjoint_prefix(&mut waiting, limit, |change| change);
        assert!(!batch.is_empty() && batch.len() <= limit, "a batch makes progress and keeps its limit");
        batches.push(batch);
    }
    batches
}

/// Everything but stock that a change could meet another one on.
fn names(change: &Change) -> HashSet<String> {
    let guards = change.expects.iter().map(|guard| match guard {
        Guard::Absent(key) | Guard::Version(key, _) => format!("{key:?}"),
        Guard::LeaseHeld(claim) => claim.key.to_string(),
    });
    guards.chain(change.jobs.iter().map(|job| job.key.to_string())).collect()
}

proptest! {
    #[test]
    fn batches_are_disjoint_and_overlapping_changes_keep_their_order(changes in changes(), limit in 1_usize..8) {
        let shop = Shop::default();
        let changes: Vec<Change> = changes.iter().map(|parts| build(&shop, parts)).collect();
        let arrived: HashMap<ChangeId, usize> = changes.iter().enumerate().map(|(index, change)| (change.id, index)).collect();
        let batches = batches(changes.clone(), limit);
        for batch in &batches {
            let mut seen = HashSet::new();
            for name in batch.iter().flat_map(names) {
                prop_assert!(seen.insert(name.clone()), "{name} is in one batch twice");
            }
            prop_assert!(batch.iter().map(|change| arrived[&change.id]).is_sorted(), "within a batch the order of arrival holds");
        }
        let taken: Vec<Change> = batches.into_iter().flatten().collect();
        prop_assert_eq!(taken.len(), changes.len(), "every change is taken once");
        for (later, change) in taken.iter().enumerate() {
            for earlier in &taken[..later] {
                let overtook = arrived[&change.id] < arrived[&earlier.id];
                prop_assert!(!overtook || names(change).is_disjoint(&names(earlier)), "two changes swapped places");
            }
        }
    }

    #[test]
    fn a_batch_is_admitted_as_one_by_one(changes in changes(), limit in 1_usize..8) {
        let shop = Shop::default();
        let mut together = Maps::opened(&shop);
        let mut alone = together.clone();
        let changes: Vec<Change> = changes.iter().map(|parts| build(&shop, parts)).collect();
        for batch in batches(changes, limit) {
            let references: Vec<&Change> = batch.iter().collect();
            let admitted = admit(&references, &together.found());
            for (change, result) in batch.iter().zip(&admitted) {
                let one = admit(&[change], &alone.found()).remove(0);
                prop_assert_eq!(result, &one);
                if one.is_ok() {
                    alone.apply(change);
                }
            }
            batch.iter().zip(&admitted).filter(|(_, result)| result.is_ok()).for_each(|(change, _)| together.apply(change));
            prop_assert_eq!(&together, &alone);
            prop_assert!(together.stock.values().all(|level| level.available >= 0 && level.reserved >= 0));
        }
    }

    #[test]
    fn a_refusal_names_every_guard_that_fails_and_no_other(parts in prop::collection::vec(parts(), 1..8)) {
        let shop = Shop::default();
        let maps = Maps::opened(&shop);
        let change = build(&shop, &parts);
        let failed = admit(&[&change], &maps.found()).remove(0).err().map(|conflict| conflict.failed).unwrap_or_default();
        // Each guard by itself, in the order of the change: first what is expected, then the goods.
        let mut expected: Vec<Failed> = Vec::new();
        for guard in &change.expects {
            let alone = Change { expects: vec![guard.clone()], ..shop.change() };
            expected.extend(admit(&[&alone], &maps.found()).remove(0).err().into_iter().flat_map(|conflict| conflict.failed));
        }
        for step in &change.stock {
            let alone = Change { stock: vec![step.clone()], ..shop.change() };
            expected.extend(admit(&[&alone], &maps.found()).remove(0).err().into_iter().flat_map(|conflict| conflict.failed));
        }
        prop_assert_eq!(failed, expected);
    }
}

#[test]
fn a_guard_holds_for_exactly_what_it_says() {
    let shop = Shop::default();
    let maps = Maps::opened(&shop);
    // Rows 0 to 2 have version 1; job 0 is live at attempt 0, job 1 at attempt 1, job 2 is not live, job 3 does not exist.
    let key = |n: u8| Key::Setting(n.to_string());
    let lease = |n: u8, attempt: i32| Guard::LeaseHeld(Claim { key: job_key(n), attempt });
    let holds = [Guard::Absent(key(3)), Guard::Version(key(1), 1), lease(1, 1), lease(0, 0)];
    let fails = [
        Guard::Absent(key(1)),
        Guard::Version(key(1), 2),
        Guard::Version(key(1), 0),
        Guard::Version(key(3), 1),
        lease(1, 2),
        lease(1, 0),
        lease(2, 2),
        lease(3, 1),
    ];
    let admitted = |guard: &Guard| admit(&[&Change { expects: vec![guard.clone()], ..shop.change() }], &maps.found()).remove(0).is_ok();
    assert!(holds.iter().all(admitted), "{holds:?}");
    assert!(!fails.iter().any(admitted), "{fails:?}");
}

#[test]
fn a_change_put_off_holds_back_everything_that_overlaps_it() {
    let shop = Shop::default();
    // The third overlaps only the second, which is put off because of the first.
    let parts = [vec![Part::Insert(1)], vec![Part::Insert(1), Part::Insert(2)], vec![Part::Insert(2)], vec![Part::Insert(3)]];
    let changes: Vec<Change> = parts.iter().map(|parts| build(&shop, parts)).collect();
    let order: Vec<Vec<usize>> = batches(changes.clone(), 10)
        .iter()
        .map(|batch| batch.iter().map(|taken| changes.iter().position(|change| change.id == taken.id).expect("known")).collect())
        .collect();
    assert_eq!(order, [vec![0, 3], vec![1], vec![2]]);
}

#[test]
fn looking_for_disjoint_changes_has_an_end() {
    let shop = Shop::default();
    let changes: Vec<Change> = (0..100).map(|_| build(&shop, &[Part::Insert(1)])).collect();
    let mut waiting = VecDeque::from(changes.clone());
    let batch = disjoint_prefix(&mut waiting, 5, |change| change);
    assert_eq!((batch.len(), waiting.len()), (1, 99));
    let left: Vec<ChangeId> = waiting.iter().map(|change| change.id).collect();
    assert_eq!(left, changes[1..].iter().map(|change| change.id).collect::<Vec<_>>(), "the order of those that wait is kept");
}

#[test]
fn stock_at_the_ends_of_the_range_is_refused_not_wrapped() {
    let shop = Shop::default();
    let level = StockLevel { available: i64::MAX, reserved: 0 };
    let found = Found { stock: HashMap::from([(StockKey::main("1"), level)]), ..Found::default() };
    let refused = |available, reserved| {
        let change = build(&shop, &[Part::Take(1, available, reserved)]);
        admit(&[&change], &found).remove(0).is_err()
    };
    assert!(refused(1, 0) && refused(i64::MIN, 0) && refused(0, -1));
    assert!(!refused(-1, i64::MAX) && !refused(-i64::MAX, 0));
}
