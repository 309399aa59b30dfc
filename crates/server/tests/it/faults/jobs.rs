//! F15–F21: workers that race, sleep, die or choke.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill::app::jobs::{self, By};
use ordermill::app::{Clock, Randomness, SystemClock, SystemRandomness};
use ordermill::mail::{Behaviour, Scripted};
use ordermill::worker;
use ordermill_core::change::{Change, Effect, EffectState, Key, MAX_ACTIONS, Row};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use ordermill_core::id::{ChangeId, OrderId};
use ordermill_core::job::{CircuitMove, DeadLetter, Finish, Job, JobKey, NewJob, Outcome, Payload, Queue};
use ordermill_core::order::intent::{ORDER_PAID_MAIL, effect_key};
use ordermill_store::{ClaimTarget, CommitError, DeadLetterQuery, JobInfo, JobQuery, QueueInfo, Store, Stored};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

on_both_stores! {
    f15_a_crowd_is_handed_every_attempt_once;
    f15_many_workers_send_each_mail_once;
    f16_a_worker_that_slept_through_its_lease_changes_nothing;
    f21_a_poison_job_dies_alone_after_three_attempts;
    f28_two_people_redrive_one_letter_once;
    a_provider_that_is_away_kills_no_job_and_opens_the_circuit;
    a_recipient_that_is_put_off_holds_up_nobody_else;
    f46_a_stopped_worker_gives_its_jobs_back;
}

async fn paid_orders(app: &TestApp, count: usize) -> Vec<Answer> {
    let product = app.product("CUP", 25_000, 1_000).await;
    let mut orders = Vec::new();
    for number in 0..count {
        orders.push(paid_order(app, &product, number).await);
    }
    orders
}

async fn paid_order(app: &TestApp, product: &str, number: usize) -> Answer {
    let token = app.customer(&format!("buyer{number}@example.com")).await;
    let order = app.order(&token, product, 1, "bank_transfer").await;
    assert_eq!(app.webhook(&paid_event(&format!("evt_{number}"), &order)).await.status, 200);
    order
}

async fn email_queue(app: &TestApp) -> Option<QueueInfo> {
    app.app.store.queues().await.expect("the store answers").into_iter().find(|queue| queue.queue == "email")
}

async fn dead_letters(app: &TestApp) -> Vec<DeadLetter> {
    let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
    app.app.store.dead_letters(&query).await.expect("the store answers").rows
}

/// I8, at the size of a bad morning: every attempt of every job is handed out once, whoever asks how often.
async fn f15_a_crowd_is_handed_every_attempt_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let jobs = if backend == Backend::Sqlite { CROWDED_JOBS } else { CROWDED_JOBS_SLOW };
    hand_out(&app.app.store, jobs).await;
    app.fsck().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_the_model_hands_every_attempt_out_once() {
    let store = ordermill_store::open("memory:").await.expect("the model opens");
    hand_out(&store, CROWDED_JOBS_SLOW).await;
}

/// How many jobs lie there at once.
const CROWDED_JOBS: usize = 10_000;
/// The same where a claim is a round trip, or looks through all jobs: still many for each of the crowd.
const CROWDED_JOBS_SLOW: usize = 2_000;
/// How many workers ask for them, one job at a time.
const CROWD: usize = 50;
/// Every so many jobs fails at its first attempt and is at once due for another.
const FAILING: usize = 10;

