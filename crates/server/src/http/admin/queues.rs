//! Queues and jobs.

use super::ReasonRequest;
use crate::app::Fault;
use crate::app::jobs::{self, By};
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::Operator;
use crate::http::list::{Query, page_limit};
use crate::http::openapi::List;
use crate::http::problem::Problem;
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use ordermill_core::job::Failure;
use ordermill_store::{JobInfo, JobQuery, QueueInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QueueQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Only this queue's.
    queue: Option<String>,
}

/// A queue as it is now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Queue)]
pub(super) struct QueueBody {
    queue: String,
    waiting: i64,
    running: i64,
    dead: i64,
    /// For how long the oldest due job has been due; 0 when none is.
    oldest_due_ms: i64,
    /// People paused it.
    paused: bool,
    /// For how much longer its circuit stays open; 0 when it is closed.
    circuit_open_ms: i64,
}

/// A job that waits or runs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct JobBody {
    key: String,
    queue: String,
    payload: Value,
    attempt: i32,
    max_attempts: i32,
    running: bool,
    #[schema(required)]
    worker: Option<String>,
    #[schema(format = DateTime)]
    due_at: String,
    #[schema(format = DateTime)]
    queued_at: String,
    history: Vec<FailureBody>,
}

/// One attempt that failed.
#[derive(Serialize, ToSchema)]
#[schema(as = JobFailure)]
pub(super) struct FailureBody {
    attempt: i32,
    #[schema(format = DateTime)]
    at: String,
    /// Whether it counts against the attempts.
    counted: bool,
    why: String,
}

/// Every queue
#[utoipa::path(get, path = "/api/admin/queues", tag = "operators", responses((status = 200, description = "All of them.", body = List<QueueBody>)))]
pub(super) async fn list(State(shared): State<Shared>, _operator: Operator) -> Result<Answer<List<QueueBody>>, Problem> {
    let queues = shared.app.store.queues().await.map_err(Fault::from)?;
    Ok(Answer(List { data: queues.into_iter().map(QueueBody::of).collect(), next_cursor: None }))
}

/// Jobs that wait or run, in the order they become due
#[utoipa::path(get, path = "/api/admin/jobs", tag = "operators", params(QueueQuery),
    responses((status = 200, description = "A page.", body = List<JobBody>)))]
pub(super) async fn jobs(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<QueueQuery>,
) -> Result<Answer<List<JobBody>>, Problem> {
    let wanted = JobQuery { queue: query.queue, cursor: query.cursor, limit: page_limit(query.limit)? };
    let page = shared.app.store.jobs(&wanted).await.map_err(Fault::from)?;
    Ok(Answer(List { data: page.rows.iter().map(JobBody::of).collect(), next_cursor: page.cursor }))
}

/// Let nobody claim a queue's jobs
///
/// Jobs that run go on. Pausing a queue that is paused changes nothing.
#[utoipa::path(post, path = "/api/admin/queues/{queue}/pause", tag = "operators", request_body = ReasonRequest,
    params(("queue" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The queue as it is now.", body = QueueBody)))]
pub(super) async fn pause(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path(queue): Path<String>,
    body: Json<ReasonRequest>,
) -> Result<Response, Problem> {
    let (actor, reason) = (operator.actor(), body.value.checked()?);
    let by = By { actor: &actor, reason: &reason, request: repeatable.request_key(&body.raw) };
    set_paused(&shared, &queue, true, by).await
}

/// Let a queue's jobs be claimed again
///
/// Resuming a queue that is not paused changes nothing.
#[utoipa::path(post, path = "/api/admin/queues/{queue}/resume", tag = "operators", request_body = ReasonRequest,
    params(("queue" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The queue as it is now.", body = QueueBody)))]
pub(super) async fn resume(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path(queue): Path<String>,
    body: Json<ReasonRequest>,
) -> Result<Response, Problem> {
    let (actor, reason) = (operator.actor(), body.value.checked()?);
    let by = By { actor: &actor, reason: &reason, request: repeatable.request_key(&body.raw) };
    set_paused(&shared, &queue, false, by).await
}

async fn set_paused(shared: &Shared, queue: &str, is_paused: bool, by: By<'_>) -> Result<Response, Problem> {
    let paused = jobs::set_paused(&shared.app, queue, is_paused, by).await?;
    Ok(answered(Answer(QueueBody::of(paused.queue)).into_response(), paused.is_replay))
}

impl QueueBody {
    pub(super) fn of(info: QueueInfo) -> Self {
        Self {
            queue: info.queue,
            waiting: info.waiting,
            running: info.running,
            dead: info.dead,
            oldest_due_ms: info.oldest_due_ms,
            paused: info.is_paused,
            circuit_open_ms: info.circuit_open_ms,
        }
    }
}

impl JobBody {
    fn of(job: &JobInfo) -> Self {
        Self {
            key: job.key.to_string(),
            queue: job.key.queue.clone(),
            payload: payload(&job.payload),
            attempt: job.past.attempt,
            max_attempts: job.max_attempts,
            running: job.is_running,
            worker: job.worker.clone(),
            due_at: time_text(job.due_at),
            queued_at: time_text(job.queued_at),
            history: history(&job.past.history),
        }
    }
}

/// The payload as JSON, or as text when a newer node wrote something else.
pub(super) fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

pub(super) fn history(failures: &[Failure]) -> Vec<FailureBody> {
    let render = |failure: &Failure| FailureBody {
        attempt: failure.attempt,
        at: time_text(failure.at),
        counted: failure.counted,
        why: failure.why.clone(),
    };
    failures.iter().map(render).collect()
}
