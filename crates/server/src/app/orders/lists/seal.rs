//! Seals what leaves this process for a cache that others can read and write: without the secret key nobody learns what is in
//! it, and nothing can be put in its place. Every customer has a key of their own.

use crate::app::Randomness;
use crate::config::ServerConfig;
use ordermill_core::id::UserId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use secrecy::ExposeSecret;
use std::sync::Arc;

/// Says what the derived keys are for, so that no other use of the secret key meets them.
const PURPOSE: &[u8] = b"ordermill order lists v1\0";

/// Seals and opens, with keys that follow from the secret key.
pub(super) struct Seal {
    /// The newest first: that one seals, each of them opens.
    secrets: Vec<hmac::Key>,
    randomness: Arc<dyn Randomness>,
}

impl Seal {
    pub(super) fn new(settings: &ServerConfig, randomness: Arc<dyn Randomness>) -> Self {
        let key = |bytes: &secrecy::SecretSlice<u8>| hmac::Key::new(hmac::HMAC_SHA256, bytes.expose_secret());
        Self { secrets: settings.secret_keys().iter().map(key).collect(), randomness }
    }

    /// Whether there is a key to seal with.
    pub(super) fn is_ready(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Random bytes, for a name that nobody had before.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill(&mut bytes);
        bytes
    }

    /// `place` is where it will lie: it opens nowhere else.
    pub(super) fn seal(&self, customer: UserId, place: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = self.random();
        let mut sealed = text.to_vec();
        let key = key(self.secrets.first()?, customer)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed).ok()?;
        sealed.splice(..0, nonce);
        Some(sealed)
    }

    /// What was sealed for this place, if that is what this is.
    pub(super) fn open(&self, customer: UserId, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let open = |secret: &hmac::Key| {
            let mut text = sealed.to_vec();
            let opened =
                key(secret, customer)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut text).ok()?.len();
            text.truncate(opened);
            Some(text)
        };
        self.secrets.iter().find_map(open)
    }
}

fn key(secret: &hmac::Key, customer: UserId) -> Option<LessSafeKey> {
    let bytes = hmac::sign(secret, &[PURPOSE, customer.to_string().as_bytes()].concat());
    UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::SystemRandomness;
    use crate::config::{Config, Mode};
    use secrecy::SecretString;
    use std::path::Path;

    fn seal(keys: &[&str]) -> Seal {
        let mut settings = Config::defaults(Mode::Serve, Path::new("data")).server;
        settings.secret_key = keys.iter().map(|key| SecretString::from(key.repeat(32))).collect();
        Seal::new(&settings, Arc::new(SystemRandomness::default()))
    }

    #[test]
    fn what_is_sealed_opens_for_its_customer_in_its_place_and_after_a_change_of_keys() {
        let (an, binh) = (UserId::new(1, [1; 10]), UserId::new(1, [2; 10]));
        let old = seal(&["aa"]);
        let sealed = old.seal(an, b"here", b"a list").unwrap();
        assert_eq!(old.open(an, b"here", &sealed).as_deref(), Some(&b"a list"[..]));
        assert_eq!(seal(&["bb", "aa"]).open(an, b"here", &sealed).as_deref(), Some(&b"a list"[..]));
        assert_eq!(old.open(binh, b"here", &sealed), None);
        assert_eq!(old.open(an, b"there", &sealed), None);
        assert_eq!(seal(&["bb"]).open(an, b"here", &sealed), None);
        assert!(!sealed.windows(4).any(|window| window == b"list"));
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(old.open(an, b"here", &forged), None, "byte {at}");
            assert_eq!(old.open(an, b"here", &sealed[..at]), None, "cut off at {at}");
        }
        assert!(!seal(&[]).is_ready());
    }
}
