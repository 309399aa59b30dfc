//! The other side of the network as seen from here: one module per provider, each with a thin client that makes one call
//! per function and says exactly what is known afterwards. Providers are values; what a call means for an order is decided
//! in [`crate::app`], never here.

pub mod stripe;
