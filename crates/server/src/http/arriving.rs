//! A request's body on its way: until it is whole its sender waits in line, and may have to give way (F51). What is whole only
//! after that is not handed on: nothing must be begun for a client that is being sent away. This file must not read ahead.

use super::waiting::Place;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A body that says of its sender when it has arrived.
pub(super) struct Arriving {
    body: Body,
    /// None once it has arrived.
    place: Option<Arc<Place>>,
}

impl Arriving {
    /// From now on the sender waits, unless there is nothing to wait for.
    pub(super) fn watch(body: Body, place: &Arc<Place>) -> Body {
        if body.is_end_stream() {
            place.serve();
            return body;
        }
        place.wait();
        Body::new(Self { body, place: Some(Arc::clone(place)) })
    }

    fn has_arrived(&mut self) -> bool {
        self.place.take().is_none_or(|place| place.serve())
    }
}

impl Drop for Arriving {
    /// Nobody wants the rest: whoever let go of it works on an answer.
    fn drop(&mut self) {
        self.has_arrived();
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let is_end = matches!(polled, Poll::Ready(None | Some(Err(_)))) || (polled.is_ready() && self.body.is_end_stream());
        if is_end && !self.has_arrived() {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::other("it came too slowly and gave way")))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::waiting::Waiting;
    use super::*;
    use http_body_util::{BodyExt, StreamBody};
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    type Sent = mpsc::UnboundedSender<Frame<Bytes>>;

    fn body() -> (Sent, Body) {
        let (sender, mut frames) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |context| frames.poll_recv(context).map(|frame| frame.map(Ok::<_, io::Error>)));
        (sender, Body::new(StreamBody::new(stream)))
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_body_that_is_whole_in_time_arrives_and_its_sender_no_longer_waits() {
        let waiting = Arc::new(Waiting::default());
        let place = Waiting::beside(&waiting);
        let (sender, body) = body();
        let body = Arriving::watch(body, &place);
        sender.send(data("whole")).unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        assert!(!waiting.send_longest_away(Instant::now() + Duration::from_mins(1)), "nobody waits");
        assert!(Arriving::watch(Body::empty(), &place).is_end_stream());
        assert!(!waiting.send_longest_away(Instant::now() + Duration::from_mins(1)), "there is nothing to wait for");
    }

    #[tokio::test]
    async fn what_is_whole_only_after_its_sender_gave_way_is_not_handed_on() {
        let waiting = Arc::new(Waiting::default());
        let place = Waiting::beside(&waiting);
        let (sender, body) = body();
        let mut body = Arriving::watch(body, &place);
        sender.send(data("hal")).unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(waiting.send_longest_away(Instant::now() + Duration::from_mins(1)));
        place.gives_way().await;
        sender.send(data("f")).unwrap();
        drop(sender);
        let mut last = body.frame().await.unwrap();
        if last.is_ok() {
            last = body.frame().await.unwrap();
        }
        assert!(last.is_err(), "the end is not told");
    }
}
