//! What can go wrong between this node and the server, sorted by what to do about it. This file must not retry anything.

use super::connect::{ANSWER_TIMEOUT, describe};
use crate::StoreError;
use std::future::Future;
use std::time::Duration;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// A statement that did not work.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The connection is gone or cannot be trusted any more: open another one.
    Lost(String),
    /// A rival was in the way (a key taken meanwhile, a deadlock, a lock waited for too long): read again, try again.
    Rival(String),
    /// The server can do nothing for anybody now (disk full, out of memory, far too slow).
    Overwhelmed(String),
    /// The server refuses this very statement or its values.
    Refused(String),
    /// A stored row cannot be read.
    Corrupt {
        /// Which row.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Trouble {
    /// Whether the connection must not be used again.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// In words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Lost(why) | Self::Rival(why) | Self::Overwhelmed(why) | Self::Refused(why) => why.clone(),
            Self::Corrupt { key, why } => format!("{key} is corrupt: {why}"),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let why = describe(&error);
        match (error.as_db_error(), std::error::Error::source(&error)) {
            (Some(db), _) => sort(db.code(), why),
            (None, Some(source)) if !source.is::<std::io::Error>() => Self::Refused(why),
            (None, _) => Self::Lost(why),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { key, why } => Self::Corrupt { key, why },
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Corrupt { key, why } => Self::Corrupt { key, why },
            other => Self::Unavailable(other.why()),
        }
    }
}

fn sort(code: &SqlState, why: String) -> Trouble {
    let rivals =
        [SqlState::UNIQUE_VIOLATION, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
    if rivals.contains(code) {
        return Trouble::Rival(why);
    }
    // A server that became a standby answers "read-only" for ever; only a new connection finds the new primary.
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT {
        return Trouble::Lost(why);
    }
    if *code == SqlState::QUERY_CANCELED {
        return Trouble::Overwhelmed(why);
    }
    match code.code().get(..2) {
        Some("08" | "57") => Trouble::Lost(why),
        Some("53" | "58") => Trouble::Overwhelmed(why),
        _ => Trouble::Refused(why),
    }
}

/// Waits for an answer, but not for ever: a connection that went silent counts as lost.
pub(super) async fn answer<T, E: Into<Trouble>>(question: impl Future<Output = Result<T, E>>) -> Result<T, Trouble> {
    within(ANSWER_TIMEOUT, question).await
}

/// The same with a limit of its own.
pub(super) async fn within<T, E: Into<Trouble>>(limit: Duration, question: impl Future<Output = Result<T, E>>) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Trouble::Lost(format!("no answer within {} s", limit.as_secs()))),
    }
}
