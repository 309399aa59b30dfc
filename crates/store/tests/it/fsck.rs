//! `fsck`: a clean history has no violations, one spoilt record is found by the invariant it breaks, and a store that goes
//! on working raises no alarm.

mod corruptions;
mod history;
mod live;
mod random;

use history::History;
use ordermill_store::fsck::{Invariant, Promises, Report, Snapshot, check};
use ordermill_store::{Record, Table};
use std::collections::BTreeSet;

async fn clean() -> (History, Snapshot) {
    let history = History::new().await;
    let snapshot = Snapshot::read(history.store.as_ref()).await.expect("a snapshot");
    (history, snapshot)
}

fn judged(snapshot: &Snapshot) -> Report {
    check(snapshot, &Promises::default()).expect("tables in the order of their keys")
}

/// The invariants that are violated.
fn fired(report: &Report) -> BTreeSet<&'static str> {
    report.invariants.iter().filter(|invariant| invariant.violations > 0).map(|invariant| invariant.id).collect()
}

#[tokio::test]
async fn a_clean_history_has_no_violations() {
    let (_, snapshot) = clean().await;
    let report = judged(&snapshot);
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert!(report.checked.iter().all(|(_, count)| *count > 0), "the history leaves no table empty: {:?}", report.checked);
}

#[tokio::test]
async fn a_report_names_every_invariant_and_counts_every_record() {
    let (_, snapshot) = clean().await;
    let report = judged(&snapshot);
    let ids: Vec<_> = report.invariants.iter().map(|invariant| invariant.id).collect();
    assert_eq!(ids, Invariant::ALL.map(Invariant::id));
    assert!(report.invariants.iter().all(|invariant| !invariant.meaning.is_empty()));
    for table in Table::ALL {
        assert_eq!(report.checked[&table], snapshot.records(table).len() as u64, "{table:?}");
    }
}

#[test]
fn every_invariant_has_a_corruption_that_it_finds() {
    let known: BTreeSet<_> = Invariant::ALL.into_iter().collect();
    let corrupted: BTreeSet<_> = corruptions::CORRUPTED.iter().copied().collect();
    assert_eq!(known, corrupted);
}

#[tokio::test]
async fn many_violations_are_counted_and_a_limited_number_is_kept() {
    let (_, mut snapshot) = clean().await;
    let dead = snapshot.records(Table::DeadLetters).first().cloned().expect("a dead letter");
    for seq in 0..2_500 {
        let Record::DeadLetter(mut dead) = dead.clone() else { panic!("not a dead letter") };
        dead.key = ordermill_store::conformance::fixture::job_key("zalo", "late", seq);
        dead.past.history.clear();
        snapshot.push(Record::DeadLetter(dead));
    }
    let report = judged(&snapshot);
    let attempts = report.invariants.iter().find(|invariant| invariant.id == "I10").expect("I10");
    assert_eq!(attempts.violations, 2_500);
    assert_eq!(report.violations.iter().filter(|violation| violation.invariant == "I10").count(), ordermill_store::fsck::VIOLATIONS_MAX);
}
