//! What consent costs those who gave none, and those who did: one event or span under each state of the grants, as
//! differences and ratios in one run. The ceilings are part of the benchmark; it fails when one is passed, unless it is
//! told not to judge (`--no-judge`, for machines that are shared).
//!
//! Rows of one run share a process and a subscriber, as in the program: the gate is opened and closed between them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord::clock::{Clock, UtcTime};
use accord::db::types::OrganisationId;
use accord::diagnostics::buffers::Budget;
use accord::diagnostics::capture::{ActiveGrant, Capture, Terms};
use accord::diagnostics::catalogue::{Callsite, Catalogue, Kind, Level, Manifest};
use accord::diagnostics::scope::Component;
use accord::gate;
use chrono::TimeDelta;
use criterion::Criterion;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

static CALLSITES: &[Callsite] = &[
    Callsite {
        kind: Kind::Event,
        target: "accord::bench",
        level: Level::Debug,
        name: "",
        fields: &["message", "number"],
        file: "benches/capture.rs",
    },
    Callsite {
        kind: Kind::Span,
        target: "accord::bench",
        level: Level::Debug,
        name: "step",
        fields: &["number"],
        file: "benches/capture.rs",
    },
];

const TRACED: i64 = 1;
const OTHER: i64 = 2;

#[inline(never)]
fn one_event(number: u64) {
    tracing::debug!(target: "accord::bench", number, "An event as there are many");
}

#[inline(never)]
fn one_span(number: u64) {
    tracing::debug_span!(target: "accord::bench", "step", number).in_scope(|| black_box(number));
}

#[inline(never)]
fn nothing(number: u64) {
    black_box(number);
}

fn active(capture: &Capture, grant: i64) -> ActiveGrant {
    let components = vec![Component { target: "accord".to_owned(), level: Level::Debug }];
    let manifest = Manifest::of(&capture.catalogue(), &components);
    let budget = Budget { bytes_per_second: 1 << 40, records_per_second: 1 << 40 };
    let expires_at = UtcTime::from_micros(capture.moment().wall_micros).plus(TimeDelta::hours(1));
    ActiveGrant {
        grant,
        organisation: OrganisationId(TRACED),
        person: None,
        channels: gate::SERVER,
        expires_at,
        terms: Arc::new(Terms { components, manifest, budget }),
    }
}

/// Nanoseconds of one call, the best of several loops: what disturbs a loop only ever makes it slower.
fn best(organisation: i64, work: fn(u64), prepare: impl Fn()) -> f64 {
    const CALLS: u64 = 20_000;
    let mut best = f64::MAX;
    for _ in 0..60 {
        prepare();
        gate::scope(organisation, None, || {
            let started = Instant::now();
            for number in 0..CALLS {
                work(black_box(number));
            }
            best = best.min(started.elapsed().as_nanos() as f64 / CALLS as f64);
        });
    }
    best
}

struct Row {
    what: &'static str,
    event: f64,
    span: f64,
}

fn rows() -> (f64, f64, Vec<Row>) {
    let idle = best(OTHER, nothing, || ());
    let measure = |what, organisation, prepare: &dyn Fn()| Row {
        what,
        event: best(organisation, one_event, prepare) - idle,
        span: best(organisation, one_span, prepare) - idle,
    };
    // Before any subscriber: what everybody pays for having written `debug!` at all.
    let mut rows = vec![measure("no subscriber", OTHER, &|| ())];
    let capture = Capture::start(Catalogue::of(CALLSITES), LevelFilter::INFO, Clock::system());
    let console = tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(console).with(capture.layer()).init();
    rows.push(measure("no grant", OTHER, &|| ()));
    let grants = [active(capture, 1)];
    let publish = || {
        capture.publish(&grants, capture.moment());
        black_box(capture.drain());
    };
    rows.push(measure("another organisation traced", OTHER, &publish));
    rows.push(measure("captured", TRACED, &publish));
    let clock = best(OTHER, |_| _ = black_box(Instant::now()), || ()) - idle;
    capture.withdraw(1);
    rows.push(measure("after the last grant", TRACED, &|| ()));
    (idle, clock, rows)
}

fn report(judge: bool) {
    let (idle, clock, rows) = rows();
    println!("loop {idle:.2} ns, one reading of the clock {clock:.1} ns");
    println!("{:<30} {:>10} {:>10}", "", "event ns", "span ns");
    for row in &rows {
        println!("{:<30} {:>10.2} {:>10.2}", row.what, row.event, row.span);
    }
    let [none, off, other, captured, after] = rows.as_slice() else { return };
    let ceilings = [
        ("event, no grant: more than without a subscriber", off.event - none.event, 1.0),
        ("event, after the last grant: likewise", after.event - none.event, 1.0),
        ("event, another organisation traced", other.event, 10.0),
        ("span, another organisation traced", other.span, 15.0),
        ("event captured", captured.event, 100.0),
        ("span captured", captured.span, 700.0),
    ];
    let mut failed = false;
    for (what, found, ceiling) in ceilings {
        let verdict = if found <= ceiling { "ok" } else { "OVER" };
        failed |= found > ceiling;
        println!("{verdict:<5} {what}: {found:.2} ns of {ceiling} ns");
    }
    assert!(!(failed && judge), "a ceiling was passed");
}

/// How long a withdrawal takes within the process, with a level to move.
fn withdrawal(capture: &'static Capture) {
    let mut next = 1_000;
    let mut criterion = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    criterion.bench_function("withdraw", |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                next += 1;
                capture.publish(&[active(capture, next)], capture.moment());
                gate::scope(TRACED, None, || (0..10).for_each(one_event));
                let started = Instant::now();
                capture.withdraw(next);
                spent += started.elapsed();
            }
            spent
        });
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` only wants to know that it runs.
    let judge = !arguments.iter().any(|argument| argument == "--no-judge" || argument == "--test");
    report(judge);
    if let Some(capture) = Capture::find() {
        withdrawal(capture);
    }
}
