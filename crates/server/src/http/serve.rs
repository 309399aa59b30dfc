//! Our own accept loop: a header time limit (slow clients are cut off), a cap on connections, and a drain. The framework's
//! own loop has none of these.

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the loop rests when the machine has no file handles left (F40): it must neither spin nor die.
const REST: Duration = Duration::from_millis(50);

/// How a listener treats its clients.
#[derive(Debug, Clone, Copy)]
pub struct ListenLimits {
    /// Connections at once; further ones wait in the kernel.
    pub connections_max: usize,
    /// How long a client may take to send its headers.
    pub header_timeout: Duration,
    /// How long open requests may go on after the stop.
    pub drain: Duration,
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, limits: ListenLimits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections_max.max(1)));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let service = TowerToHyperService::new(router.clone().map_request(|request: Request<Incoming>| request.map(axum::body::Body::new)));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
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

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}
