//! The Stripe client against the simulated Stripe, over real loopback HTTP: in every way that Stripe fails, one key has
//! one effect and the caller is told what is known.

mod client;
mod idempotency;
mod restart;
mod simulator;
mod stage;
mod webhooks;
