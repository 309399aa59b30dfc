//! What callers ask a store for and what they get, other than domain values. Plain data, no behaviour.

use crate::StoreError;
use ordermill_core::catalogue::Product;
use ordermill_core::change::Row;
use ordermill_core::contact::Phone;
use ordermill_core::id::{ChangeId, OrderId, ResultId, UserId};
use ordermill_core::inbox::InboxState;
use ordermill_core::job::{DeadLetter, JobKey, Past};
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::{PaymentStatus, Provider};
use ordermill_core::time::Timestamp;
use uuid::Uuid;

/// The most rows a page may have.
pub(crate) const MAX_PAGE: usize = 1_000;
/// How many rows a list with a second filter looks at before it returns a short page.
pub(crate) const MAX_SCANNED: usize = 1_000;

/// How an order is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OrderRef {
    /// By id.
    Id(OrderId),
    /// By number.
    Number(i64),
    /// By a provider's money object.
    Reference(Provider, String),
}

/// One page of a list. As a question: where to begin and how much to return; `rows` is empty then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; none at the end. Opaque outside of the store that made it.
    pub cursor: Option<String>,
    /// In a question: how many rows at most.
    pub limit: usize,
}

impl<T> Page<T> {
    /// A question for the first `limit` rows.
    pub const fn first(limit: usize) -> Self {
        Self { rows: Vec::new(), cursor: None, limit }
    }

    /// An answer.
    pub const fn of(rows: Vec<T>, cursor: Option<String>, limit: usize) -> Self {
        Self { rows, cursor, limit }
    }
}

/// Which orders, newest first by number.
///
/// One filter leads through an index: `customer`; without it `email`; without both a `status` or `payment_status` that few
/// orders are in (none of `pending`, `processing`, `completed`; neither `pending` nor `paid`). Without any of these the list
/// walks down from the newest order. Whatever else is asked, and times and text always, is a further filter: it is applied
/// to at most `MAX_SCANNED` (1,000) rows and may give a short page, even an empty one, with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Only this customer's.
    pub customer: Option<UserId>,
    /// Only these.
    pub status: Option<OrderStatus>,
    /// Only these.
    pub payment_status: Option<PaymentStatus>,
    /// Only those of this e-mail address.
    pub email: Option<String>,
    /// Only those placed at this time or later.
    pub created_from: Option<Timestamp>,
    /// Only those placed before this time.
    pub created_to: Option<Timestamp>,
    /// Only those with this text in the customer's name or phone number, or in a line's title or sku, in whatever case.
    pub text: Option<String>,
    /// Only those with a number below this one: the cursor, as a decimal number.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl OrderQuery {
    /// The number of the cursor.
    pub fn below(&self) -> Result<i64, StoreError> {
        number_cursor(self.cursor.as_deref(), i64::MAX)
    }

    /// Whether a filter needs the order itself: no column tells when it was placed or what its texts are.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) const fn looks_inside(&self) -> bool {
        self.created_from.is_some() || self.created_to.is_some() || self.text.is_some()
    }

    /// Whether an order found by index is one of those asked for.
    pub fn matches(&self, order: &Order) -> bool {
        self.customer.is_none_or(|customer| order.customer.id == Some(customer))
            && self.status.is_none_or(|status| order.status == status)
            && self.payment_status.is_none_or(|status| order.payment_status == status)
            && self.email.as_deref().is_none_or(|email| order.customer.email.as_str() == email)
            && self.created_from.is_none_or(|from| order.created_at >= from)
            && self.created_to.is_none_or(|to| order.created_at < to)
            && self.text.as_deref().is_none_or(|text| has_text(order, text))
    }
}

/// Whether an order's customer or goods are called something with this text in it.
fn has_text(order: &Order, text: &str) -> bool {
    let text = folded(text);
    let customer = order.customer.name.as_deref().into_iter().chain(order.customer.phone.as_ref().map(Phone::as_str));
    let goods = order.lines.iter().flat_map(|line| [line.title.as_str(), line.sku.as_str()]);
    customer.chain(goods).any(|said| folded(said).contains(&text))
}

/// A text without differences of case, character by character: every store must find the same, whatever its database
/// thinks of letters.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Reads a cursor that is an id.
pub(crate) fn id_cursor(cursor: Option<&str>) -> Result<Option<Uuid>, StoreError> {
    // As ids are read everywhere: one spelling only.
    let read = |text: &str| ResultId::parse(text).map(ResultId::uuid).ok_or_else(foreign);
    cursor.map(read).transpose()
}

fn foreign() -> StoreError {
    StoreError::Invalid("this is not a cursor of this list".to_owned())
}

/// Reads a cursor that is a decimal number.
pub(crate) fn number_cursor(cursor: Option<&str>, start: i64) -> Result<i64, StoreError> {
    cursor.map_or(Ok(start), |text| text.parse().map_err(|_| foreign()))
}

