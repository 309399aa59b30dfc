//! Spoils database files as no server would, for the controls of what must notice it.

use std::path::Path;
use tokio::process::Command;

/// Runs statements on an `SQLite` file that nobody has open. Through Python, which other tests need as well: the binary has
/// no way to do this, on purpose.
pub(super) async fn run_sql(file: &Path, statements: &str) {
    const SCRIPT: &str = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.commit(); db.close()";
    let output = Command::new("python3").args(["-c", SCRIPT]).arg(file).arg(statements).output().await.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Copies the files of a folder into a new one.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("its type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}
