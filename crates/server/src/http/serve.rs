//! Our own accept loop: a header time limit, a cap on connections that slow clients cannot keep for themselves, an end for
//! those who take nothing of their answers, and a drain. The framework's own loop has none of these.

mod addresses;
mod stall;

pub use addresses::Addresses;

use super::arriving::Arriving;
use super::client::Peer;
use super::waiting::{Place, Waiting};
use addresses::Held;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use stall::Stream;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the loop rests when the machine has no file handles left (F40): it must neither spin nor die.
const REST: Duration = Duration::from_millis(50);

/// How large the head of a request may be, and how much of a body lies in a connection's buffer at once: with the number of
/// connections, the bound of what clients can make us remember.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// How long a new client waits for the slot of one that gave way before the next one does.
const PATIENCE: Duration = Duration::from_millis(2);

/// How a listener treats its clients.
#[derive(Debug, Clone)]
pub struct ListenLimits {
    /// Connections at once. A further one takes the place of the one that has waited longest for its client; when every
    /// one is being served, it waits in the kernel.
    pub connections_max: usize,
    /// How many of them one client address may hold. A further one is closed at once.
    pub addresses: Addresses,
    /// How long a client may take to send its headers.
    pub header_timeout: Duration,
    /// How long open requests may go on after the stop.
    pub drain: Duration,
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, limits: ListenLimits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections_max.max(1)));
    let waiting = Arc::new(Waiting::default());
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &limits.addresses, &slots, &waiting) => accepted,
        };
        let Admitted { stream, peer, counted } = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Whoever waits longest gives their handle back.
                let has_room = waiting.send_longest_away(Instant::now());
                tokio::time::sleep(if has_room { PATIENCE } else { REST }).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let place = Waiting::join(&waiting);
        let connection = connect(stream, peer, &router, &place, limits.header_timeout, &graceful);
        tokio::spawn(async move {
            let _counted = counted;
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                },
                () = place.gives_way() => tracing::debug!("a connection that waited gave way to a new one"),
            }
        });
    }
    drop(listener);
    if ordermill_store::failpoint::hit("drain.listener_closed").is_err() {
        tracing::debug!("a fail point in the drain changes nothing");
    }
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still open at the end of the drain");
    }
}

/// The connection, which says of itself when it waits for its client and when it is served.
fn connect(
    stream: TcpStream,
    peer: Peer,
    router: &Router,
    place: &Arc<Place>,
    header_timeout: Duration,
    graceful: &GracefulShutdown,
) -> impl Future<Output = hyper::Result<()>> + use<> {
    let (router, place) = (router.clone(), Arc::clone(place));
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, place) = (router.clone(), Arc::clone(&place));
        async move {
            let mut request = request.map(|body| Arriving::watch(Body::new(body), &place));
            request.extensions_mut().insert(peer);
            let response = router.oneshot(request).await;
            place.wait();
            response
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Stream::new(stream)), service);
    graceful.watch(connection)
}

/// A client that may stay, and what it takes until it goes: a slot, and one of its address's connections.
struct Admitted {
    stream: TcpStream,
    peer: Peer,
    counted: (OwnedSemaphorePermit, Held),
}

/// The next client and its slot. The client comes first: only when there is one that may stay must somebody give way.
async fn accept(listener: &TcpListener, addresses: &Addresses, slots: &Arc<Semaphore>, waiting: &Waiting) -> io::Result<Admitted> {
    let (stream, peer, held) = loop {
        let (stream, address) = listener.accept().await?;
        if let Some(held) = addresses.admit(address.ip()) {
            break (stream, Peer(address.ip()), held);
        }
        tracing::debug!("a connection too many from one address");
    };
    let admitted = |slot| Admitted { stream, peer, counted: (slot, held) };
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Ok(admitted(slot));
    }
    loop {
        // At once: others queue behind this one, and whoever has waited long enough to be sent away will not miss a moment.
        waiting.send_longest_away(Instant::now());
        if let Ok(slot) = tokio::time::timeout(PATIENCE, Arc::clone(slots).acquire_owned()).await {
            return slot.map(admitted).map_err(io::Error::other);
        }
    }
}
