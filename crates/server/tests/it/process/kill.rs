//! The crash test (F17, F18): a server under load dies more than a hundred times, at every fail point and at any moment, is
//! started again on the same data each time, and in the end nothing that was acknowledged is missing and nothing happened
//! twice. `scripts/crashtest N` runs it longer.

use super::journal::Journal;
use super::load::Load;
use super::oracle::{Evidence, Verdict, judge, read_mails};
use super::plan::{Death, Draw, IN_DOUBT, KILLS, deaths};
use super::server::{Server, Settings, is_signal};
use super::tampering::{copy_folder, run_sql};
use super::world::{Keeping, World};
use ordermill::mail::CaughtMail;
use ordermill::simulator::stripe::Mode;
use ordermill::worker::email::RESENDS_MAX;
use ordermill_store::failpoint::NAMES;
use ordermill_store::fsck::Snapshot;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a fail point may take to be reached before the server is killed from outside.
const PATIENCE: Duration = Duration::from_secs(3);
/// Leases of processes that died must run out within the test where a store does not know that they are dead.
const LEASE_MS: u64 = 3_000;
/// Points that a run may leave out, and why. None does.
const MAY_BE_MISSED: &[(&str, &str)] = &[];
/// What the moments of death are drawn from; a longer run draws others.
const SEED: u64 = 0x0dd_ba11;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_on_sqlite() {
    let mut run = Run::new(Keeping::Sqlite).await;
    let verdict = run.whole().await;
    run.report("sqlite", &verdict);
    // Without this nobody would know that the oracle sees anything.
    run.control_of_deleted_rows().await;
    run.control_of_a_copied_mail().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_on_postgres() {
    let mut run = Run::new(Keeping::Postgres).await;
    let verdict = run.whole().await;
    run.report("postgres", &verdict);
}

/// The same oracle on a store that loses everything at its first death.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_store_that_forgets_is_found_out() {
    let mut run = Run::new(Keeping::Memory).await;
    let server = run.world.server.start_ready().await;
    let load = Load::start(&run.world, Arc::clone(&run.journal)).await;
    sleep(Duration::from_millis(700)).await;
    run.kill(server).await;
    let server = run.world.server.start_ready().await;
    sleep(Duration::from_millis(200)).await;
    load.give_up().await;
    server.stop().await;
    let verdict = run.verdict().await;
    let acknowledged = run.journal.acknowledged();
    assert!(acknowledged > 0, "the load did nothing");
    assert!(verdict.count("lost: order") >= acknowledged, "{acknowledged} orders are gone: {:#?}", verdict.violations);
    assert!(verdict.count("lost: event") > 0, "{:#?}", verdict.violations);
}

/// One crash test.
struct Run {
    world: World,
    settings: Settings,
    journal: Arc<Journal>,
    draw: Draw,
    /// By fail point: how often it was armed, and how often it was deadly.
    points: BTreeMap<&'static str, (u32, u32)>,
    by_kill: u32,
    redriven: BTreeSet<String>,
    begun: Instant,
}

impl Run {
    async fn new(keeping: Keeping) -> Self {
        let has_fail_points = cfg!(feature = "failpoints");
        assert!(has_fail_points, "the crash test needs --features failpoints");
        let world = World::new(keeping).await;
        let mut settings = world.server.clone();
        settings.set("WORKER__LEASE_MS", &LEASE_MS.to_string());
        // One mail at a time, so that one death can be to blame for one mail too many, and for no more.
        settings.set("WORKER__CONCURRENCY", "1");
        settings.set("MAIL__ORDER_RECEIVED", "true");
        let (journal, draw) = (Arc::new(Journal::default()), Draw(SEED ^ kills_wanted() as u64));
        Self { world, settings, journal, draw, points: BTreeMap::new(), by_kill: 0, redriven: BTreeSet::new(), begun: Instant::now() }
    }

    fn deaths(&self) -> u32 {
        self.by_kill + self.points.values().map(|(_, deadly)| deadly).sum::<u32>()
    }

    /// Deaths at the points between "about to be done" and "done".
    fn deaths_in_doubt(&self) -> u32 {
        self.points.iter().filter(|(name, _)| IN_DOUBT.contains(name)).map(|(_, (_, deadly))| deadly).sum()
    }

