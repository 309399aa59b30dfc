//! Tests of reading events: the minimal events of the reference, Stripe's own object fixtures under every type that
//! carries them, and the rules one by one.

use super::parse::*;
use super::*;
use crate::payment::{DisputeProgress, Fact, FactKind, OrderLinks, PaymentProgress, Provider, RefundProgress};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(event: &Value) -> Result<Event, ParseFault> {
    parse(event.to_string().as_bytes())
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"id": "evt_1", "object": "event", "created": 1_710_001_230, "livemode": false, "type": kind, "data": {"object": object}})
}

fn meaning(kind: &str, object: &Value) -> Result<Meaning, ParseFault> {
    read(&event(kind, object)).map(|event| event.meaning)
}

fn fact(reference: &str, kind: FactKind, amount: i64, currency: Currency) -> Fact {
    Fact { provider: Provider::Stripe, reference: reference.to_owned(), kind, amount, currency }
}

fn payment(reference: &str, progress: PaymentProgress, amount: i64) -> Meaning {
    Meaning::Fact(fact(reference, FactKind::Payment(progress), amount, Currency::VND))
}

fn with(object: &Value, changes: &Value) -> Value {
    let mut changed = object.clone();
    for (field, value) in changes.as_object().unwrap() {
        changed[field] = value.clone();
    }
    changed
}

fn without(object: &Value, field: &str) -> Value {
    let mut changed = object.clone();
    changed.as_object_mut().unwrap().remove(field).unwrap();
    changed
}

fn minimal(id: &str) -> Value {
    let events: Vec<Value> = serde_json::from_str(include_str!("../../vectors/stripe-events.json")).unwrap();
    assert_eq!(events.len(), 6, "each of them has its test below");
    events.into_iter().find(|event| event["id"] == id).unwrap()
}

fn minimal_object(id: &str) -> Value {
    minimal(id)["data"]["object"].clone()
}

fn fixture(name: &str) -> Value {
    let objects: Value = serde_json::from_str(include_str!("../../vectors/stripe-objects.json")).unwrap();
    assert_eq!(objects.as_object().unwrap().len(), 7, "each of them has its test below");
    objects[name].clone()
}

fn of_order(code: &str) -> OrderLinks {
    OrderLinks { order_code: Some(code.to_owned()), ..OrderLinks::default() }
}

#[test]
fn minimal_events_mean_what_the_reference_says() {
    use PaymentProgress::{Failed, Pending, Succeeded};
    let dispute = fact("dp_1", FactKind::Dispute(DisputeProgress::Open), 250_000, Currency::VND);
    let of_payment = OrderLinks { payment_reference: Some("pi_1".to_owned()), ..OrderLinks::default() };
    let of_session = OrderLinks { client_reference: Some("DH000123".to_owned()), ..of_order("DH000123") };
    for (id, object_id, meaning, links) in [
        ("evt_pi_ok", "pi_1", payment("pi_1", Succeeded, 250_000), of_order("DH000123")),
        ("evt_pi_fail", "pi_1", payment("pi_1", Failed, 250_000), of_order("DH000123")),
        ("evt_cs_unpaid", "cs_test_1", payment("pi_1", Pending, 250_000), of_session),
        ("evt_partial_refund", "ch_1", Meaning::Hint(Hint::Charge("ch_1".to_owned())), of_payment.clone()),
        ("evt_dispute", "dp_1", Meaning::Fact(dispute), of_payment),
        ("evt_invoice", "in_1", Meaning::Hint(Hint::Invoice("in_1".to_owned())), of_order("DH000124")),
    ] {
        let source = minimal(id);
        let event = read(&source).unwrap();
        assert_eq!((event.id.as_str(), event.object_id.as_deref(), &event.meaning, &event.links), (id, Some(object_id), &meaning, &links));
        assert_eq!(
            (json!(event.kind), json!(event.created_s), event.mode),
            (source["type"].clone(), source["created"].clone(), Some(Mode::Test))
        );
    }
}

#[test]
fn the_body_of_the_signature_vectors_is_a_payment() {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/stripe-signatures.json")).unwrap();
    let body = |name: &str| parse(vectors["bodies"][name]["utf8"].as_str().unwrap().as_bytes());
    let plain = body("A").unwrap();
    assert_eq!(plain.meaning, payment("pi_3QymivQ4ZCJ00Aki2Hwq3dUb", PaymentProgress::Succeeded, 250_000));
    assert_eq!(body("A_reserialised"), Ok(plain));
    assert_eq!(body("B_unicode"), Err(ParseFault::Missing { field: "currency" }));
    assert_eq!(body("C_empty_object"), Err(ParseFault::Missing { field: "id" }));
}

