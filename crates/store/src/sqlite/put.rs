//! Writes and removes the rows of admitted changes. This file must not check guards: by now they hold, and a constraint
//! that fails here all the same is a bug, which undoes its change and nobody else's.

use super::failure::Failure;
use super::statement::statements;
use crate::encode::FORMAT;
use ordermill_core::account::{OneTimeToken, Session, Throttle, User};
use ordermill_core::api_key::ApiKey;
use ordermill_core::cart::Cart;
use ordermill_core::catalogue::Product;
use ordermill_core::change::{Effect, IdempotencyRow, Key, PaymentRow, QueuePause, Row};
use ordermill_core::id::ChangeId;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::order::Order;
use ordermill_core::time::Timestamp;
use rusqlite::{Connection, params};

statements! {
    INSERT_ORDER = "INSERT INTO orders
        (number, id, customer, email, status, payment_status, expires_at, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11)";
    // The columns of whoever ordered stay out of it: a column that is set costs its index entry, changed or not.
    UPDATE_ORDER = "UPDATE orders SET status = ?2, payment_status = ?3, expires_at = ?4, version = ?5, last_change = ?6,
        format = ?7, body = ?8 WHERE id = ?1";
    UPDATE_ORDER_CUSTOMER = "UPDATE orders SET customer = ?2, email = ?3
        WHERE id = ?1 AND (customer IS NOT ?2 OR email <> ?3)";
    INSERT_PAYMENT = "INSERT INTO payments (provider, reference, order_id, created_by, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    INSERT_PRODUCT = "INSERT INTO products (id, sku, url, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)";
    UPDATE_PRODUCT = "UPDATE products SET sku = ?2, url = ?3, version = ?4, last_change = ?5, format = ?6, body = ?7
        WHERE id = ?1";
    INSERT_USER = "INSERT INTO users (id, email, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)";
    UPDATE_USER = "UPDATE users SET email = ?2, version = ?3, last_change = ?4, format = ?5, body = ?6 WHERE id = ?1";
    INSERT_SESSION = "INSERT INTO sessions (token, user_id, expires_at, created_by, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    INSERT_INBOX = "INSERT INTO inbox
        (provider, event_id, received_at, state, order_id, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)";
    UPDATE_INBOX = "UPDATE inbox SET received_at = ?3, state = ?4, order_id = ?5, version = ?6, last_change = ?7,
        format = ?8, body = ?9 WHERE provider = ?1 AND event_id = ?2";
    INSERT_IDEMPOTENCY = "INSERT INTO idempotency (key, fingerprint, result, at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)";
    INSERT_EFFECT = "INSERT INTO effects (key, order_id, state, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)";
    UPDATE_EFFECT = "UPDATE effects SET order_id = ?2, state = ?3, version = ?4, last_change = ?5, format = ?6, body = ?7
        WHERE key = ?1";
    INSERT_QUEUE_PAUSE = "INSERT INTO queue_pauses (queue, is_paused, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)";
    UPDATE_QUEUE_PAUSE = "UPDATE queue_pauses SET is_paused = ?2, version = ?3, last_change = ?4, format = ?5, body = ?6
        WHERE queue = ?1";
    INSERT_AUDIT = "INSERT INTO audit (id, created_by, format, body) VALUES (?1, ?2, ?3, ?4)";
    INSERT_SETTING = "INSERT INTO settings (name, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?3, ?4, ?5)";
    UPDATE_SETTING = "UPDATE settings SET version = ?2, last_change = ?3, format = ?4, body = ?5 WHERE name = ?1";
    INSERT_CART = "INSERT INTO carts (customer, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?3, ?4, ?5)";
    UPDATE_CART = "UPDATE carts SET version = ?2, last_change = ?3, format = ?4, body = ?5 WHERE customer = ?1";
    INSERT_API_KEY = "INSERT INTO api_keys (id, secret, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)";
    UPDATE_API_KEY = "UPDATE api_keys SET secret = ?2, version = ?3, last_change = ?4, format = ?5, body = ?6 WHERE id = ?1";
    INSERT_ONE_TIME_TOKEN = "INSERT INTO one_time_tokens (token, expires_at, created_by, format, body)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    INSERT_THROTTLE = "INSERT INTO throttles (scope, since, version, created_by, last_change, format, body)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)";
    UPDATE_THROTTLE = "UPDATE throttles SET since = ?2, version = ?3, last_change = ?4, format = ?5, body = ?6
        WHERE scope = ?1";

    DELETE_ORDER = "DELETE FROM orders WHERE id = ?1";
    DELETE_PAYMENT = "DELETE FROM payments WHERE provider = ?1 AND reference = ?2";
    DELETE_PRODUCT = "DELETE FROM products WHERE id = ?1";
    DELETE_USER = "DELETE FROM users WHERE id = ?1";
    DELETE_SESSION = "DELETE FROM sessions WHERE token = ?1";
    DELETE_INBOX = "DELETE FROM inbox WHERE provider = ?1 AND event_id = ?2";
    DELETE_IDEMPOTENCY = "DELETE FROM idempotency WHERE key = ?1";
    DELETE_EFFECT = "DELETE FROM effects WHERE key = ?1";
    DELETE_DEAD_LETTER = "DELETE FROM dead_letters WHERE queue = ?1 AND grp = ?2 AND seq = ?3";
    DELETE_QUEUE_PAUSE = "DELETE FROM queue_pauses WHERE queue = ?1";
    DELETE_AUDIT = "DELETE FROM audit WHERE id = ?1";
    DELETE_SETTING = "DELETE FROM settings WHERE name = ?1";
    DELETE_CART = "DELETE FROM carts WHERE customer = ?1";
    DELETE_API_KEY = "DELETE FROM api_keys WHERE id = ?1";
    DELETE_ONE_TIME_TOKEN = "DELETE FROM one_time_tokens WHERE token = ?1";
    DELETE_THROTTLE = "DELETE FROM throttles WHERE scope = ?1";
}

