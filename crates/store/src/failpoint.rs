//! Named points in the code where a crash test can make the process die, stall or fail.
//!
//! Compiled in by the feature `failpoints` only; otherwise [`hit`] is an empty function. Set by the environment variable
//! `ORDERMILL_FAILPOINTS` as `name=action[@n]` separated by `;`: the action happens at the n-th hit (default: every hit).
//! Actions: `abort` (die as if by SIGKILL: no unwinding, no destructors), `panic`, `sleep(MS)`, `error`.

use thiserror::Error;

/// The `error` action: the step fails as if its surroundings had failed.
#[derive(Debug, Error)]
#[error("fail point {0}")]
pub struct Injected(pub &'static str);

/// Every fail point there is; the crash test walks this list.
pub const NAMES: &[&str] = &[
    "http.accepted",
    "order.before_commit",
    "order.after_commit_before_response",
    "lists.before_forget",
    "inbox.before_commit",
    "inbox.before_2xx",
    "store.before_commit",
    "store.after_commit",
    "task.claimed",
    "effect.intended",
    "provider.sent",
    "provider.answered",
    "task.before_commit",
    "task.after_commit",
    "lease.refresh",
    "sweep.selected",
    "redrive.before_commit",
    "migrate.step",
    "drain.listener_closed",
    "drain.released",
    "retention.before_drop",
];

/// Marks a step. Does nothing unless a test asked for something here.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_name: &'static str) -> Result<(), Injected> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use armed::hit;

#[cfg(feature = "failpoints")]
mod armed {
    use super::{Injected, NAMES};
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    #[derive(Debug, Clone, Copy)]
    enum Action {
        Abort,
        Panic,
        Sleep(u64),
        Error,
    }

    #[derive(Debug)]
    struct Armed {
        action: Action,
        at: Option<u64>,
        hits: AtomicU64,
    }

    type Plan = HashMap<&'static str, Armed>;

    fn plan() -> &'static Mutex<Plan> {
        static PLAN: OnceLock<Mutex<Plan>> = OnceLock::new();
        PLAN.get_or_init(|| Mutex::new(parse(&from_environment())))
    }

    #[expect(clippy::disallowed_methods, reason = "fail points are set from outside, before any configuration is read")]
    fn from_environment() -> String {
        std::env::var("ORDERMILL_FAILPOINTS").unwrap_or_default()
    }

    /// An entry that cannot be read is reported and left out: a crash test must notice a misspelt name.
    fn parse(text: &str) -> Plan {
        let mut plan = Plan::new();
        for entry in text.split(';').filter(|entry| !entry.trim().is_empty()) {
            if let Some((name, armed)) = parse_entry(entry.trim()) {
                plan.insert(name, armed);
            } else {
                tracing::error!(entry, "this fail point does not exist or its action cannot be read");
            }
        }
        plan
    }

    fn parse_entry(entry: &str) -> Option<(&'static str, Armed)> {
        let (name, rest) = entry.split_once('=')?;
        let name = NAMES.iter().find(|known| **known == name)?;
        let (action, at) = match rest.split_once('@') {
            Some((action, at)) => (action, Some(at.parse().ok()?)),
            None => (rest, None),
        };
        let action = match action {
            "abort" => Action::Abort,
            "panic" => Action::Panic,
            "error" => Action::Error,
            other => Action::Sleep(other.strip_prefix("sleep(")?.strip_suffix(')')?.parse().ok()?),
        };
        Some((name, Armed { action, at, hits: AtomicU64::new(0) }))
    }

    /// Marks a step, and does here what a test asked for.
    pub fn hit(name: &'static str) -> Result<(), Injected> {
        debug_assert!(NAMES.contains(&name), "{name} is not in the list of fail points");
        let action = {
            let plan = plan().lock().unwrap_or_else(PoisonError::into_inner);
            let Some(armed) = plan.get(name) else { return Ok(()) };
            let count = armed.hits.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if armed.at.is_some_and(|at| at != count) {
                return Ok(());
            }
            armed.action
        };
        match action {
            Action::Abort => std::process::abort(),
            Action::Panic => std::panic::panic_any(format!("fail point {name}")),
            Action::Sleep(millis) => std::thread::sleep(Duration::from_millis(millis)),
            Action::Error => return Err(Injected(name)),
        }
        Ok(())
    }
}
