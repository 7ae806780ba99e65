//! Two processes on one PostgreSQL database: what is granted through one is captured in the other, what is withdrawn
//! through one stops in the other, and a process that cannot ask the database any more captures nothing (CN-02, CN-03).

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use accord::clock::{Clock, UtcTime};
use accord::config::database::DatabaseUrl;
use accord::consent::life::{EndReason, GrantState};
use accord::consent::{Component, ConsentRequest, Grant, Level, Scope, grants};
use accord::db::Database;
use accord::db::schema::trace_chunks;
use accord::diagnostics::record::{Record, Value};
use accord::diagnostics::trace_store;
use accord::gate::LEASE_NANOS;
use accord::keys::Keys;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::customer::{Customer, Program};
use super::http;
use super::process::{Installation, Kind, PATIENCE, Server, SetAtTheEnd, wait_until};
use super::relay::Relay;
use crate::support::granted::{self, Granted};

/// How often a grant is made in one process and withdrawn there while the other is used.
const ROUNDS: usize = 8;
const LEASE: Duration = Duration::from_nanos(LEASE_NANOS);
/// How often the grants are read though nothing was heard, in milliseconds: who only reads is half as late, on average.
const READING: i64 = 500;
/// How much later than the lease's end a busy machine may notice it, where it is only told and nothing depends on it.
const LATE: Duration = Duration::from_secs(3);
/// What the other process is asked for: nothing else in these tests is, so its records can be told apart.
const THERE: &str = "/account";
const HERE: &str = "/requests";
/// The same for a program.
const BY_PROGRAM: &str = "/api/v1/tickets";
/// What a program can wait for, and for how long: longer than any lease.
const WAITED_FOR: &str = "/api/v1/tracing/grants?wait=18";

/// Two processes; the second reaches the database by a wire that can be cut.
struct Two {
    database: Database,
    keys: Keys,
    people: Granted,
    claire: Customer,
    // The order of these matters: the processes end before their database and their folder go.
    here: Server,
    there: Server,
    wire: Relay,
    installation: Installation,
}

impl Two {
    fn begin() -> Two {
        let installation = Installation::empty(Kind::Postgres);
        let now = Clock::system().now();
        let people = granted::set_up(&mut installation.database(), now).unwrap();
        let here = installation.serve();
        let (wire, url) = wire_to(&installation.database_url());
        let (mut command, address, metrics) = installation.serve_command(&[]);
        command.env("ACCORD_DATABASE_URL", url);
        let there = Server::start(command, installation.log(), address, metrics);
        let keys = Keys::load_or_create(&installation.data().join("keys.json"), now).unwrap();
        let claire = Customer::sign_in(&mut installation.database(), &keys, people.customer, now).unwrap();
        let database = Database::open(&installation.database_url(), 2).unwrap();
        Two { database, keys, people, claire, here, there, wire, installation }
    }

