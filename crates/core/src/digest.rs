//! SHA-256 digests that stand for something too long or too secret to store: tokens, idempotency keys, effect keys,
//! request bodies. This file must not know what any digest is used for.

use ring::digest::{Context, SHA256};
use ring::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A SHA-256 digest; lower-case hex as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes` as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_context(|context| context.update(bytes))
    }

    /// The digest of several parts, each preceded by its length, so that no two lists of parts collide.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        Self::of_context(|context| {
            for part in parts {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        })
    }

    /// The digest of `bytes` under a secret (HMAC-SHA256): nobody without it can tell what was digested by guessing.
    pub fn keyed(secret: &[u8], bytes: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes);
        Self::of_tag(tag.as_ref())
    }

    /// A digest read back from storage; `None` unless it is 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of_context(feed: impl FnOnce(&mut Context)) -> Self {
        let mut context = Context::new(&SHA256);
        feed(&mut context);
        Self::of_tag(context.finish().as_ref())
    }

    fn of_tag(tag: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag);
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", hex::encode(self.0))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).map_err(serde::de::Error::custom)?;
        Self::from_bytes(&bytes).ok_or_else(|| serde::de::Error::custom("a digest is 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231 §4.3
    #[test]
    fn a_keyed_digest_is_an_hmac() {
        let digest = Digest::keyed(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(digest.to_string(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_ne!(digest, Digest::keyed(b"jefe", b"what do ya want for nothing?"));
    }
}
