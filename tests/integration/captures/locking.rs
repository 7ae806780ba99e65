//! Whoever writes about consents takes locks in one order (see `accord::consent`): who waits for a question holds nothing
//! that comes after it, and however they race, PostgreSQL never has to refuse one of them for a deadlock. SQLite has one
//! writer, and runs the same stories.

use std::sync::Barrier;

use accord::audit;
use accord::consent::life::EndReason;
use accord::consent::unrecorded::End;
use accord::consent::{expiring, stopping};
use accord::db::connection::{Role, open};
use accord::diagnostics::viewing::Ahead;
use accord::tickets::status::{self, Status};
use accord::tickets::ticket;
use accord::worker::threads::Step;
use accord::worker::{destroying, publishing, recurring};
use chrono::TimeDelta;

use super::*;

/// Races in the suite; each is of eight threads.
const ROUNDS: usize = 10;
/// How often each thread does what it does.
const TIMES: usize = 6;
const THREADS: usize = 8;

#[test]
fn db_10_nobody_who_writes_about_consents_waits_for_another_in_a_circle() {
    let mut process = Process::begin();
    for _ in 0..ROUNDS {
        let first = process.grant_of(process.cast.claire, "GPU lost");
        let second = process.grant_of(process.cast.zoe, "GPU lost");
        let passes = [process.open(&first), process.open(&second)];
        race(&process, [&first, &second], passes);
        while destroying::destroy_next(&process.test.app, "test").unwrap() != Step::Idle {}
        process.live.clear();
        process.gate.publish(&[], process.moment());
        for grant in [first, second] {
            assert_eq!(process.again(&grant).state, GrantState::Ended);
        }
        assert_eq!(process.test.app.database.repeats(), 0, "transactions that PostgreSQL refused");
    }
}

