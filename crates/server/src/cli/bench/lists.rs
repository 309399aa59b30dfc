//! `bench lists`: what it is worth to keep customers' order lists at hand. Two nodes on one store, one that keeps none and one
//! that does, take turns; customers only look, and every answer is looked at.

use super::latency::{Latencies, micros};
use super::stopwatch::Stopwatch;
use super::world::World;
use super::{Target, node, print, rounded};
use crate::app::{Randomness, SystemRandomness};
use crate::cli::boot::Node;
use crate::cli::demo::TemporaryFolder;
use crate::cli::output::{Column, Output};
use crate::cli::{Failure, Outcome, exit};
use crate::http::serve::{Addresses, ListenLimits, serve};
use clap::Args;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many customers look at their lists.
const CUSTOMERS: u32 = 64;
/// How many orders each has: as many as a page shows.
const ORDERS_EACH: usize = 20;
/// How often the two nodes take turns.
const TURNS: u64 = 3;
/// How many customers look at once.
const AT_ONCE: u32 = 8;
const COLUMNS: [Column; 7] = [
    ("STORE", "/store"),
    ("KEPT IN", "/keptIn"),
    ("LISTS/S WITHOUT", "/withoutPerSecond"),
    ("LISTS/S WITH", "/listsPerSecond"),
    ("P50 MS WITHOUT", "/withoutP50Ms"),
    ("P50 MS WITH", "/p50Ms"),
    ("RATIO", "/ratio"),
];

#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    #[command(flatten)]
    target: Target,
    /// Keep the lists in this Redis instead of this process (Postgres keeps none otherwise)
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// How long to measure each of the two
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    seconds: u64,
}

pub(super) async fn run(flags: Flags, output: &Output) -> Outcome {
    if let Some(why) = flags.redis_url.as_deref().and_then(crate::cache::refuse) {
        return Err(Failure::usage(format!("--redis-url must be {why}")));
    }
    let folder = TemporaryFolder::new()?;
    let opened = node::open(&folder.0, &flags.target.url(&folder)?).await?;
    let measured = measure(&flags, &opened, output).await;
    opened.close().await;
    print(output, &measured?, &COLUMNS);
    Ok(())
}

async fn measure(flags: &Flags, opened: &Node, output: &Output) -> Result<Value, Failure> {
    let mut seed = [0; 40];
    SystemRandomness::default().fill(&mut seed);
    let world = World { seed: hex::encode(&seed[..8]), products: 100, customers: CUSTOMERS };
    world.fill(&opened.app).await.map_err(|fault| Failure::unavailable(fault.to_string()))?;
    let without = node::beside(opened, |config| config.cache.order_list_ms = 0)?;
    let with = node::beside(opened, |config| {
        config.cache.redis_url = flags.redis_url.clone().map(SecretString::from);
        config.server.secret_key = vec![SecretString::from(hex::encode(&seed[8..]))];
    })?;
    let (with_at, stop) = listen(&with).await?;
    let (without_at, stop_other) = listen(&without).await?;
    output.note(&format!("{CUSTOMERS} customers order {ORDERS_EACH} times each"));
    order(without_at, &world).await?;
    let turn = Duration::from_secs(flags.seconds).div_f64(f64::from(u32::try_from(TURNS).unwrap_or(1)));
    output.note(&format!("{AT_ONCE} of them look at once, by turns at a node that keeps no lists and one that does"));
    // Nobody is measured cold.
    look(with_at, &world, Duration::from_millis(500)).await?;
    look(without_at, &world, Duration::from_millis(500)).await?;
    let (mut kept, mut read) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        read.extend(look(without_at, &world, turn).await?);
        kept.extend(look(with_at, &world, turn).await?);
    }
    stop.cancel();
    stop_other.cancel();
    if with.app.metrics.order_lists.hits.get() < kept.len() as u64 {
        return Err(Failure::new(exit::FAILED, "not every list was at hand: on Postgres they are kept in Redis only, see --redis-url"));
    }
    let (kept, read) = (Latencies::new(kept), Latencies::new(read));
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |latencies: &Latencies| latencies.count() as f64 / flags.seconds as f64;
    Ok(json!({
        "listsPerSecond": rounded(rate(&kept), 1), "p50Ms": kept.percentile_ms(50), "p99Ms": kept.percentile_ms(99),
        "withoutPerSecond": rounded(rate(&read), 1), "withoutP50Ms": read.percentile_ms(50), "withoutP99Ms": read.percentile_ms(99),
        "ratio": rounded(rate(&kept) / rate(&read), 2), "store": flags.target.name(),
        "keptIn": if flags.redis_url.is_some() { "redis" } else { "process" },
        "orders": ORDERS_EACH, "connections": AT_ONCE, "failed": 0,
    }))
}

