//! The `Stripe-Signature` header: whether the bytes we got are the bytes Stripe sent, recently.
//!
//! This file must not parse the body: nothing in it counts before the signature holds. It is stricter than Stripe's own
//! libraries in three ways: a repeated `t`, a time in the future and capital hex digits are refused.

use ring::hmac;

/// How far the signed time may lie from ours, either way, in seconds; the same as in Stripe's libraries.
pub const SIGNATURE_TOLERANCE_S: i64 = 300;
/// One `v1` comes per active secret, so two are usual. More are ignored, to bound the work a stranger can ask for.
const SIGNATURES_MAX: usize = 16;
/// Room for [`SIGNATURES_MAX`] signatures and as many of other schemes.
const HEADER_BYTES_MAX: usize = 4_096;

/// Why a message is not taken for Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureFault {
    /// There is no header, or it is empty.
    #[error("the Stripe-Signature header is missing")]
    MissingHeader,
    /// Too long, not `key=value` pairs, or not exactly one decimal `t`.
    #[error("the Stripe-Signature header is malformed")]
    MalformedHeader,
    /// Signed only under schemes that prove nothing (`v0`).
    #[error("the Stripe-Signature header has no v1 signature")]
    NoV1Signature,
    /// No secret of ours made any of the signatures over this body and time.
    #[error("no signature matches the body")]
    BadSignature,
    /// Signed too long ago: perhaps a replay.
    #[error("the signature is too old")]
    Stale,
    /// Signed in the future: a clock is wrong, or somebody stores signatures up.
    #[error("the signature is from the future")]
    Future,
    /// Nothing is configured to verify with.
    #[error("no webhook secret is configured")]
    NoSecret,
}

impl SignatureFault {
    /// Every fault, for documentation and tests.
    pub const ALL: [Self; 7] =
        [Self::MissingHeader, Self::MalformedHeader, Self::NoV1Signature, Self::BadSignature, Self::Stale, Self::Future, Self::NoSecret];

    /// The stable name in logs, metrics and problem details.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::MalformedHeader => "malformed_header",
            Self::NoV1Signature => "no_v1_signature",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::NoSecret => "no_secret",
        }
    }
}

/// Whether one of `secrets` signed exactly this body, within [`SIGNATURE_TOLERANCE_S`] of `now_unix_s`. Blank secrets
/// match nothing.
pub fn verify(header: &str, body: &[u8], secrets: &[&str], now_unix_s: i64) -> Result<(), SignatureFault> {
    if header.is_empty() {
        return Err(SignatureFault::MissingHeader);
    }
    let mut usable_secrets = secrets.iter().filter(|secret| !is_blank(secret)).peekable();
    if usable_secrets.peek().is_none() {
        return Err(SignatureFault::NoSecret);
    }
    let header = Header::parse(header)?;
    if !header.has_v1 {
        return Err(SignatureFault::NoV1Signature);
    }
    if !usable_secrets.any(|secret| header.is_signed_by(secret, body)) {
        return Err(SignatureFault::BadSignature);
    }
    // The time counts only now that we know who wrote it.
    let age_s = now_unix_s.saturating_sub(header.time_s);
    if age_s > SIGNATURE_TOLERANCE_S {
        return Err(SignatureFault::Stale);
    }
    if age_s < -SIGNATURE_TOLERANCE_S {
        return Err(SignatureFault::Future);
    }
    Ok(())
}

/// The header value for a body as Stripe would send it: what the simulator and the command line send.
pub fn sign(secret: &str, unix_s: i64, body: &[u8]) -> String {
    let time = unix_s.to_string();
    format!("t={time},v1={}", hex::encode(tag(&key(secret), &time, body)))
}

/// The parts of the header that count, in the order they came.
struct Header<'a> {
    /// The time as written, because those characters were signed.
    time: &'a str,
    time_s: i64,
    has_v1: bool,
    /// The well-formed `v1` signatures among the first [`SIGNATURES_MAX`].
    signatures: Vec<Signature>,
}

type Signature = [u8; 32];

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, SignatureFault> {
        if text.len() > HEADER_BYTES_MAX {
            return Err(SignatureFault::MalformedHeader);
        }
        let mut time = None;
        let mut v1_texts = Vec::new();
        for pair in text.split(',') {
            // Nothing is trimmed, as in Stripe's libraries: ` v1` is another key than `v1`, and unknown keys are skipped.
            match pair.split_once('=').ok_or(SignatureFault::MalformedHeader)? {
                ("t", value) if time.is_none() => time = Some(value),
                ("t", _) => return Err(SignatureFault::MalformedHeader),
                ("v1", value) => v1_texts.push(value),
                _ => {}
            }
        }
        let time = time.ok_or(SignatureFault::MalformedHeader)?;
        let time_s = parse_time(time).ok_or(SignatureFault::MalformedHeader)?;
        let signatures = v1_texts.iter().take(SIGNATURES_MAX).filter_map(|text| decode_signature(text)).collect();
        Ok(Self { time, time_s, has_v1: !v1_texts.is_empty(), signatures })
    }

    fn is_signed_by(&self, secret: &str, body: &[u8]) -> bool {
        if self.signatures.is_empty() {
            return false;
        }
        let key = key(secret);
        let expected = tag(&key, self.time, body);
        // The body is hashed once per secret, not once per signature. Comparing the tags of two 32-byte messages, as
        // `ring` does in constant time, compares the messages.
        self.signatures.iter().any(|signature| hmac::verify(&key, expected.as_ref(), hmac::sign(&key, signature).as_ref()).is_ok())
    }
}

/// The whole secret is the key, `whsec_` included.
fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn tag(key: &hmac::Key, time: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(time.as_bytes());
    context.update(b".");
    context.update(body);
    context.sign()
}

/// Decimal digits only, so that no sign or space makes a second spelling.
fn parse_time(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Sixty-four small hex digits. Stripe sends no others, and its libraries compare text.
fn decode_signature(text: &str) -> Option<Signature> {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut signature = Signature::default();
    hex::decode_to_slice(text, &mut signature).ok()?;
    Some(signature)
}

fn is_blank(secret: &str) -> bool {
    secret.trim().is_empty()
}
