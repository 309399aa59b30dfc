//! F18–F20: effects that happened although nobody heard, on Stripe and in mail.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, paid_event};
use ordermill::app::payments::intent::KEY_AGE_MS_MAX;
use ordermill::mail::{Behaviour, Scripted};
use ordermill::simulator::stripe::Mode;
use ordermill::worker::email::RESENDS_MAX;
use ordermill_core::change::{EffectState, Key, Row};
use ordermill_core::id::OrderId;
use ordermill_core::job::{DeadLetter, JobKey, Queue};
use ordermill_core::order::intent::create_intent_key;
use ordermill_store::faulty::{Fault, Verb};
use ordermill_store::{ClaimTarget, DeadLetterQuery, OrderRef};
use std::time::Duration;

on_both_stores! {
    f18_a_mail_whose_confirmation_is_lost_is_sent_again_under_its_own_id;
    f19_a_mail_that_was_taken_without_an_answer_is_sent_again_at_most_twice;
    f19_stripe_accepts_and_resets_and_still_makes_one_intent;
    f19_an_order_stands_while_stripe_is_away;
    f20_an_intent_is_left_to_a_person_before_stripe_forgets_its_key;
    f14_a_webhook_before_the_intent_is_attached_pays_the_order;
}

/// I7: the mail went out, the commit that says so did not come about.
async fn f18_a_mail_whose_confirmation_is_lost_is_sent_again_under_its_own_id(backend: Backend) {
    let (app, faulty) = TestApp::start_faulty(backend, 1).await;
    let product = app.product("CUP", 25_000, 9).await;
    let order = app.order(&app.customer("an@example.com").await, &product, 1, "bank_transfer").await;
    app.webhook(&paid_event("evt_1", &order)).await;
    // Of the attempt's two commits ("intended", then "confirmed" with the job's end) the second one fails.
    faulty.script(Verb::Commit, [None, Some(Fault::Unavailable)]);
    let target = ordermill_store::ClaimTarget::Queue("email".to_owned());
    let job = app.app.store.claim(&target, 1, 100, "doomed").await.expect("the store answers").remove(0);
    ordermill::worker::run_claimed(&app.app, ordermill_core::job::Queue::Email, &job).await;
    assert_eq!(app.catcher.list().len(), 1);
    app.run_jobs_until("the second mail", async || app.catcher.list().len() == 2).await;
    let mails = app.catcher.list();
    assert_eq!(mails[0].message_id, mails[1].message_id, "one logical mail");
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), 2, "once confirmed, never again");
    app.fsck().await;
}

/// The window of SMTP: accepted, answer lost. Two resends, then a person must look.
async fn f19_a_mail_that_was_taken_without_an_answer_is_sent_again_at_most_twice(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.catcher.script(Scripted::Others, Behaviour::AcceptThenLose);
    let product = app.product("CUP", 25_000, 9).await;
    let order = app.order(&app.customer("an@example.com").await, &product, 1, "bank_transfer").await;
    app.webhook(&paid_event("evt_1", &order)).await;
    let died = async || app.app.store.queues().await.expect("an answer").iter().any(|queue| queue.dead > 0);
    app.run_jobs_until("the review", died).await;
    let mails = app.catcher.list();
    let sent = 1 + usize::try_from(RESENDS_MAX).expect("it is small");
    assert_eq!(mails.len(), sent, "once, then once more for each resend that is allowed");
    assert!(mails.iter().all(|mail| mail.message_id == mails[0].message_id));
    app.fsck().await;
}

/// I7: unknown is not failed. The job asks again with the same key and gets the intent that was made.
async fn f19_stripe_accepts_and_resets_and_still_makes_one_intent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    app.stripe.set_mode(Mode::AcceptThenReset);
    let order = app.order(&token, &product, 1, "stripe").await;
    assert_eq!((order.status, order.text("/payment/status").as_str()), (201, "creating"), "{}", order.body);
    app.stripe.set_mode(Mode::Ok);
    let path = format!("/api/orders/{}", order.text("/code"));
    app.run_jobs_until("the intent", async || app.get(&path, &token).await.text("/payment/status") != "creating").await;
    assert_eq!(
        app.stripe.journal().iter().filter(|accepted| accepted.op == "payment_intents.create").count(),
        1,
        "{:?}",
        app.stripe.journal()
    );
    assert!(app.stripe.duplicates().is_empty());
    app.fsck().await;
}

