//! Lists in the memory of the one process that can write to the store. Nothing here outlives it, so a crash needs no healing.

use super::Question;
use crate::app::Clock;
use bytes::Bytes;
use ordermill_core::id::UserId;
use ordermill_core::time::Timestamp;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Weighter};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many customers' generations are remembered. Whoever is forgotten gets a new one, which costs one look at the store.
const CUSTOMERS: usize = 50_000;
/// How many bytes of lists are kept.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What a list weighs about, for the first size of the table.
const BYTES_USUAL: u64 = 4 * 1024;

type Lists = Cache<(u64, Question), (Bytes, Timestamp), BySize, DefaultHashBuilder>;

pub(super) struct Here {
    clock: Arc<dyn Clock>,
    ttl_ms: i64,
    /// The generation of each customer's lists; no two ever have the same.
    generations: Cache<UserId, u64>,
    next: AtomicU64,
    lists: Lists,
}

/// A list weighs what it takes.
#[derive(Debug, Clone)]
struct BySize;

impl Weighter<(u64, Question), (Bytes, Timestamp)> for BySize {
    fn weight(&self, (_, question): &(u64, Question), (list, _): &(Bytes, Timestamp)) -> u64 {
        (list.len() + question.0.len()) as u64 + 64
    }
}

impl Here {
    pub(super) fn new(clock: Arc<dyn Clock>, ttl_ms: i64) -> Self {
        let items = usize::try_from(BYTES_MAX / BYTES_USUAL).unwrap_or(usize::MAX);
        let lists = Cache::with_weighter(items, BYTES_MAX, BySize);
        Self { clock, ttl_ms, generations: Cache::new(CUSTOMERS), next: AtomicU64::new(0), lists }
    }

    /// The list, or the generation to keep it under.
    pub(super) fn find(&self, customer: UserId, question: &Question) -> Result<Bytes, u64> {
        let fresh = || Ok::<_, Infallible>(self.next.fetch_add(1, Ordering::Relaxed));
        let Ok(generation) = self.generations.get_or_insert_with(&customer, fresh);
        let now = self.clock.now();
        let young = |(_, made_at): &(Bytes, Timestamp)| (0..self.ttl_ms).contains(&now.ms_since(*made_at));
        let found = self.lists.get(&(generation, question.clone())).filter(young);
        found.map(|(list, _)| list).ok_or(generation)
    }

    pub(super) fn keep(&self, generation: u64, question: Question, list: Bytes) {
        self.lists.insert((generation, question), (list, self.clock.now()));
    }

    pub(super) fn forget(&self, customer: UserId) {
        self.generations.remove(&customer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ManualClock;

    #[test]
    fn a_list_read_before_a_change_and_written_after_it_is_never_shown() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let here = Here::new(clock.clone(), 1_000);
        let (an, binh) = (UserId::new(1, [1; 10]), UserId::new(1, [2; 10]));
        let question = Question("::9:20".to_owned());
        let generation = here.find(an, &question).unwrap_err();
        here.keep(generation, question.clone(), Bytes::from_static(b"old"));
        assert_eq!(here.find(an, &question), Ok(Bytes::from_static(b"old")));
        assert!(here.find(binh, &question).is_err(), "it is somebody else's");
        let late = here.find(an, &Question("::9:21".to_owned())).unwrap_err();
        here.forget(an);
        here.keep(late, Question("::9:21".to_owned()), Bytes::from_static(b"old"));
        assert!(here.find(an, &question).is_err());
        let generation = here.find(an, &Question("::9:21".to_owned())).unwrap_err();
        here.keep(generation, question.clone(), Bytes::from_static(b"new"));
        assert_eq!(here.find(an, &question), Ok(Bytes::from_static(b"new")));
        clock.advance_ms(1_000);
        assert!(here.find(an, &question).is_err(), "nothing is kept for ever");
    }
}
