//! Texts that people write into requests: brought into one spelling, not too long, without control characters. What is stored
//! is what is shown: nothing hides in it or turns the text around it.

use super::problem::Problem;
use ordermill_core::text::{is_break, is_deceptive};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The most marks on one letter (UAX #15, stream-safe text): no language needs more, and heaps of them cover other lines.
const MARKS_MAX: usize = 30;

/// The text, if it has at most so many characters and no control characters besides line breaks. Letters and their marks are
/// composed (NFC), so that one word has one spelling however it was typed; characters that nobody sees are left out.
pub(super) fn checked_text(path: &str, text: &str, characters_max: usize) -> Result<String, Problem> {
    let composed: String = text.chars().filter(|character| !is_deceptive(*character)).nfc().collect();
    let text = composed.trim();
    let has_control = text.chars().any(|character| is_break(character) && character != '\n');
    if has_control || has_heap_of_marks(text) || text.chars().count() > characters_max {
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

fn has_heap_of_marks(text: &str) -> bool {
    let mut marks = 0;
    text.chars().any(|character| {
        marks = if is_combining_mark(character) { marks + 1 } else { 0 };
        marks > MARKS_MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> Option<String> {
        needed_line("name", text, 40).ok()
    }

    #[test]
    fn one_word_has_one_spelling() {
        let composed = "Nguy\u{1ec5}n";
        for typed in [composed, "Nguye\u{302}\u{303}n", " Nguy\u{1ec5}n\u{200b} ", "\u{feff}Nguy\u{1ec5}\u{ad}n"] {
            assert_eq!(stored(typed).as_deref(), Some(composed), "{typed:?}");
        }
        assert_eq!(stored("\u{202e}drow\u{202c}").as_deref(), Some("drow"));
        assert_eq!(stored("👩\u{200d}🔧").as_deref(), Some("👩\u{200d}🔧"));
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        for text in ["", " ", "\u{200b}", "a\0b", "a\nb", "a\r\nb", "a\u{1b}[2J", "a\u{9b}2J", "a\u{2028}b"] {
            assert_eq!(stored(text), None, "{text:?}");
        }
        assert_eq!(stored(&"a".repeat(41)), None);
        let heap = |marks: usize| format!("a{}", "\u{302}\u{335}".repeat(marks / 2));
        assert!(stored(&heap(30)).is_some());
        assert_eq!(stored(&heap(34)), None);
    }
}
