//! Every statement finds its rows by an index, also when it was planned while its tables were empty.

use super::{client_of, fresh_at};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::shared_url;
use tokio_postgres::SimpleQueryMessage;

/// Statements that read a whole table on purpose, by a piece of each.
const WHOLE_TABLES: &[&str] = &[
    // Counts products, and reads them all when the count changed.
    "FROM products",
    // All queues at once: a page for people.
    "AS running",
    // All queues' jobs by due time: another one.
    "($2::text IS NULL",
    "$2::text IS NULL AND due_at",
    // Exhausted jobs can be anywhere; they are paged by key.
    "j.attempt - j.uncounted >= j.max_attempts AND",
    // A few rows in all.
    "FROM migrations",
];

#[tokio::test]
async fn no_statement_scans_a_table() {
    let (_store, url) = fresh_at(&shared_url().expect("a server")).await;
    let client = client_of(&url).await;
    // As on the store's own connections, and planned without looking at the parameters.
    let planner =
        "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan";
    client.batch_execute(planner).await.expect("settings");
    let mut checked = 0;
    for sql in PostgresStore::statements() {
        let is_plain = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| sql.starts_with(verb));
        if !is_plain || WHOLE_TABLES.iter().any(|piece| sql.contains(piece)) {
            continue;
        }
        let params = client.prepare(sql).await.expect("a statement").params().len();
        let nulls = if params == 0 { String::new() } else { format!("({})", vec!["NULL"; params].join(", ")) };
        client.batch_execute(&format!("PREPARE probe AS {sql}")).await.expect("prepared");
        let plan = client.simple_query(&format!("EXPLAIN EXECUTE probe{nulls}")).await.expect("a plan");
        client.batch_execute("DEALLOCATE probe").await.expect("gone");
        let lines = plan.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
        let lines: Vec<&str> = lines.collect();
        assert!(!lines.iter().any(|line| line.contains("Seq Scan")), "{sql}\n{}", lines.join("\n"));
        checked += 1;
    }
    assert!(checked > 80, "only {checked} statements were looked at");
}