    /// The agent asks, Claire reads the question in the first process, and grants it there; gives when that was answered.
    fn grant(&self) -> (Grant, UtcTime) {
        let people = self.people.clone();
        let scope = Scope::of(&[Component::Pages, Component::Sql], Level::Debug, Vec::new());
        let now = Clock::system().now();
        let request: ConsentRequest = self.database.write_now(move |db| people.ask(db, scope.clone(), now)).unwrap();
        let page = format!("/consents/{}", request.handle);
        let question = self.claire.get(self.here.address, &page).unwrap().text;
        let wording = question.split("name=\"wording\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let fields = [("way", "all"), ("wording", wording.expect("a question to answer"))];
        let answer = self.claire.post(self.here.address, &format!("{page}/grant"), &fields).unwrap();
        assert_eq!(answer.status, 303, "{}", answer.text);
        let answered = Clock::system().now();
        (self.database.read_now(|db| grants::of_request(db, request.id)).unwrap().expect("a grant"), answered)
    }

    /// Claire withdraws in the first process; what was captured may be read until its date.
    fn withdraw(&self, grant: &Grant) {
        let request = self.database.read_now(|db| accord::consent::asking::by_id(db, grant.request_id)).unwrap();
        let path = format!("/consents/{}/withdrawal", request.handle);
        let answer = self.claire.post(self.here.address, &path, &[("keep", "true")]).unwrap();
        assert_eq!(answer.status, 303, "{}", answer.text);
    }

    fn ask_there(&self) {
        assert_eq!(self.claire.get(self.there.address, THERE).unwrap().status, 200);
    }

    fn chunks(&self, grant: &Grant) -> i64 {
        let of_grant = trace_chunks::table.filter(trace_chunks::grant_id.eq(grant.id));
        self.database.read_now(|db| Ok(of_grant.count().get_result(db)?)).unwrap()
    }

    fn records(&self, grant: &Grant) -> Vec<Record> {
        let chunks = self.database.read_now(|db| trace_store::read(db, &self.keys, grant, 0, 100_000)).unwrap();
        chunks.into_iter().flat_map(|chunk| chunk.records).map(|redacted| redacted.record).collect()
    }

    /// When the captured requests for `route` began.
    fn requests(&self, grant: &Grant, route: &str) -> Vec<UtcTime> {
        let is_for_it = |record: &Record| match record {
            Record::Span(span) => {
                let route_of = span.body.fields.iter().find(|field| field.name == "http.route");
                (span.body.name == "request"
                    && route_of.is_some_and(|field| field.value == Value::Text(route.to_owned())))
                .then(|| UtcTime::from_micros(span.start_nanos / 1_000))
            }
            _ => None,
        };
        self.records(grant).iter().filter_map(is_for_it).collect()
    }

    /// Waits until the other process records under as many grants.
    fn wait_until_live_there(&self, grants: u64) {
        wait_until("the other process knows of the grant", PATIENCE, || live(&self.there) == grants);
    }
}

fn live(server: &Server) -> u64 {
    server.counter("accord_grants_live")
}

/// A wire to the database, and the address of the database at its near end.
fn wire_to(url: &DatabaseUrl) -> (Relay, String) {
    let DatabaseUrl::Postgres(url) = url else { panic!("several processes need PostgreSQL") };
    let mut url = url::Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(5432));
    let target: SocketAddr = (host.as_str(), port).to_socket_addrs().unwrap().next().expect("an address");
    let relay = Relay::to(target);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(relay.address.port())).unwrap();
    (relay, url.to_string())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_cn_02_what_one_process_grants_another_captures_and_what_one_ends_is_over_in_the_other() {
    let two = Two::begin();
    // Both listen to each other.
    let listeners = "SELECT count(*) AS count FROM pg_stat_activity \
                     WHERE datname = current_database() AND query = 'LISTEN accord_grants_changed'";
    wait_until("both processes listen", PATIENCE, || {
        let counted: Counted = two.database.read_now(|db| Ok(diesel::sql_query(listeners).get_result(db)?)).unwrap();
        counted.count == 2
    });
    let mut delays = Vec::new();
    let mut served_after = 0;
    for round in 0..ROUNDS {
        let (grant, granted) = two.grant();
        wait_until("a request in the other process is captured", PATIENCE, || {
            two.ask_there();
            !two.requests(&grant, THERE).is_empty()
        });
        let first = two.requests(&grant, THERE).into_iter().min().expect("a captured request");
        delays.push(first.since(granted).num_milliseconds().max(0));
        // It is used all the while that the withdrawal is under way, and afterwards.
        let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let _at_the_end = SetAtTheEnd(&over);
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    two.ask_there();
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
            wait_until("it is in use", PATIENCE, || served.load(Ordering::SeqCst) > 3);
            two.withdraw(&grant);
            let at_the_answer = two.chunks(&grant);
            let before = served.load(Ordering::SeqCst);
            two.wait_until_live_there(0);
            wait_until("it is used after the end", PATIENCE, || served.load(Ordering::SeqCst) > before + 15);
            served_after += served.load(Ordering::SeqCst) - before;
            assert_eq!(two.chunks(&grant), at_the_answer, "round {round}: something followed the withdrawal");
        });
        let ended = two.database.read_now(|db| grants::by_id(db, grant.id)).unwrap();
        assert_eq!((ended.state, ended.end_reason), (GrantState::Ended, Some(EndReason::Withdrawn)));
        assert!(!two.requests(&grant, THERE).is_empty(), "what was captured before is whole");
    }
    delays.sort_unstable();
    println!(
        "from the answer to a grant until the other process captures, in ms: {delays:?}; {served_after} requests served \
         there after withdrawals, none captured"
    );
    assert!(delays[ROUNDS / 2] < READING / 2, "not told, but found at the next reading: {delays:?}");
}

