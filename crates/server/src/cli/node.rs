//! A node at work: listeners, control socket, workers, and the drain. SIGTERM or SIGINT drains; a second one ends at once.
//!
//! The order of a drain: not ready → stop accepting → let open requests end → stop claiming → let jobs end or give up their
//! leases → stop answering probes → close the store. A store that says it must not be written to any more ends the
//! process with 75.

use super::boot::Node;
use super::{Failure, Outcome, healthcheck};
use crate::config::Config;
use crate::http::control::Control;
use crate::http::operations::ops_router;
use crate::http::serve::{Addresses, ListenLimits, serve};
use crate::worker;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an open request of a probe may hold up the end of a drain.
const PROBE_DRAIN: Duration = Duration::from_secs(1);
/// How often the store is asked whether it has failed for good.
const FAILURE_POLL: Duration = Duration::from_millis(200);

/// What a node does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Duties {
    /// Answer requests.
    pub(crate) api: bool,
    /// Carry out jobs.
    pub(crate) worker: bool,
}

/// Listeners that are bound, so that a port that is taken is known before anything starts.
pub(crate) struct Listeners {
    api: Option<TcpListener>,
    ops: TcpListener,
}

impl Listeners {
    /// Binds what the duties need.
    pub(crate) async fn bind(config: &Config, duties: Duties) -> Result<Self, Failure> {
        let api = if duties.api { Some(bind(config.server.listen).await?) } else { None };
        Ok(Self { api, ops: bind(config.server.ops_listen).await? })
    }

    /// Where the API listens; port 0 in the settings has become a real one.
    pub(crate) fn api_address(&self) -> Option<SocketAddr> {
        self.api.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where the operations listener ended up.
    pub(crate) fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.local_addr().ok()
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::unavailable(format!("cannot listen on {address}: {error}")))
}

/// Works until told to stop.
pub(crate) async fn run(node: Node, listeners: Listeners, duties: Duties) -> Outcome {
    let stop = CancellationToken::new();
    let signals = tokio::spawn(wait_for_signals(stop.clone()));
    announce(&node, &listeners);
    let failure = work(&node, listeners, duties, stop).await;
    signals.abort();
    node.close().await;
    match failure {
        None => Ok(()),
        Some(why) => Err(Failure::unavailable(format!("the store failed and this process must not go on: {why}"))),
    }
}

/// Lets `healthcheck` find this node. It works without.
fn announce(node: &Node, listeners: &Listeners) {
    let announced = listeners.api_address().map(|address| healthcheck::announce(&node.app.config.data_dir, address));
    if let Some(Err(error)) = announced {
        tracing::warn!(%error, "`ordermill healthcheck` must be told where this server listens");
    }
}

/// The node's tasks, from start to the end of the drain; returns why the store failed, if it did.
pub(crate) async fn work(node: &Node, listeners: Listeners, duties: Duties, stop: CancellationToken) -> Option<String> {
    let config = Arc::clone(&node.app.config);
    let drain = Duration::from_millis(config.server.drain_ms);
    let limits = ListenLimits {
        connections_max: config.server.connections_max,
        addresses: Addresses::new(&config.server),
        header_timeout: Duration::from_millis(config.server.header_timeout_ms),
        drain,
    };
    super::file_limit::raise_for(config.server.connections_max);
    let (stop_listening, stop_working, stop_probes) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (edges, workers) = (TaskTracker::new(), TaskTracker::new());
    // Before anybody is served: whoever sees a node that is ready can reach it by commands.
    let control = control_socket(&config).await;
    if let Some(api) = listeners.api {
        edges.spawn(serve(api, node.router(), limits.clone(), stop_listening.clone()));
    }
    // Whoever watches a drain must see "not ready", not "nobody there": this listener closes last.
    let probe_limits = ListenLimits { drain: drain.min(PROBE_DRAIN), addresses: Addresses::unlimited(), ..limits };
    let probes = tokio::spawn(serve(listeners.ops, ops_router(node.shared.clone()), probe_limits, stop_probes.clone()));
    if let Some(control) = control {
        edges.spawn(control.serve(node.router(), stop_listening.clone()));
    }
    if duties.worker {
        let name = format!("pid-{}", std::process::id());
        workers.spawn(worker::run(Arc::clone(&node.app), name, stop_working.clone(), drain));
    }
    if let Some(simulator) = &node.simulator {
        let deliveries = Arc::clone(simulator).deliver_webhooks(node.http.clone(), stop_working.clone());
        workers.spawn(deliveries);
    }
    let failure = tokio::select! {
        () = stop.cancelled() => None,
        why = store_failure(node) => Some(why),
    };
    node.shared.readiness.drain();
    tracing::info!("draining");
    stop_listening.cancel();
    edges.close();
    edges.wait().await;
    stop_working.cancel();
    workers.close();
    workers.wait().await;
    stop_probes.cancel();
    if let Err(error) = probes.await {
        tracing::error!(%error, "the probes ended badly");
    }
    failure
}

/// The socket through which commands find this node. It works without one too.
async fn control_socket(config: &Config) -> Option<Control> {
    match Control::bind(&config.data_dir).await {
        Ok(control) => Some(control),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let data_dir = config.data_dir.display();
            tracing::warn!(%data_dir, "another node answers on the control socket of this data folder: commands reach that one, not this");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "no control socket: commands will not find this server");
            None
        }
    }
}

async fn store_failure(node: &Node) -> String {
    loop {
        if let Some(why) = node.app.store.failure() {
            return why;
        }
        tokio::time::sleep(FAILURE_POLL).await;
    }
}

/// The first signal drains; the second ends the process at once, which every crash test says is safe.
async fn wait_for_signals(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("cannot listen for signals: only SIGKILL will stop this process");
        return;
    };
    for count in 0.. {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if count > 0 {
            tracing::warn!("second signal: ending now");
            std::process::abort();
        }
        stop.cancel();
    }
}
