//! Received provider events.

use super::{ReasonRequest, parsed};
use crate::app::Fault;
use crate::app::payments::inbox;
use crate::http::Shared;
use crate::http::accounts::time_text;
use crate::http::body::Json;
use crate::http::identity::Operator;
use crate::http::problem::Problem;
use crate::http::products::page_limit;
use axum::Json as Answer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::payment::Provider;
use ordermill_store::InboxQuery;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    state: Option<String>,
}

/// `GET /api/admin/inbox`
pub(super) async fn list(
    State(shared): State<Shared>,
    _operator: Operator,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let query = parsed(query)?;
    let unknown = || Problem::new("invalid_request", "state: there is no such state").at("state", "unknown");
    let state = query.state.map(|name| InboxState::from_name(&name).ok_or_else(unknown)).transpose()?;
    let wanted = InboxQuery { state, cursor: query.cursor, limit: page_limit(query.limit)? };
    let page = shared.app.store.inbox(&wanted).await.map_err(Fault::from)?;
    let data: Vec<Value> = page.rows.iter().map(render).collect();
    Ok(Answer(json!({ "data": data, "nextCursor": page.cursor })))
}

/// `POST /api/admin/inbox/{provider}/{event}/replay`
pub(super) async fn replay(
    State(shared): State<Shared>,
    operator: Operator,
    Path((provider, event)): Path<(String, String)>,
    body: Json<ReasonRequest>,
) -> Result<Answer<Value>, Problem> {
    let provider = Provider::from_name(&provider).ok_or_else(|| Problem::new("not_found", "there is no such provider"))?;
    let entry = inbox::replay(&shared.app, provider, &event, operator.actor(), body.value.checked()?).await?;
    Ok(Answer(render(&entry)))
}

/// An event without its body, which holds personal data.
fn render(entry: &InboxEntry) -> Value {
    json!({
        "provider": entry.provider, "eventId": entry.event_id, "type": entry.kind, "state": entry.state,
        "outcome": entry.outcome, "orderId": entry.order_id, "receivedAt": time_text(entry.received_at),
    })
}
