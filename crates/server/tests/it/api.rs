//! What clients see: every route through HTTP, on both stores.

mod access;
mod accounts;
mod operators;
mod orders;
mod products;
mod protocol;