async fn f19_an_order_stands_while_stripe_is_away(backend: Backend) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    app.stripe.set_mode(Mode::Unreachable);
    let headers = [("idempotency-key", "order-of-an-1")];
    let body = crate::test_app::order_body(&product, 1, "stripe");
    let order = app.post_with("/api/orders/create", &token, &headers, &body).await;
    assert_eq!((order.status, order.text("/payment/status").as_str()), (201, "creating"), "{}", order.body);
    app.stripe.set_mode(Mode::Ok);
    // The client asks again, under its key, and the request itself gets the intent.
    let asks_again = async || {
        let again = app.post_with("/api/orders/create", &token, &headers, &body).await;
        assert_eq!((again.status, again.text("/id")), (201, order.text("/id")));
        again.text("/payment/status") == "requires_payment_method"
    };
    app.run_jobs_until("the intent", asks_again).await;
    app.fsck().await;
}

/// I7: a forgotten key would make a second intent. The simulator still knows it, so an attempt that is made shows.
async fn f20_an_intent_is_left_to_a_person_before_stripe_forgets_its_key(backend: Backend) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    let shown = async |order: &Answer| app.get(&format!("/api/orders/{}", order.text("/code")), &token).await;
    let mut orders = Vec::new();
    for age_ms in [KEY_AGE_MS_MAX - 1_000, KEY_AGE_MS_MAX] {
        app.stripe.set_mode(Mode::AcceptThenReset);
        let order = app.order(&token, &product, 1, "stripe").await;
        assert_eq!((order.status, order.text("/payment/status").as_str()), (201, "creating"), "{}", order.body);
        app.stripe.set_mode(Mode::Ok);
        run_at_age(&app, JobKey::new(Queue::Stripe, order.text("/id"), 1), age_ms).await;
        orders.push(order);
    }
    let [young, old] = orders.try_into().expect("two orders");
    assert!(!shown(&young).await.text("/payment/paymentIntentId").is_empty(), "the key is still good");
    let is_left = async || shown(&old).await.text("/payment/status") == "creating";
    assert!(is_left().await, "nothing was asked for");
    let dead = dead_letters(&app).await;
    assert!(dead[0].why.contains("forgotten") && dead[0].why.contains(&old.text("/code")), "{dead:?}");
    assert_eq!(intent_effect(&app, &old).await, Some((EffectState::NeedsReview, None)));
    app.fsck().await;

    let actor = ordermill_core::event::Actor::operator("test");
    let by = ordermill::app::jobs::By::new(&actor, "it may be young again");
    ordermill::app::jobs::redrive(&app.app, &dead[0].key, by).await.expect("it is redriven");
    app.run_jobs_until("the second death", async || !dead_letters(&app).await.is_empty()).await;
    assert!(is_left().await, "a redrive asks for nothing either");
    assert_eq!(app.stripe.journal().len(), 2);
    app.fsck().await;
}

/// Runs a job that waits as if it had been queued so long ago.
async fn run_at_age(app: &TestApp, key: JobKey, age_ms: i64) {
    let target = ClaimTarget::Jobs(vec![key]);
    let mut job = loop {
        match app.app.store.claim(&target, 1, 60_000, "test").await.expect("the store answers").pop() {
            Some(job) => break job,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(job.past.attempt, 2, "the first one asked Stripe and got no answer");
    job.age_ms = age_ms;
    ordermill::worker::run_claimed(&app.app, Queue::Stripe, &job).await;
}

async fn dead_letters(app: &TestApp) -> Vec<DeadLetter> {
    let query = DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() };
    app.app.store.dead_letters(&query).await.expect("the store answers").rows
}

/// What the ledger says about an order's intent.
async fn intent_effect(app: &TestApp, order: &Answer) -> Option<(EffectState, Option<String>)> {
    let id = OrderId::parse(&order.text("/id")).expect("an id");
    let order = app.app.store.order(&OrderRef::Id(id)).await.expect("the store answers").expect("the order");
    let key = Key::Effect(create_intent_key(id, order.payment.id));
    match app.app.store.get(&key).await.expect("the store answers")?.row {
        Row::Effect(effect) => Some((effect.state, effect.reference)),
        other => panic!("{other:?}"),
    }
}

async fn f14_a_webhook_before_the_intent_is_attached_pays_the_order(backend: Backend) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 25_000, 9).await;
    let token = app.customer("an@example.com").await;
    app.stripe.set_mode(Mode::AcceptThenReset);
    let order = app.order(&token, &product, 1, "stripe").await;
    app.stripe.set_mode(Mode::Ok);
    let intent = app.stripe.journal().last().expect("an intent").object_id.clone();
    let mut known = order.clone();
    known.body["payment"]["paymentIntentId"] = serde_json::json!(intent);
    assert_eq!(app.webhook(&paid_event("evt_1", &known)).await.status, 200);
    app.run_jobs_until("the mail", async || !app.catcher.list().is_empty()).await;
    let end = app.get(&format!("/api/orders/{}", order.text("/code")), &token).await;
    assert_eq!((end.text("/status").as_str(), end.text("/paymentStatus").as_str()), ("processing", "paid"));
    app.fsck().await;
}
