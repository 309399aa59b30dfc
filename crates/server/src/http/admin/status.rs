//! How the whole is doing, for `ordermill monitor` and `ordermill doctor`.

use super::queues::QueueBody;
use crate::app::status::{self, Pile};
use crate::http::identity::Operator;
use crate::http::metrics::Counts;
use crate::http::problem::Problem;
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// How the whole is doing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
pub(super) struct StatusBody {
    #[schema(format = DateTime)]
    at: String,
    /// How long the process that answers has been up.
    up_ms: i64,
    store: StoreBody,
    /// What the process that answers has counted since it began.
    counts: Counts,
    queues: Vec<QueueBody>,
    /// Jobs that wait, of all queues.
    waiting: i64,
    /// For how long the oldest due job of all queues has been due; 0 when none is.
    oldest_due_ms: i64,
    /// Dead letters of all queues.
    dead: i64,
    /// Received events that a job still has to move on.
    inbox_open: PileBody,
    /// Received events that a person must look at.
    inbox_quarantined: PileBody,
}

/// The store.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoreStatus)]
struct StoreBody {
    backend: &'static str,
    version: String,
    pending_migrations: Vec<String>,
    /// Why it takes no writes.
    #[schema(required)]
    read_only: Option<String>,
    /// How far its clock is ahead of that of the process that answers; below 0 when it is behind.
    clock_ahead_ms: i64,
}

/// Received events of a kind.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReceivedEvents)]
struct PileBody {
    count: usize,
    /// When the oldest of those counted came.
    #[schema(required, format = DateTime)]
    oldest: Option<String>,
    /// Whether there are more than were counted.
    cut: bool,
}

/// How the whole is doing
#[utoipa::path(get, path = "/api/admin/status", tag = "operators",
    responses((status = 200, description = "Store, queues, received events, counts.", body = StatusBody)))]
pub(super) async fn show(State(shared): State<Shared>, _operator: Operator) -> Result<Answer<StatusBody>, Problem> {
    let found = status::status(&shared.app).await?;
    let queues = &found.queues;
    Ok(Answer(StatusBody {
        at: time_text(found.at),
        up_ms: found.up_ms,
        counts: shared.app.metrics.counts(),
        waiting: queues.iter().map(|queue| queue.waiting).sum(),
        oldest_due_ms: queues.iter().map(|queue| queue.oldest_due_ms).max().unwrap_or(0),
        dead: queues.iter().map(|queue| queue.dead).sum(),
        inbox_open: PileBody::of(found.inbox_open),
        inbox_quarantined: PileBody::of(found.inbox_quarantined),
        store: StoreBody {
            backend: found.store.backend,
            version: found.store.version,
            pending_migrations: found.store.pending_migrations,
            read_only: found.store.read_only,
            clock_ahead_ms: found.clock_ahead_ms,
        },
        queues: found.queues.into_iter().map(QueueBody::of).collect(),
    }))
}

impl PileBody {
    fn of(pile: Pile) -> Self {
        Self { count: pile.count, oldest: pile.oldest.map(time_text), cut: pile.is_cut }
    }
}
