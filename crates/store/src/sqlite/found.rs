//! Reads what the guards and stock moves of a batch name, so that the pure rule can decide. This file must not decide or
//! write anything.

use super::failure::Failure;
use super::rows::{Kind, change_id, column, digest, found_row, name_of, result_id, timestamp};
use super::statement::{Statement, statements};
use ordermill_core::admit::{Found, FoundLease, FoundRow, StockLevel};
use ordermill_core::change::{Change, Guard, IdempotencyRow, Key, Row};
use ordermill_core::id::ChangeId;
use ordermill_core::job::JobKey;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, Params};

// Each returns version, created_by, last_change, format, body. Rows that never change have version 1.
statements! {
    ORDER_BY_ID = "SELECT version, created_by, last_change, format, body FROM orders WHERE id = ?1";
    ORDER_BY_NUMBER = "SELECT version, created_by, last_change, format, body FROM orders WHERE number = ?1";
    PAYMENT = "SELECT 1, created_by, created_by, format, body FROM payments WHERE provider = ?1 AND reference = ?2";
    PRODUCT_BY_ID = "SELECT version, created_by, last_change, format, body FROM products WHERE id = ?1";
    PRODUCT_BY_SKU = "SELECT version, created_by, last_change, format, body FROM products WHERE sku = ?1";
    PRODUCT_BY_URL = "SELECT version, created_by, last_change, format, body FROM products WHERE url = ?1";
    USER_BY_ID = "SELECT version, created_by, last_change, format, body FROM users WHERE id = ?1";
    USER_BY_EMAIL = "SELECT version, created_by, last_change, format, body FROM users WHERE email = ?1";
    SESSION = "SELECT 1, created_by, created_by, format, body FROM sessions WHERE token = ?1";
    INBOX = "SELECT version, created_by, last_change, format, body FROM inbox WHERE provider = ?1 AND event_id = ?2";
    EFFECT = "SELECT version, created_by, last_change, format, body FROM effects WHERE key = ?1";
    QUEUE_PAUSE = "SELECT version, created_by, last_change, format, body FROM queue_pauses WHERE queue = ?1";
    AUDIT = "SELECT 1, created_by, created_by, format, body FROM audit WHERE id = ?1";
    SETTING = "SELECT version, created_by, last_change, format, body FROM settings WHERE name = ?1";
    CART = "SELECT version, created_by, last_change, format, body FROM carts WHERE customer = ?1";
    API_KEY_BY_ID = "SELECT version, created_by, last_change, format, body FROM api_keys WHERE id = ?1";
    API_KEY_BY_SECRET = "SELECT version, created_by, last_change, format, body FROM api_keys WHERE secret = ?1";
    ONE_TIME_TOKEN = "SELECT 1, created_by, created_by, format, body FROM one_time_tokens WHERE token = ?1";
    THROTTLE = "SELECT version, created_by, last_change, format, body FROM throttles WHERE scope = ?1";
    IDEMPOTENCY = "SELECT created_by, fingerprint, result, at FROM idempotency WHERE key = ?1";
    DEAD_LETTER_ATTEMPT = "SELECT attempt FROM dead_letters WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    STOCK_LEVEL = "SELECT available, reserved FROM stock WHERE sku = ?1 AND location = ?2";
    LEASE = "SELECT attempt, lease_until FROM jobs WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
}

/// Reads everything that one change names. Changes of a batch are disjoint, so each row is read once.
pub(super) fn read(db: &Connection, change: &Change, now: Timestamp, found: &mut Found) -> Result<(), Failure> {
    for guard in &change.expects {
        match guard {
            // A caller that loses on a taken key answers from the row; one that loses on a version reads it again.
            Guard::Absent(key) => note_row(found, key, find(db, key, true)?),
            Guard::Version(key, _) => note_row(found, key, find(db, key, false)?),
            Guard::LeaseHeld(claim) => {
                if let Some(lease) = lease(db, &claim.key, now)? {
                    found.leases.insert(claim.key.clone(), lease);
                }
            }
        }
    }
    for step in &change.stock {
        if found.stock.contains_key(&step.key) {
            continue;
        }
        let level = STOCK_LEVEL.first(db, (&step.key.sku, &step.key.location), |row| {
            Ok(StockLevel { available: column(row, 0)?, reserved: column(row, 1)? })
        })?;
        if let Some(level) = level {
            found.stock.insert(step.key.clone(), level);
        }
    }
    Ok(())
}

fn note_row(found: &mut Found, key: &Key, row: Option<FoundRow>) {
    if let Some(row) = row {
        found.rows.insert(key.clone(), row);
    }
}

