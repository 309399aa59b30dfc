//! F1–F9: webhooks repeated, reordered, early, forged, old.

use crate::test_app::{Answer, Backend, OLD_WEBHOOK_SECRET, TestApp, WEBHOOK_SECRET, on_both_stores, paid_event, payment_event};
use ordermill::simulator::stripe::Mode;
use ordermill_core::inbox::InboxState;
use ordermill_core::stripe::sign;
use ordermill_store::Table;
use ordermill_store::faulty::{Fault, Verb};
use serde_json::{Value, json};
use std::time::Duration;

on_both_stores! {
    f1_one_webhook_a_thousand_times_at_once_pays_once;
    f1_a_thousand_events_about_one_payment_pay_once;
    f2_two_kinds_of_event_are_one_payment;
    f3_a_late_failure_does_not_undo_a_payment;
    f4_a_webhook_before_its_order_waits_and_is_applied;
    f4_without_the_waiting_row_it_would_be_lost;
    f5_a_webhook_and_a_worker_race_for_one_payment;
    f8_old_and_future_webhooks_are_refused_and_fresh_retries_accepted;
    f9_forged_webhooks_leave_no_trace;
    f9_both_secrets_hold_during_rotation;
    f10_what_nobody_understands_is_kept_and_answered;
    the_same_id_with_another_body_is_kept_for_a_person;
}

async fn placed(app: &TestApp, email: &str) -> Answer {
    let product = app.product("CUP", 25_000, 100).await;
    let token = app.customer(email).await;
    let order = app.order(&token, &product, 2, "bank_transfer").await;
    assert_eq!(order.status, 201, "{}", order.body);
    order
}

async fn count(app: &TestApp, table: Table) -> usize {
    app.app.store.scan(table, None, 1_000).await.expect("the store answers").rows.len()
}

/// I1, I2, I6: one inbox row, one paid event, one set of effects, and every copy hears 2xx.
async fn f1_one_webhook_a_thousand_times_at_once_pays_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let second_node = if backend == Backend::Postgres { Some(app.second_node().await) } else { None };
    let event = paid_event("evt_1", &order);
    let deliveries = (0..1_000).map(|number| {
        let node = second_node.as_ref().filter(|_| number % 2 == 1).unwrap_or(&app);
        node.webhook(&event)
    });
    let answers = futures_util::future::join_all(deliveries).await;
    for answer in answers {
        assert!(answer.status == 200 || answer.status == 503, "a false no: {} {}", answer.status, answer.body);
    }
    assert_eq!(count(&app, Table::Inbox).await, 1);
    assert_eq!(app.events(&order).await, ["order.created", "payment.received", "order.paid", "order.processing"]);
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 1);
    app.fsck().await;
}

async fn f1_a_thousand_events_about_one_payment_pay_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let ids: Vec<String> = (0..1_000).map(|number| format!("evt_{number}")).collect();
    let events: Vec<Value> = ids.iter().map(|id| paid_event(id, &order)).collect();
    let answers = futures_util::future::join_all(events.iter().map(|event| app.webhook(event))).await;
    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 503));
    assert_eq!(count(&app, Table::Inbox).await, stored, "every acknowledged event is there");
    assert_eq!(app.events(&order).await.iter().filter(|kind| *kind == "order.paid").count(), 1);
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 1);
    app.fsck().await;
}

/// I2, I3: `payment_intent.succeeded` and `checkout.session.completed` name one intent.
async fn f2_two_kinds_of_event_are_one_payment(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let session = json!({
        "id": "evt_cs", "object": "event", "type": "checkout.session.completed",
        "data": { "object": {
            "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "amount_total": 50_000,
            "currency": "vnd", "payment_intent": format!("pi_{}", order.text("/code")), "client_reference_id": order.text("/code"),
            "metadata": {},
        } },
    });
    assert_eq!(app.webhook(&session).await.status, 200);
    assert_eq!(app.webhook(&paid_event("evt_pi", &order)).await.status, 200);
    assert_eq!(count(&app, Table::Payments).await, 1);
    assert_eq!(app.events(&order).await, ["order.created", "payment.received", "order.paid", "order.processing"]);
    app.fsck().await;
}

