//! The operator's own texts, read from a folder: the same relative paths as the built-in ones. A file that would replace
//! nothing is an error too, because it was meant to. This file must not compile or fill in anything.

use super::{BUILT_IN, TemplateError};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest text; far above what mail readers cut off at (102 KB).
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// A text that replaces a built-in one.
#[derive(Debug)]
pub(super) struct Override {
    /// Where it was read.
    pub(super) file: String,
    /// What was read.
    pub(super) source: String,
}

/// The texts in this folder by the names of those they replace.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<&'static str, Override>, TemplateError> {
    refuse_strays(folder, "")?;
    let mut found = BTreeMap::new();
    for (name, _) in BUILT_IN {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let file = path.display().to_string();
        let source = std::fs::read(&path).map_err(|error| fault(&path, &error.to_string()))?;
        if source.len() > TEXT_BYTES_MAX {
            return Err(fault(&path, "is larger than 256 KiB"));
        }
        let source = String::from_utf8(source).map_err(|error| not_utf8(&path, &error))?;
        found.insert(name, Override { file, source });
    }
    Ok(found)
}

/// Refuses texts that have no built-in counterpart. Only `.txt` and `.html` are texts; notes and editors' files may lie
/// beside them.
fn refuse_strays(folder: &Path, prefix: &str) -> Result<(), TemplateError> {
    let entries = std::fs::read_dir(folder).map_err(|error| fault(folder, &error.to_string()))?;
    for entry in entries {
        let entry = entry.map_err(|error| fault(folder, &error.to_string()))?;
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{file_name}");
        let is_text = Path::new(&file_name).extension().is_some_and(|ending| ending == "txt" || ending == "html");
        if prefix.is_empty() && entry.path().is_dir() {
            refuse_strays(&entry.path(), &format!("{name}/"))?;
        } else if is_text && !file_name.starts_with('.') && BUILT_IN.iter().all(|(known, _)| *known != name) {
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            return Err(fault(&entry.path(), &format!("replaces no text; there are {}", known.join(", "))));
        }
    }
    Ok(())
}

fn fault(path: &Path, why: &str) -> TemplateError {
    TemplateError { file: path.display().to_string(), line: None, why: why.to_owned() }
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> TemplateError {
    let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    TemplateError { line: Some(line), ..fault(path, "is not UTF-8") }
}
