//! From the layer's bytes to rows, and every fault on the way.

use std::collections::BTreeSet;

use accord::consent::life::EndReason;
use accord::consent::withdrawing::Kept;
use accord::diagnostics::catalogue::Catalogue;
use accord::diagnostics::record::{Gap, Reason, put_gap};
use accord::diagnostics::redaction::Rule;
use accord::diagnostics::trace_store::{Counters, Dropped};
use accord::keys::Keys;
use accord::worker::publishing;
use chrono::TimeDelta;

use super::*;

#[test]
fn what_is_captured_is_read_back_in_order_with_what_was_masked() {
    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    assert_eq!(process.capture(&grant, pass, &["one", "two"]), []);
    assert_eq!(process.capture(&grant, pass, &["to jean@client.example"]), []);
    let texts = process.texts(&grant);
    assert_eq!(texts[..2], ["one", "two"]);
    assert!(texts[2].starts_with("to [email:"), "{texts:?}");
    let records = process.read(&grant).unwrap();
    assert_eq!(records[2].masked[0].rule, Rule::Email);
    let counters = process.test.read(|db| trace_store::counters(db, grant.id));
    assert_eq!((counters.captured, counters.masked.get("email")), (3, Some(&1)));
    let app = process.test.app.clone();
    let second = process.test.read(|db| trace_store::read(db, &app.keys, &grant, 1, 1));
    assert_eq!((second.len(), second[0].number, second[0].records.len()), (1, 2, 1));
    assert!(process.test.read(|db| trace_store::read(db, &app.keys, &grant, 2, 10)).is_empty());
}

#[test]
fn gaps_and_what_was_dropped_are_told() {
    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    let gap = Gap { reason: Reason::Full, records: 1_204, from_micros: 1, to_micros: 2 };
    let mut chunk = process.chunk(grant.id, pass, &[(WEB, 0, "after")]);
    put_gap(&mut chunk.bytes, &gap);
    process.drain(vec![chunk]);
    assert_eq!(process.read(&grant).unwrap()[1].record, Record::Gap(gap));
    let counts = Counts { captured: 1, dropped_full: 1_204, dropped_budget: 5, late: 3 };
    for _ in 0..2 {
        // Told again, it is counted once.
        process.drain.round(&process.gate, Vec::new(), &[(grant.id.0, counts, 7)]);
    }
    let counters: Counters = process.test.read(|db| trace_store::counters(db, grant.id));
    let told = Dropped { full: 1_204, budget: 5, out_of_scope: 7, late: 3 };
    assert_eq!(counters.dropped, told);
    // It became live again and counts from nothing.
    let counts = Counts { dropped_full: 2, ..Counts::default() };
    process.drain.round(&process.gate, Vec::new(), &[(grant.id.0, counts, 7)]);
    let counters: Counters = process.test.read(|db| trace_store::counters(db, grant.id));
    assert_eq!(counters.dropped, Dropped { full: 1_206, ..told });
}

