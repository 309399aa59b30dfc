//! The settings as the rest of the server sees them: typed, and checked as far as one value can be checked alone.
//!
//! Defaults, names and meanings for people stand in the table of options, not here. Secrets are `secrecy` types, so that
//! `Debug` of any of these shows none.

use super::{Cidr, StoreUrl};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ordermill_core::money::Currency;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::net::SocketAddr;
use std::path::PathBuf;

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// What kind of run this is.
    pub mode: Mode,
    /// Where this process keeps its files: the control socket, and the store unless its URL says otherwise.
    pub data_dir: PathBuf,
    /// `[server]`: who may connect, and how long anything may take.
    pub server: ServerConfig,
    /// `[store]`: where orders are kept.
    pub store: StoreConfig,
    /// `[orders]`: how orders are numbered, priced and given up.
    pub orders: OrdersConfig,
    /// `[stripe]`: card payments.
    pub stripe: StripeConfig,
    /// `[sepay]`: bank transfers.
    pub sepay: SepayConfig,
    /// `[mail]`: how mails leave.
    pub mail: MailConfig,
    /// `[cache]`: what is kept at hand.
    pub cache: CacheConfig,
    /// `[worker]`: how jobs are worked off.
    pub worker: WorkerConfig,
    /// `[log]`: what is written to standard error and kept.
    pub log: LogConfig,
    /// `[otel]`: where traces go.
    pub otel: OtelConfig,
}

/// What kind of run this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `ordermill dev`: everything works at once, nothing is real.
    Dev,
    /// `ordermill serve`, and every command that speaks to what it serves.
    Serve,
}

/// `[server]`: who may connect, and how long anything may take.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where the API and the pages are served.
    pub listen: SocketAddr,
    /// What people and providers type to get there, without a slash at the end.
    pub public_url: String,
    /// Where `/metrics` is served.
    pub ops_listen: SocketAddr,
    /// What tokens are made with, the newest first, as text; [`ServerConfig::secret_keys`] has the bytes.
    pub secret_key: Vec<SecretString>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Connections at once.
    pub connections_max: usize,
    /// How many of them one client address may hold; trusted proxies are not counted.
    pub connections_per_address_max: usize,
    /// Requests at once, webhooks not counted.
    pub requests_max: usize,
    /// Webhook requests at once: their own share, so that a rush of buyers cannot keep payments out.
    pub webhook_requests_max: usize,
    /// How long a client may take over its headers.
    pub header_timeout_ms: u64,
    /// How long a client may take over its body.
    pub body_timeout_ms: u64,
    /// How long an answer may take.
    pub request_timeout_ms: u64,
    /// How long a stop may wait for what is under way.
    pub drain_ms: u64,
    /// How long a log-in lasts.
    pub session_ttl_s: i64,
    /// Log-ins that one client address may try in a minute; 0 for no limit, as for the next two.
    pub login_per_minute: u64,
    /// Registrations of one client address in a minute.
    pub register_per_minute: u64,
    /// Mails for a new password that one client address may ask for in a minute.
    pub forgot_per_minute: u64,
}

/// `[store]`: where orders are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `sqlite:PATH` or `postgres://…`; may hold a password.
    pub url: StoreUrl,
}

/// `[orders]`: how orders are numbered, priced and given up.
#[derive(Debug, Clone)]
pub struct OrdersConfig {
    /// What order codes begin with: capital letters only, because banks strip everything else.
    pub code_prefix: String,
    /// What prices are in.
    pub currency: Currency,
    /// How long an order waits for a card payment.
    pub ttl_card_s: i64,
    /// How long an order waits for a bank transfer.
    pub ttl_transfer_s: i64,
}

/// `[stripe]`: card payments. Without a secret key they are refused, clearly.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// The secret API key.
    pub secret_key: Option<SecretString>,
    /// What Stripe signs its webhooks with; two while one is being replaced.
    pub webhook_secrets: Vec<SecretString>,
    /// Where the API is, without a slash at the end.
    pub api_url: String,
    /// Which version of the API we speak.
    pub api_version: String,
    /// How long one call may take.
    pub timeout_ms: u64,
}

