//! A folder for one test's database; gone at its end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of its own on the disk that the build uses, so that flushes are real.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        let name = format!("sqlite-{}-{}", std::process::id(), DRAWN.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The database in it.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("shop.db")
    }

    /// A connection beside the store's own.
    pub(crate) fn connect(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).expect("a connection")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
