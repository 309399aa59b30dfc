//! The client alone: the bytes it sends, and what it makes of answers that the real Stripe would never give.

use super::stage::{API_KEY, Stage, config, create_intent, http};
use ordermill::config::StripeConfig;
use ordermill::providers::stripe::{StripeClient, StripeError};
use ordermill_core::money::{Currency, Money};
use ordermill_core::payment::{FactKind, PaymentProgress};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Takes one connection, answers its first request with these bytes, and returns the request.
async fn answer_once(answer: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let recording = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4_096];
        while !is_whole(&request) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the client hung up");
            request.extend_from_slice(&buffer[..read]);
        }
        // The client may have seen enough before the end.
        drop(stream.write_all(answer.as_bytes()).await);
        String::from_utf8(request).unwrap()
    });
    (url, recording)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn http_answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

async fn create_against(answer: String) -> Result<ordermill::providers::stripe::PaymentIntent, StripeError> {
    let (url, _recording) = answer_once(answer).await;
    StripeClient::new(http(), &config(&url)).create_intent(&create_intent(1)).await
}

#[tokio::test]
async fn the_request_is_the_references_with_our_metadata() {
    let body = r#"{"object":"payment_intent","id":"pi_1","status":"requires_payment_method","client_secret":"s"}"#;
    let (url, recording) = answer_once(http_answer("200 OK", "", body)).await;
    // A slash at the end of the setting makes no second one in the path.
    let client = StripeClient::new(http(), &config(&format!("{url}/")));
    let wanted = create_intent(1);
    let intent = client.create_intent(&wanted).await.unwrap();
    assert_eq!((intent.id.as_str(), intent.client_secret.as_deref()), ("pi_1", Some("s")));

    let requests: Value = serde_json::from_str(include_str!("../../../../core/vectors/stripe-requests.json")).unwrap();
    let reference = requests.as_array().unwrap().iter().find(|request| request["op"] == "create PaymentIntent").unwrap();
    let ours = format!("metadata[orderId]={}&metadata[orderCode]=DH000001&metadata[paymentId]={}", wanted.order_id, wanted.payment_id);
    let expected = reference["body"].as_str().unwrap().replace("metadata[order_code]=DH000123", &ours);
    let request = recording.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, expected);
    let lines: Vec<String> = head.lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "POST /v1/payment_intents HTTP/1.1");
    for header in [
        format!("authorization: Bearer {API_KEY}"),
        format!("idempotency-key: {}", wanted.idempotency_key),
        "stripe-version: 2026-10-28.endive".to_owned(),
        "content-type: application/x-www-form-urlencoded".to_owned(),
    ] {
        assert!(lines.contains(&header), "{header} is not in {lines:?}");
    }
}

#[tokio::test]
async fn an_intent_is_made_and_read_back() {
    let stage = Stage::set().await;
    let made = stage.intent(1).await;
    assert!(made.client_secret.as_ref().unwrap().starts_with(&format!("{}_secret_", made.id)));
    let (fact, links) = made.fact().unwrap();
    assert_eq!((fact.kind, fact.amount, fact.currency), (FactKind::Payment(PaymentProgress::Pending), 250_000, Currency::VND));
    let wanted = create_intent(1);
    assert_eq!(links.order_id, Some(wanted.order_id.to_string()));
    assert_eq!(links.order_code, Some(wanted.order_code));
    assert_eq!(links.payment_id, Some(wanted.payment_id.to_string()));

    assert_eq!(stage.client.retrieve_intent(&made.id).await.unwrap(), made);
    stage.confirm(&made.id, "pm_card_visa").await;
    let paid = stage.client.retrieve_intent(&made.id).await.unwrap();
    assert_eq!(paid.fact().unwrap().0.kind, FactKind::Payment(PaymentProgress::Succeeded));
    assert_eq!(stage.client.read_payment_intent(&made.id).await.unwrap(), paid.object);
}

