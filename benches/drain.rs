//! What the drain does with captured bytes: `cargo bench --bench drain`. The figure is bytes as they were captured, per
//! second and core, from the layer's bytes to sealed ones.

use std::hint::black_box;

use accord::clock::UtcTime;
use accord::consent::manifest::Manifest;
use accord::consent::scope::{Channel, Component, Level as Closeness, Scope};
use accord::db::types::{GrantId, OrganisationId};
use accord::diagnostics::catalogue::{Callsite, Catalogue, Kind, Level};
use accord::diagnostics::record::{Fields, Place as RecordPlace, decode, put_anchor};
use accord::diagnostics::redaction::{Hits, Redactor};
use accord::diagnostics::sealing::{GrantKey, NO_TAG, Place};
use accord::diagnostics::stored;
use accord::gate::Moment;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

static CALLSITES: &[Callsite] = &[
    Callsite {
        kind: Kind::Event,
        target: "accord::web",
        level: Level::Debug,
        name: "",
        fields: &["message", "http.route", "http.status", "duration_ms"],
        file: "src/web/request_log.rs",
    },
    Callsite {
        kind: Kind::Event,
        target: "accord::db",
        level: Level::Debug,
        name: "",
        fields: &["message", "db.statement", "db.rows", "duration_ms"],
        file: "src/db/database.rs",
    },
];

const STATEMENT: &str = "SELECT \"tickets\".\"id\", \"tickets\".\"reference\", \"tickets\".\"status\" FROM \"tickets\" \
    WHERE \"tickets\".\"organisation_id\" = $1 AND \"tickets\".\"status\" = $2 ORDER BY \"tickets\".\"id\" DESC LIMIT $3";

/// A chunk of 16 KiB, half of it requests and half statements.
fn chunk(message: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_anchor(&mut bytes, 1, Moment { monotonic_nanos: 1, wall_micros: 1_795_000_000_000_000 });
    let mut at = 1;
    while bytes.len() < 15 * 1024 {
        for (callsite, text) in [(0, "/tickets/{reference}/messages"), (1, STATEMENT)] {
            let mut fields = Fields::of_event();
            fields.text(0, message);
            fields.text(1, text);
            fields.unsigned(2, 200);
            fields.unsigned(3, at);
            at += 1;
            let place = RecordPlace { activity: at, parent: 3, callsite, rule: 0 };
            bytes.extend_from_slice(fields.event(place, at * 1_000));
        }
    }
    bytes
}

fn drain(criterion: &mut Criterion) {
    let key = GrantKey::random();
    let scope = Scope::of(&[Component::Pages, Component::Sql], Closeness::Debug, Vec::new());
    let manifest = Manifest::of(&scope);
    let redactor = Redactor::new(&scope, &manifest, key.for_tags());
    let catalogue = Catalogue::of(CALLSITES);
    let place = Place {
        organisation: OrganisationId(1),
        grant: GrantId(1),
        number: 1,
        channel: Channel::Server,
        records: 1,
        first_at: UtcTime::from_seconds(0),
        last_at: UtcTime::from_seconds(0),
        previous_tag: NO_TAG,
    };
    let mut group = criterion.benchmark_group("drain");
    for (name, message) in [
        (
            "clean",
            "Answered a request of the customer with the page of the ticket, which has four messages and no files",
        ),
        ("dirty", "Answered jean.dupont@client.example, who sent Authorization: Bearer abcdefgh12345678, with a page"),
    ] {
        let bytes = chunk(message);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("decode, redact, encode and seal, {name}"), |bencher| {
            bencher.iter(|| {
                let mut hits = Hits::default();
                let records = decode(black_box(&bytes), &catalogue).expect("sound bytes");
                let redacted: Vec<_> = records
                    .into_iter()
                    .filter_map(|record| redactor.redact(Channel::Server, record, &mut hits))
                    .collect();
                key.seal(&stored::encode(&redacted), &place)
            });
        });
        let records = decode(&bytes, &catalogue).expect("sound bytes");
        group.bench_function(format!("redact, {name}"), |bencher| {
            bencher.iter_batched(
                || records.clone(),
                |records| {
                    let mut hits = Hits::default();
                    let redact = |record| redactor.redact(Channel::Server, record, &mut hits);
                    records.into_iter().filter_map(redact).collect::<Vec<_>>()
                },
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("seal, {name}"), |bencher| bencher.iter(|| key.seal(black_box(&bytes), &place)));
    }
    group.finish();
}

criterion_group!(benches, drain);
criterion_main!(benches);
