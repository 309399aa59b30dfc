//! Other people's accounts, and the audit trail: for admins.

use super::ReasonRequest;
use crate::app::Fault;
use crate::app::accounts::Registration;
use crate::app::accounts::people::{self, Made, NewPassword};
use crate::http::accounts::{UserBody, parse_email, parse_name};
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::Operator;
use crate::http::list::{PageQuery, Query, page_limit};
use crate::http::openapi::{List, vocabulary};
use crate::http::problem::Problem;
use crate::http::text::{checked_text, invalid};
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ordermill_core::account::Role;
use ordermill_core::change::AuditEntry;
use ordermill_core::id::UserId;
use ordermill_core::locale::Locale;
use ordermill_store::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The longest search text, in characters.
const QUERY_MAX: usize = 254;

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
    #[schema(min_length = 1, max_length = 200)]
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
    repeatable: Repeatable,
    operator: Operator,
    body: Json<CreateRequest>,
) -> Result<Response, Problem> {
    let Json { value: request, raw } = body;
    let registration = Registration {
        email: parse_email(&request.email)?,
        password: request.password,
        role: parse_role(&request.role)?,
        name: request.name.as_deref().map(parse_name).transpose()?,
        phone: None,
        locale: Locale::default(),
        is_dev: false,
    };
    let request = repeatable.secret_request_key(&shared.app.config.server.secret_keys(), &raw)?;
    let Made { user, is_replay } = people::create(&shared.app, registration, &operator.actor(), request).await?;
    Ok(answered((StatusCode::CREATED, Answer(Created { user: UserBody::of(&user) })).into_response(), is_replay))
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// An e-mail address, or a part of one.
    #[param(max_length = 254)]
    q: Option<String>,
}

/// Accounts, newest first
#[utoipa::path(get, path = "/api/admin/users", tag = "operators", params(UserQuery),
    responses((status = 200, description = "A page.", body = List<UserBody>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<UserQuery>,
) -> Result<Answer<List<UserBody>>, Problem> {
    let text = query.q.map(|text| checked_text("q", &text, QUERY_MAX)).transpose()?.filter(|text| !text.is_empty());
    let page = Page { rows: Vec::new(), cursor: query.cursor, limit: page_limit(query.limit)? };
    let found = people::list(&shared.app, text.as_deref(), page).await?;
    Ok(Answer(List { data: found.rows.iter().map(UserBody::of).collect(), next_cursor: found.cursor }))
}

/// One account
#[utoipa::path(get, path = "/api/admin/users/{id}", tag = "operators", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The account.", body = UserBody)))]
pub(super) async fn show(State(shared): State<Shared>, _operator: Operator, Path(id): Path<String>) -> Result<Answer<UserBody>, Problem> {
    Ok(Answer(UserBody::of(&people::find(&shared.app, parse_id(&id)?).await?)))
}

/// What an account may do from now on, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetRoleRequest {
    #[schema(schema_with = vocabulary::role)]
    role: String,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Give an account another role
///
/// The last admin keeps theirs.
#[utoipa::path(put, path = "/api/admin/users/{id}/role", tag = "operators", request_body = SetRoleRequest,
    params(("id" = String, Path, description = "The account's id.")),
    responses((status = 200, description = "The account as it is now.", body = UserBody)))]
pub(super) async fn set_role(
    State(shared): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    body: Json<SetRoleRequest>,
) -> Result<Answer<UserBody>, Problem> {
    let SetRoleRequest { role, reason } = body.value;
    let (role, reason) = (parse_role(&role)?, ReasonRequest { reason });
    let user = people::set_role(&shared.app, parse_id(&id)?, role, &operator.actor(), &reason.checked()?).await?;
    Ok(Answer(UserBody::of(&user)))
}

/// A new password for somebody, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetPasswordRequest {
    #[schema(min_length = 8, max_length = 128)]
    password: String,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Set an account's password
///
/// Every session of the account ends; on other nodes within five seconds.
#[utoipa::path(post, path = "/api/admin/users/{id}/password", tag = "operators", request_body = SetPasswordRequest,
    params(("id" = String, Path, description = "The account's id.")),
    responses((status = 200, description = "The account.", body = UserBody)))]
pub(super) async fn set_password(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    Path(id): Path<String>,
    body: Json<SetPasswordRequest>,
) -> Result<Response, Problem> {
    let Json { value: SetPasswordRequest { password, reason }, raw } = body;
    let (reason, actor) = (ReasonRequest { reason }.checked()?, operator.actor());
    let new = NewPassword { password, actor: &actor, reason: &reason };
    let request = repeatable.secret_request_key(&shared.app.config.server.secret_keys(), &raw)?;
    let Made { user, is_replay } = people::set_password(&shared.app, parse_id(&id)?, new, request).await?;
    Ok(answered(Answer(UserBody::of(&user)).into_response(), is_replay))
}

/// What somebody did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct AuditBody {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = DateTime)]
    at: String,
    /// Who, such as `staff:` and an account's id.
    actor: String,
    /// What, such as `dead_letter.redriven`.
    action: String,
    /// To what.
    subject: String,
    /// Why, in the person's words, or what exactly.
    reason: String,
}

/// What people did, latest first
#[utoipa::path(get, path = "/api/admin/audit", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page.", body = List<AuditBody>)))]
pub(super) async fn audit(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Answer<List<AuditBody>>, Problem> {
    let page = shared.app.store.audit(&query.into_page()?).await.map_err(Fault::from)?;
    Ok(Answer(List { data: page.rows.into_iter().map(AuditBody::of).collect(), next_cursor: page.cursor }))
}

impl AuditBody {
    fn of(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject, reason, outcome: _ } = entry;
        Self { id: id.to_string(), at: time_text(at), actor: actor.as_str().to_owned(), action, subject, reason }
    }
}

fn parse_role(name: &str) -> Result<Role, Problem> {
    Role::from_name(name).ok_or_else(|| invalid("role", "customer, student, staff or admin"))
}

fn parse_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).ok_or_else(|| Problem::new("not_found", "there is no such account"))
}
