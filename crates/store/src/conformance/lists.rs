//! Lists: newest first, paged by cursors, filtered, and deaf to cursors from elsewhere.

use super::Subject;
use super::fixture::{Fixture, HOUR_MS, MINUTE_MS, NOW, claim_one, commit, customer, dead, guest, job, job_key, payment};
use crate::{DeadLetterQuery, InboxQuery, JobQuery, OrderQuery, Page, Store, StoreError, Table};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::Row;
use ordermill_core::contact::Phone;
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::{Job, NewJob, Outcome};
use ordermill_core::order::{Customer, Order, OrderStatus, PaymentMethod};
use ordermill_core::payment::{PaymentProgress, PaymentStatus, Provider};
use std::future::Future;

/// Walks a list to its end. Pages may be short, but never longer than asked for.
async fn walk<T, F: Future<Output = Result<Page<T>, StoreError>>>(limit: usize, mut page: impl FnMut(Option<String>) -> F) -> Vec<T> {
    let mut rows = Vec::new();
    let mut cursor = None;
    for _ in 0..10_000 {
        let next = page(cursor).await.expect("a page");
        assert!(next.rows.len() <= limit, "a page is longer than asked for");
        rows.extend(next.rows);
        match next.cursor {
            Some(further) => cursor = Some(further),
            None => return rows,
        }
    }
    panic!("the list does not end");
}

async fn numbers(store: &dyn Store, query: &OrderQuery) -> Vec<i64> {
    let orders = walk(query.limit, |cursor| {
        let query = OrderQuery { cursor, ..query.clone() };
        async move { store.orders(&query).await }
    });
    orders.await.iter().map(|order| order.number).collect()
}

pub(super) async fn orders_are_listed_newest_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    for number in [3, 1, 11, 2, 10, 9] {
        commit(store, &fixture.place(number, &[(&ebook, 1)]).1).await;
    }
    for limit in [1, 2, 3, 6, 7, 100] {
        let query = OrderQuery { limit, ..OrderQuery::default() };
        assert_eq!(numbers(store, &query).await, [11, 10, 9, 3, 2, 1], "in pages of {limit}");
    }
    let page = store.orders(&OrderQuery { limit: 6, ..OrderQuery::default() }).await.expect("orders");
    assert_eq!(page.cursor, None, "a full last page leads nowhere");
    let below = OrderQuery { cursor: Some("10".to_owned()), limit: 2, ..OrderQuery::default() };
    let page = store.orders(&below).await.expect("orders");
    assert_eq!(page.rows.iter().map(|order| order.number).collect::<Vec<_>>(), [9, 3]);
    assert_eq!(page.cursor.as_deref(), Some("3"), "the cursor is the last number");
}

/// Twelve orders: odd ones are An's, even ones a guest's; every third is paid, every fourth in cash.
async fn twelve_orders(subject: &dyn Subject, fixture: &Fixture) -> (ordermill_core::account::User, Vec<Order>) {
    let store = subject.store();
    let user = fixture.user("an@example.com");
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let mut orders = Vec::new();
    for number in 1..=12 {
        let who = if number % 2 == 1 { customer(&user) } else { guest("khach@example.com") };
        let method = if number % 4 == 0 { PaymentMethod::Cod } else { PaymentMethod::Stripe };
        let (mut order, placed) = fixture.place_as(number, method, who, NOW, &[(&ebook, 1)]);
        commit(store, &placed).await;
        if number % 3 == 0 {
            let paid = payment(&format!("pi_{number}"), PaymentProgress::Succeeded, order.total_amount);
            let (paid, change) = fixture.receive(&order, &paid);
            commit(store, &change).await;
            order = paid;
        }
        orders.push(order);
    }
    (user, orders)
}

pub(super) async fn orders_are_filtered_by_every_dimension(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let (user, orders) = twelve_orders(subject, &fixture).await;
    let customers = [None, Some(user.id), Some(fixture.user("b@example.com").id)];
    let statuses = [None, Some(OrderStatus::Pending), Some(OrderStatus::Processing), Some(OrderStatus::Expired)];
    let payments = [None, Some(PaymentStatus::Pending), Some(PaymentStatus::Paid)];
    let emails = [None, Some("khach@example.com"), Some("an@example.com"), Some("an@example.co")];
    for customer in customers {
        for status in statuses {
            for payment_status in payments {
                for email in emails {
                    let email = email.map(str::to_owned);
                    let query = OrderQuery { customer, status, payment_status, email, limit: 2, ..OrderQuery::default() };
                    let expected: Vec<i64> = orders.iter().rev().filter(|order| query.matches(order)).map(|order| order.number).collect();
                    assert_eq!(numbers(store, &query).await, expected, "{query:?}");
                }
            }
        }
    }
}

