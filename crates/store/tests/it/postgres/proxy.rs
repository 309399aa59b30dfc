//! A proxy between a store and its server that can lose exactly one COMMIT or its answer. It understands just enough of
//! the protocol to see the COMMIT go by.

use std::io::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never reaches the server, and both sides see the connection end.
    DropCommit,
    /// The server commits, but its answer never reaches the store, whose connection is reset.
    SwallowAnswer,
    /// It never reaches the server, and nothing comes back any more: the connection just goes silent.
    Silence,
}

#[derive(Debug, Default)]
struct Plan {
    next: Mutex<Option<Fault>>,
    fired: AtomicUsize,
}

/// A running proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Listens on a free port and forwards to that port of this machine.
    pub(super) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(Plan::default());
        let shared = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let plan = Arc::clone(&shared);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                    drop(forward(client, server, &plan).await);
                });
            }
        });
        Self { port, plan }
    }

    /// The same URL through this proxy.
    pub(super) fn url(&self, url: &str) -> String {
        let (head, rest) = url.split_once("127.0.0.1:").expect("a URL of a test server");
        let (_, rest) = rest.split_once('/').expect("a database");
        format!("{head}127.0.0.1:{}/{rest}", self.port)
    }

    /// Lets the next COMMIT fail.
    pub(super) fn arm(&self, fault: Fault) {
        *self.plan.next.lock().expect("no panic") = Some(fault);
    }

    /// How many COMMITs failed.
    pub(super) fn fired(&self) -> usize {
        self.plan.fired.load(Ordering::SeqCst)
    }
}

/// The port in a test server's URL.
pub(super) fn port_of(url: &str) -> u16 {
    let (_, rest) = url.split_once("127.0.0.1:").expect("a URL of a test server");
    rest.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
}

async fn forward(client: TcpStream, server: TcpStream, plan: &Arc<Plan>) -> Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answered = Arc::new(Notify::new());
    let swallow = Arc::new(Mutex::new(false));
    let answers = tokio::spawn(pass_answers(from_server, to_client, Arc::clone(&swallow), Arc::clone(&answered)));
    let (from_client, fault) = pass_questions(from_client, to_server, plan, &swallow).await?;
    match fault {
        Some(Fault::SwallowAnswer) => answered.notified().await,
        // Longer than any store waits.
        Some(Fault::Silence) => tokio::time::sleep(std::time::Duration::from_mins(1)).await,
        Some(Fault::DropCommit) | None => {}
    }
    answers.abort();
    if fault.is_some() {
        from_client.as_ref().set_zero_linger()?;
    }
    Ok(())
}

/// Forwards messages of the store until it is done or a fault strikes. The way to the server stays open under silence.
async fn pass_questions(
    mut from_client: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
    plan: &Plan,
    swallow: &Mutex<bool>,
) -> Result<(OwnedReadHalf, Option<Fault>)> {
    // The first message has no type.
    let startup = read_body(&mut from_client, Vec::new()).await?;
    to_server.write_all(&startup).await?;
    loop {
        let mut kind = [0];
        if from_client.read(&mut kind).await? == 0 {
            return Ok((from_client, None));
        }
        let message = read_body(&mut from_client, kind.to_vec()).await?;
        if kind == *b"Q" && message.get(5..) == Some(b"COMMIT\0") {
            let fault = plan.next.lock().expect("no panic").take();
            if let Some(fault) = fault {
                plan.fired.fetch_add(1, Ordering::SeqCst);
                match fault {
                    Fault::DropCommit => {}
                    Fault::SwallowAnswer => {
                        *swallow.lock().expect("no panic") = true;
                        to_server.write_all(&message).await?;
                        // The server must not see an end before it has answered.
                        to_server.forget();
                    }
                    Fault::Silence => {
                        *swallow.lock().expect("no panic") = true;
                        to_server.forget();
                    }
                }
                return Ok((from_client, Some(fault)));
            }
        }
        to_server.write_all(&message).await?;
    }
}

/// Reads a length and that many bytes; returns them after what was read before.
async fn read_body(from: &mut OwnedReadHalf, mut message: Vec<u8>) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    message.extend_from_slice(&length);
    let start = message.len();
    let rest = usize::try_from(u32::from_be_bytes(length)).expect("a length").saturating_sub(4);
    message.resize(start + rest, 0);
    from.read_exact(message.get_mut(start..).expect("just resized")).await?;
    Ok(message)
}

async fn pass_answers(mut from_server: OwnedReadHalf, mut to_client: OwnedWriteHalf, swallow: Arc<Mutex<bool>>, answered: Arc<Notify>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from_server.read(&mut buffer).await {
        let is_swallowed = *swallow.lock().expect("no panic");
        if is_swallowed {
            answered.notify_one();
        }
        if is_swallowed || count == 0 || to_client.write_all(buffer.get(..count).expect("read")).await.is_err() {
            break;
        }
    }
    // Dropping the way to the client would tell it; that is the other task's to decide.
    to_client.forget();
}
