//! The power is lost at random while mail comes in, and the disk fails at each call of taking one: what was acknowledged
//! is there, once, and what was not may come again (FT-03, FT-05).

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use accord::clock::Clock;
use accord::db::schema::journal;
use diesel::prelude::*;

use super::chance::Chance;
use super::desk;
use super::failing::{Disk, Fault};
use super::kill::{Mail, assert_each_is_there_once, read_all};
use super::mail_wire::deliver_by_lmtp;
use super::process::{Installation, Kind, PATIENCE, Server, SetAtTheEnd, free_address};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
/// Mail servers that hand mail over by LMTP.
const SENDERS: usize = 3;
/// The longest that a process lives after it is ready.
const LONGEST_LIFE: Duration = Duration::from_millis(500);

/// How often the power is lost; nightly runs set `ACCORD_TEST_POWER_LOSSES` to 200.
fn losses() -> u32 {
    std::env::var("ACCORD_TEST_POWER_LOSSES").ok().and_then(|count| count.parse().ok()).unwrap_or(15)
}

fn desk_taking_mail() -> (Installation, std::net::SocketAddr) {
    let lmtp = free_address();
    let installation = Installation::empty(Kind::Sqlite).taking_mail(lmtp);
    desk::set_up(&mut installation.database(), Clock::system().now());
    (installation, lmtp)
}

/// Mail comes in while the power is lost again and again; gives what was acknowledged.
fn acknowledged_while_the_power_is_lost(
    installation: &Installation,
    lmtp: std::net::SocketAddr,
    disk: &Disk,
    start: impl Fn() -> Server,
) -> BTreeSet<String> {
    let chance = Chance::new();
    let acknowledged = Mutex::new(BTreeSet::new());
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _senders_end_with_this = SetAtTheEnd(&enough);
        for sender in 0..SENDERS {
            let (acknowledged, enough) = (&acknowledged, &enough);
            scope.spawn(move || {
                for number in 0.. {
                    let mail = Mail::new(sender, number);
                    while deliver_by_lmtp(lmtp, &mail.from, desk::MAILBOX, &mail.text).is_err() {
                        if enough.load(Ordering::SeqCst) {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(15));
                    }
                    acknowledged.lock().unwrap().insert(mail.id);
                }
            });
        }
        for _ in 0..losses() {
            let server = start();
            std::thread::sleep(chance.up_to(LONGEST_LIFE));
            server.kill();
            disk.lose_power();
            desk::assert_sound(installation);
            disk.settle();
        }
    });
    acknowledged.into_inner().unwrap()
}

fn start_on(installation: &Installation, carry: impl Fn(&mut std::process::Command)) -> Server {
    let (mut command, address, metrics) = installation.serve_command(&[]);
    carry(&mut command);
    Server::start(command, installation.log(), address, metrics)
}

#[test]
#[ignore = "needs a C compiler and processes that are killed"]
fn real_ft_03_when_the_power_is_lost_while_mail_comes_in_what_was_acknowledged_is_there_once() {
    let (installation, lmtp) = desk_taking_mail();
    let disk = Disk::under(&installation);
    let start = || start_on(&installation, |command| disk.carry(command));
    let acknowledged = acknowledged_while_the_power_is_lost(&installation, lmtp, &disk, start);
    println!("{} mails acknowledged over {} losses of power", acknowledged.len(), losses());
    assert!(acknowledged.len() > losses() as usize, "too few mails to mean anything: {}", acknowledged.len());
    read_all(&installation);
    assert_each_is_there_once(&installation, &acknowledged);
}

/// The test above means something: on a disk that says that it has written what it has not, mails are lost.
#[test]
#[ignore = "needs a C compiler and processes that are killed"]
fn real_ft_03_on_a_disk_that_lies_acknowledged_mail_is_lost() {
    let (installation, lmtp) = desk_taking_mail();
    installation.serve().stop();
    let disk = Disk::under(&installation);
    let server = start_on(&installation, |command| disk.carry_lying(command));
    let mail = Mail::new(0, 0);
    deliver_by_lmtp(lmtp, &mail.from, desk::MAILBOX, &mail.text).unwrap();
    server.kill();
    disk.lose_power();
    let there: i64 = journal::table.count().get_result(&mut installation.database()).unwrap();
    assert_eq!(there, 0, "nothing was synchronised, and yet it is there: the loss of power is none");
}

