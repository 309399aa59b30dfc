//! The one integration binary of this crate: a module per part, in the order of the source.

// Marked as tests so that the rules for tests (`unwrap` and the like) hold for what tests share, too.
#[cfg(test)]
mod api;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod config;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod process;
#[cfg(all(test, feature = "redis"))]
mod redis_peer;
#[cfg(test)]
mod stripe;
#[cfg(test)]
mod test_app;
#[cfg(test)]
mod tidy;