pub(super) async fn a_rare_second_filter_finds_everything_in_the_end(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let mut changes = Vec::new();
    for number in 1..=1_100 {
        let method = if number == 3 { PaymentMethod::Cod } else { PaymentMethod::BankTransfer };
        changes.push(fixture.place_as(number, method, customer(&user), NOW, &[(&ebook, 1)]).1);
    }
    for result in subject.commit_together(changes).await {
        result.expect("an order");
    }
    let query = OrderQuery { customer: Some(user.id), status: Some(OrderStatus::Processing), limit: 10, ..OrderQuery::default() };
    assert_eq!(numbers(store, &query).await, [3]);
}

pub(super) async fn orders_are_found_by_the_time_they_were_placed(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    // A number says little about the time: nodes hand out blocks of them.
    for (number, minutes) in [(1, 3), (2, 1), (3, 2), (4, 0), (5, 2)] {
        let at = NOW.plus_ms(minutes * MINUTE_MS);
        commit(store, &fixture.place_as(number, PaymentMethod::Stripe, guest("an@example.com"), at, &[(&ebook, 1)]).1).await;
    }
    let cases: [(Option<i64>, Option<i64>, &[i64]); 6] = [
        (Some(2), None, &[5, 3, 1]),
        (None, Some(2), &[4, 2]),
        (Some(1), Some(3), &[5, 3, 2]),
        (Some(2), Some(2), &[]),
        (Some(4), None, &[]),
        (None, None, &[5, 4, 3, 2, 1]),
    ];
    for (from, to, expected) in cases {
        let at = |minutes: Option<i64>| minutes.map(|minutes| NOW.plus_ms(minutes * MINUTE_MS));
        for limit in [1, 2, 100] {
            let query = OrderQuery { created_from: at(from), created_to: at(to), limit, ..OrderQuery::default() };
            assert_eq!(numbers(store, &query).await, expected, "from {from:?} to {to:?} in pages of {limit}");
        }
    }
}

pub(super) async fn orders_are_found_by_a_part_of_a_text(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let (ebook, shirt) = (fixture.product("ebook", ProductKind::Digital), fixture.goods("TEE-Đỏ"));
    commit(store, &fixture.adjust(&shirt.sku, 10)).await;
    let anh = Customer { name: Some("Nguyễn Thị Ánh".to_owned()), phone: Phone::parse("0912345678"), ..guest("an@example.com") };
    let strasse = Customer { name: Some("100% Straße_".to_owned()), ..guest("an@example.com") };
    for (number, who, product) in [(1, anh, &ebook), (2, strasse, &ebook), (3, guest("an@example.com"), &shirt)] {
        commit(store, &fixture.place_as(number, PaymentMethod::Stripe, who, NOW, &[(product, 1)]).1).await;
    }
    let cases: [(&str, &[i64]); 16] = [
        ("ánh", &[1]),
        ("ÁNH", &[1]),
        ("anh", &[]),
        ("nguyễn thị", &[1]),
        ("12345", &[1]),
        ("+84912", &[1]),
        ("EBOOK", &[2, 1]),
        ("tee-đỏ", &[3]),
        ("áo", &[3, 2, 1]),
        ("STRAẞE", &[2]),
        // Nothing in it means anything to a database.
        ("%", &[2]),
        ("_", &[2]),
        ("'", &[]),
        ("an@example.com", &[]),
        ("\0", &[]),
        ("", &[3, 2, 1]),
    ];
    for (text, expected) in cases {
        for limit in [1, 2, 100] {
            let query = OrderQuery { text: Some(text.to_owned()), limit, ..OrderQuery::default() };
            assert_eq!(numbers(store, &query).await, expected, "{text:?} in pages of {limit}");
        }
    }
    let query = OrderQuery { text: Some("ebook".to_owned()), email: Some("an@example.com".to_owned()), limit: 1, ..OrderQuery::default() };
    assert_eq!(numbers(store, &query).await, [2, 1]);
}

