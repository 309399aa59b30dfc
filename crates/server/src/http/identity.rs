//! Who asks. The check is in the extractor, so that a handler cannot forget it.

use super::Shared;
use super::problem::Problem;
use crate::app::accounts;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use ordermill_core::account::User;
use ordermill_core::event::Actor;

/// A signed-in account of any role.
pub(super) struct SignedIn(pub(super) User);

/// A person at the command line of the machine: the request came over the control socket or from this very process.
/// Only those two put it on a request.
#[derive(Debug, Clone)]
pub struct LocalOperator(pub String);

/// Somebody who may see and move other people's orders: staff, an admin, or the local operator.
pub(super) enum Operator {
    Account(Box<User>),
    Local(String),
}

impl Operator {
    /// Who goes into the audit trail.
    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Account(user) => Actor::staff(user.id),
            Self::Local(name) => Actor::operator(name),
        }
    }

    /// Whether only admins may do what follows.
    pub(super) fn require_admin(&self) -> Result<(), Problem> {
        match self {
            Self::Account(user) if user.role != ordermill_core::account::Role::Admin => {
                Err(Problem::new("forbidden", "only an admin may do this"))
            }
            Self::Account(_) | Self::Local(_) => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Shared: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let shared = Shared::from_ref(state);
        let token = bearer(parts).ok_or_else(Problem::unauthenticated)?;
        let user = accounts::authenticate(&shared.app, token).await?;
        user.map(Self).ok_or_else(Problem::unauthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    Shared: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(LocalOperator(name)) = parts.extensions.get::<LocalOperator>() {
            return Ok(Self::Local(name.clone()));
        }
        let SignedIn(user) = SignedIn::from_request_parts(parts, state).await?;
        if user.role.is_staff() { Ok(Self::Account(Box::new(user))) } else { Err(Problem::new("forbidden", "this account is not staff")) }
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=512).contains(&token.len())).then_some(token)
}
