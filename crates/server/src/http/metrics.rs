//! What the process counts, in Prometheus' format. No personal data, no ids: labels come from closed sets.

use ordermill_core::job::Queue;
use ordermill_store::QueueInfo;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Mutex;
use std::sync::PoisonError;

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

/// Everything that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
    /// Orders placed here.
    pub orders_placed: Counter,
    /// Orders paid by facts that came in here.
    pub orders_paid: Counter,
    /// Seconds from placing to paying.
    pub paid_after: Histogram,
    /// Webhooks taken in.
    pub webhooks_received: Counter,
    /// Webhooks that had been taken in before.
    pub webhook_duplicates: Counter,
    /// Webhooks whose signature did not hold.
    pub webhook_signature_faults: Counter,
    /// Signed events that nobody understood.
    pub webhooks_quarantined: Counter,
    jobs_done: Family<QueueLabels, Counter>,
    jobs_retried: Family<QueueLabels, Counter>,
    jobs_died: Family<QueueLabels, Counter>,
    waiting: Family<QueueLabels, Gauge>,
    dead: Family<QueueLabels, Gauge>,
    oldest_due_ms: Family<QueueLabels, Gauge>,
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
const PAID_BUCKETS: [f64; 10] = [1.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0];

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("ordermill")),
            requests: Family::default(),
            request_seconds: Histogram::new(REQUEST_BUCKETS),
            orders_placed: Counter::default(),
            orders_paid: Counter::default(),
            paid_after: Histogram::new(PAID_BUCKETS),
            webhooks_received: Counter::default(),
            webhook_duplicates: Counter::default(),
            webhook_signature_faults: Counter::default(),
            webhooks_quarantined: Counter::default(),
            jobs_done: Family::default(),
            jobs_retried: Family::default(),
            jobs_died: Family::default(),
            waiting: Family::default(),
            dead: Family::default(),
            oldest_due_ms: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register("http_requests", "Requests by route and status", self.requests.clone());
        registry.register("http_request_seconds", "How long requests take", self.request_seconds.clone());
        registry.register("orders_placed", "Orders placed", self.orders_placed.clone());
        registry.register("orders_paid", "Orders paid", self.orders_paid.clone());
        registry.register("order_paid_after_seconds", "From placing an order to its payment", self.paid_after.clone());
        registry.register("webhooks_received", "Provider events taken in", self.webhooks_received.clone());
        registry.register("webhook_duplicates", "Provider events that came again", self.webhook_duplicates.clone());
        registry.register("webhook_signature_faults", "Webhooks whose signature does not hold", self.webhook_signature_faults.clone());
        registry.register("webhooks_quarantined", "Signed events that nobody understood", self.webhooks_quarantined.clone());
        registry.register("jobs_done", "Jobs done", self.jobs_done.clone());
        registry.register("jobs_retried", "Attempts that failed and will be repeated", self.jobs_retried.clone());
        registry.register("jobs_died", "Jobs that became dead letters", self.jobs_died.clone());
        registry.register("queue_waiting", "Jobs that wait", self.waiting.clone());
        registry.register("queue_dead", "Dead letters", self.dead.clone());
        registry.register("queue_oldest_due_milliseconds", "How long the oldest due job has been due", self.oldest_due_ms.clone());
    }

    /// Counts a request.
    #[expect(clippy::cast_precision_loss, reason = "a metric in seconds")]
    pub fn request_done(&self, route: &str, status: u16, millis: i64) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.request_seconds.observe(millis.max(0) as f64 / 1_000.0);
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
        Counts {
            orders_placed: self.orders_placed.get(),
            orders_paid: self.orders_paid.get(),
            webhooks_received: self.webhooks_received.get(),
            webhook_signature_faults: self.webhook_signature_faults.get(),
            webhooks_quarantined: self.webhooks_quarantined.get(),
            jobs_done: all(&self.jobs_done),
            jobs_retried: all(&self.jobs_retried),
            jobs_died: all(&self.jobs_died),
        }
    }

    /// All of it as text, with the queues as they are now.
    pub fn render(&self, queues: Vec<QueueInfo>) -> String {
        for info in queues {
            let labels = labels(&info.queue);
            self.waiting.get_or_create(&labels).set(info.waiting);
            self.dead.get_or_create(&labels).set(info.dead);
            self.oldest_due_ms.get_or_create(&labels).set(info.oldest_due_ms);
        }
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

fn labels(queue: &str) -> QueueLabels {
    QueueLabels { queue: queue.to_owned() }
}
