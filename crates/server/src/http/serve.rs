//! Our own accept loop: a header time limit, a cap on connections that slow clients cannot keep for themselves, an end for
//! those who take nothing of their answers, and a drain. The framework's own loop has none of these.

mod addresses;
mod door;
mod stall;

pub use addresses::Addresses;

use super::arriving::Arriving;
use super::client::Peer;
use super::waiting::{Place, Waiting};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use door::{Admitted, Door};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::set_socket_send_buffer_size;
use stall::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the loop rests when the machine has no file handles left (F40): it must neither spin nor die.
const REST: Duration = Duration::from_millis(50);
/// The same when somebody was sent away, whose handle will be free in a moment.
const SHORT_REST: Duration = Duration::from_millis(2);

/// How large the head of a request may be, and how much of a body lies in a connection's buffer at once: with the number of
/// connections, the bound of what clients can make us remember.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// How much of an answer the kernel takes for a client that does not read it. Left to itself it takes megabytes: memory, and time to
/// copy them, for every request that somebody sends without wanting the answer.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

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
    let door = Door::new(limits.connections_max, limits.addresses);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = door.next(&listener) => accepted,
        };
        let Admitted { stream, peer, counted } = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Whoever waits longest gives their handle back.
                let has_room = door.make_room();
                tokio::time::sleep(if has_room { SHORT_REST } else { REST }).await;
                continue;
            }
        };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "a connection as the system makes them");
        }
        let place = Waiting::join(door.waiting());
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

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::socket_send_buffer_size;

    #[tokio::test]
    async fn the_kernel_takes_little_for_who_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        // Linux doubles what it is asked for, to count its own overhead.
        assert_eq!(socket_send_buffer_size(&stream).unwrap(), 2 * SEND_BUFFER_BYTES);
    }
}
