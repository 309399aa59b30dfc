//! SHA-256 digests that stand for something too long or too secret to store: tokens, idempotency keys, effect keys,
//! request bodies. This file must not know what any digest is used for.

use ring::digest::{Context, SHA256};
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
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
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
