//! Connections that wait for their client: reading headers, or between two requests. When every slot is taken, the one that
//! has waited longest gives way to a new client, so that slow clients cannot keep others out (F51). A connection whose
//! request is being answered never gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Who waits, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    places: BTreeMap<u64, CancellationToken>,
}

/// One connection's place in the line, given up when the connection ends.
pub(super) struct Place {
    waiting: Arc<Waiting>,
    /// Its number while it waits.
    number: Mutex<Option<u64>>,
    /// Ends the connection.
    gives_way: CancellationToken,
}

impl Waiting {
    /// A new connection, waiting for its first request.
    pub(super) fn join(waiting: &Arc<Self>) -> Arc<Place> {
        let place = Place { waiting: Arc::clone(waiting), number: Mutex::default(), gives_way: CancellationToken::new() };
        place.wait();
        Arc::new(place)
    }

    /// Sends away the connection that has waited longest; says whether there was one.
    pub(super) fn send_longest_away(&self) -> bool {
        let longest = self.line.lock().unwrap_or_else(PoisonError::into_inner).places.pop_first();
        longest.is_some_and(|(_, gives_way)| {
            gives_way.cancel();
            true
        })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).places.len()
    }
}

impl Place {
    /// From now on it waits.
    pub(super) fn wait(&self) {
        let mut line = self.waiting.line.lock().unwrap_or_else(PoisonError::into_inner);
        let number = line.next;
        line.next = number.saturating_add(1);
        line.places.insert(number, self.gives_way.clone());
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }

    /// From now on it is being served.
    pub(super) fn serve(&self) {
        if let Some(number) = self.number.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.waiting.line.lock().unwrap_or_else(PoisonError::into_inner).places.remove(&number);
        }
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
        first.serve();
        assert!(waiting.send_longest_away());
        assert!(second.gives_way.is_cancelled() && !first.gives_way.is_cancelled() && !third.gives_way.is_cancelled());
        first.wait();
        drop(third);
        assert_eq!(waiting.len(), 1);
        assert!(waiting.send_longest_away() && first.gives_way.is_cancelled());
        assert!(!waiting.send_longest_away(), "nobody waits");
    }
}
