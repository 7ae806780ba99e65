//! CN-01: in the order of the database, nothing captured follows the end of its grant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use accord::clock::Clock;
use accord::consent::scope::Channel;
use accord::consent::withdrawing::{self, Kept};
use accord::db::schema::trace_chunks;
use accord::diagnostics::record::Event;
use accord::diagnostics::record::{Body, Field};
use accord::diagnostics::redaction::Hits;
use accord::diagnostics::trace_store::{Appended, NewChunk};
use accord::gate::GATE;

use super::*;

/// How many appends race withdrawals in every run of the suite; in `.ci/run` `ACCORD_TEST_INTERLEAVINGS` says 10 000.
const INTERLEAVINGS: u64 = 300;
/// How many threads append at once, as several processes would.
const APPENDERS: usize = 4;

fn records() -> Vec<Redacted> {
    let body = Body {
        trace: 1,
        parent: None,
        target: "accord::web".to_owned(),
        level: Level::Debug,
        name: String::new(),
        file: String::new(),
        rule: 0,
        fields: vec![Field { name: "count".to_owned(), value: Value::Integer(1), is_cut: false }],
        is_cut: false,
    };
    vec![Redacted { record: Record::Event(Event { at_nanos: 1, body }), masked: Vec::new(), left_out: 0 }]
}

/// Appends until it is refused; gives how often it was kept.
fn append_until_refused(test: &TestApp, grant: &Grant, withdrawn: &AtomicBool, kept: &AtomicU64) {
    let app = test.app.clone();
    let (id, organisation) = (grant.id, grant.organisation_id);
    let (clock, records) = (app.clock.clone(), Arc::new(records()));
    loop {
        let was_withdrawn = withdrawn.load(Ordering::SeqCst);
        let (app, clock, records) = (app.clone(), clock.clone(), records.clone());
        let database = app.database.clone();
        let appended = database.write_now(move |db| {
            let Some(key) = trace_store::key(db, &app.keys, id, &clock)? else { return Ok(Appended::Refused) };
            let now = clock.now();
            let hits = Hits::default();
            let chunk =
                NewChunk { channel: Channel::Server, records: &records, first_at: now, last_at: now, hits: &hits };
            trace_store::append(db, organisation, id, &key, &[chunk], &clock)
        });
        match appended.unwrap() {
            Appended::Refused => return,
            Appended::Kept { .. } => {
                assert!(!was_withdrawn, "kept although the withdrawal had been answered");
                kept.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn cn_01_nothing_is_kept_after_a_withdrawal_in_the_order_of_the_database() {
    let wanted = std::env::var("ACCORD_TEST_INTERLEAVINGS").ok().and_then(|count| count.parse().ok());
    let wanted = wanted.unwrap_or(INTERLEAVINGS);
    let process = Process::begin();
    let mut raced = 0;
    let mut round = 0_u64;
    while raced < wanted {
        let grant = process.grant();
        let (withdrawn, kept) = (AtomicBool::new(false), AtomicU64::new(0));
        // At the withdrawal, in its own transaction.
        let mut there_then = 0;
        std::thread::scope(|scope| {
            for _ in 0..APPENDERS {
                scope.spawn(|| append_until_refused(&process.test, &grant, &withdrawn, &kept));
            }
            let enough = round % 23;
            while kept.load(Ordering::SeqCst) < enough {
                std::thread::yield_now();
            }
            let (by, id, now) = (process.test.actor(grant.granted_by), grant.request_id, process.now());
            let of = grant.id;
            there_then = process.test.write(move |db| {
                let request = asking::by_id(db, id)?;
                withdrawing::withdraw(db, &request, Kept::UntilItsDate, &by, now)?;
                let there = trace_chunks::table.filter(trace_chunks::grant_id.eq(of));
                Ok(there.count().get_result::<i64>(db)?)
            });
            withdrawn.store(true, Ordering::SeqCst);
        });
        let chunks: i64 = process
            .test
            .read(|db| Ok(trace_chunks::table.filter(trace_chunks::grant_id.eq(grant.id)).count().get_result(db)?));
        assert_eq!(chunks, there_then, "round {round}: a row followed the end of its grant");
        assert_eq!(kept.load(Ordering::SeqCst), chunks.unsigned_abs(), "round {round}");
        assert_eq!(process.read(&grant).unwrap().len() as i64, chunks, "round {round}: the chain is whole");
        raced += kept.load(Ordering::SeqCst) + APPENDERS as u64;
        round += 1;
    }
    assert_eq!(GATE.live(), 0, "the gate had no part in it");
}

#[test]
fn cn_01_nothing_is_kept_at_or_after_the_end_of_its_time() {
    let process = Process::begin();
    let grant = process.grant();
    let app = process.test.app.clone();
    let at = |time: UtcTime| {
        let (app, clock, records) = (app.clone(), Clock::at(time), records());
        let (id, organisation) = (grant.id, grant.organisation_id);
        app.clone().database.write_now(move |db| {
            let Some(key) = trace_store::key(db, &app.keys, id, &app.clock)? else { return Ok(Appended::Refused) };
            let hits = Hits::default();
            let chunk =
                NewChunk { channel: Channel::Server, records: &records, first_at: time, last_at: time, hits: &hits };
            trace_store::append(db, organisation, id, &key, &[chunk], &clock)
        })
    };
    let end = grant.expires_at;
    let micro = chrono::TimeDelta::microseconds(1);
    assert_eq!(at(end.minus(micro)).unwrap(), Appended::Kept { number: 1 });
    for late in [end, end.plus(micro), end.plus(chrono::TimeDelta::days(1))] {
        assert_eq!(at(late).unwrap(), Appended::Refused, "{late}");
    }
    assert_eq!(process.count("trace_chunks"), 1);
}
