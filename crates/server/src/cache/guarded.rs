//! Keeps a shared cache that is down or slow from holding anybody up: every call has a time limit, and after a call that
//! failed nobody asks for a while; then one asks for all. This file must not know which cache it is or what lies there.

use super::{Away, SharedCache};
use crate::app::Clock;
use ordermill_core::time::Timestamp;
use prometheus_client::metrics::counter::Counter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long nobody asks after the first failure; twice as long after each further one.
const PAUSE_MS: i64 = 100;
/// How long nobody asks at most: a cache that comes back should be of use soon.
const PAUSE_MS_MAX: i64 = 10_000;

/// A shared cache behind a time limit and a circuit.
pub struct Guarded {
    cache: Arc<dyn SharedCache>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    circuit: Mutex<Circuit>,
    faults: Counter,
}

/// Who may ask.
#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    /// Nobody asks before.
    closed_from: Option<Timestamp>,
}

impl Guarded {
    /// Guards a cache; each call that fails is counted.
    pub fn new(cache: Arc<dyn SharedCache>, clock: Arc<dyn Clock>, timeout: Duration, faults: Counter) -> Self {
        Self { cache, clock, timeout, circuit: Mutex::default(), faults }
    }

    /// See [`SharedCache::read`]. Two names in one go, because together they cost no more than one.
    pub async fn read_both(&self, names: [(&str, usize); 2]) -> Result<[Option<Vec<u8>>; 2], Away> {
        let [(first, first_max), (second, second_max)] = names;
        self.ask(async { tokio::try_join!(self.cache.read(first, first_max), self.cache.read(second, second_max)).map(Into::into) }).await
    }

    /// See [`SharedCache::write`].
    pub async fn write(&self, name: &str, value: &[u8], ttl: Duration) -> Result<(), Away> {
        self.ask(self.cache.write(name, value, ttl)).await
    }

    /// See [`SharedCache::write_if_absent`].
    pub async fn write_if_absent(&self, name: &str, value: &[u8], ttl: Duration) -> Result<bool, Away> {
        self.ask(self.cache.write_if_absent(name, value, ttl)).await
    }

    /// See [`SharedCache::remove`].
    pub async fn remove(&self, name: &str) -> Result<(), Away> {
        self.ask(self.cache.remove(name)).await
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, Away>>) -> Result<T, Away> {
        self.admit()?;
        let answer = tokio::time::timeout(self.timeout, question).await;
        let answer = answer.unwrap_or_else(|_| Err(Away(format!("no answer within {} ms", self.timeout.as_millis()))));
        self.note(answer.as_ref().err());
        answer
    }

    /// Lets the caller ask, or tells it to go on without.
    fn admit(&self) -> Result<(), Away> {
        let now = self.clock.now();
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(closed_from) = circuit.closed_from else { return Ok(()) };
        // A clock that was put back must not keep the circuit open for longer than any pause lasts.
        if (1..=PAUSE_MS_MAX).contains(&closed_from.ms_since(now)) {
            return Err(Away("it failed a moment ago".to_owned()));
        }
        // This one asks for all; until it knows, the others still go on without.
        circuit.closed_from = Some(now.plus_ms(pause_ms(circuit.failures)));
        Ok(())
    }

    fn note(&self, fault: Option<&Away>) {
        let now = self.clock.now();
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let was_closed = circuit.closed_from.is_none();
        let Some(Away(why)) = fault else {
            if !was_closed {
                tracing::info!("the shared cache answers again");
            }
            *circuit = Circuit::default();
            return;
        };
        self.faults.inc();
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.closed_from = Some(now.plus_ms(pause_ms(circuit.failures)));
        if was_closed {
            tracing::warn!(why, "the shared cache is away: going on without it");
        }
    }
}

fn pause_ms(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(16);
    (PAUSE_MS << doublings).min(PAUSE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ManualClock;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    /// Answers, refuses or hangs, and counts who came.
    #[derive(Default)]
    struct Peer {
        is_down: AtomicBool,
        hangs: AtomicBool,
        calls: AtomicU32,
    }

    impl Peer {
        async fn answer<T>(&self, value: T) -> Result<T, Away> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.is_down.load(Ordering::SeqCst) { Err(Away("refused".to_owned())) } else { Ok(value) }
        }
    }

    #[async_trait]
    impl SharedCache for Peer {
        async fn read(&self, _name: &str, _bytes_max: usize) -> Result<Option<Vec<u8>>, Away> {
            self.answer(None).await
        }
        async fn write(&self, _name: &str, _value: &[u8], _ttl: Duration) -> Result<(), Away> {
            self.answer(()).await
        }
        async fn write_if_absent(&self, _name: &str, _value: &[u8], _ttl: Duration) -> Result<bool, Away> {
            self.answer(true).await
        }
        async fn remove(&self, _name: &str) -> Result<(), Away> {
            self.answer(()).await
        }
    }

    fn guarded() -> (Guarded, Arc<Peer>, Arc<ManualClock>) {
        let (peer, clock) = (Arc::new(Peer::default()), Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000))));
        let timeout = Duration::from_millis(20);
        (Guarded::new(peer.clone(), clock.clone(), timeout, Counter::default()), peer, clock)
    }

    #[tokio::test]
    async fn after_a_failure_nobody_asks_for_a_while_and_then_one_does() {
        let (guarded, peer, clock) = guarded();
        guarded.remove("a").await.unwrap();
        peer.is_down.store(true, Ordering::SeqCst);
        guarded.remove("a").await.unwrap_err();
        for _ in 0..10 {
            guarded.remove("a").await.unwrap_err();
        }
        assert_eq!(peer.calls.load(Ordering::SeqCst), 2, "the ten went on without");
        clock.advance_ms(PAUSE_MS);
        guarded.remove("a").await.unwrap_err();
        clock.advance_ms(PAUSE_MS);
        guarded.remove("a").await.unwrap_err();
        assert_eq!(peer.calls.load(Ordering::SeqCst), 3, "the second pause is longer");
        peer.is_down.store(false, Ordering::SeqCst);
        clock.advance_ms(PAUSE_MS_MAX);
        for _ in 0..3 {
            guarded.remove("a").await.unwrap();
        }
        assert_eq!(peer.calls.load(Ordering::SeqCst), 6);
        assert_eq!(guarded.faults.get(), 2);
    }

    #[tokio::test]
    async fn one_asks_for_all_and_a_cache_that_hangs_is_away() {
        let (guarded, peer, clock) = guarded();
        peer.hangs.store(true, Ordering::SeqCst);
        guarded.read_both([("a", 1), ("b", 1)]).await.unwrap_err();
        clock.advance_ms(PAUSE_MS);
        let (one, other) = tokio::join!(guarded.remove("a"), guarded.remove("a"));
        assert!(one.is_err() && other.is_err());
        assert_eq!(peer.calls.load(Ordering::SeqCst), 3, "two reads, and one of the two removals");
    }

    #[tokio::test]
    async fn a_clock_that_is_put_back_does_not_keep_the_circuit_open() {
        let (guarded, peer, clock) = guarded();
        peer.is_down.store(true, Ordering::SeqCst);
        guarded.remove("a").await.unwrap_err();
        peer.is_down.store(false, Ordering::SeqCst);
        clock.advance_ms(-86_400_000);
        guarded.remove("a").await.unwrap();
    }
}