pub(super) async fn a_rare_text_is_found_in_the_end(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let user = fixture.user("an@example.com");
    let (ebook, rare) = (fixture.product("ebook", ProductKind::Digital), fixture.product("rare", ProductKind::Digital));
    let goods = |number| if [3, 700].contains(&number) { &rare } else { &ebook };
    let place = |number| fixture.place_as(number, PaymentMethod::BankTransfer, customer(&user), NOW, &[(goods(number), 1)]).1;
    for result in subject.commit_together((1..=1_100).map(place).collect()).await {
        result.expect("an order");
    }
    for customer in [None, Some(user.id)] {
        let query = OrderQuery { customer, text: Some("rare".to_owned()), limit: 10, ..OrderQuery::default() };
        assert_eq!(numbers(store, &query).await, [700, 3]);
        let later = OrderQuery { created_from: Some(NOW.plus_ms(1)), ..query };
        assert_eq!(numbers(store, &later).await, Vec::<i64>::new());
    }
}

pub(super) async fn users_are_listed_newest_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let users: Vec<_> = (1..=7).map(|n| fixture.user(&format!("u{n}@example.com"))).collect();
    for index in [3, 0, 6, 1, 5, 2, 4] {
        commit(store, &fixture.insert([Row::User(users[index].clone())])).await;
    }
    for limit in [1, 3, 7, 100] {
        let found = walk(limit, |cursor| async move { store.users(&Page { rows: vec![], cursor, limit }).await }).await;
        assert_eq!(found, users.iter().rev().cloned().collect::<Vec<_>>(), "in pages of {limit}");
    }
}

pub(super) async fn api_keys_are_listed_newest_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let keys: Vec<_> = (1..=7).map(|n| fixture.api_key(&format!("khóa {n}"))).collect();
    for index in [3, 0, 6, 1, 5, 2, 4] {
        commit(store, &fixture.insert([Row::ApiKey(keys[index].clone())])).await;
    }
    for limit in [1, 3, 7, 100] {
        let found = walk(limit, |cursor| async move { store.api_keys(&Page { rows: vec![], cursor, limit }).await }).await;
        assert_eq!(found, keys.iter().rev().cloned().collect::<Vec<_>>(), "in pages of {limit}");
    }
}

pub(super) async fn the_audit_trail_is_listed_latest_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let entries: Vec<_> = (1..=7).map(|_| fixture.audit()).collect();
    for index in [3, 0, 6, 1, 5, 2, 4] {
        commit(store, &fixture.insert([Row::Audit(entries[index].clone())])).await;
    }
    for limit in [1, 3, 7, 100] {
        let found = walk(limit, |cursor| async move { store.audit(&Page { rows: vec![], cursor, limit }).await }).await;
        assert_eq!(found, entries.iter().rev().cloned().collect::<Vec<_>>(), "in pages of {limit}");
    }
}

pub(super) async fn inbox_entries_are_listed_newest_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let mut entries = Vec::new();
    for n in 0..9_i64 {
        let state = InboxState::ALL[usize::try_from(n).expect("small") % 3];
        let provider = if n % 2 == 0 { Provider::Stripe } else { Provider::Sepay };
        // An id with the cursor's own separators in it, and some that came at the same moment.
        let id = format!("evt:{n}:0");
        let received_at = NOW.plus_ms(n / 4 * HOUR_MS);
        entries.push(InboxEntry { provider, received_at, ..fixture.inbox(&id, state) });
    }
    for index in [4, 0, 8, 2, 6, 1, 7, 3, 5] {
        commit(store, &fixture.insert([Row::Inbox(entries[index].clone())])).await;
    }
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.received_at, entry.provider.name(), entry.event_id.clone())));
    for state in [None, Some(InboxState::Waiting), Some(InboxState::Applied), Some(InboxState::Unrelated)] {
        for limit in [1, 2, 100] {
            let found = walk(limit, |cursor| async move { store.inbox(&InboxQuery { state, cursor, limit }).await }).await;
            let expected: Vec<_> = entries.iter().filter(|entry| state.is_none_or(|state| entry.state == state)).cloned().collect();
            assert_eq!(found, expected, "{state:?} in pages of {limit}");
        }
    }
}

