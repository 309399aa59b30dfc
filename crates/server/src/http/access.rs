//! Who may ask for what: one table. The layer that checks it, the OpenAPI document and the access tests all read it, and a
//! route that is missing here answers nobody.

use super::Shared;
use super::identity::{Caller, LocalOperator};
use super::problem::Problem;
use crate::app::{accounts, api_keys};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ordermill_core::account::Role;
use ordermill_core::api_key::{PREFIX, Scope};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// A provider, which signs what it sends; the handler verifies it.
    Signature,
    /// Every signed-in account; what it may see there is the handler's to say.
    Account,
    /// Staff, admins and the local operator.
    Staff,
    /// Admins and the local operator.
    Admin,
    /// Programs, by an API key with this scope. No account, of whatever role, and no key anywhere else.
    Key(Scope),
}

impl Access {
    /// The name in the OpenAPI document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Signature => "signature",
            Self::Account => "account",
            Self::Staff => "staff",
            Self::Admin => "admin",
            Self::Key(_) => "key",
        }
    }

    const fn lets_in(self, role: Role) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Public | Self::Signature | Self::Account => true,
            Self::Staff => role.is_staff(),
            Self::Admin => matches!(role, Role::Admin),
        }
    }
}

/// Every route of the API with its method, sorted by path.
pub const ROUTES: &[(&str, &str, Access)] = &[
    ("GET", "/api/admin/api-keys", Access::Admin),
    ("POST", "/api/admin/api-keys", Access::Admin),
    ("DELETE", "/api/admin/api-keys/{id}", Access::Admin),
    ("GET", "/api/admin/audit", Access::Admin),
    ("GET", "/api/admin/dead-letters", Access::Staff),
    ("GET", "/api/admin/dead-letters/groups", Access::Staff),
    ("POST", "/api/admin/dead-letters/redrive", Access::Admin),
    ("GET", "/api/admin/dead-letters/{key}", Access::Staff),
    ("PUT", "/api/admin/dead-letters/{key}", Access::Staff),
    ("POST", "/api/admin/dead-letters/{key}/discard", Access::Admin),
    ("POST", "/api/admin/dead-letters/{key}/redrive", Access::Staff),
    ("POST", "/api/admin/fsck", Access::Admin),
    ("GET", "/api/admin/inbox", Access::Staff),
    ("POST", "/api/admin/inbox/{provider}/{event}/replay", Access::Staff),
    ("GET", "/api/admin/jobs", Access::Staff),
    ("GET", "/api/admin/orders", Access::Staff),
    ("GET", "/api/admin/orders/{order}", Access::Staff),
    ("GET", "/api/admin/orders/{order}/events", Access::Staff),
    ("GET", "/api/admin/queues", Access::Staff),
    ("POST", "/api/admin/queues/{queue}/pause", Access::Admin),
    ("POST", "/api/admin/queues/{queue}/resume", Access::Admin),
    ("GET", "/api/admin/status", Access::Staff),
    ("GET", "/api/admin/users", Access::Admin),
    ("POST", "/api/admin/users", Access::Admin),
    ("GET", "/api/admin/users/{id}", Access::Admin),
    ("POST", "/api/admin/users/{id}/password", Access::Admin),
    ("PUT", "/api/admin/users/{id}/role", Access::Admin),
    ("GET", "/api/carts", Access::Account),
    ("DELETE", "/api/carts", Access::Account),
    ("PUT", "/api/carts/items", Access::Account),
    ("DELETE", "/api/carts/items/{id}", Access::Account),
    ("GET", "/api/orders", Access::Account),
    ("POST", "/api/orders", Access::Account),
    ("POST", "/api/orders/create", Access::Account),
    ("GET", "/api/orders/{order}", Access::Account),
    ("POST", "/api/orders/{order}/cancel", Access::Account),
    ("GET", "/api/orders/{order}/events", Access::Account),
    ("PUT", "/api/orders/{order}/status", Access::Staff),
    ("POST", "/api/platform/orders", Access::Key(Scope::OrdersCreate)),
    ("POST", "/api/platform/orders/{order}/payment", Access::Key(Scope::OrdersCreate)),
    ("GET", "/api/products", Access::Public),
    ("POST", "/api/products", Access::Staff),
    ("GET", "/api/products/{id}", Access::Public),
    ("PUT", "/api/products/{id}", Access::Staff),
    ("POST", "/api/products/{id}/stock", Access::Staff),
    ("POST", "/api/users/login", Access::Public),
    ("POST", "/api/users/logout", Access::Account),
    ("GET", "/api/users/me", Access::Account),
    ("PATCH", "/api/users/me", Access::Account),
    ("POST", "/api/users/password/forgot", Access::Public),
    ("POST", "/api/users/password/reset", Access::Public),
    ("POST", "/api/users/register", Access::Public),
    ("POST", "/api/webhook/stripe", Access::Signature),
    ("GET", "/docs", Access::Public),
    ("GET", "/docs/start.js", Access::Public),
    ("GET", "/docs/swagger-ui-bundle.js", Access::Public),
    ("GET", "/docs/swagger-ui.css", Access::Public),
    ("GET", "/livez", Access::Public),
    ("GET", "/openapi.json", Access::Public),
    ("GET", "/readyz", Access::Public),
    ("POST", "/webhook/stripe", Access::Signature),
];

