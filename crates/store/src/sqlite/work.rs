//! What can be handed to the writer, and how its answer finds the way back. This file must not touch the database.

use super::failure::Failure;
use crate::encode::{Encoded, encode};
use crate::{CommitError, StoreError};
use ordermill_core::change::Change;
use ordermill_core::time::Timestamp;
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One thing for the writer to do.
pub(super) enum Work {
    /// A change, to be written in one batch with whatever else waits.
    Commit(Commit),
    /// Changes that arrive at the same moment, in batches of their own.
    #[cfg_attr(not(feature = "test-support"), expect(dead_code, reason = "only tests hand over several changes at once"))]
    Together(Vec<Commit>),
    /// Other writing, done inside a batch's transaction after its changes.
    Step(Box<dyn Step>),
    /// Something that needs the connection for itself, outside of a transaction.
    Alone(Box<dyn Step>),
    /// The last item: what was accepted before is finished, nothing is accepted after.
    Close,
}

/// A change and who waits for it.
pub(super) struct Commit {
    /// The change.
    pub(super) change: Arc<Change>,
    /// Its text forms, or why no store may take it.
    pub(super) encoded: Result<Encoded, CommitError>,
    reply: oneshot::Sender<Result<(), CommitError>>,
}

impl Commit {
    /// Encodes a change, in the caller's task.
    pub(super) fn new(change: &Arc<Change>) -> (Self, oneshot::Receiver<Result<(), CommitError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { change: Arc::clone(change), encoded: encode(change), reply }, answer)
    }

    /// Answers whoever waits; nobody may.
    pub(super) fn answer(self, result: Result<(), CommitError>) {
        drop(self.reply.send(result));
    }
}

/// Work other than a change. It may be run twice: a transaction that fails is taken back and tried again piece by piece.
pub(super) trait Step: Send {
    /// Does it and keeps the result.
    fn run(&mut self, db: &mut Connection, now: Timestamp) -> Result<(), Failure>;
    /// Answers with the kept result, or with why it is void.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A [`Step`] made of a function and somebody who waits for its result.
pub(super) struct Ask<T, F> {
    run: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Ask<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Connection, Timestamp) -> Result<T, Failure> + Send + 'static,
{
    /// A step that answers with what `run` returns.
    pub(super) fn boxed(run: F) -> (Box<dyn Step>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { run, result: None, reply }), answer)
    }
}

impl<T, F> Step for Ask<T, F>
where
    T: Send,
    F: FnMut(&mut Connection, Timestamp) -> Result<T, Failure> + Send,
{
    fn run(&mut self, db: &mut Connection, now: Timestamp) -> Result<(), Failure> {
        self.result = None;
        self.result = Some((self.run)(db, now)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let missing = || StoreError::Unavailable("the writer never came to it".to_owned());
        drop(reply.send(outcome.and_then(|()| result.ok_or_else(missing))));
    }
}
