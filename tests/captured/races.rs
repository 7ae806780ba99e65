//! Threads that record as fast as they can, against a withdrawal and against the time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use accord::db::types::OrganisationId;
use accord::diagnostics::capture::Capture;
use accord::diagnostics::catalogue::Catalogue;
use accord::diagnostics::record::{Record, decode};
use accord::gate;
use chrono::TimeDelta;

use super::turn;

const THREADS: usize = 3;
/// Events that the threads of a test attempt in all.
const ATTEMPTS: u64 = 1_000_000;
const ROUNDS: u64 = 50;

/// How far the time that a record bears may be from the time by which it was let in. The gate goes by the clock that only
/// runs, and a record bears the time on the wall; the two are read together twice, when the grant is first seen and when
/// its page is begun, up to 2 µs apart, or as far as the machine keeps a thread waiting between the two readings each of
/// 16 times it tries. What is kept is exact all the same: the drain compares the time that each record bears with the
/// expiry (`captures::draining`), and the database the time of the insert.
const APART_NANOS: i64 = 20_000;

/// One that the program really has, so that it is in the catalogue.
fn record_something() {
    tracing::debug!(target: "accord::web", error = "raced", "A form did not have the fields it should");
}

/// Has `THREADS` threads record for the organisation until `over`, and gives how often they tried.
fn hammer(organisation: i64, started: &Barrier, over: &AtomicBool, tried: &AtomicU64) {
    started.wait();
    while !over.load(Ordering::Relaxed) {
        gate::scope(organisation, None, || (0..16).for_each(|_| record_something()));
        tried.fetch_add(16, Ordering::Relaxed);
    }
}

fn stamps(capture: &Capture) -> Vec<(i64, i64)> {
    let mut stamps = Vec::new();
    for chunk in capture.drain() {
        for record in decode(&chunk.bytes, &Catalogue::own()).unwrap() {
            if let Record::Event(event) = record {
                stamps.push((chunk.grant, event.at_nanos));
            }
        }
    }
    stamps
}

#[test]
fn cn_01_cn_02_none_of_a_million_racing_events_is_kept_after_its_withdrawal_returned() {
    let turn = turn();
    let capture = turn.capture;
    let (over, tried) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Barrier::new(THREADS + 1);
    let mut kept_before = 0;
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| hammer(1, &started, &over, &tried));
        }
        started.wait();
        let mut round = 0;
        while round < ROUNDS || tried.load(Ordering::Relaxed) < ATTEMPTS {
            round += 1;
            let grant = turn.grant(OrganisationId(1), None, TimeDelta::hours(1));
            turn.publish(std::slice::from_ref(&grant));
            let enough = tried.load(Ordering::Relaxed) + ATTEMPTS / ROUNDS / 2;
            while tried.load(Ordering::Relaxed) < enough {
                kept_before += stamps(capture).len();
            }
            let ended = capture.withdraw(grant.grant).unwrap();
            assert_eq!(ended.grant, grant.grant);
            // Nothing is left, and nothing comes.
            let until = tried.load(Ordering::Relaxed) + ATTEMPTS / ROUNDS / 4;
            while tried.load(Ordering::Relaxed) < until {
                assert!(stamps(capture).is_empty(), "something arrived after the withdrawal");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(kept_before > 1_000, "the race was none: {kept_before} were kept");
    assert!(tried.load(Ordering::Relaxed) >= ATTEMPTS);
}

#[test]
fn cn_04_none_of_a_million_racing_events_is_stamped_at_or_after_the_expiry() {
    let turn = turn();
    let capture = turn.capture;
    let (over, tried) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Barrier::new(THREADS + 1);
    let mut kept = 0;
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| hammer(1, &started, &over, &tried));
        }
        started.wait();
        let mut round = 0;
        while round < ROUNDS || tried.load(Ordering::Relaxed) < ATTEMPTS {
            round += 1;
            let grant = turn.grant(OrganisationId(1), None, TimeDelta::milliseconds(4));
            turn.publish(std::slice::from_ref(&grant));
            let deadline = grant.expires_at.micros();
            // Nobody ends it: what refuses is each record's own time.
            while capture.moment().wall_micros < deadline + 2_000 {
                for (of, at_nanos) in stamps(capture) {
                    kept += 1;
                    let late = at_nanos - deadline * 1_000;
                    assert!(of != grant.grant || late < APART_NANOS, "stamped {late} ns after the expiry");
                }
            }
            capture.tick();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(kept > 1_000, "the race was none: {kept} were kept");
}
