//! `ordermill logs`: what the nodes on this data folder logged. It reads their files and asks nobody, so it works while a
//! server runs and after it died. With one Postgres for several machines each shows its own.

mod read;

use super::output::{Format, Output, cell, escaped};
use super::{Failure, Global, Outcome, boot, logging};
use crate::app::{Clock, SystemClock};
use crate::config::Environment;
use clap::Args;
use jiff::Timestamp;
use ordermill_core::job::Queue;
use read::{Line, Reading};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// How soon a line that was just written is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// What the columns of `-o csv` are.
const HEADINGS: [&str; 6] = ["AT", "LEVEL", "ORDER", "CONSUMER", "MESSAGE", "DETAILS"];
/// Fields that have a place of their own in a line for people.
const PLACED: [&str; 6] = ["timestamp", "level", "message", "target", "spans", "name"];

/// Which lines are wanted.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Lines about this order
    #[arg(long, value_name = "CODE")]
    order: Option<String>,
    /// Lines of this queue's jobs
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Lines of the last so many minutes (default: all that are kept)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=5_256_000))]
    minutes: Option<i64>,
    /// Go on with lines as they come, until interrupted
    #[arg(long)]
    follow: bool,
}

impl Wanted {
    fn check(&self) -> Result<(), Failure> {
        match &self.consumer {
            Some(name) if Queue::from_name(name).is_none() => {
                let names: Vec<&str> = Queue::ALL.iter().map(|queue| queue.name()).collect();
                Err(Failure::usage(format!("there is no consumer `{name}`: {}", names.join(", "))))
            }
            _ => Ok(()),
        }
    }

    fn since(&self) -> Option<Timestamp> {
        let micros = SystemClock.now().micros() - self.minutes?.saturating_mul(60_000_000);
        Timestamp::from_microsecond(micros).ok()
    }

    fn takes(&self, line: &Line, since: Option<Timestamp>) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| line.field(name).is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        since.is_none_or(|since| line.at >= since) && is(&self.order, "order") && is(&self.consumer, "consumer")
    }
}

pub(super) async fn run(global: &Global, wanted: &Wanted, output: &Output) -> Outcome {
    wanted.check()?;
    let folder = folder(global);
    let mut reading = match Reading::open(&folder) {
        Ok(reading) => reading,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failure::usage(nothing_kept(&folder))),
        Err(error) => return Err(Failure::unavailable(format!("{} cannot be read: {error}", folder.display()))),
    };
    if output.format == Format::Csv {
        output.csv_rows(&[HEADINGS.map(ToOwned::to_owned).to_vec()]);
    }
    let since = wanted.since();
    let mut count = show(&mut reading, wanted, since, output);
    if wanted.follow {
        tokio::select! {
            // Whoever has seen enough.
            _ = tokio::signal::ctrl_c() => {}
            () = async {
                loop {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    reading.look_again();
                    count += show(&mut reading, wanted, since, output);
                }
            } => {}
        }
    }
    if count == 0 {
        output.note("nothing there");
    }
    if reading.unreadable > 0 {
        output.note(&format!("{} lines cannot be read: a crash or a full disk cut them", reading.unreadable));
    }
    Ok(())
}

/// Where the lines are. Also with settings that are wrong: the log may be what one looks for then.
fn folder(global: &Global) -> std::path::PathBuf {
    match boot::load(global, None) {
        Ok(loaded) => logging::folder(&loaded.config.data_dir),
        Err(_) => logging::folder(&boot::data_dir(global, &Environment::of_process())),
    }
}

fn nothing_kept(folder: &Path) -> String {
    format!("no log is kept in {}: no server ran on this data folder (--data DIR names another), or [log] keep_mib is 0", folder.display())
}

/// Shows what there is to read now, and says how many lines that were.
fn show(reading: &mut Reading, wanted: &Wanted, since: Option<Timestamp>, output: &Output) -> usize {
    let mut count = 0;
    while let Some(line) = reading.next(|line| wanted.takes(line, since)) {
        count += 1;
        match output.format {
            Format::Json => output.line(&line.text),
            Format::Csv => output.csv_rows(&[csv(&line)]),
            Format::Table => output.line(&plain(&line)),
        }
    }
    count
}

fn csv(line: &Line) -> Vec<String> {
    let of = |name: &str| line.field(name).unwrap_or_default().to_owned();
    vec![line.at.to_string(), of("level"), of("order"), of("consumer"), of("message"), details(line, &["order", "consumer"])]
}

/// A line for people. What values would do to a terminal is escaped.
fn plain(line: &Line) -> String {
    let of = |name: &str| line.field(name).unwrap_or_default();
    let text = format!("{} {:<5} {}  {}", line.at, of("level"), of("message"), details(line, &[]));
    escaped(text.trim_end(), |character| !character.is_control())
}

/// Every field that has no place of its own, as `name=value`, once.
fn details(line: &Line, placed: &[&str]) -> String {
    let mut seen: Vec<&str> = [&PLACED[..], placed].concat();
    let mut pairs = Vec::new();
    for (name, value) in line.fields() {
        if !seen.contains(&name.as_str()) {
            seen.push(name);
            pairs.push(format!("{name}={}", cell(Some(value))));
        }
    }
    pairs.join(" ")
}
