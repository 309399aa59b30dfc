//! Who waits for their client: connections that read headers, bodies that arrive, answers that are taken. When every slot is
//! taken, the one that has waited longest gives way to a new client, so that slow clients cannot keep others out (F51). Whose
//! request is being answered never gives way, nor does who has only just come: in a burst, the request is on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a connection may wait undisturbed.
const UNDISTURBED: Duration = Duration::from_millis(500);

/// How many slots are kept free at most, and which part of all there are.
const RESERVE_MAX: usize = 64;
const RESERVE_PART: usize = 16;

/// How many of so many slots are kept free: with fewer left somebody gives way already, so that whoever comes next need not
/// wait for them to go.
pub(super) fn reserve_of(slots: usize) -> usize {
    (slots / RESERVE_PART).min(RESERVE_MAX)
}

/// Who waits, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    places: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// A place in the line of one connection or request, given up when that ends.
pub(super) struct Place {
    waiting: Arc<Waiting>,
    /// Its number while it waits.
    number: Mutex<Option<u64>>,
    /// Ends it.
    gives_way: CancellationToken,
}

impl Waiting {
    /// A new connection, waiting for its first request.
    pub(super) fn join(waiting: &Arc<Self>) -> Arc<Place> {
        let place = Self::beside(waiting);
        place.wait();
        place
    }

    /// Somebody who does not wait yet.
    pub(super) fn beside(waiting: &Arc<Self>) -> Arc<Place> {
        Arc::new(Place { waiting: Arc::clone(waiting), number: Mutex::default(), gives_way: CancellationToken::new() })
    }

    /// Sends away the one that has waited longest, if it has waited long; says whether there was one.
    pub(super) fn send_longest_away(&self, now: Instant) -> bool {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        match line.places.first_entry() {
            Some(longest) if now.saturating_duration_since(longest.get().0) >= UNDISTURBED => {
                longest.remove().1.cancel();
                true
            }
            _ => false,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).places.len()
    }
}

impl Place {
    /// From now on it waits, however long it waited before.
    pub(super) fn wait(&self) {
        self.serve();
        let mut line = self.waiting.line.lock().unwrap_or_else(PoisonError::into_inner);
        let number = line.next;
        line.next = number.saturating_add(1);
        line.places.insert(number, (Instant::now(), self.gives_way.clone()));
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }

    /// From now on it is being served; unless it was sent away already, and nothing must be begun for it.
    pub(super) fn serve(&self) -> bool {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_still_there = |number| self.waiting.line.lock().unwrap_or_else(PoisonError::into_inner).places.remove(&number).is_some();
        number.is_none_or(is_still_there)
    }

    /// Resolves when it must give way.
    pub(super) async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_gives_way_and_who_is_served_does_not() {
        let waiting = Arc::new(Waiting::default());
        let (first, second, third) = (Waiting::join(&waiting), Waiting::join(&waiting), Waiting::join(&waiting));
        assert!(first.serve());
        assert!(!waiting.send_longest_away(Instant::now()), "they have only just come");
        let later = || Instant::now() + UNDISTURBED;
        assert!(waiting.send_longest_away(later()));
        assert!(second.gives_way.is_cancelled() && !first.gives_way.is_cancelled() && !third.gives_way.is_cancelled());
        assert!(!second.serve(), "it was sent away");
        first.wait();
        drop(third);
        assert_eq!(waiting.len(), 1);
        assert!(waiting.send_longest_away(later()) && first.gives_way.is_cancelled());
        assert!(!waiting.send_longest_away(later()), "nobody waits");
    }
}
