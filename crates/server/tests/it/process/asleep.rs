//! A worker process that is stopped in the middle of a mail and woken long after its lease ran out (F16): another process
//! has done its job meanwhile, and what it does on waking changes nothing.

use super::oracle::read_mails;
use super::server::{Settings, free_port};
use super::world::{Keeping, WEBHOOK_SECRET, World};
use crate::test_app::{Answer, order_body, paid_event};
use ordermill::app::{Clock, SystemClock};
use ordermill_core::change::{Effect, EffectState, Row};
use ordermill_store::{Record, Store, Table};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const LEASE: Duration = Duration::from_millis(1_500);
/// How long the worker stands at the fail point, about to send: long enough to be stopped there on a busy machine.
const ABOUT_TO_SEND: Duration = Duration::from_secs(4);
/// How long anything here may take, on a machine that builds and tests at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_for_three_leases_changes_nothing_when_it_wakes() {
    let mut world = World::new(Keeping::Postgres).await;
    world.server.set("WORKER__LEASE_MS", &LEASE.as_millis().to_string());
    let point = format!("effect.intended=sleep({})@1", ABOUT_TO_SEND.as_millis());
    let sleeper = world.server.with("ORDERMILL_FAILPOINTS", &point).start_ready().await;
    pay_for_one_order(&world).await;
    let store = world.open_store().await;
    await_mail(&store, EffectState::Intended).await;
    sleeper.signal("STOP").await;
    let stopped = Instant::now();

    let second = beside(&world);
    let heir = second.start_ready().await;
    let confirmed = await_mail(&store, EffectState::Confirmed).await;
    assert_eq!(confirmed.resends, 1, "nobody could tell whether the first one had gone out");
    assert_eq!(read_mails(&second.data).len(), 1);
    assert!(read_mails(&world.server.data).is_empty(), "it was stopped before it sent");
    sleep((LEASE * 3).saturating_sub(stopped.elapsed())).await;

    sleeper.signal("CONT").await;
    await_waking(&world).await;
    let mails: Vec<_> = [read_mails(&world.server.data), read_mails(&second.data)].concat();
    assert!(mails.len() <= 1 + usize::try_from(confirmed.resends).expect("it is small"), "{mails:#?}");
    assert!(mails.iter().all(|mail| mail.message_id == mails[0].message_id), "one logical mail: {mails:#?}");
    assert_eq!(mail_effects(&store).await, [confirmed], "what the heir wrote stands");
    for table in [Table::Jobs, Table::DeadLetters] {
        let left = store.scan(table, None, 10).await.expect("the store answers").rows;
        assert!(left.is_empty(), "{left:#?}");
    }
    store.close().await;
    let checked = second.run(&["fsck"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    sleeper.stop().await;
    heir.stop().await;
    assert_eq!([world.server.panics(), second.panics()].concat(), Vec::<String>::new());
}

/// A second process on the same store, with a folder, ports and a mailbox of its own.
fn beside(world: &World) -> Settings {
    let mut settings = world.server.clone();
    settings.data = world.beside("second");
    settings.log = world.beside("second.log");
    (settings.port, settings.ops_port) = (free_port(), free_port());
    settings
}

async fn pay_for_one_order(world: &World) {
    let post = |path: &str| world.http.post(world.server.url(path));
    let customer = json!({ "email": "an@example.com", "password": "correct horse battery" });
    let session = Answer::of(post("/api/users/register").json(&customer).send().await.expect("an answer")).await;
    let products = world.http.get(world.server.url("/api/products?q=COURSE-01")).send().await.expect("an answer");
    let product = Answer::of(products).await.text("/data/0/id");
    let placed = post("/api/orders/create").bearer_auth(session.text("/token")).json(&order_body(&product, 1, "bank_transfer"));
    let order = Answer::of(placed.send().await.expect("an answer")).await;
    assert_eq!(order.status, 201, "{}", order.body);
    let event = paid_event("evt_1", &order).to_string();
    let signature = ordermill_core::stripe::sign(WEBHOOK_SECRET, SystemClock.now().unix_s(), event.as_bytes());
    let told = post("/api/webhook/stripe").header("stripe-signature", signature).body(event).send().await.expect("an answer");
    assert_eq!(told.status(), 200);
}

async fn mail_effects(store: &Arc<dyn Store>) -> Vec<Effect> {
    let records = store.scan(Table::Effects, None, 10).await.expect("the store answers").rows;
    let effects = records.into_iter().filter_map(|record| match record {
        Record::Row { row: Row::Effect(effect), .. } => Some(effect),
        _ => None,
    });
    effects.collect()
}

/// The one mail there is, once it is that far.
async fn await_mail(store: &Arc<dyn Store>, state: EffectState) -> Effect {
    let wanted = async {
        loop {
            if let [effect] = mail_effects(store).await.as_slice()
                && effect.state == state
            {
                return effect.clone();
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("the mail does not become {state:?}"))
}

/// Until the one that slept has found out that its job is another's.
async fn await_waking(world: &World) {
    let noticed = async {
        loop {
            let said = std::fs::read_to_string(&world.server.log).unwrap_or_default();
            if said.contains("finished too late") || said.contains("the lease was lost") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, noticed).await.is_ok(), "it noticed nothing:\n{}", world.server.log_tail());
}
