//! Received provider events.

use super::ReasonRequest;
use crate::app::Fault;
use crate::app::payments::inbox::{self, Replay};
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::{Operator, OperatorOrProgram};
use crate::http::list::{Query, page_limit, word};
use crate::http::openapi::{List, vocabulary};
use crate::http::problem::Problem;
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::payment::Provider;
use ordermill_store::InboxQuery;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which received events.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Only these.
    #[param(schema_with = vocabulary::inbox_state)]
    state: Option<String>,
}

/// A received event without its body, which holds personal data.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReceivedEvent)]
pub(super) struct EventBody {
    #[schema(schema_with = vocabulary::provider)]
    provider: Provider,
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    #[schema(schema_with = vocabulary::inbox_state)]
    state: InboxState,
    /// What came of it.
    outcome: String,
    #[schema(required, format = "uuid")]
    order_id: Option<String>,
    #[schema(format = DateTime)]
    received_at: String,
}

/// Received events, newest first
#[utoipa::path(get, path = "/api/admin/inbox", tag = "operators", params(ListQuery),
    responses((status = 200, description = "A page.", body = List<EventBody>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    _operator: OperatorOrProgram,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<EventBody>>, Problem> {
    let state = word("state", query.state, InboxState::from_name)?;
    let wanted = InboxQuery { state, cursor: query.cursor, limit: page_limit(query.limit)? };
    let page = shared.app.store.inbox(&wanted).await.map_err(Fault::from)?;
    Ok(Answer(List { data: page.rows.iter().map(EventBody::of).collect(), next_cursor: page.cursor }))
}

/// One received event
#[utoipa::path(get, path = "/api/admin/inbox/{provider}/{event}", tag = "operators",
    params(("provider" = String, Path, description = "Whose it is."), ("event" = String, Path, description = "The provider's id of it.")),
    responses((status = 200, description = "The event, without its body.", body = EventBody)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    _operator: OperatorOrProgram,
    Path((provider, event)): Path<(String, String)>,
) -> Result<Answer<EventBody>, Problem> {
    let entry = inbox::find(&shared.app, parse_provider(&provider)?, &event).await?;
    Ok(Answer(EventBody::of(&entry)))
}

fn parse_provider(text: &str) -> Result<Provider, Problem> {
    Provider::from_name(text).ok_or_else(|| Problem::new("not_found", "there is no such provider"))
}

/// Handle a received event again
#[utoipa::path(post, path = "/api/admin/inbox/{provider}/{event}/replay", tag = "operators", request_body = ReasonRequest,
    params(("provider" = String, Path, description = "Whose it is."), ("event" = String, Path, description = "The provider's id of it.")),
    responses((status = 200, description = "The event, queued to be handled.", body = EventBody)))]
pub(super) async fn replay(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path((provider, event)): Path<(String, String)>,
    body: Json<ReasonRequest>,
) -> Result<Response, Problem> {
    let Json { value: reason, raw } = body;
    let (actor, reason) = (operator.actor(), reason.checked()?);
    let asked = Replay { provider: parse_provider(&provider)?, event_id: &event, actor: &actor, reason: &reason };
    let (entry, is_replay) = inbox::replay(&shared.app, &asked, repeatable.request_key(&raw)).await?;
    Ok(answered(Answer(EventBody::of(&entry)).into_response(), is_replay))
}

impl EventBody {
    fn of(entry: &InboxEntry) -> Self {
        Self {
            provider: entry.provider,
            event_id: entry.event_id.clone(),
            kind: entry.kind.clone(),
            state: entry.state,
            outcome: entry.outcome.clone(),
            order_id: entry.order_id.map(|id| id.to_string()),
            received_at: time_text(entry.received_at),
        }
    }
}
