//! What a claim costs: no index entry. What an order costs stands in [`crate::budget`], for every store.

use super::{client_of, fresh_at};
use ordermill_core::job::Outcome;
use ordermill_store::conformance::fixture::{Fixture, commit, job};
use ordermill_store::postgres::throwaway::ThrowawayPostgres;
use ordermill_store::{ClaimTarget, Store};

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
