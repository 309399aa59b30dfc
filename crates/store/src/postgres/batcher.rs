//! The one task of a node that writes changes: it takes what waits, admits it by the pure rule, writes it in one
//! transaction and answers everybody after the commit.
//!
//! It is optimistic about keys that must be absent: a plain read, then an insert. When a rival node takes such a key in
//! between, the insert fails and the batch runs again from its reads. A commit whose answer was lost is never guessed at:
//! each batch leaves a row, and [`Batcher::settle_doubt`] asks for it. This file must not know what the statements say.

use super::clock::Clock;
use super::connect::Endpoint;
use super::guards::{self, Reads};
use super::keys::column;
use super::pipeline;
use super::trouble::{Trouble, answer, within};
use super::write;
use crate::encode::Encoded;
use crate::{CommitError, failpoint};
use deadpool_postgres::ClientWrapper;
use ordermill_core::admit::{admit, disjoint_prefix};
use ordermill_core::change::{Change, Guard};
use ordermill_core::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

/// The most changes of one transaction: more would hold rivals' locks longer than a flush saves.
const MAX_BATCH: usize = 128;
/// How many changes are looked at when a batch is put together; the rest waits in the channel and so slows its senders.
const MAX_WAITING: usize = MAX_BATCH * 2;
/// How often a batch is run again because rivals were in the way, before its changes run one by one.
const MAX_RIVALS: u32 = 3;
/// How often a batch is run again on a new connection before it is refused.
const MAX_LOST: u32 = 8;
/// After this a batch is not run again in any form: its callers have better things to do than to wait.
const BATCH_TIME: Duration = Duration::from_secs(20);
/// How long a batch waits for a server that cannot be reached, such as one that restarts.
const RECONNECT_TIME: Duration = Duration::from_secs(3);
/// How long a commit in doubt is asked about. Longer than a server holds a transaction whose node went silent.
const DOUBT_TIME: Duration = Duration::from_secs(10);
/// The pause between two tries to reach the server.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Claims a batch's id for ever: answers whether the batch was committed, and if it was not, it never will be. While the
/// old transaction may still commit, the statement waits for it.
const SETTLE: &str = "INSERT INTO batches (id, is_applied) VALUES ($1, false) \
     ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING is_applied";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[SETTLE];

/// What the batcher says about one change.
pub(super) type Answer = Result<(), CommitError>;

/// What the batcher is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// To commit a change.
    One(Waiting),
    /// To commit changes as if they had arrived at the same moment.
    #[cfg(feature = "test-support")]
    Together(Vec<Encoded>, oneshot::Sender<Vec<Answer>>),
}

/// A change that waits for its batch.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) encoded: Encoded,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Why a try did not end in answers.
enum Setback {
    /// Nothing was committed.
    Trouble(Trouble),
    /// The server cannot be reached; nothing was committed.
    Down(String),
    /// The answer to the COMMIT was lost.
    Doubt { batch: Uuid, answers: Vec<Answer>, why: String },
}

/// How a doubt ended.
enum Settled {
    Applied,
    /// Not committed, and now it never will be.
    Void,
    Unreachable(String),
}

/// The writer of one node.
pub(super) struct Batcher {
    endpoint: Endpoint,
    connection: Option<ClientWrapper>,
    clock: Arc<Clock>,
    work: Arc<Notify>,
    serials: Serials,
    /// Set when the last batch could not reach the server: the next one then tries only once.
    is_down: bool,
}

impl Batcher {
    pub(super) const fn new(endpoint: Endpoint, connection: ClientWrapper, clock: Arc<Clock>, work: Arc<Notify>, opening: Uuid) -> Self {
        Self { endpoint, connection: Some(connection), clock, work, serials: Serials::new(opening), is_down: false }
    }

