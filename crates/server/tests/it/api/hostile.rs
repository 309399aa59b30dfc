//! Clients that mean no good: raw bytes on the socket (F52).

use crate::test_app::{Backend, TestApp, on_both_stores};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

on_both_stores! {
    requests_that_two_servers_would_read_differently_are_refused;
    a_request_behind_a_doubtful_one_is_not_answered;
    chunks_that_are_none_are_refused;
}

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

/// Everything that comes back until the server closes, which it must.
async fn said_until_the_end(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(bytes).await.expect("it takes the bytes");
    let mut answers = Vec::new();
    let ended = timeout(Duration::from_secs(15), stream.read_to_end(&mut answers)).await;
    let said = String::from_utf8_lossy(&answers).into_owned();
    assert!(ended.is_ok(), "the connection stays open after {said}");
    said
}

/// A length and chunks at once: whoever stands in front of us may go by the one, we go by the other. So what follows is never
/// taken for another request.
async fn a_request_behind_a_doubtful_one_is_not_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let answers = |said: &str| said.matches("HTTP/1.1 ").count();
    let smuggled = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let with = |headers: &str, body: &str| {
        format!("POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}{smuggled}")
    };
    let control = said_until_the_end(&app, with("Content-Length: 2", "{}").as_bytes()).await;
    assert_eq!(answers(&control), 2, "one after the other is no crime: {control}");
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    let doubtful = [
        with("Content-Length: 12\r\nTransfer-Encoding: chunked", chunks),
        with("Transfer-Encoding: chunked\r\nContent-Length: 12", chunks),
        with("Content-Length: 2\r\nTransfer-Encoding: chunked", chunks),
        with("Content-Length: 2\r\nContent-Length: 3", "{}"),
        with("Content-Length: 2, 3", "{}"),
        with("Content-Length: +2", "{}"),
        with("Content-Length : 2", "{}"),
        with("Content-Length: 0x2", "{}"),
        with("Transfer-Encoding : chunked", chunks),
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunks),
        with("Transfer-Encoding: chunked, gzip", chunks),
        with("Transfer-Encoding: \x0bchunked", chunks),
        with("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: -2", chunks),
    ];
    for request in doubtful {
        let said = said_until_the_end(&app, request.as_bytes()).await;
        assert!(answers(&said) <= 1 && !said.contains("HTTP/1.1 2"), "{request:?} was answered {said}");
    }
}

async fn chunks_that_are_none_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let head = "POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long_extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(64 * 1024));
    let many_trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(20_000));
    let tiny = format!("{}0\r\n\r\n", "1\r\n \r\n".repeat(300 * 1024));
    let chunks = [
        "ffffffffffffffffff\r\n{}",
        "-2\r\n{}\r\n0\r\n\r\n",
        "x\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
        &long_extension,
        &many_trailers,
        &tiny,
    ];
    for body in chunks {
        let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection");
        // It may close before it has read all of it.
        drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
        let mut answer = vec![0; 4_096];
        let read = timeout(Duration::from_secs(15), stream.read(&mut answer)).await.expect("an answer or an end");
        let answer = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{body:.60?} was answered {answer}");
    }
    assert_eq!(app.get("/livez", "").await.status, 200);
}