/// CN-03: whatever goes wrong, there is no row; and afterwards, where there can be one, it says that some are missing.
#[test]
fn cn_03_no_fault_lets_anything_be_kept() {
    type Fault = fn(&mut Process, &Grant, Pass) -> Chunk;
    let faults: &[(&str, Fault)] = &[
        ("the database fails", |process, grant, pass| {
            process.sql("ALTER TABLE trace_chunks RENAME TO trace_chunks_away");
            process.chunk(grant.id, pass, &[(WEB, 0, "x")])
        }),
        ("a grant that the database does not know", |process, _, pass| {
            process.chunk(GrantId(4_711), pass, &[(WEB, 0, "x")])
        }),
        ("a grant of nobody", |process, grant, _| process.chunk(grant.id, Pass::NONE, &[(WEB, 0, "x")])),
        ("withdrawn in the database, not yet known here", |process, grant, pass| {
            process.withdraw(grant, Kept::UntilItsDate);
            process.chunk(grant.id, pass, &[(WEB, 0, "x")])
        }),
        ("withdrawn here", |process, grant, pass| {
            process.gate.clear(grant.id.0, process.moment());
            process.chunk(grant.id, pass, &[(WEB, 0, "x")])
        }),
        ("its time is over", |process, grant, pass| {
            let chunk = process.chunk(grant.id, pass, &[(WEB, 0, "x")]);
            process.test.clock.advance(TimeDelta::minutes(60));
            chunk
        }),
        ("its time is over by the database only", |process, grant, pass| {
            let chunk = process.chunk(grant.id, pass, &[(WEB, 0, "x")]);
            process.test.clock.advance(TimeDelta::minutes(60));
            // A gate that was told a later end.
            process.gate = Gate::default();
            process.live[0].until_wall_micros += 7_200_000_000;
            let published = process.gate.publish(&process.live, process.moment());
            Chunk { pass: published.started[0].1, ..chunk }
        }),
        ("the lease is lost", |process, grant, pass| {
            process.test.clock.advance(TimeDelta::seconds(6));
            process.chunk(grant.id, pass, &[(WEB, 0, "x")])
        }),
        ("the wall clock went back", |process, grant, pass| {
            let chunk = process.chunk(grant.id, pass, &[(WEB, 0, "x")]);
            process.test.clock.set_wall(process.now().minus(TimeDelta::minutes(10)));
            process.gate.tick(process.moment());
            chunk
        }),
        ("damaged bytes", |process, grant, pass| {
            let mut chunk = process.chunk(grant.id, pass, &[(WEB, 0, "x")]);
            chunk.bytes.truncate(chunk.bytes.len() - 1);
            chunk
        }),
        ("a record of a place nobody knows", |process, grant, pass| process.chunk(grant.id, pass, &[(99, 0, "x")])),
        ("outside of the scope", |process, grant, pass| {
            process.chunk(grant.id, pass, &[(MAIL, 0, "x"), (ELSEWHERE, 0, "x")])
        }),
        ("the installation's keys are others", |process, grant, pass| {
            process.capture(grant, pass, &[]);
            let app = process.test.app.clone();
            let (id, clock) = (grant.id, app.clock.clone());
            process.test.write(move |db| trace_store::key(db, &app.keys, id, &clock).map(drop));
            let app = &process.test.app;
            let (database, clock, ends) = (app.database.clone(), app.clock.clone(), app.unrecorded.clone());
            process.drain = Drain::new(database, Keys::ephemeral(), clock, Catalogue::of(CALLSITES), ends);
            process.chunk(grant.id, pass, &[(WEB, 0, "x")])
        }),
    ];
    for (fault, make) in faults {
        let mut process = Process::begin();
        let grant = process.grant();
        let pass = process.open(&grant);
        let chunk = make(&mut process, &grant, pass);
        process.drain(vec![chunk]);
        if *fault == "the database fails" {
            process.sql("ALTER TABLE trace_chunks_away RENAME TO trace_chunks");
        }
        assert_eq!(process.count("trace_chunks"), 0, "{fault}");
    }
}

#[test]
fn cn_03_what_was_lost_to_a_fault_is_told_with_the_next_records() {
    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    process.sql("ALTER TABLE trace_chunks RENAME TO trace_chunks_away");
    process.capture(&grant, pass, &["lost", "lost too"]);
    process.sql("ALTER TABLE trace_chunks_away RENAME TO trace_chunks");
    let mut damaged = process.chunk(grant.id, pass, &[(WEB, 0, "x")]);
    damaged.bytes.truncate(9);
    process.drain(vec![damaged]);
    process.capture(&grant, pass, &["kept"]);
    process.capture(&grant, pass, &["kept too"]);
    let records = process.read(&grant).unwrap();
    let micros = process.now().micros();
    let gap = Gap { reason: Reason::Fault, records: 3, from_micros: micros, to_micros: micros };
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].record, Record::Gap(gap));
}

#[test]
fn cn_03_a_key_is_held_for_a_minute_and_not_after_a_withdrawal() {
    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    process.capture(&grant, pass, &["one"]);
    assert_eq!(process.drain.keys_held(), 1);
    // Somebody destroys the key while this process still captures.
    process.sql("DELETE FROM trace_keys");
    process.sql("DELETE FROM trace_chunks");
    process.sql("DELETE FROM trace_counters");
    assert_eq!(process.capture(&grant, pass, &["two"]), [grant.id], "it is refused although the key is held");
    assert_eq!((process.count("trace_chunks"), process.drain.keys_held()), (0, 0));

    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    process.capture(&grant, pass, &["one"]);
    process.withdraw(&grant, Kept::UntilItsDate);
    process.live.clear();
    process.drain(Vec::new());
    assert_eq!(process.drain.keys_held(), 0);
}

