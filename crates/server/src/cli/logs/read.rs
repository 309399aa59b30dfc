//! Reads the kept lines of all files in the order of their time, and goes on where it was when more have come.

use crate::cli::logging::files::parts;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// When it happened.
    pub(super) at: Timestamp,
    /// The line as it was written.
    pub(super) text: String,
    event: Map<String, Value>,
}

impl Line {
    /// Nothing for what is no event: the rest of a line that a crash cut.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_end().to_owned();
        let Ok(Value::Object(event)) = serde_json::from_str(&text) else { return None };
        let at = event.get("timestamp")?.as_str()?.parse().ok()?;
        Some(Self { at, text, event })
    }

    /// A field of the event, or of what it happened within, the innermost first.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let own = self.event.get(name);
        own.or_else(|| self.spans().rev().find_map(|span| span.get(name))).and_then(Value::as_str)
    }

    /// Every field, the event's own first.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.event.iter().chain(self.spans().rev().flatten())
    }

    fn spans(&self) -> impl DoubleEndedIterator<Item = &Map<String, Value>> {
        self.event.get("spans").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
    }
}

/// The files of a folder, each read up to somewhere.
pub(super) struct Reading {
    folder: PathBuf,
    parts: BTreeMap<u64, PartReading>,
    /// Whole lines that were no events.
    pub(super) unreadable: usize,
}

struct PartReading {
    file: BufReader<File>,
    /// What there is of a line whose end is still to come.
    begun: Vec<u8>,
    /// The next line that is wanted.
    next: Option<Line>,
}

impl Reading {
    /// Begins with everything that is kept.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut reading = Self { folder: folder.to_owned(), parts: BTreeMap::new(), unreadable: 0 };
        reading.find_parts()?;
        Ok(reading)
    }

    /// Looks for files that were begun meanwhile. That the folder has gone means only that nothing comes any more.
    pub(super) fn look_again(&mut self) {
        drop(self.find_parts());
    }

    fn find_parts(&mut self) -> io::Result<()> {
        for part in parts(&self.folder)? {
            if let std::collections::btree_map::Entry::Vacant(place) = self.parts.entry(part.number)
                // A file that has gone since was the oldest.
                && let Ok(file) = File::open(&part.path)
            {
                place.insert(PartReading { file: BufReader::new(file), begun: Vec::new(), next: None });
            }
        }
        Ok(())
    }

    /// The next line that is wanted: the earliest of all files. None when everything is read that is there now.
    pub(super) fn next(&mut self, is_wanted: impl Fn(&Line) -> bool) -> Option<Line> {
        let mut earliest: Option<(Timestamp, u64)> = None;
        for (number, part) in &mut self.parts {
            if part.next.is_none() {
                part.next = part.read(&is_wanted, &mut self.unreadable);
            }
            if let Some(line) = &part.next
                && earliest.is_none_or(|(at, _)| line.at < at)
            {
                earliest = Some((line.at, *number));
            }
        }
        let (_, number) = earliest?;
        self.parts.get_mut(&number)?.next.take()
    }
}

impl PartReading {
    fn read(&mut self, is_wanted: impl Fn(&Line) -> bool, unreadable: &mut usize) -> Option<Line> {
        loop {
            // A file that cannot be read any further ends here, as one that has no more.
            self.file.read_until(b'\n', &mut self.begun).ok()?;
            if self.begun.last() != Some(&b'\n') {
                return None;
            }
            let bytes = std::mem::take(&mut self.begun);
            match Line::parse(&bytes) {
                Some(line) if is_wanted(&line) => return Some(line),
                Some(_) => {}
                None => *unreadable += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(second: u32, order: &str) -> String {
        format!("{{\"timestamp\":\"2026-11-21T10:00:{second:02}.5Z\",\"message\":\"m\",\"spans\":[{{\"order\":\"{order}\"}}]}}\n")
    }

    fn append(folder: &Path, name: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn orders(reading: &mut Reading) -> Vec<String> {
        let lines = std::iter::from_fn(|| reading.next(|line| line.field("order") != Some("unwanted")));
        lines.map(|line| line.field("order").unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn lines_come_in_the_order_of_their_time_and_go_on() {
        let folder = std::env::temp_dir().join(format!("ordermill-read-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        append(&folder, "000001.jsonl", &[line(1, "a"), line(4, "d"), line(5, "unwanted")].concat());
        append(&folder, "000002.jsonl", &[line(2, "b"), "{\"cut\n".to_owned(), "7\n".to_owned(), line(3, "c")].concat());
        append(&folder, "notes.txt", "not ours\n");
        let mut reading = Reading::open(&folder).expect("a folder");
        assert_eq!(orders(&mut reading), ["a", "b", "c", "d"]);
        assert_eq!(reading.unreadable, 2);
        let whole = line(6, "e");
        let (begun, rest) = whole.split_at(20);
        append(&folder, "000001.jsonl", begun);
        assert_eq!(orders(&mut reading), [""; 0], "its end is still to come");
        append(&folder, "000001.jsonl", rest);
        append(&folder, "000003.jsonl", &line(7, "f"));
        reading.look_again();
        assert_eq!(orders(&mut reading), ["e", "f"]);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
