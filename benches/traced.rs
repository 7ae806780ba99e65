//! What tracing one organisation costs the others, over sockets: `cargo bench --bench traced`. The customers of two
//! companies read their requests, each over eight connections, with no grant and with everything of one company captured:
//! at a pace that leaves room, and as fast as the program answers (`wrk`, which must be installed). And grants are
//! withdrawn by the link in a mail, a hundred times. The program, both generators and the database share the machine.

#[path = "../tests/integration/support/granted.rs"]
#[expect(dead_code, reason = "what else stands there is for tests")]
mod granted;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use accord::access;
use accord::clock::Clock;
use accord::config::database::DatabaseUrl;
use accord::consent::links::{self, Opens};
use accord::consent::{Component, Level, Scope, asking};
use accord::db::Database;
use accord::db::types::PersonId;
use accord::i18n::Locale;
use accord::keys::Keys;
use accord::mail::address::EmailAddress;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::sessions::{self, Limits, Place};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::messages::{Channel, NewMessage};
use accord::tickets::opening::{self, NewTicket};
use chrono::TimeDelta;
use granted::Granted;

const HTTP: &str = "127.0.0.1:18081";
const PAGE: &str = "/requests";
const CONNECTIONS: u32 = 8;
/// Requests a second of each company: together a third of what two processors serve.
const PACE: u32 = 400;
const SECONDS: u32 = 6;
const ROUNDS: usize = 4;
const WITHDRAWALS: usize = 100;
const REQUESTS: usize = 40;

/// The running program; it is stopped when this is dropped.
struct Program(Child);

