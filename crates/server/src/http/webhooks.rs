//! What providers send. The raw bytes are verified before anything is parsed, and 2xx is said only when it is durable.

use super::Shared;
use super::body::{check_encoding, read};
use super::problem::Problem;
use crate::app::payments::inbox;
use axum::Json as Answer;
use axum::extract::{Request, State};
use serde::Serialize;
use utoipa::ToSchema;

/// It is durable.
#[derive(Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// An event from Stripe
#[utoipa::path(post, path = "/api/webhook/stripe", tag = "webhooks",
    params(("stripe-signature" = String, Header, description = "Stripe's signature over the raw body.")),
    request_body(content = String, content_type = "application/json", description = "The event, as Stripe sent it."),
    responses((status = 200, description = "The event is durable, or was already.", body = Received)))]
pub(super) async fn stripe(State(shared): State<Shared>, request: Request) -> Result<Answer<Received>, Problem> {
    let header = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    check_encoding(&request)?;
    let body = read(request, &shared).await?;
    inbox::receive_stripe(&shared.app, &header, &body).await?;
    Ok(Answer(Received { received: true }))
}

/// An event from Stripe, at the shorter address
#[utoipa::path(post, path = "/webhook/stripe", tag = "webhooks",
    params(("stripe-signature" = String, Header, description = "Stripe's signature over the raw body.")),
    request_body(content = String, content_type = "application/json", description = "The event, as Stripe sent it."),
    responses((status = 200, description = "The event is durable, or was already.", body = Received)))]
pub(super) async fn stripe_short(state: State<Shared>, request: Request) -> Result<Answer<Received>, Problem> {
    stripe(state, request).await
}
