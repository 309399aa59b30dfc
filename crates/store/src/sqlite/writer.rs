//! The one thread that writes. It takes what waits, makes a batch of changes that do not touch each other, and commits
//! them with one flush; while the disk is busy the next batch gathers by itself, so nothing is ever delayed on purpose.
//!
//! A batch that fails is taken back and tried one piece at a time, so that a bad change fails alone. A disk error while
//! committing ends the store: nobody can say what is on the disk, and flushing again would only hide it.

use super::failure::{Failure, Trouble, commit_error};
use super::statement::statements;
use super::status::{Status, closed};
use super::wake::Wake;
use super::work::{Ask, Commit, Step, Work};
use super::{checkpoint, found, write};
use crate::clock::StoreClock;
use crate::{CommitError, StoreError, failpoint};
use ordermill_core::admit::{Found, admit, disjoint_prefix};
use ordermill_core::change::Change;
use ordermill_core::time::Timestamp;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

/// The most changes one commit carries: few enough that nobody waits long behind others, enough to share one flush.
pub(super) const MAX_BATCH: usize = 256;
/// The most other work one commit carries.
const MAX_STEPS: usize = 64;
/// How much work may wait before callers have to.
const QUEUE_DEPTH: usize = 1_024;

statements! {
    BEGIN = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
}

/// The way to the writer, for everybody else.
#[derive(Debug)]
pub(super) struct WriterHandle {
    /// Taken at the end, so that the thread sees that nobody is left.
    sender: Option<mpsc::Sender<Work>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriterHandle {
    /// Starts the thread.
    pub(super) fn start(db: Connection, clock: StoreClock, status: Arc<Status>, wake: Arc<Wake>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_DEPTH);
        let mut writer =
            Writer { db, clock, status, wake, receiver, waiting: VecDeque::new(), steps: Vec::new(), barrier: None, is_closing: false };
        let thread = std::thread::Builder::new().name("ordermill-writer".to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                writer.status.fail("the writer panicked");
            }
        })?;
        Ok(Self { sender: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    /// A way to the writer that does not keep it alive.
    pub(super) fn downgrade(&self) -> Option<mpsc::WeakSender<Work>> {
        self.sender.as_ref().map(mpsc::Sender::downgrade)
    }

    /// Commits a change.
    pub(super) async fn commit(&self, change: &Arc<Change>) -> Result<(), CommitError> {
        let (commit, answer) = Commit::new(change);
        // A change that no store may take is refused here: it would only be in the others' way.
        if let Err(fault) = &commit.encoded {
            return Err(fault.clone());
        }
        self.send(Work::Commit(commit)).await.map_err(commit_error)?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }

    /// Hands over changes as if they had arrived at the same moment; results in their order.
    #[cfg(feature = "test-support")]
    pub(super) async fn commit_together(&self, changes: &[Arc<Change>]) -> Vec<Result<(), CommitError>> {
        let (commits, answers): (Vec<_>, Vec<_>) = changes.iter().map(Commit::new).unzip();
        if let Err(error) = self.send(Work::Together(commits)).await {
            return changes.iter().map(|_| Err(commit_error(error.clone()))).collect();
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.unwrap_or_else(|_| Err(unknown())));
        }
        results
    }

    /// Runs a function inside the next batch's transaction.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Connection, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (step, answer) = Ask::boxed(run);
        self.send(Work::Step(step)).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Runs a function between two batches, outside of a transaction.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Connection, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (step, answer) = Ask::boxed(run);
        self.send(Work::Alone(step)).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Lets the thread finish what it accepted, and waits for its end.
    pub(super) async fn close(&self) {
        // Already closed is as good.
        let _is_open = self.send(Work::Close).await.is_ok();
        let thread = super::status::lock(&self.thread).take();
        if let Some(thread) = thread {
            join_elsewhere(thread).await;
        }
    }

    async fn send(&self, work: Work) -> Result<(), StoreError> {
        let sender = self.sender.as_ref().ok_or_else(closed)?;
        sender.send(work).await.map_err(|_| closed())
    }
}

impl Drop for WriterHandle {
    /// Finishes what was accepted, so that whoever opens the store next finds it whole and unlocked.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = super::status::lock(&self.thread).take() {
            drop(thread.join());
        }
    }
}

/// Waits for a thread's end without holding up other tasks.
pub(super) async fn join_elsewhere(thread: JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("a thread of the store did not end as it should");
    }
}

fn unknown() -> CommitError {
    CommitError::Unknown("the writer stopped before it answered".to_owned())
}

fn gone() -> StoreError {
    StoreError::Unavailable("the writer stopped before it answered".to_owned())
}

/// Why a transaction did not end well.
enum Stop {
    /// Nothing of it was applied.
    Before(Failure),
    /// It may have been applied; the disk can no longer be trusted.
    DiskFailed(String),
    /// It was applied, but a fail point wants it to look as if nobody knew.
    AfterInjected(String),
}

