//! A certificate for 127.0.0.1 and its key, made anew for each run so that no private key lies in the repository. Just
//! enough of X.509 (RFC 5280) for the TLS libraries on both sides; never for production.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// A certificate and its key, both PEM.
pub(super) struct Certificate {
    pub(super) pem: String,
    pub(super) key_pem: String,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const BOOLEAN: u8 = 0x01;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// Makes one. Valid from 2020 to 2049; it is its own issuer and no authority.
pub(super) fn make() -> Certificate {
    #[expect(clippy::disallowed_methods, reason = "a key for one run of the tests; nothing replays it")]
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
    let algorithm = sequence(&[der(OBJECT_ID, ECDSA_WITH_SHA256)]);
    let name = sequence(&[der(SET, &sequence(&[der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, b"ordermill test peer")]))]);
    let body = sequence(&[
        der(0xa0, &der(INTEGER, &[2])),
        der(INTEGER, &[1]),
        algorithm.clone(),
        name.clone(),
        sequence(&[der(UTC_TIME, b"200101000000Z"), der(UTC_TIME, b"491231235959Z")]),
        name,
        sequence(&[sequence(&[der(OBJECT_ID, EC_PUBLIC_KEY), der(OBJECT_ID, P256)]), bits(pair.public_key().as_ref())]),
        der(0xa3, &sequence(&[alternative_names(), no_authority()])),
    ]);
    let signature = pair.sign(&random, &body).unwrap();
    let whole = sequence(&[body, algorithm, bits(signature.as_ref())]);
    Certificate { pem: pem("CERTIFICATE", &whole), key_pem: pem("PRIVATE KEY", key.as_ref()) }
}

fn alternative_names() -> Vec<u8> {
    let names = sequence(&[der(0x87, &[127, 0, 0, 1]), der(0x82, b"localhost")]);
    sequence(&[der(OBJECT_ID, SUBJECT_ALT_NAME), der(OCTET_STRING, &names)])
}

fn no_authority() -> Vec<u8> {
    sequence(&[der(OBJECT_ID, BASIC_CONSTRAINTS), der(BOOLEAN, &[0xff]), der(OCTET_STRING, &sequence(&[]))])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    der(SEQUENCE, &parts.concat())
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    der(BIT_STRING, &[&[0], bytes].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let mut bytes = match length {
        0..=127 => vec![tag, low],
        128..=255 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    bytes.extend_from_slice(content);
    bytes
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
