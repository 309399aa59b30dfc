//! A process that may open few files only (F40), and clients that take all of them: it sends the slowest away, serves the
//! others, and neither spins nor dies.

use super::server::Settings;
use super::world::{Keeping, World};
use std::ffi::OsString;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What the store, the listeners and the runtime have open is about a third of it.
const FILES_MAX: u32 = 96;
/// Far more than that.
const SLOW_CLIENTS: u32 = 300;
/// How often a server that only rests between two tries may say that it has no handles, in the time this test takes.
const COMPLAINTS_MAX: usize = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f40_slow_clients_that_take_every_file_handle_do_not_keep_others_out() {
    let world = World::new(Keeping::Sqlite).await;
    world.stock_up().await;
    let few_files: Vec<OsString> = ["sh", "-c", &format!("ulimit -n {FILES_MAX}; exec \"$@\""), "sh"].map(OsString::from).into();
    let settings = Settings { through: few_files, ..world.server.clone() };
    let server = settings.start_ready().await;
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut stream = TcpStream::connect(("127.0.0.1", settings.port)).await.expect("the kernel takes it");
        stream.write_all(b"GET /livez HTTP/1.1\r\nx-slow: ").await.expect("it takes the bytes");
        slow.push(stream);
    }
    for number in 0..20 {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        let answer = client.get(settings.url("/api/products")).send().await;
        assert!(answer.as_ref().is_ok_and(|answer| answer.status() == 200), "{number}: {answer:?}\n{}", settings.log_tail());
    }
    let said = std::fs::read_to_string(&settings.log).unwrap_or_default();
    let complaints = said.lines().filter(|line| line.contains("cannot accept a connection")).count();
    assert!((1..COMPLAINTS_MAX).contains(&complaints), "{complaints} complaints");
    drop(slow);
    server.stop().await;
    assert_eq!(settings.panics(), Vec::<String>::new());
}
