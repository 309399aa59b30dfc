//! `ordermill completions` and `ordermill man`: what the command line says of itself, for shells and readers.

use super::output::Output;
use super::{Cli, Failure, Outcome};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// The program's name in scripts and pages.
const NAME: &str = "ordermill";

/// Prints the script that completes commands and flags in a shell.
pub(super) fn completions(shell: Shell, output: &Output) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end());
}

/// Prints the manual page, or writes one for every command into a folder.
pub(super) fn man(folder: Option<&Path>, output: &Output) -> Outcome {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| Failure::usage(format!("no manual page: {error}")))?;
        output.line(String::from_utf8_lossy(&page).trim_end());
        return Ok(());
    };
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.map_err(|error| Failure::usage(format!("no manual pages in {}: {error}", folder.display())))?;
    output.note(&format!("the pages are in {}", folder.display()));
    Ok(())
}
