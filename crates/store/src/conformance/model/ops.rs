//! What can happen, in small numbers that shrink well. Indices are taken modulo what there is, so that every list of
//! operations can run. This file must not build changes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// One operation on a store.
#[derive(Debug, Clone)]
pub enum Op {
    /// One change.
    Write(Write),
    /// Changes that arrive at the same moment, each decided without knowing what becomes of the others.
    Together(Vec<Write>),
    /// A worker asks for work.
    Claim {
        /// Of which queue.
        queue: u8,
        /// How much.
        limit: u8,
        /// For how long.
        lease_minutes: u8,
    },
    /// Somebody wants to run exactly these.
    ClaimJobs {
        /// Queue, group, number.
        keys: Vec<(u8, u8, u8)>,
        /// How many at most.
        limit: u8,
    },
    /// Heartbeats, right and stale ones.
    Extend {
        /// Which of all claims there ever were.
        claims: Vec<u8>,
        /// For how long.
        minutes: u8,
    },
    /// A sweep.
    Sweep,
    /// Time goes by.
    Advance {
        /// How much.
        minutes: u16,
    },
    /// A block of numbers.
    Numbers {
        /// How many.
        count: u8,
    },
    /// Every list is compared.
    Look,
}

/// Which state of an order a decision is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The stored one.
    Current,
    /// The one that would stand if everything decided so far were applied.
    Hoped,
    /// An earlier one.
    Stale,
}

/// How a claimed job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Done,
    /// It counts and waits so many minutes.
    Failed(u8),
    /// It does not count and waits so many minutes.
    Unavailable(u8),
    /// For good.
    Dead,
}

/// A job to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobSpec {
    /// Queue, group and number.
    pub key: (u8, u8, u8),
    /// How long it waits.
    pub delay_minutes: u8,
    /// How often it may fail.
    pub max_attempts: u8,
}

/// One change.
#[derive(Debug, Clone)]
pub enum Write {
    /// An order of some products; numbers and idempotency keys are few, so that rivals meet.
    Place {
        /// Product and quantity.
        lines: Vec<(u8, u8)>,
        /// How it is paid.
        method: u8,
        /// Its number.
        number: u8,
        /// The request's key.
        idempotency: Option<u8>,
    },
    /// A payment fact about an order; money objects are few, so that orders claim the same one.
    Fact {
        /// Which order.
        order: u8,
        /// As it stands where.
        basis: Basis,
        /// Which money object.
        reference: u8,
        /// What happened to it.
        what: u8,
    },
    /// An event that changes nothing else.
    Note {
        /// Which order.
        order: u8,
        /// As it stands where.
        basis: Basis,
    },
    /// A row that should be new.
    Insert {
        /// Of which kind.
        kind: u8,
        /// Which one.
        n: u8,
    },
    /// A row over another one.
    Replace {
        /// Of which kind.
        kind: u8,
        /// Which one.
        n: u8,
        /// Over a version that it does not have.
        is_stale: bool,
    },
    /// A row to be removed.
    Delete {
        /// Of which kind.
        kind: u8,
        /// Which one.
        n: u8,
        /// At a version that it does not have.
        is_stale: bool,
    },
    /// Goods in or out.
    Adjust {
        /// Which.
        sku: u8,
        /// How many.
        available: i8,
        /// How many of the reserved ones.
        reserved: i8,
    },
    /// Work.
    Queue(Vec<JobSpec>),
    /// The end of an attempt.
    Finish {
        /// Which of all claims there ever were.
        claim: u8,
        /// How.
        ending: Ending,
        /// What it says about the provider: nothing, open for some minutes, close.
        circuit: u8,
        /// An order to be noted on in the same change.
        note: Option<u8>,
    },
    /// A dead letter, dead now or once, is tried again or discarded.
    Redrive {
        /// Which.
        letter: u8,
        /// Whether it is thrown away instead.
        is_discarded: bool,
    },
    /// A queue is paused or resumed.
    Pause {
        /// Which.
        queue: u8,
        /// Which of the two.
        is_paused: bool,
    },
    /// An earlier change comes again.
    Replay {
        /// Which.
        change: u8,
    },
}

