//! Dead letters: found, grouped, put right, tried again, thrown away.

use super::queues::{FailureBody, history, payload};
use super::{ReasonRequest, checked_reason};
use crate::app::Fault;
use crate::app::jobs::{self, Acted, By, Group, GroupQuery};
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::Operator;
use crate::http::list::{LIMIT_MAX, Query, page_limit};
use crate::http::openapi::List;
use crate::http::problem::Problem;
use crate::http::text::checked_text;
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use ordermill_core::job::{DeadLetter, JobKey};
use ordermill_store::DeadLetterQuery;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The longest text that is searched for, in characters.
const SEARCH_MAX: usize = 200;

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Only this queue's.
    queue: Option<String>,
    /// Only those that died of something with this text in it, in whatever case. A page may then be short, even empty,
    /// and still have a `nextCursor`.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// Which dead letters are counted.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GroupsQuery {
    /// Only this queue's.
    queue: Option<String>,
    /// Only those that died of something with this text in it, in whatever case.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// A job that gave up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(super) struct DeadLetterBody {
    /// `queue:group:number`.
    key: String,
    queue: String,
    payload: Value,
    attempts: i32,
    why: String,
    #[schema(format = DateTime)]
    queued_at: String,
    #[schema(format = DateTime)]
    died_at: String,
    history: Vec<FailureBody>,
}

/// Dead letters of one queue that died of the same.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroup)]
pub(super) struct GroupBody {
    queue: String,
    /// The first line of what they died of, with `N` for every number and id.
    why: String,
    count: usize,
    #[schema(format = DateTime)]
    oldest: String,
    #[schema(format = DateTime)]
    newest: String,
    /// The key of the newest.
    example: String,
}

/// Dead letters by what they died of.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroups)]
pub(super) struct GroupsBody {
    /// Largest first.
    data: Vec<GroupBody>,
    /// How many dead letters these are.
    counted: usize,
    /// Whether there are older ones that were not looked at.
    cut: bool,
}

/// A payload put right, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EditDeadLetterRequest {
    /// What the job is to do; about the same thing as before.
    #[schema(value_type = Object)]
    payload: Value,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Which dead letters are tried again, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RedriveManyRequest {
    /// Only this queue's.
    queue: Option<String>,
    /// Only those that died of something with this text in it, in whatever case.
    #[schema(max_length = 200)]
    q: Option<String>,
    /// How many at most.
    #[schema(minimum = 1, maximum = 100, default = 100)]
    limit: Option<usize>,
    /// The `nextCursor` of the request before.
    cursor: Option<String>,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// What became of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedrivenMany {
    /// How many wait again.
    redriven: usize,
    /// How many somebody else had taken meanwhile.
    gone: usize,
    /// Send it to go on; `null` at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What somebody did to a dead letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterAct)]
pub(super) struct ActBody {
    /// `queue:group:number`.
    key: String,
    #[schema(format = DateTime)]
    at: String,
    /// Who, such as `staff:` and an account's id.
    actor: String,
    reason: String,
}

/// A dead letter that was put right and is being tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Edited {
    redriven: DeadLetterBody,
}

/// A dead letter that is being tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Redriven {
    redriven: ActBody,
}

/// A dead letter that was thrown away.
#[derive(Serialize, ToSchema)]
pub(super) struct Discarded {
    discarded: ActBody,
}

/// Dead letters, latest death first
#[utoipa::path(get, path = "/api/admin/dead-letters", tag = "operators", params(ListQuery),
    responses((status = 200, description = "A page.", body = List<DeadLetterBody>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<DeadLetterBody>>, Problem> {
    let (limit, text) = (page_limit(query.limit)?, search_text(query.q.as_deref())?);
    let wanted = DeadLetterQuery { queue: query.queue, text, cursor: query.cursor, limit, key: None };
    let page = shared.app.store.dead_letters(&wanted).await.map_err(Fault::from)?;
    Ok(Answer(List { data: page.rows.iter().map(DeadLetterBody::of).collect(), next_cursor: page.cursor }))
}

/// Dead letters by what they died of
///
/// The latest 10,000 are looked at.
#[utoipa::path(get, path = "/api/admin/dead-letters/groups", tag = "operators", params(GroupsQuery),
    responses((status = 200, description = "The groups.", body = GroupsBody)))]
pub(super) async fn groups(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<GroupsQuery>,
) -> Result<Answer<GroupsBody>, Problem> {
    let wanted = GroupQuery { text: search_text(query.q.as_deref())?, queue: query.queue };
    let found = jobs::groups(&shared.app, &wanted).await?;
    let data = found.groups.into_iter().map(GroupBody::of).collect();
    Ok(Answer(GroupsBody { data, counted: found.counted, cut: found.is_cut }))
}

/// One dead letter
#[utoipa::path(get, path = "/api/admin/dead-letters/{key}", tag = "operators",
    params(("key" = String, Path, description = "queue:group:number")),
    responses((status = 200, description = "The dead letter.", body = DeadLetterBody)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    _operator: Operator,
    Path(key): Path<String>,
) -> Result<Answer<DeadLetterBody>, Problem> {
    Ok(Answer(DeadLetterBody::of(&jobs::dead_letter(&shared.app, &parse_key(&key)?).await?)))
}

