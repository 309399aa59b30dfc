//! Redis as the shared cache: one connection that all requests share, made anew after any doubt about it. This file must not
//! know what is cached, wait longer than it is told, or decide when to ask again.

use super::{Away, SharedCache};
use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, cmd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One Redis.
pub(super) struct Redis {
    client: Client,
    timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// Connects when it is first asked something. The fault completes "must be …".
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, &'static str> {
        let client = Client::open(url).map_err(|_| "a redis:// or rediss:// URL, such as redis://127.0.0.1:6379/0")?;
        Ok(Self { client, timeout, connection: Mutex::new(None) })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = self.held().clone() {
            return Ok(connection);
        }
        // Requests that come meanwhile connect as well; the last one's connection stays.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(self.timeout)).set_response_timeout(Some(self.timeout));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *self.held() = Some(connection.clone());
        Ok(connection)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(is_about_the_connection) {
            *self.held() = None;
        }
        answer
    }
}

/// Whether another connection might do better, rather than Redis having understood us and said no.
fn is_about_the_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// What goes into the log: never what was sent.
fn away(error: &RedisError) -> Away {
    Away(format!("{:?}{}", error.kind(), error.code().map_or_else(String::new, |code| format!(" ({code})"))))
}

fn set(name: &str, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = cmd("SET");
    command.arg(name).arg(value).arg("PX").arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
    command
}

#[async_trait]
impl SharedCache for Redis {
    async fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Away> {
        // Not GET: whatever a stranger put there, it must not fill our memory.
        let mut command = cmd("GETRANGE");
        command.arg(name).arg(0).arg(bytes_max.saturating_sub(1));
        match self.query::<Vec<u8>>(&command).await {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(error) if is_about_the_connection(&error) => Err(away(&error)),
            // Something lies there that is no text, which is as good as nothing.
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
            Err(error) => Err(away(&error)),
        }
    }

    async fn write(&self, name: &str, value: &[u8], ttl: Duration) -> Result<(), Away> {
        self.query(&set(name, value, ttl)).await.map_err(|error| away(&error))
    }

    async fn write_if_absent(&self, name: &str, value: &[u8], ttl: Duration) -> Result<bool, Away> {
        let answer: Result<Option<String>, RedisError> = self.query(set(name, value, ttl).arg("NX")).await;
        answer.map(|done| done.is_some()).map_err(|error| away(&error))
    }

    async fn remove(&self, name: &str) -> Result<(), Away> {
        let mut command = cmd("UNLINK");
        command.arg(name);
        self.query::<u64>(&command).await.map(drop).map_err(|error| away(&error))
    }
}
