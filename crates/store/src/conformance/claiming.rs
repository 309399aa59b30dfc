//! Claiming: which job comes when, to whom, under which attempt.

use super::Subject;
use super::fixture::{Fixture, LEASE_MS, MINUTE_MS, claim, claim_one, commit, dead, job, job_key, ordered_job};
use crate::{ClaimTarget, DeadLetterQuery};
use ordermill_core::job::{Claim, Job, JobKey, Outcome};
use ordermill_core::time::Timestamp;

fn places(jobs: &[Job]) -> Vec<(&str, i64)> {
    jobs.iter().map(|job| (job.key.group.as_str(), job.key.seq)).collect()
}

async fn claim_jobs(subject: &dyn Subject, keys: &[JobKey], limit: usize) -> Vec<Job> {
    let target = ClaimTarget::Jobs(keys.to_vec());
    subject.store().claim(&target, limit, LEASE_MS, "owner").await.expect("claim")
}

pub(super) async fn jobs_are_claimed_longest_due_first_then_by_key(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let later = |seq, delay_ms| ordermill_core::job::NewJob { delay_ms, ..job("email", "a", seq) };
    commit(store, &fixture.queue([later(1, 3 * MINUTE_MS), later(2, MINUTE_MS), later(3, 2 * MINUTE_MS)])).await;
    // Due together: by group byte by byte, then by number (9 before 10).
    let together = [("b", 10), ("b", 9), ("B", 1), ("ă", 1), ("a", 11), ("a:1", 1), ("a", -1)];
    commit(store, &fixture.queue(together.map(|(group, seq)| job("email", group, seq)))).await;
    subject.advance_ms(10 * MINUTE_MS);
    let claimed = claim(store, "email", 100).await;
    let expected = [("B", 1), ("a", -1), ("a", 11), ("a:1", 1), ("b", 9), ("b", 10), ("ă", 1), ("a", 2), ("a", 3), ("a", 1)];
    assert_eq!(places(&claimed), expected);
}

pub(super) async fn a_claim_takes_at_most_its_limit(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue((1..=5).map(|seq| job("email", "a", seq)))).await;
    assert_eq!(places(&claim(store, "email", 0).await), []);
    assert_eq!(places(&claim(store, "email", 2).await), [("a", 1), ("a", 2)]);
    assert_eq!(places(&claim(store, "email", 10).await), [("a", 3), ("a", 4), ("a", 5)]);
    assert_eq!(places(&claim(store, "email", 10).await), []);
}

pub(super) async fn the_attempt_counts_up_at_the_claim(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let queued = job("email", "a", 1);
    commit(store, &fixture.queue([queued.clone()])).await;
    subject.advance_ms(5 * MINUTE_MS);
    let claimed = claim_one(store, "email").await;
    assert_eq!((&claimed.key, &claimed.payload, claimed.max_attempts), (&queued.key, &queued.payload, queued.max_attempts));
    assert_eq!((claimed.past.attempt, claimed.past.counted(), claimed.past.history.len()), (1, 1, 0));
    assert!((5 * MINUTE_MS..6 * MINUTE_MS).contains(&claimed.age_ms), "{} ms", claimed.age_ms);
    let info = store.jobs(&crate::JobQuery { queue: None, cursor: None, limit: 1 }).await.expect("jobs").rows.remove(0);
    assert_eq!((info.past.attempt, info.is_running, info.worker.as_deref()), (1, true, Some("worker-1")));
}

pub(super) async fn a_leased_job_is_not_claimed_again(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let first = claim_one(store, "email").await;
    assert_eq!(claim(store, "email", 1).await, []);
    assert_eq!(claim_jobs(subject, std::slice::from_ref(&first.key), 1).await, []);
    subject.advance_ms(LEASE_MS / 2);
    assert_eq!(claim(store, "email", 1).await, []);
    subject.advance_ms(LEASE_MS / 2);
    assert_eq!(claim_one(store, "email").await.past.attempt, 2);
}