fn bases() -> impl Strategy<Value = Basis> {
    prop_oneof![3 => Just(Basis::Current), 1 => Just(Basis::Hoped), 1 => Just(Basis::Stale)]
}

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        2 => Just(Ending::Done),
        2 => (0_u8..4).prop_map(Ending::Failed),
        2 => (0_u8..4).prop_map(Ending::Unavailable),
        1 => Just(Ending::Dead),
    ]
}

fn specs() -> impl Strategy<Value = JobSpec> {
    ((0_u8..3, 0_u8..4, 0_u8..12), prop_oneof![3 => Just(0_u8), 1 => 1_u8..5], 1_u8..4)
        .prop_map(|(key, delay_minutes, max_attempts)| JobSpec { key, delay_minutes, max_attempts })
}

/// One change.
fn writes() -> impl Strategy<Value = Write> {
    let orders = prop_oneof![
        4 => (vec((0_u8..4, 1_u8..4), 1..4), 0_u8..3, 1_u8..30, option::weighted(0.3, 0_u8..4))
            .prop_map(|(lines, method, number, idempotency)| Write::Place { lines, method, number, idempotency }),
        4 => (0_u8..8, bases(), 0_u8..6, 0_u8..12)
            .prop_map(|(order, basis, reference, what)| Write::Fact { order, basis, reference, what }),
        2 => (0_u8..8, bases()).prop_map(|(order, basis)| Write::Note { order, basis }),
        2 => (0_u8..4, -3_i8..12, -2_i8..3).prop_map(|(sku, available, reserved)| Write::Adjust { sku, available, reserved }),
    ];
    let rows = prop_oneof![
        3 => (0_u8..11, 0_u8..6).prop_map(|(kind, n)| Write::Insert { kind, n }),
        2 => (0_u8..11, 0_u8..6, prop::bool::weighted(0.2)).prop_map(|(kind, n, is_stale)| Write::Replace { kind, n, is_stale }),
        1 => (0_u8..11, 0_u8..6, prop::bool::weighted(0.2)).prop_map(|(kind, n, is_stale)| Write::Delete { kind, n, is_stale }),
    ];
    let jobs = prop_oneof![
        4 => vec(specs(), 1..5).prop_map(Write::Queue),
        5 => (any::<u8>(), endings(), 0_u8..8, option::weighted(0.2, 0_u8..8))
            .prop_map(|(claim, ending, circuit, note)| Write::Finish { claim, ending, circuit, note }),
        2 => (0_u8..4, prop::bool::weighted(0.3)).prop_map(|(letter, is_discarded)| Write::Redrive { letter, is_discarded }),
        1 => (0_u8..3, prop::bool::weighted(0.4)).prop_map(|(queue, is_paused)| Write::Pause { queue, is_paused }),
    ];
    prop_oneof![5 => orders, 3 => rows, 6 => jobs, 1 => any::<u8>().prop_map(|change| Write::Replay { change })]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => writes().prop_map(Op::Write),
        2 => vec(writes(), 2..7).prop_map(Op::Together),
        6 => (0_u8..3, 0_u8..4, 1_u8..5)
            .prop_map(|(queue, limit, lease_minutes)| Op::Claim { queue, limit, lease_minutes }),
        1 => (vec((0_u8..3, 0_u8..4, 0_u8..12), 0..4), 0_u8..4).prop_map(|(keys, limit)| Op::ClaimJobs { keys, limit }),
        1 => (vec(any::<u8>(), 0..4), 1_u8..4).prop_map(|(claims, minutes)| Op::Extend { claims, minutes }),
        1 => Just(Op::Sweep),
        4 => prop_oneof![6 => 1_u16..6, 1 => 30_u16..40, 1 => 1_400_u16..4_400].prop_map(|minutes| Op::Advance { minutes }),
        1 => (1_u8..9).prop_map(|count| Op::Numbers { count }),
        1 => Just(Op::Look),
    ]
}

/// Lists of operations.
pub fn scripts() -> impl Strategy<Value = Vec<Op>> {
    vec(ops(), 1..70)
}

/// What was there before, and changes that arrive together on top of it.
pub fn batches() -> impl Strategy<Value = (Vec<Write>, Vec<Write>)> {
    (vec(writes(), 0..16), vec(writes(), 1..28))
}
