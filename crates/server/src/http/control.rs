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
    /// Which file it is, among all that may come to lie at its path.
    file: FileId,
}

/// A file's device and number there.
type FileId = (u64, u64);

impl Control {
    /// Listens on the data folder's socket. A socket on which nobody answers is the leftover of a process that died. One
    /// on which somebody answers is another node's, which only a store that many share allows: it is left alone
    /// (`AddrInUse`).
    pub async fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = socket_path(data_dir);
        match UnixStream::connect(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove(&path)?,
            // Answered, or too busy to answer: in both cases somebody lives there.
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let metadata = std::fs::metadata(&path)?;
        Ok(Self { listener, owner: metadata.uid(), file: (metadata.dev(), metadata.ino()), path })
    }

    /// Serves until `stop`, then removes the socket if it is still this one that lies there.
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
        let lies_there = std::fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if lies_there.is_ok_and(|file| file == self.file) {
            drop(remove(&self.path));
        }
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

/// Removes a file that somebody else may have removed meanwhile.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
