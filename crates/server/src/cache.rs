//! A cache that nodes share: what it can do, and how little may depend on it.
//!
//! Nothing here may be the only place of anything, and nothing that it gives back may be believed: it may be empty, old,
//! slow, gone, or written by a stranger. Whoever asks goes on without it.

mod guarded;
#[cfg(feature = "redis")]
mod redis;

pub use guarded::Guarded;

use crate::config::CacheConfig;
use async_trait::async_trait;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The cache did not do what it was asked; nobody knows whether it will have.
#[derive(Debug, Clone, Error)]
#[error("the shared cache is away: {0}")]
pub struct Away(pub String);

/// Short values under names, for a while.
#[async_trait]
pub trait SharedCache: Send + Sync {
    /// What lies under a name, cut off after so many bytes; none if there is nothing that could be read.
    async fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Away>;
    /// Puts a value under a name, over whatever lies there.
    async fn write(&self, name: &str, value: &[u8], ttl: Duration) -> Result<(), Away>;
    /// Puts a value under a name under which nothing lies; says whether it did.
    async fn write_if_absent(&self, name: &str, value: &[u8], ttl: Duration) -> Result<bool, Away>;
    /// Removes whatever lies under a name.
    async fn remove(&self, name: &str) -> Result<(), Away>;
}

/// The cache that the settings name.
pub fn open(settings: &CacheConfig) -> Option<Arc<dyn SharedCache>> {
    let url = settings.redis_url.as_ref()?;
    match reach(url.expose_secret(), Duration::from_millis(settings.redis_timeout_ms)) {
        Ok(cache) => Some(cache),
        Err(why) => {
            // The settings' own checks refuse this before anything starts.
            tracing::error!(why, "cache.redis_url cannot be used: nothing is shared between nodes");
            None
        }
    }
}

/// Why a URL cannot be a shared cache's, if so; completes "must be …".
pub fn refuse(url: &str) -> Option<&'static str> {
    reach(url, Duration::from_secs(1)).err()
}

#[cfg(feature = "redis")]
fn reach(url: &str, timeout: Duration) -> Result<Arc<dyn SharedCache>, &'static str> {
    Ok(Arc::new(redis::Redis::new(url, timeout)?))
}

#[cfg(not(feature = "redis"))]
fn reach(_url: &str, _timeout: Duration) -> Result<Arc<dyn SharedCache>, &'static str> {
    Err("left out: this ordermill was built without the feature `redis`")
}