fn race(process: &Process, grants: [&Grant; 2], passes: [Pass; 2]) {
    let (test, gate) = (&process.test, &process.gate);
    let [first, second] = grants;
    let chunk = |place: usize, text: &str| process.chunk(grants[place].id, passes[place], &[(WEB, 0, text)]);
    let counted: Vec<_> = grants.iter().map(|grant| (grant.id.0, Counts::default(), 0)).collect();
    // Two processes that capture for both, and hold them in whatever order the records came.
    let batches = |order: [usize; 2], last: &str| -> Vec<Vec<Chunk>> {
        let text = |time: usize| if time + 1 == TIMES { last } else { "GPU found" };
        (0..TIMES).map(|time| order.iter().map(|place| chunk(*place, text(time))).collect()).collect()
    };
    let (forth, back) = (batches([0, 1], "GPU lost"), batches([1, 0], "GPU found"));
    let now = process.now();
    let late = now.plus(TimeDelta::hours(2));
    let (lea, claire, zoe) = (test.actor(process.cast.lea), test.actor(process.cast.claire), process.cast.zoe);
    let (ids, requests, tickets) =
        (grants.map(|grant| grant.id), grants.map(|grant| grant.request_id), grants.map(|grant| grant.ticket_id));
    let start = &Barrier::new(THREADS);
    let drain = |batches: Vec<Vec<Chunk>>| {
        let app = &test.app;
        let (database, keys, clock) = (app.database.clone(), app.keys.clone(), app.clock.clone());
        let mut drain = Drain::new(database, keys, clock, Catalogue::of(CALLSITES), app.unrecorded.clone());
        let counted = &counted;
        move || {
            start.wait();
            for batch in batches {
                drain.round(gate, batch, counted);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(drain(forth));
        scope.spawn(drain(back));
        // The customer withdraws, again and again.
        let request = first.request_id;
        scope.spawn(move || {
            start.wait();
            for _ in 0..TIMES {
                let by = claire.clone();
                test.write(move |db| {
                    let request = asking::by_id(db, request)?;
                    withdrawing::withdraw(db, &request, Kept::No, &by, now)
                });
            }
        });
        // What recurs finds that time is over, and that nobody may any more.
        scope.spawn(move || {
            start.wait();
            for id in ids.into_iter().rev().cycle().take(TIMES) {
                test.write(move |db| stopping::stop_if_due(db, id, late));
                test.write(move |db| expiring::expire(db, id, late));
            }
        });
        // The tickets are closed, and what follows from that.
        let by = lea.clone();
        scope.spawn(move || {
            start.wait();
            for id in tickets {
                let by = by.clone();
                test.write(move |db| {
                    let ticket = ticket::by_id(db, id)?;
                    status::set(db, &ticket, Status::Closed, &by, now)
                });
            }
            for request in requests.into_iter().cycle().take(TIMES) {
                test.write(move |db| stopping::end_with_ticket(db, request, now));
            }
        });
        // An agent looks.
        let ahead = test.read(|db| Ahead::of(db, second, 0));
        scope.spawn(move || {
            start.wait();
            for _ in 0..TIMES {
                let (by, clock) = (lea.clone(), test.clock.clone());
                // Once it is gone there is nothing to see.
                drop(test.app.database.write_now(move |db| ahead.watch(db, &by, "", &clock)));
            }
        });
        // What was captured is destroyed.
        scope.spawn(move || {
            start.wait();
            for _ in 0..TIMES {
                destroying::destroy_next(&test.app, "test").unwrap();
            }
        });
        // Everybody else has something to write into the ledger.
        scope.spawn(move || {
            start.wait();
            for _ in 0..TIMES {
                let entry = audit::Entry { kind: "sign_in", actor: Some(zoe), ..audit::Entry::default() };
                test.write(move |db| audit::record(db, &entry, now));
            }
        });
    });
}

/// A connection of its own, beside those of the application.
fn aside(process: &Process) -> DbConnection {
    open(process.test.app.database.url(), Role::Writer).unwrap()
}

#[derive(QueryableByName)]
struct Free {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    free: bool,
}

/// Whether somebody could have the ledger now.
fn ledger_is_free(db: &mut DbConnection) -> bool {
    db.batch_execute("BEGIN").unwrap();
    let query = "SELECT pg_try_advisory_xact_lock(1094927207) AS free";
    let Free { free } = diesel::sql_query(query).get_result(db).unwrap();
    db.batch_execute("ROLLBACK").unwrap();
    free
}

/// Whether somebody could have the grant now.
fn grant_is_free(db: &mut DbConnection, grant: GrantId) -> bool {
    let held = format!("BEGIN; SELECT id FROM consent_grants WHERE id = {} FOR UPDATE NOWAIT", grant.0);
    let is_free = db.batch_execute(&held).is_ok();
    db.batch_execute("ROLLBACK").unwrap();
    is_free
}

/// Does `work` while somebody else holds the question of `grant`, until it waits for that, and gives what `look` sees then.
fn while_waiting<T>(
    process: &mut Process,
    grant: &Grant,
    work: impl FnOnce(&mut Process) + Send,
    look: impl FnOnce(&mut DbConnection) -> T,
) -> T {
    let (mut holder, mut other) = (aside(process), aside(process));
    let hold = "BEGIN; UPDATE consent_requests SET pending_choice = pending_choice WHERE id =";
    holder.batch_execute(&format!("{hold} {}", grant.request_id.0)).unwrap();
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(process));
        let waiting = "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
        loop {
            let Count { count } = diesel::sql_query(waiting).get_result(&mut other).unwrap();
            if count > 0 {
                break;
            }
            assert!(!working.is_finished(), "it never asked for the question");
            std::thread::yield_now();
        }
        let seen = look(&mut other);
        holder.batch_execute("COMMIT").unwrap();
        working.join().unwrap();
        seen
    })
}

type Verb = fn(&mut Process, &Grant);