pub(super) async fn a_lost_lease_counts_and_stays_in_the_history(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    for attempt in 1..=3 {
        let target = ClaimTarget::Queue("email".to_owned());
        let claimed = store.claim(&target, 1, LEASE_MS, &format!("worker-{attempt}")).await.expect("claim").remove(0);
        assert_eq!((claimed.past.attempt, claimed.past.uncounted), (attempt, 0));
        let history: Vec<(i32, bool, &str)> =
            claimed.past.history.iter().map(|failure| (failure.attempt, failure.counted, failure.why.as_str())).collect();
        let lost = [(1, true, "the lease ran out (worker worker-1)"), (2, true, "the lease ran out (worker worker-2)")];
        assert_eq!(history, lost[..usize::try_from(attempt - 1).expect("small")]);
        subject.advance_ms(LEASE_MS + 1);
    }
    // All attempts are used up: nobody may claim it, by whatever name.
    assert_eq!(claim(store, "email", 1).await, []);
    assert_eq!(claim_jobs(subject, &[job_key("email", "a", 1)], 1).await, []);
}

pub(super) async fn a_delayed_job_waits(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let delayed = ordermill_core::job::NewJob { delay_ms: 10 * MINUTE_MS, ..job("email", "a", 1) };
    commit(store, &fixture.queue([delayed])).await;
    assert_eq!(claim(store, "email", 1).await, []);
    subject.advance_ms(9 * MINUTE_MS);
    assert_eq!(claim(store, "email", 1).await, []);
    subject.advance_ms(MINUTE_MS);
    claim_one(store, "email").await;
}

pub(super) async fn a_job_of_another_queue_stays(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue(["email", "Email", "email2", "e"].map(|queue| job(queue, "a", 1)))).await;
    assert_eq!(claim(store, "email", 10).await.len(), 1);
    assert_eq!(claim(store, "nothing", 10).await, []);
    // A queue that only a newer node knows is still a queue.
    assert_eq!(claim(store, "email2", 10).await.len(), 1);
}

pub(super) async fn a_job_named_by_its_owner_is_claimed_at_once(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let delayed = |group: &str| ordermill_core::job::NewJob { delay_ms: 60 * MINUTE_MS, ..job("stripe", group, 1) };
    commit(store, &fixture.queue([delayed("a"), delayed("b"), job("email", "c", 1)])).await;
    commit(store, &fixture.pause("stripe", true, 0)).await;
    let keys = [job_key("email", "c", 1), job_key("stripe", "nobody", 1), job_key("stripe", "b", 1), job_key("stripe", "a", 1)];
    let claimed = claim_jobs(subject, &keys, 2).await;
    assert_eq!(places(&claimed), [("c", 1), ("b", 1)], "in the order asked for, unknown ones left out, at most the limit");
    commit(store, &fixture.finish(&claimed[1].claim(), Outcome::Done)).await;
    assert_eq!(places(&claim_jobs(subject, &keys, 10).await), [("a", 1)]);
    assert_eq!(claim_jobs(subject, &[], 10).await, []);
}

pub(super) async fn a_job_named_twice_is_claimed_once(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1)])).await;
    let key = job_key("email", "a", 1);
    let claimed = claim_jobs(subject, &[key.clone(), key], 10).await;
    assert_eq!(claimed.iter().map(|job| job.past.attempt).collect::<Vec<_>>(), [1]);
}

pub(super) async fn the_same_job_is_never_queued_twice(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let first = job("email", "a", 1);
    commit(store, &fixture.queue([first.clone()])).await;
    let claimed = claim_one(store, "email").await;
    let again = ordermill_core::job::NewJob { payload: "{}".to_owned(), ..first.clone() };
    commit(store, &fixture.queue([again, job("email", "a", 2)])).await;
    let jobs = store.jobs(&crate::JobQuery { queue: None, cursor: None, limit: 10 }).await.expect("jobs").rows;
    let seen: Vec<(i64, &str, i32)> = jobs.iter().map(|job| (job.key.seq, job.payload.as_str(), job.past.attempt)).collect();
    let second = job("email", "a", 2).payload;
    assert_eq!(seen, [(1, first.payload.as_str(), 1), (2, second.as_str(), 0)]);
    commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
}

pub(super) async fn extending_keeps_the_lease_of_its_holder_only(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue([job("email", "a", 1), job("email", "b", 1)])).await;
    let claimed = claim(store, "email", 2).await;
    let (first, second) = (claimed[0].claim(), claimed[1].claim());
    subject.advance_ms(LEASE_MS / 2);
    let stale = Claim { attempt: 2, ..first.clone() };
    let unknown = Claim { key: job_key("email", "c", 1), attempt: 1 };
    let held = store.extend(&[unknown, first.clone(), stale], LEASE_MS).await.expect("extend");
    assert_eq!(held, [false, true, false]);
    assert_eq!(store.extend(&[], LEASE_MS).await.expect("extend"), Vec::<bool>::new());
    subject.advance_ms(LEASE_MS / 2);
    // The second lease has run out by now: too late to extend it, and somebody else may have it.
    let held = store.extend(&[second.clone(), first.clone()], LEASE_MS).await.expect("extend");
    assert_eq!(held, [false, true]);
    let again = claim_one(store, "email").await;
    assert_eq!((again.key, again.past.attempt), (second.key.clone(), 2));
    assert_eq!(store.extend(&[second], LEASE_MS).await.expect("extend"), [false]);
    commit(store, &fixture.finish(&first, Outcome::Done)).await;
}

