//! The simulator's answers: shaped like Stripe's, and as strict.

use super::stage::{API_KEY, Stage};
use ordermill::simulator::stripe::Mode;
use serde_json::{Value, json};

/// Stripe's own example of an object.
fn fixture(name: &str) -> Value {
    let fixtures: Value = serde_json::from_str(include_str!("../../../../core/vectors/stripe-objects.json")).unwrap();
    fixtures[name].clone()
}

#[tokio::test]
async fn an_intent_has_no_field_that_stripes_has_not() {
    let stage = Stage::set().await;
    let intent = stage.intent(1).await.object;
    let reference = fixture("payment_intent");
    for (field, value) in intent.as_object().unwrap() {
        let known = reference.get(field).unwrap_or_else(|| panic!("{field} is not Stripe's"));
        if !value.is_null() && !known.is_null() {
            assert_eq!(json!([value]).to_string().as_bytes()[1].is_ascii_digit(), known.is_number(), "{field}");
            assert_eq!(value.is_string(), known.is_string(), "{field}");
            assert_eq!(value.is_object(), known.is_object(), "{field}");
        }
    }
    for field in ["id", "object", "amount", "amount_received", "client_secret", "currency", "latest_charge", "metadata", "status"] {
        assert!(intent.get(field).is_some(), "{field}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_like_stripe_does() {
    let stage = Stage::set().await;
    let long = format!("amount=1&currency=vnd&metadata[k]={}", "x".repeat(501));
    for (form, code, param) in [
        ("currency=vnd", "parameter_missing", "amount"),
        ("amount=1000", "parameter_missing", "currency"),
        ("amount=&currency=vnd", "parameter_missing", "amount"),
        ("amount=1.5&currency=vnd", "parameter_invalid_integer", "amount"),
        ("amount=-1&currency=vnd", "parameter_invalid_integer", "amount"),
        ("amount=0&currency=vnd", "parameter_invalid_integer", "amount"),
        ("amount=9999999999999&currency=vnd", "amount_too_large", "amount"),
        ("amount=1000&currency=xyz", "", "currency"),
        ("amount=1000&currency=VND", "", "currency"),
        ("amount=1000&currency=vnd&amuont=1", "parameter_unknown", "amuont"),
        ("amount=1000&currency=vnd&confirm=true", "parameter_unknown", "confirm"),
        ("amount=1000&currency=vnd&automatic_payment_methods[enabeld]=true", "parameter_unknown", "automatic_payment_methods[enabeld]"),
        ("amount=1000&currency=vnd&automatic_payment_methods[enabled]=yes", "", "automatic_payment_methods[enabled]"),
        ("amount=1000&currency=vnd&receipt_email=nobody", "email_invalid", "receipt_email"),
        (long.as_str(), "", "metadata[k]"),
    ] {
        let (status, body) = stage.post("/v1/payment_intents", None, form).await;
        let error = &body["error"];
        assert_eq!((status, error["type"].as_str()), (400, Some("invalid_request_error")), "{form}");
        assert_eq!((error["code"].as_str().unwrap_or_default(), error["param"].as_str()), (code, Some(param)), "{form}");
    }
    assert_eq!(stage.simulator.journal(), []);
}

#[tokio::test]
async fn percent_encoded_brackets_and_texts_arrive() {
    let stage = Stage::set().await;
    let form = "amount=1000&currency=vnd&metadata%5BorderCode%5D=%C4%90%C6%A1n+1%262&description=a%3Db";
    let (status, intent) = stage.post("/v1/payment_intents", None, form).await;
    assert_eq!(status, 200);
    assert_eq!((&intent["metadata"], &intent["description"]), (&json!({ "orderCode": "Đơn 1&2" }), &json!("a=b")));
}

#[tokio::test]
async fn a_finished_intent_takes_no_further_step() {
    let stage = Stage::set().await;
    let paid = stage.intent(1).await.id;
    let (status, body) = stage.confirm(&paid, "pm_card_visa").await;
    assert_eq!((status, &body["status"], &body["amount_received"]), (200, &json!("succeeded"), &json!(250_000)));
    assert!(body["latest_charge"].as_str().unwrap().starts_with("ch_"));
    let cancelled = stage.intent(2).await.id;
    let (status, body) = stage.post(&format!("/v1/payment_intents/{cancelled}/cancel"), None, "cancellation_reason=abandoned").await;
    assert_eq!((status, &body["status"], &body["cancellation_reason"]), (200, &json!("canceled"), &json!("abandoned")));
    for (path, form) in [
        (format!("/v1/payment_intents/{paid}/confirm"), "payment_method=pm_card_visa"),
        (format!("/v1/payment_intents/{paid}/cancel"), ""),
        (format!("/v1/payment_intents/{cancelled}/confirm"), "payment_method=pm_card_visa"),
        (format!("/v1/payment_intents/{cancelled}/cancel"), ""),
    ] {
        let (status, body) = stage.post(&path, None, form).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("payment_intent_unexpected_state")), "{path}");
    }
}

