//! `ordermill migrate`: the store's schema, brought up to date.

use super::output::Output;
use super::{Failure, Global, Outcome, boot};

pub(super) async fn run(global: &Global, output: &Output) -> Outcome {
    let loaded = boot::load(global, None)?;
    let store = boot::open_store(&loaded.config).await?;
    let ran = store.migrate().await;
    store.close().await;
    let ran = ran.map_err(|error| Failure::unavailable(error.to_string()))?;
    if ran.is_empty() {
        output.note("nothing to do: the schema is up to date");
    }
    for name in ran {
        output.line(&name);
    }
    Ok(())
}
