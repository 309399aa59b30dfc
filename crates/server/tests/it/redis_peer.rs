//! A real Redis for one test: on a port and in a folder of its own, ended with its test. What a test says to it directly goes
//! over a connection of its own, in Redis' own words, so that nothing of ours stands in between.

use crate::test_app::Folder;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// A running Redis.
pub(crate) struct RedisPeer {
    port: u16,
    folder: Folder,
    child: Child,
}

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Nothing,
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Reply>),
    Error(String),
}

impl RedisPeer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let folder = Folder::new();
        let child = spawn(port, &folder);
        let peer = Self { port, folder, child };
        peer.ready().await;
        peer
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Until it answers.
    async fn ready(&self) {
        for _ in 0..500 {
            if let Ok(Reply::Text(pong)) = self.ask(&[b"PING"]).await
                && pong == b"PONG"
            {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the Redis server does not start");
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it was running");
    }

    /// Starts it again on the same port, with nothing in it.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder);
        self.ready().await;
    }

    /// Stops it without ending it: connections stay open and nothing is answered.
    pub(crate) async fn freeze(&self) {
        self.signal("STOP").await;
    }

    pub(crate) async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").arg(format!("-{name}")).arg(pid).status().await.expect("kill runs");
        assert!(sent.success());
    }

    /// One command.
    pub(crate) async fn say(&self, words: &[&[u8]]) -> Reply {
        self.ask(words).await.expect("Redis answers")
    }

    /// Every key there is.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let Reply::List(keys) = self.say(&[b"KEYS", b"*"]).await else { panic!("no list of keys") };
        let text = |key: Reply| match key {
            Reply::Text(key) => String::from_utf8(key).expect("our keys are text"),
            other => panic!("{other:?}"),
        };
        let mut keys: Vec<String> = keys.into_iter().map(text).collect();
        keys.sort();
        keys
    }

    async fn ask(&self, words: &[&[u8]]) -> std::io::Result<Reply> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).await?;
        read(&mut stream).await
    }
}

fn spawn(port: u16, folder: &Folder) -> Child {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "redis-server", "--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(&folder.0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("redis-server starts")
}

/// One answer, and those inside it.
async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (kind, rest) = line.trim_end().split_at_checked(1).unwrap_or_default();
    let count = rest.parse::<i64>().unwrap_or_default();
    Ok(match kind {
        "+" => Reply::Text(rest.as_bytes().to_vec()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Number(count),
        "$" if count >= 0 => {
            let mut text = vec![0; usize::try_from(count).expect("a length") + 2];
            stream.read_exact(&mut text).await?;
            text.truncate(text.len() - 2);
            Reply::Text(text)
        }
        "*" if count >= 0 => {
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(Box::pin(read(stream)).await?);
            }
            Reply::List(list)
        }
        "$" | "*" => Reply::Nothing,
        other => return Err(std::io::Error::other(format!("an answer of kind {other:?}"))),
    })
}
