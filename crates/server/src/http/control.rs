//! The control socket: the same router for the person who owns the data folder. The file is theirs alone (0600), and the
//! kernel says who connects; whoever it is acts as the local operator.

use super::LocalOperator;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the loop rests when no file handles are left.
const REST: Duration = Duration::from_millis(50);

/// Where the socket of a data folder lies.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// A control socket that is being listened on.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Control {
    /// Listens on the data folder's socket. The caller holds the store, so a socket that is there is a leftover.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = socket_path(data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(&path)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Serves until `stop`, then removes the socket.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.welcome(stream, &router),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        drop(std::fs::remove_file(&self.path));
    }

    fn welcome(&self, stream: UnixStream, router: &Router) {
        let uid = stream.peer_cred().map(|peer| peer.uid());
        // Root could read the socket's file anyway.
        if !uid.as_ref().is_ok_and(|uid| *uid == self.owner || *uid == 0) {
            tracing::warn!(?uid, "somebody else knocked on the control socket");
            return;
        }
        let operator = LocalOperator(uid.map(|uid| format!("uid-{uid}")).unwrap_or_default());
        let service = router.clone().map_request(move |request: Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(operator.clone());
            request
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(5))
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended badly");
            }
        });
    }
}
