//! Which characters of strangers' texts are dangerous to whoever looks at them: those that break lines or steer a terminal,
//! and those that hide or turn what stands around them. This file must not change any text; its users say what becomes of it.

/// Controls, NUL and the terminal's escape among them, and Unicode's own line and paragraph separators.
pub fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Marks, embeddings, overrides and isolates that turn the direction of text, and characters that show nothing (Trojan
/// Source). Joiners (U+200C, U+200D) stay: words of several languages and many emoji need them.
pub const fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_neither() {
        for text in ["Nguyễn Văn Ánh", "👩\u{200d}🔧", "می\u{200c}خواهم", "a-b_c 1+1=2 <b>"] {
            assert!(!text.chars().any(|character| is_break(character) || is_deceptive(character)), "{text}");
        }
        assert!("\0\r\n\u{1b}\u{7f}\u{85}\u{9b}\u{2028}".chars().all(is_break));
        assert!("\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}".chars().all(is_deceptive));
    }
}