pub(super) async fn jobs_are_listed_as_they_become_due(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let later = |queue: &str, group: &str, seq, minutes| NewJob { delay_ms: minutes * MINUTE_MS, ..job(queue, group, seq) };
    let jobs = [
        later("sms", "a", 1, 5),
        later("email", "b", 10, 0),
        later("email", "b", 9, 0),
        later("email", "a:1", 1, 0),
        later("bus", "z", 1, 0),
        later("email", "a", 1, 9),
    ];
    commit(store, &fixture.queue(jobs)).await;
    let expected = [("bus", "z", 1), ("email", "a:1", 1), ("email", "b", 9), ("email", "b", 10), ("sms", "a", 1), ("email", "a", 1)];
    for queue in [None, Some("email"), Some("nothing")] {
        for limit in [1, 2, 100] {
            let query = |cursor| JobQuery { queue: queue.map(str::to_owned), cursor, limit };
            let found = walk(limit, |cursor| async move { store.jobs(&query(cursor)).await }).await;
            let found: Vec<_> = found.iter().map(|job| (job.key.queue.as_str(), job.key.group.as_str(), job.key.seq)).collect();
            let expected: Vec<_> = expected.iter().copied().filter(|(name, _, _)| queue.is_none_or(|queue| queue == *name)).collect();
            assert_eq!(found, expected, "{queue:?} in pages of {limit}");
        }
    }
    let first = store.jobs(&JobQuery { queue: None, cursor: None, limit: 1 }).await.expect("jobs").rows.remove(0);
    let last = store.jobs(&JobQuery { queue: None, cursor: None, limit: 100 }).await.expect("jobs").rows.remove(5);
    assert_eq!((first.due_at, last.due_at), (first.queued_at, last.queued_at.plus_ms(9 * MINUTE_MS)));
}

pub(super) async fn dead_letters_are_listed_latest_death_first(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let order = [("email", "a:1", 1), ("sms", "b", 1), ("email", "b", 10), ("email", "b", 9), ("sms", "a", 1)];
    for (queue, group, seq) in order {
        commit(store, &fixture.queue([job(queue, group, seq)])).await;
        let claimed = claim_one(store, queue).await;
        commit(store, &fixture.finish(&claimed.claim(), dead())).await;
        subject.advance_ms(MINUTE_MS);
    }
    for queue in [None, Some("email"), Some("nothing")] {
        for limit in [1, 2, 100] {
            let query = |cursor| DeadLetterQuery { queue: queue.map(str::to_owned), cursor, limit, ..DeadLetterQuery::default() };
            let found = walk(limit, |cursor| async move { store.dead_letters(&query(cursor)).await }).await;
            let found: Vec<_> = found.iter().map(|dead| (dead.key.queue.as_str(), dead.key.group.as_str(), dead.key.seq)).collect();
            let expected: Vec<_> = order.iter().rev().copied().filter(|(name, _, _)| queue.is_none_or(|queue| queue == *name)).collect();
            assert_eq!(found, expected, "{queue:?} in pages of {limit}");
        }
    }
}

pub(super) async fn a_dead_letter_is_found_by_its_key(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let order = [("email", "a:1", 1), ("sms", "a:1", 1), ("email", "a:1", 2), ("email", "b", 1)];
    for (queue, group, seq) in order {
        commit(store, &fixture.queue([job(queue, group, seq)])).await;
        let claimed = claim_one(store, queue).await;
        commit(store, &fixture.finish(&claimed.claim(), dead())).await;
        subject.advance_ms(MINUTE_MS);
    }
    for (queue, group, seq) in order {
        let key = job_key(queue, group, seq);
        let by_key = DeadLetterQuery { key: Some(key.clone()), limit: 1, ..DeadLetterQuery::default() };
        let page = store.dead_letters(&by_key).await.expect("dead letters");
        assert_eq!((page.rows.iter().map(|dead| &dead.key).collect::<Vec<_>>(), page.cursor), (vec![&key], None));
        let of = |queue: &str| DeadLetterQuery { queue: Some(queue.to_owned()), ..by_key.clone() };
        assert_eq!(store.dead_letters(&of(queue)).await.expect("dead letters").rows, page.rows);
        assert_eq!(store.dead_letters(&of("another")).await.expect("dead letters").rows, []);
        let said = |text: &str| DeadLetterQuery { text: Some(text.to_owned()), ..by_key.clone() };
        assert_eq!(store.dead_letters(&said("GOOD")).await.expect("dead letters").rows, page.rows);
        assert_eq!(store.dead_letters(&said("bad")).await.expect("dead letters").rows, []);
    }
    // A cursor leads on from the same place as without a key.
    let first = store.dead_letters(&DeadLetterQuery { limit: 2, ..DeadLetterQuery::default() }).await.expect("dead letters");
    for (index, (queue, group, seq)) in order.into_iter().rev().enumerate() {
        let (key, cursor) = (Some(job_key(queue, group, seq)), first.cursor.clone());
        let page = store.dead_letters(&DeadLetterQuery { key, cursor, limit: 1, ..DeadLetterQuery::default() }).await;
        assert_eq!(page.expect("dead letters").rows.len(), usize::from(index >= 2), "{queue} {group} {seq}");
    }
    for stranger in [job_key("email", "a", 1), job_key("email", "a:1", 3), job_key("", "", 0), job_key("email", "\0", 1)] {
        let query = DeadLetterQuery { key: Some(stranger), limit: 1, ..DeadLetterQuery::default() };
        assert_eq!(store.dead_letters(&query).await.expect("dead letters").rows, []);
    }
}

