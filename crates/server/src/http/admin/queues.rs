//! Queues, jobs and dead letters.

use super::{ReasonRequest, parsed};
use crate::app::{Fault, jobs};
use crate::http::Shared;
use crate::http::accounts::time_text;
use crate::http::body::Json;
use crate::http::identity::Operator;
use crate::http::problem::Problem;
use crate::http::products::page_limit;
use axum::Json as Answer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use ordermill_core::job::{DeadLetter, Failure, JobKey};
use ordermill_store::{DeadLetterQuery, JobInfo, JobQuery};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QueueQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    queue: Option<String>,
}

/// `GET /api/admin/queues`
pub(super) async fn list(State(shared): State<Shared>, _operator: Operator) -> Result<Answer<Value>, Problem> {
    let queues = shared.app.store.queues().await.map_err(Fault::from)?;
    let data: Vec<Value> = queues
        .iter()
        .map(|info| {
            json!({
                "queue": info.queue, "waiting": info.waiting, "running": info.running, "dead": info.dead,
                "oldestDueMs": info.oldest_due_ms, "paused": info.is_paused, "circuitOpenMs": info.circuit_open_ms,
            })
        })
        .collect();
    Ok(Answer(json!({ "data": data, "nextCursor": null })))
}

/// `GET /api/admin/jobs`
pub(super) async fn jobs(
    State(shared): State<Shared>,
    _operator: Operator,
    query: Result<Query<QueueQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let query = parsed(query)?;
    let wanted = JobQuery { queue: query.queue, cursor: query.cursor, limit: page_limit(query.limit)? };
    let page = shared.app.store.jobs(&wanted).await.map_err(Fault::from)?;
    let data: Vec<Value> = page.rows.iter().map(render_job).collect();
    Ok(Answer(json!({ "data": data, "nextCursor": page.cursor })))
}

/// `GET /api/admin/dead-letters`
pub(super) async fn dead_letters(
    State(shared): State<Shared>,
    _operator: Operator,
    query: Result<Query<QueueQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let query = parsed(query)?;
    let wanted = DeadLetterQuery { queue: query.queue, cursor: query.cursor, limit: page_limit(query.limit)? };
    let page = shared.app.store.dead_letters(&wanted).await.map_err(Fault::from)?;
    let data: Vec<Value> = page.rows.iter().map(render_dead).collect();
    Ok(Answer(json!({ "data": data, "nextCursor": page.cursor })))
}

/// `GET /api/admin/dead-letters/{key}`
pub(super) async fn dead_letter(
    State(shared): State<Shared>,
    _operator: Operator,
    Path(key): Path<String>,
) -> Result<Answer<Value>, Problem> {
    Ok(Answer(render_dead(&jobs::dead_letter(&shared.app, &parse_key(&key)?).await?)))
}

/// `POST /api/admin/dead-letters/{key}/redrive`
pub(super) async fn redrive(
    State(shared): State<Shared>,
    operator: Operator,
    Path(key): Path<String>,
    body: Json<ReasonRequest>,
) -> Result<Answer<Value>, Problem> {
    let dead = jobs::redrive(&shared.app, &parse_key(&key)?, operator.actor(), body.value.checked()?).await?;
    Ok(Answer(json!({ "redriven": render_dead(&dead) })))
}

fn parse_key(text: &str) -> Result<JobKey, Problem> {
    JobKey::parse(text).ok_or_else(|| Problem::new("not_found", "a dead letter is named queue:group:number"))
}

fn render_job(job: &JobInfo) -> Value {
    json!({
        "key": job.key.to_string(), "queue": job.key.queue, "payload": payload(&job.payload), "attempt": job.past.attempt,
        "maxAttempts": job.max_attempts, "running": job.is_running, "worker": job.worker,
        "dueAt": time_text(job.due_at), "queuedAt": time_text(job.queued_at), "history": history(&job.past.history),
    })
}

fn render_dead(dead: &DeadLetter) -> Value {
    json!({
        "key": dead.key.to_string(), "queue": dead.key.queue, "payload": payload(&dead.payload), "attempts": dead.past.attempt,
        "why": dead.why, "queuedAt": time_text(dead.queued_at), "diedAt": time_text(dead.died_at),
        "history": history(&dead.past.history),
    })
}

/// The payload as JSON, or as text when a newer node wrote something else.
fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn history(failures: &[Failure]) -> Vec<Value> {
    let render = |failure: &Failure| json!({ "attempt": failure.attempt, "at": time_text(failure.at), "counted": failure.counted, "why": failure.why });
    failures.iter().map(render).collect()
}
