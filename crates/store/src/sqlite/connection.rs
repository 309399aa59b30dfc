//! Connections with the settings that ordermill's promises rest on, read back after they were made. This file must not
//! run statements of its own.

use crate::OpenError;
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The oldest engine without the bug that corrupts a database when a write-ahead log is reset.
const OLDEST_SAFE_ENGINE: i32 = 3_051_003;
/// How long a connection waits for another one's lock: a checkpoint that empties the log, at most.
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// Statements kept prepared per connection; there are fewer than that.
const PREPARED_STATEMENTS: usize = 256;
/// A log longer than this is cut when it starts again, so that one burst does not keep the space for ever.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// The page cache of the writing connection.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// The page cache of each reading connection.
const READER_CACHE_KIB: i64 = 8 * 1024;
/// `PRAGMA synchronous` = FULL: every commit is on the disk before it is answered.
const SYNCHRONOUS_FULL: i64 = 2;

/// The engine's version as text.
pub(super) fn engine_version() -> &'static str {
    rusqlite::version()
}

/// Refuses an engine that may corrupt the database.
pub(super) fn check_engine() -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_SAFE_ENGINE {
        return Err(OpenError::Unsafe(format!("SQLite {} has a bug that corrupts databases; 3.51.3 or newer is needed", engine_version())));
    }
    Ok(())
}

/// A connection that writes: the writer's, or the one of the checkpoints.
pub(super) fn open_writing(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    prepare(&db, WRITER_CACHE_KIB)?;
    set(&db, "journal_mode", "wal")?;
    set(&db, "synchronous", SYNCHRONOUS_FULL)?;
    set(&db, "foreign_keys", true)?;
    set(&db, "journal_size_limit", LOG_BYTES_KEPT)?;
    // Checkpoints have a thread of their own: a commit must not pay for one.
    set(&db, "wal_autocheckpoint", 0)?;
    check(&db, "journal_mode", &"wal".to_owned())?;
    check(&db, "synchronous", &SYNCHRONOUS_FULL)?;
    check(&db, "foreign_keys", &1)?;
    check(&db, "wal_autocheckpoint", &0)?;
    Ok(db)
}

/// The checkpoints' connection: like the writer's, but it never waits for a lock, because it would hold another one
/// meanwhile.
pub(super) fn open_checkpointing(path: &Path) -> Result<Connection, OpenError> {
    let db = open_writing(path)?;
    db.busy_timeout(Duration::ZERO).map_err(|error| failed(&error))?;
    Ok(db)
}

/// A connection that can only read.
pub(super) fn open_reading(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    prepare(&db, READER_CACHE_KIB)?;
    set(&db, "query_only", true)?;
    check(&db, "query_only", &1)?;
    Ok(db)
}

/// A connection for a look at a database that nobody has open. It may undo what a dead process left half done, as any
/// opening would; it can run no statement that writes.
pub(super) fn open_inspecting(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    prepare(&db, READER_CACHE_KIB)?;
    set(&db, "query_only", true)?;
    check(&db, "query_only", &1)?;
    Ok(db)
}

fn prepare(db: &Connection, cache_kib: i64) -> Result<(), OpenError> {
    db.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    // Closing must not checkpoint on its own: after a disk error nothing may be flushed again.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(|error| failed(&error))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(|error| failed(&error))?;
    // Without this a statement is compiled anew whenever a limit or a bound of a range is bound, which takes longer than
    // to run it; and plans must not change with values anyway.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(|error| failed(&error))?;
    set(db, "busy_timeout", BUSY_TIMEOUT_MS)?;
    // A memory map turns a disk error into a signal that kills the process.
    set(db, "mmap_size", 0)?;
    set(db, "temp_store", "memory")?;
    set(db, "cache_size", -cache_kib)?;
    check(db, "busy_timeout", &BUSY_TIMEOUT_MS)?;
    check(db, "mmap_size", &0)
}

/// Makes a connection wait for others' locks again, after a while of not waiting.
pub(super) fn wait_for_locks(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS.into()))
}

/// Sets a pragma; some answer with the new value, which is left to [`check`].
fn set(db: &Connection, pragma: &'static str, value: impl rusqlite::ToSql) -> Result<(), OpenError> {
    match db.pragma_update(None, pragma, value) {
        Ok(()) => Ok(()),
        Err(error) => Err(OpenError::Failed(format!("PRAGMA {pragma}: {error}"))),
    }
}

/// Reads a pragma back.
fn check<T: FromSql + PartialEq + std::fmt::Debug>(db: &Connection, pragma: &'static str, wanted: &T) -> Result<(), OpenError> {
    let found: T = db
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(|error| OpenError::Unsafe(format!("PRAGMA {pragma} cannot be read: {error}")))?;
    if found == *wanted { Ok(()) } else { Err(OpenError::Unsafe(format!("PRAGMA {pragma} is {found:?} and must be {wanted:?}"))) }
}

fn failed(error: &rusqlite::Error) -> OpenError {
    OpenError::Failed(error.to_string())
}
