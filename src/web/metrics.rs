//! Counters of the running process in the Prometheus text format, served on an address of their own. They count and
//! name nobody.

use std::fmt::Write;
use std::sync::atomic::AtomicU64;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::secret::locked;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Class(&'static str);

impl EncodeLabelSet for Class {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        ("class", self.0).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WorkKind(&'static str);

impl EncodeLabelSet for WorkKind {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        ("kind", self.0).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outcome(&'static str);

impl EncodeLabelSet for Outcome {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        ("outcome", self.0).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Condition(&'static str);

impl EncodeLabelSet for Condition {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        ("condition", self.0).encode(encoder.encode_label())
    }
}

/// A level that is not always known; then it is not shown.
type IfKnown = Family<[(&'static str, &'static str); 0], Gauge>;

struct Counters {
    registry: Registry,
    requests: Family<Class, Counter<u64, AtomicU64>>,
    durations: Histogram,
    work: Family<WorkKind, Counter<u64, AtomicU64>>,
    products: Family<Outcome, Counter<u64, AtomicU64>>,
    spans: Family<Outcome, Counter<u64, AtomicU64>>,
    jobs_waiting: Gauge,
    jobs_failed: Gauge,
    mail_unprocessed: Gauge,
    mail_dead: Gauge,
    queue_age: Gauge,
    database_log_bytes: Gauge,
    disk_free_bytes: IfKnown,
    disk_bytes: IfKnown,
    ballast_bytes: Gauge,
    backup_age: IfKnown,
    well: Family<Condition, Gauge>,
    grants_live: Gauge,
    grants_waiting: Gauge,
    scrub_owed_seconds: Gauge,
    keys_in_ordinary_memory: Gauge,
}

static COUNTERS: LazyLock<Counters> = LazyLock::new(|| {
    let mut registry = Registry::with_prefix("accord");
    let requests = Family::default();
    // From a quarter of a millisecond to eight seconds.
    let durations = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
    let work = Family::default();
    let (products, spans) = (Family::default(), Family::default());
    let (jobs_waiting, jobs_failed) = (Gauge::default(), Gauge::default());
    let (mail_unprocessed, mail_dead) = (Gauge::default(), Gauge::default());
    registry.register("http_requests", "Requests answered, by class of status", requests.clone());
    registry.register("http_request_seconds", "Time to answer a request", durations.clone());
    registry.register("work_done", "Pieces of work this process has done, by kind", work.clone());
    registry.register("product_requests", "Requests of products with traces, by outcome", products.clone());
    registry.register("product_spans", "Spans that products sent, by outcome", spans.clone());
    registry.register("jobs_waiting", "Jobs waiting or under way", jobs_waiting.clone());
    registry.register("jobs_failed", "Jobs kept as failed", jobs_failed.clone());
    registry.register("mail_unprocessed", "Incoming mail held or failed", mail_unprocessed.clone());
    registry.register("mail_dead", "Outgoing mail given up", mail_dead.clone());
    let database_log_bytes = Gauge::default();
    registry.register("database_log_bytes", "Size of the write-ahead log of SQLite", database_log_bytes.clone());
    let queue_age = Gauge::default();
    registry.register("queue_age_seconds", "How long what is due has waited: a job or a mail", queue_age.clone());
    let (disk_free_bytes, disk_bytes) = (IfKnown::default(), IfKnown::default());
    registry.register("disk_free_bytes", "Room left on the disk of the data folder", disk_free_bytes.clone());
    registry.register("disk_bytes", "Size of the disk of the data folder", disk_bytes.clone());
    let backup_age = IfKnown::default();
    registry.register("backup_age_seconds", "Age of the last backup, if one is known of", backup_age.clone());
    let well = Family::default();
    registry.register("well", "Whether the condition is as it should be, as /healthz says", well.clone());
    let ballast_bytes = Gauge::default();
    registry.register("ballast_bytes", "Room kept for a full disk; none once it was given up", ballast_bytes.clone());
    let grants_live = Gauge::default();
    registry.register("grants_live", "Grants under which this process records at this moment", grants_live.clone());
    let grants_waiting = Gauge::default();
    registry.register("grants_waiting", "Grants for which this process has no room yet", grants_waiting.clone());
    let scrub_owed_seconds = Gauge::default();
    registry.register(
        "scrub_owed_seconds",
        "For how long what was destroyed may have stood in the files of the database; 0 when nothing does",
        scrub_owed_seconds.clone(),
    );
    let keys_in_ordinary_memory = Gauge::default();
    registry.register(
        "keys_in_ordinary_memory",
        "Keys of captures that may be swapped out, since the limit on locked memory is used up",
        keys_in_ordinary_memory.clone(),
    );
    Counters {
        registry,
        requests,
        durations,
        work,
        products,
        spans,
        jobs_waiting,
        jobs_failed,
        mail_unprocessed,
        mail_dead,
        queue_age,
        database_log_bytes,
        disk_free_bytes,
        disk_bytes,
        ballast_bytes,
        backup_age,
        well,
        grants_live,
        grants_waiting,
        scrub_owed_seconds,
        keys_in_ordinary_memory,
    }
});

/// Counts one request.
pub fn count_request(status: u16, took: Duration) {
    let class = match status {
        0..400 => "ok",
        400..500 => "client_error",
        _ => "server_error",
    };
    COUNTERS.requests.get_or_create(&Class(class)).inc();
    COUNTERS.durations.observe(took.as_secs_f64());
}

/// Counts pieces of work: a job, a mail read, a mail sent.
pub fn count_work(kind: &'static str, pieces: u64) {
    COUNTERS.work.get_or_create(&WorkKind(kind)).inc_by(pieces);
}

/// Counts one request of a product, in place of a line in a log: there may be any number of them.
pub fn count_product_request(outcome: &'static str) {
    COUNTERS.products.get_or_create(&Outcome(outcome)).inc();
}

/// Counts what became of the spans of one request.
pub fn count_product_spans(taken: u64, not_taken: u64) {
    COUNTERS.spans.get_or_create(&Outcome("taken")).inc_by(taken);
    COUNTERS.spans.get_or_create(&Outcome("not_taken")).inc_by(not_taken);
}

/// What the database knows of work and mail, the disk of room, and the gate of grants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levels {
    pub jobs_waiting: i64,
    pub jobs_failed: i64,
    pub mail_unprocessed: i64,
    pub mail_dead: i64,
    pub queue_age_secs: i64,
    pub database_log_bytes: i64,
    pub disk_free_bytes: Option<i64>,
    pub disk_bytes: Option<i64>,
    pub ballast_bytes: i64,
    pub backup_age_secs: Option<i64>,
    pub grants_live: i64,
    pub grants_waiting: i64,
    pub scrub_owed_seconds: i64,
}

/// All of it, as Prometheus reads it, with which conditions are as they should be.
pub fn render(levels: Levels, conditions: &[(&'static str, bool)]) -> String {
    // Who asks at the same time gets levels of one moment, too.
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    COUNTERS.jobs_waiting.set(levels.jobs_waiting);
    COUNTERS.jobs_failed.set(levels.jobs_failed);
    COUNTERS.mail_unprocessed.set(levels.mail_unprocessed);
    COUNTERS.mail_dead.set(levels.mail_dead);
    COUNTERS.database_log_bytes.set(levels.database_log_bytes);
    COUNTERS.ballast_bytes.set(levels.ballast_bytes);
    COUNTERS.grants_live.set(levels.grants_live);
    COUNTERS.grants_waiting.set(levels.grants_waiting);
    COUNTERS.scrub_owed_seconds.set(levels.scrub_owed_seconds);
    COUNTERS.keys_in_ordinary_memory.set(locked::in_ordinary_pages());
    COUNTERS.queue_age.set(levels.queue_age_secs);
    show(&COUNTERS.disk_free_bytes, levels.disk_free_bytes);
    show(&COUNTERS.disk_bytes, levels.disk_bytes);
    show(&COUNTERS.backup_age, levels.backup_age_secs);
    for (name, is_well) in conditions {
        COUNTERS.well.get_or_create(&Condition(name)).set(i64::from(*is_well));
    }
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &COUNTERS.registry) {
        let _ = write!(text, "# {error}");
    }
    text
}

fn show(level: &IfKnown, value: Option<i64>) {
    match value {
        Some(value) => {
            level.get_or_create(&[]).set(value);
        }
        None => level.clear(),
    }
}
