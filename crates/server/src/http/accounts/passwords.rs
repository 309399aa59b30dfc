//! Signing out, and a new password for somebody who forgot the old one.

use super::parse_email;
use crate::app::accounts::{self, LoggedOut};
use crate::http::Shared;
use crate::http::body::{Json, MaybeJson};
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::Token;
use crate::http::problem::Problem;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Nothing: the body may as well be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Nothing {}

/// Sign out
///
/// Ends the session of the token that the request carries. With an Idempotency-Key, a copy hears the same although the
/// token is worthless by then.
#[utoipa::path(post, path = "/api/users/logout", tag = "accounts", responses((status = 204, description = "The token is worthless now.")))]
pub(in crate::http) async fn logout(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    Token(token): Token,
    body: Result<MaybeJson<Nothing>, Problem>,
) -> Result<Response, Problem> {
    let session = accounts::session(&shared.app, &token).await?;
    let body = match (body, &session) {
        (Ok(body), _) => body,
        // Who asks comes before what is asked.
        (Err(_), None) => return Err(Problem::unauthenticated()),
        (Err(problem), Some(_)) => return Err(problem),
    };
    let MaybeJson { value: Nothing {}, raw } = body;
    let request = repeatable.request_key(&raw);
    let ended = match session {
        Some(session) => Some(accounts::logout(&shared.app, &session, request).await?),
        None => accounts::logged_out_before(&shared.app, request).await?,
    };
    let LoggedOut { is_replay } = ended.ok_or_else(Problem::unauthenticated)?;
    Ok(answered(StatusCode::NO_CONTENT.into_response(), is_replay))
}

/// Who forgot the password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct ForgotRequest {
    email: String,
}

/// The wish was heard; whether the address has an account is not said.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ForgotAnswer)]
pub(in crate::http) struct ForgotBody {
    message: &'static str,
}

/// Ask for a new password
///
/// If the address has an account, a mail with a token goes there. The answer is the same if it has none.
#[utoipa::path(post, path = "/api/users/password/forgot", tag = "accounts", request_body = ForgotRequest,
    responses((status = 202, description = "A mail is sent if the address has an account.", body = ForgotBody)))]
pub(in crate::http) async fn forgot(
    State(shared): State<Shared>,
    body: Json<ForgotRequest>,
) -> Result<(StatusCode, Answer<ForgotBody>), Problem> {
    accounts::forgot_password(&shared.app, &parse_email(&body.value.email)?).await?;
    Ok((StatusCode::ACCEPTED, Answer(ForgotBody { message: "if the address has an account, a mail is on its way" })))
}

/// A new password, and the token from the mail.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct ResetRequest {
    token: String,
    #[schema(min_length = 8, max_length = 128)]
    password: String,
}

/// Set a new password
///
/// Uses the token up and ends every session of the account.
#[utoipa::path(post, path = "/api/users/password/reset", tag = "accounts", request_body = ResetRequest,
    responses((status = 204, description = "The new password holds, and every session has ended.")))]
pub(in crate::http) async fn reset(State(shared): State<Shared>, body: Json<ResetRequest>) -> Result<StatusCode, Problem> {
    let ResetRequest { token, password } = body.value;
    accounts::reset_password(&shared.app, token.trim(), password).await?;
    Ok(StatusCode::NO_CONTENT)
}
