//! The binary as a process: started, watched, signalled, asked on its command line.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// The binary that was built for this test run.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_ordermill");
/// How long a server may take to answer, on a machine that builds and tests at the same time.
const READY: Duration = Duration::from_secs(30);
/// How long a drain may take here: longer than the server's own limit.
const DRAIN: Duration = Duration::from_secs(30);

/// How to start ordermill on one data folder.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) data: PathBuf,
    pub(super) port: u16,
    pub(super) ops_port: u16,
    /// Environment variables, the settings among them.
    pub(super) variables: Vec<(String, String)>,
    /// What the server is started through, such as a tracer; the last of them runs what follows.
    pub(super) through: Vec<OsString>,
    /// Where its standard error goes, start after start.
    pub(super) log: PathBuf,
}

impl Settings {
    /// `ordermill dev` on this folder and on ports of its own.
    pub(super) fn new(data: PathBuf, log: PathBuf) -> Self {
        // For the clients of this process. A second call says so and changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { data, port: free_port(), ops_port: free_port(), variables: Vec::new(), through: Vec::new(), log }
    }

    /// With a setting, as `SECTION__KEY`.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((format!("ORDERMILL__{name}"), value.to_owned()));
    }

    /// The same server under other circumstances.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut settings = self.clone();
        settings.variables.push((name.to_owned(), value.to_owned()));
        settings
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn ops_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ops_port)
    }

    /// Starts `ordermill dev` without waiting for anything.
    pub(super) fn start(&self) -> Server {
        self.start_as(&["dev"])
    }

    /// Starts `ordermill serve` and waits until it takes requests. It says nothing on standard output.
    pub(super) async fn serve_ready(&self) -> Server {
        self.start_ready_as(&["serve"]).await
    }

    fn start_as(&self, mode: &[&str]) -> Server {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&[mode, &["--listen", &listen]].concat());
        command.env("ORDERMILL__SERVER__OPS_LISTEN", format!("127.0.0.1:{}", self.ops_port));
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.as_std()));
        let pid = child.id().expect("it has just started");
        Server { child, pid, settings: self.clone() }
    }

    /// Starts it and waits until it takes requests.
    pub(super) async fn start_ready(&self) -> Server {
        let mut server = self.start();
        server.ready().await;
        server
    }

    /// Starts it in this mode, with its flags, and waits until it takes requests.
    pub(super) async fn start_ready_as(&self, mode: &[&str]) -> Server {
        let mut server = self.start_as(mode);
        server.ready().await;
        server
    }

    /// Runs a command on this data folder to its end.
    pub(super) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "").await
    }

    /// Runs a command that reads this from its standard input.
    pub(super) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Self { through: Vec::new(), ..self.clone() }.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Whoever reads no input may be gone before it is written.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        timeout(Duration::from_mins(1), child.wait_with_output()).await.expect("the command ends").expect("its output")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = contained(&self.through);
        command.args(arguments).arg("--data").arg(&self.data);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The end of what the server said.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Whether a thread of any server of this test panicked.
    pub(super) fn panics(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }
}

/// The binary without anything of our own environment: dies with this process, leaves no core file (it would be as large
/// as the binary, a hundred times over).
pub(super) fn contained(through: &[OsString]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command.args(["sh", "-c", "ulimit -c 0; exec \"$@\"", "sh"]).args(through).arg(BINARY);
    command.env_clear().env("PATH", path()).kill_on_drop(true);
    command
}

#[expect(clippy::disallowed_methods, reason = "programs are found where this test run finds them")]
fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// A running server.
pub(super) struct Server {
    child: Child,
    pub(super) pid: u32,
    settings: Settings,
}

impl Server {
    /// Waits until it takes requests.
    pub(super) async fn ready(&mut self) {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
        let ready = async {
            loop {
                if let Ok(answer) = http.get(self.settings.url("/readyz")).send().await
                    && answer.status().is_success()
                {
                    return;
                }
                if let Some(status) = self.child.try_wait().expect("it can be asked") {
                    panic!("the server ended with {status} instead of starting:\n{}", self.settings.log_tail());
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let is_ready = timeout(READY, ready).await.is_ok();
        assert!(is_ready, "the server does not become ready:\n{}", self.settings.log_tail());
    }

    /// How it ended, if it does within this time.
    pub(super) async fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        timeout(time, self.child.wait()).await.ok().map(|status| status.expect("it can be waited for"))
    }

    /// Ends it by SIGKILL, and says how it ended: perhaps it was faster.
    pub(super) async fn end(mut self) -> ExitStatus {
        self.signal("KILL").await;
        self.child.wait().await.expect("it can be waited for")
    }

    /// Sends a signal. It was not waited for yet, so its id is nobody else's.
    pub(super) async fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).output().await;
        drop(sent.expect("kill runs"));
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn terminate(mut self) -> ExitStatus {
        self.signal("TERM").await;
        let ended = self.ends_within(DRAIN).await;
        ended.unwrap_or_else(|| panic!("it does not stop:\n{}", self.settings.log_tail()))
    }

    /// Asks it to stop; it must do so without complaint.
    pub(super) async fn stop(self) {
        let settings = self.settings.clone();
        let status = self.terminate().await;
        assert_eq!(status.code(), Some(0), "{status}:\n{}", settings.log_tail());
    }
}

/// Whether a process was ended by this signal.
pub(super) fn is_signal(status: ExitStatus, signal: i32) -> bool {
    status.signal() == Some(signal)
}

/// A port of the loopback interface that nobody has. Not one that the kernel gives away by itself: between two starts of
/// a server another program's connection could be put on it.
pub(super) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests are processes of their own: each begins elsewhere.
    let beginning = std::process::id() % u32::from(COUNT) * 7;
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((beginning + step) % u32::from(COUNT)).expect("it is below the count");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
