//! The figures of the whole program: the release binary is started on an empty folder and on a desk of 100 000 tickets,
//! and asked over its sockets, the load generator on the same machine. Needs `wrk`. `cargo bench --bench whole_program`
//! measures everything; names after `--` choose: `start rest flow import large queue ticket create mixed
//! lmtp backup`.

#[path = "whole_program/backup.rs"]
mod backup;
#[path = "in_process/desk.rs"]
mod desk;
#[path = "whole_program/flow.rs"]
mod flow;
#[path = "whole_program/import.rs"]
mod import;
#[path = "in_process/mails.rs"]
mod mails;
#[path = "whole_program/mix.rs"]
mod mix;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use accord::access::{self, Actor};
use accord::clock::Clock;
use accord::config::database::DatabaseUrl;
use accord::db::connection::{Role, open};
use accord::db::paging::PAGE_SIZE;
use accord::db::{Database, DbConnection};
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::sessions::{self, Limits, Place};
use accord::people::staff;
use accord::tickets::listing::{self, View};
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Binary;

const HTTP: &str = "127.0.0.1:18080";
const LMTP: &str = "127.0.0.1:12424";
const TICKETS: usize = 100_000;
const CONNECTIONS: &str = "64";
const SECONDS: u64 = 10;

/// The running program; it is stopped when this is dropped.
struct Program(Child);

impl Program {
    /// Starts the program in `folder`; gives how long it took until the first page was answered.
    fn start(folder: &Path) -> (Program, Duration) {
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_accord"))
            .args(["serve", "--listen", HTTP, "--data"])
            .arg(folder)
            .env("ACCORD_MAIL_LMTP", LMTP)
            .env("ACCORD_LOG_LEVEL", "warn")
            // All comes from one domain, and whoever hands over has judged it.
            .env("ACCORD_LIMITS_MAILS_PER_DOMAIN_HOUR", "1000000")
            .env("ACCORD_LIMITS_MAILS_PER_SENDER_HOUR", "1000000")
            .env("ACCORD_LIMITS_MAILS_PER_MAILBOX_HOUR", "1000000")
            .env("ACCORD_MAIL_REPLY_DOMAIN", "reply.localhost")
            .env("ACCORD_MAIL_TRUSTED_AUTHSERV_ID", "mx.vendor.example")
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        let program = Program(child);
        while !answers("/fr") {
            assert!(started.elapsed() < Duration::from_secs(20), "the program does not answer");
            std::thread::sleep(Duration::from_millis(1));
        }
        (program, started.elapsed())
    }

    /// What it has used of the processors so far, for itself and for the system's part.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("a process");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks: u64 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        // Linux counts in hundredths here, whatever its own clock does.
        Duration::from_millis(ticks * 10)
    }

    /// A field of `/proc/<pid>/status` in MiB, `VmRSS` or `VmHWM`.
    fn memory(&self, field: &str) -> f64 {
        self.memory_if_it_runs(field).expect("a process that runs")
    }

    fn memory_if_it_runs(&self, field: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        drop(self.0.wait());
    }
}