#[tokio::test]
async fn amounts_go_out_as_stripe_counts_them() {
    let stage = Stage::set().await;
    for (number, amount, code, wire) in [(1, 1_000, "USD", 1_000), (2, 500, "JPY", 500), (3, 5, "UGX", 500), (4, 5_120, "KWD", 5_120)] {
        let amount = Money::new(amount, Currency::parse(code).unwrap());
        let request = ordermill::providers::stripe::CreateIntent { amount, ..create_intent(number) };
        let intent = stage.client.create_intent(&request).await.unwrap();
        assert_eq!(intent.object["amount"], wire, "{code}");
        assert_eq!(intent.fact().unwrap().0.amount, amount.amount, "{code}");
    }
    let too_fine =
        ordermill::providers::stripe::CreateIntent { amount: Money::new(5_123, Currency::parse("KWD").unwrap()), ..create_intent(5) };
    assert!(matches!(stage.client.create_intent(&too_fine).await, Err(StripeError::Unsendable { .. })));
    assert_eq!(stage.simulator.journal().len(), 4);
}

#[tokio::test]
async fn without_a_key_nothing_is_sent() {
    for secret_key in [None, Some(SecretString::from("")), Some(SecretString::from("  "))] {
        let client = StripeClient::new(http(), &StripeConfig { secret_key, ..config("http://127.0.0.1:1") });
        assert!(!client.is_configured());
        assert_eq!(client.create_intent(&create_intent(1)).await, Err(StripeError::NotConfigured));
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_told() {
    let stage = Stage::set().await;
    let wrong = Some(SecretString::from("sk_test_somebody_elses"));
    let client = StripeClient::new(http(), &StripeConfig { secret_key: wrong, ..config(&stage.url) });
    let error = client.create_intent(&create_intent(1)).await.unwrap_err();
    assert!(matches!(error, StripeError::Refused { status: 401, .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("sk_test"));
    assert_eq!(stage.simulator.journal(), []);
}

#[tokio::test]
async fn a_closed_port_means_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = StripeClient::new(http(), &config(&url)).create_intent(&create_intent(1)).await.unwrap_err();
    assert!(matches!(&error, StripeError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn whatever_is_no_answer_leaves_the_outcome_unknown() {
    // A good answer but for its length.
    let description = "x".repeat(300 * 1_024);
    let huge = json!({ "object": "payment_intent", "id": "pi_1", "status": "succeeded", "description": description }).to_string();
    let answers = [
        ("a redirect", http_answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", "")),
        ("a huge answer", http_answer("200 OK", "", &huge)),
        ("no JSON", http_answer("200 OK", "", "<html>")),
        ("another object", http_answer("200 OK", "", r#"{"object":"list","id":"pi_1","status":"succeeded"}"#)),
        ("a torn answer", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned()),
        ("half a head", "HTTP/1.1 200".to_owned()),
        ("nothing", String::new()),
        ("a gateway's page", http_answer("502 Bad Gateway", "", "<html>")),
    ];
    for (name, answer) in answers {
        let error = create_against(answer).await.unwrap_err();
        assert!(matches!(&error, StripeError::Unknown { is_retryable: true, .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let body = r#"{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Slow down"}}"#;
    let error = create_against(http_answer("429 Too Many Requests", "retry-after: 7\r\n", body)).await.unwrap_err();
    assert_eq!(error, StripeError::Busy { why: "429 rate_limit".to_owned(), retry_after_ms: Some(7_000) });
}

#[tokio::test]
async fn nothing_that_is_printed_tells_a_secret() {
    let stage = Stage::set().await;
    let intent = stage.intent(1).await;
    assert!(!format!("{intent:?}").contains("_secret_"));
    assert!(!format!("{:?}", stage.simulator).contains("whsec_"));
    let error = stage.client.retrieve_intent("pi_none_secret_x").await.unwrap_err();
    assert!(matches!(&error, StripeError::Refused { status: 404, code, .. } if code == "resource_missing"), "{error:?}");
    assert!(!format!("{error:?}").contains("_secret_"));
}

#[tokio::test]
async fn an_id_cannot_lead_to_another_path() {
    let stage = Stage::set().await;
    for id in ["", "..", "pi_1/cancel", "pi_1?expand=x", "pi_ü"] {
        assert!(matches!(stage.client.retrieve_intent(id).await, Err(StripeError::Unsendable { .. })), "{id}");
    }
}