/// One row on its way into its table.
pub(super) struct Put<'a> {
    pub(super) db: &'a Connection,
    /// The change that writes it.
    pub(super) change: ChangeId,
    /// Whether a row of this key is there already, as the guards found it.
    pub(super) is_there: bool,
    /// The row's body as text.
    pub(super) body: &'a str,
}

impl Put<'_> {
    /// Writes the row.
    pub(super) fn row(&self, row: &Row) -> Result<(), Failure> {
        match row {
            Row::Order(row) => self.order(row),
            Row::Payment(row) => self.payment(row),
            Row::Product(row) => self.product(row),
            Row::User(row) => self.user(row),
            Row::Session(row) => self.session(row),
            Row::Inbox(row) => self.inbox(row),
            Row::Idempotency(row) => self.idempotency(row),
            Row::Effect(row) => self.effect(row),
            Row::QueuePause(row) => self.queue_pause(row),
            Row::Audit(row) => {
                let values = params![row.id.uuid().into_bytes(), self.by(), FORMAT, self.body];
                one(INSERT_AUDIT.execute(self.db, values)?)
            }
            Row::Setting(row) => {
                let statement = if self.is_there { UPDATE_SETTING } else { INSERT_SETTING };
                one(statement.execute(self.db, params![row.name, row.version, self.by(), FORMAT, self.body])?)
            }
            Row::Cart(row) => self.cart(row),
            Row::ApiKey(row) => self.api_key(row),
            Row::OneTimeToken(row) => self.one_time_token(row),
            Row::Throttle(row) => self.throttle(row),
        }
    }

    fn by(&self) -> [u8; 16] {
        self.change.uuid().into_bytes()
    }

    fn order(&self, row: &Order) -> Result<(), Failure> {
        let (id, expires_at) = (row.id.uuid().into_bytes(), row.expires_at.map(Timestamp::micros));
        let customer = row.customer.id.map(|id| id.uuid().into_bytes());
        let (email, status, payment) = (row.customer.email.as_str(), row.status.name(), row.payment_status.name());
        if self.is_there {
            UPDATE_ORDER_CUSTOMER.execute(self.db, params![id, customer, email])?;
            let values = params![id, status, payment, expires_at, row.version, self.by(), FORMAT, self.body];
            one(UPDATE_ORDER.execute(self.db, values)?)
        } else {
            let values = params![row.number, id, customer, email, status, payment, expires_at, row.version, self.by(), FORMAT, self.body];
            one(INSERT_ORDER.execute(self.db, values)?)
        }
    }

    fn payment(&self, row: &PaymentRow) -> Result<(), Failure> {
        let order = row.order_id.uuid().into_bytes();
        one(INSERT_PAYMENT.execute(self.db, params![row.provider.name(), row.reference, order, self.by(), FORMAT, self.body])?)
    }

    fn product(&self, row: &Product) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_PRODUCT } else { INSERT_PRODUCT };
        let values = params![row.id.uuid().into_bytes(), row.sku, row.url, row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }

    fn user(&self, row: &User) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_USER } else { INSERT_USER };
        let values = params![row.id.uuid().into_bytes(), row.email.as_str(), row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }

    fn session(&self, row: &Session) -> Result<(), Failure> {
        let user = row.user_id.uuid().into_bytes();
        let values = params![row.token.bytes(), user, row.expires_at.micros(), self.by(), FORMAT, self.body];
        one(INSERT_SESSION.execute(self.db, values)?)
    }

    fn inbox(&self, row: &InboxEntry) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_INBOX } else { INSERT_INBOX };
        let order = row.order_id.map(|id| id.uuid().into_bytes());
        let (provider, received_at, state) = (row.provider.name(), row.received_at.micros(), row.state.name());
        let values = params![provider, row.event_id, received_at, state, order, row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }

    fn idempotency(&self, row: &IdempotencyRow) -> Result<(), Failure> {
        let result = row.result.uuid().into_bytes();
        let values = params![row.key.bytes(), row.fingerprint.bytes(), result, row.at.micros(), self.by()];
        one(INSERT_IDEMPOTENCY.execute(self.db, values)?)
    }

    fn effect(&self, row: &Effect) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_EFFECT } else { INSERT_EFFECT };
        let order = row.order_id.uuid().into_bytes();
        let values = params![row.key.bytes(), order, effect_state(row), row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }

    fn queue_pause(&self, row: &QueuePause) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_QUEUE_PAUSE } else { INSERT_QUEUE_PAUSE };
        one(statement.execute(self.db, params![row.queue, row.is_paused, row.version, self.by(), FORMAT, self.body])?)
    }

    fn cart(&self, row: &Cart) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_CART } else { INSERT_CART };
        let customer = row.customer.uuid().into_bytes();
        one(statement.execute(self.db, params![customer, row.version, self.by(), FORMAT, self.body])?)
    }

    fn api_key(&self, row: &ApiKey) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_API_KEY } else { INSERT_API_KEY };
        let values = params![row.id.uuid().into_bytes(), row.secret.bytes(), row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }

    fn one_time_token(&self, row: &OneTimeToken) -> Result<(), Failure> {
        let values = params![row.token.bytes(), row.expires_at.micros(), self.by(), FORMAT, self.body];
        one(INSERT_ONE_TIME_TOKEN.execute(self.db, values)?)
    }

    fn throttle(&self, row: &Throttle) -> Result<(), Failure> {
        let statement = if self.is_there { UPDATE_THROTTLE } else { INSERT_THROTTLE };
        let values = params![row.scope.bytes(), row.since.micros(), row.version, self.by(), FORMAT, self.body];
        one(statement.execute(self.db, values)?)
    }
}