#[test]
fn the_type_decides_how_far_a_payment_got() {
    use PaymentProgress::{Authorised, Cancelled, Failed, Pending, Succeeded};
    let object =
        json!({"id": "pi_1", "object": "payment_intent", "amount": 100, "amount_capturable": 80, "amount_received": 60, "currency": "vnd"});
    for status in ["succeeded", "canceled", "requires_payment_method", "of the future"] {
        let object = with(&object, &json!({"status": status}));
        for (step, progress, amount) in [
            ("created", Pending, 100),
            ("processing", Pending, 100),
            ("requires_action", Pending, 100),
            ("payment_failed", Failed, 100),
            ("canceled", Cancelled, 100),
            ("amount_capturable_updated", Authorised, 80),
            ("succeeded", Succeeded, 60),
        ] {
            assert_eq!(meaning(&format!("payment_intent.{step}"), &object), Ok(payment("pi_1", progress, amount)), "{step} {status}");
        }
        assert_eq!(meaning("payment_intent.partially_funded", &object), Ok(Meaning::Ignored));
    }
    let bare = json!({"id": "pi_1", "amount": 100, "currency": "VND"});
    assert_eq!(meaning("payment_intent.succeeded", &bare), Ok(payment("pi_1", Succeeded, 100)));
}

#[test]
fn stripes_own_payment_intent_is_read() {
    use PaymentProgress::{Authorised, Cancelled, Failed, Pending, Succeeded};
    let object = fixture("payment_intent");
    for (step, progress, amount) in [
        ("created", Pending, 1_099),
        ("processing", Pending, 1_099),
        ("requires_action", Pending, 1_099),
        ("payment_failed", Failed, 1_099),
        ("canceled", Cancelled, 1_099),
        ("amount_capturable_updated", Authorised, 0),
        ("succeeded", Succeeded, 0),
    ] {
        let expected = fact("pi_1PgafyB7WZ01zgkWSjxsAJo3", FactKind::Payment(progress), amount, Currency::USD);
        assert_eq!(meaning(&format!("payment_intent.{step}"), &object), Ok(Meaning::Fact(expected)), "{step}");
    }
    let (read_back, links) = fact_from_payment_intent(&object).unwrap();
    assert_eq!((read_back.kind, links), (FactKind::Payment(Failed), OrderLinks::default()));
}

#[test]
fn stripes_own_session_is_read() {
    let open = fixture("checkout.session");
    let intent = "pi_1PgafyB7WZ01zgkWSjxsAJo3";
    let missing = |field| Err(ParseFault::Missing { field });
    assert_eq!(meaning("checkout.session.completed", &open), missing("currency"));
    assert_eq!(meaning("checkout.session.async_payment_failed", &open), missing("currency"));
    assert_eq!(meaning("checkout.session.expired", &open), Ok(Meaning::Ignored));
    let unpaid = with(&open, &json!({"status": "complete", "currency": "vnd", "amount_total": 250_000}));
    let paid = with(&unpaid, &json!({"payment_status": "paid"}));
    let session_id = open["id"].as_str().unwrap().to_owned();
    for (step, session, expected) in [
        ("completed", &unpaid, payment(intent, PaymentProgress::Pending, 250_000)),
        ("completed", &paid, payment(intent, PaymentProgress::Succeeded, 250_000)),
        ("async_payment_succeeded", &paid, payment(intent, PaymentProgress::Succeeded, 250_000)),
        ("async_payment_succeeded", &unpaid, Meaning::Hint(Hint::CheckoutSession(session_id))),
        ("async_payment_failed", &unpaid, payment(intent, PaymentProgress::Failed, 250_000)),
        ("expired", &unpaid, Meaning::Ignored),
    ] {
        assert_eq!(meaning(&format!("checkout.session.{step}"), session), Ok(expected), "{step}");
    }
}

