//! What operators do to queues and to what gave up in them.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill::mail::{Behaviour, Scripted};
use ordermill_core::account::Role;
use ordermill_core::change::Key;
use ordermill_core::inbox::InboxState;
use ordermill_core::payment::Provider;
use ordermill_store::Page;
use reqwest::Method;
use serde_json::{Value, json};

on_both_stores! {
    a_paused_queue_stands_still_until_it_is_resumed;
    dead_letters_are_found_and_grouped;
    many_dead_letters_are_tried_again_at_once;
    two_who_redrive_the_same_many_do_each_once;
    a_dead_letter_is_put_right_and_stays_itself;
    a_discarded_letter_leaves_nothing_dangling;
    the_status_says_how_the_whole_is_doing;
}

/// Paid orders whose mails were refused for good.
pub(super) async fn dead_mails(app: &TestApp, count: usize) -> Vec<Answer> {
    let cup = app.product("CUP", 25_000, 99).await;
    let token = app.customer("an@example.com").await;
    app.catcher.script(Scripted::Others, Behaviour::Refuse(550));
    let mut orders = Vec::new();
    for number in 0..count {
        let order = app.order(&token, &cup, 1, "bank_transfer").await;
        app.webhook(&paid_event(&format!("evt_{number}"), &order)).await;
        orders.push(order);
    }
    app.run_jobs_until("the deaths", async || dead(app).await.len() == count).await;
    app.catcher.script(Scripted::Others, Behaviour::Ok);
    orders
}

pub(super) async fn dead(app: &TestApp) -> Vec<String> {
    let query = ordermill_store::DeadLetterQuery { limit: 100, ..Default::default() };
    let page = app.app.store.dead_letters(&query).await.expect("the store answers");
    page.rows.iter().map(|dead| dead.key.to_string()).collect()
}

/// What the audit trail says was done, latest first.
async fn acts(app: &TestApp) -> Vec<(String, String)> {
    let page = app.app.store.audit(&Page::first(100)).await.expect("the store answers");
    page.rows.into_iter().map(|entry| (entry.action, entry.subject)).filter(|(action, _)| action != "product.added").collect()
}

async fn a_paused_queue_stands_still_until_it_is_resumed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (staff, admin) = (app.account("staff@example.com", Role::Staff).await, app.account("admin@example.com", Role::Admin).await);
    let body = json!({ "reason": "the mail server is moving" });
    app.post("/api/admin/queues/email/pause", &staff, &body).await.assert_problem(403, "forbidden");
    app.post("/api/admin/queues/pigeons/pause", &admin, &body).await.assert_problem(404, "not_found");
    app.post("/api/admin/queues/email/pause", &admin, &json!({ "reason": "" })).await.assert_problem(422, "invalid_request");
    for _ in 0..2 {
        let paused = app.post("/api/admin/queues/email/pause", &admin, &body).await;
        assert_eq!((paused.status, &paused.body["queue"], &paused.body["paused"]), (200, &json!("email"), &json!(true)), "{}", paused.body);
    }
    let cup = app.product("CUP", 25_000, 9).await;
    let order = app.order(&app.customer("an@example.com").await, &cup, 1, "bank_transfer").await;
    app.webhook(&paid_event("evt_1", &order)).await;
    assert_eq!(app.run_jobs().await, 0, "nothing of a paused queue is claimed");
    app.fsck().await;
    for _ in 0..2 {
        let resumed = app.post("/api/admin/queues/email/resume", &admin, &body).await;
        assert_eq!((resumed.status, &resumed.body["paused"]), (200, &json!(false)), "{}", resumed.body);
    }
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 1);
    let again = app.post("/api/admin/queues/email/pause", &admin, &body).await;
    assert_eq!(again.body["paused"], true, "a queue is paused more than once in its life");
    let done: Vec<String> = acts(&app).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(done, ["queue.paused", "queue.resumed", "queue.paused"], "what changed nothing leaves no entry");
    app.fsck().await;
}

async fn dead_letters_are_found_and_grouped(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let empty = app.get("/api/admin/dead-letters/groups", &staff).await;
    assert_eq!(empty.body, json!({ "data": [], "counted": 0, "cut": false }));
    dead_mails(&app, 3).await;
    let count =
        async |filter: &str| app.get(&format!("/api/admin/dead-letters?{filter}"), &staff).await.body["data"].as_array().map(Vec::len);
    assert_eq!(count("queue=email").await, Some(3));
    assert_eq!(count("queue=stripe").await, Some(0));
    assert_eq!(count("q=550").await, Some(3));
    assert_eq!(count("q=551&queue=email").await, Some(0));
    app.get("/api/admin/dead-letters?q=%07", &staff).await.assert_problem(422, "invalid_request");
    let groups = app.get("/api/admin/dead-letters/groups?queue=email", &staff).await;
    assert_eq!((&groups.body["counted"], &groups.body["data"][0]["count"]), (&json!(3), &json!(3)), "one reason: {}", groups.body);
    let why = groups.text("/data/0/why");
    assert!(why.starts_with("N refused") && !why.contains("550"), "{why}");
    assert!(dead(&app).await.contains(&groups.text("/data/0/example")));
}

