//! ordermill: takes orders and money, and carries every paid order to its end exactly once in effect.
//!
//! A request goes straight down four files and back: `http/x.rs → app/x.rs → core/x.rs (pure) → store`. HTTP, the command
//! line and the workers call the same [`app`] function for the same act. Only [`app`] calls `commit`.

pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod http;
pub mod mail;
pub mod providers;
pub mod simulator;
pub mod worker;
