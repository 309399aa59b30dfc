//! The real binary, started, killed, starved and asked from outside (failures.md F16-F18, F37-F39, F42, F46).
//!
//! Each test has a data folder and ports of its own, and ends every process that it started: by its id, or through the
//! kernel when the test itself dies.

mod asleep;
mod broken;
mod commands;
mod contract;
mod dev_only;
mod disk;
mod drain;
mod handles;
mod journal;
mod kill;
#[cfg(feature = "redis")]
mod lists;
mod load;
mod lock;
mod logs;
mod metrics;
mod oracle;
mod plan;
mod secrets;
mod server;
mod shop;
mod stores;
mod tampering;
#[cfg(feature = "otel")]
mod traces;
mod webhooks;
mod world;
