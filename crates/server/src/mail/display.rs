//! Text of strangers made fit to be shown: names and titles must not break lines, hide characters or turn the direction
//! of what stands around them. This file must not escape HTML; the templates do.

use ordermill_core::text::{is_break, is_deceptive};

/// The most characters of one name or title that a mail shows.
const DISPLAY_CHARACTERS_MAX: usize = 200;

/// The text on one line, without controls and without characters that turn or hide text (Trojan Source), cut to a length
/// that still helps a reader. What separated words still does.
pub fn display_text(text: &str) -> String {
    let visible = text.chars().filter(|character| !is_deceptive(*character));
    let spaced: String = visible.map(|character| if is_break(character) { ' ' } else { character }).collect();
    let mut line = String::with_capacity(spaced.len());
    for word in spaced.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(DISPLAY_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::display_text;

    #[test]
    fn hostile_text_becomes_one_plain_line() {
        for (hostile, shown) in [
            ("Nguyễn Văn Ánh", "Nguyễn Văn Ánh"),
            ("x\r\nBcc: evil@example.com", "x Bcc: evil@example.com"),
            ("a\0b\u{7f}c\u{85}d\u{2028}e", "a b c d e"),
            ("\u{202e}moc.live\u{202c} shop", "moc.live shop"),
            ("\u{2066}x\u{2069}\u{200f}y\u{feff}z\u{200b}", "xyz"),
            ("\u{e0041}\u{e0042}ok", "ok"),
            ("  two \t words  ", "two words"),
            ("👩\u{200d}🔧", "👩\u{200d}🔧"),
            ("\r\n\0", ""),
        ] {
            assert_eq!(display_text(hostile), shown, "{hostile:?}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let shown = display_text(&"ế".repeat(1_000));
        assert_eq!(shown.chars().count(), 201);
        assert!(shown.ends_with('…'));
    }
}