/// Lets a crowd work the jobs off, one claim each time, and counts who was handed what.
async fn hand_out(store: &Arc<dyn Store>, jobs: usize) {
    let keys: Vec<JobKey> = (0..jobs).map(|number| JobKey::new(Queue::Email, format!("crowd-{number}"), 1)).collect();
    let filling = keys.chunks(MAX_ACTIONS).map(|keys| {
        let mut change = change();
        change.jobs = keys.iter().map(|key| NewJob::new(key.clone(), &Payload::EmailOrderPaid { order_id: order_id() })).collect();
        async move { store.commit(&Arc::new(change)).await.expect("the jobs wait") }
    });
    futures_util::future::join_all(filling).await;
    let crowd = (0..CROWD).map(|number| tokio::spawn(work_off(Arc::clone(store), format!("worker-{number}"))));
    let mut handed_out = BTreeSet::new();
    for worker in futures_util::future::join_all(crowd).await {
        for (key, attempt) in worker.expect("the worker ends") {
            assert!(handed_out.insert((key.clone(), attempt)), "attempt {attempt} of {key} was handed out twice");
        }
    }
    let again = keys.iter().step_by(FAILING).map(|key| (key.clone(), 2));
    let expected: BTreeSet<(JobKey, i32)> = keys.iter().map(|key| (key.clone(), 1)).chain(again).collect();
    let wrong: Vec<_> = handed_out.symmetric_difference(&expected).take(10).collect();
    assert!(wrong.is_empty(), "too many or too few, among them {wrong:?}");
    assert!(store.queues().await.expect("an answer").iter().all(|queue| (queue.waiting, queue.running, queue.dead) == (0, 0, 0)));
}

/// One worker: claims one job at a time and ends it, until nothing is due. Whoever makes a job due again is still here.
async fn work_off(store: Arc<dyn Store>, worker: String) -> Vec<(JobKey, i32)> {
    let target = ClaimTarget::Queue("email".to_owned());
    let mut handed_out = Vec::new();
    while let Some(job) = store.claim(&target, 1, 60_000, &worker).await.expect("the store answers").pop() {
        let number: usize = job.key.group.trim_start_matches("crowd-").parse().expect("a number");
        let is_failing = number.is_multiple_of(FAILING) && job.past.attempt == 1;
        let outcome = if is_failing { retry(true) } else { Outcome::Done };
        store.commit(&finishing(change(), &job, outcome, CircuitMove::Keep)).await.expect("the attempt is its own");
        handed_out.push((job.key, job.past.attempt));
    }
    handed_out
}

fn order_id() -> OrderId {
    OrderId::new(SystemClock.now().unix_ms(), random())
}

fn change() -> Change {
    Change::new(ChangeId::new(SystemClock.now().unix_ms(), random()))
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    SystemRandomness::default().fill(&mut bytes);
    bytes
}

fn retry(counted: bool) -> Outcome {
    Outcome::Retry { after_ms: 0, counted, why: "a test says so".to_owned() }
}

fn finishing(mut change: Change, job: &Job, outcome: Outcome, circuit: CircuitMove) -> Arc<Change> {
    change.finish(Finish { claim: job.claim(), outcome, circuit });
    Arc::new(change)
}

/// The same with mails: each goes out once.
async fn f15_many_workers_send_each_mail_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    paid_orders(&app, 20).await;
    let workers = futures_util::future::join_all((0..50).map(|_| app.run_jobs())).await;
    assert_eq!(workers.iter().sum::<usize>(), 20);
    assert_eq!(app.catcher.list().len(), 20);
    app.fsck().await;
}

