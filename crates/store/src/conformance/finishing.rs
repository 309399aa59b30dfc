//! How an attempt ends, who may end it, and what becomes of jobs that cannot succeed.

use super::Subject;
use super::fixture::{Fixture, LEASE_MS, MINUTE_MS, claim, claim_one, commit, dead, everything, failed, job, lose, payment, unavailable};
use crate::{DeadLetterQuery, JobQuery, OrderRef, Store};
use ordermill_core::admit::Failed;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{EffectState, Guard, Key, Row};
use ordermill_core::job::{CircuitMove, DeadLetter, Finish, JobKey, MAX_HISTORY, Outcome};
use ordermill_core::payment::PaymentProgress;
use std::sync::Arc;

async fn waiting(store: &dyn Store) -> Vec<crate::JobInfo> {
    store.jobs(&JobQuery { queue: None, cursor: None, limit: 100 }).await.expect("jobs").rows
}

async fn letters(store: &dyn Store) -> Vec<DeadLetter> {
    store.dead_letters(&DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() }).await.expect("dead letters").rows
}

fn story(letter: &DeadLetter) -> Vec<(i32, bool, &str)> {
    letter.past.history.iter().map(|failure| (failure.attempt, failure.counted, failure.why.as_str())).collect()
}

pub(super) async fn a_done_job_is_gone(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1), job("email", "b", 1)])).await;
    let claimed = claim_one(store, "email").await;
    let done = fixture.finish(&claimed.claim(), Outcome::Done);
    commit(store, &done).await;
    assert_eq!(waiting(store).await.iter().map(|job| job.key.group.as_str()).collect::<Vec<_>>(), ["b"]);
    let conflict = lose(store, &done).await;
    assert_eq!(conflict.failed, [Failed::Lease { claim: claimed.claim() }]);
    assert!(conflict.lost_lease());
    assert_eq!(letters(store).await, []);
}

pub(super) async fn a_counted_failure_waits_and_counts(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish(&claimed.claim(), failed(5 * MINUTE_MS))).await;
    let info = waiting(store).await.remove(0);
    assert_eq!((info.is_running, info.worker, info.past.attempt, info.past.counted()), (false, None, 1, 1));
    assert_eq!(info.past.history[0].why, "550 no such mailbox");
    assert!(info.past.history[0].counted && info.past.history[0].at > info.queued_at);
    subject.advance_ms(4 * MINUTE_MS);
    assert_eq!(claim(store, "email", 1).await, []);
    subject.advance_ms(MINUTE_MS);
    let again = claim_one(store, "email").await;
    assert_eq!((again.past.attempt, again.past.counted(), again.past.history.len()), (2, 2, 1));
    assert!(again.age_ms >= 5 * MINUTE_MS, "its age counts from the first queueing");
}

pub(super) async fn an_uncounted_failure_never_exhausts_a_job(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    for attempt in 1..=7 {
        let claimed = claim_one(store, "email").await;
        assert_eq!((claimed.past.attempt, claimed.past.counted()), (attempt, 1));
        assert_eq!(claimed.past.history.len(), usize::try_from(attempt - 1).expect("small"));
        commit(store, &fixture.finish(&claimed.claim(), unavailable(0))).await;
    }
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 0);
    assert_eq!(waiting(store).await[0].past.counted(), 0);
}

pub(super) async fn a_zombie_cannot_finish(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(store, &placed).await;
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let zombie = claim_one(store, "email").await;
    subject.advance_ms(LEASE_MS);
    let holder = claim_one(store, "email").await;
    let before = everything(store).await;
    let outcomes = [Outcome::Done, failed(0), unavailable(0), dead()];
    for outcome in outcomes {
        let (_, mut noted) = fixture.note(&order, "đã gửi");
        Arc::make_mut(&mut noted).finish(Finish { claim: zombie.claim(), outcome, circuit: CircuitMove::Open { for_ms: MINUTE_MS } });
        assert_eq!(lose(store, &noted).await.failed, [Failed::Lease { claim: zombie.claim() }]);
        assert_eq!(everything(store).await, before, "a zombie changed something");
    }
    let (_, mut noted) = fixture.note(&order, "đã gửi");
    Arc::make_mut(&mut noted).finish(Finish { claim: holder.claim(), outcome: Outcome::Done, circuit: CircuitMove::Keep });
    commit(store, &noted).await;
}

