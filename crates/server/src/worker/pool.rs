//! How many jobs run at once, and how they stop: one claiming loop per queue, each with its own share of slots, so that
//! a slow provider holds up nobody else (F22).

use super::run_claimed;
use crate::app::App;
use ordermill_core::change::Change;
use ordermill_core::job::{CircuitMove, Finish, Job, Outcome, Queue};
use ordermill_store::{ClaimTarget, failpoint};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a loop sleeps at most before it looks again, whatever the store's wake-ups say.
const POLL: Duration = Duration::from_millis(500);
/// How often expired leases are buried and old rows pruned.
const SWEEP: Duration = Duration::from_secs(10);

/// Runs every queue's jobs until `stop`, then lets running ones end for at most `drain`, then gives up their leases.
pub async fn run(app: Arc<App>, worker: String, stop: CancellationToken, drain: Duration) {
    let worker: Arc<str> = worker.into();
    let jobs = TaskTracker::new();
    let abandon = CancellationToken::new();
    let loops = TaskTracker::new();
    for queue in Queue::ALL {
        let queue_loop = QueueLoop {
            app: Arc::clone(&app),
            queue,
            worker: Arc::clone(&worker),
            slots: Arc::new(Semaphore::new(app.config.worker.concurrency.max(1))),
            jobs: jobs.clone(),
            stop: stop.clone(),
            abandon: abandon.clone(),
        };
        loops.spawn(queue_loop.run());
    }
    loops.spawn(sweep(Arc::clone(&app), stop.clone()));
    loops.close();
    loops.wait().await;
    jobs.close();
    if tokio::time::timeout(drain, jobs.wait()).await.is_err() {
        tracing::warn!(running = jobs.len(), "jobs still run at the end of the drain; giving up their leases");
        abandon.cancel();
        jobs.wait().await;
    }
    if failpoint::hit("drain.released").is_err() {
        tracing::debug!("a fail point after the drain changes nothing");
    }
}

struct QueueLoop {
    app: Arc<App>,
    queue: Queue,
    worker: Arc<str>,
    slots: Arc<Semaphore>,
    jobs: TaskTracker,
    stop: CancellationToken,
    abandon: CancellationToken,
}

impl QueueLoop {
    async fn run(self) {
        let queues = [self.queue.name()];
        while !self.stop.is_cancelled() {
            let first = tokio::select! {
                () = self.stop.cancelled() => return,
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
            };
            let Ok(first) = first else { return };
            let mut slots = vec![first];
            while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                slots.push(slot);
            }
            if self.claim_and_start(slots).await == 0 {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.app.store.wait(&queues, POLL) => {}
                }
            }
        }
    }

    /// Claims one job per slot and starts them; returns how many there were.
    async fn claim_and_start(&self, slots: Vec<OwnedSemaphorePermit>) -> usize {
        let target = ClaimTarget::Queue(self.queue.name().to_owned());
        let claimed = self.app.claim(&target, slots.len(), &self.worker).await;
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!(consumer = self.queue.name(), %error, "cannot claim");
            Vec::new()
        });
        let count = claimed.len();
        for (job, slot) in claimed.into_iter().zip(slots) {
            let (app, queue, abandon) = (Arc::clone(&self.app), self.queue, self.abandon.clone());
            self.jobs.spawn(async move {
                let _slot = slot;
                tokio::select! {
                    () = run_claimed(&app, queue, &job) => {}
                    () = abandon.cancelled() => release(&app, &job).await,
                }
            });
        }
        count
    }
}

/// Gives a lease back without blame, so that another node goes on at once.
async fn release(app: &App, job: &Job) {
    let outcome = Outcome::Retry { after_ms: 0, counted: false, why: "the node was stopped".to_owned() };
    let mut change = Change::new(app.change_id());
    change.finish(Finish { claim: job.claim(), outcome, circuit: CircuitMove::Keep });
    if let Err(error) = crate::app::commit::commit(app, &Arc::new(change)).await {
        tracing::warn!(consumer = job.key.queue, job = %job.key, %error, "a lease could not be given back; it will run out");
    }
}

async fn sweep(app: Arc<App>, stop: CancellationToken) {
    loop {
        match app.store.sweep().await {
            Ok(report) if report.exhausted_jobs > 0 => {
                tracing::error!(jobs = report.exhausted_jobs, "jobs whose every attempt lost its lease became dead letters");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the sweep failed and will be repeated"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

/// Runs everything that is due now, and what becomes due by it, one job after the other; returns how many attempts that
/// took. For `worker --once` and for tests.
pub async fn run_due(app: &App, worker: &str) -> Result<usize, ordermill_store::StoreError> {
    let mut attempts = 0;
    loop {
        app.store.sweep().await?;
        let before = attempts;
        for queue in Queue::ALL {
            let target = ClaimTarget::Queue(queue.name().to_owned());
            for job in app.claim(&target, app.config.worker.concurrency.max(1), worker).await? {
                run_claimed(app, queue, &job).await;
                attempts += 1;
            }
        }
        if attempts == before {
            return Ok(attempts);
        }
    }
}