async fn f3_a_late_failure_does_not_undo_a_payment(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    app.webhook(&paid_event("evt_ok", &order)).await;
    let before = app.events(&order).await;
    let late = payment_event("evt_no", "payment_intent.payment_failed", &order, 50_000);
    assert_eq!(app.webhook(&late).await.status, 200);
    assert_eq!(app.events(&order).await, before);
}

/// I6: it is never 200-and-drop, and never a wait inside the request.
async fn f4_a_webhook_before_its_order_waits_and_is_applied(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = placed(&app, "an@example.com").await;
    let next = first.body["number"].as_i64().expect("a number") + 1;
    let early = early_event(&format!("DH{next:06}"));
    assert_eq!(app.webhook(&early).await.body, json!({ "received": true }));
    app.run_jobs().await;
    let product = app.get("/api/products", "").await.text("/data/0/id");
    let token = app.customer("chi@example.com").await;
    let order = app.order(&token, &product, 2, "bank_transfer").await;
    assert_eq!(order.body["number"], next);
    app.run_jobs_until("the early payment", async || app.events(&order).await.len() > 1).await;
    assert_eq!(app.events(&order).await, ["order.created", "payment.received", "order.paid", "order.processing"]);
    app.run_jobs().await;
    app.fsck().await;
}

/// The negative control: without the row that waits, nothing would ever pay the order.
async fn f4_without_the_waiting_row_it_would_be_lost(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = placed(&app, "an@example.com").await;
    let next = first.body["number"].as_i64().expect("a number") + 1;
    app.webhook(&early_event(&format!("DH{next:06}"))).await;
    // Somebody takes the waiting job away, as a system does that only answers 200.
    let target = ordermill_store::ClaimTarget::Jobs(vec![waiting_job(&app).await]);
    let job = app.app.store.claim(&target, 1, 60_000, "thief").await.expect("the store answers").remove(0);
    let mut change = ordermill_core::change::Change::new(app.app.change_id());
    change.finish(ordermill_core::job::RetryPolicy::of(ordermill_core::job::Queue::Inbox).finish(
        &job,
        ordermill_core::job::Report::Done,
        0.0,
    ));
    ordermill::app::commit::commit(&app.app, &std::sync::Arc::new(change)).await.expect("finished");
    let product = app.get("/api/products", "").await.text("/data/0/id");
    let order = app.order(&app.customer("chi@example.com").await, &product, 2, "bank_transfer").await;
    app.run_jobs().await;
    assert_eq!(app.events(&order).await, ["order.created"]);
    let report = ordermill_store::fsck::run(app.app.store.as_ref(), &mut |_| {}).await.expect("the store answers");
    assert!(report.violations.iter().any(|violation| violation.invariant == "I6"), "fsck must see the lost event");
}

fn early_event(code: &str) -> Value {
    json!({
        "id": "evt_early", "object": "event", "type": "payment_intent.succeeded",
        "data": { "object": { "id": format!("pi_{code}"), "object": "payment_intent", "amount": 50_000, "amount_received": 50_000,
            "currency": "vnd", "metadata": { "order_code": code } } },
    })
}

async fn waiting_job(app: &TestApp) -> ordermill_core::job::JobKey {
    let query = ordermill_store::JobQuery { queue: Some("inbox".to_owned()), cursor: None, limit: 10 };
    app.app.store.jobs(&query).await.expect("the store answers").rows.remove(0).key
}

/// How long a commit is held back between its decision and the store, so that rivals decide on the same order.
const HELD: Duration = Duration::from_millis(250);

