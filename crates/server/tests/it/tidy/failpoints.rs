//! The list of fail points and the steps that carry them are the same: the crash test walks the list, and a step with a
//! name of its own would never be tried.

use super::source::Source;
use super::{Finding, demand_none, lines_found, over_sources, tree};
use ordermill_store::failpoint::NAMES;

/// Names whose step is not written yet, and where it will be.
const NOT_YET: &[(&str, &str)] = &[];

/// The names at the steps, with their offsets.
fn hits(source: &Source) -> Vec<(usize, &str)> {
    let called = source.words("hit").filter(|at| source.code[at + "hit".len()..].starts_with("(\"") && !source.is_test(*at));
    let named = called.filter_map(|at| source.strings.iter().find(|range| range.start > at).map(|range| (at, &source.text[range.clone()])));
    named.collect()
}

fn unknown_names(source: &Source) -> Vec<Finding> {
    let unknown = hits(source).into_iter().filter(|(_, name)| !NAMES.contains(name));
    unknown.map(|(at, name)| source.finding(at, format!("there is no fail point `{name}` in failpoint::NAMES"))).collect()
}

/// Names of the list that no step carries, apart from those that wait for theirs.
fn idle<'a>(names: &[&'a str], sources: &[Source], not_yet: &[(&str, &str)]) -> Vec<&'a str> {
    let is_hit = |name: &str| sources.iter().flat_map(hits).any(|(_, hit)| hit == name);
    names.iter().copied().filter(|name| !is_hit(name) && !not_yet.iter().any(|(waiting, _)| waiting == name)).collect()
}

#[test]
fn every_step_has_a_name_of_the_list() {
    over_sources(unknown_names);
}

#[test]
fn every_name_of_the_list_has_a_step() {
    let finding = |name: &str| Finding {
        path: "crates/store/src/failpoint.rs".to_owned(),
        line: 0,
        what: format!("no step carries the fail point `{name}`"),
    };
    demand_none(idle(NAMES, &tree::sources(), NOT_YET).into_iter().map(finding).collect());
}

#[test]
fn no_name_waits_for_a_step_that_is_there() {
    let sources = tree::sources();
    let stale: Vec<&str> = NOT_YET.iter().map(|(name, _)| *name).filter(|name| !idle(&[name], &sources, &[]).contains(name)).collect();
    assert_eq!(stale, [""; 0], "these have their step now");
}

#[test]
fn control_unknown_and_idle_names_are_found() {
    let text = "failpoint::hit(\"no.such.step\")?;\nhit(\"store.before_commit\")?;\n// hit(\"neither\")\n\
                #[cfg(test)]\nmod tests { fn a() { hit(\"nor.this\"); } }\n";
    assert_eq!(lines_found(unknown_names, "crates/store/src/a.rs", text), [1]);
    let sources = [Source::new("crates/store/src/a.rs", text)];
    assert_eq!(idle(&["store.before_commit", "a", "b"], &sources, &[("b", "later")]), ["a"]);
}
