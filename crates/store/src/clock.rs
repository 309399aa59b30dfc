//! The clock of the embedded stores. Wall time is read once, at opening; after that a monotonic clock moves it on, so a
//! wall clock that jumps by days neither runs a job twice nor delays one (F43). Tests move it by hand.

use ordermill_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A store's own clock; clones share it.
#[derive(Debug, Clone)]
pub struct StoreClock {
    opened_at: Timestamp,
    opened: Instant,
    offset_ms: Arc<AtomicI64>,
}

impl StoreClock {
    /// A clock that starts at the wall's time.
    #[expect(clippy::disallowed_methods, reason = "this is the embedded stores' one reading of the machine's clocks")]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        Self { opened_at: Timestamp::from_micros(micros), opened: Instant::now(), offset_ms: Arc::default() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.opened.elapsed().as_micros()).unwrap_or(i64::MAX);
        let micros = self.opened_at.micros().saturating_add(elapsed);
        Timestamp::from_micros(micros).plus_ms(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves the clock, for tests.
    pub fn advance_ms(&self, millis: i64) {
        self.offset_ms.fetch_add(millis, Ordering::Relaxed);
    }
}
