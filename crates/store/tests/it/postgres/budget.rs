//! What the hot path costs: index entries and WAL of one order, and claims that touch no index.

use super::{client_of, fresh_at};
use ordermill_core::change::{IdempotencyRow, Row};
use ordermill_core::job::Outcome;
use ordermill_store::conformance::fixture::{Fixture, commit, job};
use ordermill_store::postgres::throwaway::ThrowawayPostgres;
use ordermill_store::{ClaimTarget, Store};
use std::sync::Arc;

/// Entries that a new pending order leaves in the indexes of a table: partial indexes it does not qualify for stay out, and
/// a BRIN index has none per row.
const INDEX_ENTRIES: &str = "SELECT count(*) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam \
     WHERE i.indrelid = ANY(ARRAY['orders', 'events', 'idempotency', 'batches']::regclass[]) AND a.amname <> 'brin' \
     AND x.relname NOT IN ('orders_rare_status', 'orders_rare_payment_status', 'events_paid_once')";

#[tokio::test]
async fn an_order_stays_within_its_budget() {
    let server = ThrowawayPostgres::start().expect("a server");
    let (store, url) = fresh_at(&server.url()).await;
    let client = client_of(&url).await;
    let entries: i64 = client.query_one(INDEX_ENTRIES, &[]).await.expect("indexes").get(0);
    assert!(entries <= 9, "an order leaves {entries} index entries");

    let fixture = Fixture::new();
    let shirt = fixture.goods("shirt");
    commit(&store, &fixture.adjust("shirt", 10_000)).await;
    let place = |number| {
        let (order, placed) = fixture.place(number, &[(&shirt, 1)]);
        let mut change = Arc::unwrap_or_clone(placed);
        change.insert(Row::Idempotency(IdempotencyRow { result: order.id, ..fixture.idempotency(order.id) }));
        Arc::new(change)
    };
    let mut number = 0;
    let mut wal = Vec::new();
    // Pages are written whole the first time after a checkpoint; the second half meets few of those.
    for measured in [false, true] {
        for _ in 0..300 {
            number += 1;
            let change = place(number);
            let before: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.expect("lsn").get(0);
            commit(&store, &change).await;
            let bytes = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), ($1::text)::pg_lsn)::bigint";
            let bytes: i64 = client.query_one(bytes, &[&before]).await.expect("lsn").get(0);
            if measured {
                wal.push(bytes);
            }
        }
    }
    wal.sort_unstable();
    let median = wal[wal.len() / 2];
    assert!(median <= 3 * 1_024, "an order costs {median} bytes of WAL");
}

#[tokio::test]
async fn claims_touch_no_index() {
    let server = ThrowawayPostgres::start().expect("a server");
    let (store, url) = fresh_at(&server.url()).await;
    let fixture = Fixture::new();
    for chunk in (0..1_000).collect::<Vec<_>>().chunks(50) {
        commit(&store, &fixture.queue(chunk.iter().map(|n| job("email", &format!("g{n}"), 1)))).await;
    }
    let mut claimed = 0;
    while claimed < 1_000 {
        let jobs = store.claim(&ClaimTarget::Queue("email".to_owned()), 10, 60_000, "w").await.expect("claim");
        claimed += jobs.len();
        for job in jobs {
            commit(&store, &fixture.finish(&job.claim(), Outcome::Done)).await;
        }
    }
    // Sessions report their counters when they end.
    store.close().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let row = client_of(&url).await.query_one("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'", &[]).await;
    let row = row.expect("statistics");
    let (updates, hot): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(updates, 1_000);
    assert!(hot >= 990, "{hot} of {updates} claims were heap-only");
}
