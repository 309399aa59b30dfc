//! What runs in the background and what people look through: numbers, sweeps, scans, health.

use super::Subject;
use super::fixture::{
    Fixture, HOUR_MS, MINUTE_MS, NOW, claim_one, commit, dead, everything, guest, job, payment, scan_all, store_now, texts, timeless,
};
use crate::query::retention;
use crate::{JobQuery, OrderQuery, Page, Record, Sequence, StoreError, Table};
use ordermill_core::admit::StockLevel;
use ordermill_core::change::{Cause, IdempotencyRow, Key, PaymentRow, Row, StockKey};
use ordermill_core::event::{Event, EventKind};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::order::PaymentMethod;
use ordermill_core::payment::{PaymentProgress, Provider};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

pub(super) async fn number_blocks_are_disjoint(subject: &dyn Subject) {
    let store = subject.store();
    let mut end = 1;
    for count in [1, 1, 100, 7, 1] {
        let block = store.numbers(Sequence::Order, count).await.expect("numbers");
        assert!(block.start >= end, "{block:?} was handed out before");
        assert_eq!(block.end - block.start, i64::from(count));
        end = block.end;
    }
    assert!(store.numbers(Sequence::Task, 1).await.expect("numbers").start < end, "sequences do not share their numbers");
}

pub(super) async fn a_sweep_forgets_what_has_served_its_time(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let now = store_now(subject, &fixture).await;
    let user = fixture.user("an@example.com");
    let (ended, living) = (fixture.session(user.id, now.plus_ms(HOUR_MS)), fixture.session(user.id, now.plus_ms(100 * HOUR_MS)));
    let order = fixture.terms(1).order_id;
    let old = IdempotencyRow { at: now, ..fixture.idempotency(order) };
    let young = IdempotencyRow { at: now.plus_ms(30 * HOUR_MS), ..fixture.idempotency(order) };
    let kept = [
        Row::Setting(fixture.setting("a", "1")),
        Row::Inbox(fixture.inbox("evt_1", InboxState::Applied)),
        Row::Effect(fixture.effect(order)),
        Row::Cart(fixture.cart(user.id)),
        Row::ApiKey(fixture.api_key("kho")),
    ];
    let swept = [Row::Session(ended.clone()), Row::Session(living.clone()), Row::Idempotency(old.clone()), Row::Idempotency(young.clone())];
    commit(store, &fixture.insert([Row::User(user)])).await;
    commit(store, &fixture.insert(kept.iter().chain(&swept).cloned())).await;
    let left = || async {
        let mut left = Vec::new();
        for row in &swept {
            left.push(store.get(&row.key()).await.expect("get").is_some());
        }
        left
    };
    store.sweep().await.expect("sweep");
    assert_eq!(left().await, [true; 4]);
    // The session ended 23 hours ago and is kept for a day.
    subject.advance_ms(24 * HOUR_MS);
    store.sweep().await.expect("sweep");
    assert_eq!(left().await, [true; 4]);
    subject.advance_ms(HOUR_MS + MINUTE_MS);
    assert!(store.sweep().await.expect("sweep").pruned_rows >= 1);
    assert_eq!(left().await, [false, true, true, true]);
    subject.advance_ms(retention::IDEMPOTENCY_MS - 25 * HOUR_MS);
    assert!(store.sweep().await.expect("sweep").pruned_rows >= 1);
    assert_eq!(left().await, [false, true, false, true]);
    subject.advance_ms(60 * HOUR_MS + retention::SESSION_MS);
    store.sweep().await.expect("sweep");
    assert_eq!(left().await, [false; 4]);
    for row in kept {
        assert!(store.get(&row.key()).await.expect("get").is_some(), "{row:?} is kept for ever");
    }
}