/// I2: the payment's webhook at one node, a worker that reads the same payment at Stripe at another one (on Postgres), and
/// the event that Stripe sends by itself, all at once.
async fn f5_a_webhook_and_a_worker_race_for_one_payment(backend: Backend) {
    let (first, first_store) = TestApp::start_faulty(backend, 5).await;
    let second = if backend == Backend::Postgres { Some(first.second_faulty_node(6).await) } else { None };
    let (worker, worker_store) = second.as_ref().map_or((&first, &first_store), |(node, store)| (node, store));
    let product = first.product("CUP", 25_000, 100).await;
    let token = first.customer("an@example.com").await;
    let mut races = 0;
    first.stripe.set_mode(Mode::Late { ms: 300 });
    for round in 0..6 {
        let order = first.order(&token, &product, 1, "bank_transfer").await;
        let code = order.text("/code");
        let intent = first.paid_intent(25_000, &[("orderCode", &code)]).await;
        // A dispute names only its payment, which no order has yet: a worker must read it at Stripe.
        let dispute = json!({
            "id": format!("evt_dp_{code}"), "object": "event", "livemode": false, "type": "charge.dispute.created",
            "data": { "object": { "id": format!("dp_{code}"), "object": "dispute", "amount": 25_000, "currency": "vnd",
                "status": "needs_response", "charge": "ch_1", "payment_intent": intent } },
        });
        assert_eq!(first.webhook(&dispute).await.status, 200);
        // Until the worker's job is due. Stripe's own event arrives soon after.
        tokio::time::sleep(Duration::from_millis(220)).await;
        let mut paid = paid_event(&format!("evt_{round}"), &order);
        paid["data"]["object"]["id"] = json!(intent);
        let lost_before = worker_store.conflicts();
        first_store.fail_next(Verb::Commit, Fault::Delay(HELD));
        worker_store.fail_next(Verb::Commit, Fault::Delay(HELD));
        let (answer, _) = tokio::join!(first.webhook(&paid), worker.run_jobs());
        assert_eq!(answer.status, 200, "{}", answer.body);
        races += usize::from(worker_store.conflicts() > lost_before);
        first_store.heal();
        worker_store.heal();
        worker.run_jobs_until("the dispute", async || first.events(&order).await.iter().any(|kind| kind == "payment.disputed")).await;
        let events = first.events(&order).await;
        for once in ["payment.received", "order.paid", "payment.disputed"] {
            assert_eq!(events.iter().filter(|kind| *kind == once).count(), 1, "{events:?}");
        }
        // The mail, which would take the next round's delay.
        worker.run_jobs().await;
    }
    // The worker's node lost against the other one, so both had decided on the same version of the order: they overlapped.
    assert!(races >= 2, "only {races} of 6 rounds were races");
    let all_applied = async || first.inbox(InboxState::Applied).await.len() == 3 * 6;
    first.run_jobs_until("every event", all_applied).await;
    assert_eq!(count(&first, Table::Inbox).await, 3 * 6, "three events about each order, none lost and none too many");
    first.fsck().await;
}

async fn f8_old_and_future_webhooks_are_refused_and_fresh_retries_accepted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let body = paid_event("evt_1", &order).to_string();
    let now = app.app.now().unix_s();
    for (offset, reason) in [(-301, "stale"), (-86_400, "stale"), (302, "future"), (86_400, "future")] {
        let answer = app.webhook_raw(&sign(WEBHOOK_SECRET, now + offset, body.as_bytes()), body.clone().into_bytes()).await;
        answer.assert_problem(400, "bad_signature");
        assert_eq!(answer.text("/reason"), reason, "{offset}");
    }
    assert_eq!(count(&app, Table::Inbox).await, 0);
    for offset in [-290, 290, 0] {
        let answer = app.webhook_raw(&sign(WEBHOOK_SECRET, now + offset, body.as_bytes()), body.clone().into_bytes()).await;
        assert_eq!(answer.status, 200, "a provider's retry has a fresh time: {offset}");
    }
    assert_eq!(count(&app, Table::Inbox).await, 1);
}

