//! Cutting lists into pages, and the cursors between them: where the last row of a page stands in its list. This file must
//! not run statements.

use super::failure::Failure;
use super::statement::Go;
use crate::query::{MAX_PAGE, MAX_SCANNED};
use crate::{Page, StoreError};

/// How many rows to read for a page of at most `limit`: one more tells whether there is another page.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts a list that was read one row too far, and makes the cursor from the last row that stays.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Page<T> {
    let kept = limit.min(MAX_PAGE);
    let has_more = rows.len() > kept;
    rows.truncate(kept);
    let cursor = if has_more { rows.last().map(place) } else { None };
    Page::of(rows, cursor, limit)
}

/// A page in the making, of a list in which not every row is wanted: row by row, and so many at most that a rare one
/// cannot make a single read walk a whole table.
#[derive(Debug)]
pub(super) struct Sieve<T> {
    page: Page<T>,
    kept: usize,
    scanned: usize,
    /// Where the last row that was kept stands.
    last: Option<String>,
}

impl<T> Sieve<T> {
    /// A page of at most `limit` rows.
    pub(super) fn new(limit: usize) -> Self {
        Self { page: Page::of(Vec::new(), None, limit), kept: limit.min(MAX_PAGE), scanned: 0, last: None }
    }

    /// How many rows it looks at.
    fn most(&self) -> usize {
        MAX_SCANNED.max(self.kept.saturating_add(1))
    }

    /// The same as a limit for a statement.
    pub(super) fn limit(&self) -> i64 {
        i64::try_from(self.most()).unwrap_or(i64::MAX)
    }

    /// Looks at the row of this place, which is there if it is wanted.
    pub(super) fn look(&mut self, place: String, wanted: Option<T>) -> Go {
        self.scanned = self.scanned.saturating_add(1);
        if let Some(row) = wanted {
            if self.page.rows.len() == self.kept {
                self.page.cursor = self.last.take();
                return Go::Enough;
            }
            self.page.rows.push(row);
            self.last = Some(place.clone());
        }
        if self.scanned == self.most() {
            // Enough work for one read; the caller may go on from here.
            self.page.cursor = Some(place);
            return Go::Enough;
        }
        Go::On
    }

    /// The page.
    pub(super) fn into_page(self) -> Page<T> {
        self.page
    }
}

/// A place in a list that is ordered by a time and then by a name: `<micros>:<name>`.
pub(super) fn timed_place(micros: i64, name: impl std::fmt::Display) -> String {
    format!("{micros}:{name}")
}

/// Reads such a place back, by what reads the name; none without a cursor.
pub(super) fn read_timed_place<T>(cursor: Option<&str>, read_name: impl Fn(&str) -> Option<T>) -> Result<Option<(i64, T)>, Failure> {
    let Some(text) = cursor else { return Ok(None) };
    let place = text.split_once(':').and_then(|(micros, name)| Some((micros.parse().ok()?, read_name(name)?)));
    place.map(Some).ok_or_else(no_cursor)
}

/// The answer to a cursor that did not come from here.
pub(super) fn no_cursor() -> Failure {
    Failure::Store(StoreError::Invalid("this is not a cursor of this list".to_owned()))
}