#[tokio::test]
async fn a_declined_card_leaves_the_intent_open() {
    let stage = Stage::set().await;
    let id = stage.intent(1).await.id;
    let (status, body) = stage.confirm(&id, "pm_card_chargeDeclined").await;
    let error = &body["error"];
    assert_eq!((status, &error["type"], &error["code"]), (402, &json!("card_error"), &json!("card_declined")));
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], "generic_decline");
    let (status, body) = stage.confirm(&id, "pm_card_visa").await;
    assert_eq!((status, &body["status"], &body["last_payment_error"]), (200, &json!("succeeded"), &Value::Null));
    assert_eq!(stage.confirm("pi_none", "pm_card_visa").await.0, 404);
    let open = stage.intent(2).await.id;
    assert_eq!(stage.confirm(&open, "pm_card_unheard_of").await.1["error"]["code"], "resource_missing");
}

#[tokio::test]
async fn who_may_ask() {
    let stage = Stage::set().await;
    let url = format!("{}/v1/payment_intents", stage.url);
    let post = || stage.http.post(&url).body("amount=1000&currency=vnd");
    assert_eq!(post().send().await.unwrap().status(), 401);
    assert_eq!(post().bearer_auth("sk_test_other").send().await.unwrap().status(), 401);
    assert_eq!(post().basic_auth("sk_test_other", Some("")).send().await.unwrap().status(), 401);
    assert_eq!(post().basic_auth(API_KEY, Some("")).send().await.unwrap().status(), 200);
    assert_eq!(post().bearer_auth(API_KEY).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn answers_carry_stripes_headers() {
    let stage = Stage::set().await;
    let url = format!("{}/v1/payment_intents", stage.url);
    let post = || stage.http.post(&url).bearer_auth(API_KEY).header("idempotency-key", "k").body("amount=1000&currency=vnd").send();
    let (first, second) = (post().await.unwrap(), post().await.unwrap());
    assert!(first.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    assert!(!first.headers().contains_key("idempotent-replayed"));
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    let lost = stage.http.get(format!("{}/v1/nonsense", stage.url)).send().await.unwrap();
    assert_eq!(lost.status(), 404);
    assert!(lost.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().contains("/v1/nonsense"));
}

#[tokio::test]
async fn the_mode_is_set_over_http() {
    let stage = Stage::set().await;
    let url = format!("{}/_mode", stage.url);
    let set = |mode: &str| stage.http.post(&url).json(&json!({ "mode": mode })).send();
    assert_eq!(set("unreachable").await.unwrap().status(), 200);
    assert_eq!(stage.http.get(format!("{}/v1/payment_intents/pi_1", stage.url)).send().await.unwrap().status(), 503);
    assert_eq!(set("ok").await.unwrap().status(), 200);
    assert_eq!(set("nonsense").await.unwrap().status(), 400);
    assert_eq!(stage.http.post(&url).body("{\"mode\":\"ok\"}").send().await.unwrap().status(), 415);
    stage.intent(1).await;
    stage.simulator.set_mode(Mode::Ok);
}
