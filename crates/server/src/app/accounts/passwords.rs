//! Argon2id with a bounded number of hashes at once: each takes 19 MiB and tens of milliseconds, so a flood of log-ins
//! must queue instead of starving everything else. This file must not know accounts.

use crate::app::{Fault, Randomness};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Hashes at once. Two keep two cores busy; the rest waits.
const PARALLEL: usize = 2;
/// Bytes of salt.
const SALT_BYTES: usize = 16;
/// A hash nobody knows the password of, with our parameters: an unknown account costs as much as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$gYJZtjEAJqjg26xdLmknq8/bB7MiWPrE9hsYuA+SkIU";

/// Hashes and checks passwords.
pub struct PasswordHasher {
    slots: Arc<Semaphore>,
    randomness: Arc<dyn Randomness>,
    /// Counts hashes, for whoever wants to know what a request cost.
    hashed: AtomicU64,
}

impl PasswordHasher {
    /// A hasher that draws salts from `randomness`.
    pub fn new(randomness: Arc<dyn Randomness>) -> Self {
        Self { slots: Arc::new(Semaphore::new(PARALLEL)), randomness, hashed: AtomicU64::new(0) }
    }

    /// The password as a PHC string.
    pub async fn hash(&self, password: String) -> Result<String, Fault> {
        let mut salt = [0; SALT_BYTES];
        self.randomness.fill(&mut salt);
        self.run(move || {
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| Fault::Internal(error.to_string()))
        })
        .await?
    }

    /// Whether the password belongs to the hash; without a hash it takes as long and says no.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Fault> {
        self.run(move || {
            let known = hash.as_deref().unwrap_or(NOBODY);
            let matches = Argon2::default().verify_password(password.as_bytes(), known).is_ok();
            matches && hash.is_some()
        })
        .await
    }

    /// How many hashes were computed so far, whether anybody was let in or not.
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|error| Fault::Internal(error.to_string()))?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        done.await.map_err(|error| Fault::Internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::SeededRandomness;

    // reference/http-auth.md §2, made with argon2-cffi.
    const VECTORS: [(&str, &str); 2] = [
        ("correct horse battery staple", NOBODY),
        ("mật khẩu", "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$iM3SEbaYMFcZBjn9rCusCE9p9YeGmaYk5bKYB7LOfeA"),
    ];

    #[tokio::test]
    async fn hashes_as_the_reference_does() {
        let hasher = PasswordHasher::new(Arc::new(SeededRandomness::new(1)));
        for (password, phc) in VECTORS {
            let salt: Vec<u8> = (0..16).collect();
            let ours = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).expect("hashable").to_string();
            assert_eq!(ours, phc);
            assert!(hasher.verify(password.to_owned(), Some(phc.to_owned())).await.expect("verified"));
            assert!(!hasher.verify("other".to_owned(), Some(phc.to_owned())).await.expect("verified"));
        }
    }

    #[tokio::test]
    async fn nobody_signs_in_without_a_hash() {
        let hasher = PasswordHasher::new(Arc::new(SeededRandomness::new(1)));
        assert!(!hasher.verify("correct horse battery staple".to_owned(), None).await.expect("verified"));
    }
}
