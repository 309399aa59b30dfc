//! Why an act did not happen. Three kinds, so that every caller can tell "no" from "not now" from "broken".

use ordermill_core::change::ChangeFault;
use ordermill_core::refusal::Refusal;
use ordermill_store::{CommitError, StoreError};
use thiserror::Error;

/// Why an act did not happen.
#[derive(Debug, Error)]
pub enum Fault {
    /// The domain says no; nothing was changed. The client can see why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not now: certainly nothing was changed, or trying the same again tells. The client may retry.
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
    /// Something is broken and a person must look. The client sees nothing of it.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unavailable(why),
            StoreError::Invalid(why) => Self::Refused(Refusal::invalid("cursor", why)),
            StoreError::Corrupt { .. } | StoreError::Unsupported(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<CommitError> for Fault {
    /// For callers that have looked at conflicts themselves: one that is left over means "too much contention now".
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(conflict) => Self::Unavailable(format!("too many rivals: {conflict}")),
            CommitError::Unavailable(why) | CommitError::Unknown(why) => Self::Unavailable(why),
            CommitError::Fault(ChangeFault::TooManyActions { .. } | ChangeFault::TooManyBytes { .. } | ChangeFault::KeyTooLong { .. }) => {
                Self::Refused(Refusal::TooLarge { what: error.to_string() })
            }
            CommitError::Fault(_) | CommitError::Corrupt { .. } => Self::Internal(error.to_string()),
        }
    }
}
