//! Telling the program to stop, and starting a second one beside it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use accord::clock::Clock;
use accord::db::schema::{jobs, journal, outbox};
use diesel::prelude::*;

use super::mail_wire::deliver_by_lmtp;
use super::process::{Installation, Kind, SetAtTheEnd, free_address};
use super::{desk, http};

#[test]
#[ignore = "needs processes of its own"]
fn real_ft_22_told_to_stop_under_load_it_ends_soon_and_loses_nothing() {
    stop_under_load(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_ft_22_told_to_stop_under_load_it_ends_soon_on_postgresql() {
    stop_under_load(Kind::Postgres);
}

fn stop_under_load(kind: Kind) {
    let lmtp = free_address();
    let installation = Installation::empty(kind).taking_mail(lmtp);
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());
    let acknowledged = Mutex::new(BTreeSet::new());
    let stopped = AtomicBool::new(false);
    let server = installation.serve();
    let address = server.address;
    let (status, took) = std::thread::scope(|scope| {
        for sender in 0..4 {
            let (acknowledged, stopped) = (&acknowledged, &stopped);
            scope.spawn(move || {
                for number in 0.. {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let from = format!("personne{sender}.{number}@client.example");
                    let id = format!("{sender}.{number}@client.example");
                    let mail = format!(
                        "From: <{from}>\nTo: {}\nSubject: Question\nMessage-ID: <{id}>\n\nBonjour {id}.\n",
                        desk::MAILBOX
                    );
                    if deliver_by_lmtp(lmtp, &from, desk::MAILBOX, &mail).is_ok() {
                        acknowledged.lock().unwrap().insert(id);
                    }
                }
            });
            scope.spawn(move || {
                while !stopped.load(Ordering::SeqCst) {
                    drop(http::get(address, "/fr/sign-in"));
                }
            });
        }
        let _load_ends_with_this = SetAtTheEnd(&stopped);
        std::thread::sleep(Duration::from_secs(2));
        server.stop()
    });
    assert!(status.success(), "it ended with {status}: {}", installation.said());
    assert!(took <= Duration::from_secs(10), "it took {took:?} to stop");
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() > 20, "too few mails to mean anything: {}", acknowledged.len());
    let kept: i64 = journal::table.count().get_result(&mut db).unwrap();
    assert!(kept >= acknowledged.len() as i64, "{} acknowledged, {kept} kept", acknowledged.len());
    let held = [
        journal::table.filter(journal::leased_until.is_not_null()).count().get_result::<i64>(&mut db).unwrap(),
        outbox::table.filter(outbox::leased_until.is_not_null()).count().get_result::<i64>(&mut db).unwrap(),
        jobs::table.filter(jobs::leased_until.is_not_null()).count().get_result::<i64>(&mut db).unwrap(),
    ];
    assert_eq!(held, [0, 0, 0], "leases are held by nobody: journal, outbox, jobs");
}

#[test]
#[ignore = "needs processes of its own"]
fn real_ft_25_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let installation = Installation::empty(Kind::Sqlite);
    let first = installation.serve();
    for command in ["serve", "migrate"] {
        let began = Instant::now();
        let second = installation.command(&[command]).output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{command} took {:?}", began.elapsed());
        assert!(!second.status.success());
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(said.contains("another Accord uses the data in"), "{command} says {said:?}");
    }
    let worker = installation.command(&["worker"]).output().unwrap();
    assert!(!worker.status.success());
    assert_eq!(http::get(first.address, "/readyz").unwrap().status, 200);
    let (status, _) = first.stop();
    assert!(status.success());
    // The lock went with its process.
    installation.serve();
}
