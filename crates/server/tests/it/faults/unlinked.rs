//! F3: refunds and disputes, which name nobody but their payment, before anybody knows whose payment it is; and money
//! of other programs in the same Stripe account, of which nothing may be made.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event, payment_event};
use ordermill::simulator::stripe::Mode;
use ordermill::worker;
use ordermill_core::inbox::InboxState;
use ordermill_core::job::Queue;
use ordermill_store::{ClaimTarget, DeadLetterQuery};
use serde_json::{Value, json};
use std::time::Duration;

on_both_stores! {
    f3_every_order_of_facts_ends_the_same;
    f3_every_order_of_facts_ends_the_same_while_stripe_is_away;
    f3_every_order_of_facts_ends_the_same_when_stripe_does_not_know_the_payment;
    a_refund_that_comes_alone_makes_its_payment_be_read;
    a_dispute_that_names_only_its_charge_is_brought_home;
    a_refund_that_comes_before_its_order_waits_for_it;
    somebody_elses_refunds_and_disputes_alarm_nobody;
    what_stripe_never_heard_of_is_given_up_without_alarm;
    names_that_are_never_ours_are_not_waited_for;
}

/// The longest a received event that is not waited for takes to its first attempt.
const FIRST_ATTEMPT: Duration = Duration::from_millis(250);

/// Where Stripe stands while events arrive.
#[derive(Clone, Copy, PartialEq)]
enum Stripe {
    Knows,
    IsAway,
    DoesNotKnow,
}

async fn f3_every_order_of_facts_ends_the_same(backend: Backend) {
    every_order_of_facts_ends_the_same(backend, Stripe::Knows).await;
}

async fn f3_every_order_of_facts_ends_the_same_while_stripe_is_away(backend: Backend) {
    every_order_of_facts_ends_the_same(backend, Stripe::IsAway).await;
}

async fn f3_every_order_of_facts_ends_the_same_when_stripe_does_not_know_the_payment(backend: Backend) {
    every_order_of_facts_ends_the_same(backend, Stripe::DoesNotKnow).await;
}

/// I4, I6: success, failure, refund and dispute of an order, told in all 24 orders, with workers at work in between.
async fn every_order_of_facts_ends_the_same(backend: Backend, stripe: Stripe) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    hold_webhooks_back(&app);
    let mut tellings = Vec::new();
    for permutation in permutations(4) {
        let order = app.order(&token, &product, 2, "bank_transfer").await;
        let intent = match stripe {
            Stripe::Knows => app.paid_intent(50_000, &[("orderId", &order.text("/id")), ("orderCode", &order.text("/code"))]).await,
            Stripe::IsAway | Stripe::DoesNotKnow => format!("pi_{}", order.text("/code")),
        };
        tellings.push((permutation, facts_of(&order, &intent), order));
    }
    assert_eq!(tellings.len(), 24);
    if stripe == Stripe::IsAway {
        app.stripe.set_mode(Mode::Unreachable);
    }
    for step in 0..4 {
        for (permutation, facts, _) in &tellings {
            let answer = app.webhook(&facts[permutation[step]]).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        tokio::time::sleep(FIRST_ATTEMPT).await;
        app.run_jobs().await;
    }
    app.run_jobs_until("the end of every event", async || app.inbox(InboxState::Reading).await.is_empty()).await;
    for (permutation, _, order) in &tellings {
        let end = app.get(&format!("/api/orders/{}", order.text("/code")), &token).await;
        let sums = (end.text("/status"), end.text("/paymentStatus"), end.body["paidAmount"].clone(), end.body["refundedAmount"].clone());
        assert_eq!(sums, ("processing".to_owned(), "disputed".to_owned(), json!(50_000), json!(10_000)), "{permutation:?}");
        assert_eq!(app.events(order).await.iter().filter(|kind| *kind == "order.paid").count(), 1, "{permutation:?}");
    }
    assert_eq!(app.inbox(InboxState::Applied).await.len(), 4 * 24, "none is waiting, none is thought to be somebody else's");
    assert_eq!(dead_letters(&app).await, 0);
    app.fsck().await;
}

/// The four facts, as Stripe tells them: only events about the payment itself carry what we wrote on it.
fn facts_of(order: &Answer, intent: &str) -> [Value; 4] {
    let code = order.text("/code");
    let about_intent = |mut event: Value| {
        event["data"]["object"]["id"] = json!(intent);
        event
    };
    [
        about_intent(paid_event(&format!("evt_ok_{code}"), order)),
        about_intent(payment_event(&format!("evt_no_{code}"), "payment_intent.payment_failed", order, 50_000)),
        refund(&format!("evt_re_{code}"), &code, 10_000, Some(intent)),
        dispute(&format!("evt_dp_{code}"), &code, Some(intent), "ch_1"),
    ]
}

