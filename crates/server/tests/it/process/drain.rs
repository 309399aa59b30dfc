//! SIGTERM under load (F46): not ready first, then nobody new is let in, what is under way ends, and the process exits with
//! 0. Nothing acknowledged is lost, no mail goes out twice, no job counts an attempt. A second signal ends it at once.

use super::journal::Journal;
use super::load::Load;
use super::oracle::{Evidence, judge, read_mails};
use super::plan::Draw;
use super::server::{Server, is_signal};
use super::world::{Keeping, World};
use ordermill::simulator::stripe::Mode;
use ordermill_store::fsck::Snapshot;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const ROUNDS: usize = 20;
/// The server's own limit; with nothing stuck it takes a small part of it.
const DRAIN_MAX: Duration = Duration::from_secs(20);
const SIGABRT: i32 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    stop_under_load(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    stop_under_load(Keeping::Postgres).await;
}

async fn stop_under_load(keeping: Keeping) {
    let world = World::new(keeping).await;
    world.stock_up().await;
    let journal = Arc::new(Journal::default());
    let mut draw = Draw(0x5eed);
    let mut server = world.server.start_ready().await;
    let load = Load::start(&world, Arc::clone(&journal)).await;
    let (mut longest, mut clients) = (Duration::ZERO, Some(load));
    for round in 0..=ROUNDS {
        sleep(Duration::from_millis(100 + draw.below(200))).await;
        if round == ROUNDS {
            clients.take().expect("they run").finish().await;
            while world.stripe.pending_webhooks() > 0 || !is_idle(&world).await {
                sleep(Duration::from_millis(100)).await;
            }
        }
        let begun = Instant::now();
        server.stop().await;
        longest = longest.max(begun.elapsed());
        if round < ROUNDS {
            server = world.server.start_ready().await;
        } else {
            break;
        }
    }
    let snapshot = Snapshot::read(world.open_store().await.as_ref()).await.expect("the store answers");
    let mails = read_mails(&world.server.data);
    let verdict = judge(&Evidence { journal: &journal, stripe: &world.stripe, snapshot: &snapshot, mails: &mails });
    println!(
        "{keeping:?}: {ROUNDS} stops under load, the longest took {} ms; {} orders ({} paid), {} events",
        longest.as_millis(),
        verdict.orders,
        verdict.paid,
        verdict.events
    );
    assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
    assert_eq!((verdict.extra_mails, verdict.in_review), (0, 0), "a drain lets mails that are under way end");
    assert!(longest < DRAIN_MAX, "{longest:?}");
    assert!(verdict.orders > ROUNDS && verdict.events > ROUNDS, "the load was too small to show anything");
    assert_eq!(world.server.panics(), Vec::<String>::new());
}