#[test]
fn a_session_without_an_intent_is_a_hint_once_paid() {
    let hint = Ok(Meaning::Hint(Hint::CheckoutSession("cs_test_1".to_owned())));
    let session = with(&minimal_object("evt_cs_unpaid"), &json!({"payment_intent": null, "invoice": "in_1", "subscription": "sub_1"}));
    let paid = with(&session, &json!({"payment_status": "paid", "amount_total": null}));
    assert_eq!(meaning("checkout.session.completed", &paid), hint);
    assert_eq!(meaning("checkout.session.async_payment_succeeded", &paid), hint);
    assert_eq!(meaning("checkout.session.completed", &session), Ok(Meaning::Ignored));
    assert_eq!(meaning("checkout.session.async_payment_failed", &session), Ok(Meaning::Ignored));
    let free = with(&session, &json!({"payment_status": "no_payment_required"}));
    assert_eq!(meaning("checkout.session.completed", &free), Ok(Meaning::Ignored));
}

#[test]
fn charges_and_invoices_are_hints() {
    let charge = fixture("charge");
    let expected = Ok(Meaning::Hint(Hint::Charge("ch_1PgafuB7WZ01zgkWXYmPNZs8".to_owned())));
    assert_eq!(meaning("charge.refunded", &charge), expected);
    assert_eq!(meaning("charge.succeeded", &charge), Ok(Meaning::Ignored));
    let invoice = fixture("invoice");
    for kind in ["invoice.paid", "invoice.payment_succeeded"] {
        assert_eq!(meaning(kind, &invoice), Ok(Meaning::Hint(Hint::Invoice("in_1Pgc6tB7WZ01zgkWu9fdqL6I".to_owned()))));
        let of_2024 = with(&invoice, &json!({"payment_intent": "pi_9", "charge": "ch_9", "paid": true}));
        assert_eq!(read(&event(kind, &of_2024)).unwrap().links.payment_reference.as_deref(), Some("pi_9"));
    }
    assert_eq!(meaning("invoice.created", &invoice), Ok(Meaning::Ignored));
}

#[test]
fn refunds_are_read_by_their_status() {
    let object = fixture("refund");
    for kind in ["refund.created", "refund.updated", "charge.refund.updated", "refund.failed"] {
        for (status, progress) in [
            (json!("pending"), RefundProgress::Pending),
            (json!("requires_action"), RefundProgress::Pending),
            (json!("succeeded"), RefundProgress::Succeeded),
            (json!("failed"), RefundProgress::Failed),
            (json!("canceled"), RefundProgress::Failed),
            (json!(null), RefundProgress::Pending),
        ] {
            let progress = if kind == "refund.failed" { RefundProgress::Failed } else { progress };
            let event = read(&event(kind, &with(&object, &json!({"status": status})))).unwrap();
            let expected = fact("re_1Pgc72B7WZ01zgkWqPvrRrPE", FactKind::Refund(progress), 100, Currency::USD);
            assert_eq!(event.meaning, Meaning::Fact(expected), "{kind} {status}");
            assert_eq!(event.links.payment_reference.as_deref(), Some("ch_1PgafuB7WZ01zgkWXYmPNZs8"), "no intent: the charge");
        }
    }
    let (_, links) = fact_from_refund(&with(&object, &json!({"payment_intent": "pi_1"}))).unwrap();
    assert_eq!(links.payment_reference.as_deref(), Some("pi_1"));
}

#[test]
fn disputes_are_read_by_their_status() {
    let object = fixture("dispute");
    for (status, progress) in [
        ("warning_needs_response", DisputeProgress::Open),
        ("warning_under_review", DisputeProgress::Open),
        ("warning_closed", DisputeProgress::Won),
        ("needs_response", DisputeProgress::Open),
        ("under_review", DisputeProgress::Open),
        ("appeal_needs_response", DisputeProgress::Lost),
        ("appeal_under_review", DisputeProgress::Lost),
        ("won", DisputeProgress::Won),
        ("lost", DisputeProgress::Lost),
        ("prevented", DisputeProgress::Won),
    ] {
        let object = with(&object, &json!({"status": status}));
        for step in ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"] {
            let event = read(&event(&format!("charge.dispute.{step}"), &object)).unwrap();
            let expected = fact("dp_1Pgc71B7WZ01zgkWMevJiAUx", FactKind::Dispute(progress), 1_000, Currency::USD);
            assert_eq!(event.meaning, Meaning::Fact(expected), "{step} {status}");
            assert_eq!(event.links.payment_reference.as_deref(), Some("ch_1PgafuB7WZ01zgkWXYmPNZs8"));
        }
        assert_eq!(fact_from_dispute(&object).unwrap().0.kind, FactKind::Dispute(progress));
    }
}

