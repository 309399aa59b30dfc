//! What is known after a call to Stripe that did not give what was asked for. Every variant answers "did Stripe do it?",
//! because that alone decides what the caller may do next. Nothing here may hold a key, a client secret or a body.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use thiserror::Error;

/// Why there is no answer, and what may have happened at Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StripeError {
    /// Stripe said no, for good: nothing was done, and the same request gets the same answer.
    #[error("Stripe refused: {status} {code}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Stripe's `code`, else its `type`, else empty.
        code: String,
        /// Stripe's words, shortened and without anything that looks secret or personal.
        message: String,
    },
    /// Stripe did nothing *this time* and wants the same request, with the same key, later.
    #[error("Stripe is busy: {why}")]
    Busy {
        /// What it said.
        why: String,
        /// When it wants us back, if it said so.
        retry_after_ms: Option<i64>,
    },
    /// Stripe may have done it. Only the same key, or looking, tells.
    #[error("nobody knows whether Stripe did it: {why}")]
    Unknown {
        /// What happened instead of an answer.
        why: String,
        /// Whether the same key may still bring an answer. `false` when Stripe says that it repeats this one: then only
        /// its webhooks and reading the object tell.
        is_retryable: bool,
    },
    /// The request certainly never left: no connection came about.
    #[error("Stripe is unreachable: {why}")]
    Unreachable {
        /// What the network said.
        why: String,
    },
    /// The request has no form on Stripe's wire. Nothing was sent, and nothing ever will be.
    #[error("the request cannot be sent: {why}")]
    Unsendable {
        /// What is wrong with it.
        why: String,
    },
    /// There is no secret key.
    #[error("Stripe is not configured")]
    NotConfigured,
}

impl StripeError {
    /// No answer, and trying the same key again may bring one.
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into(), is_retryable: true }
    }
}

/// Sorts a failure of the network: before the request left, or after it may have arrived.
pub(super) fn from_transport(error: reqwest::Error) -> StripeError {
    let error = error.without_url();
    let why = describe(&error);
    if error.is_builder() {
        return StripeError::Unsendable { why };
    }
    if error.is_connect() { StripeError::Unreachable { why } } else { StripeError::unknown(why) }
}

/// A failure while the answer was being read: the request has arrived, whatever became of it.
pub(super) fn from_body(error: reqwest::Error) -> StripeError {
    StripeError::unknown(describe(&error.without_url()))
}

/// The whole chain of causes: the outer ones alone say only "error sending request".
fn describe(error: &reqwest::Error) -> String {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        why = format!("{why}: {inner}");
        cause = inner.source();
    }
    redact(&why)
}

/// The wait after a 429 or 409 that says not to try again soon.
const DISCOURAGED_WAIT_MS: i64 = 60_000;
/// The longest wait that is taken from an answer.
const WAIT_MS_MAX: i64 = 3_600_000;

/// Sorts an answer that is not 2xx.
pub(super) fn from_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> StripeError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| body.get("error").and_then(|error| error.get(field)).and_then(Value::as_str).unwrap_or_default();
    let code = redact(if text("code").is_empty() { text("type") } else { text("code") });
    let should_retry = should_retry(headers);
    // Not executed, by definition: another request holds the key or the object, or the limiter stood before everything.
    let is_busy = matches!(status.as_u16(), 409 | 429) || code == "lock_timeout";
    if is_busy || (status.is_client_error() && should_retry == Some(true)) {
        let named = retry_after_ms(headers);
        let retry_after_ms = if should_retry == Some(false) { named.max(Some(DISCOURAGED_WAIT_MS)) } else { named };
        return StripeError::Busy { why: format!("{} {code}", status.as_u16()), retry_after_ms };
    }
    // 424 says that somebody behind Stripe failed, not how far the request got.
    if status.is_client_error() && status != StatusCode::FAILED_DEPENDENCY {
        return StripeError::Refused { status: status.as_u16(), code, message: redact(text("message")) };
    }
    let why = if code.is_empty() { format!("status {}", status.as_u16()) } else { format!("status {} {code}", status.as_u16()) };
    StripeError::Unknown { why, is_retryable: should_retry != Some(false) }
}

/// Stripe's own advice, which beats every rule about statuses.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("stripe-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Whole seconds only; Stripe documents none at all, so the other form of the header is not worth reading.
fn retry_after_ms(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.saturating_mul(1_000).clamp(0, WAIT_MS_MAX))
}

/// Enough to understand a refusal.
const MESSAGE_CHARS_MAX: usize = 300;

/// Stripe's messages quote what they were sent. Words that may be keys, client secrets or addresses are left out, because
/// errors end up in logs and in the history of jobs.
fn redact(message: &str) -> String {
    let is_private = |word: &str| ["@", "%40", "_secret_", "sk_", "rk_", "whsec_"].iter().any(|mark| word.contains(mark));
    let words = message.split_whitespace().map(|word| if is_private(word) { "[removed]" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().filter(|character| !character.is_control()).take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn sort(status: u16, advice: Option<&'static str>, body: &str) -> StripeError {
        let mut headers = HeaderMap::new();
        if let Some(advice) = advice {
            headers.insert("stripe-should-retry", HeaderValue::from_static(advice));
        }
        from_status(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn a_refusal_keeps_the_reason_and_drops_what_it_quotes() {
        let body = r#"{"error":{"type":"invalid_request_error","code":"email_invalid",
            "message":"Invalid email address: 'someone@example.com' (sk_test_1), pi_1_secret_2 too"}}"#;
        let StripeError::Refused { status, code, message } = sort(400, None, body) else { panic!() };
        assert_eq!((status, code.as_str()), (400, "email_invalid"));
        assert_eq!(message, "Invalid email address: [removed] [removed] [removed] too");
    }

    #[test]
    fn only_a_definite_no_is_a_refusal() {
        for status in [400, 401, 402, 403, 404] {
            assert!(matches!(sort(status, None, "{}"), StripeError::Refused { .. }), "{status}");
        }
        for status in [409, 429] {
            assert!(matches!(sort(status, None, "not json"), StripeError::Busy { .. }), "{status}");
            assert!(matches!(sort(status, Some("false"), ""), StripeError::Busy { retry_after_ms: Some(DISCOURAGED_WAIT_MS), .. }));
        }
        for status in [301, 307, 424, 500, 502, 503, 504] {
            assert!(matches!(sort(status, None, ""), StripeError::Unknown { is_retryable: true, .. }), "{status}");
        }
    }

    #[test]
    fn stripes_advice_beats_the_status() {
        assert!(matches!(sort(400, Some("true"), "{}"), StripeError::Busy { .. }));
        assert!(matches!(sort(500, Some("false"), "{}"), StripeError::Unknown { is_retryable: false, .. }));
        let locked = r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#;
        assert!(matches!(sort(400, None, locked), StripeError::Busy { .. }));
    }

    #[test]
    fn a_wait_is_taken_from_the_answer_within_bounds() {
        let mut headers = HeaderMap::new();
        for (header, expected) in [("2", Some(2_000)), ("999999999", Some(WAIT_MS_MAX)), ("-1", Some(0)), ("Wed, 21 Oct", None)] {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(header));
            assert_eq!(retry_after_ms(&headers), expected, "{header}");
        }
    }
}
