//! Where functions begin and end.

use super::source::{Source, is_word};

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The line of its `fn`.
    pub(super) first_line: usize,
    /// The line of its closing brace.
    pub(super) last_line: usize,
}

impl Function {
    /// From the line of `fn` to the closing brace.
    pub(super) const fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

/// Every function with a body; one inside another counts in both.
pub(super) fn functions(source: &Source) -> Vec<Function> {
    source.words("fn").filter_map(|at| function(source, at)).collect()
}

fn function(source: &Source, at: usize) -> Option<Function> {
    let rest = &source.code[at + "fn".len()..];
    // Without a name it is a type: `fn(u8) -> u8`.
    let name: String = rest.trim_start().chars().take_while(|character| is_word(*character)).collect();
    if name.is_empty() {
        return None;
    }
    let open = body(source, at)?;
    let last = source.after_closing(open) - 1;
    Some(Function { name, first_line: source.line(at), last_line: source.line(last) })
}

/// Where the body opens; none when a semicolon ends the signature.
fn body(source: &Source, at: usize) -> Option<usize> {
    let mut next = at;
    loop {
        let found = next + source.code[next..].find(['(', '[', '{', ';'])?;
        match source.code.as_bytes()[found] {
            b'{' => return Some(found),
            b';' => return None,
            _ => next = source.after_closing(found),
        }
    }
}

#[test]
fn functions_are_found_with_their_ends() {
    let text = "trait T { fn a(&self, x: [u8; 4]) -> u8; }\n\
                fn b<F: Fn(u8)>(f: fn(u8) -> u8)\nwhere\n    F: Copy,\n{\n    let s = \"}\"; // }\n    fn c() {}\n}\n\
                macro_rules! m { ($n:ident) => { fn $n() {} }; }\n";
    let found: Vec<(String, usize, usize)> =
        functions(&Source::new("a.rs", text)).into_iter().map(|found| (found.name, found.first_line, found.last_line)).collect();
    assert_eq!(found, [("b".to_owned(), 2, 8), ("c".to_owned(), 7, 7)]);
}
