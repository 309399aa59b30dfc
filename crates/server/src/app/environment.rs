//! The world outside as values: a clock and a source of random bytes, real ones and ones that tests steer. These are the
//! only places of the server that touch the machine's own.

use ordermill_core::time::Timestamp;
use ring::rand::SecureRandom;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Fills buffers with random bytes.
pub trait Randomness: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone)]
pub struct SystemRandomness(ring::rand::SystemRandom);

impl Default for SystemRandomness {
    #[expect(clippy::disallowed_methods, reason = "this is the randomness that everything else is given")]
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Randomness for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness there are no ids, tokens or salts: going on would be worse than stopping.
        self.0.fill(buffer).expect("the operating system has randomness");
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at this time.
    pub const fn at(time: Timestamp) -> Self {
        Self(AtomicI64::new(time.micros()))
    }

    /// Moves the clock.
    pub fn advance_ms(&self, millis: i64) {
        self.0.fetch_add(millis.saturating_mul(1_000), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Bytes that a seed decides: the same seed, the same run. Never for production.
#[derive(Debug)]
pub struct SeededRandomness {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededRandomness {
    /// Randomness that follows from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        let draw = self.drawn.fetch_add(1, Ordering::Relaxed);
        for (block, chunk) in (0_u64..).zip(buffer.chunks_mut(32)) {
            let digest = ordermill_core::digest::Digest::of_parts(&[&self.seed.to_be_bytes(), &draw.to_be_bytes(), &block.to_be_bytes()]);
            chunk.copy_from_slice(&digest.bytes()[..chunk.len()]);
        }
    }
}
