//! A look at a schema that may hold a store, before anybody decides to open it. Nothing is made and nothing is changed,
//! so this file must not take what it finds for up to date.

use super::connect::Endpoint;
use super::keys::{column, read_body};
use super::migrate;
use super::trouble::{Trouble, answer};
use crate::{Inspection, OpenError};
use ordermill_core::change::Setting;
use tokio_postgres::Client;

const HAS_TABLE: &str = "SELECT to_regclass($1) IS NOT NULL";
const ANY_ORDER: &str = "SELECT EXISTS (SELECT 1 FROM orders)";
const ANY_PRODUCT: &str = "SELECT EXISTS (SELECT 1 FROM products)";
const ANY_USER: &str = "SELECT EXISTS (SELECT 1 FROM users)";
const MARK: &str = "SELECT format, body FROM settings WHERE name = $1";

/// Every statement of this file, for the test that prepares them.
#[cfg(feature = "test-support")]
pub(super) const STATEMENTS: &[&str] = &[HAS_TABLE, ANY_ORDER, ANY_PRODUCT, ANY_USER, MARK];

/// What lies in the schema that a URL names.
pub(super) async fn inspect(url: &str, mark: &str) -> Result<Inspection, OpenError> {
    let endpoint = Endpoint::parse(url)?;
    let failed = |trouble: Trouble| OpenError::Failed(trouble.why());
    let client = endpoint.connect().await.map_err(failed)?;
    endpoint.check_server(&client).await?;
    answer(look(&client, mark)).await.map_err(failed)
}

async fn look(client: &Client, mark: &str) -> Result<Inspection, Trouble> {
    let pending_migrations = migrate::pending_names(client).await?;
    let is_store = pending_migrations.len() < migrate::count();
    let mark = if is_store && has_table(client, "settings").await? { value_of(client, mark).await? } else { None };
    let mut is_filled = false;
    for (table, any) in [("orders", ANY_ORDER), ("products", ANY_PRODUCT), ("users", ANY_USER)] {
        is_filled |= has_table(client, table).await? && column::<bool>(&client.query_one(any, &[]).await?, 0)?;
    }
    Ok(Inspection { is_store, pending_migrations, mark, is_filled })
}

async fn has_table(client: &Client, name: &str) -> Result<bool, Trouble> {
    column(&client.query_one(HAS_TABLE, &[&name]).await?, 0)
}

async fn value_of(client: &Client, setting: &str) -> Result<Option<String>, Trouble> {
    let Some(row) = client.query_opt(MARK, &[&setting]).await? else { return Ok(None) };
    let setting: Setting = read_body(|| format!("setting {setting}"), column(&row, 0)?, column(&row, 1)?)?;
    Ok(Some(setting.value))
}
