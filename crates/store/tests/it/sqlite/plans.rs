//! Every statement prepares on the migrated schema, and none of them walks a table or sorts one that it need not.

use super::{Folder, fresh};
use ordermill_store::Store;
use ordermill_store::sqlite::SqliteStore;
use std::collections::HashSet;

/// Statements that look at a whole table, and why that is right.
const WALKS: [(&str, &str); 9] = [
    ("CATALOGUE_STAMP", "all products, from an index without their bodies"),
    ("PRODUCTS", "all products are wanted"),
    ("JOB_COUNTS", "counts for people and metrics"),
    ("DEAD_COUNTS", "counts for people and metrics"),
    ("CIRCUITS", "one row per queue"),
    ("PAUSES", "one row per queue"),
    ("END_LEASES", "once, at opening"),
    ("ANSWER", "the schema itself"),
    ("HAS_TABLE", "the schema itself"),
];

#[tokio::test]
async fn every_statement_prepares() {
    let folder = Folder::new();
    fresh(&folder).await.close().await;
    let db = folder.connect();
    let statements = SqliteStore::statements();
    assert!(statements.len() > 90, "only {} statements are listed", statements.len());
    for (name, text) in statements {
        db.prepare(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A list that only a macro fills is complete exactly if no file hands text to the engine by itself.
#[test]
fn no_statement_escapes_the_list() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite");
    let listed = std::fs::read_to_string(source.join("statement.rs")).expect("statement.rs");
    for entry in std::fs::read_dir(source).expect("the sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() || ["statement", "migrate"].contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        for call in [".prepare(\"", ".prepare_cached(", ".query_row(", ".execute_batch(", "format!(\"SELECT", "format!(\"INSERT"] {
            assert!(!text.contains(call), "{name} calls {call}");
        }
        if text.contains("statements! {") {
            assert!(listed.contains(&format!("super::{name}::STATEMENTS")), "the statements of {name} are not in the list");
        }
    }
}

#[tokio::test]
async fn no_statement_walks_or_sorts_a_table_without_need() {
    let folder = Folder::new();
    fresh(&folder).await.close().await;
    let db = folder.connect();
    let mut walking = HashSet::new();
    for (name, text) in SqliteStore::statements() {
        let Ok(mut statement) = db.prepare(&format!("EXPLAIN QUERY PLAN {text}")) else { continue };
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        let steps = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).expect("a plan");
        for step in steps {
            let step = step.expect("a step");
            if step.starts_with("SCAN") && !step.starts_with("SCAN CONSTANT") && !is_ordered_walk(&step, text) {
                walking.insert(name);
                assert!(WALKS.iter().any(|(known, _)| *known == name), "{name}: {step}");
            }
            assert!(!step.contains("TEMP B-TREE FOR ORDER BY"), "{name}: {step}");
        }
    }
    for (known, _) in WALKS {
        assert!(walking.contains(known), "{known} no longer walks its table: take it off the list");
    }
}

/// A walk along an index that stops at a limit is what lists do.
fn is_ordered_walk(step: &str, text: &str) -> bool {
    step.contains("USING") && text.contains("LIMIT")
}