/// The payment itself is learnt on the way, so that nothing depends on its own event.
async fn a_refund_that_comes_alone_makes_its_payment_be_read(backend: Backend) {
    let app = TestApp::start(backend).await;
    hold_webhooks_back(&app);
    let (order, token) = placed(&app).await;
    let intent = app.paid_intent(50_000, &[("orderId", &order.text("/id"))]).await;
    assert_eq!(app.webhook(&refund("evt_re", "1", 10_000, Some(&intent))).await.body, json!({ "received": true }));
    assert_eq!(app.inbox(InboxState::Reading).await.len(), 1);
    app.run_jobs_until("the refund", async || app.inbox(InboxState::Applied).await.len() == 1).await;
    let end = app.get(&format!("/api/orders/{}", order.text("/code")), &token).await;
    assert_eq!((end.text("/paymentStatus"), &end.body["refundedAmount"]), ("partially_refunded".to_owned(), &json!(10_000)));
    let mut paid = paid_event("evt_ok", &order);
    paid["data"]["object"]["id"] = json!(intent);
    assert_eq!(app.webhook(&paid).await.status, 200);
    assert_eq!(app.inbox(InboxState::Applied).await.len(), 2, "the payment's own event is no news");
    assert_eq!(app.events(&order).await.iter().filter(|kind| *kind == "order.paid").count(), 1);
    app.fsck().await;
}

async fn a_dispute_that_names_only_its_charge_is_brought_home(backend: Backend) {
    let app = TestApp::start(backend).await;
    hold_webhooks_back(&app);
    let (order, token) = placed(&app).await;
    let intent = app.paid_intent(50_000, &[("orderCode", &order.text("/code"))]).await;
    let charge = app.at_stripe(reqwest::Method::GET, &format!("payment_intents/{intent}"), "").await["latest_charge"].clone();
    let charge = charge.as_str().expect("a charge");
    assert_eq!(app.webhook(&dispute("evt_dp", "1", None, charge)).await.status, 200);
    app.run_jobs_until("the dispute", async || app.inbox(InboxState::Applied).await.len() == 1).await;
    assert_eq!(app.get(&format!("/api/orders/{}", order.text("/code")), &token).await.text("/paymentStatus"), "disputed");
    app.fsck().await;
}

async fn a_refund_that_comes_before_its_order_waits_for_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    hold_webhooks_back(&app);
    let (first, token) = placed(&app).await;
    let code = format!("DH{:06}", first.body["number"].as_i64().expect("a number") + 1);
    let intent = app.paid_intent(50_000, &[("orderCode", &code)]).await;
    app.webhook(&refund("evt_re", "1", 50_000, Some(&intent))).await;
    tokio::time::sleep(FIRST_ATTEMPT).await;
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(app.inbox(InboxState::Unrelated).await, []);
    let product = app.get("/api/products", "").await.text("/data/0/id");
    let order = app.order(&token, &product, 2, "bank_transfer").await;
    assert_eq!(order.text("/code"), code);
    app.run_jobs_until("the refund", async || app.inbox(InboxState::Applied).await.len() == 1).await;
    assert_eq!(app.get(&format!("/api/orders/{code}"), &token).await.text("/paymentStatus"), "refunded");
    app.fsck().await;
}

/// Another program takes money in the same account: its payments carry its own words or none.
async fn somebody_elses_refunds_and_disputes_alarm_nobody(backend: Backend) {
    let app = TestApp::start(backend).await;
    hold_webhooks_back(&app);
    let strangers: [&[(&str, &str)]; 3] =
        [&[], &[("orderId", "10045")], &[("orderId", "6f1c9f0e-8b0a-4c43-9c1e-0d8d6d1f2b11"), ("shop", "hats")]];
    for (number, metadata) in strangers.into_iter().enumerate() {
        let intent = app.paid_intent(900, metadata).await;
        let name = number.to_string();
        assert_eq!(app.webhook(&refund(&format!("evt_re_{number}"), &name, 900, Some(&intent))).await.status, 200);
        assert_eq!(app.webhook(&dispute(&format!("evt_dp_{number}"), &name, Some(&intent), "ch_1")).await.status, 200);
    }
    // A refund of money that never was a card payment names neither an intent nor a charge.
    app.webhook(&json!({ "id": "evt_re_none", "object": "event", "livemode": false, "type": "refund.created", "data": { "object":
        { "id": "re_none", "object": "refund", "amount": 1, "currency": "vnd", "status": "succeeded", "charge": null } } }))
        .await;
    app.run_jobs_until("the end of every event", async || app.inbox(InboxState::Reading).await.is_empty()).await;
    assert_eq!(app.inbox(InboxState::Unrelated).await.len(), 7);
    assert_eq!(dead_letters(&app).await, 0);
    app.fsck().await;
}

