//! What people tell an order to do.

use super::OrderBody;
use crate::app::orders::{self, Commanded, Viewer};
use crate::http::Shared;
use crate::http::body::{Json, MaybeJson};
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::{Operator, SignedIn};
use crate::http::list::word;
use crate::http::openapi::vocabulary;
use crate::http::problem::Problem;
use crate::http::text::{checked_text, invalid};
use crate::http::version::{if_match, with_etag};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ordermill_core::event::Actor;
use ordermill_core::order::OrderStatus;
use ordermill_core::order::command::Command;
use serde::Deserialize;
use utoipa::ToSchema;

/// The longest reason, in characters.
const REASON_MAX: usize = 500;
/// The longest name of a carrier or parcel, in characters.
const PARCEL_TEXT_MAX: usize = 100;

/// Where an order is to go.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct StatusRequest {
    #[schema(schema_with = vocabulary::order_status)]
    status: String,
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Who carries the parcel.
    #[schema(max_length = 100)]
    carrier: Option<String>,
    /// What the carrier calls the parcel.
    #[schema(max_length = 100)]
    tracking_number: Option<String>,
}

/// Why an order is called off.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct CancelRequest {
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Move an order
///
/// Where it may go from where it is stands in `allowed` of the refusal. With `If-Match`, only if nobody changed it since.
#[utoipa::path(put, path = "/api/orders/{order}/status", tag = "orders", request_body = StatusRequest,
    params(("order" = String, Path, description = "Its id or code."),
        ("if-match" = Option<String>, Header, description = "The `ETag` that the client has seen.")),
    responses((status = 200, description = "The order as it is now.", body = OrderBody)))]
pub(in crate::http) async fn set_status(
    State(shared): State<Shared>,
    operator: Operator,
    Path(order): Path<String>,
    headers: HeaderMap,
    body: Json<StatusRequest>,
) -> Result<Response, Problem> {
    let request = body.value;
    let unknown = || invalid("status", "there is no such status");
    let command = Command {
        status: word("status", Some(request.status), OrderStatus::from_name)?.ok_or_else(unknown)?,
        reason: request.reason.map(|text| checked_text("reason", &text, REASON_MAX)).transpose()?,
        carrier: request.carrier.map(|text| checked_text("carrier", &text, PARCEL_TEXT_MAX)).transpose()?,
        tracking_number: request.tracking_number.map(|text| checked_text("trackingNumber", &text, PARCEL_TEXT_MAX)).transpose()?,
    };
    let asked = Commanded {
        viewer: Viewer::Staff,
        order: &order,
        command,
        expected_version: if_match(&headers)?,
        actor: operator.actor(),
        request: None,
    };
    respond(&shared, &asked).await
}

/// Call an order off
///
/// Customers while nothing is paid; staff until it is shipped. Money on it is given back first.
#[utoipa::path(post, path = "/api/orders/{order}/cancel", tag = "orders", request_body = Option<CancelRequest>,
    params(("order" = String, Path, description = "Its id or code."),
        ("if-match" = Option<String>, Header, description = "The `ETag` that the client has seen.")),
    responses((status = 200, description = "The order as it is now.", body = OrderBody)))]
pub(in crate::http) async fn cancel(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    SignedIn(user): SignedIn,
    Path(order): Path<String>,
    headers: HeaderMap,
    body: MaybeJson<CancelRequest>,
) -> Result<Response, Problem> {
    let reason = body.value.reason.map(|text| checked_text("reason", &text, REASON_MAX)).transpose()?;
    let asked = Commanded {
        viewer: Viewer::of(&user),
        order: &order,
        command: Command { reason, ..Command::to(OrderStatus::Cancelled) },
        expected_version: if_match(&headers)?,
        actor: if user.role.is_staff() { Actor::staff(user.id) } else { Actor::customer(user.id) },
        request: repeatable.request_key(&body.raw),
    };
    respond(&shared, &asked).await
}

async fn respond(shared: &Shared, asked: &Commanded<'_>) -> Result<Response, Problem> {
    let moved = orders::command(&shared.app, asked).await?;
    let response = Answer(OrderBody::of(&shared.app, &moved.order)).into_response();
    Ok(with_etag(answered(response, moved.is_replay), moved.order.version))
}
