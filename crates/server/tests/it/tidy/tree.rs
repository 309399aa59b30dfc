//! What there is to look at: the files of the repository.

use super::source::Source;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file's text, by its path from the root.
pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether there is such a file or folder.
pub(super) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// The crates' folders, from the root.
pub(super) fn crates() -> Vec<String> {
    let mut crates: Vec<String> = names_in("crates").into_iter().map(|name| format!("crates/{name}")).collect();
    crates.retain(|folder| exists(&format!("{folder}/Cargo.toml")));
    crates
}

/// Every file below a folder that ends like this, sorted, from the root.
pub(super) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder) {
            let path = format!("{folder}/{name}");
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Every source file of every crate. Modules that are declared for tests only, and everything in `tests`, `benches` and
/// `examples`, are marked as test code.
pub(super) fn sources() -> Vec<Source> {
    let paths = crates().into_iter().flat_map(|folder| files(&folder, ".rs"));
    let mut sources: Vec<Source> = paths.map(|path| Source::new(&path, &read(&path))).collect();
    let tests = test_files(&sources);
    for source in &mut sources {
        let is_outside = ["/tests/", "/benches/", "/examples/"].iter().any(|folder| source.path.contains(folder));
        if is_outside || tests.contains(&source.path) {
            source.is_test_from_here();
        }
    }
    sources
}

/// The files of modules declared behind `#[cfg(test)]`, and of their own modules.
fn test_files(sources: &[Source]) -> HashSet<String> {
    let mut tests = HashSet::new();
    loop {
        let before = tests.len();
        for source in sources {
            let folder = module_folder(&source.path);
            for (name, is_test) in source.declared_modules() {
                if is_test || tests.contains(&source.path) {
                    tests.insert(format!("{folder}/{name}.rs"));
                }
            }
        }
        if tests.len() == before {
            return tests;
        }
    }
}

/// Where the modules of a file stand.
fn module_folder(path: &str) -> &str {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "lib.rs" | "main.rs") { folder } else { path.trim_end_matches(".rs") }
}

#[test]
fn modules_for_tests_are_found_through_their_declarations() {
    let sources = [
        Source::new("crates/x/src/lib.rs", "mod a;"),
        Source::new("crates/x/src/a.rs", "#[cfg(test)]\nmod proofs;\nmod b;"),
        Source::new("crates/x/src/a/proofs.rs", "mod deep;"),
    ];
    let mut tests: Vec<String> = test_files(&sources).into_iter().collect();
    tests.sort();
    assert_eq!(tests, ["crates/x/src/a/proofs.rs", "crates/x/src/a/proofs/deep.rs"]);
}

#[test]
fn the_tree_is_not_empty() {
    let sources = sources();
    let has = |path: &str| sources.iter().any(|source| source.path == path);
    assert!(has("crates/core/src/lib.rs") && has("crates/store/src/lib.rs") && has("crates/server/src/lib.rs"));
}
