//! The same with several nodes that share a Redis: a real one, which is read, written, frozen and killed by the tests.

use super::{codes, counted};
use crate::redis_peer::{RedisPeer, Reply};
use crate::test_app::{Backend, TestApp, on_both_stores, paid_event};
use ordermill::config::Config;
use ordermill_core::job::Queue;
use ordermill_store::JobQuery;
use secrecy::SecretString;

/// Longer than any test: what heals here is not the end of an entry's time.
const LONG_MS: i64 = 3_600_000;
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

on_both_stores! {
    a_list_comes_from_redis_until_something_changes;
    whatever_lies_in_redis_is_not_believed;
    without_redis_everything_comes_from_the_store;
    what_could_not_be_let_go_of_is_seen_to_by_the_job;
}

/// A key, and what a stranger puts there.
type Written<'a> = (&'a str, Vec<u8>);

fn sharing(redis: &RedisPeer) -> impl Fn(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.cache.redis_url = Some(SecretString::from(url.as_str()));
        // A busy machine must not look like a Redis that is away, unless a test wants it to.
        config.cache.redis_timeout_ms = 5_000;
        config.cache.order_list_ms = LONG_MS;
        config.server.secret_key = vec![SecretString::from(KEY)];
    }
}

async fn a_list_comes_from_redis_until_something_changes(backend: Backend) {
    let redis = RedisPeer::start().await;
    let app = TestApp::start_set(backend, sharing(&redis)).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let token = app.customer("an@example.com").await;
    let order = app.order(&token, &cup, 1, "stripe").await;
    for _ in 0..3 {
        assert_eq!(codes(&app.get("/api/orders", &token).await), [order.text("/code")]);
    }
    assert_eq!(counted(&app), (2, 1));
    assert_eq!(app.webhook(&paid_event("evt_1", &order)).await.status, 200);
    assert_eq!(app.get("/api/orders", &token).await.text("/data/0/paymentStatus"), "paid");
    let keys = redis.keys().await;
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in &keys {
        let Reply::Text(value) = redis.say(&[b"GET", key.as_bytes()]).await else { panic!("{key} holds no text") };
        for canary in ["an@example.com", "Nguyễn", "0901234567", "clientSecret", "DH0000"] {
            let is_there = value.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!is_there, "{canary} can be read in Redis");
        }
        let Reply::Number(left_ms) = redis.say(&[b"PTTL", key.as_bytes()]).await else { panic!("{key} has no end") };
        assert!((1..=LONG_MS).contains(&left_ms), "{key} stays for {left_ms} ms");
    }
    app.run_jobs().await;
    assert_eq!(cache_jobs(&app).await, 0);
    app.fsck().await;
}

async fn cache_jobs(app: &TestApp) -> usize {
    let query = JobQuery { queue: Some(Queue::Cache.name().to_owned()), cursor: None, limit: 100 };
    app.app.store.jobs(&query).await.expect("the store answers").rows.len()
}

