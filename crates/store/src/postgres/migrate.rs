//! Brings a schema up to date. A migration is a file; what ran is remembered with the SHA-256 of the file, under a lock
//! that lets one migrator in, each migration in a transaction of its own, so that a crash leaves it done or not begun.
//! Files that ran are never edited: a changed one is refused, and so is a schema that a newer binary migrated.

use super::connect::{Endpoint, describe};
use super::trouble::Trouble;
use crate::{StoreError, failpoint};
use deadpool_postgres::ClientWrapper;
use ordermill_core::digest::Digest;
use std::collections::BTreeMap;
use tokio_postgres::Client;

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Every migration, in order.
const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_first_tables", sql: include_str!("migrations/0001_first_tables.sql") },
    Migration { name: "0002_carts_and_keys", sql: include_str!("migrations/0002_carts_and_keys.sql") },
];

/// Migrations may build indexes over large tables, and a second migrator waits for the first one.
const PATIENCE: &str = "SET statement_timeout = 0; SET lock_timeout = '120s'; SET idle_in_transaction_session_timeout = 0; \
     SET enable_seqscan = on; SET enable_hashjoin = on; SET enable_mergejoin = on";

const LOCK: &str = "SELECT pg_advisory_lock(hashtextextended('ordermill migrations of ' || current_schema(), 0))";

const MIGRATIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations ( \
         name text COLLATE \"C\" PRIMARY KEY, \
         checksum text COLLATE \"C\" NOT NULL, \
         at bigint NOT NULL)";

const HAS_TABLE: &str = "SELECT to_regclass('migrations') IS NOT NULL";
const APPLIED: &str = "SELECT name, checksum FROM migrations ORDER BY name";
const REMEMBER: &str = "INSERT INTO migrations (name, checksum, at) VALUES ($1, $2, (extract(epoch FROM now()) * 1000000)::bigint)";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[LOCK, MIGRATIONS_TABLE, HAS_TABLE, APPLIED, REMEMBER];

/// Runs what has not run yet; returns the names of what ran.
pub(super) async fn migrate(endpoint: &Endpoint) -> Result<Vec<String>, StoreError> {
    // A connection of its own: the lock ends with it, whatever happens here.
    let mut client = endpoint.connect().await?;
    client.batch_execute(PATIENCE).await.map_err(unavailable)?;
    client.execute(LOCK, &[]).await.map_err(unavailable)?;
    client.batch_execute(MIGRATIONS_TABLE).await.map_err(unavailable)?;
    let mut ran = Vec::new();
    for migration in pending(&client).await? {
        run(&mut client, migration).await?;
        tracing::info!(name = migration.name, "a migration ran");
        ran.push(migration.name.to_owned());
    }
    Ok(ran)
}

async fn run(client: &mut ClientWrapper, migration: &Migration) -> Result<(), StoreError> {
    let transaction = client.transaction().await.map_err(unavailable)?;
    transaction.batch_execute(migration.sql).await.map_err(unavailable)?;
    transaction.execute(REMEMBER, &[&migration.name, &checksum(migration)]).await.map_err(unavailable)?;
    failpoint::hit("migrate.step").map_err(|injected| StoreError::Unavailable(injected.to_string()))?;
    transaction.commit().await.map_err(unavailable)
}

/// How many migrations there are.
pub(super) const fn count() -> usize {
    MIGRATIONS.len()
}

/// The names of the migrations that have not run yet. Refuses a schema that this binary must not touch.
pub(super) async fn pending_names(client: &Client) -> Result<Vec<String>, StoreError> {
    Ok(pending(client).await?.into_iter().map(|migration| migration.name.to_owned()).collect())
}

async fn pending(client: &Client) -> Result<Vec<&'static Migration>, StoreError> {
    let mut applied = applied(client).await?;
    let mut pending = Vec::new();
    for migration in MIGRATIONS {
        match applied.remove(migration.name) {
            None => pending.push(migration),
            Some(found) if found == checksum(migration) => {}
            Some(_) => {
                let why = format!("the migration {} was changed after it ran here", migration.name);
                return Err(StoreError::Invalid(why));
            }
        }
    }
    match applied.into_keys().next() {
        Some(unknown) => {
            Err(StoreError::Invalid(format!("the schema has the migration {unknown}, which this binary does not know: it is too old")))
        }
        None => Ok(pending),
    }
}

async fn applied(client: &Client) -> Result<BTreeMap<String, String>, StoreError> {
    let has_table: bool = client.query_one(HAS_TABLE, &[]).await.and_then(|row| row.try_get(0)).map_err(unavailable)?;
    if !has_table {
        return Ok(BTreeMap::new());
    }
    let rows = client.query(APPLIED, &[]).await.map_err(unavailable)?;
    rows.iter().map(|row| Ok((row.try_get(0).map_err(unavailable)?, row.try_get(1).map_err(unavailable)?))).collect()
}

fn checksum(migration: &Migration) -> String {
    Digest::of(migration.sql.as_bytes()).to_string()
}

fn unavailable(error: tokio_postgres::Error) -> StoreError {
    tracing::debug!(error = describe(&error), "a migration step failed");
    Trouble::from(error).into()
}
