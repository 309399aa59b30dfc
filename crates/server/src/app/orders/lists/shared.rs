//! Lists in a cache that all nodes share: `…:generation` holds a random value per customer, the lists lie beside it, sealed
//! for that generation. Whatever cannot be opened is as good as nothing, and a cache that is away costs a look at the store.

use super::seal::Seal;
use super::{LIST_BYTES_MAX, Question};
use crate::app::Clock;
use crate::cache::{Away, Guarded};
use bytes::Bytes;
use ordermill_core::id::UserId;
use ordermill_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How many random bytes a generation has, so that none ever comes again.
const GENERATION_BYTES: usize = 16;
/// What sealing and the time add to a list, and one byte more, by which a value that is too long is known.
const MORE_BYTES: usize = 64;

pub(super) struct Shared {
    cache: Guarded,
    seal: Seal,
    clock: Arc<dyn Clock>,
    ttl_ms: i64,
}

/// Where a list would lie.
pub(super) struct Slot {
    customer: UserId,
    name: String,
    generation: [u8; GENERATION_BYTES],
}

impl Slot {
    /// What a list is sealed for. The version of this program is part of it: another one may render otherwise.
    fn place(&self) -> Vec<u8> {
        [self.name.as_bytes(), b"\0", &self.generation, env!("CARGO_PKG_VERSION").as_bytes()].concat()
    }
}

impl Shared {
    pub(super) fn new(cache: Guarded, seal: Seal, clock: Arc<dyn Clock>, ttl_ms: i64) -> Self {
        Self { cache, seal, clock, ttl_ms }
    }

    /// The list, or where to put it; nowhere if the cache is away.
    pub(super) async fn find(&self, customer: UserId, question: &Question) -> Result<Bytes, Option<Slot>> {
        if !self.seal.is_ready() {
            return Err(None);
        }
        let (generation_name, name) = (generation_name(customer), list_name(customer, question));
        let names = [(generation_name.as_str(), GENERATION_BYTES + 1), (name.as_str(), LIST_BYTES_MAX + MORE_BYTES)];
        let Ok([generation, sealed]) = self.cache.read_both(names).await else { return Err(None) };
        let known = generation.as_deref().and_then(|bytes| bytes.try_into().ok());
        let Some(generation) = known else {
            return Err(self.begin(&generation_name, generation.is_some()).await.map(|generation| Slot { customer, name, generation }));
        };
        let slot = Slot { customer, name, generation };
        let opened = sealed.and_then(|sealed| self.seal.open(customer, &slot.place(), &sealed));
        opened.and_then(|text| self.young(text)).ok_or(Some(slot))
    }

    /// Begins a generation. Whoever finds that another node was faster goes on without: it is simplest, and rare.
    async fn begin(&self, name: &str, is_nonsense: bool) -> Option<[u8; GENERATION_BYTES]> {
        let generation = self.seal.random();
        if is_nonsense {
            self.cache.write(name, &generation, self.ttl()).await.ok()?;
        } else if !self.cache.write_if_absent(name, &generation, self.ttl()).await.ok()? {
            return None;
        }
        Some(generation)
    }

    pub(super) async fn keep(&self, slot: Slot, list: &[u8]) {
        let until = self.clock.now().plus_ms(self.ttl_ms);
        let text = [&until.micros().to_be_bytes(), list].concat();
        if let Some(sealed) = self.seal.seal(slot.customer, &slot.place(), &text) {
            // Away is away: the list is made again next time.
            drop(self.cache.write(&slot.name, &sealed, self.ttl()).await);
        }
    }

    pub(super) async fn forget(&self, customer: UserId) -> Result<(), Away> {
        self.cache.remove(&generation_name(customer)).await
    }

    /// The list, unless its time is over: what a stranger kept and put back later is old.
    fn young(&self, text: Vec<u8>) -> Option<Bytes> {
        let (until, _) = text.split_first_chunk::<8>()?;
        let left_ms = Timestamp::from_micros(i64::from_be_bytes(*until)).ms_since(self.clock.now());
        (1..=self.ttl_ms).contains(&left_ms).then(|| Bytes::from(text).slice(8..))
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.ttl_ms).unwrap_or(0))
    }
}

/// Both names of a customer have the same braces, so that a cluster keeps them together.
fn generation_name(customer: UserId) -> String {
    format!("ordermill:{{orders:{customer}}}:generation")
}

fn list_name(customer: UserId, question: &Question) -> String {
    format!("ordermill:{{orders:{customer}}}:list:{}", question.0)
}
