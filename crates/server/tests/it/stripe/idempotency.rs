//! One effect per key (F14, F18, F19), judged by the simulator's journal. Every claim has its negative control: the same
//! oracle must see the second effect that fresh keys cause.

use super::stage::{Plan, Stage, create_intent};
use ordermill::app::ManualClock;
use ordermill::providers::stripe::{CreateIntent, StripeError};
use ordermill::simulator::stripe::Mode;
use ordermill_core::digest::Digest;
use ordermill_core::money::{Currency, Money};
use ordermill_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

fn is_unknown(error: &StripeError) -> bool {
    matches!(error, StripeError::Unknown { .. })
}

#[tokio::test]
async fn the_same_key_twice_is_one_effect_and_one_answer() {
    let stage = Stage::set().await;
    let first = stage.intent(1).await;
    let second = stage.intent(1).await;
    assert_eq!(first, second);
    let journal = stage.simulator.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].key, Some(create_intent(1).idempotency_key.to_string()));
    assert_eq!((journal[0].op.as_str(), &journal[0].object_id), ("payment_intents.create", &first.id));
}

#[tokio::test]
async fn the_same_key_for_something_else_is_refused() {
    let stage = Stage::set().await;
    stage.intent(1).await;
    let dearer = CreateIntent { amount: Money::new(250_001, Currency::VND), ..create_intent(1) };
    let error = stage.client.create_intent(&dearer).await.unwrap_err();
    assert!(matches!(&error, StripeError::Refused { status: 400, code, .. } if code == "idempotency_error"), "{error:?}");
    assert_eq!(stage.simulator.journal().len(), 1);
}

#[tokio::test]
async fn many_at_once_with_one_key_are_one_effect() {
    let stage = Stage::set().await;
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let client = stage.client.clone();
            tokio::spawn(async move { client.create_intent(&create_intent(1)).await })
        })
        .collect();
    let mut made = Vec::new();
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(intent) => made.push(intent),
            Err(error) => assert!(matches!(error, StripeError::Busy { .. }), "{error:?}"),
        }
    }
    made.dedup();
    assert_eq!(made.len(), 1);
    assert_eq!(stage.simulator.journal().len(), 1);
}

#[tokio::test]
async fn an_answer_lost_to_a_reset_is_unknown_and_the_same_key_finds_it() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::AcceptThenReset);
    for attempt in 1..=3 {
        let error = stage.try_intent(1).await.unwrap_err();
        assert!(is_unknown(&error), "{error:?}");
        assert_eq!(stage.simulator.journal().len(), 1, "done at the first attempt, not at attempt {attempt}");
    }
    stage.simulator.set_mode(Mode::Ok);
    let intent = stage.intent(1).await;
    let journal = stage.simulator.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].object_id, intent.id);
    assert_eq!(stage.simulator.duplicates(), []);
}

/// The negative control: a caller that draws a fresh key per attempt charges twice, and the oracle says so.
#[tokio::test]
async fn fresh_keys_after_a_reset_are_two_effects_and_the_oracle_sees_them() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::AcceptThenReset);
    let first = CreateIntent { idempotency_key: Digest::of(b"attempt 1"), ..create_intent(1) };
    assert!(is_unknown(&stage.client.create_intent(&first).await.unwrap_err()));
    stage.simulator.set_mode(Mode::Ok);
    let second = CreateIntent { idempotency_key: Digest::of(b"attempt 2"), ..create_intent(1) };
    let intent = stage.client.create_intent(&second).await.unwrap();
    assert_eq!(stage.simulator.journal().len(), 2);
    let duplicates = stage.simulator.duplicates();
    assert_eq!(duplicates.len(), 1);
    assert_eq!(duplicates[0].payment_id, create_intent(1).payment_id.to_string());
    assert_eq!(duplicates[0].object_ids[1], intent.id);
}

#[tokio::test]
async fn a_500_is_unknown_and_the_same_key_finds_what_was_done() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::Error500After);
    let error = stage.try_intent(1).await.unwrap_err();
    assert!(matches!(error, StripeError::Unknown { is_retryable: true, .. }), "{error:?}");
    stage.simulator.set_mode(Mode::Ok);
    let intent = stage.intent(1).await;
    assert_eq!(stage.simulator.journal().len(), 1);
    assert_eq!(stage.simulator.journal()[0].object_id, intent.id);
}

