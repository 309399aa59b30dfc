//! The schema, as plain SQL files that run once and in order. Each one's checksum is kept: a file that was changed after
//! it ran, or a database that a newer ordermill made, is refused rather than guessed at.

use super::failure::Failure;
use crate::failpoint;
use ordermill_core::digest::Digest;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

/// One step of the schema.
#[derive(Debug)]
struct Migration {
    /// Its name, for ever; names sort in the order in which they run.
    name: &'static str,
    /// What it does.
    sql: &'static str,
}

macro_rules! migrations {
    ($($name:literal,)*) => {
        &[$(Migration { name: $name, sql: include_str!(concat!("migrations/", $name, ".sql")) },)*]
    };
}

/// Every migration. New ones go at the end; one that has been released is never edited.
const MIGRATIONS: &[Migration] =
    migrations!["0001_orders", "0002_jobs", "0003_people_and_products", "0004_inbox_and_records", "0005_carts_and_keys",];

const HAS_TABLE: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    name TEXT NOT NULL PRIMARY KEY, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";
const APPLIED: &str = "SELECT name, checksum FROM migrations ORDER BY name";
const RECORD: &str = "INSERT INTO migrations (name, checksum, applied_at) VALUES (?1, ?2, ?3)";

/// How many migrations there are.
pub(super) const fn count() -> usize {
    MIGRATIONS.len()
}

/// The names of the migrations that have not run on this database; an error when it is not one of ours or is newer.
pub(super) fn pending(db: &Connection) -> Result<Vec<String>, Failure> {
    let applied = applied(db)?;
    for (name, checksum) in &applied {
        match MIGRATIONS.iter().find(|known| known.name == name) {
            None => return Err(refused(format!("a newer ordermill migrated this database ({name}); run that version"))),
            Some(known) if Digest::of(known.sql.as_bytes()).bytes().as_slice() != checksum => {
                return Err(refused(format!("the migration {name} is not the one that ran on this database")));
            }
            Some(_) => {}
        }
    }
    let is_pending = |known: &&Migration| !applied.iter().any(|(name, _)| name == known.name);
    Ok(MIGRATIONS.iter().filter(is_pending).map(|known| known.name.to_owned()).collect())
}

/// Runs what has not run, each migration in a transaction of its own; returns their names.
pub(super) fn run(db: &mut Connection, now: Timestamp) -> Result<Vec<String>, Failure> {
    let pending = pending(db)?;
    if !pending.is_empty() {
        db.execute(MAKE_TABLE, [])?;
    }
    for migration in MIGRATIONS.iter().filter(|known| pending.iter().any(|name| name == known.name)) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql)?;
        let checksum = Digest::of(migration.sql.as_bytes());
        transaction.execute(RECORD, (migration.name, checksum.bytes().as_slice(), now.micros()))?;
        failpoint::hit("migrate.step")?;
        transaction.commit()?;
        tracing::info!(migration = migration.name, "the schema moved on");
    }
    Ok(pending)
}

fn applied(db: &Connection) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if db.query_row(HAS_TABLE, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare(APPLIED)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn refused(why: String) -> Failure {
    Failure::Store(crate::StoreError::Unavailable(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_they_run_and_repeat_nothing() {
        let names: Vec<_> = MIGRATIONS.iter().map(|known| known.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}
