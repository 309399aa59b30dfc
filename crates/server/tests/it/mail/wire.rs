//! An SMTP server of a few lines that records every byte it is sent. It reads the wire without any library's help, and
//! shows what a client does to servers that a polite library does not play.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A running server; its thread ends with the process.
pub(super) struct Wire {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// How a server behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// What it greets with.
    pub(super) greeting: &'static str,
    /// What it says it can do, besides its name.
    pub(super) extensions: &'static [&'static str],
    /// What it answers to the mail's end; nothing means that it hangs up.
    pub(super) end: Option<&'static str>,
}

impl Default for Manners {
    fn default() -> Self {
        Self { greeting: "220 wire.test ESMTP", extensions: &["8BITMIME"], end: Some("250 2.0.0 OK") }
    }
}

impl Wire {
    pub(super) fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up ends its own dialogue only.
                serve(stream, manners, &hearing).ok();
            }
        });
        Self { port, heard }
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Every byte that clients sent, as text.
    pub(super) fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }

    /// The mail that was sent, between DATA and the dot, as it was on the wire.
    pub(super) fn mail(&self) -> String {
        let heard = self.heard();
        let (_, rest) = heard.split_once("DATA\r\n").unwrap();
        rest.split_once("\r\n.\r\n").unwrap().0.to_owned()
    }
}

fn serve(stream: TcpStream, manners: Manners, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    write!(answers, "{}\r\n", manners.greeting)?;
    let mut is_mail = false;
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&line);
        let text = String::from_utf8_lossy(&line).to_ascii_uppercase();
        if is_mail {
            if text == ".\r\n" {
                is_mail = false;
                let Some(end) = manners.end else { return Ok(()) };
                write!(answers, "{end}\r\n")?;
            }
        } else if text.starts_with("EHLO") {
            for extension in manners.extensions {
                write!(answers, "250-{extension}\r\n")?;
            }
            write!(answers, "250 HELP\r\n")?;
        } else if text.starts_with("DATA") {
            is_mail = true;
            write!(answers, "354 go on\r\n")?;
        } else if text.starts_with("QUIT") {
            write!(answers, "221 bye\r\n")?;
            lines.read_to_end(&mut line)?;
            return Ok(());
        } else {
            write!(answers, "250 OK\r\n")?;
        }
    }
}
