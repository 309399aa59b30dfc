//! Who may make or change a store. `dev` leaves a store alone that is somebody's shop, and commands that only look make
//! nothing: a wrong path or an old schema is said, not mended.

use super::server::Settings;
use super::tampering::run_sql;
use super::world::{Keeping, World};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// Commands that look at a store, or act on what is in it.
const LOOKING: [&str; 9] = [
    "orders list",
    "orders show DH000001",
    "queue list",
    "queue jobs",
    "dlq list",
    "dlq redrive email:nobody:1 --reason test",
    "inbox list",
    "fsck",
    "test-webhook stripe payment_intent.succeeded --order DH000001",
];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The names in a folder; none if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs every command that only looks; each must refuse with these words on one line.
async fn all_refuse(settings: &Settings, words: &str) {
    for command in LOOKING {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = settings.run(&arguments).await;
        assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
        let said = said(&output);
        assert!(said.contains(words) && said.contains("`ordermill migrate`") && said.lines().count() == 1, "{command}: {said}");
    }
}

/// How `dev` is turned away: with 2 and one line, and nothing is written anywhere.
async fn dev_is_turned_away(world: &World) {
    let (records, files) = (world.records().await, names(&world.server.data));
    let mut dev = world.server.start();
    let ended = dev.ends_within(Duration::from_secs(20)).await.unwrap_or_else(|| panic!("dev runs:\n{}", world.server.log_tail()));
    let said = world.server.log_tail();
    assert_eq!(ended.code(), Some(2), "{said}");
    assert!(said.contains("was not made by `ordermill dev`") && said.lines().count() == 1, "{said}");
    assert_eq!(names(&world.server.data), files, "no secrets, no caught mails, no simulated Stripe");
    assert_eq!(world.records().await, records);
}

async fn dev_leaves_shops_alone(keeping: Keeping) {
    let world = World::new(keeping).await;
    world.open_shop().await;
    dev_is_turned_away(&world).await;

    let world = World::new(keeping).await;
    let made = world.server.run_with_input(&["user", "create", "boss@example.com", "--role", "admin"], "a long password\n").await;
    assert_eq!(made.status.code(), Some(0), "a fresh store begins with its first admin: {made:?}");
    dev_is_turned_away(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_leaves_a_shop_on_sqlite_alone() {
    dev_leaves_shops_alone(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_leaves_a_shop_on_postgres_alone() {
    dev_leaves_shops_alone(Keeping::Postgres).await;
}

/// A shop of the version before: `dev` looks before it migrates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_does_not_migrate_a_shop() {
    let world = World::new(Keeping::Sqlite).await;
    world.open_shop().await;
    run_sql(&world.server.data.join("ordermill.db"), "DELETE FROM migrations WHERE name = (SELECT max(name) FROM migrations)").await;
    let mut dev = world.server.start();
    let ended = dev.ends_within(Duration::from_secs(20)).await.unwrap_or_else(|| panic!("dev runs:\n{}", world.server.log_tail()));
    assert_eq!(ended.code(), Some(2), "{}", world.server.log_tail());
    assert_eq!(world.pending_migrations().await, 1);
}

/// What `dev` made stays its own, also when its secrets are gone and when it died before it had made everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_goes_on_with_its_own_store() {
    let world = World::new(Keeping::Sqlite).await;
    let dies = world.server.with("ORDERMILL_FAILPOINTS", "migrate.step=abort@3");
    assert!(dies.start().ends_within(Duration::from_secs(20)).await.is_some_and(|status| !status.success()));
    world.server.start_ready().await.stop().await;
    std::fs::remove_file(world.server.data.join("dev.toml")).expect("the secrets are there");
    world.server.start_ready().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_make_no_store() {
    let world = World::new(Keeping::Sqlite).await;
    all_refuse(&world.server, &format!("there is no store at {}", world.store_url)).await;
    assert!(!world.server.data.exists(), "not even a folder");

    let elsewhere = world.beside("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    let wrong = Settings::new(elsewhere.clone(), world.server.log.clone());
    let wrong =
        Settings { variables: world.server.variables.iter().filter(|(name, _)| !name.contains("STORE")).cloned().collect(), ..wrong };
    all_refuse(&wrong, "there is no store at sqlite:").await;
    assert_eq!(names(&elsewhere), Vec::<String>::new());
    std::fs::write(elsewhere.join("ordermill.db"), "").expect("an empty file");
    all_refuse(&wrong, "there is no store at sqlite:").await;
    assert_eq!(names(&elsewhere), ["ordermill.db"]);
    assert_eq!(std::fs::metadata(elsewhere.join("ordermill.db")).expect("it is there").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_make_no_tables_in_a_schema() {
    let world = World::new(Keeping::Postgres).await;
    let all = world.pending_migrations().await;
    all_refuse(&world.server, "there is no store at postgres://").await;
    assert_eq!(world.pending_migrations().await, all, "the schema is as empty as before");
    assert_eq!(world.server.run(&["migrate"]).await.status.code(), Some(0));
    assert_eq!(world.server.run(&["orders", "list"]).await.status.code(), Some(0));
}

/// A store that lacks more and more of its schema's end is what a newer binary finds.
async fn commands_do_not_migrate(keeping: Keeping) {
    let world = World::new(keeping).await;
    let dies = world.server.with("ORDERMILL_FAILPOINTS", "migrate.step=abort@2");
    loop {
        assert_ne!(dies.run(&["migrate"]).await.status.code(), Some(0), "it does one step");
        let left = world.pending_migrations().await;
        if left == 1 {
            break;
        }
        all_refuse(&world.server, &format!("{left} migrations are pending")).await;
        assert_eq!(world.pending_migrations().await, left);
    }
    all_refuse(&world.server, "1 migration is pending").await;
    assert_eq!(world.pending_migrations().await, 1);
    assert_eq!(world.server.run(&["migrate"]).await.status.code(), Some(0));
    let clean = world.server.run(&["fsck"]).await;
    assert_eq!(clean.status.code(), Some(0), "{}", said(&clean));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_do_not_migrate_a_file() {
    commands_do_not_migrate(Keeping::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_do_not_migrate_a_schema() {
    commands_do_not_migrate(Keeping::Postgres).await;
}
