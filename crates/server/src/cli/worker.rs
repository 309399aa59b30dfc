//! `ordermill worker`: the jobs without the API.

use super::node::{self, Duties, Listeners};
use super::output::Output;
use super::{Failure, Global, Outcome, serve};
use crate::worker;

pub(super) async fn run(global: &Global, once: bool, output: &Output) -> Outcome {
    let (node, _traces) = serve::prepare(global, None).await?;
    if once {
        let name = format!("pid-{}", std::process::id());
        let attempts = worker::run_due(&node.app, &name).await;
        node.close().await;
        let attempts = attempts.map_err(|error| Failure::unavailable(error.to_string()))?;
        output.note(&format!("{attempts} attempts"));
        return Ok(());
    }
    let duties = Duties { api: false, worker: true };
    let listeners = Listeners::bind(&node.app.config, duties).await?;
    node::run(node, listeners, duties).await
}
