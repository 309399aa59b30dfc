//! Problems (RFC 9457): the one place that maps faults to statuses. A code is stable and has a page in `docs/problems/`;
//! what a 5xx says to the client tells nothing of our insides.

use crate::app::Fault;
use crate::app::payments::inbox::WebhookFault;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use ordermill_core::refusal::Refusal;
use serde_json::{Map, Value, json};

/// Where the page of a problem type lies.
const PAGES: &str = "https://ordermill.dev/problems/";

/// A problem to be told to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// What went wrong this time, for people.
    pub detail: String,
    /// Further members.
    pub extra: Map<String, Value>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u32>,
}

/// A problem as the client sees it (RFC 9457); some codes have further members.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used: a problem's body is made member by member")]
#[schema(rename_all = "camelCase", as = Problem)]
pub(super) struct ProblemBody {
    /// The page that explains the code.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Stable: clients branch on it.
    code: String,
    /// The same as in `x-request-id`.
    request_id: String,
    /// What is wrong where in the request.
    #[schema(required = false)]
    errors: Option<Vec<WrongField>>,
}

/// A member that does not say what it must.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct WrongField {
    path: String,
    message: String,
}

/// Every code with its status and title: the table that documentation and tests read.
pub(super) const CODES: &[(&str, u16, &str)] = &[
    ("amount_out_of_range", 422, "The order's total is out of range"),
    ("bad_signature", 400, "The webhook's signature does not hold"),
    ("body_too_large", 413, "The request body is too large"),
    ("cart_empty", 422, "The cart is empty"),
    ("email_taken", 409, "The e-mail address has an account already"),
    ("forbidden", 403, "The account may not do this"),
    ("idempotency_key_invalid", 400, "The Idempotency-Key is not valid"),
    ("idempotency_key_reused", 422, "The Idempotency-Key was used with another request"),
    ("illegal_transition", 409, "The order cannot go there from where it is"),
    ("internal", 500, "Something broke on our side"),
    ("invalid_credentials", 401, "The e-mail address or the password is wrong"),
    ("invalid_request", 422, "The request does not say what it must"),
    ("invalid_token", 422, "The token is wrong, used or too old"),
    ("last_admin", 409, "The last admin stays one"),
    ("malformed_body", 400, "The body is not JSON"),
    ("method_currency", 422, "The payment method cannot take the currency"),
    ("method_not_allowed", 405, "The route has no such method"),
    ("mixed_currency", 422, "One order has one currency"),
    ("not_found", 404, "There is no such thing"),
    ("order_has_money", 409, "Money is on the order"),
    ("out_of_stock", 409, "There is not enough stock"),
    ("overloaded", 503, "Too many requests at once"),
    ("payment_already_succeeded", 409, "A payment of this order already succeeded"),
    ("payment_method_unavailable", 422, "The payment method is not set up"),
    ("sku_taken", 409, "Another product has this sku"),
    ("stock_too_low", 409, "There is not that much in stock"),
    ("student_not_found", 400, "There is no such student or customer"),
    ("too_large", 422, "The request is too large to become true at once"),
    ("too_many_attempts", 429, "Too many attempts"),
    ("too_many_lines", 422, "The order has too many lines"),
    ("total_mismatch", 409, "The order costs something else"),
    ("unauthenticated", 401, "The request carries no valid token"),
    ("unavailable", 503, "Temporarily unavailable"),
    ("unknown_product", 422, "The product is not for sale"),
    ("unsupported_media_type", 415, "The content type or encoding is not supported"),
    ("url_taken", 409, "Another product has this page"),
    ("version_mismatch", 412, "Somebody changed it meanwhile"),
];

