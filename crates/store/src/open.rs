//! The one place that names backends: from a URL to a store.

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

/// Opens the store that a URL names: `sqlite:PATH`, `postgres://…`, or `memory:` (which forgets everything).
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Arc::new(crate::memory::MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            Ok(Arc::new(crate::sqlite::SqliteStore::open(std::path::Path::new(path)).await?))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(crate::postgres::PostgresStore::open(url).await?)),
        other => Err(OpenError::UnknownBackend { known: known(), found: other.to_owned() }),
    }
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