async fn f9_forged_webhooks_leave_no_trace(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let body = paid_event("evt_1", &order).to_string();
    let now = app.app.now().unix_s();
    let good = sign(WEBHOOK_SECRET, now, body.as_bytes());
    let digest = good.split("v1=").nth(1).expect("a digest").to_owned();
    let tampered = body.replace("50000", "50001");
    let cases = [
        (String::new(), body.clone(), "missing_header"),
        ("nonsense".to_owned(), body.clone(), "malformed_header"),
        (format!("t={now}"), body.clone(), "no_v1_signature"),
        (format!("t={now},v0={digest}"), body.clone(), "no_v1_signature"),
        (format!("v1={digest}"), body.clone(), "malformed_header"),
        (format!("t={now},v1={}", "0".repeat(64)), body.clone(), "bad_signature"),
        (format!("t={now},v1={}", digest.to_uppercase()), body.clone(), "bad_signature"),
        (format!("t={},v1={digest}", now + 1), body.clone(), "bad_signature"),
        (format!("t={now},t=1,v1={digest}"), body.clone(), "malformed_header"),
        (good.clone(), tampered, "bad_signature"),
        (good.clone(), format!(" {body}"), "bad_signature"),
        (sign("whsec_somebody_elses", now, body.as_bytes()), body.clone(), "bad_signature"),
        (sign("", now, body.as_bytes()), body.clone(), "bad_signature"),
    ];
    for (header, body, reason) in cases {
        let answer = app.webhook_raw(&header, body.into_bytes()).await;
        answer.assert_problem(400, "bad_signature");
        assert_eq!(answer.text("/reason"), reason, "{header}");
    }
    assert_eq!(count(&app, Table::Inbox).await, 0);
    assert_eq!(app.events(&order).await, ["order.created"]);
    assert_eq!(app.webhook_raw(&good, body.into_bytes()).await.status, 200, "the control: the untouched one is good");
}

async fn f9_both_secrets_hold_during_rotation(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    let body = paid_event("evt_1", &order).to_string();
    let header = sign(OLD_WEBHOOK_SECRET, app.app.now().unix_s(), body.as_bytes());
    assert_eq!(app.webhook_raw(&header, body.into_bytes()).await.status, 200);
    assert_eq!(app.events(&order).await.len(), 4);
}

/// I6: signed nonsense is stored, answered 2xx and listed for a person.
async fn f10_what_nobody_understands_is_kept_and_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let bodies: [&[u8]; 5] = [
        b"not json",
        b"{}",
        br#"{"id":"evt_thin","object":"v2.core.event","type":"v1.charge.dispute.created"}"#,
        br#"{"id":"evt_short","object":"event","type":"payment_intent.succeeded","data":{"object":{}}}"#,
        &[0xff, 0x00, 0xfe],
    ];
    for body in bodies {
        let header = sign(WEBHOOK_SECRET, app.app.now().unix_s(), body);
        let answer = app.webhook_raw(&header, body.to_vec()).await;
        assert_eq!(answer.status, 200, "{} {}", String::from_utf8_lossy(body), answer.body);
    }
    let staff = app.account("staff@example.com", ordermill_core::account::Role::Staff).await;
    let listed = app.get("/api/admin/inbox?state=quarantined", &staff).await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(bodies.len()), "{}", listed.body);
    let other = json!({ "id": "evt_plan", "object": "event", "type": "plan.created", "data": { "object": { "id": "price_1" } } });
    assert_eq!(app.webhook(&other).await.status, 200);
    assert_eq!(app.get("/api/admin/inbox?state=unrelated", &staff).await.text("/data/0/eventId"), "evt_plan");
    app.fsck().await;
}

async fn the_same_id_with_another_body_is_kept_for_a_person(backend: Backend) {
    let app = TestApp::start(backend).await;
    let order = placed(&app, "an@example.com").await;
    app.webhook(&paid_event("evt_1", &order)).await;
    let other = payment_event("evt_1", "payment_intent.succeeded", &order, 1);
    assert_eq!(app.webhook(&other).await.status, 200);
    assert_eq!(app.webhook(&other).await.status, 200);
    let staff = app.account("staff@example.com", ordermill_core::account::Role::Staff).await;
    let listed = app.get("/api/admin/inbox?state=quarantined", &staff).await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1), "{}", listed.body);
    app.fsck().await;
}
