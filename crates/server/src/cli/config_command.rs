//! `ordermill config …`

use super::output::{Column, Output};
use super::{Failure, Global, Outcome, boot};
use crate::config::{self, Loaded, Mode};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings as `serve` would, and show where each comes from
    Check,
    /// Show every setting with its value; of secrets only whether they are set
    Show {
        /// And where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print an example file with every setting and its default
    Example,
}

const COLUMNS: &[Column] = &[("SETTING", "/setting"), ("VALUE", "/value")];
const COLUMNS_WITH_ORIGIN: &[Column] = &[("SETTING", "/setting"), ("VALUE", "/value"), ("ORIGIN", "/origin")];

pub(super) fn run(global: &Global, command: &Command, output: &Output) -> Outcome {
    match command {
        Command::Example => {
            output.line(config::example().trim_end());
            Ok(())
        }
        Command::Show { origin } => {
            show(&boot::load(global, None)?, *origin, output);
            Ok(())
        }
        Command::Check => check(global, output),
    }
}

/// Every setting; secrets are hidden where the settings are loaded.
fn show(loaded: &Loaded, with_origin: bool, output: &Output) {
    let render = |[name, value, origin]: [String; 3]| {
        if with_origin { json!({ "setting": name, "value": value, "origin": origin }) } else { json!({ "setting": name, "value": value }) }
    };
    let rows: Vec<Value> = loaded.render_table().into_iter().map(render).collect();
    output.list(&json!({ "data": rows }), if with_origin { COLUMNS_WITH_ORIGIN } else { COLUMNS });
}

fn check(global: &Global, output: &Output) -> Outcome {
    let loaded = boot::load(global, None)?;
    show(&loaded, true, output);
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
