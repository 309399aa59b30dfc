//! What stays in memory of every order: its id, a time and 64-bit hashes, so that a million orders fit easily. A collision
//! of hashes can only hide a fault or raise a suspicion that the second look dismisses. This file must not judge anything.

use ordermill_core::id::OrderId;
use ordermill_core::order::Order;
use ordermill_core::time::Timestamp;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An order's place among all orders.
pub(super) type Place = u32;

/// Stands for a value that is only compared.
pub(super) fn fingerprint(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Every order there is, in the order of ids.
#[derive(Debug, Default)]
pub(super) struct Roster {
    ids: Vec<OrderId>,
    updated_at: Vec<Timestamp>,
}

impl Roster {
    /// Adds the next order.
    pub(super) fn add(&mut self, order: &Order) -> Place {
        let place = Place::try_from(self.ids.len()).unwrap_or(Place::MAX);
        self.ids.push(order.id);
        self.updated_at.push(order.updated_at);
        place
    }

    /// An order's place.
    pub(super) fn place(&self, id: OrderId) -> Option<Place> {
        self.ids.binary_search(&id).ok().and_then(|index| Place::try_from(index).ok())
    }

    /// The order of a place.
    pub(super) fn id(&self, place: Place) -> Option<OrderId> {
        self.ids.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether an order of that id may have been placed after orders were read: ids begin with the time.
    pub(super) fn may_be_young(&self, id: OrderId) -> bool {
        self.ids.last().is_none_or(|last| id > *last)
    }

    /// Whether something of that time may have come to the order after it was read.
    pub(super) fn is_later(&self, place: Place, at: Timestamp) -> bool {
        usize::try_from(place).ok().and_then(|index| self.updated_at.get(index)).is_none_or(|updated| at > *updated)
    }
}
