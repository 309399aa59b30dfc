//! What clients see: every route through HTTP, on both stores.

mod accounts;
mod operators;
mod orders;
mod products;
mod protocol;
