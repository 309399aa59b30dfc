//! The SMTP server of `tests/peers/smtp_peer.py` as a test sees it: started, scripted, read back, and gone at the end.

use super::certificate;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A running SMTP server.
pub(super) struct Peer {
    process: Child,
    folder: PathBuf,
    ports: Value,
}

/// What arrived there.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) messages: Vec<Arrived>,
    pub(super) auth: Vec<Auth>,
    /// How often a client said EHLO.
    pub(super) connections: usize,
}

/// A mail as Python's `email` reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arrived {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) tls: bool,
    pub(super) user: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) subject: String,
    pub(super) to_addresses: Vec<(String, String)>,
    pub(super) from_addresses: Vec<(String, String)>,
    pub(super) parts: Vec<Part>,
    pub(super) defects: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: String,
}

/// An attempt to sign in.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Auth {
    pub(super) mechanism: String,
    pub(super) tls: bool,
}

impl Arrived {
    pub(super) fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

impl Peer {
    /// Starts one. Fails loudly, never silently, when Python or aiosmtpd is missing.
    pub(super) fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ordermill-smtp-peer-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let made = certificate::make();
        std::fs::write(folder.join("peer.pem"), made.pem).unwrap();
        std::fs::write(folder.join("peer.key"), made.key_pem).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/smtp_peer.py");
        let python = crate::test_app::python();
        let mut process = Command::new(&python)
            .arg(script)
            .arg("--certificate")
            .arg(folder.join("peer.pem"))
            .arg("--key")
            .arg(folder.join("peer.key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python} cannot be started: {error}; set ORDERMILL_TEST_PYTHON"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the SMTP peer did not start under {python}: it needs aiosmtpd (pip install aiosmtpd==1.4.6; scripts/test does it)")
        });
        Self { process, folder, ports }
    }

    pub(super) fn port(&self, name: &str) -> u16 {
        self.ports[name].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap()
    }

    /// The file of the certificate that it shows.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("peer.pem")
    }

    /// What it does the next time a dialogue is at this step: `mail`, `rcpt` or `end`.
    pub(super) fn script(&self, at: &str, what: Scripted<'_>) {
        let entry = match what {
            Scripted::Reply(reply) => json!({ "at": at, "do": "reply", "reply": reply }),
            Scripted::Hang => json!({ "at": at, "do": "hang" }),
            Scripted::Drop => json!({ "at": at, "do": "drop" }),
            Scripted::StoreThenDrop => json!({ "at": at, "do": "store_then_drop" }),
        };
        self.http("POST", "/script", &entry.to_string());
    }

    pub(super) fn reset(&self) {
        self.http("POST", "/reset", "");
    }

    pub(super) fn state(&self) -> State {
        serde_json::from_str(&self.http("GET", "/state", "")).unwrap()
    }

    fn http(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port("http"))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: peer\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

/// What the peer does at a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scripted<'a> {
    Reply(&'a str),
    Hang,
    Drop,
    StoreThenDrop,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