/// Who may use a route, if there is one.
pub fn of(method: &str, path: &str) -> Option<Access> {
    // Whoever may read something may ask for its head.
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|(known, route, _)| *known == method && *route == path).map(|(_, _, access)| *access)
}

/// The layer around every route of the API: finds out who asks, and refuses whom the table does not let in.
pub(super) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&shared, &parts).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who asks, where the route wants to know.
async fn admit(shared: &Shared, parts: &Parts) -> Result<Option<Caller>, Problem> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", |path| path.as_str());
    let Some(access) = of(parts.method.as_str(), path) else { return refuse_unlisted(&parts.method, path) };
    match access {
        Access::Public | Access::Signature => return Ok(None),
        Access::Staff | Access::Admin => {
            if let Some(LocalOperator(name)) = parts.extensions.get::<LocalOperator>() {
                return Ok(Some(Caller::Local(name.clone())));
            }
        }
        Access::Key(scope) => return admit_key(shared, parts, scope).await.map(Some),
        Access::Account => {}
    }
    let token = bearer(&parts.headers).ok_or_else(Problem::unauthenticated)?;
    if token.starts_with(PREFIX) {
        return Err(Problem::new("unauthenticated", "an API key opens only the routes that ask for one"));
    }
    let user = accounts::authenticate(&shared.app, token).await?.ok_or_else(Problem::unauthenticated)?;
    match access {
        _ if access.lets_in(user.role) => Ok(Some(Caller::Account(Box::new(user)))),
        Access::Admin => Err(Problem::new("forbidden", "only an admin may do this")),
        _ => Err(Problem::new("forbidden", "this account is not staff")),
    }
}

/// The program that asks, where only programs may.
async fn admit_key(shared: &Shared, parts: &Parts, scope: Scope) -> Result<Caller, Problem> {
    let no_key = || Problem::new("unauthenticated", "send Authorization: Bearer with an API key (omk_live_…)");
    let secret = bearer(&parts.headers).filter(|token| token.starts_with(PREFIX)).ok_or_else(no_key)?;
    let key = api_keys::authenticate(&shared.app, secret).await?.ok_or_else(no_key)?;
    if !key.scopes.contains(&scope) {
        return Err(Problem::new("forbidden", format!("this API key has no scope {}", scope.name())));
    }
    Ok(Caller::Key(Box::new(key)))
}

/// A method that no route has is the router's to refuse; a route that is not in the table must not answer.
fn refuse_unlisted(method: &Method, path: &str) -> Result<Option<Caller>, Problem> {
    if ROUTES.iter().any(|(_, route, _)| *route == path) {
        return Ok(None);
    }
    tracing::error!(%method, path, "a route without an entry in the table of access");
    Err(Problem::new("internal", "something broke on our side; it has been noted"))
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=512).contains(&token.len())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_sorted_and_says_everything_once() {
        assert!(ROUTES.is_sorted_by_key(|(_, path, _)| *path));
        assert_eq!(ROUTES.iter().map(|(method, path, _)| (method, path)).collect::<HashSet<_>>().len(), ROUTES.len());
        assert_eq!(of("HEAD", "/api/products"), Some(Access::Public));
        assert_eq!(of("DELETE", "/api/products"), None);
    }

    #[test]
    fn what_operators_do_is_never_open() {
        for (method, path, access) in ROUTES.iter().filter(|(_, path, _)| path.starts_with("/api/admin/")) {
            assert!(matches!(access, Access::Staff | Access::Admin), "{method} {path}");
        }
    }
}
