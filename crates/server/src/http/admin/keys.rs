//! API keys, made and taken back by admins.

use crate::app::api_keys::{self, Made, NewKey};
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::Operator;
use crate::http::list::{PageQuery, Query, parse_time};
use crate::http::openapi::{List, vocabulary};
use crate::http::problem::Problem;
use crate::http::text::{invalid, needed_line};
use crate::http::{Shared, time_text};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ordermill_core::api_key::{ApiKey, Scope};
use ordermill_core::id::ApiKeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// The longest name, in characters.
const NAME_MAX: usize = 100;

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CreateApiKeyRequest)]
pub(super) struct CreateRequest {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(schema_with = vocabulary::scopes)]
    scopes: Vec<String>,
    /// From when on it opens nothing any more; never, when left out.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A key without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub(super) struct KeyBody {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    /// The first 16 characters of the key.
    shown: String,
    #[schema(schema_with = vocabulary::scopes)]
    scopes: BTreeSet<Scope>,
    /// Who made it.
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedApiKey)]
pub(super) struct CreatedBody {
    #[serde(flatten)]
    about: KeyBody,
    /// Told once; send it as `Authorization: Bearer`. `null` in the answer to a copy of the request: nobody knows it then,
    /// so revoke the key and make another.
    #[schema(required)]
    key: Option<String>,
}

/// Make an API key
#[utoipa::path(post, path = "/api/admin/api-keys", tag = "operators", request_body = CreateRequest,
    responses((status = 201, description = "The key.", body = CreatedBody)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: Operator,
    body: Json<CreateRequest>,
) -> Result<Response, Problem> {
    let Json { value: request, raw } = body;
    let unknown = || invalid("scopes", "there is no such scope");
    let scope = |name: &String| Scope::from_name(name).ok_or_else(unknown);
    let new = NewKey {
        name: needed_line("name", &request.name, NAME_MAX)?,
        scopes: request.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        expires_at: request.expires_at.map(|text| parse_time("expiresAt", &text)).transpose()?,
    };
    let Made { key, secret } = api_keys::create(&shared.app, new, &operator.actor(), repeatable.request_key(&raw)).await?;
    let is_replay = secret.is_none();
    let created = CreatedBody { about: KeyBody::of(&key), key: secret };
    Ok(answered((StatusCode::CREATED, Answer(created)).into_response(), is_replay))
}

/// API keys, newest first
///
/// Those that were revoked among them, for the audit trail names them.
#[utoipa::path(get, path = "/api/admin/api-keys", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page.", body = List<KeyBody>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    _operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Answer<List<KeyBody>>, Problem> {
    let page = api_keys::list(&shared.app, &query.into_page()?).await?;
    Ok(Answer(List { data: page.rows.iter().map(KeyBody::of).collect(), next_cursor: page.cursor }))
}

/// Revoke an API key
///
/// It opens nothing from now on; on other nodes within five seconds.
#[utoipa::path(delete, path = "/api/admin/api-keys/{id}", tag = "operators", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The key, revoked.", body = KeyBody)))]
pub(super) async fn revoke(State(shared): State<Shared>, operator: Operator, Path(id): Path<String>) -> Result<Answer<KeyBody>, Problem> {
    let id = ApiKeyId::parse(&id).ok_or_else(|| Problem::new("not_found", "there is no such API key"))?;
    let revoked = api_keys::revoke(&shared.app, id, &operator.actor()).await?;
    Ok(Answer(KeyBody::of(&revoked)))
}

impl KeyBody {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            shown: key.shown.clone(),
            scopes: key.scopes.clone(),
            created_by: key.created_by.as_str().to_owned(),
            created_at: time_text(key.created_at),
            expires_at: key.expires_at.map(time_text),
            revoked_at: key.revoked_at.map(time_text),
        }
    }
}
