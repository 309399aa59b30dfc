//! F10: signed bodies that no store could keep as they are, and events that must move nothing. Each is answered 2xx, kept,
//! and listed with its reason.

use crate::test_app::{Answer, Backend, TestApp, WEBHOOK_SECRET, on_both_stores, paid_event};
use ordermill::config::Config;
use ordermill_core::digest::Digest;
use ordermill_core::inbox::InboxState;
use ordermill_core::stripe::sign;
use secrecy::SecretString;
use serde_json::{Value, json};

on_both_stores! {
    f10_bodies_that_grow_when_they_are_written_down_are_cut_and_kept;
    f10_a_body_of_a_megabyte_is_kept_and_answered;
    f10_zero_characters_and_giant_ids_are_kept_and_answered;
    f10_an_event_that_its_order_has_no_room_for_is_kept_and_answered;
    events_of_the_other_mode_move_nothing;
    an_event_that_does_not_say_its_mode_is_believed;
}

/// JSON inside of JSON doubles quotes, and bytes that are no UTF-8 become three.
async fn f10_bodies_that_grow_when_they_are_written_down_are_cut_and_kept(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app).await;
    let mut quotes = paid_event("evt_quotes", &order);
    quotes["data"]["object"]["description"] = json!("\"".repeat(110_000));
    let bodies: [Vec<u8>; 3] = [quotes.to_string().into_bytes(), vec![0xff; 250_000], vec![0x01; 250_000]];
    for body in &bodies {
        assert!(body.len() > 200_000);
        for _ in 0..2 {
            let answer = deliver(&app, body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
    let kept = app.inbox(InboxState::Quarantined).await;
    assert_eq!(kept.len(), bodies.len(), "one for each, the repetitions are duplicates");
    for body in &bodies {
        let entry = kept.iter().find(|entry| entry.body_digest == Digest::of(body)).expect("its digest is of the whole body");
        let mark = format!("\n[cut by ordermill: {} bytes, SHA-256 {}]", body.len(), entry.body_digest);
        assert!(entry.body.ends_with(&mark), "{}", &entry.body[entry.body.len() - 200..]);
        assert!(entry.body.len() > 10_000, "a person can see what it was");
    }
    assert!(kept.iter().any(|entry| (entry.event_id.as_str(), entry.kind.as_str()) == ("evt_quotes", "payment_intent.succeeded")));
    assert_eq!(app.events(&order).await, ["order.created"]);
    app.fsck().await;
}

async fn f10_a_body_of_a_megabyte_is_kept_and_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app).await;
    let mut large = paid_event("evt_large", &order);
    large["data"]["object"]["description"] = json!("x".repeat(1_000_000));
    assert_eq!(deliver(&app, large.to_string().as_bytes()).await.status, 200);
    assert_eq!(app.inbox(InboxState::Quarantined).await[0].outcome, "its body is too large to be kept whole");
    // Nobody else may send as much.
    let request = app.http.post(app.at("/api/users/login")).header("content-type", "application/json").body(vec![b' '; 300 * 1024]);
    Answer::of(request.send().await.expect("an answer")).await.assert_problem(413, "body_too_large");
    deliver(&app, &vec![b' '; 1_100_000]).await.assert_problem(413, "body_too_large");
    app.fsck().await;
}

/// Postgres keeps no zero character in a text, and no index takes a key of any length.
async fn f10_zero_characters_and_giant_ids_are_kept_and_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app).await;
    let spoilt = |path: &[&str], text: &str| {
        let mut event = paid_event(&format!("evt_{}_{}", path.join("_"), text.len()), &order);
        let place = path.iter().fold(&mut event, |value, field| &mut value[*field]);
        *place = json!(text);
        event
    };
    let events = [
        spoilt(&["id"], "evt_\0"),
        spoilt(&["type"], "payment_intent.succeeded\0"),
        spoilt(&["data", "object", "id"], "pi_\0"),
        spoilt(&["data", "object", "currency"], "vnd\0"),
        spoilt(&["id"], &"😀".repeat(255)),
        spoilt(&["data", "object", "id"], &"😀".repeat(255)),
    ];
    for event in &events {
        let answer = app.webhook(event).await;
        assert_eq!(answer.status, 200, "{} {event}", answer.body);
        assert_eq!(app.webhook(event).await.status, 200);
    }
    assert_eq!(app.inbox(InboxState::Quarantined).await.len(), events.len());
    assert_eq!(app.events(&order).await, ["order.created"]);
    // The same id with another body, where the id is as long as one may be.
    let long = format!("evt_{}", "x".repeat(251));
    for amount in [1, 2] {
        let mut event = paid_event(&long, &order);
        event["data"]["object"]["amount_received"] = json!(amount);
        assert_eq!(app.webhook(&event).await.status, 200);
    }
    // A zero character in a name is no name.
    let mut nameless = paid_event("evt_nameless", &order);
    nameless["data"]["object"]["id"] = json!("pi_other");
    nameless["data"]["object"]["metadata"] = json!({ "orderId": "\0", "orderCode": "DH\0", "paymentId": "\0" });
    assert_eq!(app.webhook(&nameless).await.status, 200);
    assert_eq!(app.inbox(InboxState::Unrelated).await.len(), 1);
    app.fsck().await;
}

