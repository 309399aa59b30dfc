//! Tests of the sender's proof: every vector of the reference, rotation, and that no changed byte gets through.

use super::signature::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

const SECRET: &str = "sepay_webhook_secret_for_tests";

#[derive(Deserialize)]
struct KeyVectors {
    key: String,
    cases: Vec<KeyCase>,
}

#[derive(Deserialize)]
struct KeyCase {
    value: Option<String>,
    verdict: String,
}

#[derive(Deserialize)]
struct Vectors {
    bodies: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    secret: String,
    now: i64,
    #[serde(rename = "X-SePay-Timestamp")]
    timestamp: String,
    #[serde(rename = "X-SePay-Signature")]
    signature: String,
    body: String,
    verdict: String,
}

#[test]
fn keys_are_judged_as_in_the_reference() {
    let vectors: KeyVectors = serde_json::from_str(include_str!("../../vectors/sepay-api-keys.json")).unwrap();
    assert_eq!(vectors.cases.len(), 7);
    for case in &vectors.cases {
        let verdict = verify_api_key(case.value.as_deref().unwrap_or_default(), &vectors.key);
        assert_eq!(verdict.is_ok(), case.verdict.starts_with("valid"), "{:?}", case.value);
    }
}

#[test]
fn signatures_are_judged_as_in_the_reference() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../vectors/sepay-signatures.json")).unwrap();
    assert_eq!((vectors.bodies.len(), vectors.cases.len()), (2, 7));
    for case in &vectors.cases {
        let body = vectors.bodies[&case.body].as_bytes();
        let verdict = verify_signature(&case.timestamp, &case.signature, body, &[&case.secret], case.now);
        assert_eq!(verdict.map_or_else(SignatureFault::code, |()| "valid"), case.verdict, "{}", case.name);
    }
}

#[test]
fn nothing_configured_proves_nothing() {
    let signature = sign("", 1, b"{}");
    assert_eq!(verify_signature("1", &signature, b"{}", &["", " "], 1), Err(SignatureFault::NoSecret));
    assert_eq!(verify_signature("1", &signature, b"{}", &[], 1), Err(SignatureFault::NoSecret));
    assert_eq!(verify_api_key("Apikey ", ""), Err(SignatureFault::NoSecret));
    assert_eq!(verify_api_key("", "key"), Err(SignatureFault::Missing));
    assert_eq!(verify_signature("", "", b"{}", &[SECRET], 1), Err(SignatureFault::Missing));
}

#[test]
fn two_secrets_hold_while_one_is_replaced() {
    let signature = sign("new", 100, b"{}");
    assert_eq!(verify_signature("100", &signature, b"{}", &["old", "new"], 100), Ok(()));
    assert_eq!(verify_signature("100", &signature, b"{}", &["old"], 100), Err(SignatureFault::BadSignature));
}

#[test]
fn the_window_ends_at_five_minutes_either_way() {
    let signature = sign(SECRET, 1_000, b"{}");
    let verdict = |now| verify_signature("1000", &signature, b"{}", &[SECRET], now);
    assert_eq!((verdict(1_300), verdict(700)), (Ok(()), Ok(())));
    assert_eq!((verdict(1_301), verdict(699)), (Err(SignatureFault::Stale), Err(SignatureFault::Stale)));
}

proptest! {
    #[test]
    fn no_changed_byte_gets_through(body in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let signature = sign(SECRET, 1_000, &body);
        prop_assert_eq!(verify_signature("1000", &signature, &body, &[SECRET], 1_000), Ok(()));
        let mut changed = body.clone();
        let at = at.index(changed.len());
        changed[at] ^= flip;
        prop_assert_eq!(verify_signature("1000", &signature, &changed, &[SECRET], 1_000), Err(SignatureFault::BadSignature));
    }

    #[test]
    fn hostile_headers_are_refused_quietly(time in "\\PC{0,40}", signature in "\\PC{0,80}", key in "\\PC{0,40}") {
        let verdict = verify_signature(&time, &signature, b"{}", &[SECRET], 0);
        prop_assert!(verdict.is_err());
        let verdict = verify_api_key(&key, "a key that no text of the test is");
        prop_assert!(verdict.is_err());
    }
}
