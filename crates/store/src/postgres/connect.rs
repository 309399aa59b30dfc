//! From a URL to connections: what ordermill demands of a server, and what every connection is told before its first
//! statement. This file must not know any table.

use super::trouble::{Trouble, answer};
use crate::OpenError;
use deadpool_postgres::{ClientWrapper, Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a statement may run on the server; every one of ours is a few index look-ups.
const STATEMENT_TIMEOUT: &str = "-c statement_timeout=10s";
/// How long a statement may wait for a rival's lock.
const LOCK_TIMEOUT: &str = "-c lock_timeout=3s";
/// A node that stops in the middle of a transaction holds its locks no longer than this. Shorter than
/// [`super::batcher`] asks about a commit in doubt, so that the doubt ends in time.
const IDLE_TIMEOUT: &str = "-c idle_in_transaction_session_timeout=5s";
/// Plans for whoever asks by key, which is nearly every statement of ours. Prepared plans made while a table was empty
/// would otherwise scan it whole until the next ANALYZE. JIT goes by the estimated cost, which these settings inflate.
const PLANNER: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";
/// The longest this node waits for any answer: a little more than the server's own limits.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How many connections reads and claims share. They are short; a hundred connections then do for a dozen nodes.
const POOL_SIZE: usize = 8;
/// How long a read waits for a free connection before it is refused.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// The oldest server that still gets fixes.
const OLDEST_SERVER: i32 = 140_000;

/// Where the server is and how it is spoken to.
#[derive(Clone)]
pub(super) struct Endpoint {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// The schema that the URL names.
    pub(super) schema: Option<String>,
    allows_unsafe_fsync: bool,
}

impl Endpoint {
    /// Reads a URL. Ours are the parameters `schema`, `sslrootcert` and `unsafe_fsync`; the others are `tokio-postgres`'s.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let parts = UrlParts::split(url)?;
        let mut config: Config =
            parts.rest.parse().map_err(|error| failed(format!("the store URL cannot be read: {}", describe(&error))))?;
        let tls = match (&parts.root_certificates, parts.needs_tls) {
            (Some(path), _) => Some(verifying_connector(path)?),
            (None, true) => {
                let why = "sslmode asks for TLS, but there is no sslrootcert=PATH with the certificates to trust (PEM)";
                return Err(failed(why.to_owned()));
            }
            (None, false) => None,
        };
        if tls.is_some() {
            // A server that is to be verified is not spoken to in the clear.
            config.ssl_mode(SslMode::Require);
        } else {
            config.ssl_mode(SslMode::Disable);
        }
        settle(&mut config, parts.schema.as_deref());
        Ok(Self { config, tls, schema: parts.schema, allows_unsafe_fsync: parts.allows_unsafe_fsync })
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Result<ClientWrapper, Trouble> {
        // The configured limit ends with the TCP handshake; a server may fall silent after it.
        // Boxed: it is as large as it is rare, and would be a part of whatever waits for it.
        let (client, task) = answer(Box::pin(self.dial())).await?;
        Ok(ClientWrapper::new(client, task))
    }

    /// The connections that reads and claims share.
    pub(super) fn pool(&self) -> Result<Pool, OpenError> {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(self.config.clone(), self.clone(), settings);
        Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(POOL_WAIT), create: Some(CONNECT_TIMEOUT.saturating_mul(2)), recycle: Some(POOL_WAIT) })
            .build()
            .map_err(|error| failed(error.to_string()))
    }

    async fn dial(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            Ok((client, drive(connection)))
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            Ok((client, drive(connection)))
        }
    }

    /// Refuses a server whose settings break ordermill's promise that what was acknowledged is never lost.
    pub(super) async fn check_server(&self, client: &Client) -> Result<(), OpenError> {
        let row = client.query_one(SERVER_SETTINGS, &[]).await.map_err(|error| failed(describe(&error)))?;
        let read = |index: usize| row.try_get::<_, String>(index).map_err(|error| failed(describe(&error)));
        let (fsync, full_page_writes, synchronous_commit) = (read(0)?, read(1)?, read(2)?);
        let version: i32 = row.try_get(3).map_err(|error| failed(describe(&error)))?;
        let is_standby: bool = row.try_get(4).map_err(|error| failed(describe(&error)))?;
        let schema: Option<String> = row.try_get(5).map_err(|error| failed(describe(&error)))?;
        if version < OLDEST_SERVER {
            return Err(OpenError::Unsafe(format!("the server is Postgres {}, the oldest supported one is 14", version / 10_000)));
        }
        if is_standby {
            return Err(OpenError::Unsafe("the server is a standby: a store needs the primary".to_owned()));
        }
        if fsync != "on" && !self.allows_unsafe_fsync {
            return Err(OpenError::Unsafe("the server runs with fsync=off and would lose acknowledged orders at a power cut".to_owned()));
        }
        if full_page_writes != "on" {
            return Err(OpenError::Unsafe("the server runs with full_page_writes=off and may tear pages at a power cut".to_owned()));
        }
        if !matches!(synchronous_commit.as_str(), "on" | "remote_apply") {
            let why = format!("synchronous_commit is {synchronous_commit}; acknowledged orders need on or remote_apply");
            return Err(OpenError::Unsafe(why));
        }
        if schema.is_none() {
            let named = self.schema.as_deref().unwrap_or("public");
            return Err(failed(format!("the schema {named} does not exist, or this user may not use it: CREATE SCHEMA {named}")));
        }
        Ok(())
    }
}

