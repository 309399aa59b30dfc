//! The paths that code names: `std::time::Instant` wherever it stands, and `use` trees written out.

use super::source::{Source, is_word};

/// A path and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The offset of its first part.
    pub(super) at: usize,
    /// Its parts.
    pub(super) parts: Vec<String>,
}

impl Path {
    /// Whether the parts of `other` (`std::time`) stand in it one after the other.
    pub(super) fn names(&self, other: &str) -> bool {
        let other: Vec<&str> = other.split("::").collect();
        self.parts.windows(other.len()).any(|window| window == other)
    }
}

/// A piece of code as far as paths go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(usize, &'a str),
    Colons,
    Other(char),
}

/// Every path, in the order of the text. Single words are paths too.
pub(super) fn paths(source: &Source) -> Vec<Path> {
    let tokens = tokens(&source.code);
    let mut reader = Reader { tokens: &tokens, next: 0, found: Vec::new() };
    while let Some(token) = reader.peek() {
        match token {
            // `use<'a>` in a bound names no path.
            Token::Word(at, "use") if reader.tokens.get(reader.next + 1) != Some(&Token::Other('<')) => {
                reader.next += 1;
                reader.tree(at, &[]);
            }
            Token::Word(at, _) => reader.plain(at),
            Token::Colons | Token::Other(_) => reader.next += 1,
        }
    }
    reader.found
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        if is_word(first) {
            let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            tokens.push(Token::Word(at, &rest[..length]));
            at += length;
        } else if rest.starts_with("::") {
            tokens.push(Token::Colons);
            at += 2;
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            at += first.len_utf8();
        }
    }
    tokens
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    found: Vec<Path>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    /// `a::b::c`, from its first word.
    fn plain(&mut self, at: usize) {
        let mut parts = Vec::new();
        while let Some(Token::Word(_, word)) = self.peek() {
            parts.push(word.to_owned());
            self.next += 1;
            if self.peek() != Some(Token::Colons) {
                break;
            }
            self.next += 1;
        }
        self.found.push(Path { at, parts });
    }

    /// `a::{b, c::{d, self}, e as f, *}`, up to what ends it.
    fn tree(&mut self, at: usize, before: &[String]) {
        let mut parts = before.to_vec();
        let mut is_written_out = false;
        while let Some(token) = self.peek() {
            match token {
                Token::Word(_, "as") => self.next += 2,
                Token::Word(_, word) => {
                    parts.push(word.to_owned());
                    self.next += 1;
                }
                Token::Other('{') => {
                    self.next += 1;
                    while !matches!(self.peek(), None | Some(Token::Other('}'))) {
                        self.tree(at, &parts);
                        if self.peek() == Some(Token::Other(',')) {
                            self.next += 1;
                        }
                    }
                    self.next += 1;
                    is_written_out = true;
                }
                Token::Other(',' | '}' | ';') => break,
                Token::Colons | Token::Other(_) => self.next += 1,
            }
        }
        if !is_written_out {
            self.found.push(Path { at, parts });
        }
    }
}

#[test]
fn use_trees_are_written_out() {
    let source =
        Source::new("a.rs", "use std::{fs, time::{Duration, self as t}};\nuse a::*;\nlet x: b::C<d::E> = f::<G>::h(\"use z;\");\n");
    let found: Vec<String> = paths(&source).iter().map(|path| path.parts.join("::")).collect();
    assert_eq!(found, ["std::fs", "std::time::Duration", "std::time::self", "a", "let", "x", "b::C", "d::E", "f", "G", "h"]);
    assert!(paths(&source).iter().any(|path| path.names("std::time")));
    assert!(!paths(&source).iter().any(|path| path.names("time::std") || path.names("td::time")));
}