/// I8, I9: while its heir holds the lease, a worker that slept through its own can neither send nor end anything, and what
/// it wanted to write beside the end is not written either.
async fn f16_a_worker_that_slept_through_its_lease_changes_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = paid_orders(&app, 1).await.remove(0);
    let target = ClaimTarget::Queue("email".to_owned());
    let claim = async |lease_ms| app.app.store.claim(&target, 1, lease_ms, "w").await.expect("the store answers").pop();
    let zombie = claim(50).await.expect("a job");
    let heir = loop {
        match claim(60_000).await {
            Some(heir) => break heir,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!((zombie.past.attempt, heir.past.attempt), (1, 2));
    assert!(heir.past.history[0].why.contains("lease ran out"), "a lost lease is a failure that counts");
    let held = Seen::by(&app, &order, &heir.key).await;
    assert!(held.jobs[0].is_running && held.effect.is_none(), "{held:?}");

    worker::run_claimed(&app.app, Queue::Email, &zombie).await;
    assert_eq!(app.catcher.list().len(), 0, "it must not send beside its heir");
    assert_eq!(Seen::by(&app, &order, &heir.key).await, held);
    let outcomes = [Outcome::Done, retry(true), retry(false), Outcome::Dead { why: "a test says so".to_owned() }];
    for outcome in &outcomes {
        end_as_zombie(&app, &order, &zombie, outcome.clone()).await;
        assert_eq!(Seen::by(&app, &order, &heir.key).await, held, "{outcome:?}");
    }

    worker::run_claimed(&app.app, Queue::Email, &heir).await;
    assert_eq!(app.catcher.list().len(), 1);
    let done = Seen::by(&app, &order, &heir.key).await;
    assert_eq!((done.jobs.len(), done.effect.as_ref().map(|effect| effect.state)), (0, Some(EffectState::Confirmed)));
    worker::run_claimed(&app.app, Queue::Email, &zombie).await;
    for outcome in outcomes {
        end_as_zombie(&app, &order, &zombie, outcome).await;
    }
    assert_eq!((app.catcher.list().len(), Seen::by(&app, &order, &heir.key).await), (1, done));
    app.fsck().await;
}

/// What a store shows of a mail, its job and its queue.
#[derive(Debug, PartialEq)]
struct Seen {
    jobs: Vec<JobInfo>,
    effect: Option<Effect>,
    dead: Vec<DeadLetter>,
    circuit_open_ms: i64,
}

impl Seen {
    async fn by(app: &TestApp, order: &Answer, job: &JobKey) -> Self {
        let query = JobQuery { queue: Some(job.queue.clone()), cursor: None, limit: 10 };
        let jobs = app.app.store.jobs(&query).await.expect("the store answers").rows;
        let effect = match app.app.store.get(&Key::Effect(mail_effect(order, job))).await.expect("the store answers") {
            Some(Stored { row: Row::Effect(effect), .. }) => Some(effect),
            _ => None,
        };
        Self {
            jobs,
            effect,
            dead: dead_letters(app).await,
            circuit_open_ms: email_queue(app).await.map_or(0, |queue| queue.circuit_open_ms),
        }
    }
}

fn mail_effect(order: &Answer, job: &JobKey) -> Digest {
    effect_key(OrderId::parse(&order.text("/id")).expect("an id"), ORDER_PAID_MAIL, &job.seq.to_string())
}

/// Tries to end an attempt that is no longer ours, together with an effect, as a handler would.
async fn end_as_zombie(app: &TestApp, order: &Answer, zombie: &Job, outcome: Outcome) {
    let mut change = change();
    let effect = Effect {
        key: Digest::of(b"written by nobody"),
        order_id: OrderId::parse(&order.text("/id")).expect("an id"),
        kind: ORDER_PAID_MAIL.to_owned(),
        state: EffectState::Confirmed,
        reference: Some("250 queued".to_owned()),
        resends: 0,
        at: SystemClock.now(),
        version: 1,
    };
    let key = Key::Effect(effect.key);
    change.insert(Row::Effect(effect));
    let refused = app.app.store.commit(&finishing(change, zombie, outcome.clone(), CircuitMove::Open { for_ms: 60_000 })).await;
    assert!(matches!(&refused, Err(CommitError::Conflict(conflict)) if conflict.lost_lease()), "{outcome:?}: {refused:?}");
    assert!(app.app.store.get(&key).await.expect("the store answers").is_none(), "{outcome:?}");
}

/// I10: attempts are counted at the claim, so a panic counts; other jobs go on.
async fn f21_a_poison_job_dies_alone_after_three_attempts(backend: Backend) {
    let app = TestApp::start(backend).await;
    let poisoned = Email::parse("buyer0@example.com").expect("an address");
    app.catcher.script(Scripted::To(poisoned), Behaviour::Panic);
    paid_orders(&app, 3).await;
    app.run_jobs_until("the death", async || !dead_letters(&app).await.is_empty()).await;
    let dead = dead_letters(&app).await;
    assert_eq!((dead.len(), dead[0].past.attempt, dead[0].past.history.len()), (1, 3, 3));
    assert!(dead[0].past.history.iter().all(|failure| failure.counted && failure.why.contains("panicked")), "{dead:#?}");
    assert_eq!(app.catcher.list().len(), 2);
    app.fsck().await;
}

/// I7: the same identity, the same effect keys, one winner.
async fn f28_two_people_redrive_one_letter_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.catcher.script(Scripted::Next(3), Behaviour::Refuse(550));
    paid_orders(&app, 1).await;
    app.run_jobs_until("the death", async || !dead_letters(&app).await.is_empty()).await;
    let key = dead_letters(&app).await.remove(0).key;
    let actor = ordermill_core::event::Actor::operator("test");
    let redrive = |reason: &'static str| jobs::redrive(&app.app, &key, By::new(&actor, reason));
    let (first, second) = tokio::join!(redrive("one"), redrive("two"));
    assert!(first.is_ok() != second.is_ok(), "exactly one");
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(app.catcher.list().len(), 1);
    app.fsck().await;
}

