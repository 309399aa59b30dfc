//! Copies the write-ahead log back into the database on a thread and a connection of its own, so that no commit pays for
//! it. Under a load that never pauses the log would still only grow: past a hard limit the writer empties it itself,
//! which is short then, because nearly all of it has been copied.

use super::failure::{Failure, Trouble};
use super::status::{Status, lock};
use super::work::{Ask, Work};
use super::writer::join_elsewhere;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::WeakSender;

/// With so many pages in the log (4 MiB) it is copied at once.
const LONG_LOG_PAGES: i32 = 1_024;
/// With so many pages in the log (64 MiB) the writer stops to empty it.
const TOO_LONG_LOG_PAGES: i32 = 16_384;
/// How long writes gather before the log is copied.
const PERIOD: Duration = Duration::from_secs(1);
/// After so long without a write the log is emptied.
const IDLE: Duration = Duration::from_secs(5);

/// What the writer tells about the log.
#[derive(Debug)]
pub(super) struct Log {
    pages: AtomicI32,
    /// Whether the thread knows already that something was written.
    is_told: AtomicBool,
    /// Whether it knows already that the log is long.
    is_told_long: AtomicBool,
}

/// The thread of the checkpoints.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Taken at the end, so that the thread sees that nobody is left.
    wake: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Lets the writer's connection report what it appends to the log.
pub(super) fn watch(db: &mut Connection, status: Arc<Status>) -> rusqlite::Result<(Arc<Log>, SyncSender<()>, Receiver<()>)> {
    let (wake, woken) = sync_channel(1);
    let log = Arc::new(Log { pages: AtomicI32::new(0), is_told: AtomicBool::new(false), is_told_long: AtomicBool::new(false) });
    let (seen, waker) = (Arc::clone(&log), wake.clone());
    db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
        seen.pages.store(pages, Ordering::Relaxed);
        status.note_written();
        let is_news = !seen.is_told.swap(true, Ordering::Relaxed);
        let is_long = pages >= LONG_LOG_PAGES && !seen.is_told_long.swap(true, Ordering::Relaxed);
        if is_news || is_long {
            // A full channel says the same.
            let _is_sent = waker.try_send(()).is_ok();
        }
        Ok(())
    }))?;
    Ok((log, wake, woken))
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(
        db: Connection,
        log: Arc<Log>,
        (wake, woken): (SyncSender<()>, Receiver<()>),
        writer: Option<WeakSender<Work>>,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        let checkpointer = Checkpointer { db, log, woken, writer, status };
        let thread = std::thread::Builder::new().name("ordermill-checkpoints".to_owned()).spawn(move || checkpointer.run())?;
        Ok(Self { wake: Mutex::new(Some(wake)), thread: Mutex::new(Some(thread)) })
    }

    /// Empties the log a last time. The writer must have ended.
    pub(super) async fn close(&self) {
        let thread = self.begin_to_end();
        if let Some(thread) = thread {
            join_elsewhere(thread).await;
        }
    }

    fn begin_to_end(&self) -> Option<JoinHandle<()>> {
        drop(lock(&self.wake).take());
        lock(&self.thread).take()
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(thread) = self.begin_to_end() {
            drop(thread.join());
        }
    }
}

struct Checkpointer {
    db: Connection,
    log: Arc<Log>,
    woken: Receiver<()>,
    writer: Option<WeakSender<Work>>,
    status: Arc<Status>,
}

impl Checkpointer {
    fn run(&self) {
        // Whoever came before may have left a log behind.
        let mut is_empty = false;
        loop {
            let woken = if is_empty { self.woken.recv().map_err(RecvTimeoutError::from) } else { self.woken.recv_timeout(IDLE) };
            match woken {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => {
                    is_empty = self.run_one(CheckpointMode::TRUNCATE);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if matches!(self.woken.recv_timeout(PERIOD), Err(RecvTimeoutError::Disconnected)) {
                break;
            }
            self.log.is_told.store(false, Ordering::Relaxed);
            self.log.is_told_long.store(false, Ordering::Relaxed);
            is_empty = false;
            self.run_one(CheckpointMode::PASSIVE);
            if self.log.pages.load(Ordering::Relaxed) >= TOO_LONG_LOG_PAGES {
                self.ask_writer();
            }
        }
        self.run_one(CheckpointMode::TRUNCATE);
    }

    /// Runs a checkpoint; says whether it did all that was asked.
    fn run_one(&self, mode: CheckpointMode) -> bool {
        if self.status.failure().is_some() {
            return false;
        }
        match checkpoint(&self.db, mode) {
            Ok(is_done) => is_done,
            Err(failure) => {
                if failure.trouble() == Trouble::Disk {
                    self.status.fail(&failure.text());
                } else {
                    tracing::warn!(error = failure.text(), "the log could not be copied into the database");
                }
                false
            }
        }
    }

    /// Has the writer empty the log between two batches: it alone can keep others from appending meanwhile.
    fn ask_writer(&self) {
        let Some(writer) = self.writer.as_ref().and_then(WeakSender::upgrade) else { return };
        let (step, _answer) = Ask::boxed(|db, _| empty(db));
        // A full queue means that it is asked again after the next round.
        drop(writer.try_send(Work::Alone(step)));
    }
}

/// Empties the log between two batches, on the writer's own connection; `false` when a reader was in the way.
pub(super) fn empty(db: &Connection) -> Result<bool, Failure> {
    db.busy_timeout(Duration::ZERO)?;
    let done = checkpoint(db, CheckpointMode::TRUNCATE);
    super::connection::wait_for_locks(db)?;
    done
}

/// Runs a checkpoint; `false` when somebody was in the way. The connection must not wait for locks: a reader that takes
/// long would hold up every writer.
fn checkpoint(db: &Connection, mode: CheckpointMode) -> Result<bool, Failure> {
    match db.wal_checkpoint_v2(None::<&str>, mode) {
        Ok((pages, copied)) => Ok(pages == copied),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
