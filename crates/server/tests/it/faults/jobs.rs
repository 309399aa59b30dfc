//! F15–F21: workers that race, sleep, die or choke.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill::mail::{Behaviour, Scripted};
use ordermill::worker;
use ordermill_core::contact::Email;
use ordermill_core::job::Queue;
use ordermill_store::{ClaimTarget, DeadLetterQuery};
use std::time::Duration;

on_both_stores! {
    f15_many_workers_do_each_job_once;
    f16_a_worker_that_slept_through_its_lease_changes_nothing;
    f21_a_poison_job_dies_alone_after_three_attempts;
    f28_two_people_redrive_one_letter_once;
    a_provider_that_is_away_kills_no_job_and_opens_the_circuit;
    f46_a_stopped_worker_gives_its_jobs_back;
}

async fn paid_orders(app: &TestApp, count: usize) -> Vec<Answer> {
    let product = app.product("CUP", 25_000, 1_000).await;
    let mut orders = Vec::new();
    for number in 0..count {
        let token = app.customer(&format!("buyer{number}@example.com")).await;
        let order = app.order(&token, &product, 1, "bank_transfer").await;
        assert_eq!(app.webhook(&paid_event(&format!("evt_{number}"), &order)).await.status, 200);
        orders.push(order);
    }
    orders
}

async fn dead_letters(app: &TestApp) -> Vec<ordermill_core::job::DeadLetter> {
    let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
    app.app.store.dead_letters(&query).await.expect("the store answers").rows
}

/// I8: each attempt number of each job is handed out once.
async fn f15_many_workers_do_each_job_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    paid_orders(&app, 20).await;
    let workers = futures_util::future::join_all((0..50).map(|_| app.run_jobs())).await;
    assert_eq!(workers.iter().sum::<usize>(), 20);
    assert_eq!(app.catcher.list().len(), 20);
    app.fsck().await;
}

/// I8, I9: the zombie's finish matches nothing, and the mail's key keeps it from being sent again.
async fn f16_a_worker_that_slept_through_its_lease_changes_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    paid_orders(&app, 1).await;
    let target = ClaimTarget::Queue("email".to_owned());
    let claim = async |lease_ms| app.app.store.claim(&target, 1, lease_ms, "w").await.expect("the store answers").pop();
    let zombie = claim(50).await.expect("a job");
    tokio::time::sleep(Duration::from_millis(120)).await;
    let heir = claim(60_000).await.expect("the lease ran out");
    assert_eq!((zombie.past.attempt, heir.past.attempt), (1, 2));
    assert!(heir.past.history[0].why.contains("lease ran out"), "a lost lease is a failure that counts");
    worker::run_claimed(&app.app, Queue::Email, &heir).await;
    assert_eq!(app.catcher.list().len(), 1);
    worker::run_claimed(&app.app, Queue::Email, &zombie).await;
    assert_eq!(app.catcher.list().len(), 1);
    assert!(claim(60_000).await.is_none());
    app.fsck().await;
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
    let redrive = |reason: &'static str| {
        let actor = ordermill_core::event::Actor::operator("test");
        ordermill::app::jobs::redrive(&app.app, &key, actor, reason)
    };
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
    let email = app.app.store.queues().await.expect("the store answers").into_iter().find(|queue| queue.queue == "email");
    let email = email.expect("the queue");
    assert!(email.circuit_open_ms > 0 && email.dead == 0, "{email:?}");
    assert_eq!(app.run_jobs().await, 0, "nothing is claimed while the circuit is open");
    app.catcher.script(Scripted::Others, Behaviour::Ok);
    app.run_jobs_until("the mails", async || app.catcher.list().len() == 5).await;
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
