//! Who is signed in, remembered for a few seconds, so that a busy client costs one read now and then instead of one per
//! request. The price: a session ended on another node lives that much longer.

use ordermill_core::account::User;
use ordermill_core::digest::Digest;
use ordermill_core::id::UserId;
use ordermill_core::time::Timestamp;
use quick_cache::sync::Cache;

/// How long an entry is believed.
const FRESH_MS: i64 = 5_000;
/// How many sessions are remembered.
const CAPACITY: usize = 50_000;

/// Sessions seen lately.
pub struct SessionCache(Cache<Digest, (User, Timestamp)>);

impl Default for SessionCache {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl SessionCache {
    /// Whose token this is, if it was looked up within the last seconds.
    pub fn get(&self, token: &Digest, now: Timestamp) -> Option<User> {
        let (user, seen_at) = self.0.get(token)?;
        (0..FRESH_MS).contains(&now.ms_since(seen_at)).then_some(user)
    }

    /// Remembers whose token this is.
    pub fn insert(&self, token: Digest, user: User, now: Timestamp) {
        self.0.insert(token, (user, now));
    }

    /// Forgets everything about an account that was changed here.
    pub fn forget_user(&self, id: UserId) {
        self.0.retain(|_, (user, _)| user.id != id);
    }
}
