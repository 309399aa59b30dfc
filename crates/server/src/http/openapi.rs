//! The OpenAPI document: made from the handlers themselves, completed from the tables of access and problems, checked in as
//! `openapi/openapi.json`, and served. This file must not know single routes.

pub(super) mod vocabulary;

use super::access::{self, Access};
use super::idempotency;
use super::problem::ProblemBody;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::json;
use std::sync::LazyLock;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// One page of a list, newest first unless the route says otherwise.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    /// Where the next page begins; `null` at the end.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
pub(super) async fn serve() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(super::openapi_text);
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// What the routes say of themselves, completed: who may use each, and how each says no.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("ordermill")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Orders, paid and carried to their end exactly once in effect."))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .build();
    document.servers = None;
    let components = document.components.get_or_insert_with(Components::new);
    let mut schemas = Vec::new();
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert("Problem".to_owned(), ProblemBody::schema());
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    components.security_schemes.insert("token".to_owned(), token.into());
    let about = "An API key, `omk_live_…`. It opens only the routes that name it, and those with its scopes.";
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build());
    components.security_schemes.insert("apiKey".to_owned(), key.into());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(access) = access::of(method, path) {
                complete_operation(operation, access);
                if method == "POST" && access.is_authenticated() {
                    add_idempotency_key(operation);
                }
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
    document
}

/// The operations of a path with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

fn complete_operation(operation: &mut Operation, access: Access) {
    let problem = |why: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        RefOr::T(ResponseBuilder::new().description(why).content("application/problem+json", content).build())
    };
    let responses = &mut operation.responses.responses;
    responses.insert("4XX".to_owned(), problem("Refused: `code` says why, and nothing was changed."));
    responses.entry("503".to_owned()).or_insert_with(|| problem("Not now: sending the same request again makes sense."));
    // One of them is enough.
    let by_token = (!matches!(access, Access::Public | Access::Signature | Access::Key(_)))
        .then(|| SecurityRequirement::new("token", Vec::<String>::new()));
    let by_key = access.scope().map(|scope| SecurityRequirement::new("apiKey", [scope.name()]));
    let security: Vec<SecurityRequirement> = by_token.into_iter().chain(by_key).collect();
    operation.security = Some(security).filter(|ways| !ways.is_empty());
    let extensions = operation.extensions.get_or_insert_with(Extensions::default);
    extensions.insert("x-access".to_owned(), json!(access.name()));
}

/// Every request of somebody known may be sent again under a key of its own.
fn add_idempotency_key(operation: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(idempotency::KEY_PATTERN));
    let header = ParameterBuilder::new()
        .name("idempotency-key")
        .parameter_in(ParameterIn::Header)
        .description(Some("8 to 255 visible ASCII characters: a copy of the request is answered like the first, for 48 hours."))
        .schema(Some(text.min_length(Some(idempotency::KEY_BYTES_MIN)).max_length(Some(idempotency::KEY_BYTES_MAX)).build()));
    operation.parameters.get_or_insert_with(Vec::new).push(RefOr::T(header.build()));
}

/// A name that no other operation has: `GET /api/orders/{order}/events` is `getApiOrdersOrderEvents`.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_ascii_lowercase();
    let words = path.split(|character: char| !character.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
    }
    id
}

/// Every method and path of the document; the access tests compare them with the table.
#[cfg(test)]
fn listed(document: &mut OpenApi) -> std::collections::BTreeSet<(String, String)> {
    let paths = document.paths.paths.iter_mut();
    paths.flat_map(|(path, item)| operations(item).map(|(method, _)| (path.clone(), method.to_owned())).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_in_the_table_of_access_and_the_other_way_round() {
        let table = access::ROUTES.iter().map(|(method, path, _)| ((*path).to_owned(), (*method).to_owned())).collect();
        let mut document = crate::http::document();
        assert_eq!(listed(&mut document), table);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = crate::http::openapi_text();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let references = text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let missing: Vec<&str> = references.filter(|pointer| document.pointer(pointer).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut document = crate::http::document();
        let items = document.paths.paths.values_mut();
        let ids: Vec<_> =
            items.flat_map(|item| operations(item).map(|(_, operation)| operation.operation_id.clone()).collect::<Vec<_>>()).collect();
        assert_eq!(ids.iter().flatten().collect::<std::collections::HashSet<_>>().len(), ids.len(), "{ids:#?}");
    }

    #[test]
    fn the_checked_in_document_is_the_one_that_is_served() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/openapi.json");
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(checked_in == crate::http::openapi_text(), "run: cargo run -- openapi > openapi/openapi.json");
    }
}
