//! Webhooks: signed so that we take them, repeated until they are taken, and disturbed as told.

use super::stage::{Plan, Stage, WEBHOOK_SECRET, until};
use ordermill::app::{Clock, ManualClock, SystemClock};
use ordermill::simulator::stripe::Mode;
use ordermill_core::payment::{FactKind, PaymentProgress};
use ordermill_core::stripe::{Meaning, SignatureFault, parse, verify};
use ordermill_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn every_end_of_an_attempt_is_told_signed_and_understood() {
    let stage = Stage::set().await;
    let (paid, cancelled) = (stage.intent(1).await.id, stage.intent(2).await.id);
    stage.confirm(&paid, "pm_card_chargeDeclined").await;
    stage.confirm(&paid, "pm_card_visa").await;
    stage.post(&format!("/v1/payment_intents/{cancelled}/cancel"), None, "").await;
    stage.delivered().await;
    let received = stage.endpoint.received();
    let expected = [
        ("payment_intent.payment_failed", &paid, PaymentProgress::Failed),
        ("payment_intent.succeeded", &paid, PaymentProgress::Succeeded),
        ("payment_intent.canceled", &cancelled, PaymentProgress::Cancelled),
    ];
    assert_eq!(received.len(), expected.len());
    for (webhook, (kind, id, progress)) in received.iter().zip(expected) {
        let now_s = SystemClock.now().unix_s();
        assert_eq!(verify(&webhook.signature, &webhook.body, &["whsec_other", WEBHOOK_SECRET], now_s), Ok(()));
        assert_eq!(verify(&webhook.signature, &webhook.body, &["whsec_other"], now_s), Err(SignatureFault::BadSignature));
        let event = parse(&webhook.body).unwrap();
        assert_eq!((event.kind.as_str(), event.object_id.as_ref()), (kind, Some(id)));
        let Meaning::Fact(fact) = event.meaning else { panic!("{kind} is a fact") };
        assert_eq!((fact.kind, fact.amount), (FactKind::Payment(progress), 250_000));
        assert!(event.links.payment_id.is_some());
    }
}

#[tokio::test]
async fn a_refused_webhook_comes_again_with_a_fresh_signature() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let stage = Stage::planned(Plan { clock: Arc::<ManualClock>::clone(&clock), ..Plan::default() }).await;
    stage.endpoint.refuse(2);
    let id = stage.intent(1).await.id;
    stage.confirm(&id, "pm_card_visa").await;
    until(|| !stage.endpoint.received().is_empty()).await;
    clock.advance_ms(1_000_000);
    stage.delivered().await;
    let received = stage.endpoint.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|webhook| webhook.body == received[0].body), "the same event");
    let last = &received[2];
    assert_eq!(verify(&last.signature, &last.body, &[WEBHOOK_SECRET], clock.now().unix_s()), Ok(()));
    let first = verify(&received[0].signature, &received[0].body, &[WEBHOOK_SECRET], clock.now().unix_s());
    assert_eq!(first, Err(SignatureFault::Stale));
    assert_eq!(stage.simulator.undelivered(), []);
}

#[tokio::test]
async fn a_webhook_is_given_up_in_the_end_and_listed() {
    let stage = Stage::set().await;
    stage.endpoint.refuse(u64::MAX);
    let id = stage.intent(1).await.id;
    stage.confirm(&id, "pm_card_visa").await;
    stage.delivered().await;
    let undelivered = stage.simulator.undelivered();
    assert_eq!(undelivered.len(), 1);
    assert_eq!((undelivered[0].tries, undelivered[0].why.as_str()), (4, "status 503"));
    assert_eq!(stage.endpoint.received().len(), 4);
}

#[tokio::test]
async fn one_refused_webhook_does_not_hold_up_the_next() {
    let stage = Stage::set().await;
    let (first, second) = (stage.intent(1).await.id, stage.intent(2).await.id);
    stage.endpoint.refuse(1);
    stage.confirm(&first, "pm_card_visa").await;
    stage.confirm(&second, "pm_card_visa").await;
    stage.delivered().await;
    let mut intents = stage.endpoint.intents();
    assert_eq!((intents.len(), &intents[0]), (3, &first));
    intents.sort();
    assert_eq!(intents.iter().filter(|id| **id == second).count(), 1);
}

#[tokio::test]
async fn duplicates_are_delivered_as_often_as_told() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::Duplicate { copies: 5 });
    let id = stage.intent(1).await.id;
    stage.confirm(&id, "pm_card_visa").await;
    stage.delivered().await;
    let received = stage.endpoint.received();
    assert_eq!(received.len(), 5);
    assert!(received.iter().all(|webhook| webhook.json()["id"] == received[0].json()["id"]));
}

#[tokio::test]
async fn out_of_order_is_newest_first() {
    let stage = Stage::set().await;
    let mut paid = Vec::new();
    for number in 1..=3 {
        paid.push(stage.intent(number).await.id);
    }
    stage.simulator.set_mode(Mode::OutOfOrder);
    for id in &paid {
        stage.confirm(id, "pm_card_visa").await;
    }
    stage.simulator.set_mode(Mode::Ok);
    stage.delivered().await;
    paid.reverse();
    assert_eq!(stage.endpoint.intents(), paid);
}

#[tokio::test]
async fn late_is_late() {
    let stage = Stage::set().await;
    let id = stage.intent(1).await.id;
    stage.simulator.set_mode(Mode::Late { ms: 300 });
    stage.confirm(&id, "pm_card_visa").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stage.endpoint.received().len(), 0);
    stage.delivered().await;
    assert_eq!(stage.endpoint.intents(), [id]);
}

#[tokio::test]
async fn a_mode_of_answers_and_a_mode_of_webhooks_hold_together() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::Duplicate { copies: 2 });
    stage.simulator.set_mode(Mode::Error500After);
    let id = {
        assert!(stage.try_intent(1).await.is_err());
        stage.simulator.journal()[0].object_id.clone()
    };
    assert_eq!(stage.confirm(&id, "pm_card_visa").await.0, 500);
    stage.delivered().await;
    assert_eq!(stage.endpoint.intents(), [id.clone(), id], "the payment succeeded although nobody was told so");
}
