//! What the simulator did is still done after it is opened again, as the crash tests need it.

use super::stage::{Plan, Stage, WEBHOOK_SECRET, create_intent, folder};
use ordermill::app::{SeededRandomness, SystemClock};
use ordermill::simulator::stripe::{Mode, SimulatorSettings, StripeSimulator};
use secrecy::SecretString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

async fn stage(folder: &Path, seed: u64) -> Stage {
    Stage::planned(Plan { folder: Some(folder.to_owned()), seed, ..Plan::default() }).await
}

fn journal_file(folder: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files[0].clone()
}

#[tokio::test]
async fn keys_objects_and_the_journal_survive() {
    let folder = folder("survive");
    let before = stage(&folder, 1).await;
    before.simulator.set_mode(Mode::AcceptThenReset);
    assert!(before.try_intent(1).await.is_err());
    let journal = before.simulator.journal();
    assert_eq!(journal.len(), 1);
    before.stop().await;

    let after = stage(&folder, 2).await;
    assert_eq!(after.simulator.journal(), journal);
    let intent = after.intent(1).await;
    assert_eq!(intent.id, journal[0].object_id, "the same key after the restart gets the intent from before it");
    assert_eq!(after.simulator.journal().len(), 1);
    assert_eq!(after.client.retrieve_intent(&intent.id).await.unwrap(), intent);
    after.stop().await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn owed_webhooks_are_delivered_after_a_restart_and_delivered_ones_are_not() {
    let folder = folder("webhooks");
    let before = stage(&folder, 1).await;
    let (told, owed) = (before.intent(1).await.id, before.intent(2).await.id);
    before.confirm(&told, "pm_card_visa").await;
    before.delivered().await;
    before.simulator.set_mode(Mode::Late { ms: 60_000 });
    before.confirm(&owed, "pm_card_visa").await;
    assert_eq!((before.endpoint.intents(), before.simulator.pending_webhooks()), (vec![told], 1));
    before.stop().await;

    let after = stage(&folder, 2).await;
    after.delivered().await;
    assert_eq!(after.endpoint.intents(), [owed]);
    after.stop().await;

    let quiet = stage(&folder, 3).await;
    assert_eq!(quiet.simulator.pending_webhooks(), 0);
    quiet.stop().await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn given_up_webhooks_stay_listed() {
    let folder = folder("given-up");
    let before = stage(&folder, 1).await;
    before.endpoint.refuse(u64::MAX);
    let id = before.intent(1).await.id;
    before.confirm(&id, "pm_card_visa").await;
    before.delivered().await;
    let undelivered = before.simulator.undelivered();
    assert_eq!(undelivered.len(), 1);
    before.stop().await;
    let after = stage(&folder, 2).await;
    assert_eq!((after.simulator.undelivered(), after.simulator.pending_webhooks()), (undelivered, 0));
    after.stop().await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_torn_last_line_never_happened() {
    let folder = folder("torn");
    let before = stage(&folder, 1).await;
    let kept = before.intent(1).await.id;
    before.intent(2).await;
    before.stop().await;
    let path = journal_file(&folder);
    let bytes = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes - 1).unwrap();

    let after = stage(&folder, 2).await;
    assert_eq!(after.simulator.journal().iter().map(|accepted| accepted.object_id.clone()).collect::<Vec<_>>(), [kept]);
    let again = after.intent(2).await.id;
    after.stop().await;
    let last = stage(&folder, 3).await;
    let key = create_intent(2).idempotency_key.to_string();
    assert_eq!(last.simulator.journal()[1].object_id, again);
    assert_eq!(last.simulator.journal()[1].key, Some(key));
    last.stop().await;
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn any_other_damage_is_an_error() {
    let folder = folder("damaged");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("stripe-journal.jsonl"), "{\"entry\":\n{}\n").unwrap();
    let settings = SimulatorSettings { webhook_url: String::new(), webhook_secret: SecretString::from(WEBHOOK_SECRET), api_key: None };
    let opened = StripeSimulator::open(Some(folder.clone()), settings, Arc::new(SystemClock), Arc::new(SeededRandomness::new(1)));
    assert!(opened.is_err());
    fs::remove_dir_all(folder).unwrap();
}
