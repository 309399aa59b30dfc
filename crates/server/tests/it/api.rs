//! What clients see: every route through HTTP, on both stores.

mod accounts;
mod orders;
mod operators;
mod products;
mod protocol;
