//! Whether a webhook comes from `SePay`: by the API key that it shows, or by its signature over the time and the raw body.
//!
//! This file must not parse the body: nothing in it counts before the proof holds.

use ring::hmac;

/// How far the signed time may lie from ours, either way, in seconds (`SePay`'s own advice).
pub const SIGNATURE_TOLERANCE_S: i64 = 300;

/// Why a message is not taken for `SePay`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureFault {
    /// A header is not there, or empty.
    #[error("the headers that prove the sender are missing")]
    Missing,
    /// The API key is not ours, or not shown as `Apikey KEY`.
    #[error("the API key is wrong")]
    BadKey,
    /// Not `sha256=` and 64 small hex digits, or no secret of ours made it over this time and body.
    #[error("the signature does not match the body")]
    BadSignature,
    /// Signed too long ago or in the future: perhaps a replay, perhaps a wrong clock.
    #[error("the signature's time is more than {SIGNATURE_TOLERANCE_S} seconds from ours")]
    Stale,
    /// Nothing is configured to verify with.
    #[error("no key is configured")]
    NoSecret,
}

impl SignatureFault {
    /// Every fault, for documentation and tests.
    pub const ALL: [Self; 5] = [Self::Missing, Self::BadKey, Self::BadSignature, Self::Stale, Self::NoSecret];

    /// The stable name in logs, metrics and problem details.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_header",
            Self::BadKey => "bad_key",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::NoSecret => "no_secret",
        }
    }
}

/// Whether the `Authorization` header shows our key: `Apikey`, in any case, one space, and the key. A blank key of ours
/// matches nothing.
pub fn verify_api_key(authorization: &str, key: &str) -> Result<(), SignatureFault> {
    if key.trim().is_empty() {
        return Err(SignatureFault::NoSecret);
    }
    if authorization.is_empty() {
        return Err(SignatureFault::Missing);
    }
    let (scheme, shown) = authorization.split_once(' ').ok_or(SignatureFault::BadKey)?;
    // The tags of two messages under one key differ when the messages do, and `ring` compares tags in constant time.
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let is_shown = hmac::verify(&secret, shown.as_bytes(), hmac::sign(&secret, key.as_bytes()).as_ref()).is_ok();
    if scheme.eq_ignore_ascii_case("apikey") && is_shown { Ok(()) } else { Err(SignatureFault::BadKey) }
}

/// Whether one of `secrets` signed exactly this body, within [`SIGNATURE_TOLERANCE_S`] of `now_unix_s`. `timestamp` and
/// `signature` are the headers `X-SePay-Timestamp` and `X-SePay-Signature`. Blank secrets match nothing.
pub fn verify_signature(timestamp: &str, signature: &str, body: &[u8], secrets: &[&str], now_unix_s: i64) -> Result<(), SignatureFault> {
    let mut usable_secrets = secrets.iter().filter(|secret| !secret.trim().is_empty()).peekable();
    if usable_secrets.peek().is_none() {
        return Err(SignatureFault::NoSecret);
    }
    if timestamp.is_empty() || signature.is_empty() {
        return Err(SignatureFault::Missing);
    }
    let shown = decode(signature).ok_or(SignatureFault::BadSignature)?;
    let message = message(timestamp, body);
    let is_signed = |secret: &&str| hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &message, &shown).is_ok();
    if !usable_secrets.any(is_signed) {
        return Err(SignatureFault::BadSignature);
    }
    // The time counts only now that we know who wrote it.
    let time_s = parse_time(timestamp).ok_or(SignatureFault::Stale)?;
    if now_unix_s.abs_diff(time_s) > SIGNATURE_TOLERANCE_S.unsigned_abs() {
        return Err(SignatureFault::Stale);
    }
    Ok(())
}

/// The value of `X-SePay-Signature` for a body sent at that time: what the simulator and the command line send.
pub fn sign(secret: &str, unix_s: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, &message(&unix_s.to_string(), body))))
}

fn message(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", body].concat()
}

fn decode(signature: &str) -> Option<[u8; 32]> {
    let text = signature.strip_prefix("sha256=")?;
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Decimal digits only, so that no sign or space makes a second spelling.
fn parse_time(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
