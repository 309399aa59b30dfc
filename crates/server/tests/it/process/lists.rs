//! Two processes on one Postgres that share customers' order lists through a Redis: one of them does not let go of a list
//! after its commit, or dies right before. The list of the other is old then, until the change's own job has been run.

use super::server::{Settings, free_port};
use super::world::{Keeping, PLENTY, World};
use crate::redis_peer::RedisPeer;
use crate::test_app::{Answer, order_body};
use serde_json::json;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long anything here may take, on a machine that builds and tests at the same time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a list lives: longer than this test, so that it is not its age that ends it.
const LONG_MS: &str = "3600000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_nobody_let_go_of_is_old_until_the_job_has_run() {
    let stage = Stage::new("lists.before_forget=error").await;
    let healthy = stage.healthy.start_ready().await;
    let forgetful = stage.faulty.start_ready().await;
    stage.pause_the_job().await;
    let token = stage.customer().await;
    for _ in 0..2 {
        assert_eq!(stage.orders(&token).await, 0);
    }
    assert_eq!(stage.order(&token).await.expect("an answer"), 201);
    // The control: without what is switched off here, this is what customers would see.
    for _ in 0..3 {
        assert_eq!(stage.orders(&token).await, 0, "the list is kept, and old");
    }
    stage.resume_the_job().await;
    stage.await_orders(&token, 1).await;
    forgetful.stop().await;
    healthy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_commit_and_letting_go_is_healed_by_the_job() {
    let stage = Stage::new("lists.before_forget=abort").await;
    let healthy = stage.healthy.start_ready().await;
    let mut dying = stage.faulty.start_ready().await;
    stage.pause_the_job().await;
    let token = stage.customer().await;
    assert_eq!(stage.orders(&token).await, 0);
    assert!(stage.order(&token).await.is_err(), "nobody answers: it died");
    assert!(dying.ends_within(PATIENCE).await.is_some());
    assert_eq!(stage.orders(&token).await, 0, "the order stands, and the list is old");
    stage.resume_the_job().await;
    stage.await_orders(&token, 1).await;
    healthy.stop().await;
}

struct Stage {
    world: World,
    healthy: Settings,
    faulty: Settings,
    _redis: RedisPeer,
}

impl Stage {
    async fn new(fail_point: &str) -> Self {
        let redis = RedisPeer::start().await;
        let mut world = World::new(Keeping::Postgres).await;
        world.server.set("CACHE__REDIS_URL", &redis.url());
        world.server.set("CACHE__REDIS_TIMEOUT_MS", "5000");
        world.server.set("CACHE__ORDER_LIST_MS", LONG_MS);
        world.server.set("SERVER__SECRET_KEY", &"0123456789abcdef".repeat(4));
        world.stock_up().await;
        let healthy = world.server.clone();
        let mut faulty = healthy.with("ORDERMILL_FAILPOINTS", fail_point);
        faulty.data = world.beside("second");
        faulty.log = world.beside("second.log");
        (faulty.port, faulty.ops_port) = (free_port(), free_port());
        Self { world, healthy, faulty, _redis: redis }
    }

    async fn pause_the_job(&self) {
        self.queue("pause").await;
    }

    async fn resume_the_job(&self) {
        self.queue("resume").await;
    }

    async fn queue(&self, act: &str) {
        let done = self.healthy.run(&["queue", act, "cache", "--reason", "a test"]).await;
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    }

    async fn customer(&self) -> String {
        let customer = json!({ "email": "an@example.com", "password": "correct horse battery" });
        let request = self.world.http.post(self.healthy.url("/api/users/register")).json(&customer);
        Answer::of(request.send().await.expect("an answer")).await.text("/token")
    }

    /// Orders at the faulty node.
    async fn order(&self, token: &str) -> Result<u16, reqwest::Error> {
        let products = self.world.http.get(self.healthy.url(&format!("/api/products?q={PLENTY}"))).send().await?;
        let product = Answer::of(products).await.text("/data/0/id");
        let request = self.world.http.post(self.faulty.url("/api/orders")).bearer_auth(token);
        Ok(request.json(&order_body(&product, 1, "cod")).send().await?.status().as_u16())
    }

    /// How many orders the healthy node shows.
    async fn orders(&self, token: &str) -> usize {
        let request = self.world.http.get(self.healthy.url("/api/orders")).bearer_auth(token);
        let list = Answer::of(request.send().await.expect("an answer")).await;
        list.body["data"].as_array().map_or_else(|| panic!("{}", list.body), Vec::len)
    }

    async fn await_orders(&self, token: &str, count: usize) {
        let healed = async {
            while self.orders(token).await != count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(PATIENCE, healed).await.is_ok(), "the list stays old:\n{}", self.healthy.log_tail());
    }
}
