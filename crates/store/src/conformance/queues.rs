//! Queues as a whole: paused by people, stopped by circuits, shown in numbers.

use super::Subject;
use super::fixture::{Fixture, LEASE_MS, MINUTE_MS, claim, claim_one, commit, dead, job, lose, unavailable};
use crate::QueueInfo;
use ordermill_core::job::{CircuitMove, NewJob, Outcome};

const OPEN: CircuitMove = CircuitMove::Open { for_ms: 5 * MINUTE_MS };

async fn infos(subject: &dyn Subject) -> Vec<QueueInfo> {
    subject.store().queues().await.expect("queues")
}

pub(super) async fn a_paused_queue_gives_nothing_until_it_is_resumed(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1), job("sms", "a", 1)])).await;
    commit(store, &fixture.pause("email", true, 0)).await;
    lose(store, &fixture.pause("email", true, 0)).await;
    assert_eq!(claim(store, "email", 1).await, []);
    assert_eq!(claim(store, "sms", 1).await.len(), 1, "other queues go on");
    commit(store, &fixture.pause("email", false, 1)).await;
    assert_eq!(claim(store, "email", 1).await.len(), 1);
    commit(store, &fixture.pause("email", true, 2)).await;
    subject.advance_ms(LEASE_MS);
    assert_eq!(claim(store, "email", 1).await, []);
}

pub(super) async fn a_pause_does_not_stop_a_running_job(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.pause("email", true, 0)).await;
    assert_eq!(store.extend(&[claimed.claim()], LEASE_MS).await.expect("extend"), [true]);
    commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
}

/// Queues three jobs and opens the circuit by the first one's failure.
async fn opened(subject: &dyn Subject, fixture: &Fixture) {
    let store = subject.store();
    commit(store, &fixture.queue((1..=3).map(|seq| job("email", "a", seq)))).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish_with(&claimed.claim(), unavailable(0), OPEN)).await;
}

pub(super) async fn an_open_circuit_gives_nothing_until_its_time_is_over(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    opened(subject, &fixture).await;
    assert_eq!(claim(store, "email", 10).await, []);
    subject.advance_ms(4 * MINUTE_MS);
    assert_eq!(claim(store, "email", 10).await, []);
    let info = infos(subject).await.remove(0);
    assert!((1..=MINUTE_MS).contains(&info.circuit_open_ms), "{} ms", info.circuit_open_ms);
    subject.advance_ms(MINUTE_MS);
    assert_eq!(claim(store, "email", 10).await.len(), 1);
}

pub(super) async fn a_half_open_circuit_gives_one_job_at_a_time(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    opened(subject, &fixture).await;
    subject.advance_ms(5 * MINUTE_MS);
    let probe = claim_one(store, "email").await;
    assert_eq!(claim(store, "email", 10).await, [], "somebody is trying already");
    // The provider is still away: closed to everybody again.
    commit(store, &fixture.finish_with(&probe.claim(), unavailable(0), OPEN)).await;
    assert_eq!(claim(store, "email", 10).await, []);
    subject.advance_ms(5 * MINUTE_MS);
    let probe = claim_one(store, "email").await;
    // A job that fails for its own fault says nothing about the provider: one more try.
    commit(store, &fixture.finish_with(&probe.claim(), dead(), CircuitMove::Keep)).await;
    assert_eq!(claim(store, "email", 10).await.len(), 1);
    // A probe that loses its lease is no longer trying.
    subject.advance_ms(LEASE_MS);
    assert_eq!(claim(store, "email", 10).await.len(), 1);
}

pub(super) async fn a_closed_circuit_gives_everything_again(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    opened(subject, &fixture).await;
    subject.advance_ms(5 * MINUTE_MS);
    let probe = claim_one(store, "email").await;
    commit(store, &fixture.finish_with(&probe.claim(), Outcome::Done, CircuitMove::Close)).await;
    assert_eq!(claim(store, "email", 10).await.len(), 2);
    assert_eq!(infos(subject).await[0].circuit_open_ms, 0);
}

pub(super) async fn a_circuit_belongs_to_one_queue(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1), job("sms", "a", 1), job("sms", "a", 2)])).await;
    let claimed = claim_one(store, "sms").await;
    commit(store, &fixture.finish_with(&claimed.claim(), Outcome::Done, OPEN)).await;
    assert_eq!(claim(store, "sms", 10).await, []);
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish_with(&claimed.claim(), Outcome::Done, CircuitMove::Close)).await;
    assert_eq!(claim(store, "sms", 10).await, [], "closing one circuit closes no other");
}

pub(super) async fn queues_tell_what_they_hold(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    assert_eq!(infos(subject).await, []);
    commit(store, &fixture.queue((1..=4).map(|seq| job("email", "a", seq)))).await;
    commit(store, &fixture.queue([NewJob { delay_ms: 10 * MINUTE_MS, ..job("bus", "a", 1) }])).await;
    let claimed = claim(store, "email", 2).await;
    commit(store, &fixture.finish(&claimed[0].claim(), dead())).await;
    commit(store, &fixture.pause("sms", true, 0)).await;
    commit(store, &fixture.pause("zalo", true, 0)).await;
    commit(store, &fixture.pause("zalo", false, 1)).await;
    subject.advance_ms(LEASE_MS / 2);

    let infos = infos(subject).await;
    let counts: Vec<_> = infos.iter().map(|info| (info.queue.as_str(), info.waiting, info.running, info.dead, info.is_paused)).collect();
    let expected = [("bus", 1, 0, 0, false), ("email", 2, 1, 1, false), ("sms", 0, 0, 0, true), ("zalo", 0, 0, 0, false)];
    assert_eq!(counts, expected);
    assert_eq!((infos[0].oldest_due_ms, infos[2].oldest_due_ms), (0, 0), "nothing is due there");
    assert!((LEASE_MS / 2..LEASE_MS).contains(&infos[1].oldest_due_ms), "{} ms", infos[1].oldest_due_ms);
}