    /// Works until every sender is gone and everything accepted is answered.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match inbox.recv().await {
                    Some(message) => self.take(message, &mut waiting).await,
                    None => return,
                }
            }
            while waiting.len() < MAX_WAITING {
                match inbox.try_recv() {
                    Ok(message) => self.take(message, &mut waiting).await,
                    Err(_) => break,
                }
            }
            let batch = disjoint_prefix(&mut waiting, MAX_BATCH, |waiting| &waiting.encoded.change);
            let changes: Vec<&Encoded> = batch.iter().map(|waiting| &waiting.encoded).collect();
            let answers = self.commit_batch(&changes).await;
            for (waiting, answer) in batch.into_iter().zip(answers) {
                // Whoever gave up waiting does not hear the answer.
                drop(waiting.reply.send(answer));
            }
        }
    }

    async fn take(&mut self, message: Message, waiting: &mut VecDeque<Waiting>) {
        match message {
            Message::One(one) => waiting.push_back(one),
            #[cfg(feature = "test-support")]
            Message::Together(changes, reply) => {
                let answers = self.commit_together(&changes).await;
                drop(reply.send(answers));
            }
        }
    }

    #[cfg(feature = "test-support")]
    async fn commit_together(&mut self, changes: &[Encoded]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = changes.iter().map(|_| Ok(())).collect();
        let mut waiting: VecDeque<(usize, &Encoded)> = changes.iter().enumerate().collect();
        while !waiting.is_empty() {
            let batch = disjoint_prefix(&mut waiting, MAX_BATCH, |(_, encoded)| &encoded.change);
            let encoded: Vec<&Encoded> = batch.iter().map(|(_, encoded)| *encoded).collect();
            for ((place, _), answer) in batch.iter().zip(self.commit_batch(&encoded).await) {
                if let Some(slot) = answers.get_mut(*place) {
                    *slot = answer;
                }
            }
        }
        answers
    }

    /// Commits disjoint changes, together if it can be done, otherwise one by one.
    async fn commit_batch(&mut self, changes: &[&Encoded]) -> Vec<Answer> {
        let deadline = Instant::now() + BATCH_TIME;
        let trouble = match self.persist(changes, deadline).await {
            Ok(answers) => return answers,
            Err(trouble) => trouble,
        };
        if changes.len() == 1 {
            return vec![Err(refusal(&trouble))];
        }
        tracing::warn!(changes = changes.len(), why = trouble.why(), "a batch could not be written; its changes are tried one by one");
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let one =
                if Instant::now() < deadline { self.persist(std::slice::from_ref(change), deadline).await } else { Err(trouble.clone()) };
            answers.extend(one.unwrap_or_else(|trouble| vec![Err(refusal(&trouble))]));
        }
        answers
    }

    /// Runs a batch until there are answers. An error means that each change should be tried alone.
    async fn persist(&mut self, changes: &[&Encoded], deadline: Instant) -> Result<Vec<Answer>, Trouble> {
        let (mut rivals, mut lost) = (0, 0);
        loop {
            let setback = match self.run_once(changes).await {
                Ok(answers) => return Ok(answers),
                Err(setback) => setback,
            };
            let is_late = Instant::now() >= deadline;
            match setback {
                Setback::Down(why) => return Ok(nothing_applied(changes, &why)),
                Setback::Doubt { batch, answers, why } => match self.settle_doubt(batch, &why).await {
                    Settled::Applied => return Ok(self.announce(changes, answers)),
                    Settled::Void if is_late || lost >= MAX_LOST => return Ok(nothing_applied(changes, &why)),
                    Settled::Void => lost += 1,
                    Settled::Unreachable(why) => return Ok(in_doubt(answers, &why)),
                },
                Setback::Trouble(trouble) => {
                    tracing::debug!(why = trouble.why(), rivals, lost, "a batch did not go through");
                    self.roll_back(&trouble).await;
                    match trouble {
                        Trouble::Overwhelmed(why) => return Ok(nothing_applied(changes, &why)),
                        Trouble::Lost(why) if is_late || lost >= MAX_LOST => return Ok(nothing_applied(changes, &why)),
                        Trouble::Lost(_) => lost += 1,
                        Trouble::Rival(_) if !is_late && rivals < MAX_RIVALS => rivals += 1,
                        Trouble::Rival(_) | Trouble::Refused(_) | Trouble::Corrupt { .. } => return Err(trouble),
                    }
                }
            }
        }
    }

    /// One transaction: read under locks, admit, write, commit.
    async fn run_once(&mut self, changes: &[&Encoded]) -> Result<Vec<Answer>, Setback> {
        let (offset_us, serial) = (self.clock.offset_us(), self.serials.next());
        let client = self.connect().await?;
        let reads = guards::read(client, changes, offset_us).await?;
        let answers = judge(changes, &reads);
        let admitted: Vec<&Encoded> =
            changes.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(change, _)| *change).collect();
        if admitted.is_empty() {
            answer(client.batch_execute("ROLLBACK")).await?;
            return Ok(answers);
        }
        let batch = batch_id(reads.now, serial);
        let steps = write::steps(&admitted, &reads, batch)?;
        pipeline::write(client, &steps).await?;
        failpoint::hit("store.before_commit").map_err(|injected| Trouble::Overwhelmed(injected.to_string()))?;
        let doubt = |answers, why| Setback::Doubt { batch, answers, why };
        if let Err(trouble) = answer(client.batch_execute("COMMIT")).await {
            return Err(doubt(answers, trouble.why()));
        }
        if let Err(injected) = failpoint::hit("store.after_commit") {
            return Err(doubt(answers, injected.to_string()));
        }
        Ok(self.announce(changes, answers))
    }

    /// The connection, made anew if there is none.
    async fn connect(&mut self) -> Result<&ClientWrapper, Setback> {
        let deadline = Instant::now() + RECONNECT_TIME;
        while self.connection.as_ref().is_none_or(|connection| connection.is_closed()) {
            match self.endpoint.connect().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.is_down = false;
                }
                Err(trouble) if self.is_down || Instant::now() >= deadline => {
                    self.is_down = true;
                    return Err(Setback::Down(trouble.why()));
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
        self.connection.as_ref().ok_or_else(|| Setback::Down("there is no connection".to_owned()))
    }

    /// Makes the connection usable again after trouble, or lets go of it.
    async fn roll_back(&mut self, trouble: &Trouble) {
        let is_clean = match &self.connection {
            Some(connection) if !trouble.is_lost() => answer(connection.batch_execute("ROLLBACK")).await.is_ok(),
            _ => false,
        };
        if !is_clean {
            self.connection = None;
        }
    }

    /// Finds out what became of a COMMIT whose answer was lost, and makes sure that it stays so.
    async fn settle_doubt(&mut self, batch: Uuid, why: &str) -> Settled {
        tracing::warn!(%batch, why, "the answer to a COMMIT was lost; asking what became of it");
        self.connection = None;
        let deadline = Instant::now() + DOUBT_TIME;
        loop {
            match within(DOUBT_TIME, self.ask_about(batch)).await {
                Ok(true) => return Settled::Applied,
                Ok(false) => return Settled::Void,
                Err(trouble) if Instant::now() >= deadline => return Settled::Unreachable(trouble.why()),
                Err(_) => {
                    self.connection = None;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn ask_about(&mut self, batch: Uuid) -> Result<bool, Trouble> {
        let connection = self.endpoint.connect().await?;
        let row = connection.query_one(SETTLE, &[&batch]).await?;
        self.connection = Some(connection);
        column(&row, 0)
    }

    /// Wakes waiting workers when there is work for them.
    fn announce(&self, changes: &[&Encoded], answers: Vec<Answer>) -> Vec<Answer> {
        if changes.iter().zip(&answers).any(|(change, answer)| answer.is_ok() && write::makes_work(change)) {
            self.work.notify_waiters();
        }
        answers
    }
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Admits what can be admitted. A change that names an unreadable row fails without being judged.
fn judge(changes: &[&Encoded], reads: &Reads) -> Vec<Answer> {
    let mut answers: Vec<Answer> = changes.iter().map(|encoded| readable(&encoded.change, reads)).collect();
    let judged: Vec<usize> = answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).map(|(place, _)| place).collect();
    let candidates: Vec<&Change> = judged.iter().filter_map(|place| changes.get(*place)).map(|encoded| &*encoded.change).collect();
    for (place, verdict) in judged.into_iter().zip(admit(&candidates, &reads.found)) {
        if let Some(answer) = answers.get_mut(place) {
            *answer = verdict.map_err(CommitError::from);
        }
    }
    answers
}

fn readable(change: &Change, reads: &Reads) -> Answer {
    for guard in &change.expects {
        if let Guard::Absent(key) | Guard::Version(key, _) = guard
            && let Some(why) = reads.corrupt.get(key)
        {
            return Err(CommitError::Corrupt { key: format!("{key:?}"), why: why.clone() });
        }
    }
    Ok(())
}

fn nothing_applied(changes: &[&Encoded], why: &str) -> Vec<Answer> {
    changes.iter().map(|_| Err(CommitError::Unavailable(why.to_owned()))).collect()
}

/// The answers when a commit stays in doubt. Conflicts may rest on changes of the same batch that were never applied.
fn in_doubt(answers: Vec<Answer>, why: &str) -> Vec<Answer> {
    let doubted = |answer: Answer| match answer {
        Ok(()) => Err(CommitError::Unknown(why.to_owned())),
        Err(CommitError::Conflict(_)) => Err(CommitError::Unavailable(why.to_owned())),
        Err(other) => Err(other),
    };
    answers.into_iter().map(doubted).collect()
}

fn refusal(trouble: &Trouble) -> CommitError {
    match trouble {
        Trouble::Corrupt { key, why } => CommitError::Corrupt { key: key.clone(), why: why.clone() },
        other => CommitError::Unavailable(other.why()),
    }
}

/// What makes the ids of this opening's batches differ from all others: 48 random bits, then a count.
#[derive(Debug)]
struct Serials {
    opening: u128,
    count: u32,
}

impl Serials {
    const fn new(opening: Uuid) -> Self {
        Self { opening: opening.as_u128() >> 80 << 32, count: 0 }
    }

    fn next(&mut self) -> u128 {
        self.count = self.count.wrapping_add(1);
        self.opening | u128::from(self.count)
    }
}

/// A batch's id: 48 bits of its time, by which old ones are found, then its serial.
fn batch_id(now: Timestamp, serial: u128) -> Uuid {
    Uuid::from_u128(u128::from(now.unix_ms()) << 80 | serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_sort_by_time_and_never_share_an_id() {
        let mut one = Serials::new(Uuid::from_u128(u128::MAX));
        let mut other = Serials::new(Uuid::from_u128(u128::MAX >> 1));
        let now = Timestamp::from_millis(1_768_705_445_000);
        let (first, second) = (batch_id(now, one.next()), batch_id(now, one.next()));
        assert!(first < second && second < batch_id(now.plus_ms(1), other.next()));
        assert_ne!(first, batch_id(now, Serials::new(Uuid::from_u128(u128::MAX >> 1)).next()));
        // As `sweep` makes the bound out of a time.
        assert!(first.simple().to_string().starts_with(&format!("{:012x}", now.unix_ms())));
    }
}