const fn effect_state(row: &Effect) -> &'static str {
    use ordermill_core::change::EffectState::{Confirmed, Intended, NeedsReview};
    match row.state {
        Intended => "intended",
        Confirmed => "confirmed",
        NeedsReview => "needs_review",
    }
}

/// A put writes exactly one row; anything else means that the guards and the tables disagree.
fn one(written: usize) -> Result<(), Failure> {
    if written == 1 { Ok(()) } else { Err(Failure::corrupt("a written row", format_args!("{written} rows changed instead of one"))) }
}

/// Removes the row of a key. Rows go by the key they are written under; other unique values name nothing of their own.
pub(super) fn delete(db: &Connection, key: &Key) -> Result<(), Failure> {
    match key {
        Key::Order(id) => DELETE_ORDER.execute(db, (id.uuid().into_bytes(),))?,
        Key::Payment(provider, reference) => DELETE_PAYMENT.execute(db, (provider.name(), reference))?,
        Key::Product(id) => DELETE_PRODUCT.execute(db, (id.uuid().into_bytes(),))?,
        Key::User(id) => DELETE_USER.execute(db, (id.uuid().into_bytes(),))?,
        Key::Session(token) => DELETE_SESSION.execute(db, (token.bytes(),))?,
        Key::Inbox(provider, event) => DELETE_INBOX.execute(db, (provider.name(), event))?,
        Key::Idempotency(key) => DELETE_IDEMPOTENCY.execute(db, (key.bytes(),))?,
        Key::Effect(key) => DELETE_EFFECT.execute(db, (key.bytes(),))?,
        Key::DeadLetter(job) => DELETE_DEAD_LETTER.execute(db, (&job.queue, &job.group, job.seq))?,
        Key::QueuePause(queue) => DELETE_QUEUE_PAUSE.execute(db, (queue,))?,
        Key::Audit(id) => DELETE_AUDIT.execute(db, (id.uuid().into_bytes(),))?,
        Key::Setting(name) => DELETE_SETTING.execute(db, (name,))?,
        Key::Cart(customer) => DELETE_CART.execute(db, (customer.uuid().into_bytes(),))?,
        Key::ApiKey(id) => DELETE_API_KEY.execute(db, (id.uuid().into_bytes(),))?,
        Key::OneTimeToken(token) => DELETE_ONE_TIME_TOKEN.execute(db, (token.bytes(),))?,
        Key::Throttle(scope) => DELETE_THROTTLE.execute(db, (scope.bytes(),))?,
        Key::OrderNumber(_) | Key::Sku(_) | Key::ProductUrl(_) | Key::UserEmail(_) | Key::ApiKeySecret(_) => 0,
    };
    Ok(())
}