/// `[sepay]`: bank transfers.
#[derive(Debug, Clone)]
pub struct SepayConfig {
    /// The bank's number in the QR codes of transfers (six digits).
    pub bank_bin: Option<String>,
    /// The account that customers transfer to.
    pub account_number: Option<String>,
    /// Whose account that is.
    pub account_name: Option<String>,
}

/// `[mail]`: how mails leave.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The mail server, with user and password. Without one, `dev` catches mails and `serve` refuses to start.
    pub smtp_url: Option<SecretString>,
    /// Who mails are from: `Shop <shop@example.com>`.
    pub from: String,
    /// Texts that replace the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// How long handing over one mail may take.
    pub timeout_ms: u64,
    /// The page that the link in a mail for a new password leads to, behind the public URL; it gets `?token=`.
    pub password_reset_path: String,
    /// Whether signed-in customers get a mail for each order, unless they switched it off.
    pub order_received: bool,
}

/// `[cache]`: what is kept at hand, and where nodes share it.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// The Redis that all nodes share; may hold a password.
    pub redis_url: Option<SecretString>,
    /// How long one call of it may take.
    pub redis_timeout_ms: u64,
    /// How long a customer's order list may be kept; 0 for never.
    pub order_list_ms: i64,
}

/// `[worker]`: how jobs are worked off.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Jobs of one queue at once.
    pub concurrency: usize,
    /// How long a job is this worker's before another may take it over.
    pub lease_ms: i64,
}

/// `[log]`: what is written to standard error and kept.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: Format,
    /// What is worth a line: `info`, or directives such as `warn,ordermill=debug`.
    pub level: String,
    /// How much is kept in the data folder for `ordermill logs`; 0 for nothing.
    pub keep_mib: u64,
}

/// `[otel]`: where traces go.
#[derive(Debug, Clone)]
pub struct OtelConfig {
    /// The collector's address for traces over OTLP/HTTP. Without one none are made.
    pub endpoint: Option<String>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl ServerConfig {
    /// The bytes of the secret keys, the newest first: make tokens with the first, believe those of any.
    pub fn secret_keys(&self) -> Vec<SecretSlice<u8>> {
        self.secret_key.iter().filter_map(decode_key).collect()
    }
}

/// The fewest bytes of a secret key: as many as the HMAC-SHA256 made with it has.
pub const SECRET_KEY_BYTES_MIN: usize = 32;

/// The bytes of a secret key: hexadecimal if it can be read so, else base64 of either alphabet, padded or not. A key that
/// is neither, or too short, is `None`.
pub fn decode_key(text: &SecretString) -> Option<SecretSlice<u8>> {
    let text = text.expose_secret().trim();
    let bytes = hex::decode(text).ok().or_else(|| {
        let engine = if text.contains(['-', '_']) { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
        engine.decode(text.trim_end_matches('=')).ok()
    })?;
    (bytes.len() >= SECRET_KEY_BYTES_MIN).then(|| SecretSlice::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_hex_or_base64() {
        let bytes_of = |text: &str| decode_key(&SecretString::from(text)).map(|key| key.expose_secret().to_vec());
        let key: Vec<u8> = (200..232).collect();
        assert_eq!(bytes_of(&hex::encode(&key)), Some(key.clone()));
        assert_eq!(bytes_of(&base64::engine::general_purpose::STANDARD.encode(&key)), Some(key.clone()));
        assert_eq!(bytes_of(&URL_SAFE_NO_PAD.encode(&key)), Some(key.clone()));
        assert_eq!(bytes_of(&hex::encode(&key[1..])), None, "31 bytes");
        for text in ["", "change-me", "correct horse battery staple correct horse battery staple"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }
}