pub(super) async fn a_sweep_forgets_tokens_and_failed_log_ins_after_a_day(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let now = store_now(subject, &fixture).await;
    let user = fixture.user("an@example.com");
    let rows = [
        Row::OneTimeToken(fixture.one_time_token(user.id, now.plus_ms(HOUR_MS))),
        Row::OneTimeToken(fixture.one_time_token(user.id, now.plus_ms(10 * HOUR_MS))),
        Row::Throttle(fixture.throttle(now)),
        Row::Throttle(fixture.throttle(now.plus_ms(HOUR_MS))),
    ];
    commit(store, &fixture.insert(rows.clone())).await;
    // Hours that go by, and what is left then.
    for (hours, expected) in [(23, [true; 4]), (1, [true, true, false, true]), (1, [false, true, false, false]), (9, [false; 4])] {
        subject.advance_ms(hours * HOUR_MS + MINUTE_MS);
        store.sweep().await.expect("sweep");
        let mut left = Vec::new();
        for row in &rows {
            left.push(store.get(&row.key()).await.expect("get").is_some());
        }
        assert_eq!(left, expected, "{hours} hours later");
    }
}

pub(super) async fn a_sweep_of_many_rows_finishes(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    // Long over, by any clock: the fixture's time is in the past.
    let count = retention::SLICE + 40;
    let rows: Vec<Row> = (0..count).map(|_| Row::Session(fixture.session(user.id, ordermill_core::time::Timestamp::default()))).collect();
    let changes = rows.chunks(60).map(|chunk| fixture.insert(chunk.to_vec())).collect();
    for result in subject.commit_together(changes).await {
        result.expect("sessions");
    }
    // A store may stop after a slice and let writers through, but sweeping on must come to an end.
    for _ in 0..count {
        store.sweep().await.expect("sweep");
        if scan_all(store, Table::Sessions, 1_000).await.is_empty() {
            return;
        }
    }
    panic!("sweeping does not come to an end");
}

pub(super) async fn a_scan_returns_what_was_written(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    let user = fixture.user("an@example.com");
    let session = fixture.session(user.id, NOW);
    let stocked = fixture.adjust("shirt", 5);
    let (order, placed) = fixture.place_as(1, PaymentMethod::Stripe, guest("an@example.com"), NOW, &[(&shirt, 2)]);
    let (order, paid) = fixture.receive(&order, &payment("pi_1", PaymentProgress::Succeeded, order.total_amount));
    let rows = [
        Row::Product(shirt),
        Row::User(user),
        Row::Inbox(fixture.inbox("evt_1", InboxState::Applied)),
        Row::Idempotency(fixture.idempotency(order.id)),
        Row::Effect(fixture.effect(order.id)),
        Row::Setting(fixture.setting("made_by", "serve")),
        Row::Cart(fixture.cart(session.user_id)),
        Row::ApiKey(fixture.api_key("kho")),
        Row::OneTimeToken(fixture.one_time_token(session.user_id, NOW)),
        Row::Throttle(fixture.throttle(NOW)),
        Row::Session(session),
    ];
    let inserted = fixture.insert(rows);
    let paused = fixture.pause("sms", true, 0);
    for change in [&stocked, &placed, &paid, &inserted, &paused] {
        commit(store, change).await;
    }
    commit(store, &fixture.queue([job("bus", "a", 1)])).await;
    let claimed = claim_one(store, "bus").await;
    commit(store, &fixture.finish(&claimed.claim(), dead())).await;

    let mut expected: Vec<Record> = Vec::new();
    for change in [&stocked, &paid, &inserted, &paused] {
        let record = |row: &Row| {
            let by = if row.key() == Key::Order(order.id) { placed.id } else { change.id };
            Record::Row { row: row.clone(), by, last_change: change.id }
        };
        expected.extend(change.puts.iter().map(record));
    }
    expected.extend(placed.events.iter().chain(&paid.events).cloned().map(Record::Event));
    expected.extend(paid.ledger.iter().cloned().map(Record::Ledger));
    let key = StockKey::main("shirt");
    expected.push(Record::Stock { key: key.clone(), level: StockLevel { available: 3, reserved: 0 } });
    expected.push(Record::StockMovement { cause: Cause::Change(stocked.id), key: key.clone(), on_hand_delta: 5 });
    let cause = paid.stock[0].cause.clone();
    expected.push(Record::StockMovement { cause, key, on_hand_delta: -2 });
    for job in placed.jobs.iter().chain(&paid.jobs) {
        expected.push(Record::Job {
            key: job.key.clone(),
            payload: job.payload.clone(),
            past: job.past.clone(),
            max_attempts: job.max_attempts,
            is_ordered: job.is_ordered,
            is_running: false,
            due_for_ms: 0,
        });
    }
    let mut found = Vec::new();
    for table in Table::ALL {
        found.extend(scan_all(store, table, 2).await);
    }
    let letters: Vec<Record> = found.iter().filter(|record| matches!(record, Record::DeadLetter(_))).cloned().collect();
    assert!(matches!(&letters[..], [Record::DeadLetter(letter)] if letter.key == claimed.key && letter.why == "refused for good"));
    found.retain(|record| !matches!(record, Record::DeadLetter(_)));
    assert_eq!(texts(&found), texts(&expected));
    let job = found.into_iter().find_map(|record| match record {
        Record::Job { key, due_for_ms, .. } if key.queue == "stripe" => Some(due_for_ms),
        _ => None,
    });
    assert!(job.is_some_and(|due_for_ms| due_for_ms < 0), "the grace of a new order's payment is not over: {job:?}");
}

