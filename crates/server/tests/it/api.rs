//! What clients see: every route through HTTP, on both stores.

mod access;
mod accounts;
mod carts;
mod commands;
mod copies;
mod dev_accounts;
mod hostile;
mod hostile_json;
mod hostile_text;
mod keys;
mod notifications;
mod operators;
mod order_lists;
mod orders;
mod people;
mod platform;
mod products;
mod protocol;
mod queues;
mod scopes;
mod signing_in;
mod slow;
mod stocking;
