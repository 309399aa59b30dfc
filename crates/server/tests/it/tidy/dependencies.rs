//! What the manifests may say: which crate depends on what, every version in one place, every dependency with its reason.

use super::{Finding, demand_none, tree};
use toml::{Table, Value};

/// All that the pure crate may use.
const CORE: [&str; 7] = ["hex", "jiff", "ring", "serde", "serde_json", "thiserror", "uuid"];
/// What the store has nothing to do with.
const NOT_FOR_STORE: [&str; 8] = ["ordermill", "axum", "clap", "hyper", "lettre", "reqwest", "tower", "tower-http"];

fn manifest(path: &str) -> Table {
    tree::read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a table of a manifest, such as `dependencies`.
fn names(manifest: &Table, table: &str) -> Vec<String> {
    let table = manifest.get(table).and_then(Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

fn workspace_dependencies() -> Vec<String> {
    let root = manifest("Cargo.toml");
    names(root.get("workspace").and_then(Value::as_table).expect("the root is a workspace"), "dependencies")
}

fn finding(path: &str, what: String) -> Finding {
    Finding { path: path.to_owned(), line: 0, what }
}

/// Which of the dependencies of a crate it must not have.
fn forbidden(package: &str, dependencies: &[String]) -> Vec<String> {
    let is_forbidden = |name: &&String| match package {
        "ordermill-core" => !CORE.contains(&name.as_str()),
        "ordermill-store" => NOT_FOR_STORE.contains(&name.as_str()),
        _ => false,
    };
    dependencies.iter().filter(is_forbidden).cloned().collect()
}

/// What is not as in every manifest of ours.
fn oddities(manifest: &Table) -> Vec<String> {
    let mut oddities = Vec::new();
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, value) in manifest.get(table).and_then(Value::as_table).into_iter().flatten() {
            if value.get("workspace").and_then(Value::as_bool) != Some(true) {
                oddities.push(format!("`{name}`: its version stands in the workspace's table, here only `workspace = true`"));
            }
        }
    }
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if lints != Some(true) {
        oddities.push("`[lints] workspace = true` is missing".to_owned());
    }
    oddities
}

#[test]
fn dependencies_between_crates_point_one_way() {
    let mut findings = Vec::new();
    for folder in tree::crates() {
        let path = format!("{folder}/Cargo.toml");
        let manifest = manifest(&path);
        let package = manifest["package"]["name"].as_str().expect("a name");
        let wrong = forbidden(package, &names(&manifest, "dependencies"));
        findings.extend(wrong.into_iter().map(|name| finding(&path, format!("{package} must not depend on `{name}`"))));
        findings.extend(oddities(&manifest).into_iter().map(|what| finding(&path, what)));
    }
    demand_none(findings);
}

#[test]
fn every_dependency_is_used_by_a_crate() {
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let manifests: Vec<Table> = tree::crates().iter().map(|folder| manifest(&format!("{folder}/Cargo.toml"))).collect();
    let used: Vec<String> = manifests.iter().flat_map(|manifest| tables.iter().flat_map(|table| names(manifest, table))).collect();
    let unused = workspace_dependencies().into_iter().filter(|name| !used.contains(name));
    demand_none(unused.map(|name| finding("Cargo.toml", format!("no crate uses `{name}`"))).collect());
}

/// The names that a page gives a reason for: the first cells of its table rows.
fn explained(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split_once(" |")).map(|(cell, _)| format!("`{cell}"));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_dependency_has_its_reason() {
    let page = tree::read("CONTRIBUTING.md");
    let dependencies = page.split("\n## ").find(|section| section.starts_with("Dependencies")).expect("a section on dependencies");
    let explained = explained(dependencies);
    let ours: Vec<String> = workspace_dependencies().into_iter().filter(|name| !name.starts_with("ordermill")).collect();
    let missing = ours.iter().filter(|name| !explained.contains(name));
    let stale = explained.iter().filter(|name| !ours.contains(name));
    let missing = missing.map(|name| finding("CONTRIBUTING.md", format!("why do we depend on `{name}`?")));
    let stale = stale.map(|name| finding("CONTRIBUTING.md", format!("we do not depend on `{name}`")));
    demand_none(missing.chain(stale).collect());
}

#[test]
fn control_wrong_dependencies_are_found() {
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(forbidden("ordermill-core", &of(&["serde", "tokio", "ordermill-store"])), ["tokio", "ordermill-store"]);
    assert_eq!(forbidden("ordermill-store", &of(&["tokio", "ordermill"])), ["ordermill"]);
    let odd: Table = "[dependencies]\nserde = \"1\"\ntokio = { workspace = true, optional = true }\n".parse().expect("a manifest");
    assert_eq!(oddities(&odd).len(), 2);
    let fine: Table = "[dependencies]\nserde.workspace = true\n[lints]\nworkspace = true\n".parse().expect("a manifest");
    assert_eq!(oddities(&fine), [""; 0]);
}

#[test]
fn control_reasons_are_read_from_tables() {
    let page = "text `no`\n| crate | why |\n|---|---|\n| `a` | for `x` |\n| `b`, `c-d` | y |\n";
    assert_eq!(explained(page), ["a", "b", "c-d"]);
}