pub(super) async fn a_scan_is_paged_without_gaps_or_repeats(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 100)).await;
    commit(store, &fixture.adjust("hat", 100)).await;
    for number in 1..=7 {
        let (order, placed) = fixture.place(number, &[(&shirt, 1)]);
        commit(store, &placed).await;
        let (_, paid) = fixture.receive(&order, &payment(&format!("pi_{number}"), PaymentProgress::Succeeded, order.total_amount));
        commit(store, &paid).await;
        commit(store, &fixture.insert([Row::Inbox(fixture.inbox(&format!("evt:{number}"), InboxState::Applied))])).await;
        commit(store, &fixture.queue([job("bus", &format!("g:{number}"), number)])).await;
        let claimed = claim_one(store, "bus").await;
        commit(store, &fixture.finish(&claimed.claim(), dead())).await;
    }
    for table in Table::ALL {
        let whole: Vec<Record> = scan_all(store, table, 1_000).await.into_iter().map(timeless).collect();
        for limit in [1, 3] {
            let paged: Vec<Record> = scan_all(store, table, limit).await.into_iter().map(timeless).collect();
            assert_eq!(paged, whole, "{table:?} in pages of {limit}");
        }
    }
    let events = scan_all(store, Table::Events, 5).await;
    let places: Vec<_> = events
        .iter()
        .filter_map(|record| if let Record::Event(event) = record { Some((event.order_id, event.seq)) } else { None })
        .collect();
    assert!(places.is_sorted() && places.len() == 28, "{places:?}");
    assert_eq!(scan_all(store, Table::DeadLetters, 2).await.len(), 7);
}

