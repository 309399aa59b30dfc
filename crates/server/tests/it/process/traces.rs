//! Traces, as a collector gets them: decoded here from the wire, not by the library that wrote them.

use super::shop::{Shop, eventually};
use super::world::Keeping;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A span as it came.
#[derive(Debug, Clone, Default)]
struct Span {
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    attributes: BTreeMap<String, String>,
    events: Vec<String>,
}

/// The fields of a message of Protocol Buffers: number and content, numbers without theirs.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).expect("a length"),
            5 => 4,
            other => panic!("a field of kind {other}"),
        };
        let (content, rest) = message.split_at(length);
        fields.push((key >> 3, content));
        message = rest;
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().expect("a number");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    value
}

fn within(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|(found, _)| *found == number).map(|(_, content)| content).collect()
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}

/// `ExportTraceServiceRequest`: resource spans (1) of scope spans (2) of spans (2).
fn spans(request: &[u8]) -> Vec<Span> {
    let resources = within(request, 1);
    let scopes = resources.iter().flat_map(|resource| within(resource, 2));
    scopes.flat_map(|scope| within(scope, 2)).map(span).collect()
}

fn span(message: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, content) in fields(message) {
        match number {
            1 => span.trace = content.to_vec(),
            2 => span.id = content.to_vec(),
            4 => span.parent = content.to_vec(),
            5 => span.name = text(content),
            9 => {
                let value =
                    within(content, 2).first().map(|value| within(value, 1).first().map_or_else(String::new, |text| self::text(text)));
                span.attributes.insert(text(within(content, 1)[0]), value.unwrap_or_default());
            }
            11 => span.events.extend(within(content, 2).into_iter().map(text)),
            _ => {}
        }
    }
    span
}

#[derive(Default)]
struct Collector {
    spans: Mutex<Vec<Span>>,
    wrong: Mutex<Vec<String>>,
}

impl Collector {
    /// A collector, and where it takes traces.
    async fn start() -> (Arc<Self>, String) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("it is bound"));
        let collector = Arc::new(Self::default());
        let taking = Arc::clone(&collector);
        let take = move |headers: HeaderMap, body: Bytes| {
            let taking = Arc::clone(&taking);
            async move {
                if headers.get("content-type").is_none_or(|kind| kind != "application/x-protobuf") {
                    taking.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{headers:?}"));
                }
                taking.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(spans(&body));
                StatusCode::OK
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await });
        (collector, url)
    }

    fn find(&self, name: &str, attribute: &str, value: &str) -> Option<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().find(|span| span.name == name && span.attributes.get(attribute).is_some_and(|found| found == value)).cloned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_jobs_arrive_at_a_collector() {
    let (collector, url) = Collector::start().await;
    let mut shop = Shop::new(Keeping::Sqlite).await;
    shop.world.server.set("OTEL__ENDPOINT", &url);
    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let code = shop.order(&token, "stripe", "").await;
    shop.pay(&code).await;
    eventually("the mail is sent", async || (shop.mail.mails().len() == 1).then_some(())).await;
    // The end of the process sends what has not been sent yet.
    server.stop().await;

    let placed = collector.find("request", "route", "/api/orders/create").expect("the order's request");
    assert_eq!((placed.attributes.get("order"), placed.trace.len(), placed.id.len()), (Some(&code), 16, 8), "{placed:?}");
    assert!(placed.events.iter().any(|event| event == "an order was placed"), "{placed:?}");
    let intent = collector.find("job", "consumer", "stripe").expect("the job of the intent");
    assert_eq!((&intent.trace, &intent.parent), (&placed.trace, &placed.id), "it ran within the request");
    let mail = collector.find("job", "consumer", "email").expect("the job of the mail");
    assert_eq!(mail.attributes.get("order"), Some(&code));
    let all = format!("{:?}", collector.spans.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(!all.contains("lien@example.com") && !all.contains("Liên") && !all.contains(&token), "nothing personal, nothing secret");
    assert_eq!(*collector.wrong.lock().unwrap_or_else(PoisonError::into_inner), Vec::<String>::new());
}

/// Nobody waits for a collector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_no_request() {
    let mut shop = Shop::new(Keeping::Sqlite).await;
    shop.world.server.set("OTEL__ENDPOINT", "http://127.0.0.1:9/v1/traces");
    let server = shop.open().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    shop.order(&token, "bank_transfer", "").await;
    server.stop().await;
}
