//! The hot path's budget (architecture.md §2): placing one order of two lines by bank transfer, under an idempotency key,
//! writes at most 4 + lines rows, leaves at most 9 index entries and, on Postgres, at most 3 KiB of log. Each order is
//! committed alone here, which is the dearest way: a batch shares its own row and its commit record. The mail that an order
//! was received is not in it: a job is a row of its own, and `[mail] order_received` switches it off.

use ordermill_core::account::User;
use ordermill_core::catalogue::Product;
use ordermill_core::change::{Change, Row};
use ordermill_core::order::PaymentMethod;
use ordermill_store::Store;
use ordermill_store::conformance::fixture::{Fixture, NOW, commit, customer};
use std::sync::Arc;

/// Rows besides one per line: the order, its event, the idempotency row, and one for the batch.
const ROWS_MAX: u64 = 4;
/// Entries in indexes; what an index-organised table keeps its rows in counts as one.
const INDEX_ENTRIES_MAX: i64 = 9;
const LINES: u64 = 2;
/// How much of each of the goods there is.
const STOCK: i64 = 1_000_000;

/// Goods and somebody with an account, who orders both of them again and again.
struct Shop {
    fixture: Fixture,
    goods: [Product; 2],
    buyer: User,
}

impl Shop {
    async fn open(store: &dyn Store) -> Self {
        let fixture = Fixture::new();
        let goods = ["cup", "tee"].map(|sku| fixture.goods(sku));
        for product in &goods {
            commit(store, &fixture.adjust(&product.sku, STOCK)).await;
        }
        let buyer = fixture.user("an@example.com");
        Self { fixture, goods, buyer }
    }

    /// The change that places the order of this number, as the server makes it.
    fn order(&self, number: i64) -> Arc<Change> {
        let [cup, tee] = &self.goods;
        let who = customer(&self.buyer);
        let (order, placed) = self.fixture.place_as(number, PaymentMethod::BankTransfer, who, NOW, &[(cup, 1), (tee, 2)]);
        let mut change = Arc::unwrap_or_clone(placed);
        change.insert(Row::Idempotency(self.fixture.idempotency(order.id)));
        Arc::new(change)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::{INDEX_ENTRIES_MAX, LINES, ROWS_MAX, Shop, commit};
    use crate::sqlite::Folder;
    use ordermill_core::change::Row;
    use ordermill_store::Store;
    use ordermill_store::sqlite::{SqliteStore, baseline};
    use std::time::Duration;

    /// The tables that an order gets a row in, and which row that is.
    const TABLES: [(&str, &str); 3] = [
        ("orders", "number = 2"),
        ("events", "order_id = (SELECT id FROM orders WHERE number = 2)"),
        ("idempotency", "result = (SELECT id FROM orders WHERE number = 2)"),
    ];

    #[tokio::test]
    async fn an_order_stays_within_its_budget() {
        let folder = Folder::new();
        let store = SqliteStore::open(&folder.database()).await.expect("a store");
        store.migrate().await.expect("migrations");
        let shop = Shop::open(&store).await;
        commit(&store, &shop.order(1)).await;

        let before = store.total_changes().await.expect("a count");
        commit(&store, &shop.order(2)).await;
        let written = store.total_changes().await.expect("a count") - before;
        assert!(written <= ROWS_MAX + LINES, "an order writes {written} rows");
        store.close().await;

        let entries = index_entries(&folder.connect());
        assert!(entries <= INDEX_ENTRIES_MAX, "an order leaves {entries} index entries");
        assert!(entries >= 4, "by id, by customer, its event, its request: {entries} were counted");
    }

    /// Counts, for each new row, the indexes whose predicate holds for it. Changing stock touches none: neither count is in
    /// an index.
    fn index_entries(db: &rusqlite::Connection) -> i64 {
        let mut entries = 0;
        for (table, row) in TABLES {
            let mut list = db.prepare("SELECT name, origin, partial FROM pragma_index_list(?1)").expect("SQL");
            let indexes: Vec<(String, String, bool)> = list
                .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .expect("SQL")
                .map(|row| row.expect("a row"))
                .collect();
            for (name, _, is_partial) in indexes {
                let predicate = if is_partial { predicate(db, &name) } else { "1".to_owned() };
                let sql = format!("SELECT count(*) FROM {table} WHERE {row} AND ({predicate})");
                entries += db.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("SQL");
            }
        }
        entries
    }

    fn predicate(db: &rusqlite::Connection, index: &str) -> String {
        let sql: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [index], |row| row.get(0)).expect("an index");
        sql.split_once(" WHERE ").expect("a predicate").1.to_owned()
    }

