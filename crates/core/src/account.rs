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