#[test]
fn unknown_types_are_acknowledged() {
    let plan = read(&fixture("event")).unwrap();
    assert_eq!((plan.kind.as_str(), plan.meaning), ("plan.created", Meaning::Ignored));
    for kind in ["payment_intent", "payment_intent.", "checkout.session.", "something.new", "refund.", "charge.refund."] {
        assert_eq!(meaning(kind, &json!({"anything": [1, 2.5, null]})), Ok(Meaning::Ignored), "{kind}");
        assert_eq!(meaning(kind, &Value::Null), Ok(Meaning::Ignored), "{kind}");
    }
    for name in ["charge", "checkout.session", "dispute", "invoice", "payment_intent", "refund"] {
        assert_eq!(meaning("something.new", &fixture(name)), Ok(Meaning::Ignored), "{name}");
    }
}

#[test]
fn an_object_read_back_says_itself_how_far_it_got() {
    use PaymentProgress::{Authorised, Cancelled, Failed, Pending, Succeeded};
    let object = minimal_object("evt_pi_ok");
    for (status, error, progress) in [
        ("succeeded", json!(null), Succeeded),
        ("canceled", json!(null), Cancelled),
        ("requires_capture", json!(null), Authorised),
        ("requires_payment_method", json!(null), Pending),
        ("requires_payment_method", json!({"code": "card_declined"}), Failed),
        ("requires_confirmation", json!(null), Pending),
        ("requires_action", json!(null), Pending),
        ("processing", json!(null), Pending),
        ("of the future", json!(null), Pending),
    ] {
        let (fact, links) = fact_from_payment_intent(&with(&object, &json!({"status": status, "last_payment_error": error}))).unwrap();
        assert_eq!((fact.kind, links), (FactKind::Payment(progress), of_order("DH000123")), "{status}");
    }
    assert_eq!(fact_from_payment_intent(&without(&object, "status")), Err(ParseFault::Missing { field: "status" }));
    assert_eq!(fact_from_payment_intent(&Value::Null), Err(ParseFault::Missing { field: "data.object" }));
}

#[test]
fn a_known_type_needs_its_fields() {
    let missing = |field| Err(ParseFault::Missing { field });
    let object = minimal_object("evt_pi_ok");
    assert_eq!(meaning("payment_intent.succeeded", &without(&object, "id")), missing("id"));
    assert_eq!(meaning("payment_intent.succeeded", &without(&object, "currency")), missing("currency"));
    assert_eq!(meaning("payment_intent.succeeded", &with(&object, &json!({"id": "x".repeat(256)}))), missing("id"));
    assert_eq!(meaning("payment_intent.succeeded", &with(&object, &json!({"amount_received": 250_000.5}))), missing("amount_received"));
    assert_eq!(meaning("payment_intent.canceled", &without(&object, "amount")), missing("amount"));
    assert_eq!(meaning("payment_intent.succeeded", &with(&object, &json!({"currency": "zzz"}))), Err(ParseFault::UnknownCurrency));
    let negative = Err(ParseFault::BadAmount(WireError::Negative));
    assert_eq!(meaning("payment_intent.succeeded", &with(&object, &json!({"amount_received": -1}))), negative);
    assert_eq!(meaning("payment_intent.succeeded", &Value::Null), missing("data.object"));
    assert_eq!(meaning("refund.updated", &object), Err(ParseFault::WrongObject { expected: "refund" }));
    assert_eq!(meaning("charge.dispute.closed", &without(&minimal_object("evt_dispute"), "status")), missing("status"));
    for field in ["id", "type"] {
        assert_eq!(read(&without(&minimal("evt_pi_ok"), field)), Err(ParseFault::Missing { field }));
    }
}

#[test]
fn other_bodies_are_faults() {
    for body in [&b""[..], b"{", b"\xff", b"{} {}", &[b'['; 10_000]] {
        assert_eq!(parse(body), Err(ParseFault::NotJson));
    }
    for body in ["null", "[]", "\"evt_1\"", "{}"] {
        assert_eq!(parse(body.as_bytes()), Err(ParseFault::Missing { field: "id" }));
    }
    let thin = json!({"id": "evt_1", "object": "v2.core.event", "type": "v1.charge.dispute.created", "created": "2026-01-18T03:04:05Z"});
    assert_eq!(read(&thin), Err(ParseFault::ThinEvent));
}

