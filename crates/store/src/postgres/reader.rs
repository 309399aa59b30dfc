//! The shared connections of reads, claims and sweeps. A read whose connection turns out to be gone is asked once more
//! on another one; what writes is not. This file must not know any statement.

use super::clock::Clock;
use super::connect::describe;
use super::pipeline::Param;
use super::trouble::{Trouble, answer};
use crate::StoreError;
use deadpool_postgres::{Object, Pool, PoolError};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A way to the server that many tasks share.
#[derive(Clone)]
pub(super) struct Reader {
    pool: Pool,
    clock: Arc<Clock>,
}

impl Reader {
    pub(super) const fn new(pool: Pool, clock: Arc<Clock>) -> Self {
        Self { pool, clock }
    }

    /// What is added to the database's clock, in microseconds.
    pub(super) fn offset_us(&self) -> i64 {
        self.clock.offset_us()
    }

    /// The clock that all nodes' statements of this store share.
    #[cfg(feature = "test-support")]
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A connection for one task alone.
    pub(super) async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| {
            let why = if let PoolError::Backend(cause) = &error { describe(cause) } else { error.to_string() };
            StoreError::Unavailable(format!("no connection to Postgres: {why}"))
        })
    }

    /// The rows of a statement that only reads.
    pub(super) async fn rows(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        match self.try_rows(sql, params).await? {
            Err(trouble) if trouble.is_lost() => Ok(self.try_rows(sql, params).await??),
            other => Ok(other?),
        }
    }

    /// The rows of a statement that writes, and so is not repeated by itself.
    pub(super) async fn rows_once(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        Ok(self.try_rows(sql, params).await??)
    }

    /// The first row of a statement that only reads.
    pub(super) async fn first(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The same for parameters that were put together at run time.
    pub(super) async fn rows_with(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let bound: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
        self.rows(sql, &bound).await
    }

    async fn try_rows(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Result<Vec<Row>, Trouble>, StoreError> {
        let client = self.client().await?;
        let rows = answer(async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, params).await
        })
        .await;
        if let Err(trouble) = &rows {
            discard_if_lost(client, trouble);
        }
        Ok(rows)
    }

    /// Lets go of all connections; later calls are refused.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// A connection that is gone, or that leads to a server that only reads now, must not go back into the pool.
pub(super) fn discard_if_lost(client: Object, trouble: &Trouble) {
    if trouble.is_lost() {
        drop(Object::take(client));
    }
}
