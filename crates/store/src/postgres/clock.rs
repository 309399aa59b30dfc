//! The database's clock is the store's clock; this only lets tests move it. In production the offset is always 0. This
//! file must not read a clock of this machine.

#[cfg(feature = "test-support")]
use std::sync::atomic::{AtomicI64, Ordering};

/// What is added to the database's time in every statement that reads it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    #[cfg(feature = "test-support")]
    offset_ms: AtomicI64,
}

impl Clock {
    /// In microseconds, as statements take it.
    #[cfg(feature = "test-support")]
    pub(super) fn offset_us(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed).saturating_mul(1_000)
    }

    /// In microseconds, as statements take it.
    #[cfg(not(feature = "test-support"))]
    #[expect(clippy::unused_self, reason = "the same shape as in tests")]
    pub(super) const fn offset_us(&self) -> i64 {
        0
    }

    /// Moves the clock.
    #[cfg(feature = "test-support")]
    pub(super) fn advance_ms(&self, millis: i64) {
        self.offset_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

/// The database's time in microseconds, moved by the parameter given: fixed for the whole statement, so that indexes can
/// be searched with it.
macro_rules! now {
    ($offset:literal) => {
        concat!("((extract(epoch FROM statement_timestamp()) * 1000000)::bigint + ", $offset, "::bigint)")
    };
}
pub(super) use now;
