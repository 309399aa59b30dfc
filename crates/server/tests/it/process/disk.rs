//! A disk that fails and a disk that is full. After a failed flush the process ends with 75 and flushes nothing more;
//! while there is no room it refuses writes, serves reads, and goes on by itself when there is room again (F39).

use super::journal::{Journal, Told, WantedOrder};
use super::load::Load;
use super::oracle::{Evidence, Verdict, judge, read_mails};
use super::server::{Server, Settings};
use super::tampering::copy_folder;
use super::world::{DIGITAL, Keeping, World};
use ordermill_store::fsck::Snapshot;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Mails that one process may have under way when it ends: the workers' default.
const MAILS_UNDER_WAY: usize = 8;

/// How often the disk is filled.
const ROUNDS: usize = 4;

/// Which flush fails: the n-th that one thread does of this file.
const FAILURES: [(&str, u32); 6] = [
    ("ordermill.db-wal", 1),
    ("ordermill.db-wal", 4),
    ("ordermill.db-wal", 25),
    ("ordermill.db-wal", 90),
    // The database itself is flushed by checkpoints only.
    ("ordermill.db", 1),
    ("ordermill.db", 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f38_a_failed_flush_ends_the_process_and_loses_nothing_acknowledged() {
    let strace = std::process::Command::new("strace").arg("--version").output();
    assert!(strace.is_ok_and(|output| output.status.success()), "this test needs strace: apt-get install strace");
    let world = World::new(Keeping::Sqlite).await;
    world.stock_up().await;
    let journal = Arc::new(Journal::default());
    let server = world.server.start_ready().await;
    let load = Load::start(&world, Arc::clone(&journal)).await;
    sleep(Duration::from_millis(200)).await;
    server.stop().await;
    for (number, (file, when)) in FAILURES.into_iter().enumerate() {
        let trace = world.beside(&format!("trace-{number}"));
        let mut server = Settings { through: failing_flush(&world.server.data, file, when, &trace), ..world.server.clone() }.start();
        let begun = Instant::now();
        let ended = server.ends_within(Duration::from_secs(30)).await;
        let ended = ended.unwrap_or_else(|| panic!("flush {when} of {file} was never reached:\n{}", world.server.log_tail()));
        assert_eq!(ended.code(), Some(75), "flush {when} of {file}: {ended}\n{}", world.server.log_tail());
        let traced = std::fs::read_to_string(&trace).expect("a trace");
        let flushes: Vec<&str> = traced.lines().filter(|line| line.contains("sync(")).collect();
        let failed = flushes.iter().position(|line| line.contains("INJECTED")).expect("one flush failed");
        println!("flush {when} of {file} failed: ended with 75 after {} ms, {} flushes", begun.elapsed().as_millis(), flushes.len());
        assert_eq!(flushes[failed + 1..], [""; 0], "nothing is flushed after a flush that failed");
        let server = world.server.start_ready().await;
        sleep(Duration::from_millis(200)).await;
        server.stop().await;
    }
    let server = world.server.start_ready().await;
    come_to_rest(&world.server, &world, load).await;
    server.stop().await;
    let verdict = verdict(&world, &journal, &world.server.data).await;
    println!("{} orders, {} events, {} extra mails", verdict.orders, verdict.events, verdict.extra_mails);
    assert!(verdict.extra_mails <= FAILURES.len() * MAILS_UNDER_WAY);
    let checked = world.server.run(&["fsck"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

/// A tracer that lets one flush fail. `-D` leaves the server our child.
fn failing_flush(data: &Path, file: &str, when: u32, trace: &Path) -> Vec<OsString> {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
    let mut arguments: Vec<OsString> =
        ["strace", "-f", "-D", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-e", &inject, "-o"].map(Into::into).into();
    arguments.push(trace.into());
    arguments.push("-P".into());
    arguments.push(data.join(file).into());
    arguments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f39_a_full_disk_refuses_writes_and_recovers_by_itself() {
    let mut world = World::new(Keeping::Sqlite).await;
    std::fs::create_dir_all(&world.server.data).expect("a folder");
    world.server.through = on_a_small_disk(&world.server.data);
    // A job whose end could not be written waits for its lease to run out.
    world.server.set("WORKER__LEASE_MS", "2000");
    let server = world.server.start_ready().await;
    let disk = SmallDisk::of(&server, &world.server);
    let journal = Arc::new(Journal::default());
    let load = Load::start(&world, Arc::clone(&journal)).await;
    let customer = Customer::register(&world, &journal).await;
    let before = customer.order("probe-before-1").await;
    assert_eq!(before.0, 201, "{}", before.1);
    // So fast that no checkpoint comes in between: whatever room there is goes to the write-ahead log, which must give it
    // back before the database can grow.
    for round in 0..ROUNDS {
        sleep(Duration::from_millis(400)).await;
        disk.fill_until_refused(&world).await;
        let key = format!("probe-full-{round}");
        let (status, body) = customer.order(&key).await;
        assert_eq!((status, body["code"].as_str()), (503, Some("unavailable")), "{body}");
        assert_eq!(customer.get("/api/products").await, 200);
        assert_eq!(customer.get("/api/orders").await, 200);
        assert_eq!(customer.get(&format!("/api/orders/{}", before.1["code"].as_str().expect("a code"))).await, 200);
        assert_eq!(customer.get("/livez").await, 200, "it lives");
        let listed = disk.seen_from_here.run(&["orders", "list"]).await;
        assert!(listed.status.success(), "{listed:?}");
        let freed = Instant::now();
        disk.free();
        let again = async {
            while customer.order(&key).await.0 != 201 || customer.get("/readyz").await != 200 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let is_writing = timeout(Duration::from_secs(20), again).await.is_ok();
        assert!(is_writing, "it stays read-only:\n{}", world.server.log_tail());
        println!("round {round}: writes were taken again {} ms after the room was there", freed.elapsed().as_millis());
    }
    come_to_rest(&disk.seen_from_here, &world, load).await;
    let checked = disk.seen_from_here.run(&["fsck"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    // The disk is gone with the process: what the oracle looks at must be taken out before, while nothing moves.
    let copy = world.beside("copy");
    server.signal("STOP").await;
    copy_folder(&disk.seen_from_here.data, &copy);
    server.signal("CONT").await;
    server.stop().await;
    let verdict = verdict(&world, &journal, &copy).await;
    println!("{} orders, {} events, {} extra mails", verdict.orders, verdict.events, verdict.extra_mails);
    assert_eq!(world.server.panics(), Vec::<String>::new());
}

/// What operators are told while there is no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_that_a_disk_is_full_and_what_to_do() {
    let mut world = World::new(Keeping::Sqlite).await;
    std::fs::create_dir_all(&world.server.data).expect("a folder");
    world.server.through = on_a_small_disk(&world.server.data);
    let server = world.server.start_ready().await;
    let disk = SmallDisk::of(&server, &world.server);
    // Whoever writes nothing does not notice that there is no room.
    let (http, url) = (world.http.clone(), world.server.url("/api/users/register"));
    let writing = tokio::spawn(async move {
        for number in 0_u32.. {
            let body = json!({ "email": format!("n{number}@example.com"), "password": "correct horse battery" });
            drop(http.post(&url).json(&body).send().await);
        }
    });
    disk.fill_until_refused(&world).await;
    writing.abort();
    let checked = disk.seen_from_here.run(&["doctor", "-o", "json"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let answer: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    for (about, what, fix) in [("data folder", "only 0 MiB are free", "make room"), ("store", "takes no writes", "make room on its disk")] {
        let rows = answer["data"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["about"] == about && row["state"] == "finding");
        let says = |name: &str, words: &str| row.is_some_and(|row| row[name].as_str().is_some_and(|text| text.contains(words)));
        assert!(says("what", what) && says("fix", fix), "{about}: {answer}");
    }
    let sick = disk.seen_from_here.run(&["healthcheck"]).await;
    let said = String::from_utf8_lossy(&sick.stderr).into_owned();
    assert!(sick.status.code() == Some(1) && said.contains("disk full"), "{said}");
    for command in ["monitor", "logs", "queue list"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = disk.seen_from_here.run(&arguments).await;
        assert_eq!(output.status.code(), Some(0), "{command} only looks: {output:?}");
    }
    disk.free();
    server.stop().await;
}

/// Starts what follows with a disk of its own under the data folder, which is gone when it ends.
fn on_a_small_disk(data: &Path) -> Vec<OsString> {
    let is_root = std::fs::metadata("/proc/self").expect("proc").uid() == 0;
    let namespace = if is_root { "-m" } else { "-Urm" };
    let mount = "mount -t tmpfs -o size=24m,mode=700 tmpfs \"$0\" && exec \"$@\"";
    let mut arguments: Vec<OsString> = ["unshare", namespace, "sh", "-c", mount].map(Into::into).into();
    arguments.push(data.into());
    arguments
}

/// A server's own disk as this process sees it.
struct SmallDisk {
    ballast: PathBuf,
    seen_from_here: Settings,
}

impl SmallDisk {
    fn of(server: &Server, settings: &Settings) -> Self {
        let root = PathBuf::from(format!("/proc/{}/root", server.pid));
        let data = root.join(settings.data.strip_prefix("/").expect("an absolute path"));
        assert!(data.join("dev.toml").exists() && !settings.data.join("dev.toml").exists(), "the server has no disk of its own");
        let seen_from_here = Settings { data: data.clone(), through: Vec::new(), ..settings.clone() };
        Self { ballast: data.join("ballast"), seen_from_here }
    }

    /// Takes all room, again and again, until the server says that it cannot write.
    async fn fill_until_refused(&self, world: &World) {
        let full = async {
            loop {
                self.fill();
                let probe = world.http.get(world.server.url("/readyz")).send().await.expect("the probe is answered");
                if probe.status() == 503 {
                    let why = probe.text().await.expect("a body");
                    assert!(why.contains("disk full"), "{why}");
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(Duration::from_secs(20), full).await.is_ok(), "it finds room to write:\n{}", world.server.log_tail());
    }

    fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.ballast).expect("the ballast");
        for size in [1 << 20, 1 << 14, 1 << 12] {
            let block = vec![7; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the ballast: {error}"),
                }
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(&self.ballast).expect("the ballast is there");
    }
}

/// Somebody who orders one thing at a time.
struct Customer<'a> {
    world: &'a World,
    journal: &'a Journal,
    id: String,
    token: String,
    product: String,
}

impl<'a> Customer<'a> {
    async fn register(world: &'a World, journal: &'a Journal) -> Self {
        let body = json!({ "email": "probe@example.com", "password": "correct horse battery" });
        let session = world.http.post(world.server.url("/api/users/register")).json(&body).send().await.expect("an answer");
        let session: Value = session.json().await.expect("JSON");
        let products = world.http.get(world.server.url(&format!("/api/products?q={DIGITAL}"))).send().await.expect("an answer");
        let products: Value = products.json().await.expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (id, token, product) = (text(&session["user"]["id"]), text(&session["token"]), text(&products["data"][0]["id"]));
        Self { world, journal, id, token, product }
    }

    /// Asks once under a key; returns the status and the answer.
    async fn order(&self, key: &str) -> (u16, Value) {
        if !self.journal.orders().contains_key(key) {
            let (product, customer) = (self.product.clone(), self.id.clone());
            let wanted = WantedOrder {
                told: Told::Nothing,
                customer,
                method: "bank_transfer",
                product,
                quantity: 1,
                order: None,
                paid_intent: None,
            };
            self.journal.order_invoked(key, wanted);
        }
        let body = json!({ "products": [{ "productId": self.product, "quantity": 1 }], "paymentMethod": "bank_transfer", "note": key });
        let request = self.world.http.post(self.world.server.url("/api/orders/create")).bearer_auth(&self.token);
        let answer = request.header("idempotency-key", key).json(&body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        if status == 201 {
            self.journal.order_told(key, Told::Yes, body["id"].as_str());
        }
        (status, body)
    }

    async fn get(&self, path: &str) -> u16 {
        let answer = self.world.http.get(self.world.server.url(path)).bearer_auth(&self.token).send().await;
        answer.expect("an answer").status().as_u16()
    }
}

/// Every client gets its answer and every queue empties. No job may have died.
async fn come_to_rest(settings: &Settings, world: &World, load: Load) {
    let list = async |command: &[&str]| -> Vec<Value> {
        let output = settings.run(&[command, &["-o", "json"]].concat()).await;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{command:?}: {output:?}"));
        answer["data"].as_array().expect("a list").clone()
    };
    load.finish().await;
    let quiet = async {
        loop {
            let queues = list(&["queue", "list"]).await;
            let is_empty = queues.iter().all(|queue| queue["waiting"] == 0 && queue["running"] == 0);
            if is_empty && world.stripe.pending_webhooks() == 0 {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    // Mails go to a file on the same disk: while it was full their queue's circuit opened for longer and longer.
    let is_quiet = timeout(Duration::from_mins(2), quiet).await.is_ok();
    assert!(is_quiet, "the queues do not empty: {:#?}", list(&["queue", "jobs"]).await);
}

/// The oracle on the files of a folder that nobody has open.
async fn verdict(world: &World, journal: &Journal, data: &Path) -> Verdict {
    let url = format!("sqlite:{}", data.join("ordermill.db").display());
    let store = ordermill_store::open(&url).await.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
    let snapshot = Snapshot::read(store.as_ref()).await.expect("the store answers");
    store.close().await;
    let mails = read_mails(data);
    let verdict = judge(&Evidence { journal, stripe: &world.stripe, snapshot: &snapshot, mails: &mails });
    assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
    assert!(verdict.orders >= 20, "the load was too small to show anything");
    verdict
}
