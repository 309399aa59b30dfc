//! `bench slow-clients`: what thousands of clients that only dawdle do to those that behave (F51). The server is a process of its
//! own; the dawdlers and the well-behaved are here. The well-behaved are measured alone first, then beside the others.

mod dawdle;

use super::latency::{Latencies, micros};
use super::process::Server;
use super::server::Task;
use super::stopwatch::Stopwatch;
use super::world::World;
use super::{Target, print};
use crate::app::{Randomness, SystemRandomness};
use crate::cli::demo::TemporaryFolder;
use crate::cli::output::{Column, Output};
use crate::cli::{Failure, Outcome, exit, file_limit};
use axum::http::header::CONNECTION;
use clap::Args;
use dawdle::{Dawdlers, Way};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// How many clients behave well.
const GOOD_CLIENTS: u32 = 8;
/// How long each of them rests between two requests: users, not a load.
const REST: Duration = Duration::from_millis(15);
/// How long a good client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Every so many requests a good client comes back on a new connection, which must be let in, too.
const REQUESTS_A_CONNECTION: u32 = 20;
/// How long the dawdlers may take to be all there.
const GATHERING: Duration = Duration::from_mins(1);
/// Files that this process has open besides.
const OWN_FILES: u64 = 256;
/// How much memory one dawdler may cost the server: twice a connection's buffer.
const BYTES_EACH_MAX: u64 = 64 * 1024;
/// What the server may need more by itself meanwhile.
const BYTES_SPARE: u64 = 96 * 1024 * 1024;
const COLUMNS: [Column; 9] = [
    ("CLIENTS", "/clients"),
    ("P99 MS ALONE", "/aloneP99Ms"),
    ("P99 MS BESIDE", "/besideP99Ms"),
    ("RATIO", "/ratio"),
    ("MIB BEFORE", "/mebibytesBefore"),
    ("MIB PEAK", "/mebibytesPeak"),
    ("MIB AFTER", "/mebibytesAfter"),
    ("SENT AWAY", "/sentAway"),
    ("FAILED", "/failed"),
];

#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    #[command(flatten)]
    target: Target,
    /// How many clients dawdle: a quarter each over headers, over bodies, over answers, and between requests
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(4..=50_000))]
    clients: u32,
    /// How long to measure, alone and beside
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

pub(super) async fn run(flags: Flags, output: &Output) -> Outcome {
    let wanted = u64::from(flags.clients) + OWN_FILES;
    if let Some(limit) = file_limit::raise().filter(|limit| *limit < wanted) {
        return Err(Failure::usage(format!("only {limit} files may be open here and {wanted} are needed: see `ulimit -Hn`")));
    }
    let folder = TemporaryFolder::new()?;
    let mut seed = [0; 8];
    SystemRandomness::default().fill(&mut seed);
    let world = World { seed: hex::encode(seed), products: 100, customers: GOOD_CLIENTS.max(100) };
    let task = Task { url: flags.target.url(&folder)?, folder: folder.0.clone(), world: world.clone(), is_draining: false };
    let server = Server::start(&task).await?;
    let measured = measure(&flags, &server, &world, output).await;
    server.stop().await?;
    let measured = measured?;
    print(output, &measured.result, &COLUMNS);
    match measured.fault {
        None => Ok(()),
        Some(fault) => Err(Failure::new(exit::FAILED, fault)),
    }
}

struct Measured {
    result: Value,
    /// Why the server did not hold out.
    fault: Option<String>,
}