/// Put a dead letter right and try it again
///
/// It stays about the same order or event, so what was done is not done again.
#[utoipa::path(put, path = "/api/admin/dead-letters/{key}", tag = "operators", request_body = EditDeadLetterRequest,
    params(("key" = String, Path, description = "queue:group:number")),
    responses((status = 200, description = "It is queued under its old identity.", body = Edited)))]
pub(super) async fn edit(
    State(shared): State<Shared>,
    operator: Operator,
    Path(key): Path<String>,
    body: Json<EditDeadLetterRequest>,
) -> Result<Answer<Edited>, Problem> {
    let EditDeadLetterRequest { payload, reason } = body.value;
    let (actor, reason) = (operator.actor(), checked_reason(&reason)?);
    let by = By::new(&actor, &reason);
    let edited = jobs::edit(&shared.app, &parse_key(&key)?, &payload.to_string(), by).await?;
    Ok(Answer(Edited { redriven: DeadLetterBody::of(&edited) }))
}

/// Try a dead letter again
#[utoipa::path(post, path = "/api/admin/dead-letters/{key}/redrive", tag = "operators", request_body = ReasonRequest,
    params(("key" = String, Path, description = "queue:group:number")),
    responses((status = 200, description = "It is queued under its old identity.", body = Redriven)))]
pub(super) async fn redrive(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path(key): Path<String>,
    body: Json<ReasonRequest>,
) -> Result<Response, Problem> {
    let (actor, reason) = (operator.actor(), body.value.checked()?);
    let by = By { actor: &actor, reason: &reason, request: repeatable.request_key(&body.raw) };
    let acted = jobs::redrive(&shared.app, &parse_key(&key)?, by).await?;
    let redriven = Redriven { redriven: ActBody::of(&acted) };
    Ok(answered(Answer(redriven).into_response(), acted.is_replay))
}

/// Try many dead letters again
///
/// One commit each, latest death first. With `nextCursor` sent back, each is met once, also when it dies again meanwhile.
#[utoipa::path(post, path = "/api/admin/dead-letters/redrive", tag = "operators", request_body = RedriveManyRequest,
    responses((status = 200, description = "How many.", body = RedrivenMany)))]
pub(super) async fn redrive_many(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    body: Json<RedriveManyRequest>,
) -> Result<Response, Problem> {
    let Json { value: RedriveManyRequest { queue, q, limit, cursor, reason }, raw } = body;
    let limit = page_limit(Some(limit.unwrap_or(LIMIT_MAX)))?;
    let wanted = DeadLetterQuery { queue, text: search_text(q.as_deref())?, cursor, limit, key: None };
    let (actor, reason) = (operator.actor(), checked_reason(&reason)?);
    let by = By { actor: &actor, reason: &reason, request: repeatable.request_key(&raw) };
    let done = jobs::redrive_page(&shared.app, &wanted, by).await?;
    let many = RedrivenMany { redriven: done.redriven, gone: done.gone, next_cursor: done.cursor };
    Ok(answered(Answer(many).into_response(), done.is_replay))
}

/// Throw a dead letter away
///
/// What it was to see to is left to people: a received event is quarantined, a mail that may have gone out is under review.
#[utoipa::path(post, path = "/api/admin/dead-letters/{key}/discard", tag = "operators", request_body = ReasonRequest,
    params(("key" = String, Path, description = "queue:group:number")),
    responses((status = 200, description = "It is gone.", body = Discarded)))]
pub(super) async fn discard(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path(key): Path<String>,
    body: Json<ReasonRequest>,
) -> Result<Response, Problem> {
    let (actor, reason) = (operator.actor(), body.value.checked()?);
    let by = By { actor: &actor, reason: &reason, request: repeatable.request_key(&body.raw) };
    let acted = jobs::discard(&shared.app, &parse_key(&key)?, by).await?;
    let discarded = Discarded { discarded: ActBody::of(&acted) };
    Ok(answered(Answer(discarded).into_response(), acted.is_replay))
}

fn parse_key(text: &str) -> Result<JobKey, Problem> {
    JobKey::parse(text).ok_or_else(|| Problem::new("not_found", "a dead letter is named queue:group:number"))
}

/// What is searched for; nothing when the text is empty.
fn search_text(text: Option<&str>) -> Result<Option<String>, Problem> {
    let text = text.map(|text| checked_text("q", text, SEARCH_MAX)).transpose()?;
    Ok(text.filter(|text| !text.is_empty()))
}

impl ActBody {
    fn of(acted: &Acted) -> Self {
        let entry = &acted.entry;
        Self { key: entry.subject.clone(), at: time_text(entry.at), actor: entry.actor.as_str().to_owned(), reason: entry.reason.clone() }
    }
}

impl GroupBody {
    fn of(group: Group) -> Self {
        Self {
            queue: group.queue,
            why: group.why,
            count: group.count,
            oldest: time_text(group.oldest),
            newest: time_text(group.newest),
            example: group.example,
        }
    }
}

impl DeadLetterBody {
    fn of(dead: &DeadLetter) -> Self {
        Self {
            key: dead.key.to_string(),
            queue: dead.key.queue.clone(),
            payload: payload(&dead.payload),
            attempts: dead.past.attempt,
            why: dead.why.clone(),
            queued_at: time_text(dead.queued_at),
            died_at: time_text(dead.died_at),
            history: history(&dead.past.history),
        }
    }
}