pub(super) async fn dead_letters_are_found_by_a_part_of_why(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let died = [("email", "550 No Such Mailbox"), ("sms", "hết tiền: 100%"), ("email", "552 mailbox FULL"), ("sms", "số máy không có")];
    for (seq, (queue, why)) in (1..).zip(died) {
        commit(store, &fixture.queue([job(queue, "a", seq)])).await;
        let claimed = claim_one(store, queue).await;
        commit(store, &fixture.finish(&claimed.claim(), Outcome::Dead { why: why.to_owned() })).await;
        subject.advance_ms(MINUTE_MS);
    }
    let cases: [(&str, Option<&str>, &[i64]); 8] = [
        ("mailbox", None, &[3, 1]),
        ("MAILBOX", Some("email"), &[3, 1]),
        ("mailbox", Some("sms"), &[]),
        ("HẾT", None, &[2]),
        ("55_", None, &[]),
        ("%", None, &[2]),
        ("\0", None, &[]),
        ("", None, &[4, 3, 2, 1]),
    ];
    for (text, queue, expected) in cases {
        for limit in [1, 2, 100] {
            let query = |cursor| DeadLetterQuery { queue: queue.map(str::to_owned), key: None, text: Some(text.to_owned()), cursor, limit };
            let found = walk(limit, |cursor| async move { store.dead_letters(&query(cursor)).await }).await;
            assert_eq!(found.iter().map(|dead| dead.key.seq).collect::<Vec<_>>(), expected, "{text:?} in pages of {limit}");
        }
    }
}

pub(super) async fn a_rare_cause_of_death_is_found_in_the_end(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let count = crate::query::MAX_SCANNED + 100;
    for chunk in (1..).take(count).collect::<Vec<i64>>().chunks(80) {
        commit(store, &fixture.queue(chunk.iter().map(|seq| job("email", "a", *seq)))).await;
    }
    let mut killed = 0;
    while killed < count {
        let claimed = super::fixture::claim(store, "email", 200).await;
        killed += claimed.len();
        let why = |seq| if [3, 700].contains(&seq) { "a rare one" } else { "what they all die of" };
        let end = |job: &Job| fixture.finish(&job.claim(), Outcome::Dead { why: why(job.key.seq).to_owned() });
        for result in subject.commit_together(claimed.iter().map(end).collect()).await {
            result.expect("an end");
        }
    }
    for queue in [None, Some("email".to_owned())] {
        let query = |cursor| DeadLetterQuery { queue: queue.clone(), key: None, text: Some("RARE".to_owned()), cursor, limit: 10 };
        let found = walk(10, |cursor| {
            let query = query(cursor);
            async move { store.dead_letters(&query).await }
        });
        let mut found: Vec<i64> = found.await.iter().map(|dead| dead.key.seq).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 700]);
    }
}