/// Everything that ends a grant, or destroys what it captured.
const VERBS: [(&str, Verb); 9] = [
    ("a withdrawal", |process, grant| {
        let (by, id, now) = (process.test.actor(grant.granted_by), grant.request_id, process.now());
        process.test.write(move |db| {
            let request = asking::by_id(db, id)?;
            withdrawing::withdraw(db, &request, Kept::No, &by, now)
        });
    }),
    ("an agent's stop", |process, grant| {
        let (lea, id, now) = (process.test.actor(process.cast.lea), grant.request_id, process.now());
        process.test.write(move |db| {
            let request = asking::by_id(db, id)?;
            stopping::stop(db, &request, &lea, now)
        });
    }),
    ("its time", |process, grant| {
        let (id, late) = (grant.id, process.now().plus(TimeDelta::hours(2)));
        process.test.write(move |db| expiring::expire(db, id, late));
    }),
    ("what recurs", |process, grant| {
        let (id, now) = (grant.id, process.now());
        process.test.write(move |db| stopping::stop_if_due(db, id, now));
    }),
    ("its ticket", |process, grant| {
        let (id, now) = (grant.request_id, process.now());
        process.test.write(move |db| stopping::end_with_ticket(db, id, now));
    }),
    ("a doubtful clock", |process, grant| {
        let (id, now) = (grant.id, process.now());
        process.test.write(move |db| stopping::doubt_the_clock(db, id, now));
    }),
    ("an end that had to wait", |process, grant| {
        let end = End::by_itself(grant, EndReason::Reproduced, process.now());
        process.test.app.unrecorded.note(end).unwrap();
        publishing::record_ends(&process.test.app).unwrap();
    }),
    ("what was looked for", |process, grant| {
        let pass = process.live[0];
        let pass = process.gate.cover(pass.tenant, None).organisation;
        let chunk = process.chunk(grant.id, pass, &[(WEB, 0, "GPU lost")]);
        assert_eq!(process.drain(vec![chunk]), [grant.id]);
    }),
    ("the destruction", |process, grant| {
        let (app, grant, now) = (process.test.app.clone(), process.again(grant), process.now());
        process.test.write(move |db| trace_store::destroy(db, &app.keys, &grant, now).map(drop));
    }),
];

#[test]
fn db_10_who_waits_for_a_question_holds_neither_its_grant_nor_the_ledger() {
    for (what, verb) in VERBS {
        let mut process = Process::begin();
        let grant = process.grant_of(process.cast.claire, "GPU lost");
        let pass = process.open(&grant);
        assert_eq!(process.capture(&grant, pass, &["GPU found"]), []);
        if what == "the destruction" {
            process.withdraw(&grant, Kept::No);
        }
        if process.test.app.database.url().is_sqlite() {
            verb(&mut process, &grant);
            continue;
        }
        let of = grant.id;
        let look = |db: &mut DbConnection| (grant_is_free(db, of), ledger_is_free(db));
        assert_eq!(while_waiting(&mut process, &grant, |process| verb(process, &grant), look), (true, true), "{what}");
    }
}

#[test]
fn db_10_what_recurs_does_not_hold_the_ledger_from_one_grant_to_the_next() {
    let mut process = Process::begin();
    let first = process.grant_of(process.cast.claire, "");
    let second = process.grant_of(process.cast.zoe, "");
    process.test.clock.advance(TimeDelta::hours(2));
    let due = |process: &mut Process| {
        recurring::run_due(&process.test.app, process.now()).unwrap();
    };
    if process.test.app.database.url().is_sqlite() {
        due(&mut process);
    } else {
        let of = first.id;
        let look = |db: &mut DbConnection| (grant_is_free(db, of), ledger_is_free(db));
        assert_eq!(while_waiting(&mut process, &second, due, look), (true, true));
    }
    for grant in [first, second] {
        assert_eq!(process.again(&grant).end_reason, Some(EndReason::Expired));
    }
}
