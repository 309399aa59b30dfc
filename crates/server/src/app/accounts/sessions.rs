//! Who is signed in, remembered for a few seconds, so that a busy client costs one read now and then instead of one per
//! request. The price: a session ended on another node lives that much longer.

use ordermill_core::account::User;
use ordermill_core::digest::Digest;
use ordermill_core::id::UserId;
use ordermill_core::time::Timestamp;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long an entry is believed.
const FRESH_MS: i64 = 5_000;
/// How many sessions are remembered.
const CAPACITY: usize = 50_000;

/// Sessions seen lately.
pub struct SessionCache {
    entries: Cache<Digest, (User, Timestamp)>,
    /// How often something was forgotten.
    forgotten: AtomicU64,
}

/// The beginning of a look-up in the store: what it finds may have been ended here before it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct LookUp(u64);

impl Default for SessionCache {
    fn default() -> Self {
        Self { entries: Cache::new(CAPACITY), forgotten: AtomicU64::new(0) }
    }
}

impl SessionCache {
    /// Whose token this is, if it was looked up within the last seconds.
    pub fn get(&self, token: &Digest, now: Timestamp) -> Option<User> {
        let (user, seen_at) = self.entries.get(token)?;
        (0..FRESH_MS).contains(&now.ms_since(seen_at)).then_some(user)
    }

    /// To be called before the store is asked.
    pub fn look_up(&self) -> LookUp {
        LookUp(self.forgotten.load(Ordering::SeqCst))
    }

    /// Remembers whose token this is, unless something was forgotten since the store was asked: what it found may be that.
    pub fn insert(&self, token: Digest, user: User, now: Timestamp, look_up: LookUp) {
        self.entries.insert(token, (user, now));
        // Checked after the entry is in: whoever forgets later finds it, whoever forgot earlier is seen here.
        if self.forgotten.load(Ordering::SeqCst) != look_up.0 {
            self.entries.remove(&token);
        }
    }

    /// Forgets a session that was ended here.
    pub fn forget(&self, token: &Digest) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.remove(token);
    }

    /// Forgets everything about an account that was changed here.
    pub fn forget_user(&self, id: UserId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|_, (user, _)| user.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordermill_core::account::{Notifications, Role};
    use ordermill_core::contact::Email;
    use ordermill_core::locale::Locale;

    #[test]
    fn what_was_forgotten_during_a_look_up_is_not_remembered() {
        let user = User {
            id: UserId::new(1, [1; 10]),
            email: Email::parse("an@example.com").unwrap(),
            password_hash: String::new(),
            role: Role::Customer,
            name: None,
            phone: None,
            locale: Locale::Vi,
            fcm_token: None,
            notifications: Notifications::default(),
            generation: 0,
            is_dev: false,
            created_at: Timestamp::default(),
            version: 1,
        };
        let (cache, token, now) = (SessionCache::default(), Digest::of(b"token"), Timestamp::default());
        let look_up = cache.look_up();
        cache.insert(token, user.clone(), now, look_up);
        assert_eq!(cache.get(&token, now), Some(user.clone()));
        cache.forget(&token);
        assert_eq!(cache.get(&token, now), None);
        cache.insert(token, user.clone(), now, look_up);
        assert_eq!(cache.get(&token, now), None, "it was ended while the store was asked");
        let id = user.id;
        cache.insert(token, user, now, cache.look_up());
        cache.forget_user(id);
        assert_eq!(cache.get(&token, now), None);
    }
}