impl Problem {
    /// A problem of a known code; the status follows from the table.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let status = CODES.iter().find(|(known, _, _)| *known == code).map_or(500, |(_, status, _)| *status);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, detail: detail.into(), extra: Map::new(), retry_after_s: None }
    }

    /// With a further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// With a list of what is wrong where.
    #[must_use]
    pub fn at(self, path: &str, message: &str) -> Self {
        self.with("errors", json!([{ "path": path, "message": message }]))
    }

    /// Trying again makes sense after a while.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A request without a valid token.
    pub fn unauthenticated() -> Self {
        Self::new("unauthenticated", "send Authorization: Bearer with the token that log-in returned")
    }

    /// The body as the client sees it.
    pub fn body(&self, request_id: &str) -> Value {
        let title = CODES.iter().find(|(known, _, _)| *known == self.code).map_or("", |(_, _, title)| *title);
        let mut body = self.extra.clone();
        body.insert("type".to_owned(), json!(format!("{PAGES}{}", self.code)));
        body.insert("title".to_owned(), json!(title));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        body.insert("detail".to_owned(), json!(self.detail));
        body.insert("code".to_owned(), json!(self.code));
        body.insert("requestId".to_owned(), json!(request_id));
        Value::Object(body)
    }

    /// The whole response.
    pub(super) fn render(&self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body(request_id).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Only a mark: the outermost layer renders it, because it alone knows the request's id.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem for a status that no handler chose: a limit, a time-out, a router's own answer.
pub(super) fn of_status(status: StatusCode) -> Option<Problem> {
    Some(match status {
        StatusCode::NOT_FOUND => Problem::new("not_found", "there is no such route"),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new("method_not_allowed", "the route has no such method"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            "body_too_large",
            format!("a body has at most {} bytes, that of a webhook {}", super::BODY_MAX, super::WEBHOOK_BODY_MAX),
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new("unsupported_media_type", "send application/json, not encoded"),
        StatusCode::REQUEST_TIMEOUT => Problem::new("unavailable", "the request took too long").retry_after(1),
        StatusCode::SERVICE_UNAVAILABLE => Problem::new("unavailable", "try again").retry_after(1),
        status if status.is_server_error() => Problem::new("internal", "something broke on our side; it has been noted"),
        status if status.is_client_error() => Problem::new("invalid_request", "the request cannot be read"),
        _ => return None,
    })
}

/// The answer where there is no route.
pub(super) async fn no_such_route() -> Problem {
    Problem::new("not_found", "there is no such route")
}

/// The answer where a route has no such method.
pub(super) async fn no_such_method() -> Problem {
    Problem::new("method_not_allowed", "the route has no such method")
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refusal) => refusal.into(),
            Fault::Unavailable(why) => {
                tracing::warn!(why, "answered 503");
                Self::new("unavailable", "nothing was changed, or sending the same request again tells").retry_after(1)
            }
            Fault::Internal(why) => {
                tracing::error!(why, "answered 500");
                Self::new("internal", "something broke on our side; it has been noted")
            }
        }
    }
}

impl From<WebhookFault> for Problem {
    fn from(fault: WebhookFault) -> Self {
        match fault {
            WebhookFault::Signature(fault) => Self::new("bad_signature", fault.to_string()).with("reason", json!(fault.code())),
            WebhookFault::Fault(fault) => fault.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::Invalid { path, message } => problem.at(&path, &message),
            Refusal::TotalMismatch { expected, actual, currency } => {
                problem.with("expectedTotalAmount", json!(expected)).with("totalAmount", json!(actual)).with("currency", json!(currency))
            }
            Refusal::OutOfStock { lines } => problem.with("lines", json!(lines)),
            Refusal::StockTooLow { available } => problem.with("available", json!(available)),
            Refusal::VersionMismatch { found } => problem.with("version", json!(found)),
            Refusal::IllegalTransition { allowed, .. } => problem.with("allowed", json!(allowed)),
            Refusal::TooManyAttempts { retry_after_s } => problem.retry_after(retry_after_s),
            Refusal::UnknownProduct { product_id } => problem.with("productId", json!(product_id)),
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_sorted_unique_and_every_refusal_has_one() {
        let names: Vec<_> = CODES.iter().map(|(code, _, _)| *code).collect();
        assert!(names.is_sorted());
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        let refusals = [
            Refusal::NotFound { what: "x" },
            Refusal::invalid("a", "b"),
            Refusal::TooManyLines { max: 1, found: 2 },
            Refusal::UnknownProduct { product_id: String::new() },
            Refusal::MixedCurrency { first: String::new(), second: String::new() },
            Refusal::MethodCurrency { method: String::new(), currency: String::new() },
            Refusal::AmountOutOfRange,
            Refusal::TotalMismatch { expected: 1, actual: 2, currency: String::new() },
            Refusal::OutOfStock { lines: Vec::new() },
            Refusal::IllegalTransition { from: ordermill_core::order::OrderStatus::Pending, allowed: Vec::new() },
            Refusal::OrderHasMoney,
            Refusal::CartEmpty,
            Refusal::SkuTaken,
            Refusal::UrlTaken,
            Refusal::StockTooLow { available: 1 },
            Refusal::VersionMismatch { found: 1 },
            Refusal::PaymentAlreadySucceeded,
            Refusal::EmailTaken,
            Refusal::StudentNotFound { role: "student" },
            Refusal::LastAdmin,
            Refusal::InvalidCredentials,
            Refusal::InvalidToken,
            Refusal::TooManyAttempts { retry_after_s: 1 },
            Refusal::IdempotencyKeyReused,
            Refusal::TooLarge { what: String::new() },
        ];
        for refusal in refusals {
            assert!(names.contains(&refusal.code()), "{}", refusal.code());
        }
    }

    #[test]
    fn every_code_has_its_page() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems");
        for (code, status, title) in CODES {
            let page = std::fs::read_to_string(folder.join(format!("{code}.md"))).unwrap_or_default();
            assert!(
                page.contains(title) && page.contains(&status.to_string()),
                "docs/problems/{code}.md is missing or says something else"
            );
        }
        let pages = std::fs::read_dir(&folder).expect("docs/problems exists").count();
        assert_eq!(pages, CODES.len(), "a page for a code that does not exist");
    }
}
