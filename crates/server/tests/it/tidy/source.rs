//! A source file as the rules see it: the text, and the same text with comments and the contents of literals blanked, so
//! that what looks like code is code. Offsets are the same in both.
//!
//! This reads as much Rust as that takes: comments (nested), strings (raw, byte, C), characters and lifetimes. It must not
//! know any rule.

use super::Finding;
use std::ops::Range;

/// A source file.
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    /// As it is.
    pub(super) text: String,
    /// With comments and the contents of literals blanked.
    pub(super) code: String,
    /// Where comments are, their marks included.
    pub(super) comments: Vec<Range<usize>>,
    /// Where the contents of string literals are, without their quotes.
    pub(super) strings: Vec<Range<usize>>,
    /// Where code is that only tests see.
    test_parts: Vec<Range<usize>>,
}

impl Source {
    /// Reads a file's text.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, comments: Vec::new(), strings: Vec::new(), characters: Vec::new() };
        lexer.run();
        let Lexer { comments, strings, characters, .. } = lexer;
        let mut code = text.as_bytes().to_vec();
        for range in comments.iter().chain(&strings).chain(&characters) {
            code[range.clone()].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        let code = String::from_utf8(code).expect("whole characters were blanked");
        let mut source = Self { path: path.to_owned(), text: text.to_owned(), code, comments, strings, test_parts: Vec::new() };
        source.test_parts = source.find_test_parts();
        source
    }

    /// Takes the whole file for test code.
    pub(super) fn is_test_from_here(&mut self) {
        let whole = 0..self.text.len();
        self.test_parts = vec![whole];
    }

    /// Whether only tests see what is at this offset.
    pub(super) fn is_test(&self, at: usize) -> bool {
        self.test_parts.iter().any(|part| part.contains(&at))
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// A finding at an offset.
    pub(super) fn finding(&self, at: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line: self.line(at), what: what.into() }
    }

    /// Where this word stands in the code, whole.
    pub(super) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let whole = |at: &usize| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[*at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        };
        self.code.match_indices(word).map(|(at, _)| at).filter(whole)
    }

    /// The offset after the bracket that closes the one at `open`.
    pub(super) fn after_closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (offset, byte) in self.code.as_bytes()[open..].iter().enumerate() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return open + offset + 1;
                    }
                }
                _ => {}
            }
        }
        self.code.len()
    }

    /// The parts behind `#[cfg(test)]`: an item with its braces. A module in a file of its own is marked by whoever loads
    /// the tree.
    fn find_test_parts(&self) -> Vec<Range<usize>> {
        let after_mark = |(at, mark): (usize, &str)| {
            let rest = &self.code[at + mark.len()..];
            let length = rest.find(['{', ';'])?;
            let open = at + mark.len() + length;
            let end = if rest[length..].starts_with('{') { self.after_closing(open) } else { open + 1 };
            Some(at..end)
        };
        self.code.match_indices(TEST_MARK).filter_map(after_mark).collect()
    }

    /// The names of modules in files of their own, and whether only tests see them.
    pub(super) fn declared_modules(&self) -> Vec<(String, bool)> {
        let declared = |at: usize| {
            let rest = self.code[at + "mod".len()..].trim_start();
            let length = rest.find(|character| !is_word(character))?;
            let (name, after) = rest.split_at(length);
            after.trim_start().starts_with(';').then(|| (name.to_owned(), self.is_test(at)))
        };
        self.words("mod").filter_map(declared).collect()
    }
}

/// What stands before code that only tests see.
const TEST_MARK: &str = "#[cfg(test)]";

/// Whether a character can be part of a name.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Walks through a text and notes what is not code.
struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    comments: Vec<Range<usize>>,
    strings: Vec<Range<usize>>,
    characters: Vec<Range<usize>>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'/')) => self.line_comment(),
                (b'/', Some(b'*')) => self.block_comment(),
                (b'"', _) => self.string(),
                (b'\'', _) => self.quote(),
                (b'r', Some(b'"' | b'#')) if !self.is_inside_word() => self.raw_string(),
                (b'b' | b'c', Some(b'r')) if !self.is_inside_word() && matches!(self.peek(2), Some(b'"' | b'#')) => {
                    self.at += 1;
                    self.raw_string();
                }
                _ => self.at += 1,
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Whether the byte here goes on with a name, so that it begins no literal.
    fn is_inside_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.bytes.get(at));
        before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
        self.comments.push(start..self.at);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.at += 1,
            }
            if depth == 0 {
                break;
            }
        }
        self.comments.push(start..self.at);
    }

    /// From the opening quote.
    fn string(&mut self) {
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.bytes.len());
        self.strings.push(start..self.at);
        self.at += 1;
    }

    /// From the `r`; without a quote after the hashes it was a raw name.
    fn raw_string(&mut self) {
        self.at += 1;
        let mut hashes = 0;
        while self.peek(0) == Some(b'#') {
            (hashes, self.at) = (hashes + 1, self.at + 1);
        }
        if self.peek(0) != Some(b'"') {
            return;
        }
        self.at += 1;
        let start = self.at;
        let mut end = vec![b'"'];
        end.resize(hashes + 1, b'#');
        while self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(&end) {
            self.at += 1;
        }
        self.strings.push(start..self.at);
        self.at += end.len();
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        self.at += 1;
        let start = self.at;
        if self.peek(0) == Some(b'\\') {
            self.at += 2;
            while self.peek(0).is_some_and(|byte| byte != b'\'') {
                self.at += 1;
            }
            self.characters.push(start..self.at);
            self.at += 1;
            return;
        }
        let Some(first) = self.peek(0) else { return };
        let width = match first {
            0x00..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        if self.peek(width) == Some(b'\'') {
            self.characters.push(start..start + width);
            self.at = start + width + 1;
        }
    }
}

#[test]
fn what_is_not_code_is_blanked() {
    let text = "let a = \"fn x() { // no\"; // fn y {\nlet b = r#\"\"}\"#; /* { /* fn */ } */ let c = ('{', '\\'', '\\u{7d}', b'}');\n\
                fn f<'a>(x: &'a str, r#type: u8) -> &'static str { br\"}\"; c\"}\"; 'đ'; x }\n";
    let source = Source::new("a.rs", text);
    assert_eq!(source.code.len(), text.len());
    let expected = "let a = \"              \";          \nlet b = r#\"  \"#;                    let c = (' ', '  ', '      ', b' ');\n\
                    fn f<'a>(x: &'a str, r#type: u8) -> &'static str { br\" \"; c\" \"; '  '; x }\n";
    assert_eq!(source.code, expected);
    assert_eq!((source.comments.len(), source.strings.len()), (2, 4));
}

#[test]
fn code_of_tests_is_told_from_the_rest() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nmod other;\n";
    let source = Source::new("a.rs", text);
    let is_test = |what: &str| source.is_test(text.find(what).expect("it is there"));
    assert!(!is_test("fn a") && is_test("fn b") && !is_test("fn c"));
    assert_eq!(source.declared_modules(), [("more".to_owned(), true), ("other".to_owned(), false)]);
}
