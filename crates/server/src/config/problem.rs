//! What is wrong with the settings: one clear line each, and all of them at once, so that nobody has to start five times to
//! learn of five mistakes.
//!
//! No problem may quote a value: it may be a secret in the wrong place.

use std::fmt;
use thiserror::Error;

/// One thing to put right, or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it keeps the server from starting.
    pub level: Level,
    /// Where: `ordermill.toml:3`, a variable, a flag, or `[section] key`.
    pub place: String,
    /// What is the matter.
    pub message: String,
    /// What would put it right.
    pub hint: Option<String>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Good to know; the server starts.
    Note,
    /// The server does not start.
    Refusal,
}

impl Problem {
    /// Something that keeps the server from starting.
    pub fn refusal(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Refusal, place: place.into(), message: message.into(), hint: None }
    }

    /// Something that is good to know.
    pub fn note(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::refusal(place, message) }
    }

    /// The same problem with what would put it right.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.level == Level::Note { "note: " } else { "" };
        write!(f, "{}: {note}{}", self.place, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Why the settings cannot be used: every problem, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The problems, at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

/// Which of the names was probably meant: the nearest one, if few letters differ.
pub(super) fn did_you_mean<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    names
        .map(|name| (edits_between(&written, &name.to_ascii_lowercase()), name))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, name)| *edits <= 1 + name.len() / LETTERS_PER_EDIT)
        .map(|(_, name)| name)
}

/// One slip more is forgiven for every so many letters; with more, everything resembles everything.
const LETTERS_PER_EDIT: usize = 5;

/// The fewest letters to insert, delete or replace (Levenshtein), by the usual two-row table.
fn edits_between(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next_row = vec![index + 1];
        let mut left = index + 1;
        for ((other_letter, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(letter != *other_letter)).min(left + 1).min(above + 1);
            next_row.push(left);
        }
        row = next_row;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, edits) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("listen", "lisen", 1)] {
            assert_eq!(edits_between(one, other), edits, "{one} {other}");
        }
    }

    #[test]
    fn only_a_slip_is_guessed_at() {
        let guess = |written| did_you_mean(written, ["listen", "public_url", "webhook_secrets"].into_iter());
        assert_eq!(guess("webhook_secret"), Some("webhook_secrets"));
        assert_eq!(guess("Lisen"), Some("listen"));
        assert_eq!(guess("colour"), None);
        assert_eq!(did_you_mean("listen", std::iter::empty()), None);
    }

    #[test]
    fn a_line_says_where_what_and_what_to_do() {
        let refusal = Problem::refusal("[mail] smtp_url", "is missing").with_hint("set it");
        let note = Problem::note("[stripe]", "card payments are refused");
        let error = ConfigError { problems: vec![refusal, note] };
        assert_eq!(error.to_string(), "[mail] smtp_url: is missing; set it\n[stripe]: note: card payments are refused");
    }
}