fn answers(path: &str) -> bool {
    request(&format!("GET {path} HTTP/1.1\r\nHost: {HTTP}\r\nConnection: close\r\n\r\n"))
        .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn request(text: &str) -> Option<String> {
    let mut stream = TcpStream::connect(HTTP).ok()?;
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// What a signed-in supervisor, a signed-in agent of two queues and a program present, and tickets to look at.
struct Keys {
    cookie: String,
    of_agent: String,
    token: String,
    references: Vec<String>,
}

/// A copy of the desk, with a session and an API secret, in `folder`.
fn prepare(folder: &Path) -> (String, String, String, Vec<String>) {
    desk::copy_to(&desk::kept(TICKETS), folder);
    let desk = desk::at(folder.to_owned());
    // Of two queues, as most agents are; the supervisor sees all.
    let (agent, person) = (desk.agent.person, desk.supervisor.person);
    let now = Clock::system().now();
    assert!(desk.now < now, "the desk's tickets were opened in 2026, which must be past");
    let (cookie, of_agent, secret) = desk
        .database
        .write_now(move |db| {
            staff::accept_undertaking(db, person, now)?;
            let limits = Limits { idle: TimeDelta::hours(12), absolute: TimeDelta::days(7) };
            let cookie = sessions::begin(db, person, false, &Place::default(), &limits, now)?;
            let new = NewApiToken {
                name: "bench".to_owned(),
                scopes: vec![Scope::TicketsRead, Scope::TicketsWrite],
                organisation: None,
                queue: None,
                days: 1,
            };
            let (_, secret) = api_tokens::create(db, person, &new, now)?;
            let of_agent = sessions::begin(db, agent, false, &Place::default(), &limits, now)?;
            Ok((cookie.expose().to_owned(), of_agent.expose().to_owned(), secret.expose().to_owned()))
        })
        .expect("keys");
    let references = desk
        .database
        .read_now(|db| {
            let Actor::Staff(staff) = access::actor_of(db, person)? else { unreachable!("staff was made") };
            let mut references = vec![desk.long.clone()];
            let mut after = None;
            for _ in 0..40 {
                let page = listing::page(db, &staff, View::All, None, after, PAGE_SIZE)?;
                references.extend(page.rows.into_iter().map(|row| row.reference));
                after = page.next;
            }
            Ok(references)
        })
        .expect("tickets");
    (cookie, of_agent, secret, references)
}

fn exchange(secret: &str) -> String {
    let body = format!(r#"{{"secret":"{secret}"}}"#);
    let answer = request(&format!(
        "POST /api/v1/token HTTP/1.1\r\nHost: {HTTP}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = answer.expect("an answer");
    let (_, rest) = answer.split_once(r#""token":""#).unwrap_or_else(|| panic!("no token: {answer}"));
    rest.split('"').next().expect("a token").to_owned()
}

/// What `wrk` is told to do.
enum Load {
    Queue,
    AgentsQueue,
    Tickets,
    Create,
    Mixed,
}

fn script(load: &Load, keys: &Keys) -> String {
    let Keys { cookie, of_agent, token, references } = keys;
    let listed = references.iter().map(|reference| format!("\"{reference}\"")).collect::<Vec<_>>().join(",");
    let queue = r#"wrk.format("GET", "/tickets?view=waiting-for-us", page)"#;
    let agents_queue = r#"wrk.format("GET", "/tickets?view=waiting-for-us", agents_page)"#;
    let ticket = r#"wrk.format("GET", "/tickets/" .. references[1 + n % #references], page)"#;
    let search = r#"wrk.format("GET", "/search?q=imprimante+facture", page)"#;
    let create = r#"wrk.format("POST", "/api/v1/tickets", api, string.format('{"requester":{"address":"personne%d@client.example"},"subject":"Ticket %d of a program","text":"Bonjour, depuis ce matin rien ne s’affiche. Que faire ?"}', n % 200, n))"#;
    let chosen = match load {
        Load::Queue => queue.to_owned(),
        Load::AgentsQueue => agents_queue.to_owned(),
        Load::Tickets => ticket.to_owned(),
        Load::Create => create.to_owned(),
        Load::Mixed => format!("({{{queue}, {ticket}, {search}, {ticket}, {create}}})[1 + n % 5]"),
    };
    format!(
        "local references = {{{listed}}}\nlocal n = math.random(0, 4000)\n\
         local page = {{[\"Cookie\"] = \"accord={cookie}\"}}\n\
         local agents_page = {{[\"Cookie\"] = \"accord={of_agent}\"}}\n\
         local api = {{[\"Authorization\"] = \"Bearer {token}\", [\"Content-Type\"] = \"application/json\"}}\n\
         local seeded = 0\nfunction setup(thread) seeded = seeded + 1 thread:set(\"seed\", seeded) end\n\
         function init(args) n = seed * 1009 end\n\
         function request() n = n + 1 return {chosen} end\n"
    )
}

/// Requests a second, after a second of warming up.
fn wrk(folder: &Path, load: &Load, keys: &Keys) -> f64 {
    let path = folder.join("load.lua");
    std::fs::write(&path, script(load, keys)).expect("a script");
    let run = |seconds: u64| {
        let output = Command::new("wrk")
            .args(["-t", "2", "-c", CONNECTIONS, "--latency", "-d", &format!("{seconds}s"), "-s"])
            .arg(&path)
            .arg(format!("http://{HTTP}"))
            .output()
            .expect("wrk is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(1);
    let report = run(SECONDS);
    assert!(report.contains("Requests/sec"), "{report}");
    for line in report.lines().filter(|line| {
        let line = line.trim_start();
        line.starts_with("50%") || line.starts_with("99%") || line.contains("Non-2xx") || line.contains("Socket err")
    }) {
        println!("      {}", line.trim());
    }
    report
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .and_then(|number| number.trim().parse().ok())
        .expect("a rate")
}

/// One LMTP connection that hands over mails until the time is over.
fn hand_over(next: &AtomicUsize, times: &mut Vec<Duration>, until: Instant) -> std::io::Result<()> {
    let stream = TcpStream::connect(LMTP)?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut expect = |code: &str| -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            lines.read_line(&mut line)?;
            if line.starts_with(&format!("{code}-")) {
                continue;
            }
            if line.starts_with(code) {
                return Ok(());
            }
            return Err(std::io::Error::other(line));
        }
    };
    expect("220")?;
    stream.write_all(b"LHLO bench\r\n")?;
    expect("250")?;
    while Instant::now() < until {
        let mail = mails::mail(next.fetch_add(1, Ordering::Relaxed));
        let envelope = format!("MAIL FROM:<somebody@acme.example>\r\nRCPT TO:<{}>\r\nDATA\r\n", desk::SUPPORT);
        stream.write_all(envelope.as_bytes())?;
        expect("250")?;
        expect("250")?;
        expect("354")?;
        // No line of these mails begins with a dot.
        stream.write_all(&mail)?;
        let sent = Instant::now();
        stream.write_all(b".\r\n")?;
        expect("250")?;
        times.push(sent.elapsed());
    }
    stream.write_all(b"QUIT\r\n")
}

/// Mails acknowledged a second, and how long the slowest of a hundred waited for it after its last byte.
fn lmtp_rate() -> (f64, Duration) {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let until = started + Duration::from_secs(SECONDS);
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let hand_over = || {
            let mut times = Vec::new();
            hand_over(&next, &mut times, until).expect("every mail is taken");
            times
        };
        let connections: Vec<_> = (0..8).map(|_| scope.spawn(hand_over)).collect();
        connections.into_iter().flat_map(|connection| connection.join().expect("a connection")).collect()
    });
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times[times.len() * 99 / 100])
}

/// A SQLite file with a table for mails and nothing else, in the profile of our writer.
fn bare(folder: &Path, name: &str) -> SqliteConnection {
    let url = DatabaseUrl::Sqlite(folder.join(name));
    let mut migrator = open(&url, Role::Migrator).expect("a database");
    migrator.batch_execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, raw BLOB NOT NULL)").expect("a table");
    let DbConnection::Sqlite(sqlite) = open(&url, Role::Writer).expect("a database") else {
        unreachable!("the address is of SQLite")
    };
    sqlite
}

fn insert(sqlite: &mut SqliteConnection, mail: &[u8]) {
    let insert = diesel::sql_query("INSERT INTO mails (raw) VALUES (?)").bind::<Binary, _>(mail);
    assert_eq!(insert.execute(sqlite).expect("a row"), 1);
}

/// How often a second SQLite by itself commits such a mail durably.
fn bare_rate(folder: &Path) -> f64 {
    let mut sqlite = bare(folder, "bare.sqlite");
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(SECONDS) {
        insert(&mut sqlite, &mails::mail(count));
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// The same for eight who hand mails over and wait for each: those that wait together share a commit, as they do with us.
fn bare_grouped_rate(folder: &Path) -> f64 {
    let mut sqlite = bare(folder, "grouped.sqlite");
    let (queue, waiting) = std::sync::mpsc::channel::<(Vec<u8>, std::sync::mpsc::SyncSender<()>)>();
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (queue, next) = (queue.clone(), &next);
            scope.spawn(move || {
                while started.elapsed() < Duration::from_secs(SECONDS) {
                    let (done, answer) = std::sync::mpsc::sync_channel(1);
                    queue.send((mails::mail(next.fetch_add(1, Ordering::Relaxed)), done)).expect("a writer");
                    answer.recv().expect("an answer");
                }
            });
        }
        drop(queue);
        while let Ok(first) = waiting.recv() {
            let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
            sqlite.batch_execute("BEGIN IMMEDIATE").expect("a transaction");
            for (mail, _) in &group {
                insert(&mut sqlite, mail);
            }
            sqlite.batch_execute("COMMIT").expect("a commit");
            for (_, done) in group {
                done.send(()).expect("somebody who waits");
            }
        }
    });
    next.into_inner() as f64 / started.elapsed().as_secs_f64()
}

fn at(folder: &Path) -> Database {
    Database::open(&DatabaseUrl::Sqlite(folder.join("accord.sqlite")), 1).expect("a desk")
}

/// How many rows `table` has, with a condition if one follows its name.
fn waiting(database: &Database, table: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = format!("SELECT count(*) AS count FROM {table}");
    database.read_now(|db| Ok(diesel::sql_query(query).get_result::<Count>(db)?.count)).expect("a count")
}

fn report(what: &str, figure: f64, unit: &str, wanted: &str) {
    println!("{what:<58} {figure:>9.1} {unit:<7} (wanted: {wanted})");
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    if is_wanted("start") || is_wanted("rest") {
        let mut times: Vec<Duration> = Vec::new();
        for round in 0..5 {
            let folder = tempfile::tempdir().expect("a folder");
            let (program, time) = Program::start(folder.path());
            times.push(time);
            if round == 4 && is_wanted("rest") {
                std::thread::sleep(Duration::from_secs(2));
                report("memory at rest, an empty desk", program.memory("VmRSS"), "MiB", "at most 40");
            }
        }
        times.sort_unstable();
        report("empty folder to first page, median of 5", times[2].as_secs_f64() * 1e3, "ms", "at most 300");
    }
    if is_wanted("flow") {
        flow::measure();
    }
    if is_wanted("import") {
        import::measure();
    }
    if is_wanted("large") {
        flow::measure_large();
    }
    let loads = ["queue", "ticket", "create", "mixed", "lmtp", "backup"];
    if !loads.iter().any(|name| is_wanted(name)) {
        return;
    }
    let home = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder: PathBuf = home.path().join("desk");
    std::fs::create_dir(&folder).expect("a folder");
    let (cookie, of_agent, secret, references) = prepare(&folder);
    let bare = is_wanted("lmtp").then(|| (bare_rate(home.path()), bare_grouped_rate(home.path())));
    let (program, _) = Program::start(&folder);
    let keys = Keys { cookie, of_agent, token: exchange(&secret), references };
    if is_wanted("rest") {
        std::thread::sleep(Duration::from_secs(2));
        report("memory at rest, 100 000 tickets", program.memory("VmRSS"), "MiB", "at most 40");
    }
    for (name, load, what, wanted) in [
        ("queue", Load::Queue, "queue page, all queues", "at least 2000"),
        ("queue", Load::AgentsQueue, "queue page, two queues", "at least 2000"),
        ("ticket", Load::Tickets, "ticket page", "at least 1500"),
        ("create", Load::Create, "ticket created by API, durable", "at least 2000"),
        ("mixed", Load::Mixed, "mixed: queue, tickets, search, tickets created", "-"),
    ] {
        if is_wanted(name) {
            let before = waiting(&at(&folder), "tickets");
            report(what, wrk(home.path(), &load, &keys), "1/s", wanted);
            let made = waiting(&at(&folder), "tickets") - before;
            println!("      {made} tickets more, {} jobs waiting", waiting(&at(&folder), "jobs"));
            println!(
                "      resident now {:.1} MiB, at most {:.1} MiB",
                program.memory("VmRSS"),
                program.memory("VmHWM")
            );
        }
    }
    if is_wanted("mixed") {
        report("memory under 64 connections of load, peak", program.memory("VmHWM"), "MiB", "at most 120");
    }
    if let Some((single, grouped)) = bare {
        let (rate, slowest) = lmtp_rate();
        report("bare SQLite, one durable commit a mail", single, "1/s", "-");
        report("bare SQLite, eight who wait share commits", grouped, "1/s", "-");
        report("LMTP, mails acknowledged by 8 connections", rate, "1/s", "-");
        report("LMTP against one durable commit a mail", rate / single * 100.0, "%", "at least 70");
        report("LMTP against shared commits", rate / grouped * 100.0, "%", "at least 85");
        report("LMTP, 99th percentile of the wait", slowest.as_secs_f64() * 1e3, "ms", "at most 100");
        println!(
            "      {} mails still in the journal to be read",
            waiting(&at(&folder), "journal WHERE state IN ('accepted', 'parsed')")
        );
    }
    if is_wanted("backup") {
        backup::measure(home.path(), &folder, program, &keys.token);
    }
}
