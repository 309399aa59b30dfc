//! What clients see: every route through HTTP, on both stores.

mod access;
mod accounts;
mod carts;
mod commands;
mod hostile;
mod operators;
mod orders;
mod products;
mod protocol;
mod stocking;