pub(super) async fn a_scan_comes_in_the_order_of_keys(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let order = fixture.terms(1).order_id;
    // Of keys that a dictionary, an enum or a text of a number would sort otherwise.
    for name in ["b", "B", "á", "a", "a ", ""] {
        commit(store, &fixture.insert([Row::Setting(fixture.setting(name, "1"))])).await;
    }
    let providers = [Provider::Stripe, Provider::Cash, Provider::Sepay];
    for provider in providers {
        let payment = |reference: &str| PaymentRow { provider, reference: reference.to_owned(), order_id: order, at: NOW };
        let event = |id: &str| InboxEntry { provider, ..fixture.inbox(id, InboxState::Applied) };
        let rows = [Row::Payment(payment("b")), Row::Payment(payment("a")), Row::Inbox(event("b")), Row::Inbox(event("B"))];
        commit(store, &fixture.insert(rows)).await;
    }
    commit(store, &fixture.queue([job("b", "a", 10), job("b", "a", 9), job("b", "a", -1), job("a", "b", 1), job("B", "z", 1)])).await;
    for sku in ["b", "B", "a"] {
        commit(store, &fixture.adjust(sku, 1)).await;
    }
    let names = |records: Vec<Record>| -> Vec<(String, String, i64)> { records.into_iter().filter_map(place).collect() };
    let texts = |pairs: &[(&str, &str)]| -> Vec<(String, String, i64)> {
        pairs.iter().map(|(first, second)| ((*first).to_owned(), (*second).to_owned(), 0)).collect()
    };
    let settings = ["", "B", "a", "a ", "b", "á"].map(|name| (name, ""));
    assert_eq!(names(scan_all(store, Table::Settings, 2).await), texts(&settings));
    let payments = [("cash", "a"), ("cash", "b"), ("sepay", "a"), ("sepay", "b"), ("stripe", "a"), ("stripe", "b")];
    assert_eq!(names(scan_all(store, Table::Payments, 2).await), texts(&payments));
    let events = [("cash", "B"), ("cash", "b"), ("sepay", "B"), ("sepay", "b"), ("stripe", "B"), ("stripe", "b")];
    assert_eq!(names(scan_all(store, Table::Inbox, 2).await), texts(&events));
    assert_eq!(names(scan_all(store, Table::Stock, 2).await), texts(&[("B", "main"), ("a", "main"), ("b", "main")]));
    let jobs = [("B", "z", 1), ("a", "b", 1), ("b", "a", -1), ("b", "a", 9), ("b", "a", 10)];
    let jobs: Vec<_> = jobs.map(|(queue, group, seq)| (queue.to_owned(), group.to_owned(), seq)).to_vec();
    assert_eq!(names(scan_all(store, Table::Jobs, 2).await), jobs);
}

/// The key of a record, for the tables that the case above looks at.
fn place(record: Record) -> Option<(String, String, i64)> {
    match record {
        Record::Row { row: Row::Setting(row), .. } => Some((row.name, String::new(), 0)),
        Record::Row { row: Row::Payment(row), .. } => Some((row.provider.name().to_owned(), row.reference, 0)),
        Record::Row { row: Row::Inbox(row), .. } => Some((row.provider.name().to_owned(), row.event_id, 0)),
        Record::Stock { key, .. } => Some((key.sku, key.location, 0)),
        Record::Job { key, .. } => Some((key.queue, key.group, key.seq)),
        _ => None,
    }
}

pub(super) async fn a_scan_goes_on_while_rows_come_and_go(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let name = |n: i32| format!("setting-{n:02}");
    for n in (0..20).step_by(2) {
        commit(store, &fixture.insert([Row::Setting(fixture.setting(&name(n), "1"))])).await;
    }
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    for round in 0.. {
        let page = store.scan(Table::Settings, cursor.as_deref(), 3).await.expect("scan");
        found.extend(page.rows.into_iter().filter_map(place).map(|(name, _, _)| name));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
        // One row comes before what was read, and the last one that was read goes.
        commit(store, &fixture.insert([Row::Setting(fixture.setting(&format!("a-{round}"), "1"))])).await;
        let mut change = fixture.change();
        change.delete(Key::Setting(found.last().expect("a row").clone()), 1);
        commit(store, &Arc::new(change)).await;
    }
    let expected: Vec<String> = (0..20).step_by(2).map(name).collect();
    assert_eq!(found, expected, "rows that were there all the time come once");
}

pub(super) async fn a_fresh_store_is_healthy_and_empty(subject: &dyn Subject) {
    let store = subject.store();
    let health = store.health().await.expect("health");
    assert_eq!((health.backend, &health.pending_migrations[..], health.read_only), (store.capabilities().backend, &[][..], None));
    assert!(!health.version.is_empty());
    for (table, records) in everything(store).await {
        assert_eq!(records, Vec::<String>::new(), "{table:?}");
    }
    assert_eq!(store.sweep().await.expect("sweep").exhausted_jobs, 0);
}

pub(super) async fn migrating_again_changes_nothing(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.adjust("shirt", 5)).await;
    let before = everything(store).await;
    assert_eq!(store.migrate().await.expect("migrate"), Vec::<String>::new());
    assert_eq!(everything(store).await, before);
}