async fn many_dead_letters_are_tried_again_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (staff, admin) = (app.account("staff@example.com", Role::Staff).await, app.account("admin@example.com", Role::Admin).await);
    dead_mails(&app, 5).await;
    let path = "/api/admin/dead-letters/redrive";
    let body = |cursor: &Value, q: &str| json!({ "queue": "email", "q": q, "limit": 2, "cursor": cursor, "reason": "mail works again" });
    app.post(path, &staff, &body(&Value::Null, "550")).await.assert_problem(403, "forbidden");
    app.post(path, &admin, &json!({ "queue": "email" })).await.assert_problem(422, "invalid_request");
    let nothing = app.post(path, &admin, &body(&Value::Null, "no such reason")).await;
    assert_eq!((nothing.status, &nothing.body["redriven"]), (200, &json!(0)), "{}", nothing.body);
    let (mut cursor, mut redriven, mut pages) = (Value::Null, 0, 0);
    loop {
        let done = app.post(path, &admin, &body(&cursor, "550")).await;
        assert_eq!((done.status, &done.body["gone"]), (200, &json!(0)), "{}", done.body);
        redriven += done.body["redriven"].as_i64().expect("a number");
        pages += 1;
        cursor = done.body["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert!(redriven == 5 && pages >= 3, "{redriven} on {pages} pages");
    assert_eq!(acts(&app).await.iter().filter(|(action, _)| action == "dead_letter.redriven").count(), 5);
    app.run_jobs().await;
    assert_eq!((app.catcher.list().len(), dead(&app).await.len()), (5, 0));
    app.fsck().await;
}

/// F28, F68: two people at once, and a worker that takes what they bring back; a second node where there is one.
async fn two_who_redrive_the_same_many_do_each_once(backend: Backend) {
    const LETTERS: usize = 12;
    let app = TestApp::start(backend).await;
    let admin = app.account("admin@example.com", Role::Admin).await;
    dead_mails(&app, LETTERS).await;
    let other = if backend == Backend::Postgres { Some(app.second_node().await) } else { None };
    let there = other.as_ref().unwrap_or(&app);
    let redrive = async |node: &TestApp, limit: usize| {
        let (mut redriven, mut gone, mut cursor) = (0, 0, Value::Null);
        loop {
            let body = json!({ "queue": "email", "limit": limit, "cursor": cursor, "reason": "mail works again" });
            let done = node.post("/api/admin/dead-letters/redrive", &admin, &body).await;
            assert_eq!(done.status, 200, "{}", done.body);
            redriven += done.body["redriven"].as_u64().expect("a number");
            gone += done.body["gone"].as_u64().expect("a number");
            cursor = done.body["nextCursor"].clone();
            if cursor.is_null() {
                return (redriven, gone);
            }
        }
    };
    let working = async || {
        for _ in 0..10 {
            app.run_jobs().await;
        }
    };
    let ((first, first_gone), (second, second_gone), ()) = tokio::join!(redrive(&app, 5), redrive(there, 12), working());
    assert_eq!(first + second, LETTERS as u64, "{first} and {second}; {first_gone} and {second_gone} were gone");
    let mut redriven: Vec<String> = acts(&app).await.into_iter().filter(|act| act.0 == "dead_letter.redriven").map(|act| act.1).collect();
    redriven.sort();
    redriven.dedup();
    assert_eq!(redriven.len(), LETTERS, "one act for each, and no letter twice");
    let mails = || app.catcher.list().len() + other.as_ref().map_or(0, |other| other.catcher.list().len());
    app.run_jobs_until("the mails", async || dead(&app).await.is_empty() && mails() >= LETTERS).await;
    assert_eq!(mails(), LETTERS, "and one mail for each");
    app.fsck().await;
}

async fn a_dead_letter_is_put_right_and_stays_itself(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let orders = dead_mails(&app, 2).await;
    let key = dead(&app).await.into_iter().find(|key| key.contains(&orders[0].text("/id"))).expect("its letter");
    let path = format!("/api/admin/dead-letters/{key}");
    let edit = async |payload: Value| app.send(Method::PUT, &path, &staff, &json!({ "payload": payload, "reason": "put right" })).await;
    for wrong in [
        json!("text"),
        json!({ "type": "email.order_paid.v9", "orderId": orders[0].text("/id") }),
        json!({ "type": "email.order_paid.v1", "orderId": orders[1].text("/id") }),
        json!({ "type": "stripe.create_intent.v1", "orderId": orders[0].text("/id") }),
        json!({ "type": "inbox.apply.v1", "provider": "stripe", "eventId": "evt_0" }),
    ] {
        edit(wrong).await.assert_problem(422, "invalid_request");
    }
    assert_eq!(dead(&app).await.len(), 2, "nothing was changed");
    let right = json!({ "type": "email.order_paid.v1", "orderId": orders[0].text("/id") });
    let edited = edit(right.clone()).await;
    assert_eq!((edited.status, &edited.body["redriven"]["payload"], edited.text("/redriven/key")), (200, &right, key.clone()));
    edit(right).await.assert_problem(404, "not_found");
    app.run_jobs().await;
    assert_eq!((app.catcher.list().len(), dead(&app).await.len()), (1, 1));
    assert!(acts(&app).await.contains(&("dead_letter.edited".to_owned(), key)));
    app.fsck().await;
}

async fn a_discarded_letter_leaves_nothing_dangling(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (staff, admin) = (app.account("staff@example.com", Role::Staff).await, app.account("admin@example.com", Role::Admin).await);
    dead_mails(&app, 1).await;
    let key = dead(&app).await.remove(0);
    let path = format!("/api/admin/dead-letters/{key}/discard");
    let body = json!({ "reason": "the customer was told by phone" });
    app.post(&path, &staff, &body).await.assert_problem(403, "forbidden");
    let gone = app.post(&path, &admin, &body).await;
    assert_eq!((gone.status, gone.text("/discarded/key")), (200, key.clone()), "{}", gone.body);
    app.post(&path, &admin, &body).await.assert_problem(404, "not_found");
    assert_eq!(acts(&app).await.first(), Some(&("dead_letter.discarded".to_owned(), key)));
    app.fsck().await;
    discard_an_event(&app, &admin).await;
}

/// An event whose job gave up, thrown away: a person finds it among the quarantined ones.
async fn discard_an_event(app: &TestApp, admin: &str) {
    let event = json!({
        "id": "evt_early", "object": "event", "type": "payment_intent.succeeded",
        "data": { "object": { "id": "pi_1", "object": "payment_intent", "amount": 1, "amount_received": 1, "currency": "vnd",
            "metadata": { "orderCode": "DH999999" } } },
    });
    assert_eq!(app.webhook(&event).await.status, 200);
    bury(app, "inbox").await;
    let key = dead(app).await.remove(0);
    let discarded = app.post(&format!("/api/admin/dead-letters/{key}/discard"), admin, &json!({ "reason": "not ours" })).await;
    assert_eq!(discarded.status, 200, "{}", discarded.body);
    let stored = app.app.store.get(&Key::Inbox(Provider::Stripe, "evt_early".to_owned())).await.expect("the store answers");
    let Some(ordermill_core::change::Row::Inbox(entry)) = stored.map(|stored| stored.row) else { panic!("no event") };
    assert_eq!(entry.state, InboxState::Quarantined, "{}", entry.outcome);
    app.fsck().await;
}

/// Ends the one job of a queue as a dead letter.
async fn bury(app: &TestApp, queue: &str) {
    use ordermill_core::change::Change;
    use ordermill_core::job::{CircuitMove, Finish, Outcome};
    use ordermill_store::{ClaimTarget, JobQuery};
    let jobs = app.app.store.jobs(&JobQuery { queue: Some(queue.to_owned()), cursor: None, limit: 1 }).await.expect("the store answers");
    let target = ClaimTarget::Jobs(vec![jobs.rows[0].key.clone()]);
    let claimed = app.app.store.claim(&target, 1, 30_000, "test").await.expect("the store answers");
    let mut change = Change::new(app.app.change_id());
    let outcome = Outcome::Dead { why: "nobody ever ordered it".to_owned() };
    change.finish(Finish { claim: claimed[0].claim(), outcome, circuit: CircuitMove::Keep });
    app.app.store.commit(&std::sync::Arc::new(change)).await.expect("it is committed");
}

async fn the_status_says_how_the_whole_is_doing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    dead_mails(&app, 1).await;
    let status = app.get("/api/admin/status", &staff).await;
    assert_eq!(status.status, 200, "{}", status.body);
    let counts = &status.body["counts"];
    assert_eq!(
        (&counts["ordersPlaced"], &counts["ordersPaid"], &counts["webhooksReceived"]),
        (&json!(1), &json!(1), &json!(1)),
        "{counts}"
    );
    assert_eq!((&counts["jobsDied"], &status.body["dead"]), (&json!(1), &json!(1)), "{}", status.body);
    assert_eq!(status.body["store"]["pendingMigrations"], json!([]));
    assert!(status.body["store"]["clockAheadMs"].as_i64().expect("a number").abs() < 5_000, "{}", status.body);
    assert_eq!((&status.body["inboxOpen"]["count"], &status.body["inboxQuarantined"]["oldest"]), (&json!(0), &Value::Null));
}
