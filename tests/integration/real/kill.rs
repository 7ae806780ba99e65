//! The program is killed at random while mail comes in and while mail goes out (FT-01, FT-02). What was acknowledged is
//! there once; what is sent arrives, and twice at most where the kill fell between sending and noting it down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord::clock::Clock;
use accord::db::DbConnection;
use accord::db::schema::{journal, outbox, ticket_messages};
use accord::outbox::{self as posting, NewLetter};
use diesel::prelude::*;

use super::chance::Chance;
use super::desk;
use super::http;
use super::mail_wire::{Sink, deliver_by_lmtp};
use super::process::{Installation, Kind, SetAtTheEnd, free_address, wait_until};

/// How often the program is killed; nightly runs set `ACCORD_TEST_KILLS` to 1 000.
fn kills() -> u32 {
    std::env::var("ACCORD_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(50)
}

/// The longest that a process lives after it is ready.
const LONGEST_LIFE: Duration = Duration::from_millis(500);
/// Mail servers that hand mail over by LMTP, beside one that uses the pipe and one that uses HTTP.
const LMTP_SENDERS: usize = 2;
const PIPE_SENDER: usize = LMTP_SENDERS;
const HTTP_SENDER: usize = PIPE_SENDER + 1;
/// How long the work that is left may take in the end.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs processes that are killed"]
fn real_ft_01_killed_while_mail_comes_in_on_sqlite() {
    kill_while_mail_comes_in(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes that are killed"]
fn real_ft_01_killed_while_mail_comes_in_on_postgresql() {
    kill_while_mail_comes_in(Kind::Postgres);
}

#[test]
#[ignore = "needs processes that are killed"]
fn real_ft_02_killed_while_mail_goes_out_on_sqlite() {
    kill_while_mail_goes_out(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes that are killed"]
fn real_ft_02_killed_while_mail_goes_out_on_postgresql() {
    kill_while_mail_goes_out(Kind::Postgres);
}

fn kill_while_mail_comes_in(kind: Kind) {
    let chance = Chance::new();
    let lmtp = free_address();
    let installation = Installation::empty(kind).taking_mail(lmtp);
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());

    let secret = desk::inbound_secret(&mut db, Clock::system().now());
    let serving = Mutex::new(None);
    let acknowledged = Mutex::new(BTreeSet::new());
    let enough = AtomicBool::new(false);
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let _senders_end_with_this = SetAtTheEnd(&enough);
        for sender in 0..=HTTP_SENDER {
            let (acknowledged, enough, installation) = (&acknowledged, &enough, &installation);
            let (serving, secret) = (&serving, &secret);
            scope.spawn(move || {
                for number in 0.. {
                    if enough.load(Ordering::SeqCst) {
                        return;
                    }
                    let mail = Mail::new(sender, number);
                    // As a mail server does: the same bytes again, until they are taken.
                    let mut taken = false;
                    while !taken {
                        taken = match sender {
                            PIPE_SENDER => deliver_by_pipe(installation, &mail),
                            HTTP_SENDER => {
                                let address: Option<SocketAddr> = *serving.lock().unwrap();
                                address.is_some_and(|address| deliver_by_http(address, secret, &mail))
                            }
                            _ => deliver_by_lmtp(lmtp, &mail.from, desk::MAILBOX, &mail.text).is_ok(),
                        };
                        if !taken && enough.load(Ordering::SeqCst) {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(15));
                    }
                    acknowledged.lock().unwrap().insert(mail.id);
                }
            });
        }
        for _ in 0..kills() {
            let server = installation.serve();
            *serving.lock().unwrap() = Some(server.address);
            slowest = slowest.max(server.ready_after);
            std::thread::sleep(chance.up_to(LONGEST_LIFE));
            server.kill();
            desk::assert_sound(&installation);
        }
    });

    drop(db);
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} mails acknowledged; slowest start {slowest:?}", acknowledged.len());
    assert!(acknowledged.len() > kills() as usize, "too few mails to mean anything: {}", acknowledged.len());
    read_all(&installation);
    assert_each_is_there_once(&installation, &acknowledged);
}

/// The desk is served until every mail that it has taken is read.
pub fn read_all(installation: &Installation) {
    let mut db = installation.database();
    desk::two_minutes_pass(&mut db);
    let server = installation.serve();
    wait_until("every mail in the journal is read", PATIENCE, || waiting_in_journal(&mut db) == 0);
    let (status, _) = server.stop();
    assert!(status.success());
}

/// Each mail of `acknowledged`, by its id, became a message, and none became two.
pub fn assert_each_is_there_once(installation: &Installation, acknowledged: &BTreeSet<String>) {
    let mut db = installation.database();
    let states: Vec<(String, i64)> = journal::table
        .group_by(journal::state)
        .select((journal::state, diesel::dsl::count_star()))
        .load(&mut db)
        .unwrap();
    let stuck: Vec<(i64, i32, i32, Option<String>)> = journal::table
        .filter(journal::state.ne("applied"))
        .select((journal::id, journal::attempts, journal::strikes, journal::last_error))
        .load(&mut db)
        .unwrap();
    assert_eq!(stuck, [], "of {states:?}");
    let kept: Vec<Option<String>> = ticket_messages::table.select(ticket_messages::mail_id).load(&mut db).unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for id in kept.into_iter().flatten() {
        *counts.entry(id.trim_matches(['<', '>']).to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = acknowledged.iter().filter(|id| !counts.contains_key(*id)).collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(doubled.is_empty(), "there more than once: {doubled:?}");
    desk::assert_sound(installation);
}

fn kill_while_mail_goes_out(kind: Kind) {
    let chance = Arc::new(Chance::new());
    // Enough that there is mail to send until the last kill, at the pace that a relay is spared with.
    let letters = 4 * kills();
    let hesitating = chance.clone();
    let sink = Sink::open(move || hesitating.up_to(Duration::from_millis(60)));
    let installation = Installation::empty(kind)
        .with_settings(&format!("[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n", sink.address.port()));
    let mut db = installation.database();
    let now = Clock::system().now();
    desk::set_up(&mut db, now);
    let mut written = BTreeMap::new();
    for number in 0..letters {
        let id = format!("<{number}@reply.desk.example>");
        let recipient = format!("personne{number}@client{}.example", number % 7);
        let letter = NewLetter {
            kind: posting::Kind::Reply,
            organisation: None,
            ticket: None,
            message: None,
            person: None,
            mailbox: None,
            envelope_from: "aide@desk.example".to_owned(),
            mail_id: id.clone(),
            subject: format!("Réponse {number}"),
            mime: format!("Message-ID: {id}\r\nTo: {recipient}\r\nSubject: {number}\r\n\r\n.\r\nBonjour.\r\n")
                .into_bytes(),
            expires_at: now.plus(posting::Kind::Reply.lifetime()),
            recipient,
        };
        posting::enqueue(&mut db, &letter, now).unwrap();
        written.insert(letter.recipient, letter.mime);
    }
    for _ in 0..kills() {
        let server = installation.serve();
        std::thread::sleep(chance.up_to(LONGEST_LIFE));
        server.kill();
        desk::assert_sound(&installation);
    }
    desk::two_minutes_pass(&mut db);
    let server = installation.serve();
    wait_until("every mail is sent", PATIENCE, || {
        let open: i64 = outbox::table.filter(outbox::state.ne("sent")).count().get_result(&mut db).unwrap();
        open == 0
    });
    drop(server);

    let mut arrived: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for taken in sink.taken() {
        arrived.entry(taken.recipient).or_default().push(taken.bytes);
    }
    assert_eq!(arrived.len(), letters as usize, "some mails never arrived");
    let repeats: usize = arrived.values().map(|copies| copies.len() - 1).sum();
    println!("{letters} mails sent, {repeats} of them repeated over {} kills", kills());
    assert!(repeats <= kills() as usize, "{repeats} repeats over {} kills", kills());
    for (recipient, copies) in &arrived {
        assert!(copies.iter().all(|copy| copy == &written[recipient]), "{recipient} got other bytes than were frozen");
    }
}

/// One mail that somebody wrote.
pub struct Mail {
    pub id: String,
    pub from: String,
    pub text: String,
}

impl Mail {
    pub fn new(sender: usize, number: u32) -> Mail {
        let id = format!("{sender}.{number}@client.example");
        let from = format!("personne{sender}.{number}@client.example");
        let text = format!(
            "From: Personne <{from}>\nTo: {}\nSubject: Question {sender}.{number}\nMessage-ID: <{id}>\n\
             Date: Mon, 23 Nov 2026 08:00:00 +0000\n\nBonjour, question {number}.\n",
            desk::MAILBOX
        );
        Mail { id, from, text }
    }
}

fn deliver_by_pipe(installation: &Installation, mail: &Mail) -> bool {
    let mut command = installation.command(&["mail", "--recipient", desk::MAILBOX, "--sender", &mail.from]);
    let mut child = command.stdin(Stdio::piped()).stderr(installation.log()).stdout(Stdio::null()).spawn().unwrap();
    // A program that ends without reading breaks the pipe, and then says by its status that it took nothing.
    drop(child.stdin.take().unwrap().write_all(mail.text.as_bytes()));
    let status = child.wait().unwrap();
    match status.code() {
        Some(0) => true,
        Some(75) => false,
        other => panic!("accord mail ended with {other:?}: {}", installation.said()),
    }
}

fn deliver_by_http(address: SocketAddr, secret: &str, mail: &Mail) -> bool {
    let path = format!("/api/v1/inbound?recipient={}&sender={}", desk::MAILBOX, mail.from);
    let authorization = format!("Bearer {secret}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "message/rfc822")];
    // Killed before it said anything, it has acknowledged nothing.
    http::send(address, "POST", &path, &headers, mail.text.as_bytes()).is_ok_and(|answer| answer.status == 202)
}

fn waiting_in_journal(db: &mut DbConnection) -> i64 {
    journal::table.filter(journal::state.eq_any(["accepted", "parsed"])).count().get_result(db).unwrap()
}
