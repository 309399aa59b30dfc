//! The files that a node keeps its log in: `DIR/logs/000001.jsonl` and so on, a bounded number of bytes in all. They are read
//! while the server runs and after it died, so a line is in the file before the event is over. They are not synced: a power
//! cut may take the last lines.
//!
//! Processes may share a data folder (`serve` and `worker`). Each holds a lock on the file that it writes to, so nobody
//! writes into or removes another's; the kernel ends the lock with its process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How many files the kept bytes are spread over: the oldest goes as a whole.
const PARTS: u64 = 8;
/// How often a new file's name may be taken by another process that starts now.
const NAMES_TRIED: u64 = 100;
/// Only the owner reads: lines name orders, and how a shop is doing.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Part {
    /// Counts up from 1, so that the order of files needs no clock.
    pub(in crate::cli) number: u64,
    /// Where it is.
    pub(in crate::cli) path: PathBuf,
}

/// The files that are there, the oldest first.
pub(in crate::cli) fn parts(folder: &Path) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jsonl")?.parse().ok());
        parts.extend(number.map(|number| Part { number, path }));
    }
    parts.sort_unstable();
    Ok(parts)
}

/// Takes lines, and forgets the oldest.
#[derive(Debug)]
pub(super) struct LogFiles {
    folder: PathBuf,
    keep_bytes: u64,
    current: Mutex<Current>,
}

/// The file that is written to now.
#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
    /// Whether its last line has no end: a crash or a full disk cut it.
    is_torn: bool,
}

impl LogFiles {
    /// Goes on in the newest file if nobody else writes to it, else in a new one.
    pub(super) fn open(folder: PathBuf, keep_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
        let newest = parts(&folder)?.pop();
        let found = newest.map(|part| take_over(&part.path)).transpose()?.flatten();
        let current = match found.filter(|current| current.bytes < keep_bytes / PARTS) {
            Some(current) => current,
            None => begin(&folder)?,
        };
        let files = Self { folder, keep_bytes, current: Mutex::new(current) };
        files.forget();
        Ok(files)
    }

    /// Appends a line, which ends with a line break. What cannot be written is lost: the process has better to do than to
    /// fail over its log, and standard error has the line too.
    pub(super) fn write(&self, line: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if current.bytes.saturating_add(bytes) > self.keep_bytes / PARTS
            && let Ok(next) = begin(&self.folder)
        {
            *current = next;
            self.forget();
        }
        let mended;
        let line = if current.is_torn {
            mended = [b"\n", line].concat();
            &mended
        } else {
            line
        };
        current.is_torn = current.file.write_all(line).is_err();
        current.bytes = current.bytes.saturating_add(bytes);
    }

    /// Removes the oldest files until there is room for another. Those that are written to stay.
    fn forget(&self) {
        let Ok(parts) = parts(&self.folder) else { return };
        let sized = parts.into_iter().filter_map(|part| Some((part.path.metadata().ok()?.len(), part.path)));
        let sized: Vec<(u64, PathBuf)> = sized.collect();
        let mut bytes = sized.iter().fold(self.keep_bytes / PARTS, |sum, (bytes, _)| sum.saturating_add(*bytes));
        for (part_bytes, path) in sized {
            if bytes <= self.keep_bytes {
                return;
            }
            let is_free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok() && std::fs::remove_file(&path).is_ok());
            if is_free {
                bytes = bytes.saturating_sub(part_bytes);
            }
        }
    }
}

/// A file that is there, unless somebody else writes to it or has just removed it.
fn take_over(path: &Path) -> io::Result<Option<Current>> {
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let metadata = file.metadata()?;
    if metadata.nlink() == 0 {
        return Ok(None);
    }
    let mut last = [b'\n'];
    if metadata.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(Some(Current { file, bytes: metadata.len(), is_torn: last != [b'\n'] }))
}

/// A new file, ours from the beginning.
fn begin(folder: &Path) -> io::Result<Current> {
    let first = parts(folder)?.pop().map_or(1, |newest| newest.number.saturating_add(1));
    for number in first..first.saturating_add(NAMES_TRIED) {
        let path = folder.join(format!("{number:06}.jsonl"));
        match OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(&path) {
            Ok(file) => {
                file.try_lock()?;
                return Ok(Current { file, bytes: 0, is_torn: false });
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own that is gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ordermill-logs-{}-{name}", std::process::id()));
            drop(std::fs::remove_dir_all(&path));
            Self(path)
        }

        fn open(&self, keep_bytes: u64) -> LogFiles {
            LogFiles::open(self.0.clone(), keep_bytes).expect("the folder is ours")
        }

        fn numbers(&self) -> Vec<u64> {
            parts(&self.0).expect("a folder").into_iter().map(|part| part.number).collect()
        }

        fn text(&self) -> String {
            let parts = parts(&self.0).expect("a folder").into_iter();
            parts.map(|part| std::fs::read_to_string(part.path).expect("text")).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    const LINES: u32 = 100;
    const LINE_BYTES: u64 = 20;
    /// Four lines fit into a file, eight files are kept.
    const KEEP_BYTES: u64 = PARTS * 4 * LINE_BYTES;

    fn write_many(files: &LogFiles) {
        for number in 0..LINES {
            files.write(format!("line {number:014}\n").as_bytes());
        }
    }

    #[test]
    fn the_oldest_lines_go() {
        let folder = Folder::new("bounded");
        let files = folder.open(KEEP_BYTES);
        write_many(&files);
        let text = folder.text();
        assert!(u64::try_from(text.len()).expect("a length") <= KEEP_BYTES, "{} bytes", text.len());
        assert!(text.ends_with("line 00000000000099\n") && !text.contains("line 00000000000000\n"), "{text}");
        assert!(text.lines().count() > 20, "most of what may be kept is kept: {text}");
        assert_eq!(std::fs::metadata(&folder.0).expect("a folder").mode() & 0o777, FOLDER_MODE);
    }

    #[test]
    fn a_cut_line_is_ended_before_the_next() {
        let folder = Folder::new("torn");
        folder.open(KEEP_BYTES).write(b"{\"whole\":1}\n");
        let path = parts(&folder.0).expect("a folder").remove(0).path;
        OpenOptions::new().append(true).open(path).expect("a file").write_all(b"{\"cu").expect("written");
        let files = folder.open(KEEP_BYTES);
        files.write(b"{\"after\":1}\n");
        files.write(b"{\"after\":2}\n");
        assert_eq!(folder.text(), "{\"whole\":1}\n{\"cu\n{\"after\":1}\n{\"after\":2}\n");
    }

    #[test]
    fn each_process_writes_to_a_file_of_its_own() {
        let folder = Folder::new("shared");
        let (one, other) = (folder.open(KEEP_BYTES), folder.open(KEEP_BYTES));
        one.write(b"of the one\n");
        other.write(b"of the other\n");
        assert_eq!((folder.numbers(), folder.text()), (vec![1, 2], "of the one\nof the other\n".to_owned()));
        // The other one's rush costs the first nothing that it has open.
        write_many(&other);
        one.write(b"still there\n");
        assert!(folder.text().starts_with("of the one\nstill there\n"), "{}", folder.text());
        // Who is gone leaves its file to the next.
        let newest = *folder.numbers().last().expect("files");
        drop(other);
        folder.open(KEEP_BYTES).write(b"the next\n");
        assert_eq!(folder.numbers().last(), Some(&newest));
    }
}