    /// What the store is compared with must be no lighter than what the store does.
    #[tokio::test]
    async fn the_baseline_writes_what_an_order_is() {
        let folder = Folder::new();
        let store = SqliteStore::open(&folder.database()).await.expect("a store");
        store.migrate().await.expect("migrations");
        let shop = Shop::open(&store).await;
        let change = shop.order(1);
        store.close().await;
        let order = change.puts.iter().find_map(|row| if let Row::Order(order) = row { Some(order) } else { None }).expect("an order");
        let body = serde_json::to_string(order).expect("JSON").len();
        let data = serde_json::to_string(&change.events[0].data).expect("JSON").len();
        assert!(body.abs_diff(baseline::ORDER_BYTES) < body / 10, "an order's body has {body} bytes");
        assert!(data.abs_diff(baseline::EVENT_BYTES) < data / 10, "an event's data have {data} bytes");
        let path = folder.path().join("baseline.db");
        let rate = tokio::task::spawn_blocking(move || baseline::run(&path, Duration::from_millis(200))).await.expect("an end");
        assert!(rate.expect("a rate") > 0.0);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{INDEX_ENTRIES_MAX, LINES, ROWS_MAX, Shop, commit};
    use crate::postgres::{client_of, fresh_at};
    use ordermill_store::Store;
    use ordermill_store::postgres::throwaway::ThrowawayPostgres;
    use std::time::Duration;
    use tokio_postgres::Client;

    const LOG_BYTES_MAX: i64 = 3 * 1_024;
    /// Orders before the measured ones: their pages have been written whole by then, once per checkpoint.
    const WARM_UP: i64 = 200;
    const MEASURED: i64 = 50;
    /// Nobody else writes to the log meanwhile, and no checkpoint makes pages be written whole again.
    const QUIET: [&str; 2] = ["autovacuum=off", "checkpoint_timeout=1h"];

    #[tokio::test]
    async fn an_order_stays_within_its_budget() {
        let server = ThrowawayPostgres::start_with(&QUIET, &[]).expect("a server");
        let (store, url) = fresh_at(&server.url()).await;
        let client = client_of(&url).await;
        let shop = Shop::open(&store).await;
        for number in 1..=WARM_UP {
            commit(&store, &shop.order(number)).await;
        }

        let before: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.expect("a place in the log").get(0);
        for number in WARM_UP + 1..=WARM_UP + MEASURED {
            commit(&store, &shop.order(number)).await;
        }
        let bytes = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), ($1::text)::pg_lsn)::bigint / $2::bigint";
        let bytes: i64 = client.query_one(bytes, &[&before, &MEASURED]).await.expect("a length").get(0);
        assert!(bytes <= LOG_BYTES_MAX, "an order costs {bytes} bytes of log, on average of {MEASURED}");

        let (rows, entries) = rows_and_index_entries(&client, WARM_UP + MEASURED).await;
        assert!(rows <= ROWS_MAX + LINES, "an order writes {rows} rows");
        assert!(entries <= INDEX_ENTRIES_MAX, "an order leaves {entries} index entries");
        assert!(rows > LINES + 2 && entries >= 4, "order, event and request at least: {rows} rows, {entries} entries were counted");

        store.close().await;
        let (updates, hot) = stock_updates(&client).await;
        assert!(hot * 100 >= updates * 95, "{hot} of {updates} changes of stock left the indexes alone");
    }

    /// The rows that the order's own transaction wrote, whatever their table, and the entries they have in indexes: one per
    /// index whose predicate holds for the row. Rows of `stock` are changed in place, which is looked at by itself.
    async fn rows_and_index_entries(client: &Client, number: i64) -> (u64, i64) {
        let writer: String =
            client.query_one("SELECT xmin::text FROM orders WHERE number = $1", &[&number]).await.expect("it is there").get(0);
        let tables = "SELECT c.oid, c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace";
        let (mut rows, mut entries) = (0, 0);
        for table in client.query(tables, &[]).await.expect("tables") {
            let (oid, table): (u32, String) = (table.get(0), table.get(1));
            let written = count(client, &table, &writer, "true").await;
            rows += u64::try_from(written).expect("a count");
            if written == 0 || table == "stock" {
                continue;
            }
            let predicates = "SELECT coalesce(pg_get_expr(i.indpred, i.indrelid), 'true') FROM pg_index i \
                JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam WHERE i.indrelid = $1 AND a.amname <> 'brin'";
            for index in client.query(predicates, &[&oid]).await.expect("indexes") {
                entries += count(client, &table, &writer, index.get(0)).await;
            }
        }
        (rows, entries)
    }

    async fn count(client: &Client, table: &str, writer: &str, predicate: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE xmin::text = $1 AND ({predicate})");
        client.query_one(&sql, &[&writer]).await.expect("a count").get(0)
    }

    /// How often stock was changed, and how often without a new index entry. Sessions report that when they end.
    async fn stock_updates(client: &Client) -> (i64, i64) {
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'stock' AND schemaname = current_schema()";
        let expected = i64::try_from(LINES).expect("small") * (WARM_UP + MEASURED);
        for _ in 0..100 {
            let row = client.query_one(sql, &[]).await.expect("statistics");
            if row.get::<_, i64>(0) >= expected {
                return (row.get(0), row.get(1));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the statistics never came");
    }
}
