//! What the store is measured against: the loop that anybody would write first. One order per transaction, on the store's
//! own tables and indexes, with statements prepared once and as durable as the store is (WAL, `synchronous=FULL`). It
//! checks nothing, shares no flush and answers nobody. For benchmarks; nothing else may call this, and it must not use the
//! store's own statements, or a fault of theirs would slow both sides down.

use super::connection::{check_engine, open_writing};
use super::failure::Failure;
use super::{lock, migrate};
use crate::OpenError;
use crate::clock::StoreClock;
use ordermill_core::digest::Digest;
use rusqlite::{Connection, Statement, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;

/// How many goods and customers orders are drawn from.
pub const GOODS: u64 = 10_000;
/// The size of an order's body: that of an order of two lines with an address. A test compares it with a real one.
pub const ORDER_BYTES: usize = 1_060;
/// The size of an event's data.
pub const EVENT_BYTES: usize = 135;
/// How many goods of a kind there are.
const STOCK: i64 = 1_000_000_000;
/// How many pages (4 KiB) the log has when it is copied back: the engine's own default.
const CHECKPOINT_PAGES: i64 = 1_000;

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const INSERT_ORDER: &str = "INSERT INTO orders
    (number, id, customer, email, status, payment_status, expires_at, version, created_by, last_change, format, body)
    VALUES (?1, ?2, ?3, ?4, 'pending', 'pending', ?5, 1, ?6, ?6, 1, ?7)";
const INSERT_EVENT: &str = "INSERT INTO events (order_id, seq, kind, v, at, actor, created_by, data)
    VALUES (?1, 1, 'order.created', 1, ?2, ?3, ?4, ?5)";
const INSERT_IDEMPOTENCY: &str = "INSERT INTO idempotency (key, fingerprint, result, at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)";
const RESERVE: &str = "UPDATE stock SET available = available - ?3, reserved = reserved + ?3 WHERE sku = ?1 AND location = ?2";
const INSERT_STOCK: &str = "INSERT INTO stock (sku, location, available, reserved) VALUES (?1, 'main', ?2, 0)";

/// Places orders in a fresh database at `path` for a while; returns how many a second.
pub fn run(path: &Path, duration: Duration) -> Result<f64, OpenError> {
    let mut db = open(path)?;
    measure(&mut db, duration).map_err(|failure| OpenError::Failed(failure.text()))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn measure(db: &mut Connection, duration: Duration) -> Result<f64, Failure> {
    let clock = StoreClock::start();
    migrate::run(db, clock.now())?;
    fill(db)?;
    let mut orders = Loop::new(db)?;
    let began = clock.now();
    let until = began.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    let mut count = 0;
    while clock.now() < until {
        count += 1;
        orders.place(count, clock.now().micros())?;
    }
    let micros = clock.now().micros().saturating_sub(began.micros()).max(1);
    Ok(count as f64 * 1_000_000.0 / micros as f64)
}

/// The store's settings, but for the log: the engine copies it back by itself, in the middle of a commit.
fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Failed(format!("{}: {error}", path.display()));
    check_engine()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    lock::make_file(folder, path).map_err(|error| failed(&error))?;
    let db = open_writing(path)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(|error| failed(&error))?;
    Ok(db)
}

fn fill(db: &mut Connection) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare(INSERT_STOCK)?;
    for number in 0..GOODS {
        insert.execute(params![sku(number), STOCK])?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}

fn sku(number: u64) -> String {
    format!("BENCH-{number:05}")
}

/// The statements, and what their values are drawn from.
struct Loop<'db> {
    begin: Statement<'db>,
    commit: Statement<'db>,
    order: Statement<'db>,
    event: Statement<'db>,
    idempotency: Statement<'db>,
    reserve: Statement<'db>,
    body: String,
    data: String,
}

impl<'db> Loop<'db> {
    fn new(db: &'db Connection) -> Result<Self, Failure> {
        Ok(Self {
            begin: db.prepare(BEGIN)?,
            commit: db.prepare(COMMIT)?,
            order: db.prepare(INSERT_ORDER)?,
            event: db.prepare(INSERT_EVENT)?,
            idempotency: db.prepare(INSERT_IDEMPOTENCY)?,
            reserve: db.prepare(RESERVE)?,
            body: "x".repeat(ORDER_BYTES),
            data: "x".repeat(EVENT_BYTES),
        })
    }

    /// One order, one transaction, one flush.
    fn place(&mut self, number: i64, now: i64) -> Result<(), Failure> {
        let drawn = Digest::of_parts(&[&number.to_be_bytes()]);
        let bytes = drawn.bytes();
        // As those of the store: the time first, so that orders lie one after the other, then what nobody can guess.
        let mut id = [0; 16];
        id[..8].copy_from_slice(&now.to_be_bytes());
        id[8..].copy_from_slice(&bytes[..8]);
        let fingerprint = Digest::of_parts(&[bytes]);
        let customer = draw(bytes, 8);
        let customer_id = *Digest::of_parts(&[&customer.to_be_bytes()]).bytes();
        self.begin.execute(())?;
        let email = format!("customer-{customer:05}@bench.example");
        self.order.execute(params![number, id, &customer_id[..16], email, now, id, self.body])?;
        self.event.execute(params![id, now, "customer:01890a5d-ac96-774b-bcce-b302099a8057", id, self.data])?;
        self.idempotency.execute(params![bytes, fingerprint.bytes(), id, now, id])?;
        for line in 0..2 {
            self.reserve.execute(params![sku(draw(bytes, 16 + line * 8)), "main", 1])?;
        }
        self.commit.execute(())?;
        Ok(())
    }
}

/// A number below [`GOODS`] from eight of the bytes.
fn draw(bytes: &[u8; 32], at: usize) -> u64 {
    bytes.iter().skip(at).take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)) % GOODS
}
