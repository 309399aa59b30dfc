//! Documents and code point at each other, and what they point at is there: links between pages, paths that pages name,
//! numbers of faults and invariants that comments name.

use super::source::{Source, is_word};
use super::{Finding, demand_none, lines_found, over_sources, tree};

/// The pages that people read.
fn pages() -> Vec<String> {
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    own.into_iter().map(ToOwned::to_owned).chain(tree::files("docs", ".md")).collect()
}

/// The targets of links to other files: `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.map(|target| target.split_once('#').map_or(target, |(file, _)| file))
}

/// The paths from the root that a line names in backticks.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    const BEGINNINGS: [&str; 6] = ["crates/", "docs/", "scripts/", ".ci/", ".config/", "openapi/"];
    let spans = line.split('`').skip(1).step_by(2);
    // `path::function`, `path/{a,b}.rs` and `path/…` name more than a file.
    let paths = spans.map(|span| span.split(['{', '…', '*', ' ', '<']).next().unwrap_or(span).split("::").next().unwrap_or(span));
    paths.filter(|path| BEGINNINGS.iter().any(|beginning| path.starts_with(beginning)))
}

/// What a page points at and is not there, with the lines.
fn dangling(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let resolve = |target: &str| {
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." | "" => {}
                part => parts.push(part),
            }
        }
        parts.join("/")
    };
    let mut dangling = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let linked = links(line).map(resolve);
        let named = named_paths(line).map(|path| path.trim_end_matches('/').to_owned());
        dangling.extend(linked.chain(named).filter(|path| !exists(path)).map(|path| (index + 1, path)));
    }
    dangling
}

#[test]
fn what_pages_point_at_is_there() {
    let mut findings = Vec::new();
    for page in pages() {
        for (line, path) in dangling(&page, &tree::read(&page), tree::exists) {
            findings.push(Finding { path: page.clone(), line, what: format!("there is no `{path}`") });
        }
    }
    demand_none(findings);
}

/// The numbers of faults and invariants (`F33`, `I7`) in a text, with their offsets.
fn numbers(text: &str) -> Vec<(usize, &str)> {
    let is_number = |word: &str| {
        let digits = word.strip_prefix(['F', 'I']).unwrap_or_default();
        (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split_inclusive(|character: char| !is_word(character)) {
        let bare = word.trim_end_matches(|character| !is_word(character));
        if is_number(bare) {
            found.push((at, bare));
        }
        at += word.len();
    }
    found
}

/// Numbers in comments that the page does not explain.
fn unexplained(source: &Source, page: &str) -> Vec<Finding> {
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")).map(|(cell, _)| cell).collect();
    let explained: Vec<&str> = rows.iter().flat_map(|cell| cell.split(", ")).collect();
    let used = source.comments.iter().flat_map(|range| {
        let numbers = numbers(&source.text[range.clone()]);
        numbers.into_iter().map(move |(at, number)| (range.start + at, number))
    });
    let unexplained = used.filter(|(_, number)| !explained.contains(number));
    unexplained.map(|(at, number)| source.finding(at, format!("ARCHITECTURE.md does not say what `{number}` is"))).collect()
}

#[test]
fn every_number_in_a_comment_is_explained() {
    let page = tree::read("ARCHITECTURE.md");
    over_sources(|source| unexplained(source, &page));
}

#[test]
fn control_unexplained_numbers_are_found() {
    let page = "| I1, I2 | never |\n| F33 | lost |\nI9 | F9\n";
    let text = "//! F33 and (I2).\n// F9: I9\nlet F8 = \"F7\"; // F123, aF1, F1x\n";
    assert_eq!(lines_found(|source| unexplained(source, page), "a.rs", text), [2, 2]);
}

#[test]
fn control_dangling_paths_are_found() {
    let text =
        "[a](b.md) [c](../README.md#top) [d](https://example.com/e.md) [f](#g)\n`crates/x/src/y.rs::z` and `crates/{a,b}`\n`docs/h.md`\n";
    let there = ["docs/b.md", "README.md", "crates"];
    let found = dangling("docs/page.md", text, |path| there.contains(&path));
    assert_eq!(found, [(2, "crates/x/src/y.rs".to_owned()), (3, "docs/h.md".to_owned())]);
}
