//! The style, made executable: rules over the sources, the manifests and the documents of every crate.
//!
//! Each rule is a pure function from what it looks at to its findings, is run over everything, and has a control: a bad
//! piece of text that it must find and a good one that it must let pass. A rule that a place must break has a list of
//! exceptions with reasons beside it, and an exception that nothing needs any more is a finding too. Nothing here looks
//! at what the code does; that is what the other tests are for.

mod dependencies;
mod documents;
mod failpoints;
mod functions;
mod layers;
mod paths;
mod sizes;
mod source;
mod tree;
mod words;

use source::Source;
use std::fmt;

/// Something that a rule objects to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, from the root of the repository.
    path: String,
    /// The line, from 1; 0 when it is about the whole file.
    line: usize,
    /// What is wrong and what to do.
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Runs a rule over all sources.
fn over_sources(rule: impl Fn(&Source) -> Vec<Finding>) {
    demand_none(tree::sources().iter().flat_map(rule).collect());
}

/// Fails with everything that was found, not only the first.
fn demand_none(mut findings: Vec<Finding>) {
    findings.sort();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} findings:\n{}\n", findings.len(), lines.join("\n"));
}

/// For controls: no line is found.
const NOTHING: [usize; 0] = [];

/// For controls: the lines that a rule objects to in a piece of text.
fn lines_found(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = rule(&Source::new(path, text)).into_iter().map(|finding| finding.line).collect();
    lines.sort_unstable();
    lines
}
