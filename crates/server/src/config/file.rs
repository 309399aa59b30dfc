//! Settings files: from TOML to settings, every fault with its line.
//!
//! This file must not know one setting from another; the table does.

use super::field::Given;
use super::load::{Loading, Origin};
use super::problem::{Problem, did_you_mean};
use super::table::{self, SECTIONS, SETTINGS};
use std::io::Read;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Far more than all settings with all comments; whatever is larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// One mistake can make every line after it look wrong; nobody reads more than this.
const SYNTAX_PROBLEMS_MAX: usize = 20;

/// The text of a small file; the fault completes "cannot be read: …".
pub(super) fn read_small(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let bytes_read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if bytes_read as u64 > FILE_BYTES_MAX { Err("it is larger than 1 MiB".to_owned()) } else { Ok(text) }
}

/// Puts the settings of a file into place.
pub(super) fn apply(path: &Path, text: &str, loading: &mut Loading) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let file = File { path, text };
    let mut lines_not_understood = Vec::new();
    for error in errors.iter().take(SYNTAX_PROBLEMS_MAX) {
        let line = file.line(error.span().map_or(text.len(), |span| span.start));
        lines_not_understood.push(line);
        loading.problems.push(Problem::refusal(file.place(line), format!("is not TOML: {}", error.message())));
    }
    let mut entries: Vec<Entry<'_>> = document.get_ref().iter().flat_map(|(key, value)| Entry::of("", key, value)).collect();
    // The parser sorts by name; people read from top to bottom.
    entries.sort_by_key(|entry| entry.key.span().start);
    for entry in entries {
        // What the parser made of a line it did not understand is no further mistake of the writer's.
        if !lines_not_understood.contains(&file.line(entry.key.span().start)) {
            entry.apply(&file, loading);
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// A key with its value, and the section it stands in.
struct Entry<'a> {
    section: &'a str,
    key: &'a Spanned<DeString<'a>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// The entry itself, or those of the section that it opens.
    fn of(section: &'a str, key: &'a Spanned<DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Vec<Self> {
        match value.get_ref() {
            DeValue::Table(table) if section.is_empty() && is_section(key.get_ref()) => {
                table.iter().flat_map(|(inner_key, inner_value)| Self::of(key.get_ref(), inner_key, inner_value)).collect()
            }
            _ => vec![Self { section, key, value }],
        }
    }

    fn apply(&self, file: &File<'_>, loading: &mut Loading) {
        let key_line = file.line(self.key.span().start);
        if let Some(setting) = table::find(self.section, self.key.get_ref()) {
            let line = file.line(self.value.span().start);
            loading.put(setting, Given::Toml(self.value.get_ref()), Origin::File { path: file.path.to_owned(), line });
        } else if self.section.is_empty() && is_section(self.key.get_ref()) {
            let message = format!("[{}] is a section: write its keys on lines of their own below it", self.key.get_ref());
            loading.problems.push(Problem::refusal(file.place(key_line), message));
        } else {
            loading.problems.push(Problem { hint: self.hint(), ..Problem::refusal(file.place(key_line), self.unknown()) });
        }
    }

    fn unknown(&self) -> String {
        let key = self.key.get_ref().escape_debug();
        match (self.section, self.value.get_ref()) {
            ("", DeValue::Table(_)) => format!("there is no section [{key}]"),
            ("", _) => format!("there is no setting {key} before the first section"),
            (section, _) => format!("there is no setting {key} in [{section}]"),
        }
    }

    /// The nearest name in the same section, else the same name in another.
    fn hint(&self) -> Option<String> {
        let key = self.key.get_ref();
        let near = if self.section.is_empty() && self.value.get_ref().is_table() {
            did_you_mean(key, SECTIONS.iter().map(|(section, _)| *section)).map(|section| format!("[{section}]"))
        } else {
            let siblings = SETTINGS.iter().filter(|setting| setting.section() == self.section);
            did_you_mean(key, siblings.map(table::Setting::key)).map(str::to_owned)
        };
        let elsewhere = || SETTINGS.iter().find(|setting| setting.key() == key).map(table::Setting::title);
        near.or_else(elsewhere).map(|name| format!("did you mean {name}?"))
    }
}

fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == name)
}