pub(super) async fn waiting_ends_with_work_or_with_time(subject: &dyn Subject) {
    let (store, fixture) = (subject.shared(), Fixture::new());
    let patience = Duration::from_secs(20);
    timeout(patience, store.wait(&["email"], Duration::from_millis(20))).await.expect("waiting ends by itself");
    timeout(patience, store.wait(&[], Duration::from_millis(20))).await.expect("waiting for nothing ends by itself");
    let waiter = Arc::clone(&store);
    let waiting = tokio::spawn(async move {
        loop {
            waiter.wait(&["bus", "email"], Duration::from_secs(5)).await;
            if !super::fixture::claim(&*waiter, "email", 1).await.is_empty() {
                return;
            }
        }
    });
    commit(&*store, &fixture.queue([job("email", "a", 1)])).await;
    timeout(patience, waiting).await.expect("work that came is found").expect("the waiter");
}

pub(super) async fn a_closed_store_says_so(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    commit(store, &fixture.adjust("shirt", 5)).await;
    store.close().await;
    store.close().await;
    assert!(matches!(store.commit(&fixture.adjust("shirt", 5)).await, Err(crate::CommitError::Unavailable(_))));
    let unavailable = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    unavailable(store.orders(&OrderQuery { limit: 1, ..OrderQuery::default() }).await.map(drop));
    unavailable(store.get(&Key::OrderNumber(1)).await.map(drop));
    unavailable(store.claim(&crate::ClaimTarget::Queue("email".to_owned()), 1, MINUTE_MS, "late").await.map(drop));
    unavailable(store.numbers(Sequence::Order, 1).await.map(drop));
    unavailable(store.sweep().await.map(drop));
    unavailable(store.health().await.map(drop));
    unavailable(store.users(&Page::first(1)).await.map(drop));
    store.wait(&["email"], Duration::from_millis(10)).await;
}

pub(super) async fn texts_come_back_byte_by_byte(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let hostile = "é e\u{301} \u{feff}\u{202e}\u{200b}\u{1}\u{7f}\r\n\t'\";--\\ %_ {} $1 ?1 :a 🎁 \u{10ffff}";
    let shirt = fixture.goods("shirt");
    commit(store, &fixture.adjust("shirt", 5)).await;
    let (order, mut placed) = fixture.place(1, &[(&shirt, 1)]);
    let change = Arc::make_mut(&mut placed);
    change.jobs.push(ordermill_core::job::NewJob { payload: hostile.to_owned(), ..job("email", hostile, i64::MIN) });
    let data = json!({ hostile: [hostile, 1.5, i64::MAX, null, { "z": 1, "a": true }] });
    let mut order = ordermill_core::order::Order { version: 2, note: Some(hostile.to_owned()), ..order };
    order.code = hostile.to_owned();
    change.events.push(Event {
        order_id: order.id,
        seq: 2,
        kind: EventKind::from_name(hostile),
        v: i32::MAX,
        at: NOW,
        actor: ordermill_core::event::Actor::operator(hostile),
        data,
    });
    change.puts = vec![Row::Order(Box::new(order.clone()))];
    commit(store, &placed).await;
    assert_eq!(store.order(&crate::OrderRef::Number(1)).await.expect("order"), Some(order.clone()));
    assert_eq!(store.events(order.id, 0, 10).await.expect("events"), placed.events);
    let claimed = claim_one(store, "email").await;
    assert_eq!((claimed.key.group.as_str(), claimed.key.seq, claimed.payload.as_str()), (hostile, i64::MIN, hostile));
    let why = ordermill_core::job::Outcome::Retry { after_ms: 0, counted: true, why: hostile.to_owned() };
    commit(store, &fixture.finish(&claimed.claim(), why)).await;
    let query = JobQuery { queue: Some("email".to_owned()), cursor: None, limit: 1 };
    let found = store.jobs(&query).await.expect("jobs").rows.remove(0);
    assert_eq!(found.past.history[0].why, hostile);
}
