//! Accounts, made by admins.

use crate::app::accounts::{self, Registration};
use crate::http::Shared;
use crate::http::accounts::{UserBody, parse_email};
use crate::http::body::Json;
use crate::http::identity::Operator;
use crate::http::openapi::vocabulary;
use crate::http::problem::Problem;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use ordermill_core::account::Role;
use ordermill_core::locale::Locale;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new account of any role.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CreateUserRequest)]
pub(super) struct CreateRequest {
    email: String,
    #[schema(min_length = 8, max_length = 128)]
    password: String,
    #[schema(schema_with = vocabulary::role)]
    role: String,
    name: Option<String>,
}

/// An account that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedUser)]
pub(super) struct Created {
    user: UserBody,
}

/// Make an account
#[utoipa::path(post, path = "/api/admin/users", tag = "operators", request_body = CreateRequest,
    responses((status = 201, description = "The account.", body = Created)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    _operator: Operator,
    body: Json<CreateRequest>,
) -> Result<(StatusCode, Answer<Created>), Problem> {
    let request = body.value;
    let role = Role::from_name(&request.role);
    let role = role.ok_or_else(|| Problem::new("invalid_request", "role: customer, student, staff or admin").at("role", "unknown"))?;
    let registration = Registration {
        email: parse_email(&request.email)?,
        password: request.password,
        role,
        name: request.name,
        phone: None,
        locale: Locale::default(),
        is_dev: false,
    };
    let made = accounts::register(&shared.app, registration).await?;
    Ok((StatusCode::CREATED, Answer(Created { user: UserBody::of(&made.user) })))
}
