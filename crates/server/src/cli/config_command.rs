//! `ordermill config …`

use super::output::{Format, Output, pretty};
use super::{Failure, Global, Outcome, boot};
use crate::config::{self, Mode};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings as `serve` would, and show where each comes from
    Check,
    /// Print an example file with every setting and its default
    Example,
}

pub(super) fn run(global: &Global, command: &Command, output: &Output) -> Outcome {
    match command {
        Command::Example => {
            output.line(config::example().trim_end());
            Ok(())
        }
        Command::Check => check(global, output),
    }
}

fn check(global: &Global, output: &Output) -> Outcome {
    let loaded = boot::load(global, None)?;
    let rows: Vec<Value> = loaded
        .render_table()
        .into_iter()
        .map(|[name, value, origin]| json!({ "setting": name, "value": value, "origin": origin }))
        .collect();
    let answer = json!({ "data": rows });
    match output.format {
        Format::Json => output.line(&pretty(&answer)),
        Format::Table | Format::Csv => output.list(&answer, &[("SETTING", "/setting"), ("VALUE", "/value"), ("ORIGIN", "/origin")]),
    }
    if loaded.config.mode == Mode::Dev {
        output.note("good for `dev`; `serve` needs settings and a data folder of its own");
        return Ok(());
    }
    let notes = config::refuse_unsafe(&loaded.config).map_err(|error| Failure::usage(error.to_string()))?;
    for note in notes {
        output.note(&note.to_string());
    }
    output.note("good for `serve`");
    Ok(())
}
