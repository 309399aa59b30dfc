//! A server with one paid order, a catcher that tests script, and a clock that stands still until it is moved.

use super::{clock, paid_order};
use ordermill::app::{App, Parts, SeededRandomness};
use ordermill::config::{Config, Mode};
use ordermill::mail::{Catcher, CaughtMail, Templates};
use ordermill::worker::Handled;
use ordermill::worker::email::{self, OrderMail};
use ordermill_core::change::{Change, Effect, Key, Row};
use ordermill_core::id::OrderId;
use ordermill_core::job::{Job, JobKey, NewJob, Outcome, Payload, Queue, RetryPolicy};
use ordermill_core::locale::Locale;
use ordermill_core::order::intent::effect_key;
use ordermill_store::clock::StoreClock;
use ordermill_store::memory::MemoryStore;
use ordermill_store::{ClaimTarget, CommitError, DeadLetterQuery, Store};
use std::path::Path;
use std::sync::Arc;

const LEASE_MS: i64 = 30_000;

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) catcher: Arc<Catcher>,
    store: Arc<MemoryStore>,
    store_clock: StoreClock,
    order_id: OrderId,
    job: JobKey,
}

impl World {
    pub(super) async fn with_paid_order() -> Self {
        let store_clock = StoreClock::start();
        let store = Arc::new(MemoryStore::with_clock(store_clock.clone()));
        let (order, changes) = paid_order(Locale::Vi);
        let job = changes.iter().flat_map(|change| &change.jobs).find(|job| job.key.queue == "email").unwrap().key.clone();
        for change in changes {
            store.commit(&Arc::new(change)).await.unwrap();
        }
        let clock = clock();
        let catcher = Catcher::new(None, Arc::clone(&clock) as _).unwrap();
        let mut config = Config::defaults(Mode::Dev, Path::new("unused"));
        config.mail.from = super::FROM.to_owned();
        let app = App::new(Parts {
            config,
            store: Arc::clone(&store) as _,
            clock,
            randomness: Arc::new(SeededRandomness::new(1)),
            mailer: Arc::clone(&catcher) as _,
            templates: Templates::load(None).unwrap(),
            http: http_client(),
        });
        Self { app, catcher, store, store_clock, order_id: order.id, job }
    }

    pub(super) fn mails(&self) -> Vec<CaughtMail> {
        self.catcher.list()
    }

    pub(super) async fn effect(&self) -> Option<Effect> {
        let key = effect_key(self.order_id, OrderMail::Paid.kind(), &self.job.seq.to_string());
        match self.store.get(&Key::Effect(key)).await.unwrap()?.row {
            Row::Effect(effect) => Some(effect),
            other => panic!("{other:?}"),
        }
    }

    /// For how long no mail is claimed, whoever it is for.
    pub(super) async fn circuit_open_ms(&self) -> i64 {
        let queues = self.store.queues().await.unwrap();
        queues.iter().find(|queue| queue.queue == "email").map_or(0, |queue| queue.circuit_open_ms)
    }

    /// Claims the job, runs it and commits its end, as the worker does.
    pub(super) async fn attempt(&self) -> Outcome {
        self.pass_time();
        let job = self.claim().await;
        let handled = self.handle(&job).await;
        self.finish(&job, handled).await.unwrap()
    }

    pub(super) async fn claim(&self) -> Job {
        let target = ClaimTarget::Jobs(vec![self.job.clone()]);
        let claimed = self.store.claim(&target, 1, LEASE_MS, "test").await.unwrap();
        claimed.into_iter().next().expect("the job waits")
    }

    pub(super) async fn handle(&self, job: &Job) -> Handled {
        email::run(&self.app, job, self.order_id, OrderMail::Paid).await
    }

    pub(super) async fn finish(&self, job: &Job, handled: Handled) -> Result<Outcome, CommitError> {
        let finish = RetryPolicy::of(Queue::Email).finish(job, handled.report, 0.5);
        let outcome = finish.outcome.clone();
        let mut change = handled.change.unwrap_or_else(|| Change::new(self.app.change_id()));
        change.finish(finish);
        self.store.commit(&Arc::new(change)).await.map(|()| outcome)
    }

    /// An attempt that dies in the middle and finishes nothing.
    pub(super) async fn crash(&self) {
        let job = self.claim().await;
        let (app, order_id) = (Arc::clone(&self.app), self.order_id);
        let died = tokio::spawn(async move { email::run(&app, &job, order_id, OrderMail::Paid).await }).await;
        assert!(died.unwrap_err().is_panic());
    }

    /// Long enough for leases to run out and retries to be due.
    pub(super) fn pass_time(&self) {
        self.store_clock.advance_ms(600_000);
    }

    /// Puts the same decision into the queue once more.
    pub(super) async fn queue_again(&self) {
        let mut change = Change::new(self.app.change_id());
        change.jobs.push(NewJob::new(self.job.clone(), &Payload::EmailOrderPaid { order_id: self.order_id }));
        self.store.commit(&Arc::new(change)).await.unwrap();
    }

    /// Lets the dead letter be tried again.
    pub(super) async fn redrive(&self) {
        let dead = self.store.dead_letters(&DeadLetterQuery { limit: 1, ..DeadLetterQuery::default() }).await.unwrap();
        let dead = dead.rows.into_iter().next().expect("the job is dead");
        let mut change = Change::new(self.app.change_id());
        change.delete(Key::DeadLetter(dead.key.clone()), dead.version());
        change.jobs.push(dead.redrive());
        self.store.commit(&Arc::new(change)).await.unwrap();
    }
}

fn http_client() -> reqwest::Client {
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    #[expect(clippy::disallowed_methods, reason = "a client that no test of mails uses")]
    reqwest::Client::new()
}
