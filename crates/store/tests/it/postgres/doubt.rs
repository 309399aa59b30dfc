//! F33: a connection that ends around a COMMIT. Whatever was lost, the caller hears the truth and the change is applied
//! exactly once.

use super::proxy::{Fault, Proxy, port_of};
use super::{fresh_at, stock_of};
use ordermill_core::change::Change;
use ordermill_store::conformance::fixture::{Fixture, commit, scan_all};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::shared_url;
use ordermill_store::{Store, Table};
use std::sync::Arc;

/// A store behind a proxy, with 100 shirts, and the store's direct twin.
async fn behind_a_proxy(fixture: &Fixture) -> (PostgresStore, PostgresStore, Proxy) {
    let server = shared_url().expect("a server");
    let (direct, url) = fresh_at(&server).await;
    commit(&direct, &fixture.adjust("shirt", 100)).await;
    let proxy = Proxy::start(port_of(&server)).await;
    let store = PostgresStore::open(&proxy.url(&url)).await.expect("a store");
    (store, direct, proxy)
}

/// Commits an order of one shirt while the fault strikes, and looks at what became of it.
async fn strike(fault: Fault) {
    let fixture = Fixture::new();
    let (store, direct, proxy) = behind_a_proxy(&fixture).await;
    let shirt = fixture.goods("shirt");
    for number in 1..=5 {
        let (order, placed) = fixture.place(number, &[(&shirt, 1)]);
        proxy.arm(fault);
        store.commit(&placed).await.expect("the truth is that it is applied");
        assert_eq!(proxy.fired(), usize::try_from(number).expect("small"), "the fault must have struck");
        assert_eq!(direct.order(&ordermill_store::OrderRef::Id(order.id)).await.expect("order"), Some(order.clone()));
        assert_eq!(direct.events(order.id, 0, 10).await.expect("events").len(), 1);
        assert_eq!(stock_of(&direct, "shirt").await, (100 - number, number));
        let again = store.commit(&placed).await.expect_err("it is there already");
        assert!(matches!(&again, ordermill_store::CommitError::Conflict(conflict) if conflict.was_me(placed.id)), "{again}");
        if fault == Fault::Silence {
            break;
        }
    }
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_applied_once() {
    strike(Fault::DropCommit).await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_applied_once() {
    strike(Fault::SwallowAnswer).await;
}

#[tokio::test]
async fn a_connection_that_goes_silent_at_the_commit_is_found_out() {
    strike(Fault::Silence).await;
}

/// A whole batch in doubt: orders that win, one that finds no stock, and a rival for a taken number, all in one COMMIT.
#[tokio::test]
async fn every_change_of_a_batch_in_doubt_hears_its_own_truth() {
    for fault in [Fault::DropCommit, Fault::SwallowAnswer] {
        let fixture = Fixture::new();
        let (store, direct, proxy) = behind_a_proxy(&fixture).await;
        let shirt = fixture.goods("shirt");
        let taken = fixture.place(1, &[(&shirt, 1)]).1;
        commit(&store, &taken).await;
        let mut changes: Vec<Arc<Change>> = (2..=33).map(|number| fixture.place(number, &[(&shirt, 3)]).1).collect();
        changes.push(fixture.place(1, &[(&shirt, 1)]).1);
        changes.push(fixture.place(40, &[(&shirt, 90)]).1);
        proxy.arm(fault);
        let answers = store.commit_together(changes).await;
        assert_eq!(proxy.fired(), 1);
        let applied: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(applied, [vec![true; 32], vec![false, false]].concat(), "{answers:?}");
        assert_eq!(scan_all(&direct, Table::Orders, 100).await.len(), 33);
        assert_eq!(stock_of(&direct, "shirt").await, (3, 97));
    }
}
