//! `ordermill serve`: production. Refuses unsafe or missing settings, and rows that `dev` made.

use super::boot::{self, Access, DEV, MADE_BY};
use super::logging::Traces;
use super::node::{self, Duties, Listeners};
use super::{Failure, Global, Outcome, dev, logging};
use crate::config::{Loaded, Mode, refuse_unsafe};
use ordermill_core::change::{Key, Row};
use std::net::SocketAddr;

pub(super) async fn run(global: &Global, listen: Option<SocketAddr>, no_worker: bool) -> Outcome {
    let (node, _traces) = prepare(global, listen).await?;
    let duties = Duties { api: true, worker: !no_worker };
    let listeners = Listeners::bind(&node.app.config, duties).await?;
    tracing::info!(listen = %node.app.config.server.listen, "serving");
    node::run(node, listeners, duties).await
}

/// A production node, checked, and what sends its last traces when it is let go.
pub(super) async fn prepare(global: &Global, listen: Option<SocketAddr>) -> Result<(boot::Node, Traces), Failure> {
    let Loaded { config, .. } = boot::load(global, listen)?;
    let traces = logging::start(&config);
    if config.mode == Mode::Dev {
        return Err(Failure::usage("this data folder was made by `ordermill dev`; production needs one of its own (--data DIR)"));
    }
    for note in refuse_unsafe(&config).map_err(|error| Failure::usage(error.to_string()))? {
        tracing::warn!("{note}");
    }
    let node = boot::open(config, Access::Make).await?;
    if is_made_by_dev(&node).await? {
        node.close().await;
        return Err(Failure::usage("this store was filled by `ordermill dev`: its accounts have a known password; use a fresh store"));
    }
    Ok((node, traces))
}

/// Whether `dev` left its mark, or one of its accounts where somebody took the mark away.
async fn is_made_by_dev(node: &boot::Node) -> Result<bool, Failure> {
    let mark = Key::Setting(MADE_BY.to_owned());
    let accounts = dev::addresses().map(|address| Key::UserEmail(address.to_owned()));
    for key in std::iter::once(mark).chain(accounts) {
        let stored = node.app.store.get(&key).await.map_err(|error| Failure::unavailable(error.to_string()))?;
        match stored.map(|stored| stored.row) {
            Some(Row::Setting(setting)) if setting.value == DEV => return Ok(true),
            Some(Row::User(user)) if user.is_dev => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}
