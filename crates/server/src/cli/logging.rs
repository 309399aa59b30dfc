//! Where log lines go: standard error, and the files that `ordermill logs` reads. One event is one line, whatever stands in
//! it: JSON escapes what a value must not break, and lines for people are escaped here.

pub(super) mod files;
#[cfg_attr(not(feature = "otel"), path = "logging/no_traces.rs")]
mod traces;

pub(super) use traces::Traces;

use crate::config::{Config, Format, LogConfig};
use files::LogFiles;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// The folder in the data folder where a node keeps what it logged.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}

/// Starts logging as the settings say. A second start in one process changes nothing. What is returned must live until the
/// process ends: letting go of it sends the last traces.
#[must_use]
pub(super) fn start(config: &Config) -> Traces {
    let traces = Traces::start(config);
    let (kept, trouble) = match keep(config) {
        Ok(kept) => (kept, None),
        Err(error) => (None, Some(error)),
    };
    let is_watched = io::stderr().is_terminal();
    let subscriber = subscriber(&config.log, kept, Stderr { is_coloured: is_watched });
    if subscriber.with(traces.layer()).try_init().is_err() {
        tracing::debug!("logging runs already");
        return traces;
    }
    std::panic::set_hook(Box::new(note_panic));
    if let Some(error) = trouble {
        tracing::warn!(folder = %folder(&config.data_dir).display(), %error, "no log is kept for `ordermill logs`");
    }
    if let Some(why) = &traces.trouble {
        tracing::warn!(why, "no traces are sent");
    }
    traces
}

fn keep(config: &Config) -> io::Result<Option<Arc<LogFiles>>> {
    match config.log.keep_mib {
        0 => Ok(None),
        keep_mib => LogFiles::open(folder(&config.data_dir), keep_mib.saturating_mul(1 << 20)).map(|files| Some(Arc::new(files))),
    }
}

/// What takes the events. Lines for machines are written once and go to both places.
fn subscriber<W>(
    config: &LogConfig,
    kept: Option<Arc<LogFiles>>,
    shown: W,
) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + 'static
where
    W: Shown + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = |to: Both<W>| {
        let lines = fmt::layer().json().flatten_event(true).with_current_span(false);
        lines.log_internal_errors(false).with_writer(Arc::new(to)).boxed()
    };
    let layers: Vec<Box<dyn Layer<_> + Send + Sync>> = match config.format {
        Format::Json => vec![json(Both { shown: Some(shown), kept })],
        Format::Text => {
            let for_machines = kept.map(|kept| json(Both { shown: None, kept: Some(kept) }));
            let text = fmt::layer().with_ansi(shown.is_coloured()).with_target(false).log_internal_errors(false);
            let for_people = text.with_writer(Arc::new(OneLine(shown))).boxed();
            std::iter::once(for_people).chain(for_machines).collect()
        }
    };
    tracing_subscriber::registry().with(filter).with(layers)
}

/// A panic is an event like others: one line, in the files too. `catch_unwind` around handlers and jobs says what it led to.
fn note_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let why = panic.payload_as_str().unwrap_or("no message");
    let thread = std::thread::current();
    tracing::error!(place, why, thread = thread.name(), "a thread panicked");
}

/// Somewhere that is watched by people or by a collector.
trait Shown {
    /// Takes a whole line. Nobody could be told that it does not.
    fn show(&self, line: &[u8]);
    /// Whether colours make sense there.
    fn is_coloured(&self) -> bool;
}

/// Standard error.
#[derive(Debug, Clone, Copy)]
struct Stderr {
    is_coloured: bool,
}

impl Shown for Stderr {
    fn show(&self, line: &[u8]) {
        drop(io::stderr().lock().write_all(line));
    }

    fn is_coloured(&self) -> bool {
        self.is_coloured
    }
}

/// Lines for machines, to where they are shown and to where they are kept.
struct Both<W> {
    shown: Option<W>,
    kept: Option<Arc<LogFiles>>,
}

/// Lines for people, made one line each.
struct OneLine<W>(W);

// The formatter hands every event over whole, as one write.

impl<W: Shown> Write for &Both<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(shown) = &self.shown {
            shown.show(line);
        }
        if let Some(kept) = &self.kept {
            kept.write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Shown> Write for &OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.show(&one_line(line, self.0.is_coloured()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line with everything escaped that would end it early or steer a terminal. Colours are the formatter's own: it
/// escapes those in values.
fn one_line(line: &[u8], is_coloured: bool) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    let body = text.strip_suffix('\n').unwrap_or(&text);
    let is_harmless = |character: char| !character.is_control() || character == '\t' || (is_coloured && character == '\u{1b}');
    if body.chars().all(is_harmless) {
        return Cow::Borrowed(line);
    }
    let mut escaped = super::output::escaped(body, is_harmless);
    escaped.push('\n');
    Cow::Owned(escaped.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Remembers what it is shown.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Shown for Screen {
        fn show(&self, line: &[u8]) {
            self.0.lock().expect("nobody panicked").push(line.to_vec());
        }

        fn is_coloured(&self) -> bool {
            false
        }
    }

    /// What people type into names and notes to make a log say what did not happen.
    const HOSTILE: [&str; 8] = [
        "An\nlevel=ERROR the till is open",
        "An\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
        "\"}\n{\"message\":\"forged",
        "\u{1b}[2J\u{1b}[31mred",
        "\u{9b}31m \u{7} \u{8}\u{8}",
        "nul \0 and delete \u{7f}",
        "line \u{2028} and \u{2029} and \u{85}",
        "\u{202e}desrever",
    ];

    fn shown(format: Format, level: &str) -> Vec<Vec<u8>> {
        let screen = Screen::default();
        let config = LogConfig { format, level: level.to_owned(), keep_mib: 0 };
        let subscriber = subscriber(&config, None, screen.clone());
        tracing::subscriber::with_default(subscriber, || {
            for text in HOSTILE {
                let span = tracing::info_span!("job", consumer = text, order = tracing::field::Empty);
                span.record("order", text);
                let _inside = span.enter();
                tracing::info!(name = text, shown = %text, debugged = ?text, "{text}");
            }
        });
        screen.0.lock().expect("nobody panicked").clone()
    }

    #[test]
    fn one_event_is_one_line_of_json() {
        let lines = shown(Format::Json, "info");
        assert_eq!(lines.len(), HOSTILE.len());
        for (line, text) in lines.iter().zip(HOSTILE) {
            let (end, body) = line.split_last().expect("a line");
            assert!(*end == b'\n' && body.iter().all(|byte| *byte >= 0x20), "{line:?}");
            let event: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!((event["message"].as_str(), event["name"].as_str()), (Some(text), Some(text)));
            assert_eq!(event["spans"][0]["order"].as_str(), Some(text));
        }
    }

    #[test]
    fn one_event_is_one_line_for_people() {
        let lines = shown(Format::Text, "info");
        assert_eq!(lines.len(), HOSTILE.len());
        for line in &lines {
            let text = std::str::from_utf8(line).expect("text");
            let body = text.strip_suffix('\n').expect("it ends");
            assert!(body.chars().all(|character| !character.is_control() || character == '\t'), "{body:?}");
        }
    }

    #[test]
    fn what_is_below_the_level_is_not_shown() {
        assert_eq!(shown(Format::Json, "warn").len(), 0);
    }
}
