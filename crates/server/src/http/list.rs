//! Lists: what every list's query says, and how its answer looks.

use super::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ordermill_core::time::Timestamp;
use ordermill_store::Page;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// How many rows a list returns unless told otherwise.
pub(super) const LIMIT_DEFAULT: usize = 20;
/// How many rows a list returns at most.
pub(super) const LIMIT_MAX: usize = 100;

/// A query string of this shape; anything else in it is refused.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        let refused = |rejection: axum::extract::rejection::QueryRejection| Problem::new("invalid_request", rejection.body_text());
        query.map(|axum::extract::Query(query)| Self(query)).map_err(refused)
    }
}

/// Which page of a list without filters.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// The page in the store's words.
    pub(super) fn into_page(self) -> Result<Page<()>, Problem> {
        Ok(Page { rows: Vec::new(), cursor: self.cursor, limit: page_limit(self.limit)? })
    }
}

/// The page size that a request asks for.
pub(super) fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new("invalid_request", format!("limit: between 1 and {LIMIT_MAX}")).at("limit", "out of range")),
    }
}

/// A word of a closed set in a query, if it is one.
pub(super) fn word<T>(path: &str, name: Option<String>, from_name: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let unknown = || Problem::new("invalid_request", format!("{path}: there is no such {path}")).at(path, "unknown");
    name.map(|name| from_name(&name).ok_or_else(unknown)).transpose()
}

/// A time of a query, RFC 3339.
pub(super) fn parse_time(path: &str, text: &str) -> Result<Timestamp, Problem> {
    let time = text.parse::<jiff::Timestamp>().ok();
    let wrong = || Problem::new("invalid_request", format!("{path}: a time such as 2026-11-21T08:30:00Z")).at(path, "not a time");
    time.map(|time| Timestamp::from_millis(time.as_millisecond())).ok_or_else(wrong)
}
