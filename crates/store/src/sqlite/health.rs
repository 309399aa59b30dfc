//! Whether the engine answers, and whether a full disk has room again. This file must not decide what happens then.

use super::failure::Failure;
use super::statement::statements;
use rusqlite::Connection;

statements! {
    ANSWER = "SELECT count(*) FROM sqlite_schema";
    FILL = "INSERT INTO disk_probe (id, filler) VALUES (1, zeroblob(65536))";
    CLEAR = "DELETE FROM disk_probe";
}

/// Reads something, schema or not.
pub(super) fn answer(db: &Connection) -> Result<(), Failure> {
    ANSWER.first(db, (), |_| Ok(()))?;
    Ok(())
}

/// Writes and clears a row that needs room; fails while the disk is full. Whoever succeeds in writing anything tells the
/// store so by itself.
pub(super) fn probe_disk(db: &Connection) -> Result<(), Failure> {
    CLEAR.execute(db, ())?;
    FILL.execute(db, ())?;
    CLEAR.execute(db, ())?;
    Ok(())
}