async fn is_idle(world: &World) -> bool {
    let output = world.server.run(&["queue", "list", "-o", "json"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    answer["data"].as_array().expect("a list").iter().all(|queue| queue["waiting"] == 0 && queue["running"] == 0)
}

/// A request of which the server has only half: it holds up a drain for as long as the test wants.
struct HeldRequest {
    stream: TcpStream,
    rest: String,
}

impl HeldRequest {
    async fn begin(world: &World) -> Self {
        Self::begin_with(world, "bank_transfer").await
    }

    async fn begin_with(world: &World, method: &str) -> Self {
        let register = json!({ "email": "held@example.com", "password": "correct horse battery" });
        let session = world.http.post(world.server.url("/api/users/register")).json(&register).send().await.expect("an answer");
        let session: Value = session.json().await.expect("JSON");
        let products = world.http.get(world.server.url("/api/products?q=COURSE-01")).send().await.expect("an answer");
        let products: Value = products.json().await.expect("JSON");
        let body = json!({
            "products": [{ "productId": products["data"][0]["id"], "quantity": 1 }], "paymentMethod": method, "note": "held",
        });
        let body = body.to_string();
        let (first, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "POST /api/orders/create HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             authorization: Bearer {}\r\nidempotency-key: held-request-1\r\n\r\n{first}",
            body.len(),
            session["token"].as_str().expect("a token"),
        );
        let mut stream = TcpStream::connect(("127.0.0.1", world.server.port)).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        sleep(Duration::from_millis(100)).await;
        Self { stream, rest: rest.to_owned() }
    }

    /// Sends the other half and reads the answer.
    async fn end(mut self) -> String {
        self.stream.write_all(self.rest.as_bytes()).await.expect("it is sent");
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), self.stream.read_to_end(&mut answer)).await;
        read.expect("an answer in time").expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_say_not_ready_while_open_requests_end() {
    let world = World::new(Keeping::Sqlite).await;
    let mut server = world.server.start_ready().await;
    let held = HeldRequest::begin(&world).await;
    assert_eq!(probe(&world).await.0, 200);
    server.signal("TERM").await;
    await_draining(&world).await;
    // The probe says so a moment before the listener is closed.
    let closed = async {
        while TcpStream::connect(("127.0.0.1", world.server.port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DRAIN_MAX, closed).await.expect("nobody new is let in");
    assert!(server.ends_within(Duration::from_millis(300)).await.is_none(), "it waits for the open request");
    let answer = held.end().await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let ended = server.ends_within(DRAIN_MAX).await.expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", world.server.log_tail());
    let orders = world.server.run(&["orders", "list", "-o", "json"]).await;
    let orders: Value = serde_json::from_slice(&orders.stdout).expect("JSON");
    assert_eq!(orders["data"].as_array().map(Vec::len), Some(1), "what was answered is kept: {orders}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let world = World::new(Keeping::Sqlite).await;
    let mut server = world.server.start_ready().await;
    let held = HeldRequest::begin(&world).await;
    server.signal("TERM").await;
    await_draining(&world).await;
    let begun = Instant::now();
    server.signal("TERM").await;
    let ended = server.ends_within(Duration::from_secs(5)).await.expect("it ends, whatever is open");
    assert!(is_signal(ended, SIGABRT), "{ended}");
    println!("a second signal ended it after {} ms", begun.elapsed().as_millis());
    drop(held);
    let server: Server = world.server.start_ready().await;
    server.stop().await;
}

async fn probe(world: &World) -> (u16, String) {
    let answer = world.http.get(world.server.ops_url("/readyz")).send().await.expect("the probe is answered");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

async fn await_draining(world: &World) {
    let draining = async {
        loop {
            let (status, body) = probe(world).await;
            if status == 503 {
                assert!(body.contains("draining"), "{body}");
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), draining).await.expect("the signal is noticed");
}

/// A job that the provider holds up for longer than a drain may last goes back into its queue without blame, so that the
/// next process need not wait for a lease to run out. On Postgres, which cannot know that the holder is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_outlasts_the_drain_is_given_back() {
    let mut world = World::new(Keeping::Postgres).await;
    world.server.set("SERVER__DRAIN_MS", "300");
    let server = world.server.start_ready().await;
    // The order's own request fails to reach the provider; then a worker does, and waits.
    world.stripe.set_mode(Mode::Unreachable);
    let answer = HeldRequest::begin_with(&world, "stripe").await.end().await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    world.stripe.set_mode(Mode::Slow { ms: 10_000 });
    let job = await_job(&world, |job| job["running"] == true && job["worker"] != "request").await;
    let begun = Instant::now();
    server.stop().await;
    println!("a stuck job was given back after {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(5), "it does not wait for the provider");
    world.stripe.set_mode(Mode::Ok);
    let waiting = await_job(&world, |_| true).await;
    assert_eq!((&waiting["key"], &waiting["running"]), (&job["key"], &json!(false)));
    let last = waiting["history"].as_array().and_then(|history| history.last()).expect("a history");
    assert_eq!((last["counted"].as_bool(), last["why"].as_str()), (Some(false), Some("the node was stopped")));
    let server = world.server.start_ready().await;
    let done = async {
        while !is_idle(&world).await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), done).await.is_ok(), "it waits for a lease that nobody holds");
    assert_eq!(world.stripe.duplicates(), []);
    server.stop().await;
}

/// The only job there is, once it is as wanted.
async fn await_job(world: &World, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let wanted = async {
        loop {
            let output = world.server.run(&["queue", "jobs", "-o", "json"]).await;
            let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let jobs = answer["data"].as_array().expect("a list");
            if let Some(job) = jobs.first().filter(|job| is_wanted(job)) {
                return job.clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(15), wanted).await.expect("the job comes")
}
