//! Where log lines go: standard error, one event one line.

use crate::config::{Format, LogConfig};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging as the settings say. A second start in one process changes nothing.
pub(super) fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_watched = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_watched).with_writer(std::io::stderr);
    let started = match config.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Text => lines.with_target(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging runs already");
    }
}
