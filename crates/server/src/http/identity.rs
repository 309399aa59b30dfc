//! Who asks, for handlers. The check itself is a layer ([`super::access`]); a handler that wants a caller where the table
//! asks for none gets an error, never an anonymous one.

use super::problem::Problem;
use crate::app::orders::Viewer;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ordermill_core::account::User;
use ordermill_core::api_key::{ApiKey, Scope};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;

/// Somebody whom the table of access let in.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// An account.
    Account(Box<User>),
    /// A person at the command line of the machine.
    Local(String),
    /// A program.
    Key(Box<ApiKey>),
    /// Whoever shows this token, not yet looked up.
    Token(Digest),
}

impl Caller {
    /// Whose requests may be copies of each other.
    pub(super) fn scope(&self) -> Vec<u8> {
        match self {
            Self::Account(user) => user.id.uuid().as_bytes().to_vec(),
            Self::Local(name) => format!("local:{name}").into_bytes(),
            Self::Key(key) => key.id.uuid().as_bytes().to_vec(),
            Self::Token(token) => [b"token:".as_slice(), token.bytes()].concat(),
        }
    }
}

/// A signed-in account of any role.
pub(super) struct SignedIn(pub(super) User);

/// The token that the request carries, digested; whose it is, if anybody's, is to be looked up.
pub(super) struct Token(pub(super) Digest);

/// A program that speaks for its own people.
pub(super) struct Program(ApiKey);

impl Program {
    /// Who goes into the timeline.
    pub(super) fn actor(&self) -> Actor {
        Actor::api_key(self.0.id)
    }
}

/// Somebody who reads orders: an account, or a program with the scope for it.
pub(super) enum OrderReader {
    Account(User),
    Program,
}

impl OrderReader {
    /// What they may see: a program reads for the whole shop, as staff does.
    pub(super) const fn viewer(&self) -> Viewer<'_> {
        match self {
            Self::Account(user) => Viewer::of(user),
            Self::Program => Viewer::Staff,
        }
    }
}

/// Somebody who does what staff does, or a program where the table lets one: the catalogue, and received events.
pub(super) struct OperatorOrProgram(Actor);

impl OperatorOrProgram {
    /// Who goes into the audit trail.
    pub(super) fn actor(&self) -> Actor {
        self.0.clone()
    }
}

/// A person at the command line of the machine: the request came over the control socket or from this very process.
/// Only those two put it on a request.
#[derive(Debug, Clone)]
pub struct LocalOperator(pub String);

/// Somebody who may see and move other people's orders: staff, an admin, or the local operator.
pub(super) struct Operator(Actor);

impl Operator {
    /// Who goes into the audit trail.
    pub(super) fn actor(&self) -> Actor {
        self.0.clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Account(user)) => Ok(Self(User::clone(user))),
            _ => Err(unchecked(parts)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Token(token)) => Ok(Self(*token)),
            _ => Err(unchecked(parts)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>().cloned() {
            Some(Caller::Account(user)) if user.role.is_staff() => Ok(Self(Actor::staff(user.id))),
            Some(Caller::Local(name)) => Ok(Self(Actor::operator(&name))),
            _ => Err(unchecked(parts)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Program {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>().cloned() {
            Some(Caller::Key(key)) => Ok(Self(*key)),
            _ => Err(unchecked(parts)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OrderReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Account(user)) => Ok(Self::Account(User::clone(user))),
            Some(Caller::Key(key)) if key.scopes.contains(&Scope::OrdersRead) => Ok(Self::Program),
            _ => Err(unchecked(parts)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OperatorOrProgram {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(Caller::Key(key)) = parts.extensions.get::<Caller>() {
            return Ok(Self(Actor::api_key(key.id)));
        }
        Operator::from_request_parts(parts, state).await.map(|operator| Self(operator.actor()))
    }
}

/// The table of access lets in more than the handler can serve: our mistake.
fn unchecked(parts: &Parts) -> Problem {
    tracing::error!(path = parts.uri.path(), "a handler without a caller that the table of access let in");
    Problem::new("internal", "something broke on our side; it has been noted")
}
