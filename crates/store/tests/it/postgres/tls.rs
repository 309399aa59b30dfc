//! Encrypted connections: the server must prove who it is by a certificate that the URL trusts, or nothing is said to it.
//! The keys beside this file were made for it, are good for 127.0.0.1 only, and protect nothing.

use super::fresh_at;
use ordermill_store::conformance::fixture::{Fixture, commit};
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::{ThrowawayPostgres, fresh_schema};
use ordermill_store::{OpenError, Store};
use std::path::Path;

const SERVER_CERTIFICATE: &str = include_str!("tls/server.pem");
const SERVER_KEY: &str = include_str!("tls/server.key");

fn trusting(url: &str, certificate: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/postgres/tls").join(certificate);
    format!("{url}&sslmode=require&sslrootcert={}", path.display())
}

#[tokio::test]
async fn a_server_is_believed_only_with_its_certificate() {
    let files = [("server.crt", SERVER_CERTIFICATE), ("server.key", SERVER_KEY)];
    let server = ThrowawayPostgres::start_with(&["ssl=on"], &files).expect("a server");
    let url = fresh_schema(&server.url()).await.expect("a schema");

    let store = PostgresStore::open(&trusting(&url, "ca.pem")).await.expect("a trusted server");
    store.migrate().await.expect("migrations");
    commit(&store, &Fixture::new().adjust("shirt", 1)).await;
    let uses = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                WHERE application_name = 'ordermill' AND backend_type = 'client backend'";
    let row = super::client_of(&url).await.query_one(uses, &[]).await.expect("connections");
    let (encrypted, all): (i64, i64) = (row.get(0), row.get(1));
    assert!(all >= 1 && encrypted == all, "{encrypted} of {all} connections are encrypted");

    let refused = PostgresStore::open(&trusting(&url, "stranger.pem")).await;
    assert!(matches!(&refused, Err(OpenError::Failed(why)) if why.contains("TLS")), "{refused:?}");
    let refused = PostgresStore::open(&trusting(&url, "missing.pem")).await;
    assert!(matches!(&refused, Err(OpenError::Failed(why)) if why.contains("missing.pem")), "{refused:?}");
    let refused = PostgresStore::open(&format!("{url}&sslmode=verify-full")).await;
    assert!(matches!(&refused, Err(OpenError::Failed(why)) if why.contains("sslrootcert")), "{refused:?}");
}

#[tokio::test]
async fn a_server_without_encryption_is_not_spoken_to_in_the_clear() {
    let server = ThrowawayPostgres::start().expect("a server");
    let (_, url) = fresh_at(&server.url()).await;
    let refused = PostgresStore::open(&trusting(&url, "ca.pem")).await;
    assert!(matches!(&refused, Err(OpenError::Failed(_))), "{refused:?}");
}
