//! The failure model (F numbers), each with the invariants that must hold, on both stores.

mod effects;
mod hostile;
mod inbox;
mod jobs;
mod store;
mod unlinked;
