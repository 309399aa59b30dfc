//! Customers' order lists as they were rendered a moment ago, and never older than the customer's last order.
//!
//! Whoever changes an order lets go of its customer's lists after the commit (`app/commit.rs`, the one place), and where
//! nodes share them a job does so once more (`worker/cache.rs`), in case the process died in between.
//!
//! Lists are kept under a *generation* of their customer, a value that nobody had before. To let go is to forget the
//! generation: a list that was read before the change may still be written afterwards, but under a generation that nobody
//! asks for any more. So a reader takes the generation first and reads the store second, never the other way round.
//!
//! Without a shared cache lists are kept in this process, if no other process can write to the store; otherwise not at all.
//! This file must not know how a list looks or how a cache is reached.

mod here;
mod seal;
mod shared;

use crate::app::{Clock, Fault, Randomness};
use crate::cache::{self, Away, Guarded};
use crate::config::Config;
use bytes::Bytes;
use here::Here;
use ordermill_core::change::{Change, Row};
use ordermill_core::id::UserId;
use ordermill_store::{OrderQuery, Store};
use prometheus_client::metrics::counter::Counter;
use seal::Seal;
use shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// The largest list that is kept.
const LIST_BYTES_MAX: usize = 256 * 1024;

/// Which page of a customer's list. Searches are not kept: they are rarely asked twice, and anybody can think of many.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question(String);

impl Question {
    fn of(query: &OrderQuery) -> Option<Self> {
        let OrderQuery { customer: _, status, payment_status, email, created_from, created_to, text, cursor: _, limit } = query;
        if email.is_some() || created_from.is_some() || created_to.is_some() || text.is_some() {
            return None;
        }
        let below = query.below().ok()?;
        let status = status.map_or("", |status| status.name());
        let payment_status = payment_status.map_or("", |status| status.name());
        Some(Self(format!("{status}:{payment_status}:{below}:{limit}")))
    }
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub struct ListCounters {
    /// Lists that were at hand.
    pub hits: Counter,
    /// Lists that could have been, and were read from the store.
    pub misses: Counter,
    /// Calls of the shared cache that failed.
    pub faults: Counter,
}

/// The lists at hand.
pub struct OrderLists {
    place: Place,
    counters: ListCounters,
    ttl_ms: i64,
}

enum Place {
    Nowhere,
    Here(Here),
    Shared(Shared),
}

/// A list that was not at hand, and where to put it once it is.
enum Missing {
    Nowhere,
    Here(u64),
    Shared(shared::Slot),
}

impl OrderLists {
    /// Chooses where lists are kept.
    pub fn new(
        config: &Config,
        store: &dyn Store,
        clock: &Arc<dyn Clock>,
        randomness: &Arc<dyn Randomness>,
        counters: ListCounters,
    ) -> Self {
        let ttl_ms = config.cache.order_list_ms;
        let place = match cache::open(&config.cache) {
            Some(cache) => {
                let timeout = Duration::from_millis(config.cache.redis_timeout_ms);
                let cache = Guarded::new(cache, Arc::clone(clock), timeout, counters.faults.clone());
                Place::Shared(Shared::new(cache, Seal::new(&config.server, Arc::clone(randomness)), Arc::clone(clock), ttl_ms))
            }
            None if ttl_ms > 0 && !store.capabilities().is_shared => Place::Here(Here::new(Arc::clone(clock), ttl_ms)),
            None => Place::Nowhere,
        };
        Self { place, counters, ttl_ms }
    }

    /// Whether other nodes see what is let go of here, so that a job must see to it.
    pub const fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared(_))
    }

    /// How long a list may lie there at most, in milliseconds.
    pub const fn ttl_ms(&self) -> i64 {
        self.ttl_ms
    }

    /// A customer's list: the one at hand, or what `make` makes of the store.
    pub(super) async fn get_or_make<F: Future<Output = Result<Bytes, Fault>>>(
        &self,
        customer: UserId,
        query: &OrderQuery,
        make: impl FnOnce() -> F,
    ) -> Result<Bytes, Fault> {
        let question = Question::of(query).filter(|_| self.ttl_ms > 0);
        let (Some(question), false) = (question, matches!(self.place, Place::Nowhere)) else { return make().await };
        let missing = match self.find(customer, &question).await {
            Ok(list) => {
                self.counters.hits.inc();
                return Ok(list);
            }
            Err(missing) => missing,
        };
        self.counters.misses.inc();
        let list = make().await?;
        if list.len() <= LIST_BYTES_MAX {
            self.keep(missing, question, &list).await;
        }
        Ok(list)
    }

    async fn find(&self, customer: UserId, question: &Question) -> Result<Bytes, Missing> {
        match &self.place {
            Place::Nowhere => Err(Missing::Nowhere),
            Place::Here(here) => here.find(customer, question).map_err(Missing::Here),
            Place::Shared(shared) => shared.find(customer, question).await.map_err(|slot| slot.map_or(Missing::Nowhere, Missing::Shared)),
        }
    }

    async fn keep(&self, missing: Missing, question: Question, list: &Bytes) {
        match (&self.place, missing) {
            (Place::Here(here), Missing::Here(generation)) => here.keep(generation, question, list.clone()),
            (Place::Shared(shared), Missing::Shared(slot)) => shared.keep(slot, list).await,
            _ => {}
        }
    }

    /// Lets go of all lists of a customer. When it returns without a fault nobody is shown one of them any more.
    pub async fn forget(&self, customer: UserId) -> Result<(), Away> {
        match &self.place {
            Place::Nowhere => Ok(()),
            Place::Here(here) => {
                here.forget(customer);
                Ok(())
            }
            Place::Shared(shared) => shared.forget(customer).await,
        }
    }
}

/// Whose lists a change makes old.
pub fn customers_of(change: &Change) -> Vec<UserId> {
    let of_order = |row: &Row| match row {
        Row::Order(order) => order.customer.id,
        _ => None,
    };
    change.puts.iter().filter_map(of_order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordermill_core::order::OrderStatus;

    #[test]
    fn pages_are_kept_and_searches_are_not() {
        let page = |cursor: Option<&str>, limit| OrderQuery { cursor: cursor.map(str::to_owned), limit, ..OrderQuery::default() };
        let question = |query: &OrderQuery| Question::of(query);
        assert_eq!(question(&page(Some("7"), 20)), question(&page(Some("007"), 20)), "one page, two spellings");
        let all =
            [page(None, 20), page(None, 21), page(Some("7"), 20), OrderQuery { status: Some(OrderStatus::Pending), ..page(None, 20) }];
        for (index, query) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(question(query), question(other));
            }
        }
        assert_eq!(question(&page(Some("nonsense"), 20)), None);
        assert_eq!(question(&OrderQuery { text: Some("cup".to_owned()), ..page(None, 20) }), None);
        assert_eq!(question(&OrderQuery { email: Some("an@example.com".to_owned()), ..page(None, 20) }), None);
    }
}