    /// From an empty folder through every death to the verdict.
    async fn whole(&mut self) -> Verdict {
        self.die_in_migrations().await;
        self.world.stock_up().await;
        for hit in [1, 2] {
            self.die_at("retention.before_drop", hit).await;
        }
        let server = self.settings.start_ready().await;
        let load = Load::start(&self.world, Arc::clone(&self.journal)).await;
        sleep(Duration::from_millis(300)).await;
        self.kill(server).await;
        self.die_with_a_slow_provider().await;
        self.die_with_poison().await;
        self.die_in_drains().await;
        let missing = kills_wanted().saturating_sub(usize::try_from(self.deaths()).expect("it is small"));
        for death in deaths(missing, &mut self.draw) {
            match death {
                Death::At(name, hit) => drop(self.die_at(name, hit).await),
                Death::After(time) => {
                    let server = self.settings.start();
                    sleep(time).await;
                    self.kill(server).await;
                }
            }
        }
        self.come_to_rest(load).await;
        self.verdict().await
    }

    async fn kill(&mut self, server: Server) {
        let status = server.end().await;
        assert!(is_signal(status, SIGKILL), "it had ended by itself, with {status}:\n{}", self.settings.log_tail());
        self.by_kill += 1;
    }

    /// Starts a server that dies at the n-th hit of a point; whether it did.
    async fn die_at(&mut self, name: &'static str, hit: u64) -> bool {
        let settings = self.armed(name, hit);
        self.await_death(settings.start(), name, PATIENCE).await
    }

    fn armed(&self, name: &str, hit: u64) -> Settings {
        self.settings.with("ORDERMILL_FAILPOINTS", &format!("{name}=abort@{hit}"))
    }

    async fn await_death(&mut self, mut server: Server, name: &'static str, patience: Duration) -> bool {
        let ended = server.ends_within(patience).await;
        self.points.entry(name).or_default().0 += 1;
        let status = match ended {
            Some(status) => status,
            None => server.end().await,
        };
        if is_signal(status, SIGKILL) {
            self.by_kill += 1;
            return false;
        }
        assert!(is_signal(status, SIGABRT), "armed at {name}, it ended with {status}:\n{}", self.settings.log_tail());
        self.points.entry(name).or_default().1 += 1;
        true
    }

    /// An empty store, and a server that dies while it makes its tables: in the first step, then one step further each time.
    async fn die_in_migrations(&mut self) {
        for _ in 0..2 {
            assert!(self.die_at("migrate.step", 1).await, "an empty store has migrations to run");
        }
        while self.world.pending_migrations().await >= 2 {
            assert!(self.die_at("migrate.step", 2).await, "there are two left");
        }
    }

    /// Calls that last longer than a third of the lease make the worker ask for more time.
    async fn die_with_a_slow_provider(&mut self) {
        let settings = self.settings.clone();
        self.settings.set("WORKER__LEASE_MS", "1200");
        self.world.stripe.set_mode(Mode::Slow { ms: 550 });
        for hit in [1, 2, 5] {
            self.die_at("lease.refresh", hit).await;
        }
        self.world.stripe.set_mode(Mode::Ok);
        self.settings = settings;
    }

    /// Jobs at which the process dies three times become dead letters; then it dies while it buries them, and while a
    /// person lets one be tried again.
    async fn die_with_poison(&mut self) {
        let settings = self.settings.clone();
        self.settings.set("WORKER__LEASE_MS", "300");
        for _ in 0..5 {
            for _ in 0..3 {
                self.die_at("task.claimed", 1).await;
                sleep(Duration::from_millis(310)).await;
            }
            let died = self.die_at("sweep.selected", 1).await;
            let server = self.settings.start_ready().await;
            sleep(Duration::from_millis(200)).await;
            let dead = self.dead_letters().await;
            self.kill(server).await;
            // The three deaths may have been at several jobs. One that dies with the server that had nothing to bury is buried
            // by the next, which proves nothing about dying meanwhile.
            if died && !dead.is_empty() {
                break;
            }
        }
        self.settings = settings;
        let mut server = self.armed("redrive.before_commit", 1).start();
        server.ready().await;
        let dead = self.dead_letters().await;
        let key = dead.first().expect("a job that killed three processes is a dead letter");
        let redriven = self.settings.run(&["dlq", "redrive", key, "--reason", "the crash test says so"]).await;
        assert_eq!(redriven.status.code(), Some(75), "nobody can say that it worked: {redriven:?}");
        assert!(self.await_death(server, "redrive.before_commit", PATIENCE).await);
    }