async fn measure(flags: &Flags, server: &Server, world: &World, output: &Output) -> Result<Measured, Failure> {
    let span = Duration::from_secs(flags.seconds);
    // Whatever is made on first use is made before anything is measured.
    well_behaved(server.address, world, Duration::from_secs(1)).await?;
    let memory_before = memory(server.pid())?.now;
    output.note(&format!("{GOOD_CLIENTS} clients alone for {} s", flags.seconds));
    let alone = well_behaved(server.address, world, span).await?;
    output.note(&format!("beside {} that dawdle for {} s", flags.clients, flags.seconds));
    let dawdlers = Dawdlers::start(server.address, world, flags.clients)
        .map_err(|error| Failure::unavailable(format!("no thread for those that dawdle: {error}")))?;
    let gathered = tokio::time::timeout(GATHERING, dawdlers.all_there()).await.is_ok();
    let beside = well_behaved(server.address, world, span).await?;
    let memory_peak = memory(server.pid())?.peak;
    let (arrivals, sent_away) = dawdlers.stop().await;
    well_behaved(server.address, world, Duration::from_secs(1)).await?;
    let memory_after = memory(server.pid())?.now;
    for (way, count) in Way::ALL.iter().zip(arrivals) {
        output.note(&format!("{count} came to dawdle over {}", way.name()));
    }
    let failed = alone.failed + beside.failed;
    let memory_max = memory_before + u64::from(flags.clients) * BYTES_EACH_MAX + BYTES_SPARE;
    let fault = if !gathered {
        Some("not all of the dawdlers came to be there".to_owned())
    } else if let Some(why) = alone.first_failure.or(beside.first_failure) {
        Some(format!("{failed} requests of well-behaved clients failed; the first: {why}"))
    } else if memory_peak > memory_max {
        Some(format!("the server took {} MiB, and {} are the most allowed", mebibytes(memory_peak), mebibytes(memory_max)))
    } else {
        None
    };
    let (alone, beside) = (Latencies::new(alone.times), Latencies::new(beside.times));
    let (alone_ms, beside_ms) = (alone.percentile_ms(99), beside.percentile_ms(99));
    let result = json!({
        "clients": flags.clients, "store": flags.target.name(), "seconds": flags.seconds,
        "aloneRequests": alone.count(), "aloneP50Ms": alone.percentile_ms(50), "aloneP99Ms": alone_ms,
        "besideRequests": beside.count(), "besideP50Ms": beside.percentile_ms(50), "besideP99Ms": beside_ms,
        "ratio": super::rounded(beside_ms / alone_ms.max(0.001), 2),
        "mebibytesBefore": mebibytes(memory_before), "mebibytesPeak": mebibytes(memory_peak), "mebibytesAfter": mebibytes(memory_after),
        "sentAway": sent_away, "failed": failed,
    });
    Ok(Measured { result, fault })
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// What came of well-behaved clients.
#[derive(Default)]
struct Behaved {
    times: Vec<u32>,
    failed: u64,
    first_failure: Option<String>,
}

/// Users who look at a list, one product after the other, and at their orders, for a while.
async fn well_behaved(address: SocketAddr, world: &World, span: Duration) -> Result<Behaved, Failure> {
    let fresh = || reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let mut clients = Vec::new();
    for number in 0..GOOD_CLIENTS {
        let client = fresh().map_err(|error| Failure::unavailable(error.to_string()))?;
        clients.push((client, world.token(number)));
    }
    let clients = clients.into_iter().map(|(client, token)| tokio::spawn(behave(client, address, token, span)));
    let mut all = Behaved::default();
    for client in clients.collect::<Vec<_>>() {
        let one = client.await.map_err(|error| Failure::unavailable(error.to_string()))?;
        all.times.extend(one.times);
        all.failed += one.failed;
        all.first_failure = all.first_failure.or(one.first_failure);
    }
    Ok(all)
}

async fn behave(client: reqwest::Client, address: SocketAddr, token: String, span: Duration) -> Behaved {
    let (clock, mut behaved, mut sent) = (Stopwatch::start(), Behaved::default(), 0_u32);
    while clock.elapsed() < span {
        let path = if sent.is_multiple_of(2) { "/api/products?limit=10" } else { "/api/orders" };
        let began = clock.elapsed();
        let answer = async {
            let mut request = client.get(format!("http://{address}{path}")).bearer_auth(&token);
            if sent % REQUESTS_A_CONNECTION == REQUESTS_A_CONNECTION - 1 {
                request = request.header(CONNECTION, "close");
            }
            request.send().await?.error_for_status()?.bytes().await
        };
        match answer.await {
            Ok(_) => behaved.times.push(micros(clock.elapsed().saturating_sub(began))),
            Err(error) => {
                behaved.failed += 1;
                behaved.first_failure.get_or_insert_with(|| format!("{path}: {error:?}"));
            }
        }
        sent += 1;
        tokio::time::sleep(REST).await;
    }
    behaved
}

/// What a process keeps in memory, in bytes.
struct Memory {
    now: u64,
    peak: u64,
}

fn memory(pid: u32) -> Result<Memory, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| Failure::unavailable(error.to_string()))?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
    };
    let read = || Some(Memory { now: kibibytes("VmRSS")? * 1024, peak: kibibytes("VmHWM")? * 1024 });
    read().ok_or_else(|| Failure::unavailable(format!("/proc/{pid}/status does not say how much memory there is")))
}
