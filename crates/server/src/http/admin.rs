//! What operators see and do, as JSON. The command line is a client of these routes, so there is one implementation of
//! each act. Every route asks for staff; what is more dangerous asks for an admin.

mod check;
mod dead_letters;
mod keys;
mod people;
mod queues;
mod received;
mod status;

use super::Shared;
use super::identity::Operator;
use super::list::Query;
use super::openapi::List;
use super::orders::{EventBody, ListQuery as OrdersQuery, OrderBody, Timeline};
use super::problem::Problem;
use super::text::needed_line;
use crate::app::orders::{self, Viewer};
use axum::Json as Answer;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest reason, in characters.
const REASON_MAX: usize = 500;

/// Every operator route.
pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_orders))
        .routes(routes!(show_order))
        .routes(routes!(order_events))
        .routes(routes!(queues::jobs))
        .routes(routes!(queues::list))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::redrive_many))
        .routes(routes!(dead_letters::show, dead_letters::edit))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(status::show))
        .routes(routes!(received::list))
        .routes(routes!(received::show))
        .routes(routes!(received::replay))
        .routes(routes!(people::list, people::create))
        .routes(routes!(people::show))
        .routes(routes!(people::set_role))
        .routes(routes!(people::set_password))
        .routes(routes!(people::audit))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(check::fsck))
}

/// Everybody's orders, newest first
#[utoipa::path(get, path = "/api/admin/orders", tag = "operators", params(OrdersQuery),
    responses((status = 200, description = "A page.", body = List<OrderBody>)))]
async fn list_orders(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<OrdersQuery>,
) -> Result<Answer<List<OrderBody>>, Problem> {
    let (named, query) = query.into_query(&shared.app)?;
    let page = orders::search(&shared.app, Viewer::Staff, named.as_ref(), query).await?;
    let data = page.rows.iter().map(|order| OrderBody::of(&shared.app, order)).collect();
    Ok(Answer(List { data, next_cursor: page.cursor }))
}

/// Anybody's order
#[utoipa::path(get, path = "/api/admin/orders/{order}", tag = "operators", params(("order" = String, Path, description = "Its id or code.")),
    responses((status = 200, description = "The order.", body = OrderBody)))]
async fn show_order(State(shared): State<Shared>, _operator: Operator, Path(order): Path<String>) -> Result<Answer<OrderBody>, Problem> {
    let order = orders::find(&shared.app, Viewer::Staff, &order).await?;
    Ok(Answer(OrderBody::of(&shared.app, &order)))
}

/// Anybody's order's timeline
#[utoipa::path(get, path = "/api/admin/orders/{order}/events", tag = "operators",
    params(("order" = String, Path, description = "Its id or code.")),
    responses((status = 200, description = "Its first 500 events.", body = Timeline)))]
async fn order_events(State(shared): State<Shared>, _operator: Operator, Path(order): Path<String>) -> Result<Answer<Timeline>, Problem> {
    let events = orders::events(&shared.app, Viewer::Staff, &order, 0).await?;
    Ok(Answer(Timeline { data: events.iter().map(EventBody::of).collect() }))
}

/// Why a person does it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReasonRequest {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl ReasonRequest {
    /// The reason, not empty and not a novel.
    fn checked(&self) -> Result<String, Problem> {
        checked_reason(&self.reason)
    }
}

/// A reason, not empty and not a novel.
fn checked_reason(reason: &str) -> Result<String, Problem> {
    needed_line("reason", reason, REASON_MAX)
}
