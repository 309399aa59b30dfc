//! Tests of request bodies: each body of the reference, byte for byte.

use super::form::{Form, encode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Request {
    op: String,
    path: String,
    body: Option<String>,
}

/// The request of that name: its body or, for a GET, its query.
fn reference(op: &str) -> String {
    let requests: Vec<Request> = serde_json::from_str(include_str!("../../vectors/stripe-requests.json")).unwrap();
    assert_eq!(requests.len(), 7, "each of them has its test below");
    let request = requests.into_iter().find(|request| request.op == op).unwrap();
    request.body.unwrap_or_else(|| request.path.split_once('?').unwrap().1.to_owned())
}

#[test]
fn bodies_are_as_in_the_reference() {
    let payment_intent = Form::new()
        .number("amount", 250_000)
        .text("currency", "vnd")
        .flag("automatic_payment_methods[enabled]", true)
        .text("metadata[order_code]", "DH000123")
        .maybe("receipt_email", Some("test@example.com"))
        .maybe("description", None);
    assert_eq!(payment_intent.as_str(), reference("create PaymentIntent"));
    assert_eq!(encode(&[("payment_method", "pm_card_visa"), ("return_url", "https://shop.example/return")]), reference("confirm"));
    assert_eq!(encode(&[("cancellation_reason", "abandoned")]), reference("cancel"));
    assert_eq!(Form::new().number("amount_to_capture", 100_000).finish(), reference("capture"));
    let refund =
        [("payment_intent", "pi_123"), ("amount", "50000"), ("reason", "requested_by_customer"), ("metadata[order_code]", "DH000123")];
    assert_eq!(encode(&refund), reference("refund"));
    assert_eq!(encode(&[("expand[0]", "latest_charge")]), reference("retrieve with expand"));
}

#[test]
fn a_checkout_session_is_as_in_the_reference() {
    let checkout = encode(&[
        ("mode", "payment"),
        ("success_url", "https://shop.example/ok?sid={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://shop.example/cancel"),
        ("client_reference_id", "DH000123"),
        ("customer_email", "test+a@example.com"),
        ("line_items[0][quantity]", "2"),
        ("line_items[0][price_data][currency]", "vnd"),
        ("line_items[0][price_data][unit_amount]", "125000"),
        ("line_items[0][price_data][product_data][name]", "Khóa học"),
        ("payment_intent_data[metadata][order_code]", "DH000123"),
        ("metadata[order_code]", "DH000123"),
    ]);
    assert_eq!(checkout, reference("checkout"));
}

#[test]
fn values_cannot_add_pairs() {
    assert_eq!(encode(&[("a&b=c", "1&amount=0"), ("d[e]", "[f]%+\n~")]), "a%26b%3Dc=1%26amount%3D0&d[e]=%5Bf%5D%25%2B%0A~");
    assert_eq!(encode(&[]), "");
    assert_eq!(encode(&[("metadata[k]", "")]), "metadata[k]=");
}