/// The event fits, and so does the order, but not both in one commit.
async fn f10_an_event_that_its_order_has_no_room_for_is_kept_and_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app).await;
    swell(&app, &order, 200_000).await;
    let mut event = paid_event("evt_1", &order);
    event["data"]["object"]["description"] = json!("x".repeat(140_000));
    assert_eq!(app.webhook(&event).await.status, 200);
    let kept = app.inbox(InboxState::Quarantined).await;
    assert!(kept[0].outcome.contains("the limit is"), "{}", kept[0].outcome);
    assert_eq!(app.webhook(&paid_event("evt_2", &order)).await.status, 200, "the control: a small one fits");
    assert_eq!(app.inbox(InboxState::Applied).await.len(), 1);
}

/// Makes an order's row this much larger.
async fn swell(app: &TestApp, order: &Answer, bytes: usize) {
    use ordermill_core::change::{Change, Row};
    let id = ordermill_core::id::OrderId::parse(&order.text("/id")).expect("an id");
    let mut row = app.app.store.order(&ordermill_store::OrderRef::Id(id)).await.expect("the store answers").expect("the order");
    let mut event = app.app.store.events(id, 0, 1).await.expect("the store answers").remove(0);
    let version = row.version;
    row.lines[0].title = "x".repeat(bytes);
    row.version += 1;
    event.seq = row.version;
    let mut change = Change::new(app.app.change_id());
    change.replace(Row::Order(Box::new(row)), version);
    change.events.push(event);
    ordermill::app::commit::commit(&app.app, &std::sync::Arc::new(change)).await.expect("committed");
}

/// Test money in a live account would pay for real goods, and live money in a test account was meant for another server.
async fn events_of_the_other_mode_move_nothing(backend: Backend) {
    for (key, wrong) in [("sk_test_1", true), ("rk_test_1", true), ("sk_live_1", false), ("rk_live_1", false)] {
        let app = TestApp::start_set(backend, |config| with_key(config, key)).await;
        let order = placed(&app).await;
        let mut event = paid_event("evt_1", &order);
        event["livemode"] = json!(wrong);
        assert_eq!(app.webhook(&event).await.status, 200);
        assert_eq!(app.events(&order).await, ["order.created"], "{key}");
        let unrelated = app.inbox(InboxState::Unrelated).await;
        assert_eq!(unrelated[0].outcome, "it is of the other mode (test or live) than our key");
        // A person who replays it gets the same answer.
        let staff = app.account("staff@example.com", ordermill_core::account::Role::Staff).await;
        let replayed = app.post("/api/admin/inbox/stripe/evt_1/replay", &staff, &json!({ "reason": "try" })).await;
        assert_eq!(replayed.status, 200, "{}", replayed.body);
        app.run_jobs().await;
        assert_eq!(app.inbox(InboxState::Unrelated).await[0].outcome, unrelated[0].outcome);
        let mut right = paid_event("evt_2", &order);
        right["livemode"] = json!(!wrong);
        assert_eq!(app.webhook(&right).await.status, 200);
        assert_eq!(app.events(&order).await.len(), 4, "{key}: the control");
        app.fsck().await;
    }
}

/// Neither a key nor an event that does not tell may lose money.
async fn an_event_that_does_not_say_its_mode_is_believed(backend: Backend) {
    for (key, livemode) in [("sk_live_1", Value::Null), ("sk_live_1", json!("yes")), ("some_other_key", json!(true))] {
        let app = TestApp::start_set(backend, |config| with_key(config, key)).await;
        let order = placed(&app).await;
        let mut event = paid_event("evt_1", &order);
        event["livemode"] = livemode;
        assert_eq!(app.webhook(&event).await.status, 200);
        assert_eq!(app.events(&order).await.len(), 4, "{key}");
    }
}

fn with_key(config: &mut Config, key: &str) {
    config.stripe.secret_key = Some(SecretString::from(key));
}

async fn placed(app: &TestApp) -> Answer {
    let product = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &product, 2, "bank_transfer").await;
    assert_eq!(order.status, 201, "{}", order.body);
    order
}

async fn deliver(app: &TestApp, body: &[u8]) -> Answer {
    let header = sign(WEBHOOK_SECRET, app.app.now().unix_s(), body);
    app.webhook_raw(&header, body.to_vec()).await
}
