//! How the whole is doing, in numbers: what this process counted since it began, and what lies in the store. It only
//! reads, and counts received events up to a limit.

use super::{App, Fault};
use ordermill_core::inbox::InboxState;
use ordermill_core::time::Timestamp;
use ordermill_store::{Health, InboxQuery, QueueInfo};

/// How many received events of one state are counted.
pub const COUNTED_MAX: usize = 1_000;
/// How many are read at once, and how many reads there are at most.
const PAGE: usize = 500;
const READS_MAX: usize = 4;

/// How the whole is doing.
#[derive(Debug, Clone)]
pub struct Status {
    /// When this was found out, by this process's clock.
    pub at: Timestamp,
    /// How long this process has been up.
    pub up_ms: i64,
    /// The store.
    pub store: Health,
    /// How far the store's clock is ahead of this process's.
    pub clock_ahead_ms: i64,
    /// Every queue.
    pub queues: Vec<QueueInfo>,
    /// Received events that a job still has to move on.
    pub inbox_open: Pile,
    /// Received events that a person must look at.
    pub inbox_quarantined: Pile,
}

/// Received events of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pile {
    /// How many, at most [`COUNTED_MAX`] of each state.
    pub count: usize,
    /// When the oldest of those counted came.
    pub oldest: Option<Timestamp>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Finds out how the whole is doing.
pub async fn status(app: &App) -> Result<Status, Fault> {
    let store = app.store.health().await?;
    let at = app.now();
    let mut inbox_open = pile(app, InboxState::Waiting).await?;
    inbox_open.add(pile(app, InboxState::Reading).await?);
    Ok(Status {
        at,
        up_ms: at.ms_since(app.started_at).max(0),
        clock_ahead_ms: store.time.ms_since(at),
        queues: app.store.queues().await?,
        inbox_open,
        inbox_quarantined: pile(app, InboxState::Quarantined).await?,
        store,
    })
}

async fn pile(app: &App, state: InboxState) -> Result<Pile, Fault> {
    let mut query = InboxQuery { state: Some(state), cursor: None, limit: PAGE };
    let mut pile = Pile::default();
    for _ in 0..READS_MAX {
        let page = app.store.inbox(&query).await?;
        pile.count += page.rows.len();
        pile.oldest = page.rows.last().map(|entry| entry.received_at).or(pile.oldest);
        pile.is_cut = page.cursor.is_some();
        query.cursor = page.cursor;
        if !pile.is_cut || pile.count >= COUNTED_MAX {
            break;
        }
    }
    Ok(pile)
}

impl Pile {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.is_cut |= other.is_cut;
    }
}
