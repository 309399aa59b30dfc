//! What providers send. The raw bytes are verified before anything is parsed, and 2xx is said only when it is durable.

use super::Shared;
use super::body::read;
use super::problem::Problem;
use crate::app::payments::inbox;
use axum::Json as Answer;
use axum::extract::{Request, State};
use serde_json::{Value, json};

/// `POST /api/webhook/stripe` and `POST /webhook/stripe`
pub(super) async fn stripe(State(shared): State<Shared>, request: Request) -> Result<Answer<Value>, Problem> {
    let header = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = read(request, &shared).await?;
    inbox::receive_stripe(&shared.app, &header, &body).await?;
    Ok(Answer(json!({ "received": true })))
}
