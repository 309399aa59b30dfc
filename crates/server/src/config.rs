//! The settings: what there is to set, where each value comes from, and what `serve` refuses to run with.
//!
//! This is the only part of the server that reads the process environment or a settings file; everyone else is given a
//! [`Config`]. Nothing here may print, exit or open the store.

mod network;
mod settings;
mod store_url;

pub use network::Cidr;
pub use settings::{
    Config, Format, LogConfig, MailConfig, Mode, OrdersConfig, SECRET_KEY_BYTES_MIN, SepayConfig, ServerConfig, StoreConfig, StripeConfig,
    WorkerConfig, decode_key,
};
pub use store_url::StoreUrl;