pub(super) async fn a_lease_that_ran_out_cannot_finish_even_if_nobody_else_claimed(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    subject.advance_ms(LEASE_MS);
    let conflict = lose(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
    assert_eq!(conflict.failed, [Failed::Lease { claim: claimed.claim() }]);
    assert_eq!(claim_one(store, "email").await.past.attempt, 2);
}

pub(super) async fn a_finish_and_its_effects_are_one(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(store, &placed).await;
    let (order, paid) = fixture.receive(&order, &payment("pi_1", PaymentProgress::Succeeded, order.total_amount));
    commit(store, &paid).await;
    let claimed = claim_one(store, "email").await;
    let intended = fixture.effect(order.id);
    commit(store, &fixture.insert([Row::Effect(intended.clone())])).await;
    let (noted, mut confirm) = fixture.note(&order, "thư đã gửi");
    let confirmed = ordermill_core::change::Effect {
        state: EffectState::Confirmed,
        reference: Some("<1@shop.example>".to_owned()),
        version: 2,
        ..intended
    };
    let change = Arc::make_mut(&mut confirm);
    change.replace(Row::Effect(confirmed.clone()), 1);
    change.jobs.push(job("bus", "next", 1));
    change.finish(Finish { claim: claimed.claim(), outcome: Outcome::Done, circuit: CircuitMove::Close });
    commit(store, &confirm).await;
    assert_eq!(store.get(&Key::Effect(confirmed.key)).await.expect("get").expect("the effect").row, Row::Effect(confirmed));
    assert_eq!(store.order(&OrderRef::Id(order.id)).await.expect("order"), Some(noted));
    let queues: Vec<String> = waiting(store).await.into_iter().map(|job| job.key.queue).collect();
    assert!(queues.contains(&"bus".to_owned()) && !queues.contains(&"email".to_owned()), "{queues:?}");
}

pub(super) async fn a_job_that_gives_up_becomes_a_dead_letter(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let queued = job("email", "a", 1);
    commit(store, &fixture.queue([queued.clone()])).await;
    for outcome in [failed(0), unavailable(0), dead()] {
        let claimed = claim_one(store, "email").await;
        commit(store, &fixture.finish(&claimed.claim(), outcome)).await;
    }
    assert_eq!(waiting(store).await, []);
    let letter = letters(store).await.remove(0);
    assert_eq!((&letter.key, &letter.payload, letter.is_ordered), (&queued.key, &queued.payload, false));
    assert_eq!((letter.past.attempt, letter.past.uncounted, letter.version()), (3, 1, 3));
    assert_eq!(letter.why, "refused for good");
    let expected = [(1, true, "550 no such mailbox"), (2, false, "connection refused"), (3, true, "refused for good")];
    assert_eq!(story(&letter), expected);
    assert!(letter.died_at > letter.queued_at);
}

pub(super) async fn a_lease_lost_at_the_last_attempt_ends_in_the_dead_letters(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1), job("email", "b", 1)])).await;
    let done = claim(store, "email", 2).await.remove(1);
    commit(store, &fixture.finish(&done.claim(), Outcome::Done)).await;
    subject.advance_ms(LEASE_MS);
    for _ in 2..=3 {
        claim_one(store, "email").await;
        assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 0, "a live lease is left alone");
        subject.advance_ms(LEASE_MS);
    }
    assert_eq!(letters(store).await, []);
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 1);
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 0);
    assert_eq!(waiting(store).await, []);
    let letter = letters(store).await.remove(0);
    let lost = "the lease ran out (worker worker-1)";
    assert_eq!(story(&letter), [(1, true, lost), (2, true, lost), (3, true, lost)]);
    assert_eq!((letter.past.attempt, letter.why.as_str()), (3, lost));
}

pub(super) async fn a_job_at_its_last_counted_failure_is_swept_up(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([ordermill_core::job::NewJob { max_attempts: 1, ..job("email", "a", 1) }])).await;
    let claimed = claim_one(store, "email").await;
    // A worker should have said `Dead`; the store does not let the job live on for ever because it did not.
    commit(store, &fixture.finish(&claimed.claim(), failed(0))).await;
    assert_eq!(claim(store, "email", 1).await, []);
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 1);
    let letter = letters(store).await.remove(0);
    assert_eq!((story(&letter), letter.why.as_str()), (vec![(1, true, "550 no such mailbox")], "550 no such mailbox"));
}

