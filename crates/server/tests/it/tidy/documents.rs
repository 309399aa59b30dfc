//! What the documents point at is there: links between pages, and every path of the repository that they name.

use super::{Finding, demand_none, tree};

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

#[test]
fn control_dangling_paths_are_found() {
    let text =
        "[a](b.md) [c](../README.md#top) [d](https://example.com/e.md) [f](#g)\n`crates/x/src/y.rs::z` and `crates/{a,b}`\n`docs/h.md`\n";
    let there = ["docs/b.md", "README.md", "crates"];
    let found = dangling("docs/page.md", text, |path| there.contains(&path));
    assert_eq!(found, [(2, "crates/x/src/y.rs".to_owned()), (3, "docs/h.md".to_owned())]);
}