/// Instants from which on the lease is over, until the database can be asked again.
struct Silence {
    from: UtcTime,
    until: UtcTime,
}

impl Silence {
    /// Nothing is stamped in it, nor lost in it: a gap would say that something was recorded.
    fn is_kept(&self, records: &[Record]) -> bool {
        let within = |micros: i64| self.from.micros() <= micros && micros < self.until.micros();
        records.iter().all(|record| match record {
            Record::Event(event) => !within(event.at_nanos / 1_000),
            Record::Span(span) => !within(span.end_nanos / 1_000),
            Record::Gap(gap) => !within(gap.to_micros),
        })
    }
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_cn_03_a_process_that_cannot_read_the_grants_captures_nothing_after_five_seconds() {
    let two = Two::begin();
    let (grant, _) = two.grant();
    two.wait_until_live_there(1);
    let program = {
        let (there, customer, now) = (two.there.address, two.people.customer, Clock::system().now());
        Program::of(&mut two.installation.database(), there, customer, now).unwrap()
    };
    // A program's requests need no grant to be answered.
    let ask = || assert_eq!(program.get(two.there.address, BY_PROGRAM).unwrap().status, 200);
    wait_until("a program's requests are captured", PATIENCE, || {
        ask();
        !two.requests(&grant, BY_PROGRAM).is_empty()
    });

    two.installation.database().batch_execute("ALTER TABLE consent_grants RENAME TO elsewhere").unwrap();
    let (cut, cut_at) = (Instant::now(), Clock::system().now());
    let mut still_live = Duration::ZERO;
    wait_until("the lease runs out", PATIENCE, || {
        ask();
        let live = live(&two.there);
        if live == 1 {
            still_live = cut.elapsed();
        }
        live == 0
    });
    println!("without the grants, a process captured for {still_live:?} at most {:?}", cut.elapsed());
    assert!(cut.elapsed() < LEASE + LATE, "live for {:?}", cut.elapsed());
    assert!(still_live > LEASE / 2, "one reading that fails is not the end of a grant");
    let silent_since = cut_at.plus(TimeDelta::from_std(LEASE).unwrap());
    wait_until("the lease is over and the process goes on", PATIENCE, || {
        ask();
        cut.elapsed() > LEASE + Duration::from_secs(2)
    });
    let silence = Silence { from: silent_since, until: Clock::system().now() };
    two.installation.database().batch_execute("ALTER TABLE elsewhere RENAME TO consent_grants").unwrap();

    let before = two.requests(&grant, BY_PROGRAM).len();
    wait_until("it captures again once the grants can be read", PATIENCE, || {
        ask();
        two.requests(&grant, BY_PROGRAM).len() > before
    });
    assert!(silence.is_kept(&two.records(&grant)), "captured without having asked whether it may");
}

/// Requests for which it works already go on when nothing comes from the database any more, and nobody was told that
/// anything is wrong; what they do after the lease's end is kept nowhere, neither then nor once the database is back.
#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_cn_03_nothing_that_a_process_does_when_wholly_cut_off_from_the_database_is_kept_after_five_seconds() {
    let two = Two::begin();
    let (grant, _) = two.grant();
    two.wait_until_live_there(1);
    let (there, now) = (two.there.address, Clock::system().now());
    let program = Program::of(&mut two.installation.database(), there, two.people.customer, now).unwrap();
    let reads = |records: &[Record], within: &dyn Fn(i64) -> bool| {
        let is_one = |record: &&Record| match record {
            Record::Span(span) => span.body.name == "read" && within(span.end_nanos / 1_000),
            _ => false,
        };
        records.iter().filter(is_one).count()
    };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (program.wait_for_other(there, WAITED_FOR), Instant::now()));
        // It looks at the list every second, and each look is captured.
        wait_until("what the waiting request reads is captured", PATIENCE, || {
            reads(&two.records(&grant), &|_| true) > 3
        });
        two.wire.silence();
        let (silent, silent_at) = (Instant::now(), Clock::system().now());
        wait_until("the lease is over", PATIENCE, || silent.elapsed() > LEASE + Duration::from_secs(2));
        two.wire.cut();
        let (answer, answered) = waiting.join().unwrap();
        let answer = answer.unwrap();
        // Its look hangs on a silent connection until the cut, or, when others hang on all of them, waits for one as
        // long as may be waited: as long as the lease lasts, and it began later.
        assert!(answered - silent >= LEASE, "the request is under way past the end of the lease");
        assert_eq!(answer.status, 503, "it learns that its last look at the list failed: {}", answer.text);
        let silence =
            Silence { from: silent_at.plus(TimeDelta::from_std(LEASE).unwrap()), until: Clock::system().now() };
        two.wire.mend();
        wait_until("it captures again once it has its database", PATIENCE, || {
            drop(two.claire.get(there, THERE));
            !two.requests(&grant, THERE).is_empty()
        });
        let records = two.records(&grant);
        assert!(silence.is_kept(&records), "captured without having asked whether it may");
        assert!(reads(&records, &|micros| micros < silent_at.micros()) > 3, "what came before is kept");
        assert!(reads(&records, &|micros| micros >= silence.until.micros()) > 0, "and what comes after");
        // The request that was under way began under a right to capture that is none any more.
        assert_eq!(two.requests(&grant, "/api/v1/tracing/grants"), []);
    });
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_cn_03_what_ends_while_a_process_is_cut_off_from_the_database_stays_ended_there() {
    let two = Two::begin();
    let (grant, _) = two.grant();
    wait_until("both processes capture", PATIENCE, || {
        two.ask_there();
        assert_eq!(two.claire.get(two.here.address, HERE).unwrap().status, 200);
        !two.requests(&grant, THERE).is_empty() && !two.requests(&grant, HERE).is_empty()
    });

    two.wire.cut();
    let (cut, cut_at) = (Instant::now(), Clock::system().now());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_the_end = SetAtTheEnd(&over);
        // Whatever it answers meanwhile.
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                drop(two.claire.get(two.there.address, THERE));
            }
        });
        let before = two.requests(&grant, HERE).len();
        wait_until("the other one goes on, past the lease of the first", PATIENCE, || {
            assert_eq!(two.claire.get(two.here.address, HERE).unwrap().status, 200);
            cut.elapsed() > LEASE + Duration::from_secs(1) && two.requests(&grant, HERE).len() > before
        });
        assert_ne!(http::get(two.there.address, "/readyz").unwrap().status, 200);
        two.withdraw(&grant);
        let at_the_answer = two.chunks(&grant);
        two.wire.mend();
        wait_until("it has its database again", PATIENCE, || {
            http::get(two.there.address, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        for _ in 0..20 {
            two.ask_there();
        }
        assert_eq!(live(&two.there), 0);
        assert_eq!(two.chunks(&grant), at_the_answer);
        let silent_since = cut_at.plus(TimeDelta::from_std(LEASE).unwrap());
        assert!(two.requests(&grant, THERE).iter().all(|at| *at < silent_since), "captured while it was cut off");
    });
}
