//! What the engine's errors mean for a caller: was it applied, will it help to try again, must a person look. This file
//! must not react to anything; the writer and the checkpoints do.

use crate::failpoint::Injected;
use crate::{CommitError, StoreError};
use rusqlite::ErrorCode;

/// Why a piece of work inside the store stopped.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine said no.
    Sql(rusqlite::Error),
    /// A stored row cannot be read, or the caller asked for nonsense.
    Store(StoreError),
    /// A fail point said so.
    Injected(Injected),
}

/// What kind of trouble an engine's error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No room: writes stop, reads go on, and it may pass.
    DiskFull,
    /// The disk failed: what was written before may be lost, and asking it again would hide that.
    Disk,
    /// Another process holds the database's own lock, longer than anybody waits.
    Busy,
    /// The file is not what it should be.
    Corrupt,
    /// Anything else; only this piece of work is concerned.
    Other,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Injected> for Failure {
    fn from(injected: Injected) -> Self {
        Self::Injected(injected)
    }
}

impl Failure {
    /// A stored value that cannot be read.
    pub(super) fn corrupt(key: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Store(StoreError::Corrupt { key: key.to_string(), why: why.to_string() })
    }

    /// What kind of trouble this is.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Trouble::DiskFull,
                Some(ErrorCode::SystemIoFailure) => Trouble::Disk,
                Some(ErrorCode::DatabaseBusy) => Trouble::Busy,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
                _ => Trouble::Other,
            },
            Self::Store(StoreError::Corrupt { .. }) => Trouble::Corrupt,
            Self::Store(_) | Self::Injected(_) => Trouble::Other,
        }
    }

    /// The answer for a caller; nothing was applied.
    pub(super) fn to_store_error(&self) -> StoreError {
        match self {
            Self::Store(error) => error.clone(),
            Self::Sql(error) if self.trouble() == Trouble::Corrupt => {
                StoreError::Corrupt { key: "the database file".to_owned(), why: error.to_string() }
            }
            // A column holds a value of another type than it was written with.
            Self::Sql(error @ (rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..))) => {
                StoreError::Corrupt { key: "a column".to_owned(), why: error.to_string() }
            }
            Self::Sql(_) | Self::Injected(_) => StoreError::Unavailable(self.text()),
        }
    }

    /// What to say about it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Sql(error) if self.trouble() == Trouble::DiskFull => disk_full(error),
            Self::Sql(error) => error.to_string(),
            Self::Store(error) => error.to_string(),
            Self::Injected(injected) => injected.to_string(),
        }
    }
}

/// The same for a commit that was certainly not applied.
pub(super) fn commit_error(error: StoreError) -> CommitError {
    match error {
        // Its words as they are: both errors say the rest themselves.
        StoreError::Unavailable(why) => CommitError::Unavailable(why),
        other => other.into(),
    }
}

fn disk_full(error: &rusqlite::Error) -> String {
    format!("disk full, nothing can be written until there is room: {error}")
}
