//! The example file: every setting with its default and one line about it, made from the table of settings.
//!
//! This file must not know a setting by name.

use super::field::Field;
use super::table::{Preset, SECTIONS, SETTINGS, Setting};

/// The text of `ordermill.example.toml`.
pub fn example() -> String {
    let mut text = format!("{HEAD}{}", entries(""));
    for (section, doc) in SECTIONS {
        text = format!("{text}\n# {doc}\n[{section}]\n{}", entries(section));
    }
    text
}

const HEAD: &str = "\
# Every setting of ordermill with its default. Where there is none, the line is commented out and shows an example.
# The environment wins over this file: [server] listen is ORDERMILL__SERVER__LISTEN there, lists have commas between
# entries, and for secrets ORDERMILL__SERVER__SECRET_KEY_FILE names a file to read the value from.
# Made by `ordermill config example`; change the code, not this file.

";

fn entries(section: &str) -> String {
    SETTINGS.iter().filter(|setting| setting.section() == section).map(entry).collect()
}

fn entry(setting: &Setting) -> String {
    let secret = if setting.is_secret() { " (secret)" } else { "" };
    let line = match setting.preset() {
        Preset::Value(text) => format!("{} = {}", setting.key(), toml(&setting.field, text)),
        Preset::Unset(text) => format!("#{} = {}", setting.key(), toml(&setting.field, text)),
    };
    format!("# {}{secret}\n{line}\n", setting.doc())
}

/// The text of a default as TOML writes it. No text of the table needs escaping; a test reads them all.
fn toml(field: &Field, text: &str) -> String {
    if field.is_bare() {
        return text.to_owned();
    }
    let entries: Vec<String> = text.split(',').filter(|entry| !entry.is_empty()).map(|entry| format!("\"{entry}\"")).collect();
    if field.is_list() { format!("[{}]", entries.join(", ")) } else { format!("\"{text}\"") }
}