struct Writer {
    db: Connection,
    clock: StoreClock,
    status: Arc<Status>,
    wake: Arc<Wake>,
    receiver: mpsc::Receiver<Work>,
    /// Changes in order of arrival.
    waiting: VecDeque<Commit>,
    steps: Vec<Box<dyn Step>>,
    /// What must not be mixed with what came before it.
    barrier: Option<Work>,
    is_closing: bool,
}

impl Writer {
    /// Works until nobody is left who could ask, or the disk failed.
    fn run(&mut self) {
        while self.status.failure().is_none() {
            if self.waiting.is_empty() && self.steps.is_empty() && self.barrier.is_none() {
                let Some(work) = self.receiver.blocking_recv() else { return };
                self.take(work);
            }
            self.gather();
            let commits = disjoint_prefix(&mut self.waiting, MAX_BATCH, |commit| &commit.change);
            let steps = std::mem::take(&mut self.steps);
            if !commits.is_empty() || !steps.is_empty() {
                self.batch(commits, steps);
            }
            if self.waiting.is_empty() && self.steps.is_empty() {
                self.pass_barrier();
            }
        }
        self.refuse_the_rest();
    }

    /// Takes what waits without waiting for more.
    fn gather(&mut self) {
        while self.barrier.is_none() && self.waiting.len() < MAX_BATCH && self.steps.len() < MAX_STEPS {
            match self.receiver.try_recv() {
                Ok(work) => self.take(work),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Commit(commit) => self.waiting.push_back(commit),
            Work::Step(step) => self.steps.push(step),
            Work::Together(_) | Work::Alone(_) | Work::Close => self.barrier = Some(work),
        }
    }

    fn pass_barrier(&mut self) {
        match self.barrier.take() {
            None => {}
            Some(Work::Together(commits)) => {
                let mut together: VecDeque<Commit> = commits.into();
                while !together.is_empty() {
                    let commits = disjoint_prefix(&mut together, MAX_BATCH, |commit| &commit.change);
                    self.batch(commits, Vec::new());
                }
            }
            Some(Work::Alone(step)) => self.alone(step),
            Some(Work::Close) => self.is_closing = true,
            Some(work) => self.take(work),
        }
        if self.is_closing {
            // What was sent before this is still received; then `run` sees the end.
            self.receiver.close();
        }
    }

    /// Commits a batch and answers everybody in it.
    fn batch(&mut self, commits: Vec<Commit>, mut steps: Vec<Box<dyn Step>>) {
        match self.attempt(&commits, &mut steps) {
            Ok(results) => {
                for (commit, result) in commits.into_iter().zip(results) {
                    if result.is_ok() {
                        self.wake.committed(&commit.change);
                    }
                    commit.answer(result);
                }
                answer_steps(steps, &|| Ok(()));
            }
            Err(Stop::Before(failure)) => self.not_applied(commits, steps, &failure),
            Err(Stop::DiskFailed(why)) => {
                self.status.fail(&why);
                answer_commits(commits, &|| CommitError::Unknown(why.clone()));
                answer_steps(steps, &|| Err(StoreError::Unavailable(why.clone())));
            }
            Err(Stop::AfterInjected(why)) => {
                for commit in &commits {
                    self.wake.committed(&commit.change);
                }
                answer_commits(commits, &|| CommitError::Unknown(why.clone()));
                answer_steps(steps, &|| Err(StoreError::Unavailable(why.clone())));
            }
        }
    }

    /// A transaction was taken back: everybody shares what concerns everybody, and otherwise each tries alone.
    fn not_applied(&mut self, commits: Vec<Commit>, steps: Vec<Box<dyn Step>>, failure: &Failure) {
        let concerns_all = match failure.trouble() {
            Trouble::DiskFull => {
                self.status.note_disk_full(&failure.text());
                true
            }
            Trouble::Disk => {
                self.status.fail(&failure.text());
                true
            }
            Trouble::Busy => true,
            Trouble::Corrupt | Trouble::Other => false,
        };
        if concerns_all || commits.len() + steps.len() == 1 {
            tracing::warn!(error = failure.text(), "a transaction was taken back");
            answer_commits(commits, &|| commit_error(failure.to_store_error()));
            answer_steps(steps, &|| Err(failure.to_store_error()));
            return;
        }
        tracing::debug!(error = failure.text(), commits = commits.len(), "a batch was taken back; each change is tried alone");
        for commit in commits {
            self.batch(vec![commit], Vec::new());
        }
        for step in steps {
            self.batch(Vec::new(), vec![step]);
        }
    }

    fn attempt(&mut self, commits: &[Commit], steps: &mut [Box<dyn Step>]) -> Result<Vec<Result<(), CommitError>>, Stop> {
        // An earlier piece of a batch may have met a disk error; nothing is written after one.
        self.status.check_disk().map_err(|error| Stop::Before(error.into()))?;
        if self.status.disk_full().is_some() {
            // The log has taken the room that the database needs to grow, and would take what is freed as well: first it is
            // copied and gives its room back. A reader in the way only means that this waits for the next batch.
            let _is_empty = checkpoint::empty(&self.db).map_err(Stop::Before)?;
        }
        let inside = self.write(commits, steps);
        let results = match inside {
            Ok(results) => results,
            Err(failure) => {
                self.roll_back();
                return Err(Stop::Before(failure));
            }
        };
        if let Err(failure) = COMMIT.execute(&self.db, ()) {
            if failure.trouble() == Trouble::Disk {
                return Err(Stop::DiskFailed(failure.text()));
            }
            self.roll_back();
            return Err(Stop::Before(failure));
        }
        if commits.is_empty() {
            return Ok(results);
        }
        failpoint::hit("store.after_commit").map_err(|injected| Stop::AfterInjected(injected.to_string()))?;
        Ok(results)
    }

    /// Everything between BEGIN and COMMIT.
    fn write(&mut self, commits: &[Commit], steps: &mut [Box<dyn Step>]) -> Result<Vec<Result<(), CommitError>>, Failure> {
        BEGIN.execute(&self.db, ())?;
        let now = self.clock.now();
        let results = write_changes(&self.db, commits, now)?;
        for step in steps {
            step.run(&mut self.db, now)?;
        }
        // Only around changes: how often workers poll must not move a crash test's n-th hit.
        if !commits.is_empty() {
            failpoint::hit("store.before_commit")?;
        }
        Ok(results)
    }

    fn roll_back(&self) {
        if self.db.is_autocommit() {
            return;
        }
        if let Err(failure) = ROLLBACK.execute(&self.db, ()) {
            self.status.fail(&failure.text());
        }
    }

    fn alone(&mut self, mut step: Box<dyn Step>) {
        let now = self.clock.now();
        let outcome = step.run(&mut self.db, now);
        self.roll_back();
        let outcome = outcome.map_err(|failure| {
            match failure.trouble() {
                Trouble::Disk => self.status.fail(&failure.text()),
                Trouble::DiskFull => self.status.note_disk_full(&failure.text()),
                Trouble::Busy | Trouble::Corrupt | Trouble::Other => {}
            }
            failure.to_store_error()
        });
        step.answer(outcome);
    }

    /// After a disk error: nothing that still waits is applied.
    fn refuse_the_rest(&mut self) {
        self.receiver.close();
        while let Some(work) = self.barrier.take().or_else(|| self.receiver.try_recv().ok()) {
            match work {
                Work::Commit(commit) => self.waiting.push_back(commit),
                Work::Together(commits) => self.waiting.extend(commits),
                Work::Step(step) | Work::Alone(step) => self.steps.push(step),
                Work::Close => {}
            }
        }
        let why = self.status.failure().unwrap_or_default();
        answer_commits(std::mem::take(&mut self.waiting).into(), &|| CommitError::Unavailable(why.clone()));
        answer_steps(std::mem::take(&mut self.steps), &|| Err(StoreError::Unavailable(why.clone())));
    }
}

/// Reads what the guards name, asks the pure rule, and writes what it admits.
fn write_changes(db: &Connection, commits: &[Commit], now: Timestamp) -> Result<Vec<Result<(), CommitError>>, Failure> {
    let mut found = Found::default();
    let mut refused: Vec<Option<CommitError>> = Vec::with_capacity(commits.len());
    for commit in commits {
        refused.push(match &commit.encoded {
            Err(fault) => Some(fault.clone()),
            Ok(encoded) => match found::read(db, &encoded.change, now, &mut found) {
                Ok(()) => None,
                // A row that cannot be read stops the change that needs it, and no other.
                Err(Failure::Store(error)) => Some(commit_error(error)),
                Err(failure) => return Err(failure),
            },
        });
    }
    let asked: Vec<&Change> =
        commits.iter().zip(&refused).filter(|(_, refusal)| refusal.is_none()).map(|(commit, _)| &*commit.change).collect();
    let mut admitted = admit(&asked, &found).into_iter();
    let mut results = Vec::with_capacity(commits.len());
    for (commit, refusal) in commits.iter().zip(refused) {
        results.push(match refusal {
            Some(refusal) => Err(refusal),
            None => match (admitted.next(), &commit.encoded) {
                (Some(Err(conflict)), _) => Err(conflict.into()),
                (_, Ok(encoded)) => Ok(write::write(db, encoded, now)?),
                (_, Err(fault)) => Err(fault.clone()),
            },
        });
    }
    Ok(results)
}

fn answer_commits(commits: Vec<Commit>, error: &dyn Fn() -> CommitError) {
    for commit in commits {
        commit.answer(Err(error()));
    }
}

fn answer_steps(steps: Vec<Box<dyn Step>>, outcome: &dyn Fn() -> Result<(), StoreError>) {
    for step in steps {
        step.answer(outcome());
    }
}
