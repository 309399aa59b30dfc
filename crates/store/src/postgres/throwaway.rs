//! Postgres servers that tests start and throw away: each in a folder of its own, on a free port of the loopback
//! interface, stopped by its own process id. Compiled for tests only; nothing here may touch another server.

#![expect(clippy::disallowed_methods, reason = "test support: the environment says whether a server is already running")]

use std::fs;
use std::io::{Error, Result};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The variable that names a server which runs for a whole test run.
pub const SHARED_SERVER: &str = "ORDERMILL_TEST_POSTGRES";

/// How often a server is started before giving up.
const START_TRIES: u32 = 3;
/// How often a starting server is asked whether it is ready, and how long between.
const READY_TRIES: u32 = 600;
const READY_PAUSE: Duration = Duration::from_millis(50);

/// A server of one's own. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct ThrowawayPostgres {
    folder: PathBuf,
    binaries: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
    /// Stops the server when this process is gone, however it went: its standard input ends then.
    _watchdog: Child,
}

impl ThrowawayPostgres {
    /// Makes a fresh server and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&[], &[])
    }

    /// The same with settings of its own, and with files in its data folder that only the server may read.
    pub fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ordermill-postgres-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let binaries = find_binaries()?;
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        let data = folder.join("data");
        let init = as_postgres(&binaries.join("initdb"))?
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .stdin(Stdio::null())
            .output()?;
        if !init.status.success() {
            return Err(Error::other(format!("initdb: {}", String::from_utf8_lossy(&init.stderr))));
        }
        for (name, content) in files {
            write_private(&data, name, content)?;
        }
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let watchdog = watchdog(&folder)?;
        let mut server = Self { folder, binaries, port: free_port()?, settings, server: None, _watchdog: watchdog };
        for _ in 1..START_TRIES {
            if server.launch().is_ok() {
                return Ok(server);
            }
            // Somebody else may have taken the port in between.
            server.port = free_port()?;
        }
        server.launch()?;
        Ok(server)
    }

    /// Where it listens, for any test that brings a schema of its own.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?unsafe_fsync=allow", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills every process of the server at once, as a power cut would.
    pub fn kill_9(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let mut pids = children_of(server.id());
        pids.insert(0, server.id());
        signal("-KILL", &pids)?;
        server.wait()?;
        for pid in pids {
            wait_until_gone(pid);
        }
        Ok(())
    }

    /// Starts it again over the same folder and port.
    pub fn restart(&mut self) -> Result<()> {
        self.kill_9()?;
        let stale = [self.folder.join("data/postmaster.pid"), self.folder.join(format!(".s.PGSQL.{}.lock", self.port))];
        for file in stale {
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let port = self.port.to_string();
        let mut command = as_postgres(&self.binaries.join("postgres"))?;
        command.arg("-D").arg(self.folder.join("data")).args(["-p", &port, "-k"]).arg(&self.folder);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let server = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.server = Some(server);
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..READY_TRIES {
            if let Some(status) = self.server.as_mut().map(Child::try_wait).transpose()?.flatten() {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(Error::other(format!("the server ended with {status}: {log}")));
            }
            let port = self.port.to_string();
            let ready =
                Command::new(self.binaries.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres"]).status()?;
            if ready.success() {
                return Ok(());
            }
            sleep(READY_PAUSE);
        }
        Err(Error::other("the server did not become ready"))
    }
}

impl Drop for ThrowawayPostgres {
    fn drop(&mut self) {
        drop(self.kill_9());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Fast to start and small; it only needs to survive the death of its processes, not of the machine.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "max_wal_size=512MB",
    "log_min_messages=warning",
];

/// The server that this test run shares: the one that the environment names, or one that this process starts.
pub fn shared_url() -> Result<String> {
    static SHARED: OnceLock<std::result::Result<ThrowawayPostgres, String>> = OnceLock::new();
    if let Ok(url) = std::env::var(SHARED_SERVER) {
        return Ok(url);
    }
    let server = SHARED.get_or_init(|| ThrowawayPostgres::start().map_err(|error| error.to_string()));
    server.as_ref().map(ThrowawayPostgres::url).map_err(|error| Error::other(error.clone()))
}

/// Makes a schema nobody else has, and the URL that leads into it.
pub async fn fresh_schema(url: &str) -> Result<String> {
    let other = |error: tokio_postgres::Error| Error::other(super::connect::describe(&error));
    let endpoint = super::connect::Endpoint::parse(url).map_err(Error::other)?;
    let client = endpoint.connect().await.map_err(|trouble| Error::other(trouble.why()))?;
    let name = client.query_one("SELECT 'test_' || replace(gen_random_uuid()::text, '-', '')", &[]).await.map_err(other)?;
    let name: String = name.try_get(0).map_err(other)?;
    let statement = client.query_one("SELECT format('CREATE SCHEMA %I', $1::text)", &[&name]).await.map_err(other)?;
    client.batch_execute(statement.try_get(0).map_err(other)?).await.map_err(other)?;
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}schema={name}"))
}

/// Postgres refuses to run as root, so its programs run as its own user then.
fn as_postgres(program: &Path) -> Result<Command> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    // The caller's folder may be closed to that user.
    command.current_dir("/");
    Ok(command)
}

/// Where Debian and others put the server's programs; the newest version of Debian's wins.
fn find_binaries() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let elsewhere = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from);
    let is_complete = |folder: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|program| folder.join(program).exists());
    let found = versions.into_iter().rev().chain(elsewhere).find(is_complete);
    found.ok_or_else(|| Error::other("there is no Postgres server: apt-get install postgresql"))
}

/// Writes a file that belongs to the server alone, as it demands of keys.
fn write_private(folder: &Path, name: &str, content: &str) -> Result<()> {
    let (path, owner) = (folder.join(name), fs::metadata(folder)?);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A shell that reads until this process is gone, then stops whatever server runs in the folder and removes it.
fn watchdog(folder: &Path) -> Result<Child> {
    const SCRIPT: &str =
        "cat >/dev/null; pid=$(head -n 1 \"$1/data/postmaster.pid\" 2>/dev/null) && kill -QUIT \"$pid\" && sleep 1; rm -rf \"$1\"";
    Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn children_of(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn signal(name: &str, pids: &[u32]) -> Result<()> {
    // A child that ended by itself meanwhile is no failure.
    let _status = Command::new("kill").arg(name).args(pids.iter().map(u32::to_string)).stderr(Stdio::null()).status()?;
    Ok(())
}

fn is_alive(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn wait_until_gone(pid: u32) {
    for _ in 0..READY_TRIES {
        if !is_alive(pid) {
            return;
        }
        sleep(READY_PAUSE);
    }
}
