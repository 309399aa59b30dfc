//! Sequences of numbers that people see, given out in blocks. A block that is not used up is a gap, which is fine.

use super::failure::Failure;
use super::rows::column;
use super::statement::statements;
use crate::Sequence;
use rusqlite::Connection;
use std::ops::Range;

statements! {
    RESERVE = "INSERT INTO numbers (sequence, next) VALUES (?1, 1 + ?2)
        ON CONFLICT (sequence) DO UPDATE SET next = next + ?2 RETURNING next";
}

/// Reserves the next block.
pub(super) fn reserve(db: &Connection, sequence: Sequence, count: u32) -> Result<Range<i64>, Failure> {
    let count = i64::from(count);
    let end: i64 = RESERVE
        .first(db, (sequence.name(), count), |row| column(row, 0))?
        .ok_or_else(|| Failure::corrupt(format_args!("sequence {}", sequence.name()), "it returned nothing"))?;
    Ok(end.saturating_sub(count)..end)
}
