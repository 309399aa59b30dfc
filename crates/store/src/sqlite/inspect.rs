//! A look at a file that may hold a store, before anybody decides to open it. Nothing is made and nothing is changed, so
//! this file must not take what it finds for up to date.

use super::failure::Failure;
use super::lock::{self, Lock};
use super::statement::statements;
use super::{connection, folder_of, found, migrate, refused};
use crate::{Inspection, OpenError};
use ordermill_core::change::{Key, Row};
use rusqlite::Connection;
use std::io::ErrorKind;
use std::path::Path;

statements! {
    HAS_TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    ANY_ORDER = "SELECT 1 FROM orders LIMIT 1";
    ANY_PRODUCT = "SELECT 1 FROM products LIMIT 1";
    ANY_USER = "SELECT 1 FROM users LIMIT 1";
}

/// What lies there.
pub(super) fn inspect(path: &Path, mark: &str) -> Result<Inspection, OpenError> {
    match std::fs::metadata(path) {
        // An empty file is what a process leaves that died right after it had made it.
        Ok(metadata) if metadata.len() == 0 => return Ok(Inspection::default()),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Inspection::default()),
        Err(error) => return Err(OpenError::Failed(format!("{}: {error}", path.display()))),
    }
    lock::check_name(path)?;
    // Whoever holds the store answers for it; a second process must not look over its shoulder.
    let _lock = Lock::take(&folder_of(path))?;
    let db = connection::open_inspecting(path)?;
    look(&db, mark).map_err(|failure| refused(&failure))
}

fn look(db: &Connection, mark: &str) -> Result<Inspection, Failure> {
    let pending_migrations = migrate::pending(db)?;
    let is_store = pending_migrations.len() < migrate::count();
    let mark = if is_store && has_table(db, "settings")? { value_of(db, mark)? } else { None };
    let mut is_filled = false;
    for (table, any) in [("orders", ANY_ORDER), ("products", ANY_PRODUCT), ("users", ANY_USER)] {
        is_filled |= has_table(db, table)? && any.first(db, (), |_| Ok(()))?.is_some();
    }
    Ok(Inspection { is_store, pending_migrations, mark, is_filled })
}

fn has_table(db: &Connection, name: &str) -> Result<bool, Failure> {
    Ok(HAS_TABLE.first(db, (name,), |_| Ok(()))?.is_some())
}

fn value_of(db: &Connection, setting: &str) -> Result<Option<String>, Failure> {
    let row = found::find(db, &Key::Setting(setting.to_owned()), true)?.and_then(|found| found.row);
    Ok(row.and_then(|row| if let Row::Setting(setting) = *row { Some(setting.value) } else { None }))
}
