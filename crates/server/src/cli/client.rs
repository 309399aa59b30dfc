//! The command line as a client of the HTTP router: over the control socket when a server runs on this data folder, else
//! with the same router in this process. Either way the request carries the mark of the local operator.

use super::boot::{self, Access};
use super::{Failure, Global};
use crate::http::{LocalOperator, control};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tower::ServiceExt;

/// Where requests go.
pub(super) enum Client {
    /// To the server that holds the store.
    Socket(PathBuf),
    /// To a router of our own; the node closes its store at the end.
    InProcess(Router, boot::Node),
}

/// An answer's status and its body, whole.
struct Answer {
    status: u16,
    body: Bytes,
}

impl Client {
    /// Finds the server of this data folder, or opens the store that is there.
    pub(super) async fn connect(global: &Global) -> Result<Self, Failure> {
        Self::connect_with(global, Access::Find).await
    }

    /// The same for a command with which a store may begin.
    pub(super) async fn connect_or_make(global: &Global) -> Result<Self, Failure> {
        Self::connect_with(global, Access::Make).await
    }

    async fn connect_with(global: &Global, access: Access) -> Result<Self, Failure> {
        let loaded = boot::load(global, None)?;
        let socket = control::socket_path(&loaded.config.data_dir);
        if UnixStream::connect(&socket).await.is_ok() {
            return Ok(Self::Socket(socket));
        }
        let node = boot::open(loaded.config, access).await?;
        Ok(Self::InProcess(node.router(), node))
    }

    /// Whether a server answers, and not this very process.
    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Asks and returns the JSON of a good answer.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let answer = self.send(request(method, path, body)?).await?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if (200..300).contains(&answer.status) { Ok(value) } else { Err(refused(answer.status, &value)) }
    }

    /// Delivers a signed body as a provider would, and returns status and answer whatever they are.
    pub(super) async fn deliver(&self, path: &str, signature: (&str, &str), body: String) -> Result<(u16, String), Failure> {
        let request = Request::builder().method(Method::POST).uri(path).header(header::HOST, "localhost");
        let request = request.header(header::CONTENT_TYPE, "application/json").header(signature.0, signature.1);
        let request = request.body(Body::from(body)).map_err(|error| Failure::usage(format!("this makes no request: {error}")))?;
        let answer = self.send(request).await?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Asks and hands every line of the answer to `take` as it comes.
    pub(super) async fn stream(&self, method: Method, path: &str, mut take: impl FnMut(Value)) -> Result<(), Failure> {
        let request = request(method, path, None)?;
        let mut rest = Vec::new();
        let mut body = match self {
            Self::Socket(socket) => Body::new(send_over(socket, request).await?.into_body()),
            Self::InProcess(router, _) => in_process(router, request).await?.into_body(),
        };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::unavailable(format!("the answer broke off: {error}")))?;
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if let Ok(value) = serde_json::from_slice(&line) {
                    take(value);
                }
            }
        }
        Ok(())
    }

    /// Lets go of the store.
    pub(super) async fn close(self) {
        if let Self::InProcess(_, node) = self {
            node.close().await;
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::unavailable(format!("no answer: {error}"));
        let (status, body) = match self {
            Self::Socket(socket) => {
                let response = send_over(socket, request).await?;
                (response.status().as_u16(), response.into_body().collect().await.map_err(|error| broken(&error))?)
            }
            Self::InProcess(router, _) => {
                let response = in_process(router, request).await?;
                (response.status().as_u16(), response.into_body().collect().await.map_err(|error| broken(&error))?)
            }
        };
        Ok(Answer { status, body: body.to_bytes() })
    }
}

fn request(method: Method, path: &str, body: Option<&Value>) -> Result<Request<Body>, Failure> {
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = if body.is_some() { request.header(header::CONTENT_TYPE, "application/json") } else { request };
    request.body(Body::from(text)).map_err(|error| Failure::usage(format!("this makes no request: {error}")))
}

async fn in_process(router: &Router, mut request: Request<Body>) -> Result<axum::response::Response, Failure> {
    request.extensions_mut().insert(LocalOperator("local".to_owned()));
    match router.clone().oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

async fn send_over(socket: &Path, request: Request<Body>) -> Result<hyper::Response<Incoming>, Failure> {
    let broken =
        |error: &dyn std::fmt::Display| Failure::unavailable(format!("the server does not answer on {}: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|error| broken(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| broken(&error))
}

/// A problem as one line for people.
fn refused(status: u16, problem: &Value) -> Failure {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match text("detail") {
        "" => format!("the server answered {status}"),
        detail => format!("{detail} ({})", text("code")),
    };
    let exit = if status == 503 { super::exit::UNAVAILABLE } else { super::exit::FAILED };
    Failure::new(exit, message)
}

/// A path segment, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