#[test]
#[ignore = "needs a C compiler and processes of its own"]
fn real_ft_05_whatever_call_of_the_pipe_fails_a_mail_is_durable_or_not_acknowledged() {
    let (installation, _) = desk_taking_mail();
    installation.serve().stop();
    let disk = Disk::under(&installation);
    disk.arm();
    let mail = Mail::new(0, 0);
    assert_eq!(pipe(&installation, &mail, |command| disk.carry_failing(command, None)), Some(0));
    let calls = disk.calls();
    assert!(calls.len() > 5, "the calls were not seen: {calls:?}");
    assert!(calls.iter().any(|call| call.contains("sync")), "nothing was synchronised: {calls:?}");
    let mut acknowledged = 0;
    for at in 1..=calls.len() {
        for errno in [EIO, ENOSPC, EROFS] {
            // The call before this one failed or not; each fault meets a desk that holds together.
            disk.disarm();
            disk.arm();
            let mail = Mail::new(errno as usize, at as u32);
            let fault = Some(Fault { at, errno });
            let status = pipe(&installation, &mail, |command| disk.carry_failing(command, fault));
            disk.lose_power();
            desk::assert_sound(&installation);
            let before = journaled(&installation);
            match status {
                Some(0) => {
                    acknowledged += 1;
                    // Again, as a mail server does that was killed before it heard: it is there already.
                    assert_eq!(pipe(&installation, &mail, |_| ()), Some(0));
                    assert_eq!(journaled(&installation), before, "{fault:?} lost it: {}", calls[at - 1]);
                }
                Some(75) => assert_eq!(pipe(&installation, &mail, |_| ()), Some(0), "{fault:?}: {}", calls[at - 1]),
                other => panic!("{fault:?} at {}: ended with {other:?}: {}", calls[at - 1], installation.said()),
            }
            disk.settle();
        }
    }
    println!("{} calls, each failing in three ways; {acknowledged} acknowledged all the same", calls.len());
    assert!(acknowledged < calls.len() * 3, "no call that failed was noticed");
    let all = journaled(&installation);
    assert_eq!(all, 1 + calls.len() as i64 * 3, "each mail once");
}

#[test]
#[ignore = "needs a C compiler and processes of its own"]
fn real_ft_05_whatever_call_of_the_server_fails_a_mail_is_durable_or_not_acknowledged() {
    let (installation, lmtp) = desk_taking_mail();
    installation.serve().stop();
    let disk = Disk::under(&installation);
    let take = |number: u32, fault: Option<Fault>| {
        let mut server = start_on(&installation, |command| disk.carry_failing(command, fault));
        let mail = Mail::new(7, number);
        disk.arm();
        let taken = deliver_by_lmtp(lmtp, &mail.from, desk::MAILBOX, &mail.text).is_ok();
        // Until it is read, or the process has ended because of its disk.
        let mut database = (server.is_running()).then(|| installation.database());
        let began = Instant::now();
        while taken && began.elapsed() < PATIENCE && server.is_running() {
            let waiting = journal::table.filter(journal::state.eq_any(["accepted", "parsed"])).count();
            let left: i64 = database.as_mut().map_or(0, |db| waiting.get_result(db).unwrap());
            if left == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // What fails after that is somebody else's, and no matter here.
        let failed = fault.and_then(|fault| disk.calls().get(fault.at - 1).cloned());
        let has_to_end = failed.is_some_and(|call| call.contains("sync") && call.contains("accord.sqlite"));
        let ended = (has_to_end || !server.is_running()).then(|| server.wait().code());
        assert!(!has_to_end || ended == Some(Some(74)), "{fault:?}, {ended:?}: {}", installation.said());
        drop(database);
        server.kill();
        let calls = disk.calls();
        disk.disarm();
        disk.lose_power();
        desk::assert_sound(&installation);
        disk.settle();
        (mail.id, taken, ended, calls)
    };
    let (first, taken, ended, calls) = take(0, None);
    assert!(taken && ended.is_none(), "{}", installation.said());
    let synchronising: Vec<usize> =
        calls.iter().enumerate().filter(|(_, call)| call.contains("sync")).map(|(at, _)| at + 1).collect();
    let all = std::env::var("ACCORD_TEST_EVERY_CALL").is_ok();
    let numbers = if all { (1..=calls.len()).collect() } else { synchronising };
    let mut acknowledged = BTreeSet::from([first]);
    for at in &numbers {
        let (id, taken, ended, failing) = take(*at as u32, Some(Fault { at: *at, errno: EIO }));
        println!("{:?}: taken {taken}, ended {ended:?}", failing.get(at - 1));
        if taken {
            acknowledged.insert(id);
        }
    }
    println!("{} of {} calls failing; {} mails acknowledged", numbers.len(), calls.len(), acknowledged.len());
    assert!(!numbers.is_empty(), "nothing was synchronised: {calls:?}");
    read_all(&installation);
    assert_each_is_there_once(&installation, &acknowledged);
}

fn journaled(installation: &Installation) -> i64 {
    journal::table.count().get_result(&mut installation.database()).unwrap()
}

fn pipe(installation: &Installation, mail: &Mail, carry: impl Fn(&mut std::process::Command)) -> Option<i32> {
    let mut command = installation.command(&["mail", "--recipient", desk::MAILBOX, "--sender", &mail.from]);
    carry(&mut command);
    let mut child = command.stdin(Stdio::piped()).stderr(installation.log()).stdout(Stdio::null()).spawn().unwrap();
    // A program that ends without reading breaks the pipe, and then says by its status that it took nothing.
    drop(child.stdin.take().unwrap().write_all(mail.text.as_bytes()));
    child.wait().unwrap().code()
}