#[test]
fn a_capture_stops_when_a_record_says_what_was_looked_for() {
    let mut process = Process::begin();
    let grant = process.grant_of(process.cast.claire, "GPU lost");
    let pass = process.open(&grant);
    assert_eq!(process.capture(&grant, pass, &["GPU found"]), []);
    assert_eq!(process.capture(&grant, pass, &["so the gpu LOST its mind"]), [grant.id]);
    assert_eq!(process.again(&grant).end_reason, Some(EndReason::Reproduced));
    process.capture(&grant, pass, &["after"]);
    assert_eq!(process.texts(&grant).len(), 2, "what showed it is kept, and nothing after");
}

#[test]
fn what_was_looked_for_ends_its_capture_also_when_that_can_only_be_recorded_later() {
    let mut process = Process::begin();
    let grant = process.grant_of(process.cast.claire, "GPU lost");
    let pass = process.open(&grant);
    let chunks = vec![
        process.chunk(grant.id, pass, &[(WEB, 0, "GPU lost")]),
        process.chunk(grant.id, pass, &[(WEB, 0, "after")]),
    ];
    process.sql("ALTER TABLE consent_events RENAME TO elsewhere");
    assert_eq!(process.drain(chunks), [grant.id]);
    process.sql("ALTER TABLE elsewhere RENAME TO consent_events");
    assert_eq!(process.texts(&grant), ["GPU lost"]);
    assert_eq!(process.again(&grant).end_reason, None);
    assert!(process.test.app.unrecorded.has(&grant.handle));
    assert_eq!(publishing::record_ends(&process.test.app).unwrap(), BTreeSet::new());
    assert_eq!(process.again(&grant).end_reason, Some(EndReason::Reproduced));
    assert!(!process.test.app.unrecorded.has(&grant.handle));
}

/// CN-09: a secret in every field of every organisation. Nothing of it is ever kept, not even for the organisation whose
/// it is; and what is kept is kept for the organisation it was captured for.
#[test]
fn cn_09_no_canary_of_any_organisation_is_kept_in_any_field() {
    let mut process = Process::begin();
    let of_arnaud = process.grant();
    let of_brun = process.grant_of(process.cast.zoe, "");
    let passes = [process.open(&of_arnaud), process.open(&of_brun)];
    let canaries = |name: &str| {
        [
            format!("password={name}hunter2"),
            format!("Bearer {name}abcdef0123"),
            format!("ghp_{name}abcdef0123456789abcd"),
            format!("{name}@client.example"),
            format!("4111 1111 1111 1111 page=1&name={name}"),
            format!("SELECT 1 WHERE a = '{name}'"),
            format!("https://{name}:{name}@db.example/x?q={name}"),
        ]
    };
    for (grant, pass, name) in [(&of_arnaud, passes[0], "arnaudcanary"), (&of_brun, passes[1], "bruncanary")] {
        let mut records = Vec::new();
        let texts = canaries(name);
        for (callsite, described) in (0..).zip(CALLSITES) {
            for field in 0..described.fields.len() {
                records.extend(texts.iter().map(|text| (callsite, field, text.as_str())));
            }
        }
        let marker = format!("seen at {}", name.trim_end_matches("canary"));
        records.push((WEB, 0, &marker));
        for batch in records.chunks(20) {
            let chunk = process.chunk(grant.id, pass, batch);
            assert_eq!(process.drain(vec![chunk]), []);
        }
    }
    for (grant, own, other) in [(&of_arnaud, "arnaud", "brun"), (&of_brun, "brun", "arnaud")] {
        let shown = format!("{:?}", process.read(grant).unwrap());
        assert!(shown.contains(&format!("seen at {own}")) && !shown.contains(&format!("seen at {other}")));
        let leaked = shown.split("Redacted").find(|record| record.contains("canary") || record.contains("4111"));
        assert_eq!(leaked, None);
        assert!(!shown.contains("mail.body") && !shown.contains("db.values") && !shown.contains("elsewhere"));
    }
    let statement = process.chunk(of_brun.id, passes[1], &[(SQL, 1, "SELECT \"a\" FROM \"b\" WHERE \"c\" = $1")]);
    process.drain(vec![statement]);
    assert_eq!(process.texts(&of_brun).last().unwrap(), "SELECT \"a\" FROM \"b\" WHERE \"c\" = $1");
}
