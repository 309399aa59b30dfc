//! The settings: what there is to set, where each value comes from, and what `serve` refuses to run with.
//!
//! This is the only part of the server that reads the process environment or a settings file; everyone else is given a
//! [`Config`]. Nothing here may print, exit or open the store. In reading order: the values ([`settings`](Config)), the
//! table of what there is to set ([`SETTINGS`]), loading ([`load`], [`dev_config`]), and judging ([`check_serve`]).

mod network;
mod settings;
mod store_url;

mod field;
mod read;
mod table;

mod environment;
mod file;
mod load;
mod problem;

pub mod dev;
mod example;
mod serve;

pub use dev::{dev_config, dev_preview};
pub use environment::Environment;
pub use example::example;
pub use load::{Loaded, Origin, Overrides, SettingOrigin, load, local_url};
pub use network::Cidr;
pub use problem::{ConfigError, Level, Problem};
pub use serve::{check_serve, refuse_unsafe};
pub use settings::{
    CacheConfig, Config, Format, LogConfig, MailConfig, Mode, OrdersConfig, OtelConfig, SECRET_KEY_BYTES_MIN, SepayConfig, ServerConfig,
    StoreConfig, StripeConfig, WorkerConfig, decode_key,
};
pub use store_url::StoreUrl;
pub use table::{SETTINGS, Setting};
