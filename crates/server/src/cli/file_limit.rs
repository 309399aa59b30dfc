//! How many files and connections this process may have open. Systems give 1024 unless asked, fewer than `server.connections_max`
//! allows; asking for more needs no rights up to the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it may be; returns what it is then, none for no limit.
pub(super) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, ?current, "the limit of open files stays as it is");
            current
        }
    }
}

/// Raises the limit, and says so if that is not enough for so many connections beside our own files.
pub(super) fn raise_for(connections_max: usize) {
    if let Some(limit) = raise().filter(|limit| *limit < connections_max as u64 + OWN_FILES) {
        tracing::warn!(limit, connections_max, "fewer files may be open than [server] connections_max allows; further clients wait");
    }
}

/// What the store, the logs and outbound calls need besides.
const OWN_FILES: u64 = 128;