/// The settings that the promises rest on.
const SERVER_SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
     current_setting('synchronous_commit'), current_setting('server_version_num')::integer, pg_is_in_recovery(), \
     current_schema()::text";

impl Connect for Endpoint {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(self.dial())
    }
}

/// Tells every connection the same.
fn settle(config: &mut Config, schema: Option<&str>) {
    let mut options = config.get_options().unwrap_or_default().to_owned();
    for option in [STATEMENT_TIMEOUT, LOCK_TIMEOUT, IDLE_TIMEOUT, PLANNER, "-c TimeZone=UTC"] {
        options.push(' ');
        options.push_str(option);
    }
    if let Some(schema) = schema {
        options.push_str(" -c search_path=");
        options.push_str(schema);
    }
    config.options(options.trim_start());
    if config.get_application_name().is_none() {
        config.application_name("ordermill");
    }
    config
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30));
}

/// Moves a connection's bytes until it ends.
fn drive<S, T>(connection: tokio_postgres::Connection<S, T>) -> JoinHandle<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "a connection to Postgres ended");
        }
    })
}

/// A connector that trusts the certificates of one PEM file and nobody else.
fn verifying_connector(path: &str) -> Result<MakeRustlsConnect, OpenError> {
    let unreadable = |why: String| failed(format!("the certificates in {path} cannot be read: {why}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("there is none".to_owned()));
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A URL without the parameters that only we know.
#[derive(Debug, Default)]
struct UrlParts {
    rest: String,
    schema: Option<String>,
    root_certificates: Option<String>,
    needs_tls: bool,
    allows_unsafe_fsync: bool,
}

impl UrlParts {
    fn split(url: &str) -> Result<Self, OpenError> {
        // A password may hold a question mark; what follows the first @ may not.
        let after_credentials = url.find('@').map_or(0, |at| at.saturating_add(1));
        let Some((head, tail)) = url.split_at_checked(after_credentials) else {
            return Err(failed("the store URL cannot be read".to_owned()));
        };
        let (location, parameters) = tail.split_once('?').unwrap_or((tail, ""));
        let mut parts = Self { rest: [head, location].concat(), ..Self::default() };
        let mut kept = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("schema", name) => parts.schema = Some(schema_name(name)?),
                ("sslrootcert", path) => parts.root_certificates = Some(percent_decode(path)?),
                ("unsafe_fsync", "allow") => parts.allows_unsafe_fsync = true,
                ("unsafe_fsync", _) => return Err(failed("unsafe_fsync can only be allow".to_owned())),
                ("sslmode", mode) => parts.needs_tls = needs_tls(mode)?,
                _ => kept.push(parameter),
            }
        }
        if !kept.is_empty() {
            parts.rest.push('?');
            parts.rest.push_str(&kept.join("&"));
        }
        Ok(parts)
    }
}

fn needs_tls(mode: &str) -> Result<bool, OpenError> {
    match mode {
        "disable" | "allow" | "prefer" => Ok(false),
        // All three verify the certificate and the name: less would only look safe.
        "require" | "verify-ca" | "verify-full" => Ok(true),
        other => Err(failed(format!("sslmode {other:?} is not known"))),
    }
}

/// The one form of schema name that needs no quoting anywhere.
fn schema_name(name: &str) -> Result<String, OpenError> {
    let is_plain = (1..=63).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if is_plain { Ok(name.to_owned()) } else { Err(failed("a schema is named by 1 to 63 of a-z, 0-9 and _".to_owned())) }
}

fn percent_decode(text: &str) -> Result<String, OpenError> {
    let unreadable = || failed("a percent sign in the store URL is not followed by two hex digits of UTF-8 text".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let (digits, after) = escaped.split_at_checked(2).ok_or_else(unreadable)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| unreadable())?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| unreadable())
}

fn failed(why: String) -> OpenError {
    OpenError::Failed(why)
}

/// An error in words. The detail of a server's error may quote rows, so it is left out.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parameters_are_taken_out_and_the_others_stay() {
        let parts = UrlParts::split("postgres://u:p?w@h:1/d?schema=s_1&connect_timeout=2&sslrootcert=/a%20b.pem&unsafe_fsync=allow")
            .expect("a URL");
        assert_eq!(parts.rest, "postgres://u:p?w@h:1/d?connect_timeout=2");
        assert_eq!((parts.schema.as_deref(), parts.root_certificates.as_deref()), (Some("s_1"), Some("/a b.pem")));
        assert!(parts.allows_unsafe_fsync && !parts.needs_tls);
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for bad in
            ["schema=", "schema=A", "schema=a;drop", "sslmode=maybe", "unsafe_fsync=yes", "sslrootcert=%zz", "sslmode=require", "x=y"]
        {
            let url = ["postgres://h/d?", bad].concat();
            assert!(Endpoint::parse(&url).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("postgres://u:secret@h/d?sslmode=prefer").is_ok());
    }

    #[test]
    fn every_connection_is_told_its_limits() {
        let endpoint = Endpoint::parse("postgres://h/d?schema=mine").expect("a URL");
        let options = endpoint.config.get_options().unwrap_or_default();
        for needed in
            ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone=UTC", "search_path=mine", "jit=off"]
        {
            assert!(options.contains(needed), "{needed}");
        }
    }
}