#[test]
fn amounts_leave_stripes_way_of_counting() {
    let object = json!({"id": "pi_1", "amount": 500, "amount_received": 500, "currency": "ugx"});
    let Ok(Meaning::Fact(fact)) = meaning("payment_intent.succeeded", &object) else { panic!("a payment is a fact") };
    assert_eq!((fact.amount, fact.currency.code()), (5, "UGX"));
}

#[test]
fn every_way_of_naming_an_order_is_read() {
    let object = json!({"id": "pi_1", "amount": 1, "currency": "vnd", "client_reference_id": "ref", "payment_intent": "pi_other",
        "metadata": {"orderId": "o", "orderCode": "DH000001", "order_code": "DH000002", "paymentId": "p", "n": 1}});
    let links = read(&event("payment_intent.created", &object)).unwrap().links;
    let owned = |text: &str| Some(text.to_owned());
    let expected = OrderLinks {
        order_id: owned("o"),
        order_code: owned("DH000001"),
        payment_id: owned("p"),
        client_reference: owned("ref"),
        payment_reference: None,
    };
    assert_eq!(links, expected);
    let strange =
        with(&object, &json!({"metadata": {"orderId": 7, "orderCode": "", "paymentId": "x".repeat(256)}, "client_reference_id": null}));
    assert_eq!(read(&event("payment_intent.created", &strange)).unwrap().links, OrderLinks::default());
}

#[test]
fn texts_that_no_store_could_keep_are_refused() {
    let object = json!({"id": "pi_1", "amount": 1, "currency": "vnd", "metadata": {"orderCode": "DH000001\u{0}"}});
    assert_eq!(read(&event("payment_intent.created", &object)).unwrap().links, OrderLinks::default());
    for strange in ["pi_\u{0}".to_owned(), "é".repeat(128)] {
        let object = with(&object, &json!({"id": strange}));
        assert_eq!(meaning("payment_intent.created", &object), Err(ParseFault::Missing { field: "id" }));
        let event = with(&event("payment_intent.created", &object), &json!({"id": strange}));
        assert_eq!(read(&event), Err(ParseFault::Missing { field: "id" }));
    }
    let longest = with(&object, &json!({"id": "é".repeat(127)}));
    assert!(meaning("payment_intent.created", &longest).is_ok());
}

#[test]
fn an_event_is_of_the_other_mode_only_if_both_say_so() {
    let live = |livemode: &Value| read(&with(&event("plan.created", &json!({})), &json!({"livemode": livemode}))).unwrap();
    assert!(live(&json!(true)).is_of_other_mode(Some(Mode::Test)) && live(&json!(false)).is_of_other_mode(Some(Mode::Live)));
    assert!(!live(&json!(true)).is_of_other_mode(Some(Mode::Live)) && !live(&json!(false)).is_of_other_mode(Some(Mode::Test)));
    assert!(!live(&json!(true)).is_of_other_mode(None), "the key does not say");
    assert!(!live(&Value::Null).is_of_other_mode(Some(Mode::Live)), "the event does not say");
}

#[test]
fn expanded_objects_count_as_their_id() {
    let dispute = with(&minimal_object("evt_dispute"), &json!({"payment_intent": {"id": "pi_7", "object": "payment_intent"}}));
    assert_eq!(fact_from_dispute(&dispute).unwrap().1.payment_reference.as_deref(), Some("pi_7"));
    let session = with(&minimal_object("evt_cs_unpaid"), &json!({"payment_intent": {"id": "pi_7"}}));
    assert_eq!(meaning("checkout.session.completed", &session), Ok(payment("pi_7", PaymentProgress::Pending, 250_000)));
}

proptest! {
    /// Whatever one byte becomes, reading ends in a value: an event or a fault.
    #[test]
    fn a_damaged_body_never_panics(index in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let events: Vec<Value> = serde_json::from_str(include_str!("../../vectors/stripe-events.json")).unwrap();
        let mut body = index.get(&events).to_string().into_bytes();
        let position = place.index(body.len());
        body[position] = byte;
        let _event = parse(&body);
    }
}
