//! What the process counts, in the text format of `OpenMetrics`, for Prometheus. No personal data, no ids: labels come from
//! closed sets. What each name means for operators is in `docs/metrics.md`; a test keeps that page, the alert rules and the
//! dashboard equal to what is here.

use crate::app::orders::lists::ListCounters;
use ordermill_core::job::Queue;
use ordermill_core::stripe::SignatureFault;
use ordermill_core::time::Timestamp;
use ordermill_store::{CommitError, QueueInfo, StoreError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

/// Labels of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

/// Which share of the requests was used up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShareLabels {
    share: &'static str,
}

/// Why a webhook led to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What the store was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
}

/// What the store was asked, and how it failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    verb: &'static str,
    fault: &'static str,
}

/// Which build this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// What the store is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreVerb {
    /// Everything that is written for orders, people and jobs.
    Commit,
    /// Leasing jobs to a worker.
    Claim,
    /// A read: the one that every scrape makes.
    Queues,
}

impl StoreVerb {
    const ALL: [Self; 3] = [Self::Commit, Self::Claim, Self::Queues];

    const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Claim => "claim",
            Self::Queues => "queues",
        }
    }
}

/// How a call of the store failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// Certainly not done; the store was away.
    Unavailable,
    /// Nobody knows whether it was done.
    Unknown,
    /// Something that trying again does not mend.
    Broken,
}

impl StoreFault {
    const ALL: [Self; 3] = [Self::Unavailable, Self::Unknown, Self::Broken];

    const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Broken => "broken",
        }
    }

    /// Nothing for a conflict, which is an answer like others.
    pub const fn of_commit(error: &CommitError) -> Option<Self> {
        match error {
            CommitError::Conflict(_) | CommitError::Fault(_) => None,
            CommitError::Unavailable(_) => Some(Self::Unavailable),
            CommitError::Unknown(_) => Some(Self::Unknown),
            CommitError::Corrupt { .. } => Some(Self::Broken),
        }
    }

    /// The same for every other call.
    pub const fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::Corrupt { .. } | StoreError::Unsupported(_) | StoreError::Invalid(_) => Self::Broken,
        }
    }
}

/// A signed event that nobody understood, as a reason beside the faults of signatures.
const QUARANTINED: &str = "quarantined";
/// The shares of requests.
pub const SHARES: [&str; 2] = ["api", "webhooks"];

/// Everything that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
    requests_shed: Family<ShareLabels, Counter>,
    /// Orders placed here.
    pub orders_placed: Counter,
    /// Orders paid by facts that came in here.
    pub orders_paid: Counter,
    paid_after: Histogram,
    mailed_after: Histogram,
    /// Webhooks taken in.
    pub webhooks_received: Counter,
    /// Webhooks that had been taken in before.
    pub webhook_duplicates: Counter,
    webhook_faults: Family<ReasonLabels, Counter>,
    /// What became of customers' order lists.
    pub order_lists: ListCounters,
    jobs_done: Family<QueueLabels, Counter>,
    jobs_retried: Family<QueueLabels, Counter>,
    jobs_died: Family<QueueLabels, Counter>,
    job_seconds: Seconds<QueueLabels>,
    queues: QueueGauges,
    store_seconds: Seconds<VerbLabels>,
    store_faults: Family<FaultLabels, Counter>,
    store_up: Gauge,
    started: Gauge<f64, AtomicU64>,
}

/// How every queue is now.
#[derive(Default)]
struct QueueGauges {
    waiting: Family<QueueLabels, Gauge>,
    running: Family<QueueLabels, Gauge>,
    dead: Family<QueueLabels, Gauge>,
    oldest_due: Family<QueueLabels, Gauge<f64, AtomicU64>>,
    paused: Family<QueueLabels, Gauge>,
    circuit_open: Family<QueueLabels, Gauge<f64, AtomicU64>>,
}

/// What was counted since the process began, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Orders placed.
    pub orders_placed: u64,
    /// Orders paid.
    pub orders_paid: u64,
    /// Provider events taken in.
    pub webhooks_received: u64,
    /// Webhooks whose signature did not hold.
    pub webhook_signature_faults: u64,
    /// Signed events that nobody understood.
    pub webhooks_quarantined: u64,
    /// Jobs done.
    pub jobs_done: u64,
    /// Attempts that failed and were to be repeated.
    pub jobs_retried: u64,
    /// Jobs that became dead letters.
    pub jobs_died: u64,
}

