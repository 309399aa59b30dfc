//! Which deaths the server of the crash test dies: at every fail point, several times each, and at any moment between.

use ordermill_store::failpoint::NAMES;
use std::time::Duration;

/// How many deaths the short version has at least, per store.
pub(super) const KILLS: usize = 105;

/// Points that orders, payments and mails pass all the time.
const UNDER_LOAD: &[&str] = &[
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
];
/// Points that a stage of its own leads to; see `kill.rs`.
const ON_STAGE: &[&str] = &[
    "migrate.step",
    "retention.before_drop",
    "lease.refresh",
    "sweep.selected",
    "redrive.before_commit",
    "drain.listener_closed",
    "drain.released",
];
/// Points between "about to be done" and "done": a job that dies there again and again is left to a person after the third
/// time, which is right and not what this test is after. So the next death leaves time for the work to be done.
pub(super) const IN_DOUBT: &[&str] =
    &["effect.intended", "provider.sent", "provider.answered", "task.before_commit", "store.before_commit"];
/// Which hit of a process is its last.
const HITS: &[u64] = &[1, 2, 4, 9, 16];
/// Further ones, for longer runs.
const MORE_HITS: u64 = 40;

/// How a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// By its own hand at the n-th hit of a fail point.
    At(&'static str, u64),
    /// By SIGKILL, so long after it was started.
    After(Duration),
}

/// Numbers that a seed decides, so that a run can be repeated as far as the machine allows.
#[derive(Debug)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    /// A number below a bound.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // xorshift64: good enough to choose moments.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// So many deaths under load, at least every point at every hit.
pub(super) fn deaths(count: usize, draw: &mut Draw) -> Vec<Death> {
    let mut deaths = Vec::new();
    for hit in HITS {
        for name in UNDER_LOAD {
            push(&mut deaths, name, *hit, draw);
        }
    }
    while deaths.len() < count {
        let name = UNDER_LOAD[usize::try_from(draw.below(UNDER_LOAD.len() as u64)).expect("it is small")];
        let hit = 1 + draw.below(MORE_HITS);
        push(&mut deaths, name, hit, draw);
        deaths.push(Death::After(Duration::from_millis(20 + draw.below(500))));
    }
    deaths
}

fn push(deaths: &mut Vec<Death>, name: &'static str, hit: u64, draw: &mut Draw) {
    deaths.push(Death::At(name, hit));
    if IN_DOUBT.contains(&name) {
        deaths.push(Death::After(Duration::from_millis(250 + draw.below(250))));
    }
}

/// A point that is added must be given a place here.
#[test]
fn every_fail_point_is_a_death() {
    let mut planned: Vec<&str> = UNDER_LOAD.iter().chain(ON_STAGE).copied().collect();
    planned.sort_unstable();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(planned, names, "give the new fail point a place in UNDER_LOAD or ON_STAGE, or take the old one out");
}
