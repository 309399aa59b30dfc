//! What may not stand in a source: unfinished work, silence without a reason, SQL put together from pieces, names that say
//! nothing.

use super::source::Source;
use super::{Finding, NOTHING, lines_found, over_sources};

/// Marks of unfinished work in comments.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Names that say what kind of thing a module is instead of what it is for.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "misc", "types", "models"];
/// What a statement begins with.
const VERBS: [&str; 10] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "DROP ", "ALTER ", "WITH ", "COPY ", "TRUNCATE "];
/// Macros that put values into text; `concat!` joins only what is written down.
const FORMATTERS: [&str; 4] = ["format", "format_args", "write", "writeln"];

fn says_what_it_is_for(source: &Source) -> Vec<Finding> {
    let begins_well = source.text.starts_with("//!");
    if begins_well { Vec::new() } else { vec![source.finding(0, "open the file with `//!`: what it is for and what it must not do")] }
}

fn unfinished(source: &Source) -> Vec<Finding> {
    let in_comments = source.comments.iter().filter_map(|range| {
        let comment = &source.text[range.clone()];
        let mark = MARKS.iter().find(|mark| comment.split(|character: char| !character.is_alphanumeric()).any(|word| word == **mark))?;
        Some(source.finding(range.start, format!("`{mark}`: finish it, or write an issue")))
    });
    let macros = ["unimplemented", "todo"].into_iter().flat_map(|name| {
        let called = source.words(name).filter(move |at| source.code[at + name.len()..].starts_with('!'));
        called.map(move |at| source.finding(at, format!("`{name}!`: finish it")))
    });
    let ignored = source
        .code
        .match_indices("#[ignore")
        .map(|(at, _)| source.finding(at, "a test that is never run: mend it, or declare the difference as a capability"));
    in_comments.chain(macros).chain(ignored).collect()
}

fn unwraps(source: &Source) -> Vec<Finding> {
    let outside_tests = source.words("unwrap").filter(|at| source.code[..*at].ends_with('.') && !source.is_test(*at));
    outside_tests.map(|at| source.finding(at, "`unwrap`: handle it, or `expect` with why it cannot fail")).collect()
}

fn silences_without_a_reason(source: &Source) -> Vec<Finding> {
    let silences = ["expect", "allow"].into_iter().flat_map(|name| source.words(name).map(move |at| (at, name)));
    let in_attributes = silences.filter(|(at, name)| is_in_attribute(source, *at) && source.code[at + name.len()..].starts_with('('));
    let without = in_attributes.filter(|(at, name)| {
        let open = at + name.len();
        !source.code[open..source.after_closing(open)].contains("reason = \"")
    });
    without.map(|(at, name)| source.finding(at, format!("`{name}` without a reason"))).collect()
}

/// Whether the text before this offset has opened an attribute and not closed it.
fn is_in_attribute(source: &Source, at: usize) -> bool {
    let Some(open) = source.code[..at].rfind("#[").max(source.code[..at].rfind("#![")) else { return false };
    let bracket = open + source.code[open..].find('[').expect("it was found with its bracket");
    source.after_closing(bracket) > at
}

fn formatted_sql(source: &Source) -> Vec<Finding> {
    let begins_statement = |range: &&std::ops::Range<usize>| {
        let text = source.text[(*range).clone()].trim_start().trim_start_matches(['\\', '\n', ' ']);
        VERBS.iter().any(|verb| text.starts_with(verb))
    };
    let is_formatted = |range: &&std::ops::Range<usize>| {
        // Tests make schemas and servers of their own.
        if source.is_test(range.start) {
            return false;
        }
        let before = source.code[..range.start].trim_end_matches(['"', '#', 'r', ' ', '\n']);
        FORMATTERS.iter().any(|name| {
            let called = before.rfind(&format!("{name}!("));
            called.is_some_and(|at| source.after_closing(at + name.len() + 1) > range.end)
        })
    };
    let found = source.strings.iter().filter(begins_statement).filter(is_formatted);
    found
        .map(|range| source.finding(range.start, "a statement put together from pieces: write it whole, give values as parameters"))
        .collect()
}

