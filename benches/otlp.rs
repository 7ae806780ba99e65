//! What products send, from the bytes of a request to the commit: `cargo bench --bench otlp`. The figure is spans of five
//! attributes, in protobuf, decoded, checked, redacted, sealed and committed, per second and core: in CPU time of the whole
//! process, since the commit is made by another thread and waits for the disk.

#[path = "in_process/cpu.rs"]
mod cpu;
#[path = "../tests/integration/support/granted.rs"]
mod granted;

use std::hint::black_box;
use std::time::Duration;

use accord::clock::{Clock, UtcTime};
use accord::config::UserAttributes;
use accord::config::database::DatabaseUrl;
use accord::consent::{Grant, grants};
use accord::db::connection::{Role, open};
use accord::db::{Database, migrations};
use accord::diagnostics::otlp::{self, Admission, Encoding};
use accord::diagnostics::sealing::GrantKey;
use accord::diagnostics::trace_store;
use accord::keys::Keys;
use chrono::TimeDelta;
use cpu::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// What SDKs send at a time unless they are told otherwise.
const SPANS: u64 = 512;

struct Desk {
    database: Database,
    clock: Clock,
    keys: Keys,
    grant: Grant,
    handle: String,
    // Goes last.
    _folder: tempfile::TempDir,
}

impl Desk {
    fn begin() -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("accord.sqlite"));
        migrations::run(&mut open(&url, Role::Migrator).expect("a database")).expect("a schema");
        let database = Database::open(&url, 4).expect("a database");
        let (clock, keys) = (Clock::system(), Keys::ephemeral());
        let an_hour_ago = clock.now().minus(TimeDelta::hours(1));
        let sealing = keys.clone();
        let (people, grant) = database
            .write_now(move |db| {
                let people = granted::set_up(db, an_hour_ago)?;
                let grant = people.grant(db, &sealing, an_hour_ago)?;
                Ok((people, grant))
            })
            .expect("a grant");
        Desk { database, clock, keys, grant, handle: people.handle, _folder: folder }
    }

    fn key(&self) -> GrantKey {
        let (keys, clock, id) = (self.keys.clone(), self.clock.clone(), self.grant.id);
        let key = self.database.write_now(move |db| trace_store::key(db, &keys, id, &clock));
        key.expect("a database").expect("an active grant")
    }

    fn admission(&self, key: &GrantKey) -> Admission {
        let read = self.database.read_now(|db| {
            let live = grants::with_manifest(db, self.grant.clone())?;
            Admission::of(db, &live, &self.handle, &UserAttributes::default(), key)
        });
        read.expect("a database").expect("a grant of products")
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

/// Requests of a shop, each of sixteen spans.
fn request(now: UtcTime) -> Vec<u8> {
    let end = u64::try_from(now.micros()).expect("after 1970") * 1_000 - 1_000_000_000;
    let spans = (0..SPANS).map(|number| Span {
        trace_id: u128::from(1 + number / 16).to_be_bytes().to_vec(),
        span_id: (1 + number).to_be_bytes().to_vec(),
        parent_span_id: if number % 16 == 0 { Vec::new() } else { (1 + number / 16 * 16).to_be_bytes().to_vec() },
        name: format!("SELECT shop.orders {}", number % 16),
        kind: 3,
        start_time_unix_nano: end - 2_000_000,
        end_time_unix_nano: end - number,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/orders/{order}/lines/{line}"),
            attribute("http.response.status_code", Value::IntValue(200)),
            text("server.address", "orders.shop.internal"),
            text("db.query.summary", "SELECT orders JOIN lines WHERE order"),
        ],
        ..Span::default()
    });
    let resource = Resource {
        attributes: vec![text("service.name", "shop"), text("service.version", "4.2.1")],
        ..Resource::default()
    };
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn ingest(criterion: &mut Criterion<CpuTime>) {
    let desk = Desk::begin();
    let key = desk.key();
    let admission = desk.admission(&key);
    let binary = request(desk.clock.now());
    let decoded = ExportTraceServiceRequest::decode(binary.as_slice()).expect("what was encoded");
    let json = serde_json::to_vec(&decoded).expect("JSON");
    let mut group = criterion.benchmark_group("otlp, CPU");
    group.throughput(Throughput::Elements(SPANS)).sample_size(20);
    for (name, bytes, encoding) in [("protobuf", binary, Encoding::Protobuf), ("JSON", json, Encoding::Json)] {
        let bytes = prost::bytes::Bytes::from(bytes);
        let taken = admission.take(&bytes, encoding, desk.clock.now()).expect("a request");
        assert_eq!((taken.spans as u64, taken.not_taken.count()), (SPANS, 0));
        group.bench_function(format!("decoded, checked, redacted, {name}"), |bencher| {
            bencher.iter(|| admission.take(black_box(&bytes), encoding, desk.clock.now()));
        });
        // As the door does it for each request: the key unwrapped and the grant's terms read anew, too.
        group.bench_function(format!("to the commit, {name}"), |bencher| {
            bencher.iter(|| {
                let (keys, id) = (&desk.keys, desk.grant.id);
                let key = desk.database.read_now(|db| trace_store::find_key(db, keys, id));
                let key = key.expect("a database").expect("a key");
                let taken = desk.admission(&key).take(&bytes, encoding, desk.clock.now()).expect("a request");
                let (grant, clock) = (desk.grant.clone(), desk.clock.clone());
                let stored = desk.database.write_now(move |db| otlp::store(db, &grant, &key, &taken, &clock));
                stored.expect("an active grant")
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).measurement_time(Duration::from_secs(5));
    targets = ingest
}
criterion_main!(benches);
