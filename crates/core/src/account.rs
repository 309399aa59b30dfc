//! Who may speak to us: accounts, their roles, their sessions, and what helps or hinders getting in. This file must not
//! hash passwords or make tokens (that needs randomness); it only holds what came of it.

use crate::contact::{Email, Phone};
use crate::digest::Digest;
use crate::id::UserId;
use crate::locale::Locale;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys.
    Customer,
    /// Buys through a platform; the same rights as a customer.
    Student,
    /// Works on orders.
    Staff,
    /// Works on everything.
    Admin,
}

impl Role {
    /// Every role, for documentation and tests.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Student, Self::Staff, Self::Admin];

    /// The name used in JSON, storage and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Student => "student",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether the role may see and move other people's orders.
    pub const fn is_staff(self) -> bool {
        matches!(self, Self::Staff | Self::Admin)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its one e-mail address, unique among accounts.
    pub email: Email,
    /// The password as a PHC string (argon2id), never the password.
    pub password_hash: String,
    /// What it may do.
    pub role: Role,
    /// How the person wants to be called.
    pub name: Option<String>,
    /// The phone number for SMS.
    pub phone: Option<Phone>,
    /// The language of mails and pages.
    pub locale: Locale,
    /// The push token of the person's device.
    pub fcm_token: Option<String>,
    /// What the person wants to hear of.
    #[serde(default)]
    pub notifications: Notifications,
    /// Counts how often every session was ended at once. Sessions and one-time tokens carry the number that stood here when
    /// they began, and are good only as long as it stands: a comparison that no two clocks can disagree about.
    #[serde(default)]
    pub generation: i64,
    /// Made by `ordermill dev`: such a row must never open a production server.
    pub is_dev: bool,
    /// When it registered.
    pub created_at: Timestamp,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

/// Which mails somebody wants that are not needed: confirmations of payments always go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// That an order stands.
    pub order_received: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { order_received: true }
    }
}

impl User {
    /// The account in another role. Somebody must be left who may do everything.
    pub fn with_role(&self, role: Role, is_last_admin: bool) -> Result<Self, Refusal> {
        if is_last_admin && self.role == Role::Admin && role != Role::Admin {
            return Err(Refusal::LastAdmin);
        }
        Ok(Self { role, version: self.version.saturating_add(1), ..self.clone() })
    }

    /// The account with another password. Whoever was signed in by the old one is so no longer.
    #[must_use]
    pub fn with_password(&self, password_hash: String) -> Self {
        let (generation, version) = (self.generation.saturating_add(1), self.version.saturating_add(1));
        Self { password_hash, generation, version, ..self.clone() }
    }
}

/// A signed-in device. The token itself is never stored, only its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the token.
    pub token: Digest,
    /// Whose session it is.
    pub user_id: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The generation that its account had when the password was checked.
    #[serde(default)]
    pub generation: i64,
    /// Begun by `ordermill dev`.
    pub is_dev: bool,
}

impl Session {
    /// Whether it is still good for its account.
    pub fn is_good(&self, user: &User, now: Timestamp) -> bool {
        self.user_id == user.id && self.generation == user.generation && now < self.expires_at
    }
}

/// What a one-time token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPurpose {
    /// Setting a new password without the old one.
    PasswordReset,
}

/// A token that was sent to somebody and works once: whoever uses it deletes this row in the same change. The token itself
/// is never stored, only its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeToken {
    /// SHA-256 of the token.
    pub token: Digest,
    /// What it is good for.
    pub purpose: TokenPurpose,
    /// Whose account it is about.
    pub user_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good for nothing.
    pub expires_at: Timestamp,
    /// The generation that the account had when it was made: setting a password makes every token before it worthless.
    #[serde(default)]
    pub generation: i64,
}

/// How long a token for a new password works.
pub const RESET_TOKEN_TTL_MS: i64 = 3_600_000;

impl OneTimeToken {
    /// A token that lets this account set a new password.
    pub fn for_reset(token: Digest, user: &User, now: Timestamp) -> Self {
        Self {
            token,
            purpose: TokenPurpose::PasswordReset,
            user_id: user.id,
            created_at: now,
            expires_at: now.plus_ms(RESET_TOKEN_TTL_MS),
            generation: user.generation,
        }
    }

    /// Whether it still works for its account.
    pub fn is_good(&self, purpose: TokenPurpose, user: &User, now: Timestamp) -> bool {
        self.purpose == purpose && self.user_id == user.id && self.generation == user.generation && now < self.expires_at
    }
}

/// Failed log-ins of one account, counted so that guessing is slow on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Digest of what is counted for: an account that exists and one that does not look the same.
    pub scope: Digest,
    /// How many there were.
    pub failures: i32,
    /// When the counting began.
    pub since: Timestamp,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

/// How long failures are counted together, and how long an account stays closed at most.
pub const THROTTLE_WINDOW_MS: i64 = 900_000;
/// After so many failed log-ins within the window nobody signs in, whatever the password.
pub const LOGIN_FAILURES_MAX: i32 = 10;
/// So many mails with a token go to one address within the window.
pub const RESET_MAILS_MAX: i32 = 5;

impl Throttle {
    /// How long it still closes the way, if so many are the most that may be counted in one window.
    pub fn closed_for_ms(&self, max: i32, now: Timestamp) -> Option<i64> {
        let left_ms = THROTTLE_WINDOW_MS.saturating_sub(now.ms_since(self.since));
        (self.failures >= max && left_ms > 0).then_some(left_ms)
    }

    /// One more, after what was found: in its window, or in a new one that begins now.
    #[must_use]
    pub fn one_more(found: Option<&Self>, scope: Digest, now: Timestamp) -> Self {
        match found {
            Some(found) => {
                let is_over = now.ms_since(found.since) >= THROTTLE_WINDOW_MS;
                let (failures, since) = if is_over { (1, now) } else { (found.failures.saturating_add(1), found.since) };
                Self { scope, failures, since, version: found.version.saturating_add(1) }
            }
            None => Self { scope, failures: 1, since: now, version: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_closes_the_way_until_the_window_is_over() {
        let (scope, start) = (Digest::of(b"an"), Timestamp::from_millis(1_000_000));
        let mut counted = None;
        for failure in 0..LOGIN_FAILURES_MAX {
            let now = start.plus_ms(i64::from(failure));
            assert_eq!(counted.as_ref().and_then(|found: &Throttle| found.closed_for_ms(LOGIN_FAILURES_MAX, now)), None);
            counted = Some(Throttle::one_more(counted.as_ref(), scope, now));
        }
        let counted = counted.expect("counted");
        assert_eq!((counted.failures, counted.since, counted.version), (10, start, 10));
        assert_eq!(counted.closed_for_ms(LOGIN_FAILURES_MAX, start.plus_ms(1)), Some(THROTTLE_WINDOW_MS - 1));
        let over = start.plus_ms(THROTTLE_WINDOW_MS);
        assert_eq!(counted.closed_for_ms(LOGIN_FAILURES_MAX, over), None);
        let next = Throttle::one_more(Some(&counted), scope, over);
        assert_eq!((next.failures, next.since, next.version), (1, over, 11));
    }
}
