//! One mail per paid order, whatever crashes or goes unanswered: the e-mail consumer and its row in the effect ledger.

use super::world::World;
use ordermill::mail::{Behaviour, Scripted};
use ordermill::worker::email::RESENDS_MAX;
use ordermill_core::change::EffectState;
use ordermill_core::job::{CIRCUIT_OPEN_MS_MAX, Outcome};
use std::collections::HashSet;

fn is_counted(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Retry { counted, .. } => Some(*counted),
        _ => None,
    }
}

#[tokio::test]
async fn a_paid_order_sends_one_mail_and_confirms_it() {
    let world = World::with_paid_order().await;
    assert_eq!(world.attempt().await, Outcome::Done);
    let [mail] = world.mails().try_into().unwrap();
    assert_eq!(mail.to, "ann.lee@example.com");
    assert!(mail.subject.contains("DH000123"));
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends, effect.version), (EffectState::Confirmed, 0, 2));
    assert_eq!(effect.reference.as_deref(), Some("caught as number 1"));

    world.queue_again().await;
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!(world.mails().len(), 1, "what is confirmed is not sent again");
}

#[tokio::test]
async fn a_crash_after_the_intention_sends_again_under_the_same_id() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(1), Behaviour::Panic);
    world.crash().await;
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends), (EffectState::Intended, 0));

    assert_eq!(world.attempt().await, Outcome::Done);
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends), (EffectState::Confirmed, 1));
    assert_eq!(world.mails().len(), 1);
}

#[tokio::test]
async fn lost_answers_end_with_a_person_after_two_resends() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Others, Behaviour::AcceptThenLose);
    for _ in 0..RESENDS_MAX {
        assert_eq!(is_counted(&world.attempt().await), Some(true));
    }
    assert!(matches!(world.attempt().await, Outcome::Dead { .. }));
    let mails = world.mails();
    let ids: HashSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!((mails.len(), ids.len()), (3, 1), "three mails under one id");
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends), (EffectState::NeedsReview, RESENDS_MAX));

    world.redrive().await;
    assert!(matches!(world.attempt().await, Outcome::Dead { .. }), "a redrive does not send a fourth");
    assert_eq!(world.mails().len(), 3);
}

#[tokio::test]
async fn a_refused_mail_dies_after_three_and_a_redrive_sends_it_afresh() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(3), Behaviour::Refuse(550));
    for _ in 0..2 {
        assert_eq!(is_counted(&world.attempt().await), Some(true));
        assert_eq!(world.effect().await, None, "what was certainly not sent leaves no doubt behind");
    }
    let Outcome::Dead { why } = world.attempt().await else { panic!("the third refusal kills") };
    assert!(why.starts_with("550"), "{why}");
    assert_eq!(world.effect().await, None);

    world.redrive().await;
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!((world.mails().len(), world.effect().await.unwrap().resends), (1, 0));
}

#[tokio::test]
async fn a_provider_that_is_away_costs_neither_attempts_nor_resends() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(6), Behaviour::Later);
    for _ in 0..6 {
        assert_eq!(is_counted(&world.attempt().await), Some(false));
        assert_eq!(world.effect().await, None);
    }
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!((world.mails().len(), world.effect().await.unwrap().resends), (1, 0));
}

/// One full mailbox, for six hours, is nobody else's trouble.
#[tokio::test]
async fn a_mail_that_is_put_off_costs_neither_attempts_nor_resends_nor_the_circuit() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(36), Behaviour::PutOff);
    for attempt in 1..=36 {
        assert_eq!(is_counted(&world.attempt().await), Some(false), "attempt {attempt}");
        assert_eq!(world.effect().await, None);
        assert_eq!(world.circuit_open_ms().await, 0, "attempt {attempt}");
    }
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!((world.mails().len(), world.effect().await.unwrap().resends), (1, 0));
}

/// The other side of it: a server that is away opens the circuit, but never for as long as one old mail waits.
#[tokio::test]
async fn a_server_that_is_away_opens_the_circuit_for_a_short_while() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(36), Behaviour::Later);
    for attempt in 1..=36 {
        assert_eq!(is_counted(&world.attempt().await), Some(false));
        let open_ms = world.circuit_open_ms().await;
        assert!((1..=CIRCUIT_OPEN_MS_MAX).contains(&open_ms), "attempt {attempt}: {open_ms} ms");
    }
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!(world.circuit_open_ms().await, 0);
}

#[tokio::test]
async fn a_mail_put_off_after_a_lost_answer_keeps_the_doubt() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(1), Behaviour::AcceptThenLose);
    world.catcher.script(Scripted::Next(5), Behaviour::PutOff);
    world.attempt().await;
    for _ in 0..5 {
        assert_eq!(is_counted(&world.attempt().await), Some(false));
        let effect = world.effect().await.unwrap();
        assert_eq!((effect.state, effect.resends), (EffectState::Intended, 0));
    }
    assert_eq!(world.attempt().await, Outcome::Done);
    assert_eq!((world.mails().len(), world.effect().await.unwrap().resends), (2, 1));
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_keeps_the_doubt_and_uses_no_resend() {
    let world = World::with_paid_order().await;
    world.catcher.script(Scripted::Next(1), Behaviour::AcceptThenLose);
    world.catcher.script(Scripted::Next(1), Behaviour::Later);
    world.attempt().await;
    world.attempt().await;
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends), (EffectState::Intended, 0));
    assert_eq!(world.attempt().await, Outcome::Done);
    let effect = world.effect().await.unwrap();
    assert_eq!((effect.state, effect.resends), (EffectState::Confirmed, 1));
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn a_worker_that_slept_through_its_lease_sends_nothing() {
    let world = World::with_paid_order().await;
    let asleep = world.claim().await;
    world.pass_time();
    assert_eq!(world.attempt().await, Outcome::Done);
    let handled = world.handle(&asleep).await;
    assert!(world.finish(&asleep, handled).await.is_err(), "its attempt is no longer the job's");

    let other = World::with_paid_order().await;
    let asleep = other.claim().await;
    other.pass_time();
    let handled = other.handle(&asleep).await;
    assert!(other.finish(&asleep, handled).await.is_err());
    assert_eq!((world.mails().len(), other.mails().len()), (1, 0));
    assert_eq!(other.effect().await, None, "not even an intention");
}
