//! `bench queue`: jobs a second through the queue, from the commit that queues one over the claim to the commit that ends
//! it. Nothing is done in between, so this is what the queue itself costs.

use super::stopwatch::Stopwatch;
use super::{Target, node, print, rounded};
use crate::app::App;
use crate::app::commit::commit;
use crate::cli::demo::TemporaryFolder;
use crate::cli::output::Output;
use crate::cli::{Failure, Outcome, exit};
use clap::Args;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use ordermill_core::change::Change;
use ordermill_core::job::{CircuitMove, Finish, Job, JobKey, NewJob, Outcome as JobOutcome, Payload, Queue};
use ordermill_store::{ClaimTarget, JobQuery};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whose queue the jobs go through; no consumer of it runs.
const QUEUE: Queue = Queue::Email;
/// How long to wait for a job before looking again.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    #[command(flatten)]
    target: Target,
    /// How many jobs
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    jobs: u64,
    /// How many commits queue jobs at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    producers: u16,
    /// How many jobs run at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    concurrency: u16,
}

pub(super) async fn run(flags: Flags, output: &Output) -> Outcome {
    let folder = TemporaryFolder::new()?;
    let node = node::open(&folder.0, &flags.target.url(&folder)?).await?;
    output.note(&format!(
        "{} jobs, one commit to queue and one to end each; {} producers, {} at once",
        flags.jobs, flags.producers, flags.concurrency
    ));
    let bar = ProgressBar::new(flags.jobs);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} jobs  {per_sec}") {
        bar.set_style(style);
    }
    let clock = Stopwatch::start();
    let run = Run { app: &node.app, flags: &flags, ended: AtomicU64::new(0), bar: &bar };
    let worked = tokio::try_join!(run.produce(), run.consume());
    let seconds = clock.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let left = node.app.store.jobs(&JobQuery { limit: 1, ..JobQuery::default() }).await;
    node.close().await;
    worked?;
    let left = left.map_err(|error| Failure::unavailable(error.to_string()))?.rows.len();
    print(
        output,
        &result(&flags, seconds),
        &[("STORE", "/store"), ("JOBS/S", "/jobsPerSecond"), ("JOBS", "/jobs"), ("SECONDS", "/seconds")],
    );
    if left == 0 { Ok(()) } else { Err(Failure::new(exit::FAILED, "jobs were left in the queue")) }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn result(flags: &Flags, seconds: f64) -> serde_json::Value {
    json!({
        "jobsPerSecond": rounded(flags.jobs as f64 / seconds, 1),
        "jobs": flags.jobs,
        "seconds": rounded(seconds, 3),
        "store": flags.target.name(),
        "failed": 0,
    })
}

struct Run<'a> {
    app: &'a App,
    flags: &'a Flags,
    ended: AtomicU64,
    bar: &'a ProgressBar,
}

impl Run<'_> {
    /// Queues every job in a commit of its own, as orders do.
    async fn produce(&self) -> Result<(), Failure> {
        let commits = stream::iter(0..self.flags.jobs).map(|_| async move {
            let order_id = self.app.order_id();
            let mut change = Change::new(self.app.change_id());
            let key = JobKey::new(QUEUE, order_id.to_string(), 1);
            change.jobs.push(NewJob::new(key, &Payload::EmailOrderPaid { order_id }));
            self.make_true(change).await
        });
        commits.buffer_unordered(usize::from(self.flags.producers)).try_collect().await
    }

    /// Claims as many jobs as are not running yet, and ends each on its own, as the workers' pool does.
    async fn consume(&self) -> Result<(), Failure> {
        let target = ClaimTarget::Queue(QUEUE.name().to_owned());
        let (slots, lease_ms) = (usize::from(self.flags.concurrency), self.app.config.worker.lease_ms);
        let mut running = FuturesUnordered::new();
        while self.ended.load(Ordering::Relaxed) < self.flags.jobs {
            let jobs = self.app.store.claim(&target, slots - running.len(), lease_ms, "bench").await;
            let jobs = jobs.map_err(|error| Failure::unavailable(error.to_string()))?;
            let is_idle = jobs.is_empty() && running.is_empty();
            running.extend(jobs.into_iter().map(|job| self.end(job)));
            if is_idle {
                self.app.store.wait(&[QUEUE.name()], PATIENCE).await;
            }
            // One has ended for sure, and whatever else ended meanwhile leaves a slot too.
            if let Some(first) = running.next().await {
                first?;
                while let Some(Some(further)) = running.next().now_or_never() {
                    further?;
                }
            }
        }
        Ok(())
    }

    async fn end(&self, job: Job) -> Result<(), Failure> {
        let mut change = Change::new(self.app.change_id());
        change.finish(Finish { claim: job.claim(), outcome: JobOutcome::Done, circuit: CircuitMove::Keep });
        self.make_true(change).await?;
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(1);
        Ok(())
    }

    async fn make_true(&self, change: Change) -> Result<(), Failure> {
        commit(self.app, &Arc::new(change)).await.map_err(|error| Failure::unavailable(error.to_string()))
    }
}
