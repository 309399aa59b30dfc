//! The other end of `bench serve`: starts the process, tells it what to do, and ends it.

use super::server::{Ended, Ready, Task};
use crate::cli::Failure;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long the server may take to fill its store, and how long to end.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running server; it is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) async fn start(task: &Task) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::unavailable(format!("the server of this benchmark: {error}"));
        let executable = std::env::current_exe().map_err(|error| broken(&error))?;
        let mut command = Command::new(executable);
        command.args(["bench", "serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| broken(&error))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken(&"it has no standard input and output"));
        };
        let line = serde_json::to_string(task).map_err(|error| broken(&error))?;
        input.write_all(format!("{line}\n").as_bytes()).await.map_err(|error| broken(&error))?;
        let mut lines = BufReader::new(output).lines();
        let ready: Ready = hear(&mut lines).await?;
        Ok(Self { child, input, lines, address: ready.listening })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Lets it drain; returns what it says at its end.
    pub(super) async fn stop(self) -> Result<Ended, Failure> {
        let Self { mut child, input, mut lines, .. } = self;
        drop(input);
        let ended = hear(&mut lines).await?;
        let status = child.wait().await.map_err(|error| Failure::unavailable(error.to_string()))?;
        if status.success() { Ok(ended) } else { Err(Failure::unavailable(format!("the server of this benchmark ended with {status}"))) }
    }
}

/// The next line. If there is none the server has said on standard error why.
async fn hear<T: DeserializeOwned>(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<T, Failure> {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    let line = line.map_err(|_| Failure::unavailable("the server of this benchmark takes too long"))?;
    let line = line.ok().flatten().ok_or_else(|| Failure::unavailable("the server of this benchmark gave up"))?;
    serde_json::from_str(&line).map_err(|error| Failure::unavailable(format!("the server of this benchmark said {line:?}: {error}")))
}
