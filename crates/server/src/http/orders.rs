//! Orders of the signed-in customer (staff: of everybody).

mod render;
mod request;

pub(super) use render::{render_event, render_order};

use super::Shared;
use super::body::Json;
use super::identity::SignedIn;
use super::problem::Problem;
use super::products::page_limit;
use crate::app::orders::{self, Viewer};
use axum::Json as Answer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ordermill_store::OrderQuery;
use request::{CreateRequest, request_key};
use serde::Deserialize;
use serde_json::{Value, json};

/// `POST /api/orders/create`
pub(super) async fn create(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    method: Method,
    path: MatchedPath,
    headers: HeaderMap,
    body: Json<CreateRequest>,
) -> Result<Response, Problem> {
    let request = request_key(&headers, &user, &method, path.as_str(), &body.raw)?;
    let wanted = body.value.into_wanted(&shared.app)?;
    let placed = orders::place(&shared.app, &user, &wanted, request).await?;
    let mut response = (StatusCode::CREATED, Answer(render_order(&shared.app, &placed.order))).into_response();
    if placed.is_replay {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(with_etag(response, placed.order.version))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/orders`
pub(super) async fn list(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::new("invalid_request", rejection.body_text()))?;
    let query = OrderQuery { cursor: query.cursor, limit: page_limit(query.limit)?, ..OrderQuery::default() };
    let page = orders::list(&shared.app, Viewer::of(&user), query).await?;
    let data: Vec<Value> = page.rows.iter().map(|order| render_order(&shared.app, order)).collect();
    Ok(Answer(json!({ "data": data, "nextCursor": page.cursor })))
}

/// `GET /api/orders/{id or code}`
pub(super) async fn show(State(shared): State<Shared>, SignedIn(user): SignedIn, Path(order): Path<String>) -> Result<Response, Problem> {
    let order = orders::find(&shared.app, Viewer::of(&user), &order).await?;
    let response = Answer(render_order(&shared.app, &order)).into_response();
    Ok(with_etag(response, order.version))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventsQuery {
    after: Option<i64>,
}

/// `GET /api/orders/{id or code}/events?after=SEQ`
pub(super) async fn events(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    Path(order): Path<String>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::new("invalid_request", rejection.body_text()))?;
    let events = orders::events(&shared.app, Viewer::of(&user), &order, query.after.unwrap_or(0).max(0)).await?;
    let data: Vec<Value> = events.iter().map(render_event).collect();
    Ok(Answer(json!({ "data": data })))
}

fn with_etag(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