pub(super) async fn an_ordered_job_waits_for_lower_numbers(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let late_head = ordermill_core::job::NewJob { delay_ms: 5 * MINUTE_MS, ..ordered_job("bus", "order", 2) };
    commit(store, &fixture.queue([ordered_job("bus", "order", 10), late_head, ordered_job("bus", "order", 9)])).await;
    assert_eq!(claim(store, "bus", 10).await, [], "the lowest number is not due, and the others wait for it");
    assert_eq!(claim_jobs(subject, &[job_key("bus", "order", 9)], 1).await, [], "not even its owner may jump the queue");
    subject.advance_ms(5 * MINUTE_MS);
    for seq in [2, 9, 10] {
        let claimed = claim(store, "bus", 10).await;
        assert_eq!(places(&claimed), [("order", seq)]);
        assert_eq!(claim(store, "bus", 10).await, [], "a running one still stands before the others");
        commit(store, &fixture.finish(&claimed[0].claim(), super::fixture::unavailable(MINUTE_MS))).await;
        assert_eq!(claim(store, "bus", 10).await, [], "and so does one that is tried again");
        subject.advance_ms(MINUTE_MS);
        let claimed = claim_one(store, "bus").await;
        commit(store, &fixture.finish(&claimed.claim(), Outcome::Done)).await;
    }
}

pub(super) async fn ordered_groups_do_not_wait_for_each_other(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let groups = ["a", "a:1", "b", "A"];
    let jobs = groups.iter().flat_map(|group| [ordered_job("bus", group, 1), ordered_job("bus", group, 2)]);
    commit(store, &fixture.queue(jobs)).await;
    commit(store, &fixture.queue([ordered_job("bus2", "a", 2)])).await;
    let claimed = claim(store, "bus", 10).await;
    assert_eq!(places(&claimed), [("A", 1), ("a", 1), ("a:1", 1), ("b", 1)]);
    assert_eq!(places(&claim(store, "bus2", 10).await), [("a", 2)]);
}

pub(super) async fn a_dead_head_releases_its_group(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue((1..=3).map(|seq| ordered_job("bus", "order", seq)))).await;
    let head = claim_one(store, "bus").await;
    commit(store, &fixture.finish(&head.claim(), dead())).await;
    let second = claim_one(store, "bus").await;
    assert_eq!(second.key.seq, 2);
    // A head that loses its last lease holds the group until a sweep has buried it.
    subject.advance_ms(LEASE_MS);
    for _ in 0..2 {
        assert_eq!(claim_one(store, "bus").await.key.seq, 2);
        subject.advance_ms(LEASE_MS);
    }
    assert_eq!(claim(store, "bus", 10).await, []);
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 1);
    assert_eq!(claim_one(store, "bus").await.key.seq, 3);
}

pub(super) async fn a_redriven_old_job_runs_late_and_holds_its_group_again(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.queue((1..=3).map(|seq| ordered_job("bus", "order", seq)))).await;
    let head = claim_one(store, "bus").await;
    commit(store, &fixture.finish(&head.claim(), dead())).await;
    let second = claim_one(store, "bus").await;
    let query = DeadLetterQuery { limit: 10, ..DeadLetterQuery::default() };
    let letter = store.dead_letters(&query).await.expect("dead letters").rows.remove(0);
    assert!(letter.is_ordered && letter.died_at > Timestamp::default());
    commit(store, &fixture.redrive(&letter)).await;
    // The running second keeps its lease; the redriven first runs beside it, and the third waits for both.
    let redriven = claim(store, "bus", 10).await;
    assert_eq!((places(&redriven), redriven[0].past.attempt), (vec![("order", 1)], 2));
    commit(store, &fixture.finish(&second.claim(), Outcome::Done)).await;
    assert_eq!(claim(store, "bus", 10).await, []);
    commit(store, &fixture.finish(&redriven[0].claim(), Outcome::Done)).await;
    assert_eq!(claim_one(store, "bus").await.key.seq, 3);
}