async fn whatever_lies_in_redis_is_not_believed(backend: Backend) {
    let redis = RedisPeer::start().await;
    let app = TestApp::start_set(backend, sharing(&redis)).await;
    let cup = app.product("CUP", 25_000, 10).await;
    let (an, binh) = (app.customer("an@example.com").await, app.customer("binh@example.com").await);
    let mut truth = Vec::new();
    for token in [&an, &binh] {
        app.order(token, &cup, 1, "cod").await;
        app.get("/api/orders", token).await;
        truth.push(app.get("/api/orders", token).await.body);
    }
    assert_eq!(counted(&app), (2, 2));
    let (id_of_an, id_of_binh) = (app.id_of(&an).await, app.id_of(&binh).await);
    let keys = redis.keys().await;
    let key = |id: &str, part: &str| keys.iter().find(|key| key.contains(id) && key.contains(part)).expect("it is there").clone();
    let (list, generation) = (key(&id_of_an, ":list:"), key(&id_of_an, ":generation"));
    let (other_list, other_generation) = (key(&id_of_binh, ":list:"), key(&id_of_binh, ":generation"));
    let value = async |key: &str| match redis.say(&[b"GET", key.as_bytes()]).await {
        Reply::Text(value) => value,
        other => panic!("{key}: {other:?}"),
    };
    let giant = vec![b'x'; 4 * 1024 * 1024];
    let sealed = value(&list).await;
    let mut forged = sealed.clone();
    *forged.last_mut().expect("it is long") ^= 1;
    // As another's: their list under their generation, put where this customer's are looked for.
    let (of_binh, generation_of_binh) = (value(&other_list).await, value(&other_generation).await);
    let plain = br#"{"data":[],"nextCursor":null}"#.to_vec();
    let hostile: [(&str, Vec<Written<'_>>); 9] = [
        ("nothing", vec![(&list, Vec::new())]),
        ("no list", vec![(&list, plain)]),
        ("one bit", vec![(&list, forged)]),
        ("half of it", vec![(&list, sealed[..sealed.len() / 2].to_vec())]),
        ("far too much", vec![(&list, giant.clone())]),
        ("another's list", vec![(&list, of_binh), (&generation, generation_of_binh)]),
        ("a generation that is none", vec![(&generation, giant)]),
        ("an empty generation", vec![(&generation, Vec::new())]),
        ("the list of another generation", vec![(&list, sealed), (&generation, vec![7; 16])]),
    ];
    for (what, writes) in hostile {
        for (key, value) in writes {
            redis.say(&[b"SET", key.as_bytes(), &value]).await;
        }
        for _ in 0..2 {
            let shown = app.get("/api/orders", &an).await;
            assert_eq!((shown.status, &shown.body), (200, &truth[0]), "{what}");
        }
    }
    for key in [&list, &generation] {
        redis.say(&[b"DEL", key.as_bytes()]).await;
        redis.say(&[b"LPUSH", key.as_bytes(), b"a list of Redis' own kind"]).await;
        assert_eq!(app.get("/api/orders", &an).await.body, truth[0]);
    }
    redis.say(&[b"FLUSHALL"]).await;
    assert_eq!(app.get("/api/orders", &an).await.body, truth[0]);
    assert_eq!(app.get("/api/orders", &binh).await.body, truth[1]);
    assert_eq!(app.app.metrics.order_lists.faults.get(), 0, "none of it looks like a Redis that is away");
    // And after all that it still serves.
    let (hits, _) = counted(&app);
    assert_eq!(app.get("/api/orders", &an).await.body, truth[0]);
    assert_eq!(counted(&app).0, hits + 1);
}

async fn without_redis_everything_comes_from_the_store(backend: Backend) {
    let mut redis = RedisPeer::start().await;
    let app = TestApp::start_set(backend, |config| {
        sharing(&redis)(config);
        config.cache.redis_timeout_ms = 50;
    })
    .await;
    let cup = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    let mut placed = 0;
    let mut order_and_look = async || {
        assert_eq!(app.order(&token, &cup, 1, "cod").await.status, 201);
        placed += 1;
        assert_eq!(codes(&app.get("/api/orders", &token).await).len(), placed);
        placed
    };
    redis.kill().await;
    for _ in 0..5 {
        order_and_look().await;
    }
    redis.start_again().await;
    redis.freeze().await;
    for _ in 0..5 {
        order_and_look().await;
    }
    redis.thaw().await;
    let placed = order_and_look().await;
    assert!(app.app.metrics.order_lists.faults.get() > 0);
    // It is used again by itself, and shows what there is.
    let shown = || async { counted(&app).0 > 0 && cache_jobs(&app).await == 0 };
    for _ in 0..2_000 {
        assert_eq!(codes(&app.get("/api/orders", &token).await).len(), placed);
        app.run_jobs().await;
        if shown().await {
            return app.fsck().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the cache is not used again: {:?}, {} jobs", counted(&app), cache_jobs(&app).await);
}

async fn what_could_not_be_let_go_of_is_seen_to_by_the_job(backend: Backend) {
    let redis = RedisPeer::start().await;
    let app = TestApp::start_set(backend, |config| {
        sharing(&redis)(config);
        config.cache.redis_timeout_ms = 50;
    })
    .await;
    let cup = app.product("CUP", 25_000, 100).await;
    let token = app.customer("an@example.com").await;
    while counted(&app).0 == 0 {
        assert_eq!(codes(&app.get("/api/orders", &token).await), [""; 0]);
    }
    let old: Vec<(String, Reply)> = {
        let mut old = Vec::new();
        for key in redis.keys().await {
            let value = redis.say(&[b"GET", key.as_bytes()]).await;
            old.push((key, value));
        }
        old
    };
    redis.freeze().await;
    let order = app.order(&token, &cup, 1, "cod").await;
    assert_eq!(order.status, 201, "{}", order.body);
    redis.thaw().await;
    // Whether Redis did in the end what it was asked while it stood still is not ours to know: here it did not.
    for (key, value) in &old {
        let Reply::Text(value) = value else { panic!("{key}: {value:?}") };
        redis.say(&[b"SET", key.as_bytes(), value]).await;
    }
    assert_eq!(cache_jobs(&app).await, 1);
    app.run_jobs_until("the job", || async { cache_jobs(&app).await == 0 }).await;
    assert_eq!(codes(&app.get("/api/orders", &token).await), [order.text("/code")]);
    app.fsck().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ordered_on_one_node_is_in_the_list_of_the_other() {
    const ORDERS: usize = 15;
    let redis = RedisPeer::start().await;
    let one = TestApp::start_set(Backend::Postgres, sharing(&redis)).await;
    let other = one.second_node_set(sharing(&redis)).await;
    let cup = one.product("CUP", 25_000, 1_000).await;
    let token = one.customer("an@example.com").await;
    let ordering = async |here: &TestApp, there: &TestApp| {
        for _ in 0..ORDERS {
            let placed = here.order(&token, &cup, 1, "cod").await;
            for node in [there, here, there] {
                let list = node.get("/api/orders?limit=100", &token).await;
                assert!(codes(&list).contains(&placed.text("/code")), "{} is not in the list", placed.text("/code"));
            }
        }
    };
    tokio::join!(ordering(&one, &other), ordering(&other, &one));
    for node in [&one, &other, &one, &other] {
        assert_eq!(codes(&node.get("/api/orders?limit=100", &token).await).len(), 2 * ORDERS);
    }
    let (hits, faults) = (counted(&one).0 + counted(&other).0, &one.app.metrics.order_lists.faults);
    assert!(hits >= 3, "{hits} lists came from Redis");
    assert_eq!(faults.get(), 0);
}
