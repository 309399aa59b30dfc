//! How long functions and files may be: what a person can hold in mind.

use super::functions::functions;
use super::source::Source;
use super::{Finding, NOTHING, demand_none, lines_found, over_sources, tree};

/// The longest function, from `fn` to its brace.
const FUNCTION_LINES_MAX: usize = 70;
/// The longest file.
const FILE_LINES_MAX: usize = 600;

/// A place that may be longer.
struct Exception {
    /// The file, from the root.
    path: &'static str,
    /// The function; none for the file itself.
    function: Option<&'static str>,
    /// Why.
    #[expect(dead_code, reason = "for people: whoever adds an exception says why")]
    reason: &'static str,
}

/// Every place that may be longer.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: "crates/server/tests/it/config.rs",
        function: Some("every_fault_is_told_with_its_place"),
        reason: "one file with every fault and the one report of them; in parts it would not show that all are told at once",
    },
    Exception {
        path: "crates/server/src/config/table.rs",
        function: Some("defaults_reach_every_field"),
        reason: "one picture of every setting, which grows by a line with each",
    },
];

fn is_excepted(path: &str, function: Option<&str>) -> bool {
    EXCEPTIONS.iter().any(|exception| exception.path == path && exception.function == function)
}

fn too_long_functions(source: &Source) -> Vec<Finding> {
    let long = functions(source).into_iter().filter(|function| function.lines() > FUNCTION_LINES_MAX);
    long.map(|function| Finding {
        path: source.path.clone(),
        line: function.first_line,
        what: format!("`{}` has {} lines, at most {FUNCTION_LINES_MAX}: branch here, work in parts", function.name, function.lines()),
    })
    .collect()
}

fn too_long_file(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let what = format!("the file has {lines} lines, at most {FILE_LINES_MAX}: split it by what its parts are for");
    if lines > FILE_LINES_MAX { vec![Finding { path: source.path.clone(), line: 0, what }] } else { Vec::new() }
}

#[test]
fn functions_are_short() {
    over_sources(|source| {
        let is_excepted = |finding: &Finding| {
            let name = finding.what.split('`').nth(1);
            is_excepted(&source.path, name)
        };
        too_long_functions(source).into_iter().filter(|finding| !is_excepted(finding)).collect()
    });
}

#[test]
fn files_are_short() {
    over_sources(|source| if is_excepted(&source.path, None) { Vec::new() } else { too_long_file(source) });
}

#[test]
fn every_exception_is_still_needed() {
    let sources = tree::sources();
    let is_needed = |exception: &Exception| {
        let source = sources.iter().find(|source| source.path == exception.path);
        source.is_some_and(|source| match exception.function {
            None => !too_long_file(source).is_empty(),
            Some(name) => functions(source).iter().any(|function| function.name == name && function.lines() > FUNCTION_LINES_MAX),
        })
    };
    let stale = EXCEPTIONS.iter().filter(|exception| !is_needed(exception));
    let what = |exception: &Exception| format!("{:?} is short now: take it out of the exceptions", exception.function);
    demand_none(stale.map(|exception| Finding { path: exception.path.to_owned(), line: 0, what: what(exception) }).collect());
}

#[test]
fn control_a_long_function_is_found() {
    let of = |lines: usize| format!("fn short() {{}}\nfn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2));
    assert_eq!(lines_found(too_long_functions, "a.rs", &of(FUNCTION_LINES_MAX)), NOTHING);
    assert_eq!(lines_found(too_long_functions, "a.rs", &of(FUNCTION_LINES_MAX + 1)), [2]);
}

#[test]
fn control_a_long_file_is_found() {
    assert_eq!(lines_found(too_long_file, "a.rs", &"\n".repeat(FILE_LINES_MAX)), NOTHING);
    assert_eq!(lines_found(too_long_file, "a.rs", &"\n".repeat(FILE_LINES_MAX + 1)), [0]);
}