pub(super) async fn a_cursor_from_elsewhere_is_refused(subject: &dyn Subject) {
    let store = subject.store();
    for garbage in ["", "x", "-", "12:", "99999999999999999999999", "1' OR '1'='1", "🙈", "0x10"] {
        let cursor = Some(garbage.to_owned());
        let invalid = |what: &str, refused: bool| assert!(refused, "the list of {what} took {garbage:?} for a cursor");
        let orders = store.orders(&OrderQuery { cursor: cursor.clone(), limit: 1, ..OrderQuery::default() }).await;
        invalid("orders", matches!(orders, Err(StoreError::Invalid(_))));
        let users = store.users(&Page { rows: vec![], cursor: cursor.clone(), limit: 1 }).await;
        invalid("users", matches!(users, Err(StoreError::Invalid(_))));
        let keys = store.api_keys(&Page { rows: vec![], cursor: cursor.clone(), limit: 1 }).await;
        invalid("API keys", matches!(keys, Err(StoreError::Invalid(_))));
        let acts = store.audit(&Page { rows: vec![], cursor: cursor.clone(), limit: 1 }).await;
        invalid("the audit trail", matches!(acts, Err(StoreError::Invalid(_))));
        let inbox = store.inbox(&InboxQuery { state: None, cursor: cursor.clone(), limit: 1 }).await;
        invalid("received events", matches!(inbox, Err(StoreError::Invalid(_))));
        let jobs = store.jobs(&JobQuery { queue: None, cursor: cursor.clone(), limit: 1 }).await;
        invalid("jobs", matches!(jobs, Err(StoreError::Invalid(_))));
        let letters = store.dead_letters(&DeadLetterQuery { cursor, limit: 1, ..DeadLetterQuery::default() }).await;
        invalid("dead letters", matches!(letters, Err(StoreError::Invalid(_))));
        let records = store.scan(Table::Events, Some(garbage), 1).await;
        invalid("events", matches!(records, Err(StoreError::Invalid(_))));
    }
}

pub(super) async fn any_limit_is_taken(subject: &dyn Subject) {
    let (store, fixture) = (subject.store(), Fixture::new());
    let ebook = fixture.product("ebook", ProductKind::Digital);
    let (order, placed) = fixture.place(1, &[(&ebook, 1)]);
    commit(store, &placed).await;
    commit(store, &fixture.insert([Row::User(fixture.user("an@example.com")), Row::Inbox(fixture.inbox("evt_1", InboxState::Applied))]))
        .await;
    commit(store, &fixture.insert([Row::ApiKey(fixture.api_key("kho")), Row::Audit(fixture.audit())])).await;
    for (limit, found) in [(0, 0), (1, 1), (crate::query::MAX_PAGE + 1, 1), (usize::MAX, 1)] {
        let query = OrderQuery { limit, ..OrderQuery::default() };
        assert_eq!(store.orders(&query).await.expect("orders").rows.len(), found, "{limit}");
        assert_eq!(store.users(&Page::first(limit)).await.expect("users").rows.len(), found, "{limit}");
        assert_eq!(store.api_keys(&Page::first(limit)).await.expect("API keys").rows.len(), found, "{limit}");
        assert_eq!(store.audit(&Page::first(limit)).await.expect("the audit trail").rows.len(), found, "{limit}");
        let texts = OrderQuery { text: Some("ebook".to_owned()), limit, ..OrderQuery::default() };
        assert_eq!(store.orders(&texts).await.expect("orders").rows.len(), found, "{limit}");
        assert_eq!(store.inbox(&InboxQuery { state: None, cursor: None, limit }).await.expect("inbox").rows.len(), found, "{limit}");
        assert_eq!(store.jobs(&JobQuery { queue: None, cursor: None, limit }).await.expect("jobs").rows.len(), found, "{limit}");
        let letters = DeadLetterQuery { limit, ..DeadLetterQuery::default() };
        assert_eq!(store.dead_letters(&letters).await.expect("dead letters").rows, []);
        assert_eq!(store.events(order.id, 0, limit).await.expect("events").len(), found, "{limit}");
        assert_eq!(store.due_orders(limit).await.expect("due orders").len(), found, "{limit}");
        assert!(store.scan(Table::Orders, None, limit).await.expect("scan").rows.len() <= 1, "{limit}");
    }
    subject.advance_ms(MINUTE_MS);
    let target = crate::ClaimTarget::Queue("stripe".to_owned());
    assert_eq!(store.claim(&target, usize::MAX, MINUTE_MS, "greedy").await.expect("claim").len(), 1);
}