fn empty_names(source: &Source) -> Vec<Finding> {
    let is_empty = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
    let own = source.path.split('/').skip(2).any(is_empty);
    let of_file = own.then(|| source.finding(0, "name the module by what it is for"));
    let declared = source.words("mod").filter(|at| {
        let name = source.code[at + "mod".len()..].trim_start().split(|character: char| !super::source::is_word(character)).next();
        name.is_some_and(is_empty)
    });
    let declared = declared.map(|at| source.finding(at, "name the module by what it is for"));
    of_file.into_iter().chain(declared).collect()
}

fn untested_examples(source: &Source) -> Vec<Finding> {
    let fences = source.comments.iter().filter(|range| {
        let comment = source.text[(*range).clone()].trim_start_matches(['/', '!', ' ']);
        comment.starts_with("```") && comment.trim_end() != "```" && !comment.starts_with("```text")
    });
    fences.map(|range| source.finding(range.start, "the test command runs no documentation tests: make it a test, or ```text")).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    over_sources(says_what_it_is_for);
}

#[test]
fn nothing_is_unfinished() {
    over_sources(unfinished);
}

#[test]
fn nothing_is_unwrapped() {
    over_sources(unwraps);
}

#[test]
fn every_silence_has_a_reason() {
    over_sources(silences_without_a_reason);
}

#[test]
fn statements_are_plain_text() {
    over_sources(formatted_sql);
}

#[test]
fn modules_are_named_by_what_they_are_for() {
    over_sources(empty_names);
}

#[test]
fn examples_are_tests() {
    over_sources(untested_examples);
}

#[test]
fn control_a_file_without_a_purpose_is_found() {
    assert_eq!(lines_found(says_what_it_is_for, "a.rs", "// Not this.\nfn a() {}\n"), [1]);
    assert_eq!(lines_found(says_what_it_is_for, "a.rs", "//! This.\n"), NOTHING);
}

#[test]
fn control_unfinished_work_is_found() {
    let mark = MARKS[0];
    let text = format!("fn a() {{\n    // {mark}: later\n    todo!()\n}}\n#[ignore = \"slow\"]\nfn b() {{ unimplemented!(\"x\") }}\n");
    assert_eq!(lines_found(unfinished, "a.rs", &text), [2, 3, 5, 6]);
    let fine = format!("let todo = \"{mark} todo!() #[ignore]\"; // todos, {mark}S\n");
    assert_eq!(lines_found(unfinished, "a.rs", &fine), NOTHING);
}

#[test]
fn control_unwraps_are_found_outside_of_tests() {
    let text = "fn a() { b().unwrap(); c().unwrap_or(0); }\n// d.unwrap()\nfn e() { f()\n    .unwrap() }\n\
                #[cfg(test)]\nmod tests { fn g() { h().unwrap(); } }\n";
    assert_eq!(lines_found(unwraps, "a.rs", text), [1, 4]);
}

#[test]
fn control_silence_without_a_reason_is_found() {
    let text = "#[allow(dead_code)]\nfn a() {}\n#[expect(\n    clippy::x,\n    reason = \"y\"\n)]\nfn b() {}\n\
                #![cfg_attr(test, allow(unused))]\nfn c() { d().expect(\"e\") }\n#[derive(A)]\nfn allow(x: u8) { allow(1) }\n";
    assert_eq!(lines_found(silences_without_a_reason, "a.rs", text), [1, 8]);
}

#[test]
fn control_formatted_sql_is_found() {
    let text = "let a = format!(\"SELECT {x} FROM t\");\nlet b = format!(\n    r#\"\n  UPDATE {t}\"#);\n\
                let c = \"DELETE FROM t WHERE id = ?\";\nlet d = format!(\"{c} and SELECT \");\nwrite!(out, \"INSERT INTO {t}\")?;\n\
                let e = f(format!(\"x\"), \"CREATE TABLE t\");\n";
    assert_eq!(lines_found(formatted_sql, "a.rs", text), [1, 3, 7]);
}

#[test]
fn control_empty_names_are_found() {
    assert_eq!(lines_found(empty_names, "crates/x/src/utils/a.rs", "mod b;\n"), [1]);
    assert_eq!(lines_found(empty_names, "crates/x/src/a.rs", "mod b;\npub mod helpers;\nmod modeling;\n"), [2]);
}

#[test]
fn control_untested_examples_are_found() {
    assert_eq!(lines_found(untested_examples, "a.rs", "/// ```rust\n/// a();\n/// ```\n//! ```text\n//! b\n//! ```\n"), [1]);
}
