//! What only the shared store promises: its statements, its server, commits whose answer is lost, rivals on other nodes,
//! and servers that die. What all stores promise stands in [`crate::conformance`].

mod budget;
mod death;
mod doubt;
mod nodes;
mod plans;
mod poison;
mod proxy;
mod schema;
mod tls;

use ordermill_store::Store;
use ordermill_store::postgres::PostgresStore;
use ordermill_store::postgres::throwaway::{fresh_schema, shared_url};

/// A migrated store in a schema of its own, and the URL that leads there.
pub(crate) async fn fresh_at(server: &str) -> (PostgresStore, String) {
    let url = fresh_schema(server).await.expect("a schema");
    let store = PostgresStore::open(&url).await.expect("a store");
    store.migrate().await.expect("migrations");
    (store, url)
}

/// A migrated store in a schema of its own on the server that all tests share.
pub(crate) async fn fresh() -> PostgresStore {
    fresh_at(&shared_url().expect("a server")).await.0
}

/// A plain client in the schema of a test URL, for looking and for doing damage.
pub(crate) async fn client_of(url: &str) -> tokio_postgres::Client {
    let (base, schema) = url.split_once("?unsafe_fsync=allow&schema=").expect("a test URL");
    let mut config: tokio_postgres::Config = base.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Available and reserved goods.
async fn stock_of(store: &PostgresStore, sku: &str) -> (i64, i64) {
    let levels = store.stock(&[sku.to_owned()]).await.expect("stock");
    (levels[0].available, levels[0].reserved)
}

#[tokio::test]
async fn every_statement_prepares() {
    let (_store, url) = fresh_at(&shared_url().expect("a server")).await;
    let client = client_of(&url).await;
    for sql in PostgresStore::statements() {
        if let Err(error) = client.prepare(sql).await {
            panic!("{error:?}\n{sql}");
        }
    }
}
