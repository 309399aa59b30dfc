//! The lock on the store's folder: one process at a time. The kernel lets go of it when the process ends, however it
//! ends, so nobody ever has to clean up. This file must not touch the database.

use crate::OpenError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file in the database's folder that is locked.
const LOCK_NAME: &str = "lock";
/// Only the user who runs ordermill may read what customers gave us.
const FILE_MODE: u32 = 0o600;
/// The same for the folder.
const FOLDER_MODE: u32 = 0o700;

/// The held lock; dropping it lets go.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a folder, or says who holds it.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(LOCK_NAME);
        let failed = |error: &dyn std::fmt::Display| OpenError::Failed(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::Locked { path: path.display().to_string(), pid: holder(&mut file) }),
            Err(error) => return Err(failed(&error)),
        }
        write_pid(&mut file).map_err(|error| failed(&error))?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

/// Refuses a database that would lie under the lock's name, or under none.
pub(super) fn check_name(database: &Path) -> Result<(), OpenError> {
    if database.file_name().is_none_or(|name| name == LOCK_NAME) {
        return Err(OpenError::Failed(format!("{} cannot be the name of a database", database.display())));
    }
    Ok(())
}

/// Who holds the lock, as far as the file says: the holder may not have written it yet.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Makes the folder, for this user only. What exists keeps its mode.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
        DirBuilder::new().mode(FOLDER_MODE).create(folder)?;
        return sync_folder(parent);
    }
    DirBuilder::new().mode(FOLDER_MODE).create(folder)
}

/// Without this a power cut could forget the names in a folder, and with them every commit.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the empty database file, for this user only: the engine would make one that others can read. What exists keeps
/// its mode.
pub(super) fn make_file(folder: &Path, database: &Path) -> std::io::Result<()> {
    if database.exists() {
        return Ok(());
    }
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(database)?.sync_all()?;
    sync_folder(folder)
}