impl Program {
    fn start(folder: &Path) -> Program {
        let child = Command::new(env!("CARGO_BIN_EXE_accord"))
            .args(["serve", "--listen", HTTP, "--data"])
            .arg(folder)
            .env("ACCORD_LOG_LEVEL", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        let program = Program(child);
        let started = Instant::now();
        while send("GET", "/fr", "").is_none() {
            assert!(started.elapsed() < Duration::from_secs(20), "the program does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        drop(self.0.wait());
    }
}

fn send(method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(HTTP).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {HTTP}\r\nOrigin: http://{HTTP}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A customer of another company than the one that is traced.
fn other_customer(database: &Database, people: &Granted) -> PersonId {
    let agent = people.agent;
    let now = Clock::system().now();
    let made = database.write_now(move |db| {
        let information = Information::named("Minoterie Vasseur", Locale::Fr);
        let organisation = organisations::create(db, &information, Contract::NONE, Some(agent), now)?;
        let address = EmailAddress::parse("paul@vasseur.example").expect("an address");
        let new = NewPerson { address_confirmed_at: Some(now), ..NewPerson::at(address, Locale::Fr, Origin::Staff) };
        Ok(person::create(db, &new, Some((organisation.id, Rights::ALL)), None, now)?.id)
    });
    made.expect("a customer")
}

/// Requests for `customer` to read, and a session to read them in.
fn cookie_of(database: &Database, customer: PersonId) -> String {
    let now = Clock::system().now();
    let session = database.write_now(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("a queue of each kind");
        let by = access::actor_of(db, customer)?;
        let organisation = organisations::home_of(db, customer)?.expect("a company");
        for number in 0..REQUESTS {
            let subject = format!("Rien ne s'affiche, poste {number}");
            let message = NewMessage::text(Channel::Web, customer, "Claire", "claire@client.example", "Que faire ?");
            let new = NewTicket {
                address_confirmed: true,
                ..NewTicket::new(organisation, customer, queue.id, &subject, message)
            };
            opening::open(db, new, &by, now)?;
        }
        let limits = Limits { idle: TimeDelta::hours(12), absolute: TimeDelta::days(7) };
        sessions::begin(db, customer, false, &Place::default(), &limits, now)
    });
    session.expect("a session").expose().to_owned()
}

/// A load of one customer's pages, as much as the program bears, under way.
fn flood(cookie: &str) -> Child {
    Command::new("wrk")
        .args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{SECONDS}s"), "-H"])
        .arg(format!("Cookie: accord={cookie}"))
        .arg(format!("http://{HTTP}{PAGE}"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk is installed")
}

/// Requests a second.
fn rate(flood: Child) -> f64 {
    let output = flood.wait_with_output().expect("a report");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(!report.contains("Non-2xx"), "{report}");
    let rate = report.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("a rate");
    rate.trim().parse().expect("a number")
}

/// A load of one customer's pages at a steady pace, whatever the answers take; gives how long each took from the moment
/// at which it was due, in milliseconds.
fn pace(cookie: &str) -> Vec<f64> {
    let one = |number: u32| {
        let stream = TcpStream::connect(HTTP).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut answers = BufReader::new(stream.try_clone().expect("a socket"));
        let mut stream = stream;
        let request = format!("GET {PAGE} HTTP/1.1\r\nHost: {HTTP}\r\nCookie: accord={cookie}\r\n\r\n");
        let between = Duration::from_secs(1) * CONNECTIONS / PACE;
        let begun = Instant::now() + between * number / CONNECTIONS;
        let mut took = Vec::new();
        for round in 0..PACE * SECONDS / CONNECTIONS {
            let due = begun + between * round;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(request.as_bytes()).expect("a request");
            read_answer(&mut answers);
            took.push(due.elapsed().as_secs_f64() * 1e3);
        }
        took
    };
    let one = &one;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("answers")).collect()
    })
}

fn read_answer(answers: &mut impl BufRead) {
    let mut length = 0;
    let mut line = String::new();
    answers.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        answers.read_line(&mut line).expect("a header");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    answers.read_exact(&mut vec![0; length]).expect("a body");
}

/// The 99th percentile.
fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 99 / 100]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(what: &str, figure: f64, unit: &str, wanted: &str) {
    println!("{what:<66} {figure:>9.2} {unit:<4} (wanted: {wanted})");
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let home = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = home.path().join("desk");
    // The first start makes the database and the keys.
    drop(Program::start(&folder));
    let database = Database::open(&DatabaseUrl::Sqlite(folder.join("accord.sqlite")), 2).expect("a desk");
    let now = || Clock::system().now();
    let begun = now();
    let people = database.write_now(move |db| granted::set_up(db, begun)).expect("a desk with people");
    let keys = std::sync::Arc::new(Keys::load_or_create(&folder.join("keys.json"), begun).expect("keys"));
    let other = other_customer(&database, &people);
    let (traced_cookie, other_cookie) = (cookie_of(&database, people.customer), cookie_of(&database, other));
    let program = Program::start(&folder);

    let grant = || {
        let (people, keys, at) = (people.clone(), keys.clone(), now());
        let all = [Component::Pages, Component::Tickets, Component::Mail, Component::Sql, Component::Background];
        let scope = Scope::of(&all, Level::Debug, Vec::new());
        database
            .write_now(move |db| {
                let grant = people.grant_of(db, &keys, scope.clone(), at)?;
                let request = asking::by_id(db, grant.request_id)?;
                let token = links::create(db, Opens::Stop, &request, people.customer, grant.expires_at, at)?;
                Ok(format!("/l/stop/{}", token.expose()))
            })
            .expect("a grant")
    };
    // How long the answer to the form takes, when what it says is that nothing more is recorded.
    let withdraw = |path: &str| {
        let page = send("GET", path, "").expect("a page");
        let token =
            page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
        let pressed = Instant::now();
        let answer = send("POST", path, &format!("csrf={token}")).expect("an answer");
        let took = pressed.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 303"), "{answer}");
        took.as_secs_f64() * 1e3
    };
    // A process looks at the grants every second.
    let until_published = || std::thread::sleep(Duration::from_millis(1_500));

    // Without and with a grant, in turns: what else goes on on the machine then meets both.
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut rates: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (index, is_traced) in [false, true].into_iter().enumerate() {
            let stop = is_traced.then(&grant);
            until_published();
            std::thread::scope(|scope| {
                scope.spawn(|| pace(&traced_cookie));
                times[index].extend(pace(&other_cookie));
            });
            let (traced, others) = (flood(&traced_cookie), flood(&other_cookie));
            rates[index][0].push(rate(others));
            rates[index][1].push(rate(traced));
            if let Some(stop) = stop {
                withdraw(&stop);
            }
        }
    }
    let [without, with] = times.map(p99);
    println!("{PACE} requests a second each: 99 % of the others' within {without:.2} ms, then {with:.2} ms");
    report("others' p99 while one is traced, more", (with / without - 1.0) * 100.0, "%", "at most 5");
    let [without, with] = rates.map(|rates| rates.map(median));
    println!("as many as the machine bears: others {:.0}, then {:.0} a second", without[0], with[0]);
    println!("                              traced {:.0}, then {:.0} a second", without[1], with[1]);
    let mut times: Vec<f64> = (0..WITHDRAWALS)
        .map(|_| {
            let stop = grant();
            until_published();
            withdraw(&stop)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    report("a withdrawal by the link in a mail, median", times[WITHDRAWALS / 2], "ms", "-");
    report("a withdrawal by the link in a mail, 99th percentile", times[WITHDRAWALS * 99 / 100], "ms", "at most 100");
    drop(program);
}
