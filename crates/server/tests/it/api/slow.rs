//! Clients that dawdle, in numbers (F51): over headers, over bodies, over answers, between requests. Whoever behaves is served
//! all the same. The same with thousands, measured: `ordermill bench slow-clients`.

use crate::test_app::{Answer, Backend, PASSWORD, TestApp, on_both_stores, order_body};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

on_both_stores! {
    slow_clients_do_not_keep_others_out;
    bodies_that_do_not_end_do_not_keep_others_out;
    a_body_has_an_end_however_steadily_it_comes;
    one_address_does_not_take_every_place;
}

/// How many clients the app of slow clients takes at once.
const CONNECTIONS_MAX: usize = 300;
/// How many requests at once.
const REQUESTS_MAX: usize = 20;

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

/// Whoever holds as many connections as an address may is closed at once and makes nobody give way; others are served.
async fn one_address_does_not_take_every_place(backend: Backend) {
    let app = TestApp::start_set(backend, |config| {
        (config.server.connections_max, config.server.connections_per_address_max) = (4, 3);
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect(&app).await);
    }
    // Long enough that each of them would have to give way.
    tokio::time::sleep(Duration::from_millis(600)).await;
    for _ in 0..10 {
        let mut further = connect(&app).await;
        let ended = timeout(Duration::from_secs(5), further.read(&mut [0])).await.expect("it was closed");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    let other = reqwest::Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 2])).build().expect("a client");
    assert_eq!(other.get(app.at("/livez")).send().await.expect("an answer").status(), 200);
    for stream in &mut held {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("it is still there");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // Those places are free again, and soon counted so.
    let deadline = Instant::now() + Duration::from_secs(10);
    let again = reqwest::Client::builder().no_proxy().build().expect("a client");
    while again.get(app.at("/livez")).send().await.is_err() {
        assert!(Instant::now() < deadline, "the address holds nothing any more");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection")
}

/// The beginning of a request with a body that is to come.
fn begun(route: &str, token: &str) -> String {
    format!(
        "POST {route} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         stripe-signature: t=1,v1=00\r\ncontent-length: 5000\r\n\r\n{{"
    )
}

/// Every place for requests, also that for webhooks, is taken by somebody whose body does not come to an end, and every
/// connection by them, by somebody who does not read and by somebody who says nothing.
async fn bodies_that_do_not_end_do_not_keep_others_out(backend: Backend) {
    let app = TestApp::start_set(backend, |config| {
        config.server.connections_max = CONNECTIONS_MAX;
        (config.server.requests_max, config.server.webhook_requests_max) = (REQUESTS_MAX, REQUESTS_MAX);
    })
    .await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let mut slow = Vec::new();
    for number in 0..CONNECTIONS_MAX + 60 {
        let mut stream = connect(&app).await;
        let bytes = match number % 4 {
            0 => begun("/api/orders", &token).into_bytes(),
            1 => begun("/api/webhook/stripe", "").into_bytes(),
            2 => b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(40),
            _ => b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        };
        stream.write_all(&bytes).await.expect("it takes the bytes");
        slow.push(stream);
    }
    // Until the last of them has had its half second: who has only just come is not sent away.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let login = json!({ "email": "an@example.com", "password": PASSWORD });
    for number in 0..30 {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
        let request = match number % 3 {
            0 => client.post(app.at("/api/orders")).bearer_auth(&token).json(&order_body(&cup, 1, "cod")),
            1 => client.get(app.at("/api/orders")).bearer_auth(&token),
            _ => client.post(app.at("/api/users/login")).json(&login),
        };
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert!(answer.status < 300, "request {number}: {} {}", answer.status, answer.body);
        let told = app.webhook(&json!({ "id": format!("evt_{number}"), "object": "event", "type": "x.y", "data": { "object": {} } })).await;
        assert_eq!(told.status, 200, "{}", told.body);
    }
    assert_eq!(app.get("/api/orders", &token).await.body["data"].as_array().map(Vec::len), Some(10));
    drop(slow);
    app.fsck().await;
}

/// Byte by byte, never pausing for long: the time for all of it counts, not the time between two bytes.
async fn a_body_has_an_end_however_steadily_it_comes(backend: Backend) {
    let app = TestApp::start_set(backend, |config| config.server.body_timeout_ms = 300).await;
    let token = app.customer("an@example.com").await;
    for route in ["/api/orders", "/api/webhook/stripe", "/api/users/login"] {
        let (mut answers, mut bytes) = connect(&app).await.into_split();
        bytes.write_all(begun(route, &token).as_bytes()).await.expect("it takes the bytes");
        let sending = tokio::spawn(async move {
            while bytes.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = vec![0; 4_096];
        let length = timeout(Duration::from_secs(15), answers.read(&mut answer)).await.expect("an answer").unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 503"), "{route}: {answer}");
        sending.abort();
    }
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
