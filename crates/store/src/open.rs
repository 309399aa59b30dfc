//! The one place that names backends: from a URL to a store, or to what lies where a store would be.

use crate::Store;
use std::sync::Arc;
use thiserror::Error;

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL names no backend of this binary.
    #[error("the store URL must begin with {known}; this one begins with {found:?}")]
    UnknownBackend {
        /// What would do.
        known: String,
        /// What it begins with (never the whole: it may hold a password).
        found: String,
    },
    /// Another process holds the store.
    #[error("another ordermill process (pid {pid}) holds {path}")]
    Locked {
        /// The lock file.
        path: String,
        /// The other process, as far as the lock file says.
        pid: String,
    },
    /// A setting of the engine that ordermill's promises rest on is not as it must be.
    #[error("the store is unsafe: {0}")]
    Unsafe(String),
    /// The engine, the disk or the network says no.
    #[error("cannot open the store: {0}")]
    Failed(String),
}

/// What lies where a URL points, found out without making or changing anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspection {
    /// Whether there is a store: at least one of its migrations ran.
    pub is_store: bool,
    /// The migrations that this binary has and the store lacks; nothing about a file that is not there.
    pub pending_migrations: Vec<String>,
    /// The value of the setting that was asked for.
    pub mark: Option<String>,
    /// Whether there is any account, order or product.
    pub is_filled: bool,
}

/// Looks at the place that a URL names, without making a file, a table or a row, and whatever the schema's age. Whose
/// store it is stands in the setting `mark`. Fails as [`open`] would where there is something that it would refuse.
pub async fn inspect(url: &str, mark: &str) -> Result<Inspection, OpenError> {
    match scheme(url) {
        // It forgets everything, so each is a fresh one.
        "memory" => Ok(Inspection { is_store: true, ..Inspection::default() }),
        #[cfg(feature = "sqlite")]
        "sqlite" => crate::sqlite::SqliteStore::inspect(sqlite_path(url), mark).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => crate::postgres::PostgresStore::inspect(url, mark).await,
        other => Err(OpenError::UnknownBackend { known: known(), found: other.to_owned() }),
    }
}

/// Opens the store that a URL names: `sqlite:PATH`, `postgres://…`, or `memory:` (which forgets everything).
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    match scheme(url) {
        "memory" => Ok(Arc::new(crate::memory::MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(crate::sqlite::SqliteStore::open(sqlite_path(url)).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(crate::postgres::PostgresStore::open(url).await?)),
        other => Err(OpenError::UnknownBackend { known: known(), found: other.to_owned() }),
    }
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or(url, |(scheme, _)| scheme)
}

#[cfg(feature = "sqlite")]
fn sqlite_path(url: &str) -> &std::path::Path {
    std::path::Path::new(url.trim_start_matches("sqlite:").trim_start_matches("//"))
}

fn known() -> String {
    let mut known = vec!["memory:"];
    if cfg!(feature = "sqlite") {
        known.push("sqlite:");
    }
    if cfg!(feature = "postgres") {
        known.push("postgres:");
    }
    known.join(", ")
}