async fn a_provider_that_is_away_kills_no_job_and_opens_the_circuit(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.catcher.script(Scripted::Others, Behaviour::Later);
    paid_orders(&app, 5).await;
    let tried = app.run_jobs().await;
    assert!((1..=5).contains(&tried), "{tried}");
    let email = email_queue(&app).await.expect("the queue");
    assert!(email.circuit_open_ms > 0 && email.dead == 0, "{email:?}");
    assert_eq!(app.run_jobs().await, 0, "nothing is claimed while the circuit is open");
    app.catcher.script(Scripted::Others, Behaviour::Ok);
    app.run_jobs_until("the mails", async || app.catcher.list().len() == 5).await;
    app.fsck().await;
}

/// A full mailbox is one person's, and so is the wait for it.
async fn a_recipient_that_is_put_off_holds_up_nobody_else(backend: Backend) {
    const OTHERS: usize = 4;
    let app = TestApp::start(backend).await;
    let full = Email::parse("buyer0@example.com").expect("an address");
    app.catcher.script(Scripted::To(full.clone()), Behaviour::PutOff);
    let product = app.product("CUP", 25_000, 1_000).await;
    paid_order(&app, &product, 0).await;
    assert!(app.run_jobs().await >= 1);
    for number in 1..=OTHERS {
        paid_order(&app, &product, number).await;
        app.run_jobs().await;
        assert_eq!(app.catcher.list().len(), number, "the others' mails go out at once");
        let email = email_queue(&app).await.expect("the queue");
        assert_eq!((email.waiting, email.dead, email.circuit_open_ms), (1, 0, 0), "{email:?}");
    }
    let query = JobQuery { queue: Some("email".to_owned()), cursor: None, limit: 10 };
    let waiting = app.app.store.jobs(&query).await.expect("the store answers").rows;
    assert!(waiting[0].past.history.iter().all(|failure| !failure.counted && failure.why.contains("450")), "{waiting:?}");
    app.fsck().await;
    app.catcher.script(Scripted::To(full), Behaviour::Ok);
    app.run_jobs_until("the last mail", async || app.catcher.list().len() == OTHERS + 1).await;
    app.fsck().await;
}

/// A drain that runs out gives leases back without blame.
async fn f46_a_stopped_worker_gives_its_jobs_back(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.catcher.script(Scripted::Others, Behaviour::Slow(60_000));
    paid_orders(&app, 1).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let pool = tokio::spawn(worker::run(app.app.clone(), "w".to_owned(), stop.clone(), Duration::from_millis(50)));
    let running = async || app.app.store.queues().await.expect("an answer").iter().any(|queue| queue.running > 0);
    while !running().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), pool).await.expect("it stops").expect("without a panic");
    let queue = app.app.store.queues().await.expect("an answer").remove(0);
    assert_eq!((queue.waiting, queue.running, queue.dead), (1, 0, 0));
    app.catcher.script(Scripted::Others, Behaviour::Ok);
    app.run_jobs_until("the mail", async || !app.catcher.list().is_empty()).await;
    app.fsck().await;
}