/// Buckets in seconds, from a millisecond to the longest request.
const REQUEST_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Buckets in seconds, from a click to days.
const FUNNEL_BUCKETS: [f64; 11] = [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0];
/// Buckets in seconds, from an answer out of memory to a store that hardly moves.
const STORE_BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("ordermill")),
            requests: Family::default(),
            request_seconds: Histogram::new(REQUEST_BUCKETS),
            requests_shed: Family::default(),
            orders_placed: Counter::default(),
            orders_paid: Counter::default(),
            paid_after: Histogram::new(FUNNEL_BUCKETS),
            mailed_after: Histogram::new(FUNNEL_BUCKETS),
            webhooks_received: Counter::default(),
            webhook_duplicates: Counter::default(),
            webhook_faults: Family::default(),
            order_lists: ListCounters::default(),
            jobs_done: Family::default(),
            jobs_retried: Family::default(),
            jobs_died: Family::default(),
            job_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            queues: QueueGauges::default(),
            store_seconds: Family::new_with_constructor(|| Histogram::new(STORE_BUCKETS)),
            store_faults: Family::default(),
            store_up: Gauge::default(),
            started: Gauge::default(),
        };
        metrics.register();
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "Which build this is", build);
        registry.register_with_unit("start_time", "When this process began", Unit::Seconds, self.started.clone());
        registry.register("http_requests", "Requests by route and status", self.requests.clone());
        registry.register_with_unit("http_request", "How long requests take", Unit::Seconds, self.request_seconds.clone());
        registry.register("requests_shed", "Requests sent away because too many ran at once", self.requests_shed.clone());
        registry.register("orders_placed", "Orders placed", self.orders_placed.clone());
        registry.register("orders_paid", "Orders paid", self.orders_paid.clone());
        registry.register_with_unit("order_paid_after", "From placing an order to its payment", Unit::Seconds, self.paid_after.clone());
        let mailed = "From an order's payment to its mail being handed over";
        registry.register_with_unit("order_mailed_after", mailed, Unit::Seconds, self.mailed_after.clone());
        registry.register("webhooks_received", "Provider events taken in", self.webhooks_received.clone());
        registry.register("webhook_duplicates", "Provider events that came again", self.webhook_duplicates.clone());
        registry.register("webhook_faults", "Webhooks that led to nothing, by reason", self.webhook_faults.clone());
        registry.register("order_list_hits", "Order lists answered from the cache", self.order_lists.hits.clone());
        registry.register("order_list_misses", "Order lists read from the store", self.order_lists.misses.clone());
        registry.register("cache_faults", "Calls of the shared cache that failed", self.order_lists.faults.clone());
        registry.register("jobs_done", "Jobs done", self.jobs_done.clone());
        registry.register("jobs_retried", "Attempts that failed and will be repeated", self.jobs_retried.clone());
        registry.register("jobs_died", "Jobs that became dead letters", self.jobs_died.clone());
        registry.register_with_unit("job", "How long attempts take", Unit::Seconds, self.job_seconds.clone());
        self.queues.register(&mut registry);
        registry.register("store_up", "Whether the store answered this scrape", self.store_up.clone());
        registry.register_with_unit("store", "How long the store takes", Unit::Seconds, self.store_seconds.clone());
        registry.register("store_faults", "Calls of the store that failed", self.store_faults.clone());
    }

    /// A counter that is not there yet cannot rise, and what cannot rise alarms nobody.
    fn begin_at_zero(&self) {
        for share in SHARES {
            drop(self.requests_shed.get_or_create(&ShareLabels { share }));
        }
        for reason in SignatureFault::ALL.iter().map(|fault| fault.code()).chain([QUARANTINED]) {
            drop(self.webhook_faults.get_or_create(&ReasonLabels { reason }));
        }
        for queue in Queue::ALL {
            let labels = labels(queue.name());
            drop(self.jobs_done.get_or_create(&labels));
            drop(self.jobs_retried.get_or_create(&labels));
            drop(self.jobs_died.get_or_create(&labels));
            drop(self.job_seconds.get_or_create(&labels));
        }
        for verb in StoreVerb::ALL.map(StoreVerb::name) {
            drop(self.store_seconds.get_or_create(&VerbLabels { verb }));
            for fault in StoreFault::ALL.map(StoreFault::name) {
                drop(self.store_faults.get_or_create(&FaultLabels { verb, fault }));
            }
        }
    }

    /// Counts a request.
    pub fn request_done(&self, route: &str, status: u16, took_micros: i64) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.request_seconds.observe(seconds(took_micros));
    }

    /// Counts the requests of a share that are sent away.
    pub fn shed(&self, share: &'static str) -> Counter {
        self.requests_shed.get_or_create(&ShareLabels { share }).clone()
    }

    /// Counts an order's payment.
    pub fn order_paid(&self, after_ms: i64) {
        self.orders_paid.inc();
        self.paid_after.observe(seconds(after_ms.saturating_mul(1_000)));
    }

    /// Counts the mail about an order's payment.
    pub fn order_mailed(&self, after_ms: i64) {
        self.mailed_after.observe(seconds(after_ms.saturating_mul(1_000)));
    }

    /// Counts a webhook that was not from the provider, or not from now.
    pub fn webhook_refused(&self, fault: SignatureFault) {
        self.webhook_faults.get_or_create(&ReasonLabels { reason: fault.code() }).inc();
    }

    /// Counts a signed event that nobody understood.
    pub fn webhook_quarantined(&self) {
        self.webhook_faults.get_or_create(&ReasonLabels { reason: QUARANTINED }).inc();
    }

    /// Counts a call of the store.
    pub fn store_asked(&self, verb: StoreVerb, took_micros: i64, fault: Option<StoreFault>) {
        let verb = verb.name();
        self.store_seconds.get_or_create(&VerbLabels { verb }).observe(seconds(took_micros));
        if let Some(fault) = fault {
            self.store_faults.get_or_create(&FaultLabels { verb, fault: fault.name() }).inc();
        }
    }

    /// Counts an attempt, however it ended.
    pub fn job_tried(&self, queue: Queue, took_micros: i64) {
        self.job_seconds.get_or_create(&labels(queue.name())).observe(seconds(took_micros));
    }

    /// Counts a job that is done.
    pub fn job_done(&self, queue: Queue) {
        self.jobs_done.get_or_create(&labels(queue.name())).inc();
    }

    /// Counts an attempt that will be repeated.
    pub fn job_retried(&self, queue: Queue) {
        self.jobs_retried.get_or_create(&labels(queue.name())).inc();
    }

    /// Counts a job that became a dead letter.
    pub fn job_died(&self, queue: Queue) {
        self.jobs_died.get_or_create(&labels(queue.name())).inc();
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let all =
            |jobs: &Family<QueueLabels, Counter>| Queue::ALL.iter().map(|queue| jobs.get_or_create(&labels(queue.name())).get()).sum();
        let faults = |reason| self.webhook_faults.get_or_create(&ReasonLabels { reason }).get();
        Counts {
            orders_placed: self.orders_placed.get(),
            orders_paid: self.orders_paid.get(),
            webhooks_received: self.webhooks_received.get(),
            webhook_signature_faults: SignatureFault::ALL.iter().map(|fault| faults(fault.code())).sum(),
            webhooks_quarantined: faults(QUARANTINED),
            jobs_done: all(&self.jobs_done),
            jobs_retried: all(&self.jobs_retried),
            jobs_died: all(&self.jobs_died),
        }
    }

    /// All of it as text, with the queues as they are now, if the store says.
    pub fn render(&self, queues: Option<Vec<QueueInfo>>, started_at: Timestamp) -> String {
        self.started.set(seconds(started_at.micros()));
        self.store_up.set(i64::from(queues.is_some()));
        self.queues.show(queues);
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

impl QueueGauges {
    fn register(&self, registry: &mut Registry) {
        registry.register("queue_waiting", "Jobs that wait", self.waiting.clone());
        registry.register("queue_running", "Jobs under a live lease", self.running.clone());
        registry.register("queue_dead", "Dead letters", self.dead.clone());
        let oldest = "How long the oldest due job has been due";
        registry.register_with_unit("queue_oldest_due", oldest, Unit::Seconds, self.oldest_due.clone());
        registry.register("queue_paused", "Whether people paused the queue", self.paused.clone());
        let open = "For how long its provider is left alone";
        registry.register_with_unit("queue_circuit_open", open, Unit::Seconds, self.circuit_open.clone());
    }

    /// Shows the queues as they are. Nothing is better than what was so before the store went away.
    fn show(&self, found: Option<Vec<QueueInfo>>) {
        self.clear();
        let Some(found) = found else { return };
        let unused = Queue::ALL.iter().filter(|queue| found.iter().all(|info| info.queue != queue.name()));
        let unused: Vec<QueueInfo> = unused.map(|queue| QueueInfo { queue: queue.name().to_owned(), ..QueueInfo::default() }).collect();
        for info in found.into_iter().chain(unused) {
            let labels = labels(&info.queue);
            self.waiting.get_or_create(&labels).set(info.waiting);
            self.running.get_or_create(&labels).set(info.running);
            self.dead.get_or_create(&labels).set(info.dead);
            self.oldest_due.get_or_create(&labels).set(seconds(info.oldest_due_ms.saturating_mul(1_000)));
            self.paused.get_or_create(&labels).set(i64::from(info.is_paused));
            self.circuit_open.get_or_create(&labels).set(seconds(info.circuit_open_ms.saturating_mul(1_000)));
        }
    }

    fn clear(&self) {
        for family in [&self.waiting, &self.running, &self.dead, &self.paused] {
            family.clear();
        }
        for family in [&self.oldest_due, &self.circuit_open] {
            family.clear();
        }
    }
}

fn labels(queue: &str) -> QueueLabels {
    QueueLabels { queue: queue.to_owned() }
}

/// What Prometheus counts time in.
#[expect(clippy::cast_precision_loss, reason = "a metric in seconds")]
fn seconds(micros: i64) -> f64 {
    micros.max(0) as f64 / 1_000_000.0
}
