//! Accounts, made by admins.

use crate::app::accounts::{self, Registration};
use crate::http::Shared;
use crate::http::accounts::{parse_email, render_user};
use crate::http::body::Json;
use crate::http::identity::Operator;
use crate::http::problem::Problem;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use ordermill_core::account::Role;
use ordermill_core::locale::Locale;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateRequest {
    email: String,
    password: String,
    role: String,
    name: Option<String>,
}

/// `POST /api/admin/users`
pub(super) async fn create(
    State(shared): State<Shared>,
    operator: Operator,
    body: Json<CreateRequest>,
) -> Result<(StatusCode, Answer<Value>), Problem> {
    operator.require_admin()?;
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
    Ok((StatusCode::CREATED, Answer(json!({ "user": render_user(&made.user) }))))
}
