//! being written
use super::output::Output;
use super::Outcome;
use clap::Subcommand;
#[derive(Debug, Subcommand)]
pub(super) enum Command {}
pub(super) async fn run(command: Command, _output: &Output) -> Outcome { match command {} }
