//! Orders that another service places for its people, by API key.

use super::Shared;
use super::body::{Json, MaybeJson};
use super::idempotency::{Repeatable, answered};
use super::identity::Program;
use super::orders::check_takes_cards;
use super::problem::Problem;
use super::text::invalid;
use crate::app::Fault;
use crate::app::orders::Placed;
use crate::app::orders::platform::{self, PlatformOrder};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ordermill_core::account::Role;
use ordermill_core::id::{ProductId, UserId};
use ordermill_core::order::Order;
use ordermill_core::refusal::Refusal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is ordered, for whom: one of `studentId` and `customerId`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PlatformOrderRequest {
    /// The account of a student.
    #[schema(format = "uuid")]
    student_id: Option<String>,
    /// The account of a customer.
    #[schema(format = "uuid")]
    customer_id: Option<String>,
    #[schema(format = "uuid")]
    product_id: String,
    #[schema(minimum = 1, maximum = 10000)]
    quantity: i64,
}

/// Nothing: whose payment it is stands in the path.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlatformPaymentRequest {}

/// What a platform's page needs to take the payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlatformOrder)]
pub(super) struct PlatformOrderBody {
    #[schema(format = "uuid")]
    order_id: String,
    order_code: String,
    /// `null` while Stripe cannot be reached: ask for the payment again.
    #[schema(required)]
    payment_intent_id: Option<String>,
    #[schema(required)]
    client_secret: Option<String>,
    /// In minor units.
    amount: i64,
    /// ISO 4217.
    currency: String,
}

/// Order for a student or customer
///
/// The product must be one that is not sent as a parcel: there is no address to send it to.
#[utoipa::path(post, path = "/api/platform/orders", tag = "platform", request_body = PlatformOrderRequest,
    responses((status = 201, description = "The order stands.", body = PlatformOrderBody)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    program: Program,
    body: Json<PlatformOrderRequest>,
) -> Result<Response, Problem> {
    let Json { value: request, raw } = body;
    check_takes_cards(&shared.app)?;
    let (role, id) = match (request.student_id, request.customer_id) {
        (Some(id), None) => (Role::Student, id),
        (None, Some(id)) => (Role::Customer, id),
        _ => return Err(invalid("studentId", "name one of studentId and customerId")),
    };
    let asked = PlatformOrder {
        buyer: UserId::parse(&id).ok_or(Refusal::StudentNotFound { role: role.name() })?,
        role,
        product: ProductId::parse(&request.product_id).ok_or(Refusal::UnknownProduct { product_id: request.product_id })?,
        quantity: request.quantity,
        placed_by: program.actor(),
    };
    let placed = platform::place_for(&shared.app, asked, repeatable.request_key(&raw)).await?;
    Ok(respond(StatusCode::CREATED, &placed))
}

/// The payment of such an order
///
/// Made if it is not there yet. An order that is paid already answers 400.
#[utoipa::path(post, path = "/api/platform/orders/{order}/payment", tag = "platform", request_body = Option<PlatformPaymentRequest>,
    params(("order" = String, Path, description = "Its id or code.")),
    responses((status = 200, description = "The payment.", body = PlatformOrderBody)))]
pub(super) async fn payment(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    _program: Program,
    Path(order): Path<String>,
    body: MaybeJson<PlatformPaymentRequest>,
) -> Result<Response, Problem> {
    check_takes_cards(&shared.app)?;
    let PlatformPaymentRequest {} = body.value;
    let found = platform::payment(&shared.app, &order, repeatable.request_key(&body.raw)).await;
    Ok(respond(StatusCode::OK, &found.map_err(refused)?))
}

/// The services that these routes replace say 400 where our own customers' routes say 409, and programs branch on it.
fn refused(fault: Fault) -> Problem {
    let is_paid = matches!(fault, Fault::Refused(Refusal::PaymentAlreadySucceeded));
    let problem = Problem::from(fault);
    if is_paid { Problem { status: StatusCode::BAD_REQUEST, ..problem } } else { problem }
}

fn respond(status: StatusCode, placed: &Placed) -> Response {
    answered((status, Answer(PlatformOrderBody::of(&placed.order))).into_response(), placed.is_replay)
}

impl PlatformOrderBody {
    fn of(order: &Order) -> Self {
        Self {
            order_id: order.id.to_string(),
            order_code: order.code.clone(),
            payment_intent_id: order.payment.reference.clone(),
            client_secret: order.payment.client_secret.clone(),
            amount: order.total_amount,
            currency: order.currency.to_string(),
        }
    }
}