/// The row that holds a key. Without its body it is cheaper, and enough to compare versions.
pub(super) fn find(db: &Connection, key: &Key, with_body: bool) -> Result<Option<FoundRow>, Failure> {
    let search = Search { db, key, with_body };
    match key {
        Key::Order(id) => search.one(&ORDER_BY_ID, (id.uuid().into_bytes(),), Kind::Order),
        Key::OrderNumber(number) => search.one(&ORDER_BY_NUMBER, (number,), Kind::Order),
        Key::Payment(provider, reference) => search.one(&PAYMENT, (provider.name(), reference), Kind::Payment),
        Key::Product(id) => search.one(&PRODUCT_BY_ID, (id.uuid().into_bytes(),), Kind::Product),
        Key::Sku(sku) => search.one(&PRODUCT_BY_SKU, (sku,), Kind::Product),
        Key::ProductUrl(url) => search.one(&PRODUCT_BY_URL, (url,), Kind::Product),
        Key::User(id) => search.one(&USER_BY_ID, (id.uuid().into_bytes(),), Kind::User),
        Key::UserEmail(email) => search.one(&USER_BY_EMAIL, (email,), Kind::User),
        Key::Session(token) => search.one(&SESSION, (token.bytes(),), Kind::Session),
        Key::Inbox(provider, event) => search.one(&INBOX, (provider.name(), event), Kind::Inbox),
        Key::Effect(digest) => search.one(&EFFECT, (digest.bytes(),), Kind::Effect),
        Key::QueuePause(queue) => search.one(&QUEUE_PAUSE, (queue,), Kind::QueuePause),
        Key::Audit(id) => search.one(&AUDIT, (id.uuid().into_bytes(),), Kind::Audit),
        Key::Setting(name) => search.one(&SETTING, (name,), Kind::Setting),
        Key::Cart(customer) => search.one(&CART, (customer.uuid().into_bytes(),), Kind::Cart),
        Key::ApiKey(id) => search.one(&API_KEY_BY_ID, (id.uuid().into_bytes(),), Kind::ApiKey),
        Key::ApiKeySecret(secret) => search.one(&API_KEY_BY_SECRET, (secret.bytes(),), Kind::ApiKey),
        Key::OneTimeToken(token) => search.one(&ONE_TIME_TOKEN, (token.bytes(),), Kind::OneTimeToken),
        Key::Throttle(scope) => search.one(&THROTTLE, (scope.bytes(),), Kind::Throttle),
        Key::Idempotency(_) => search.idempotency(),
        Key::DeadLetter(job) => search.dead_letter(job),
    }
}

/// One look-up.
struct Search<'a> {
    db: &'a Connection,
    key: &'a Key,
    with_body: bool,
}

impl Search<'_> {
    fn one(&self, statement: &Statement, params: impl Params, kind: Kind) -> Result<Option<FoundRow>, Failure> {
        statement.first(self.db, params, |row| found_row(row, kind, &|| name_of(self.key), self.with_body))
    }

    /// These rows are columns only: one is written for every order that is placed.
    fn idempotency(&self) -> Result<Option<FoundRow>, Failure> {
        let Key::Idempotency(key) = self.key else { return Ok(None) };
        IDEMPOTENCY.first(self.db, (key.bytes(),), |row| {
            let by = change_id(row, 0)?;
            let stored = IdempotencyRow { key: *key, fingerprint: digest(row, 1)?, result: result_id(row, 2)?, at: timestamp(row, 3)? };
            Ok(FoundRow { by, version: 1, last_change: by, row: Some(Box::new(Row::Idempotency(stored))) })
        })
    }

    /// Dead letters are no rows of anybody's change: only their version can be guarded.
    fn dead_letter(&self, job: &JobKey) -> Result<Option<FoundRow>, Failure> {
        let nobody = ChangeId::from_uuid(uuid::Uuid::nil());
        DEAD_LETTER_ATTEMPT.first(self.db, (&job.queue, &job.group, job.seq), |row| {
            Ok(FoundRow { by: nobody, version: column(row, 0)?, last_change: nobody, row: None })
        })
    }
}

fn lease(db: &Connection, job: &JobKey, now: Timestamp) -> Result<Option<FoundLease>, Failure> {
    LEASE.first(db, (&job.queue, &job.group, job.seq), |row| {
        let until: Option<i64> = column(row, 1)?;
        Ok(FoundLease { attempt: column(row, 0)?, is_live: until.is_some_and(|until| until > now.micros()) })
    })
}
