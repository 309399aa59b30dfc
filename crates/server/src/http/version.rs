//! Versions on the wire: an answer's `ETag`, a request's `If-Match`.

use super::problem::Problem;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// The answer with its version.
pub(super) fn with_etag(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The version that `If-Match` names; `*` and no header name none.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(header) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    // A tag that is none of ours matches nothing that we have.
    version.map(Some).ok_or_else(|| Problem::new("version_mismatch", "If-Match names no version: send the ETag of the last answer"))
}
