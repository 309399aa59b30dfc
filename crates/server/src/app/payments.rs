//! Money: receiving what providers tell us, and asking them for what an order needs.
//!
//! [`inbox`] takes webhooks in, [`ingest`] lets facts move orders, [`intent`] makes payment intents.

pub mod inbox;
pub mod ingest;
pub mod intent;