#[tokio::test]
async fn a_remembered_500_stays_and_says_so() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::Error500Stored);
    let first = stage.try_intent(1).await.unwrap_err();
    stage.simulator.set_mode(Mode::Ok);
    let second = stage.try_intent(1).await.unwrap_err();
    assert!(matches!(first, StripeError::Unknown { is_retryable: false, .. }), "{first:?}");
    assert_eq!(first, second);
    let journal = stage.simulator.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(stage.client.retrieve_intent(&journal[0].object_id).await.unwrap().status, "requires_payment_method");
}

#[tokio::test]
async fn a_503_before_anything_is_unknown_too_but_has_no_effect() {
    let stage = Stage::set().await;
    stage.simulator.set_mode(Mode::Unreachable);
    assert!(is_unknown(&stage.try_intent(1).await.unwrap_err()));
    assert_eq!(stage.simulator.journal(), []);
    stage.simulator.set_mode(Mode::Ok);
    stage.intent(1).await;
    assert_eq!(stage.simulator.journal().len(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_unknown_and_its_key_is_busy_meanwhile() {
    let stage = Stage::planned(Plan { timeout_ms: 150, ..Plan::default() }).await;
    stage.simulator.set_mode(Mode::Slow { ms: 10_000 });
    let client = stage.client.clone();
    let slow = tokio::spawn(async move { client.create_intent(&create_intent(1)).await });
    super::stage::until(|| stage.simulator.journal().len() == 1).await;
    let rival = stage.try_intent(1).await.unwrap_err();
    assert!(matches!(&rival, StripeError::Busy { why, .. } if why.contains("idempotency_key_in_use")), "{rival:?}");
    assert!(is_unknown(&slow.await.unwrap().unwrap_err()));
    stage.simulator.set_mode(Mode::Ok);
    // The simulator notices a moment later that the slow one's client has gone.
    let mut found = stage.try_intent(1).await;
    for _ in 0..100 {
        if !matches!(found, Err(StripeError::Busy { .. })) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        found = stage.try_intent(1).await;
    }
    assert_eq!(found.unwrap().id, stage.simulator.journal()[0].object_id);
    assert_eq!(stage.simulator.journal().len(), 1);
}

#[tokio::test]
async fn what_was_refused_before_anything_began_does_not_use_the_key_up() {
    let stage = Stage::set().await;
    let (status, body) = stage.post("/v1/payment_intents", Some("k"), "amount=0&currency=vnd").await;
    assert_eq!((status, &body["error"]["param"]), (400, &"amount".into()));
    let (status, _) = stage.post("/v1/payment_intents", Some("k"), "amount=1000&currency=vnd").await;
    assert_eq!(status, 200);
    assert_eq!(stage.simulator.journal().len(), 1);
}

#[tokio::test]
async fn a_declined_card_is_remembered_under_its_key() {
    let stage = Stage::set().await;
    let intent = stage.intent(1).await;
    let path = format!("/v1/payment_intents/{}/confirm", intent.id);
    let first = stage.post(&path, Some("try 1"), "payment_method=pm_card_chargeDeclined").await;
    let again = stage.post(&path, Some("try 1"), "payment_method=pm_card_chargeDeclined").await;
    assert_eq!(first.0, 402);
    assert_eq!(first, again);
    assert_eq!(stage.simulator.journal().len(), 2, "one create, one attempt");
    assert_eq!(stage.post(&path, Some("try 2"), "payment_method=pm_card_visa").await.0, 200);
}

/// F20: after a day Stripe has forgotten the key, and sending it again charges again. Callers must look first.
#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let stage = Stage::planned(Plan { clock: Arc::<ManualClock>::clone(&clock), ..Plan::default() }).await;
    stage.intent(1).await;
    clock.advance_ms(24 * 3_600 * 1_000 - 1);
    stage.intent(1).await;
    assert_eq!(stage.simulator.duplicates(), []);
    clock.advance_ms(1);
    stage.intent(1).await;
    assert_eq!(stage.simulator.duplicates().len(), 1);
}
