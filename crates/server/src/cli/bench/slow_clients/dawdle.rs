//! Clients that keep a server waiting, each in one way, and come back whenever they are sent away. They come from many addresses
//! of this machine, as they would from the world, and take only what time the server and the measured clients leave over: in
//! the world they would have machines of their own.

use crate::cli::bench::world::World;
use rustix::process::setpriority_process;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a dawdler waits between two bytes.
const BETWEEN_BYTES: Duration = Duration::from_secs(1);
/// How long until it comes back.
const AWAY: Duration = Duration::from_millis(500);
/// How many dawdlers share an address.
const PER_ADDRESS: u32 = 100;
/// How much those who do not read let the kernel keep for them.
const RECEIVE_BUFFER: u32 = 4 * 1024;

/// How somebody dawdles.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Headers,
    Bodies,
    Answers,
    BetweenRequests,
}

impl Way {
    pub(super) const ALL: [Self; 4] = [Self::Headers, Self::Bodies, Self::Answers, Self::BetweenRequests];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Answers => "answers that they do not read",
            Self::BetweenRequests => "their next request",
        }
    }
}

/// The least of all priorities.
const NICENESS: i32 = 19;

/// Everybody who dawdles.
pub(super) struct Dawdlers {
    thread: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
    shared: Arc<Shared>,
    there: watch::Receiver<u32>,
    wanted: u32,
}

struct Shared {
    address: SocketAddr,
    /// A customer's: who is signed in may keep a place with a body.
    token: String,
    arrivals: [AtomicU64; 4],
    sent_away: AtomicU64,
    there: watch::Sender<u32>,
}

impl Dawdlers {
    pub(super) fn start(address: SocketAddr, world: &World, count: u32) -> std::io::Result<Self> {
        let (sender, there) = watch::channel(0);
        let shared =
            Arc::new(Shared { address, token: world.token(0), arrivals: Default::default(), sent_away: AtomicU64::new(0), there: sender });
        let stop = CancellationToken::new();
        let crowd = (Arc::clone(&shared), stop.clone());
        let thread = std::thread::Builder::new().name("dawdlers".to_owned()).spawn(move || gather(&crowd.0, &crowd.1, count))?;
        Ok(Self { thread, stop, shared, there, wanted: count })
    }

    /// Until each has been let in once.
    pub(super) async fn all_there(&self) {
        let wanted = self.wanted;
        drop(self.there.clone().wait_for(|there| *there >= wanted).await);
    }

    /// Ends them; returns how often they came, by way, and how often they were sent away.
    pub(super) async fn stop(self) -> ([u64; 4], u64) {
        self.stop.cancel();
        let thread = self.thread;
        // Whatever became of the thread, what it counted is true.
        let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        let arrivals = self.shared.arrivals.each_ref().map(|count| count.load(Ordering::Relaxed));
        (arrivals, self.shared.sent_away.load(Ordering::Relaxed))
    }
}

/// Lets so many clients dawdle until they are stopped.
fn gather(shared: &Arc<Shared>, stop: &CancellationToken, count: u32) -> std::io::Result<()> {
    // Linux takes a process's number for a thread's here, and none for the calling thread's.
    setpriority_process(None, NICENESS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tasks = TaskTracker::new();
        for number in 0..count {
            let (shared, stop) = (Arc::clone(shared), stop.clone());
            // Strangers do not send their bytes in step.
            let late = BETWEEN_BYTES * number / count.max(1);
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = async {
                        tokio::time::sleep(late).await;
                        shared.dawdle(number).await;
                    } => {}
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    });
    Ok(())
}

impl Shared {
    async fn dawdle(&self, number: u32) {
        let index = usize::try_from(number % 4).unwrap_or_default();
        let way = Way::ALL[index];
        for time in 0_u64.. {
            if let Ok(stream) = self.connect(number).await {
                self.arrivals[index].fetch_add(1, Ordering::Relaxed);
                if time == 0 {
                    self.there.send_modify(|there| *there += 1);
                }
                // However it ends, the server had enough.
                let _sent_away = self.keep_waiting(stream, way, number).await;
                self.sent_away.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    async fn connect(&self, number: u32) -> std::io::Result<TcpStream> {
        let [_, _, high, low] = (number / PER_ADDRESS + 2).to_be_bytes();
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind((Ipv4Addr::new(127, 0, high, low), 0).into())?;
        socket.connect(self.address).await
    }

    async fn keep_waiting(&self, mut stream: TcpStream, way: Way, number: u32) -> std::io::Result<()> {
        match way {
            Way::Headers => {
                stream.write_all(b"GET /api/products HTTP/1.1\r\nhost: a\r\nx-slow: ").await?;
                byte_by_byte(stream).await
            }
            Way::Bodies => {
                let token = &self.token;
                // Half of them where orders go, half where payments are told of: each has a share of its own.
                let head = if (number / 4).is_multiple_of(2) {
                    "POST /api/webhook/stripe HTTP/1.1\r\n".to_owned()
                } else {
                    format!("POST /api/orders HTTP/1.1\r\nauthorization: Bearer {token}\r\n")
                };
                let rest = "host: a\r\ncontent-type: application/json\r\nstripe-signature: t=1,v1=00\r\ncontent-length: 9999\r\n\r\n{";
                stream.write_all(format!("{head}{rest}").as_bytes()).await?;
                byte_by_byte(stream).await
            }
            Way::Answers => {
                // Far more than the kernel keeps for both.
                let request = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(16);
                stream.write_all(&request).await?;
                // Told of the end without reading what comes before it.
                loop {
                    tokio::time::sleep(BETWEEN_BYTES).await;
                    stream.write_all(b"\r\n").await?;
                }
            }
            Way::BetweenRequests => {
                stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await?;
                until_the_end(&mut stream).await
            }
        }
    }
}

async fn byte_by_byte(stream: TcpStream) -> std::io::Result<()> {
    let (mut answers, mut bytes) = stream.into_split();
    tokio::select! {
        ended = until_the_end(&mut answers) => ended,
        ended = async {
            loop {
                tokio::time::sleep(BETWEEN_BYTES).await;
                bytes.write_all(b" ").await?;
            }
        } => ended,
    }
}

async fn until_the_end(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut answer = [0; 1_024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}
