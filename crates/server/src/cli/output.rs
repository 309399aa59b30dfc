//! How commands print: tables for people, JSON and CSV for programs. Data goes to standard output, everything else to
//! standard error, so that a pipe only ever sees data.

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use ordermill_core::text::{is_break, is_deceptive};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs: the answer of the API
    Json,
    /// For spreadsheets
    Csv,
}

/// Where commands print to.
pub(super) struct Output {
    pub(super) format: Format,
    data: Mutex<Box<dyn Write + Send>>,
    talk: Mutex<Box<dyn Write + Send>>,
}

/// How wide tables are when nobody knows how wide the reader is.
const PIPE_WIDTH: u16 = 140;

/// A column of a list: its heading, and where in a row (a JSON pointer) its value stands.
pub(super) type Column = (&'static str, &'static str);

impl Output {
    /// To the process's own streams.
    pub(super) fn new(format: Format) -> Self {
        Self { format, data: Mutex::new(Box::new(std::io::stdout())), talk: Mutex::new(Box::new(std::io::stderr())) }
    }

    /// A line of data.
    pub(super) fn line(&self, text: &str) {
        write_line(&self.data, text);
    }

    /// A line about the work, for people; programs do not see it.
    pub(super) fn note(&self, text: &str) {
        write_line(&self.talk, text);
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        write_line(&self.talk, &format!("ordermill: {text}"));
    }

    /// A list as the API returned it: `{"data": […]}`.
    pub(super) fn list(&self, answer: &Value, columns: &[Column]) {
        let rows: Vec<Vec<String>> = answer
            .get("data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|row| columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))).collect())
            .collect();
        match self.format {
            Format::Json => self.line(&pretty(answer)),
            Format::Csv => self.csv(columns, &rows),
            Format::Table if rows.is_empty() => self.note("nothing there"),
            Format::Table => self.table(&columns.iter().map(|(heading, _)| *heading).collect::<Vec<_>>(), &rows),
        }
    }

    /// The same, and where the next page begins.
    pub(super) fn page(&self, answer: &Value, columns: &[Column]) {
        self.list(answer, columns);
        if let (Format::Table, Some(cursor)) = (self.format, answer.get("nextCursor").and_then(Value::as_str)) {
            self.note(&format!("more with --cursor {cursor}"));
        }
    }

    /// A table for people.
    pub(super) fn table(&self, headings: &[&str], rows: &[Vec<String>]) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            table.set_width(PIPE_WIDTH);
        }
        table.set_header(headings);
        for row in rows {
            // A cell with lines of its own would look like further rows.
            table.add_row(row.iter().map(|cell| cell.replace('\n', "\\n")));
        }
        self.line(&table.to_string());
    }

    fn csv(&self, columns: &[Column], rows: &[Vec<String>]) {
        let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        self.csv_rows(&[&[headings], rows].concat());
    }

    /// Rows of a spreadsheet.
    pub(super) fn csv_rows(&self, rows: &[Vec<String>]) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut guarded = rows.iter().map(|row| row.iter().map(|text| without_formula(text)));
        let written = guarded.try_for_each(|row| writer.write_record(row));
        match written.map_err(|error| error.to_string()).and_then(|()| writer.into_inner().map_err(|error| error.to_string())) {
            Ok(bytes) => self.line(String::from_utf8_lossy(&bytes).trim_end()),
            Err(why) => self.error(&why),
        }
    }
}

/// A spreadsheet must not run what a customer typed.
fn without_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) { format!("'{text}") } else { text.to_owned() }
}

/// The text with every character escaped that is not harmless.
pub(super) fn escaped(text: &str, is_harmless: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_default());
        }
    }
    escaped
}

/// JSON for people and programs alike.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Whether somebody watches, so that progress may be drawn.
pub(super) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// One value as a cell.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The text without anything that steers a terminal or hides what stands beside it: such characters are written as JSON
/// writes them, so that people see them and JSON stays what it was.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| (is_break(character) && !matches!(character, '\n' | '\t')) || is_deceptive(character);
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            shown.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// A closed pipe (`ordermill orders list | head`) is no failure.
fn write_line(stream: &Mutex<Box<dyn Write + Send>>, text: &str) {
    let text = harmless(text);
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    drop(writeln!(stream, "{text}").and_then(|()| stream.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_become_formulas() {
        assert_eq!(without_formula("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(without_formula("DH000123"), "DH000123");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}\r\u{9b}2J\u{202e}txt\u{e0041}\u{7f}";
        assert_eq!(harmless(hostile), "\\u001b]0;owned\\u0007\\u000d\\u009b2J\\u202etxt\\udb40\\udc41\\u007f");
        let text = serde_json::json!({ "name": hostile });
        let read: Value = serde_json::from_str(&harmless(&pretty(&text))).expect("still JSON");
        assert_eq!(read, text, "and still the same");
        assert_eq!(harmless("Cốc sứ\n\t👩\u{200d}🔧"), "Cốc sứ\n\t👩\u{200d}🔧");
    }
}
