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
use ordermill_core::digest::Digest;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// A provider, which signs what it sends; the handler verifies it.
    Signature,
    /// Every signed-in account; what it may see there is the handler's to say.
    Account,
    /// Whoever shows the token of an account, also one that has just become worthless: the handler looks whether the
    /// request is a copy of the one that made it so.
    Token,
    /// Staff, admins and the local operator.
    Staff,
    /// Admins and the local operator.
    Admin,
    /// Programs, by an API key with this scope. No account, of whatever role.
    Key(Scope),
    /// Every signed-in account, and programs by an API key with this scope; those see what staff sees.
    AccountOrKey(Scope),
    /// Staff, admins and the local operator, and programs by an API key with this scope.
    StaffOrKey(Scope),
}

impl Access {
    /// The name in the OpenAPI document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Signature => "signature",
            Self::Account | Self::Token => "account",
            Self::Staff => "staff",
            Self::Admin => "admin",
            Self::Key(_) => "key",
            Self::AccountOrKey(_) => "account or key",
            Self::StaffOrKey(_) => "staff or key",
        }
    }

    /// The scope that an API key needs here; none where no key opens anything.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Key(scope) | Self::AccountOrKey(scope) | Self::StaffOrKey(scope) => Some(scope),
            Self::Public | Self::Signature | Self::Account | Self::Token | Self::Staff | Self::Admin => None,
        }
    }

    /// Whether it asks who somebody is.
    pub const fn is_authenticated(self) -> bool {
        !matches!(self, Self::Public | Self::Signature)
    }

    const fn lets_in(self, role: Role) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Public | Self::Signature | Self::Account | Self::Token | Self::AccountOrKey(_) => true,
            Self::Staff | Self::StaffOrKey(_) => role.is_staff(),
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
    ("GET", "/api/admin/inbox", Access::StaffOrKey(Scope::WebhooksRead)),
    ("GET", "/api/admin/inbox/{provider}/{event}", Access::StaffOrKey(Scope::WebhooksRead)),
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
    ("GET", "/api/orders", Access::AccountOrKey(Scope::OrdersRead)),
    ("POST", "/api/orders", Access::Account),
    ("POST", "/api/orders/create", Access::Account),
    ("GET", "/api/orders/{order}", Access::AccountOrKey(Scope::OrdersRead)),
    ("POST", "/api/orders/{order}/cancel", Access::Account),
    ("GET", "/api/orders/{order}/events", Access::AccountOrKey(Scope::OrdersRead)),
    ("PUT", "/api/orders/{order}/status", Access::Staff),
    ("POST", "/api/platform/orders", Access::Key(Scope::OrdersCreate)),
    ("POST", "/api/platform/orders/{order}/payment", Access::Key(Scope::OrdersCreate)),
    ("GET", "/api/products", Access::Public),
    ("POST", "/api/products", Access::StaffOrKey(Scope::CatalogueWrite)),
    ("GET", "/api/products/{id}", Access::Public),
    ("PUT", "/api/products/{id}", Access::StaffOrKey(Scope::CatalogueWrite)),
    ("POST", "/api/products/{id}/stock", Access::StaffOrKey(Scope::CatalogueWrite)),
    ("POST", "/api/users/login", Access::Public),
    ("POST", "/api/users/logout", Access::Token),
    ("GET", "/api/users/me", Access::Account),
    ("PATCH", "/api/users/me", Access::Account),
    ("GET", "/api/users/me/notifications", Access::Account),
    ("PUT", "/api/users/me/notifications", Access::Account),
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
        Access::Staff | Access::Admin | Access::StaffOrKey(_) => {
            if let Some(LocalOperator(name)) = parts.extensions.get::<LocalOperator>() {
                return Ok(Some(Caller::Local(name.clone())));
            }
        }
        Access::Account | Access::Token | Access::AccountOrKey(_) | Access::Key(_) => {}
    }
    let token = bearer(&parts.headers);
    if let Some(scope) = access.scope()
        && (token.is_some_and(|token| token.starts_with(PREFIX)) || access == Access::Key(scope))
    {
        return admit_key(shared, token, scope).await.map(Some);
    }
    let token = token.ok_or_else(Problem::unauthenticated)?;
    if token.starts_with(PREFIX) {
        return Err(Problem::new("unauthenticated", "an API key opens only the routes that ask for one"));
    }
    if access == Access::Token {
        return Ok(Some(Caller::Token(Digest::of(token.as_bytes()))));
    }
    let user = accounts::authenticate(&shared.app, token).await?.ok_or_else(Problem::unauthenticated)?;
    match access {
        _ if access.lets_in(user.role) => Ok(Some(Caller::Account(Box::new(user)))),
        Access::Admin => Err(Problem::new("forbidden", "only an admin may do this")),
        _ => Err(Problem::new("forbidden", "this account is not staff")),
    }
}

/// The program that asks, where only programs may.
async fn admit_key(shared: &Shared, token: Option<&str>, scope: Scope) -> Result<Caller, Problem> {
    let no_key = || Problem::new("unauthenticated", "send Authorization: Bearer with an API key (omk_live_…)");
    let secret = token.filter(|token| token.starts_with(PREFIX)).ok_or_else(no_key)?;
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
            let is_read_by_programs = *access == Access::StaffOrKey(Scope::WebhooksRead) && *method == "GET";
            assert!(matches!(access, Access::Staff | Access::Admin) || is_read_by_programs, "{method} {path}");
        }
    }

    #[test]
    fn every_scope_opens_something() {
        for scope in Scope::ALL {
            assert!(ROUTES.iter().any(|(_, _, access)| access.scope() == Some(scope)), "{}", scope.name());
        }
    }
}