pub(super) async fn a_long_history_keeps_its_first_and_latest_failures(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let attempts = i32::try_from(MAX_HISTORY).expect("small") + 5;
    for _ in 1..attempts {
        let claimed = claim_one(store, "email").await;
        commit(store, &fixture.finish(&claimed.claim(), unavailable(0))).await;
    }
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish(&claimed.claim(), dead())).await;
    let letter = letters(store).await.remove(0);
    let numbers: Vec<i32> = letter.past.history.iter().map(|failure| failure.attempt).collect();
    assert_eq!((numbers.len(), numbers[0], numbers[1], numbers[MAX_HISTORY - 1]), (MAX_HISTORY, 1, 7, attempts));
}

/// A job that died at its first attempt.
async fn dead_job(subject: &dyn Subject, fixture: &Fixture) -> DeadLetter {
    let store = subject.store();
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish(&claimed.claim(), dead())).await;
    letters(store).await.remove(0)
}

pub(super) async fn a_redrive_keeps_the_key_and_never_reuses_an_attempt(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let letter = dead_job(subject, &fixture).await;
    let zombie = ordermill_core::job::Claim { key: letter.key.clone(), attempt: letter.past.attempt };
    commit(store, &fixture.redrive(&letter)).await;
    assert_eq!(letters(store).await, []);
    let again = claim_one(store, "email").await;
    assert_eq!((&again.key, &again.payload), (&letter.key, &letter.payload));
    assert_eq!((again.past.attempt, again.past.counted(), again.past.history.len()), (2, 1, 1));
    lose(store, &fixture.finish(&zombie, Outcome::Done)).await;
    // It has a fresh set of attempts, and dies with the history of both lives.
    commit(store, &fixture.finish(&again.claim(), failed(0))).await;
    for _ in 0..2 {
        let claimed = claim_one(store, "email").await;
        commit(store, &fixture.finish(&claimed.claim(), failed(0))).await;
    }
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 1);
    let again = letters(store).await.remove(0);
    assert_eq!(again.past.history.iter().map(|failure| failure.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

pub(super) async fn of_two_redrives_one_wins(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let letter = dead_job(subject, &fixture).await;
    let (first, second) = (fixture.redrive(&letter), fixture.redrive(&letter));
    let results = subject.commit_together(vec![first, second.clone()]).await;
    assert!(matches!(&results[..], [Ok(()), Err(_)]), "{results:?}");
    let conflict = lose(store, &second).await;
    assert!(matches!(&conflict.failed[..], [Failed::Version { key: Key::DeadLetter(key), found: None, .. }] if *key == letter.key));
    assert_eq!(waiting(store).await.len(), 1);
}

pub(super) async fn a_redrive_of_another_death_loses(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let first_death = dead_job(subject, &fixture).await;
    commit(store, &fixture.redrive(&first_death)).await;
    let claimed = claim_one(store, "email").await;
    commit(store, &fixture.finish(&claimed.claim(), dead())).await;
    let conflict = lose(store, &fixture.redrive(&first_death)).await;
    assert!(matches!(&conflict.failed[..], [Failed::Version { found: Some(2), .. }]), "{conflict:?}");
    assert_eq!(letters(store).await.len(), 1);
}

pub(super) async fn a_dead_letter_can_be_discarded(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let letter = dead_job(subject, &fixture).await;
    let discard = |version| {
        let mut change = fixture.change();
        change.delete(Key::DeadLetter(letter.key.clone()), version);
        Arc::new(change)
    };
    lose(store, &discard(letter.version() + 1)).await;
    commit(store, &discard(letter.version())).await;
    assert_eq!((letters(store).await, waiting(store).await), (vec![], vec![]));
    let mut taken = fixture.change();
    let nobody = JobKey { group: "nobody".to_owned(), ..letter.key.clone() };
    taken.expects.push(Guard::Absent(Key::DeadLetter(nobody)));
    commit(store, &Arc::new(taken)).await;
}

pub(super) async fn a_guarded_lease_without_a_finish_only_checks(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let claimed = claim_one(store, "email").await;
    let intend = || {
        let mut change = fixture.change();
        change.insert(Row::Effect(fixture.effect(fixture.terms(1).order_id)));
        change.expects.push(Guard::LeaseHeld(claimed.claim()));
        Arc::new(change)
    };
    commit(store, &intend()).await;
    subject.advance_ms(LEASE_MS);
    assert_eq!(lose(store, &intend()).await.failed, [Failed::Lease { claim: claimed.claim() }]);
}
