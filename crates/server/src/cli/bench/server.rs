//! The process that is measured: `ordermill bench serve`, started by `place` on its own executable. Its standard input
//! tells it what to do and, when it ends, to stop; so it never outlives the one who started it.

use super::node;
use super::world::World;
use crate::cli::boot::Node;
use crate::cli::node::{Duties, Listeners, work};
use crate::cli::output::Output;
use crate::cli::{Failure, Outcome, logging};
use ordermill_store::{StoreError, Table};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_util::sync::CancellationToken;

/// What the server is to do: the one line of its standard input. Not its arguments, because a URL may hold a password.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) url: String,
    pub(super) folder: PathBuf,
    pub(super) world: World,
    /// Whether consumers run.
    pub(super) is_draining: bool,
}

/// What the server says: one line when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) listening: SocketAddr,
}

/// And one at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// The orders in the store.
    pub(super) orders: u64,
}

pub(super) async fn run(output: &Output) -> Outcome {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("this command is a part of `bench place`: {error}"));
    input.read_line(&mut line).await.map_err(|error| unreadable(&error))?;
    let task: Task = serde_json::from_str(&line).map_err(|error| unreadable(&error))?;
    let node = node::open(&task.folder, &task.url).await?;
    let _traces = logging::start(&node.app.config);
    task.world.fill(&node.app).await.map_err(|fault| Failure::unavailable(format!("the store cannot be filled: {fault}")))?;
    let duties = Duties { api: true, worker: task.is_draining };
    let listeners = Listeners::bind(&node.app.config, duties).await?;
    let listening = listeners.api_address().ok_or_else(|| Failure::unavailable("there is no listener"))?;
    say(output, &Ready { listening });
    let stop = CancellationToken::new();
    let until_told = async {
        // Whatever comes is no order to go on; an end, also by the other process's death, is one to stop.
        let mut rest = Vec::new();
        let _is_end = input.read_to_end(&mut rest).await.is_ok();
        stop.cancel();
    };
    let (failure, ()) = tokio::join!(work(&node, listeners, duties, stop.clone()), until_told);
    let orders = count_orders(&node).await;
    node.close().await;
    if let Some(why) = failure {
        return Err(Failure::unavailable(why));
    }
    say(output, &Ended { orders: orders.map_err(|error| Failure::unavailable(error.to_string()))? });
    Ok(())
}

fn say(output: &Output, line: &impl Serialize) {
    output.line(&serde_json::to_string(line).unwrap_or_default());
}

async fn count_orders(node: &Node) -> Result<u64, StoreError> {
    let (mut count, mut cursor) = (0_u64, None::<String>);
    loop {
        let page = node.app.store.scan(Table::Orders, cursor.as_deref(), 1_000).await?;
        count += page.rows.len() as u64;
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(count),
        }
    }
}
