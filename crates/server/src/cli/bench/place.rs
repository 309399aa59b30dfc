//! `bench place`: orders a second over HTTP. The server is a process of its own on a fresh store; the load is made here.
//! On `SQLite` the plain loop is measured before and after, on the same disk, and the ratio is said: only that means
//! anything on a machine that others use too.

use super::latency::Latencies;
use super::load::{self, Plan, Tally};
use super::process::Server;
use super::server::Task;
use super::world::World;
use super::{Backend, Target, baseline, print, rounded};
use crate::app::{Randomness, SystemRandomness};
use crate::cli::demo::TemporaryFolder;
use crate::cli::output::{Column, Output};
use crate::cli::{Failure, Outcome, exit};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many products and customers there are.
const PRODUCTS: u32 = 10_000;
const CUSTOMERS: u32 = 10_000;
/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(100);
const COLUMNS: [Column; 9] = [
    ("STORE", "/store"),
    ("ORDERS/S", "/ordersPerSecond"),
    ("P50 MS", "/p50Ms"),
    ("P99 MS", "/p99Ms"),
    ("CONNECTIONS", "/connections"),
    ("ORDERS", "/orders"),
    ("FAILED", "/failed"),
    ("BASELINE/S", "/baselinePerSecond"),
    ("RATIO", "/ratio"),
];

#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    #[command(flatten)]
    target: Target,
    /// How many keep-alive connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: u16,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long to wait before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warmup: u64,
    /// Whether consumers run meanwhile, into a mailer that throws everything away
    #[arg(long, value_enum, default_value_t = Workers::Paused)]
    workers: Workers,
    /// How long the plain loop is measured before and after (0: not at all)
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    baseline: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workers {
    /// Only the API runs
    Paused,
    /// API and workers run
    Draining,
}

pub(super) async fn run(flags: Flags, output: &Output) -> Outcome {
    let folder = TemporaryFolder::new()?;
    let url = flags.target.url(&folder)?;
    let before = baseline_rate(&flags, &folder, "before.db", output).await?;
    let measured = measure(&flags, &folder, url, output).await?;
    let after = baseline_rate(&flags, &folder, "after.db", output).await?;
    let mut result = json!({
        "ordersPerSecond": rounded(measured.per_second, 1),
        "p50Ms": measured.latencies.percentile_ms(50),
        "p99Ms": measured.latencies.percentile_ms(99),
        "connections": flags.connections,
        "orders": measured.latencies.count(),
        "store": flags.target.name(),
        "failed": measured.failed,
    });
    if let (Some(before), Some(after)) = (before, after) {
        let mean = f64::midpoint(before, after);
        output.note(&format!("one order per transaction: {before:.0}/s before, {after:.0}/s after"));
        result["baselinePerSecond"] = Value::from(rounded(mean, 1));
        result["ratio"] = Value::from(rounded(measured.per_second / mean, 2));
    }
    print(output, &result, &COLUMNS);
    match measured.fault {
        None => Ok(()),
        Some(fault) => Err(Failure::new(exit::FAILED, fault)),
    }
}

async fn baseline_rate(flags: &Flags, folder: &TemporaryFolder, name: &str, output: &Output) -> Result<Option<f64>, Failure> {
    if flags.target.store != Backend::Sqlite || flags.baseline == 0 {
        return Ok(None);
    }
    output.note(&format!("measuring one order per transaction for {} s", flags.baseline));
    baseline::measure(&folder.0, name, Duration::from_secs(flags.baseline)).await.map(Some)
}

struct Measured {
    per_second: f64,
    latencies: Latencies,
    failed: u64,
    /// Why the rate does not count.
    fault: Option<String>,
}

async fn measure(flags: &Flags, folder: &TemporaryFolder, url: String, output: &Output) -> Result<Measured, Failure> {
    let mut seed = [0; 8];
    SystemRandomness::default().fill(&mut seed);
    let world = World { seed: hex::encode(seed), products: PRODUCTS, customers: CUSTOMERS };
    output.note(&format!("filling a fresh store: {PRODUCTS} products, {CUSTOMERS} customers with a session each"));
    let is_draining = flags.workers == Workers::Draining;
    let task = Task { url, folder: folder.0.clone(), world: world.clone(), is_draining };
    let server = Server::start(&task).await?;
    output.note(&format!(
        "server: process {} in {}, workers {}, no rate limits on what is asked, no mail per order ([mail] order_received)\n\
         load: this process, {} threads, {} connections, {} s after {} s",
        server.pid(),
        folder.0.display(),
        if is_draining { "draining" } else { "paused" },
        load::THREADS,
        flags.connections,
        flags.seconds,
        flags.warmup,
    ));
    let plan = Plan {
        address: server.address,
        world,
        connections: usize::from(flags.connections),
        warm_up: Duration::from_secs(flags.warmup),
        measured: Duration::from_secs(flags.seconds),
    };
    let tally = watched(plan).await?;
    let stored = server.stop().await?.orders;
    Ok(judge(tally, stored, flags.seconds))
}

/// Makes the load and, if somebody looks, shows how it goes.
async fn watched(plan: Plan) -> Result<Tally, Failure> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let bar = ProgressBar::new((plan.warm_up + plan.measured).as_secs());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg} orders") {
        bar.set_style(style);
    }
    let counter = Arc::clone(&acknowledged);
    let load = tokio::task::spawn_blocking(move || load::run(&plan, &counter));
    tokio::pin!(load);
    let mut tick = tokio::time::interval(DRAW);
    let done = loop {
        tokio::select! {
            done = &mut load => break done,
            _ = tick.tick() => {
                bar.set_position(bar.elapsed().as_secs());
                bar.set_message(acknowledged.load(Ordering::Relaxed).to_string());
            }
        }
    };
    bar.finish_and_clear();
    done.map_err(|error| Failure::unavailable(error.to_string()))?
}

/// The rate, and whether it counts: every answer 201, no code twice, and as many orders stored as acknowledged.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn judge(tally: Tally, stored: u64, seconds: u64) -> Measured {
    let Tally { latencies, mut codes, failed, first_failure } = tally;
    let acknowledged = codes.len();
    codes.sort_unstable();
    codes.dedup();
    let fault = if failed > 0 {
        Some(format!("{failed} orders failed; the first: {}", first_failure.unwrap_or_default()))
    } else if codes.len() != acknowledged {
        Some(format!("{acknowledged} orders were acknowledged under {} codes", codes.len()))
    } else if stored != acknowledged as u64 {
        Some(format!("{acknowledged} orders were acknowledged, {stored} are in the store"))
    } else {
        None
    };
    let per_second = latencies.len() as f64 / seconds.max(1) as f64;
    Measured { per_second, latencies: Latencies::new(latencies), failed, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(codes: &[&str], failed: u64) -> Tally {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        Tally { latencies: vec![1_000; codes.len()], codes, failed, first_failure: None }
    }

    #[test]
    fn a_rate_counts_only_if_every_order_is_there_once() {
        let fault = |tally, stored| judge(tally, stored, 1).fault;
        assert_eq!(fault(tally(&["DH1", "DH2"], 0), 2), None);
        assert!(fault(tally(&["DH1", "DH2"], 1), 2).is_some_and(|why| why.contains("1 orders failed")));
        assert!(fault(tally(&["DH1", "DH1"], 0), 2).is_some_and(|why| why.contains("under 1 codes")));
        assert!(fault(tally(&["DH1", "DH2"], 0), 3).is_some_and(|why| why.contains("3 are in the store")));
    }
}