/// A payment of an account that our key does not open, as a platform hears of: looked for during an hour, then let go.
async fn what_stripe_never_heard_of_is_given_up_without_alarm(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.webhook(&refund("evt_re", "1", 900, Some("pi_of_another_account"))).await;
    tokio::time::sleep(FIRST_ATTEMPT).await;
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(app.inbox(InboxState::Reading).await.len(), 1, "its payment may still become known");
    let target = ClaimTarget::Queue("inbox".to_owned());
    let mut job = None;
    while job.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        job = app.app.store.claim(&target, 1, 60_000, "later").await.expect("the store answers").pop();
    }
    let mut job = job.expect("the job waits");
    job.age_ms = 3_600_000;
    worker::run_claimed(&app.app, Queue::Inbox, &job).await;
    assert_eq!(app.inbox(InboxState::Unrelated).await[0].outcome, "Stripe does not know the object that it names");
    assert_eq!(dead_letters(&app).await, 0);
    app.fsck().await;
}

/// Waiting for 72 hours and then alarming somebody is for names that only we give.
async fn names_that_are_never_ours_are_not_waited_for(backend: Backend) {
    let app = TestApp::start(backend).await;
    let uuid_v4 = "6f1c9f0e-8b0a-4c43-9c1e-0d8d6d1f2b11";
    let theirs = [
        json!({ "orderId": "10045" }),
        json!({ "orderId": uuid_v4, "paymentId": uuid_v4 }),
        json!({ "orderCode": "XX000123", "order_code": "DH12", "paymentId": "p-1" }),
        json!({}),
    ];
    for (number, metadata) in theirs.iter().enumerate() {
        let event = json!({ "id": format!("evt_{number}"), "object": "event", "livemode": false, "type": "payment_intent.succeeded",
            "data": { "object": { "id": format!("pi_{number}"), "object": "payment_intent", "amount": 900, "amount_received": 900,
            "currency": "usd", "client_reference_id": "cart_77", "metadata": metadata } } });
        assert_eq!(app.webhook(&event).await.status, 200);
    }
    let unrelated = app.inbox(InboxState::Unrelated).await;
    assert_eq!(unrelated.len(), theirs.len(), "{unrelated:#?}");
    let ours = [
        json!({ "orderId": "01890a5d-ac96-774b-bcce-b302099a8057" }),
        json!({ "order_code": "dh000123" }),
        json!({ "paymentId": "01890a5d-ac96-774b-bcce-b302099a8057" }),
    ];
    for (number, metadata) in ours.iter().enumerate() {
        let event = json!({ "id": format!("evt_ours_{number}"), "object": "event", "livemode": false, "type": "payment_intent.succeeded",
            "data": { "object": { "id": format!("pi_ours_{number}"), "object": "payment_intent", "amount": 900, "amount_received": 900,
            "currency": "usd", "metadata": metadata } } });
        assert_eq!(app.webhook(&event).await.status, 200);
    }
    assert_eq!(app.inbox(InboxState::Waiting).await.len(), ours.len());
    app.fsck().await;
}

fn refund(event_id: &str, name: &str, amount: i64, intent: Option<&str>) -> Value {
    json!({
        "id": event_id, "object": "event", "livemode": false, "type": "refund.created",
        "data": { "object": {
            "id": format!("re_{name}"), "object": "refund", "amount": amount, "currency": "vnd", "status": "succeeded",
            "charge": "ch_1", "payment_intent": intent, "metadata": {},
        } },
    })
}

fn dispute(event_id: &str, name: &str, intent: Option<&str>, charge: &str) -> Value {
    json!({
        "id": event_id, "object": "event", "livemode": false, "type": "charge.dispute.created",
        "data": { "object": {
            "id": format!("dp_{name}"), "object": "dispute", "amount": 50_000, "currency": "vnd", "status": "needs_response",
            "reason": "fraudulent", "charge": charge, "payment_intent": intent, "metadata": {},
        } },
    })
}

async fn placed(app: &TestApp) -> (Answer, String) {
    let product = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &product, 2, "bank_transfer").await;
    assert_eq!(order.status, 201, "{}", order.body);
    (order, token)
}

/// The simulator's own events stay away, so that a test says itself what arrives when.
fn hold_webhooks_back(app: &TestApp) {
    app.stripe.set_mode(Mode::Late { ms: 600_000 });
}

async fn dead_letters(app: &TestApp) -> usize {
    let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
    app.app.store.dead_letters(&query).await.expect("the store answers").rows.len()
}

/// Every order of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let places = |shorter: Vec<usize>| {
        (0..count).map(move |place| {
            let mut longer = shorter.clone();
            longer.insert(place, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(places).collect()
}
