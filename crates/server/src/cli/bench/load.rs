//! The load: keep-alive connections that each place one order after the other, and look at every answer. As little work per
//! order as possible, because the server has to share the machine with it.

use super::latency::micros;
use super::stopwatch::Stopwatch;
use super::world::World;
use crate::cli::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// How many threads make the load.
pub(super) const THREADS: usize = 2;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) world: World,
    pub(super) connections: usize,
    /// Orders answered in this time are not measured.
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How long the measured answers took, in microseconds.
    pub(super) latencies: Vec<u32>,
    /// The code of every order that was acknowledged, measured or not.
    pub(super) codes: Vec<String>,
    /// Answers other than 201, and requests without an answer.
    pub(super) failed: u64,
    /// The first of them.
    pub(super) first_failure: Option<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.codes.extend(other.codes);
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }
}

/// Makes the load on threads of its own; returns when the time is over and every request is answered.
pub(super) fn run(plan: &Plan, acknowledged: &Arc<AtomicU64>) -> Result<Tally, Failure> {
    let buyers = Arc::new(Buyers::new(plan)?);
    let clock = Stopwatch::start();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (plan, buyers, acknowledged) = (plan.clone(), Arc::clone(&buyers), Arc::clone(acknowledged));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| broken(&error))?;
                let mine = (0..plan.connections).filter(|number| number % THREADS == thread).collect::<Vec<_>>();
                runtime.block_on(share(&plan, mine, &buyers, clock, &acknowledged))
            })
        })
        .collect();
    let mut tally = Tally::default();
    for thread in threads {
        tally.add(thread.join().map_err(|_| broken(&"a thread panicked"))??);
    }
    Ok(tally)
}

/// One thread's connections.
async fn share(
    plan: &Plan,
    numbers: Vec<usize>,
    buyers: &Arc<Buyers>,
    clock: Stopwatch,
    acknowledged: &Arc<AtomicU64>,
) -> Result<Tally, Failure> {
    let mut clients = Vec::with_capacity(numbers.len());
    for number in numbers {
        let stream = TcpStream::connect(plan.address).await.map_err(|error| broken(&error))?;
        stream.set_nodelay(true).map_err(|error| broken(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let draw = Draw::new(number as u64);
        let client = Client { number, sent: 0, sender, draw, buyers: Arc::clone(buyers), tally: Tally::default() };
        clients.push(tokio::spawn(client.order_until_the_end(plan.clone(), clock, Arc::clone(acknowledged))));
    }
    let mut tally = Tally::default();
    for client in clients {
        tally.add(client.await.map_err(|error| broken(&error))?);
    }
    Ok(tally)
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::unavailable(format!("the load could not be made: {error}"))
}

/// Who orders what, made beforehand.
struct Buyers {
    host: HeaderValue,
    authorizations: Vec<HeaderValue>,
    products: Vec<String>,
    run: String,
}

impl Buyers {
    fn new(plan: &Plan) -> Result<Self, Failure> {
        let world = &plan.world;
        let header = |text: String| HeaderValue::try_from(text).map_err(|error| broken(&error));
        Ok(Self {
            host: header(plan.address.to_string())?,
            authorizations: (0..world.customers)
                .map(|number| header(format!("Bearer {}", world.token(number))))
                .collect::<Result<_, _>>()?,
            products: (0..world.products).map(|number| world.product_id(number).to_string()).collect(),
            run: world.seed.clone(),
        })
    }

    /// An order of two different products by anybody.
    fn request(&self, draw: &mut Draw, key: &str) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let first = draw.below(self.products.len());
        let second = (first + 1 + draw.below(self.products.len() - 1)) % self.products.len();
        let body = format!(
            "{{\"products\":[{{\"productId\":\"{}\",\"quantity\":{}}},{{\"productId\":\"{}\",\"quantity\":{}}}],\
             \"paymentMethod\":\"bank_transfer\",\"shippingAddress\":{{\"name\":\"Nguyễn Thị Ánh\",\"phone\":\"0901234567\",\
             \"line1\":\"12 Lý Thường Kiệt\",\"province\":\"Hà Nội\",\"country\":\"VN\"}}}}",
            self.products[first],
            1 + draw.below(3),
            self.products[second],
            1 + draw.below(3),
        );
        Request::builder()
            .method(Method::POST)
            .uri("/api/orders/create")
            .header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.authorizations[draw.below(self.authorizations.len())].clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body)))
    }
}

/// One connection.
struct Client {
    number: usize,
    sent: u64,
    sender: SendRequest<Full<Bytes>>,
    draw: Draw,
    buyers: Arc<Buyers>,
    tally: Tally,
}

impl Client {
    async fn order_until_the_end(mut self, plan: Plan, clock: Stopwatch, acknowledged: Arc<AtomicU64>) -> Tally {
        let end = plan.warm_up + plan.measured;
        loop {
            let asked = clock.elapsed();
            if asked >= end || self.sender.is_closed() {
                return self.tally;
            }
            match self.order().await {
                Ok(code) => {
                    let answered = clock.elapsed();
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    self.tally.codes.push(code);
                    if (plan.warm_up..end).contains(&answered) {
                        self.tally.latencies.push(micros(answered.saturating_sub(asked)));
                    }
                }
                Err(why) => self.tally.fail(why),
            }
        }
    }

    /// Places an order; returns its code.
    async fn order(&mut self) -> Result<String, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        self.sent += 1;
        let key = format!("{}-{}-{}", self.buyers.run, self.number, self.sent);
        let request = self.buyers.request(&mut self.draw, &key).map_err(|error| text(&error))?;
        self.sender.ready().await.map_err(|error| text(&error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| text(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| text(&error))?.to_bytes();
        match code(&body) {
            Some(code) if status == StatusCode::CREATED => Ok(code),
            _ => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
        }
    }
}

/// The order's code, found without reading the rest.
fn code(body: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"code\":\"";
    let begin = body.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let end = body[begin..].iter().position(|byte| *byte == b'"')? + begin;
    std::str::from_utf8(&body[begin..end]).ok().map(str::to_owned)
}

/// Numbers that look drawn (`SplitMix64`): cheap, and the same in every run.
struct Draw(u64);

impl Draw {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a number below a length fits")]
    const fn below(&mut self, length: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % length as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_an_answer() {
        assert_eq!(code(br#"{"code":"DH000123","createdAt":"x"}"#), Some("DH000123".to_owned()));
        assert_eq!(code(br#"{"detail":"no"}"#), None);
        assert_eq!(code(br#"{"code":"DH0001"#), None);
    }
}