    async fn die_in_drains(&mut self) {
        for (name, hit) in [("drain.listener_closed", 1), ("drain.listener_closed", 2), ("drain.released", 1)] {
            let mut server = self.armed(name, hit).start();
            server.ready().await;
            sleep(Duration::from_millis(100)).await;
            server.signal("TERM").await;
            assert!(self.await_death(server, name, Duration::from_secs(30)).await, "{name} is on the way of every drain");
        }
    }

    /// A clean start; every client gets its answer, every queue empties, and the server is stopped as it should be.
    async fn come_to_rest(&mut self, load: Load) {
        let server = self.settings.start_ready().await;
        let clients = tokio::spawn(load.finish());
        let rest = async {
            // A job that was under way in three processes that died is a dead letter; its customer waits for a person.
            loop {
                let is_quiet = clients.is_finished() && self.world.stripe.pending_webhooks() == 0 && self.queues_are_empty().await;
                // What was still running a moment ago may lie dead now, but nothing comes to life by itself.
                if self.redrive_dead_letters().await == 0 && is_quiet {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(timeout(Duration::from_mins(2), rest).await.is_ok(), "the queues do not empty: {:?}", self.jobs().await);
        clients.await.expect("the clients end");
        server.stop().await;
        let checked = self.settings.run(&["fsck"]).await;
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    }

    /// Each once: a mail that nobody may send again stays where it is. Returns how many there were.
    async fn redrive_dead_letters(&mut self) -> usize {
        let mut count = 0;
        for key in self.dead_letters().await {
            if self.redriven.insert(key.clone()) {
                let output = self.settings.run(&["dlq", "redrive", &key, "--reason", "the crash test says so"]).await;
                assert!(output.status.success(), "{output:?}");
                count += 1;
            }
        }
        count
    }

    async fn list(&self, command: &[&str]) -> Vec<Value> {
        let output = self.settings.run(&[command, &["-o", "json"]].concat()).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["data"].as_array().expect("a list").clone()
    }

    async fn queues_are_empty(&self) -> bool {
        let queues = self.list(&["queue", "list"]).await;
        queues.iter().all(|queue| queue["waiting"] == 0 && queue["running"] == 0)
    }

    async fn jobs(&self) -> Vec<Value> {
        self.list(&["queue", "jobs"]).await
    }

    async fn dead_letters(&self) -> Vec<String> {
        let dead = self.list(&["dlq", "list", "--limit", "100"]).await;
        dead.iter().map(|dead| dead["key"].as_str().expect("a key").to_owned()).collect()
    }

    async fn verdict(&self) -> Verdict {
        self.verdict_on(&self.world.store_url, &read_mails(&self.settings.data)).await
    }

    async fn verdict_on(&self, store_url: &str, mails: &[CaughtMail]) -> Verdict {
        let store = ordermill_store::open(store_url).await.unwrap_or_else(|error| panic!("the store does not open: {error}"));
        store.migrate().await.expect("the schema is there");
        let snapshot = Snapshot::read(store.as_ref()).await.expect("the store answers");
        store.close().await;
        judge(&Evidence { journal: &self.journal, stripe: &self.world.stripe, snapshot: &snapshot, mails })
    }

    /// Says what was seen, and fails if anything is not as it must be.
    fn report(&self, store: &str, verdict: &Verdict) {
        let deaths = self.deaths();
        println!("{store}: fail points (deadly/armed):");
        for (name, (armed, deadly)) in &self.points {
            println!("  {name} {deadly}/{armed}");
        }
        let in_doubt = self.deaths_in_doubt();
        println!(
            "{store}: {deaths} deaths ({} of them by SIGKILL, {in_doubt} between intention and confirmation), {} orders ({} paid), {} events, \
             {} extra mails for {} resends, {} in review, {} redriven, {:.1} s",
            self.by_kill,
            verdict.orders,
            verdict.paid,
            verdict.events,
            verdict.extra_mails,
            verdict.resends,
            verdict.in_review,
            self.redriven.len(),
            self.begun.elapsed().as_secs_f64(),
        );
        assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
        assert!(usize::try_from(deaths).expect("it is small") >= kills_wanted(), "{deaths} deaths are too few");
        assert!(verdict.orders >= 100 && verdict.paid >= 50 && verdict.events >= 100, "the load was too small to show anything");
        let deaths = usize::try_from(deaths).expect("it is small");
        // One mail goes out at a time, so a death between "about to be sent" and "sent" makes one too many at most.
        let to_blame = usize::try_from(in_doubt + self.by_kill).expect("it is small");
        assert!(verdict.extra_mails <= to_blame, "{} mails too many for {to_blame} deaths that may have hit one", verdict.extra_mails);
        assert!(verdict.in_review <= deaths / 3, "a mail is left to a person after three deaths, not before");
        let deadly = |name: &str| self.points.get(name).is_some_and(|(_, deadly)| *deadly > 0);
        let missed: Vec<&&str> = NAMES.iter().filter(|name| !deadly(name) && !MAY_BE_MISSED.iter().any(|(may, _)| may == *name)).collect();
        assert!(missed.is_empty(), "no server died at {missed:?}");
        assert_eq!(self.settings.panics(), Vec::<String>::new());
    }

    /// Copies of the final store from which one acknowledged thing is taken.
    async fn control_of_deleted_rows(&self) {
        let deletions = [
            ("lost: order", "DELETE FROM orders WHERE number = (SELECT min(number) FROM orders)"),
            ("lost: event", "DELETE FROM inbox WHERE event_id = (SELECT min(event_id) FROM inbox WHERE event_id GLOB 'evt_own_*')"),
            (
                "lost: the provider sent",
                "DELETE FROM inbox WHERE event_id = (SELECT min(event_id) FROM inbox WHERE event_id NOT GLOB 'evt_own_*')",
            ),
            ("lost: the key", "DELETE FROM idempotency WHERE key = (SELECT min(key) FROM idempotency)"),
            ("lost: paid order", "DELETE FROM effects WHERE key = (SELECT min(key) FROM effects WHERE body LIKE '%email.order_paid%')"),
        ];
        for (number, (kind, statement)) in deletions.into_iter().enumerate() {
            let copy = self.world.beside(&format!("spoilt-{number}"));
            copy_folder(&self.settings.data, &copy);
            run_sql(&copy.join("ordermill.db"), statement).await;
            let url = format!("sqlite:{}", copy.join("ordermill.db").display());
            let verdict = self.verdict_on(&url, &read_mails(&self.settings.data)).await;
            assert!(verdict.count(kind) > 0, "nobody noticed {statement:?}: {:#?}", verdict.violations);
        }
    }

    /// The final mailbox with one copy more than the ledger knows of.
    async fn control_of_a_copied_mail(&self) {
        let mut mails = read_mails(&self.settings.data);
        let copied = mails.last().expect("mails went out").clone();
        let copies = mails.iter().filter(|mail| mail.message_id == copied.message_id).count();
        mails.extend(std::iter::repeat_n(copied, usize::try_from(RESENDS_MAX).expect("it is small") + 2 - copies));
        let verdict = self.verdict_on(&self.world.store_url, &mails).await;
        assert_eq!(verdict.count("twice: the mail"), 1, "{:#?}", verdict.violations);
    }
}

/// How many deaths are wanted: more in the long version.
#[expect(clippy::disallowed_methods, reason = "scripts/crashtest says how long the long version is")]
fn kills_wanted() -> usize {
    let asked = std::env::var("ORDERMILL_CRASHTEST_KILLS").ok().map(|text| text.parse().expect("ORDERMILL_CRASHTEST_KILLS is a number"));
    asked.unwrap_or(KILLS).max(KILLS)
}
