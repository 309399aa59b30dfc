//! `ordermill healthcheck`: whether a server takes work in, for containers and supervisors.

use super::output::{Format, Output};
use super::{Failure, Global, Outcome, boot, exit};
use crate::config::local_url;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take to say so.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How much of an answer is shown.
const SHOWN_MAX: usize = 500;

pub(super) async fn run(global: &Global, url: Option<&str>, output: &Output) -> Outcome {
    let base = if let Some(url) = url {
        url.trim_end_matches('/').to_owned()
    } else {
        let config = boot::load(global, None)?.config;
        local_url(announced(&config.data_dir).unwrap_or(config.server.listen))
    };
    let url = if base.ends_with("/readyz") { base } else { format!("{base}/readyz") };
    let sick = |why: String| Failure::new(exit::FAILED, format!("{url}: {why}"));
    let request = boot::http_client()?.get(&url).timeout(ANSWER_MAX).build();
    let request = request.map_err(|_| Failure::usage(format!("{url} is not a URL such as http://127.0.0.1:8080")))?;
    let answer = boot::http_client()?.execute(request).await.map_err(|error| sick(error.without_url().to_string()))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| sick(error.without_url().to_string()))?;
    let text = text.get(..text.floor_char_boundary(SHOWN_MAX)).unwrap_or_default().trim_end();
    if !status.is_success() {
        return Err(sick(format!("{} {text}", status.as_u16())));
    }
    if !serde_json::from_str::<Value>(text).is_ok_and(|answer| answer["ready"] == true) {
        return Err(sick("somebody else answers there".to_owned()));
    }
    match output.format {
        Format::Table | Format::Csv => output.line("ready"),
        Format::Json => output.line(text),
    }
    Ok(())
}

/// Where the node of a data folder says that it listens, which its settings need not say: `--listen` and port 0 are its own.
fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("listen")
}

fn announced(data_dir: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(file(data_dir)).ok()?.trim().parse().ok()
}

/// Says where this node listens. What a killed one left behind is overwritten, or leads to nobody.
pub(super) fn announce(data_dir: &Path, listen: SocketAddr) -> io::Result<()> {
    std::fs::write(file(data_dir), format!("{listen}\n"))
}
