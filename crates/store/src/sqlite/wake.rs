//! Who waits for work and which queues have some. Hints only: a claim that finds nothing is always right, and whoever waits
//! for a queue claims from it before waiting again.

use super::status::lock;
use ordermill_core::change::{Change, Row};
use ordermill_core::job::{CircuitMove, Outcome};
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// Queues that got work since they were last claimed from.
#[derive(Debug, Default)]
pub(super) struct Wake {
    /// Remembered, not only signalled: work that arrives between a worker's claim and its wait must not be slept through.
    fresh: Mutex<HashSet<String>>,
    arrived: Notify,
}

impl Wake {
    /// Notes what a committed change made claimable.
    pub(super) fn committed(&self, change: &Change) {
        let queued = change.jobs.iter().map(|job| &job.key.queue);
        let finished = change
            .finish
            .iter()
            .filter(|finish| matches!(finish.outcome, Outcome::Retry { .. }) || matches!(finish.circuit, CircuitMove::Close));
        let finished = finished.map(|finish| &finish.claim.key.queue);
        let resumed = change.puts.iter().filter_map(|row| match row {
            Row::QueuePause(pause) if !pause.is_paused => Some(&pause.queue),
            _ => None,
        });
        let mut queues = queued.chain(finished).chain(resumed).peekable();
        if queues.peek().is_some() {
            lock(&self.fresh).extend(queues.cloned());
            self.arrived.notify_waiters();
        }
    }

    /// Notes that a queue is being claimed from: what it has so far is seen.
    pub(super) fn claimed(&self, queue: &str) {
        lock(&self.fresh).remove(queue);
    }

    /// Waits until one of the queues gets work, at most so long.
    pub(super) async fn wait(&self, queues: &[&str], at_most: Duration) {
        let has_work = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                // Registered before looking, so that a signal between the two is not lost.
                arrived.as_mut().enable();
                if self.is_fresh(queues) {
                    return;
                }
                arrived.await;
            }
        };
        let _timed_out = tokio::time::timeout(at_most, has_work).await.is_err();
    }

    fn is_fresh(&self, queues: &[&str]) -> bool {
        let fresh = lock(&self.fresh);
        queues.iter().any(|queue| fresh.contains(*queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordermill_core::id::ChangeId;
    use ordermill_core::job::{JobKey, NewJob, Payload, Queue};
    use ordermill_core::payment::Provider;

    fn change() -> Change {
        let mut change = Change::new(ChangeId::new(1, [1; 10]));
        let payload = Payload::InboxApply { provider: Provider::Stripe, event_id: "evt".to_owned() };
        change.jobs.push(NewJob::new(JobKey::new(Queue::Inbox, "evt", 1), &payload));
        change
    }

    #[tokio::test]
    async fn work_that_came_before_the_wait_is_not_slept_through() {
        let wake = Wake::default();
        wake.committed(&change());
        wake.wait(&["inbox"], Duration::from_hours(1)).await;
        wake.claimed("inbox");
        assert!(!wake.is_fresh(&["inbox"]));
    }
}
