//! Clients that mean no good, or are just slow: raw bytes on the socket (F51, F52), and slow ones in numbers.

use crate::test_app::{Backend, TestApp, on_both_stores};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

on_both_stores! {
    requests_that_two_servers_would_read_differently_are_refused;
    slow_clients_do_not_keep_others_out;
}

/// How many clients the app of slow clients takes at once.
const CONNECTIONS_MAX: usize = 300;

/// What comes back for these bytes, until the server closes or has said enough.
async fn said(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(bytes).await.expect("it takes the bytes");
    let mut answer = vec![0; 4_096];
    let length = timeout(Duration::from_secs(15), stream.read(&mut answer)).await.expect("an answer or an end").unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn requests_that_two_servers_would_read_differently_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let refused: &[&str] = &[
        // Length and chunks at once, in both orders and in disguise (request smuggling).
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n",
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        // What is no HTTP at all.
        "GET /api/products HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /api/pro ducts HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/products HTTP/1.1\r\nHost a\r\n\r\n",
        "GET /api/products HTTP/1.1\r\nHo\0st: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{0}hello tls\r\n\r\n",
    ];
    for bytes in refused {
        let answer = said(&app, bytes.as_bytes()).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{bytes:?} was answered {answer}");
    }
    let large_header = format!("GET /api/products HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(600 * 1024));
    let answer = said(&app, &large_header.as_bytes()[..512 * 1024]).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many_headers = format!("GET /api/products HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: a\r\n".repeat(200));
    let answer = said(&app, many_headers.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Chunks without an end are cut off by size.
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    let endless = format!(
        "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(40)
    );
    let answer = said(&app, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(app.get("/livez", "").await.status, 200, "and everybody else is served");
}

/// Every slot is taken by somebody who sends a header byte by byte; others are served all the same.
async fn slow_clients_do_not_keep_others_out(backend: Backend) {
    let app = TestApp::start_set(backend, |config| config.server.connections_max = CONNECTIONS_MAX).await;
    let before = p99(&app).await;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS_MAX + 200 {
        let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection");
        stream.write_all(b"GET /api/products HTTP/1.1\r\nX-Slow: ").await.expect("it takes the bytes");
        slow.push(stream);
    }
    let meanwhile = p99(&app).await;
    println!("p99 of a list: {before:?} alone, {meanwhile:?} beside {} slow clients", slow.len());
    // The first ones had to give way.
    let mut byte = [0];
    let ended = timeout(Duration::from_secs(5), slow[0].read(&mut byte)).await.expect("it was sent away");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

/// The ninety-ninth of a hundred times of a request on a connection of its own, each answered well.
async fn p99(app: &TestApp) -> Duration {
    let mut times = Vec::new();
    for _ in 0..100 {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
        let began = Instant::now();
        let answer = client.get(app.at("/api/products")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[98]
}
