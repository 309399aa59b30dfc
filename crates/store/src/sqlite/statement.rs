//! SQL as named constants, so that one test can prepare every statement there is. Nothing else in this store may hand
//! text to the engine, except for pragmas and migration files.

use super::failure::Failure;
use rusqlite::{CachedStatement, Connection, Params, Row};

/// A statement and the name of its constant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    /// The constant's name.
    #[cfg_attr(not(any(test, feature = "test-support")), expect(dead_code, reason = "only the test of all statements names them"))]
    pub(super) name: &'static str,
    /// Its SQL.
    pub(super) text: &'static str,
}

/// Defines the statements of a file and, as `STATEMENTS`, the list of them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $(
            $(#[$doc])*
            const $name: $crate::sqlite::statement::Statement =
                $crate::sqlite::statement::Statement { name: stringify!($name), text: $text };
        )*
        /// Every statement of this file.
        #[cfg(any(test, feature = "test-support"))]
        pub(super) const STATEMENTS: &[$crate::sqlite::statement::Statement] = &[$($name),*];
    };
}
pub(super) use statements;

/// Every statement of this store, file by file.
#[cfg(any(test, feature = "test-support"))]
pub(super) const ALL: &[&[Statement]] = &[
    super::claim::STATEMENTS,
    super::finish::STATEMENTS,
    super::found::STATEMENTS,
    super::health::STATEMENTS,
    super::inspect::STATEMENTS,
    super::job_lists::STATEMENTS,
    super::lists::STATEMENTS,
    super::numbers::STATEMENTS,
    super::order_list::STATEMENTS,
    super::put::STATEMENTS,
    super::reads::STATEMENTS,
    super::scan::STATEMENTS,
    super::sweep::STATEMENTS,
    super::write::STATEMENTS,
    super::writer::STATEMENTS,
];

impl Statement {
    fn prepare<'db>(&self, db: &'db Connection) -> Result<CachedStatement<'db>, Failure> {
        Ok(db.prepare_cached(self.text)?)
    }

    /// Runs it; returns how many rows it changed.
    pub(super) fn execute(&self, db: &Connection, params: impl Params) -> Result<usize, Failure> {
        Ok(self.prepare(db)?.execute(params)?)
    }

    /// Its first row, if there is one.
    pub(super) fn first<T>(
        &self,
        db: &Connection,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let mut statement = self.prepare(db)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// All its rows.
    pub(super) fn all<T>(
        &self,
        db: &Connection,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut found = Vec::new();
        self.each(db, params, |row| {
            found.push(read(row)?);
            Ok(Go::On)
        })?;
        Ok(found)
    }

    /// Walks its rows until `visit` has seen enough.
    pub(super) fn each(
        &self,
        db: &Connection,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> Result<Go, Failure>,
    ) -> Result<(), Failure> {
        let mut statement = self.prepare(db)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if matches!(visit(row)?, Go::Enough) {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Go {
    /// Next row, please.
    On,
    /// The rest is not wanted.
    Enough,
}
