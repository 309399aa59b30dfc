//! The binary: reads the command line, runs one command, turns its outcome into an exit code. Everything else is in the
//! library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one TLS and crypto provider; must be chosen before the first connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    ordermill::cli::main()
}