/// Which received events, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxQuery {
    /// Only these.
    pub state: Option<InboxState>,
    /// Where the page begins: what the page before it returned.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Which jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Only this queue's.
    pub queue: Option<String>,
    /// Where the page begins: what the page before it returned.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Which dead letters. `key` and `queue` are found by index; `text` is a further filter, applied to at most `MAX_SCANNED`
/// (1,000) rows, and may give a short page, even an empty one, with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Only this queue's.
    pub queue: Option<String>,
    /// Only the one of this key.
    pub key: Option<JobKey>,
    /// Only those that died of something with this text in it, in whatever case.
    pub text: Option<String>,
    /// Where the page begins: what the page before it returned.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl DeadLetterQuery {
    /// Whether a dead letter is one of those asked for.
    pub fn matches(&self, dead: &DeadLetter) -> bool {
        self.queue.as_deref().is_none_or(|queue| dead.key.queue == queue)
            && self.key.as_ref().is_none_or(|key| dead.key == *key)
            && self.text.as_deref().is_none_or(|text| folded(&dead.why).contains(&folded(text)))
    }
}

/// A row with what the store knows about its writing.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The row.
    pub row: Row,
    /// The change that created it.
    pub by: ChangeId,
    /// The change that last wrote it.
    pub last_change: ChangeId,
}

/// What the catalogue looked like: the number of products and the sum of their versions, which every write changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CatalogueStamp {
    /// How many products.
    pub count: i64,
    /// Σ of their versions.
    pub versions: i64,
}

/// All products.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// What it looked like at reading.
    pub stamp: CatalogueStamp,
    /// Sorted by sku.
    pub products: Vec<Product>,
}

/// Which jobs to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimTarget {
    /// Whatever is due in this queue.
    Queue(String),
    /// Exactly these, due or not, paused or not: their owner wants to run them now.
    Jobs(Vec<JobKey>),
}

/// A waiting or running job, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// Its identity.
    pub key: JobKey,
    /// What it is to do, in the stored form.
    pub payload: String,
    /// What it went through.
    pub past: Past,
    /// The limit of counted attempts.
    pub max_attempts: i32,
    /// Whether a lease is held and has not run out.
    pub is_running: bool,
    /// Who holds or held the lease.
    pub worker: Option<String>,
    /// When it may be claimed.
    pub due_at: Timestamp,
    /// When it was queued.
    pub queued_at: Timestamp,
}

/// A queue, for people and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub queue: String,
    /// Jobs that wait, due or not.
    pub waiting: i64,
    /// Jobs under a live lease.
    pub running: i64,
    /// Dead letters.
    pub dead: i64,
    /// How long the job that is due longest has been due, in milliseconds; 0 when none is.
    pub oldest_due_ms: i64,
    /// Whether people paused it.
    pub is_paused: bool,
    /// For how long its circuit stays open, in milliseconds; 0 when it is closed.
    pub circuit_open_ms: i64,
}

/// A sequence of numbers that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// Order numbers.
    Order,
    /// Delivery task numbers.
    Task,
}

impl Sequence {
    /// Every sequence.
    pub const ALL: [Self; 2] = [Self::Order, Self::Task];

    /// The name in storage.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Task => "task",
        }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Jobs moved to the dead letters because their last attempt's lease ran out.
    pub exhausted_jobs: u64,
    /// Rows that had served their time: sessions, idempotency rows, one-time tokens, failed log-ins, batch ids.
    pub pruned_rows: u64,
}

/// Whether the store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `sqlite`, `postgres` or `memory`.
    pub backend: &'static str,
    /// The backend's version.
    pub version: String,
    /// Migrations that have not run yet; not ready while there are any.
    pub pending_migrations: Vec<String>,
    /// Whether writes are refused, and why (disk full).
    pub read_only: Option<String>,
    /// What the store's own clock says.
    pub time: Timestamp,
}

/// What a store can and cannot do. A difference between stores stands here, never as a skipped test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `sqlite`, `postgres` or `memory`.
    pub backend: &'static str,
    /// Whether a commit survives the process.
    pub is_durable: bool,
    /// Whether several processes may use it at once.
    pub is_shared: bool,
    /// Whether lists show one's own writes at once.
    pub read_your_writes_lists: bool,
}

/// How long rows are kept.
pub(crate) mod retention {
    /// Idempotency rows.
    pub(crate) const IDEMPOTENCY_MS: i64 = 48 * 3_600 * 1_000;
    /// Sessions after their end.
    pub(crate) const SESSION_MS: i64 = 24 * 3_600 * 1_000;
    /// One-time tokens after their end.
    pub(crate) const ONE_TIME_TOKEN_MS: i64 = 24 * 3_600 * 1_000;
    /// Failed log-ins after the first of them.
    pub(crate) const THROTTLE_MS: i64 = 24 * 3_600 * 1_000;
    /// Batch ids: longer than any connection can hang in a COMMIT.
    #[cfg(feature = "postgres")]
    pub(crate) const BATCH_MS: i64 = 3_600 * 1_000;
    /// How many rows one slice of a sweep removes before it lets writers through.
    pub(crate) const SLICE: usize = 500;
}
