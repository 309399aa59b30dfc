//! Texts that people write into requests: trimmed, not too long, without control characters.

use super::problem::Problem;

/// The text, if it has at most so many characters and no control characters besides line breaks.
pub(super) fn checked_text(path: &str, text: &str, characters_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    let has_control = text.chars().any(|character| character.is_control() && character != '\n');
    if has_control || text.chars().count() > characters_max {
        return Err(invalid(path, &format!("at most {characters_max} characters, and no control characters")));
    }
    Ok(text.to_owned())
}

/// The same for what must be said, in one line.
pub(super) fn needed_line(path: &str, text: &str, characters_max: usize) -> Result<String, Problem> {
    match checked_text(path, text, characters_max)? {
        text if text.is_empty() || text.contains('\n') => Err(invalid(path, "one line, and not empty")),
        text => Ok(text),
    }
}

/// A member that does not say what it must.
pub(super) fn invalid(path: &str, message: &str) -> Problem {
    Problem::new("invalid_request", format!("{path}: {message}")).at(path, message)
}
