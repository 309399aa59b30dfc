//! What operators see and do, as JSON. The command line is a client of these routes, so there is one implementation of
//! each act. Every route asks for staff; what is more dangerous asks for an admin.

mod check;
mod people;
mod queues;
mod received;

use super::Shared;
use super::identity::Operator;
use super::orders::{render_event, render_order};
use super::problem::Problem;
use super::products::page_limit;
use crate::app::orders::{self, Viewer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json as Answer, Router};
use ordermill_core::order::OrderStatus;
use ordermill_core::payment::PaymentStatus;
use ordermill_store::OrderQuery;
use serde::Deserialize;
use serde_json::{Value, json};

/// Every operator route, below `/api/admin`.
pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/orders", get(list_orders))
        .route("/orders/{order}", get(show_order))
        .route("/orders/{order}/events", get(order_events))
        .route("/jobs", get(queues::jobs))
        .route("/queues", get(queues::list))
        .route("/dead-letters", get(queues::dead_letters))
        .route("/dead-letters/{key}", get(queues::dead_letter))
        .route("/dead-letters/{key}/redrive", post(queues::redrive))
        .route("/inbox", get(received::list))
        .route("/inbox/{provider}/{event}/replay", post(received::replay))
        .route("/users", post(people::create))
        .route("/fsck", post(check::fsck))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrdersQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    status: Option<String>,
    payment_status: Option<String>,
    email: Option<String>,
}

/// `GET /api/admin/orders`
async fn list_orders(
    State(shared): State<Shared>,
    _operator: Operator,
    query: Result<Query<OrdersQuery>, QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let query = parsed(query)?;
    let unknown = |path: &str| Problem::new("invalid_request", format!("{path}: there is no such status")).at(path, "unknown");
    let status = query.status.map(|name| OrderStatus::from_name(&name).ok_or_else(|| unknown("status"))).transpose()?;
    let payment = query.payment_status.map(|name| PaymentStatus::from_name(&name).ok_or_else(|| unknown("paymentStatus")));
    let wanted = OrderQuery {
        customer: None,
        status,
        payment_status: payment.transpose()?,
        email: query.email.map(|email| email.to_ascii_lowercase()),
        cursor: query.cursor,
        limit: page_limit(query.limit)?,
    };
    let page = orders::list(&shared.app, Viewer::Staff, wanted).await?;
    let data: Vec<Value> = page.rows.iter().map(|order| render_order(&shared.app, order)).collect();
    Ok(Answer(json!({ "data": data, "nextCursor": page.cursor })))
}

/// `GET /api/admin/orders/{id or code}`
async fn show_order(State(shared): State<Shared>, _operator: Operator, Path(order): Path<String>) -> Result<Answer<Value>, Problem> {
    let order = orders::find(&shared.app, Viewer::Staff, &order).await?;
    Ok(Answer(render_order(&shared.app, &order)))
}

/// `GET /api/admin/orders/{id or code}/events`
async fn order_events(State(shared): State<Shared>, _operator: Operator, Path(order): Path<String>) -> Result<Answer<Value>, Problem> {
    let events = orders::events(&shared.app, Viewer::Staff, &order, 0).await?;
    let data: Vec<Value> = events.iter().map(render_event).collect();
    Ok(Answer(json!({ "data": data })))
}

/// A query string of the right shape.
fn parsed<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|rejection| Problem::new("invalid_request", rejection.body_text()))
}

/// The body of an act that a person gives a reason for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReasonRequest {
    reason: String,
}

impl ReasonRequest {
    /// The reason, not empty and not a novel.
    fn checked(&self) -> Result<&str, Problem> {
        let reason = self.reason.trim();
        let is_plain = !reason.chars().any(char::is_control);
        if is_plain && (1..=500).contains(&reason.chars().count()) {
            Ok(reason)
        } else {
            Err(Problem::new("invalid_request", "reason: 1 to 500 characters").at("reason", "1 to 500 characters"))
        }
    }
}
