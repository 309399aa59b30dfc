//! The failure model (F numbers), each with the invariants that must hold, on both stores.

mod inbox;
mod jobs;
mod effects;
mod store;
