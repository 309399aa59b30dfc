//! The plain `SQLite` loop that `place` is compared with, alone or around another measurement.

use super::{print, rounded};
use crate::cli::demo::TemporaryFolder;
use crate::cli::output::Output;
use crate::cli::{Failure, Outcome};
use clap::Args;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    /// How long to measure
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

pub(super) async fn run(flags: Flags, output: &Output) -> Outcome {
    let folder = TemporaryFolder::new()?;
    output.note(&format!("one order per transaction, synchronous=FULL, for {} s in {}", flags.seconds, folder.0.display()));
    let rate = measure(&folder.0, "baseline.db", Duration::from_secs(flags.seconds)).await?;
    let result = json!({ "ordersPerSecond": rounded(rate, 1), "store": "sqlite" });
    print(output, &result, &[("ORDERS/S", "/ordersPerSecond"), ("STORE", "/store")]);
    Ok(())
}

/// How many orders a second the loop places in a fresh file of this folder.
#[cfg(feature = "sqlite")]
pub(super) async fn measure(folder: &Path, name: &str, duration: Duration) -> Result<f64, Failure> {
    let path = folder.join(name);
    let measured = tokio::task::spawn_blocking(move || ordermill_store::sqlite::baseline::run(&path, duration)).await;
    let measured = measured.map_err(|error| Failure::unavailable(error.to_string()))?;
    measured.map_err(|error| Failure::unavailable(error.to_string()))
}

/// Without the store there is nothing to compare.
#[cfg(not(feature = "sqlite"))]
pub(super) async fn measure(_folder: &Path, _name: &str, _duration: Duration) -> Result<f64, Failure> {
    Err(Failure::usage("this binary was built without SQLite"))
}