async fn listen(node: &Node) -> Result<(SocketAddr, CancellationToken), Failure> {
    let broken = |error: std::io::Error| Failure::unavailable(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
    let (address, stop) = (listener.local_addr().map_err(broken)?, CancellationToken::new());
    let limits = ListenLimits {
        connections_max: 1_024,
        addresses: Addresses::unlimited(),
        header_timeout: Duration::from_secs(5),
        drain: Duration::from_secs(1),
    };
    tokio::spawn(serve(listener, node.router(), limits, stop.clone()));
    Ok((address, stop))
}

fn client() -> Result<reqwest::Client, Failure> {
    reqwest::Client::builder().no_proxy().build().map_err(|error| Failure::unavailable(error.to_string()))
}

async fn order(address: SocketAddr, world: &World) -> Result<(), Failure> {
    let client = client()?;
    let address_of_customer = json!({ "name": "An", "phone": "0901234567", "line1": "1 Lê Lợi", "country": "VN" });
    for number in 0..CUSTOMERS {
        let orders = (0..ORDERS_EACH).map(|_| {
            let lines = json!([{ "productId": world.product_id(number % 100).to_string(), "quantity": 2 }]);
            let body = json!({ "products": lines, "paymentMethod": "bank_transfer", "shippingAddress": address_of_customer });
            let request = client.post(format!("http://{address}/api/orders")).bearer_auth(world.token(number)).json(&body);
            async move { request.send().await?.error_for_status() }
        });
        for placed in futures_util::future::join_all(orders).await {
            placed.map_err(|error| Failure::new(exit::FAILED, format!("an order failed: {error}")))?;
        }
    }
    Ok(())
}

/// Customers look at their lists for a while; returns how long each answer took, in microseconds.
async fn look(address: SocketAddr, world: &World, span: Duration) -> Result<Vec<u32>, Failure> {
    let clock = Stopwatch::start();
    let looking = (0..AT_ONCE).map(|first| {
        let world = world.clone();
        tokio::spawn(async move {
            let (client, mut times, mut number) = (client()?, Vec::new(), first);
            while clock.elapsed() < span {
                let began = clock.elapsed();
                let request = client.get(format!("http://{address}/api/orders")).bearer_auth(world.token(number % CUSTOMERS));
                let body = async { request.send().await?.error_for_status()?.bytes().await };
                let body = body.await.map_err(|error| Failure::new(exit::FAILED, format!("a list failed: {error}")))?;
                times.push(micros(clock.elapsed().saturating_sub(began)));
                number += AT_ONCE;
                // Each customer in turn, by all who look.
                if number >= CUSTOMERS {
                    number = (number + 1) % AT_ONCE;
                }
                check(&body)?;
            }
            Ok::<_, Failure>(times)
        })
    });
    let mut times = Vec::new();
    for looked in futures_util::future::join_all(looking).await {
        times.extend(looked.map_err(|error| Failure::unavailable(error.to_string()))??);
    }
    Ok(times)
}

/// Whether all the orders are there, found without reading the rest.
fn check(body: &[u8]) -> Result<(), Failure> {
    const NAME: &[u8] = b"\"code\":\"";
    let orders = body.windows(NAME.len()).filter(|window| *window == NAME).count();
    if orders == ORDERS_EACH {
        Ok(())
    } else {
        Err(Failure::new(exit::FAILED, format!("a list of {orders} orders instead of {ORDERS_EACH}")))
    }
}
