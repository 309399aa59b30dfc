//! What a refused request was still sending. A connection closed on unread bytes is reset, and the reset can overtake our
//! answer: the client would see a broken pipe instead of the reason. So the rest is read and thrown away, within limits.
//! This file must not look at what it throws away, nor delay an answer that is no refusal.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// The most bytes that are thrown away; whoever sends more may miss the answer.
const BYTES_MAX: usize = 1024 * 1024;
/// The longest that a client may take over it.
const TIME_MAX: Duration = Duration::from_secs(1);

/// The outermost layer: lends the body out, and empties what comes back unread with a refusal.
pub(super) async fn drain(request: Request, next: Next) -> Response {
    // Such a client sends nothing until it is told to go on, and a refusal tells it not to.
    if request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (returned, mut rest) = oneshot::channel();
    let response = next.run(request.map(|body| Body::new(Lent { body: Some(body), returned: Some(returned) }))).await;
    if response.status().is_client_error()
        && let Ok(body) = rest.try_recv()
        && tokio::time::timeout(TIME_MAX, throw_away(body)).await.is_err()
    {
        tracing::debug!("a refused client went on sending");
    }
    response
}

async fn throw_away(mut body: Body) {
    let mut thrown = 0_usize;
    while thrown < BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        thrown = thrown.saturating_add(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// A body that comes back when its reader lets go of it.
struct Lent {
    body: Option<Body>,
    returned: Option<oneshot::Sender<Body>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(returned)) = (self.body.take(), self.returned.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it any more when the connection is gone.
            drop(returned.send(body));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
