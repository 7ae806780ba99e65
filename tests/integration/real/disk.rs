//! A disk that is full, and one that fails (FT-04, DB-08).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use accord::clock::Clock;
use accord::db::schema::{journal, ticket_messages};
use accord::db::{Ballast, disk};
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::secret::random_long_handle;
use diesel::prelude::*;
use tempfile::TempDir;

use super::failing::compiled;
use super::mail_wire::deliver_by_lmtp;
use super::process::{Installation, Kind, PATIENCE, Server, free_address, wait_until};
use super::{desk, http};

/// How soon all has to be well once there is room (FT-04).
const SOON: Duration = Duration::from_secs(10);

/// A small disk, made of memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "accord-test"], folder.path());
        SmallDisk(folder)
    }

    fn grow(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], self.0.path());
    }
}

fn mount(arguments: &[&str], place: &Path) {
    let mounted = Command::new("mount").args(arguments).arg(place).status().unwrap();
    assert!(mounted.success(), "this test needs the right to mount a small disk");
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

#[test]
#[ignore = "needs the right to mount a small disk and processes of its own"]
fn real_ft_04_on_a_full_disk_no_mail_is_taken_and_all_is_well_as_soon_as_there_is_room() {
    let disk = SmallDisk::mount("24m");
    let lmtp = free_address();
    let installation =
        Installation::in_folder(Kind::Sqlite, tempfile::tempdir_in(disk.0.path()).unwrap()).taking_mail(lmtp);
    let secret = set_up(&installation);
    let mut server = installation.serve();

    let mut acknowledged = 0_i64;
    let began = Instant::now();
    let refusal = loop {
        match deliver_by_lmtp(lmtp, "claire@client.example", desk::MAILBOX, &mail()) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error.to_string(),
        }
        assert!(began.elapsed() < PATIENCE * 4, "the disk does not get full");
    };
    assert!(refusal.starts_with("452 4.3.1"), "{refusal}: {}", installation.said());
    assert_eq!(pipe(&installation, &mail()), Some(75));
    assert_eq!(inbound(&server, &secret, &mail()), 507);
    for path in ["/readyz", "/healthz", "/fr/sign-in"] {
        assert_eq!(http::get(server.address, path).unwrap().status, 200, "{path}");
    }
    assert!(server.is_running(), "{}", installation.said());

    disk.grow("256m");
    let with_room = Instant::now();
    wait_until("mail is taken again", SOON, || {
        deliver_by_lmtp(lmtp, "claire@client.example", desk::MAILBOX, &mail()).is_ok()
    });
    acknowledged += 1;
    assert_eq!(pipe(&installation, &mail()), Some(0));
    assert_eq!(inbound(&server, &secret, &mail()), 202);
    acknowledged += 2;
    assert!(with_room.elapsed() <= SOON, "all was well only after {:?}", with_room.elapsed());
    assert!(server.is_running(), "it had to be started again: {}", installation.said());
    let mut db = installation.database();
    // A lease that could not be given back on the full disk lasts its two minutes.
    desk::two_minutes_pass(&mut db);
    let mut unread = || -> i64 {
        journal::table.filter(journal::state.eq_any(["accepted", "parsed"])).count().get_result(&mut db).unwrap()
    };
    wait_until("every mail is read", PATIENCE * 4, || unread() == 0);
    server.stop();
    let kept: i64 = journal::table.filter(journal::state.eq("applied")).count().get_result(&mut db).unwrap();
    assert_eq!(kept, acknowledged, "each mail that was acknowledged, and none that was refused");
    let said: i64 = ticket_messages::table.count().get_result(&mut db).unwrap();
    assert_eq!(said, acknowledged);
    desk::assert_sound(&installation);
}

#[test]
#[ignore = "needs the right to mount a small disk and processes of its own"]
fn real_ft_04_the_ballast_is_given_up_first_and_taken_again_when_there_is_room() {
    let disk = SmallDisk::mount("340m");
    let lmtp = free_address();
    let installation =
        Installation::in_folder(Kind::Sqlite, tempfile::tempdir_in(disk.0.path()).unwrap()).taking_mail(lmtp);
    set_up(&installation);
    let server = installation.serve();
    let ballast = Ballast::beside(&installation.data());
    wait_until("the ballast is taken", PATIENCE, || ballast.is_held());

    let filler = disk.0.path().join("filler");
    let room = disk::free_bytes(disk.0.path()).unwrap();
    std::fs::write(&filler, vec![0; usize::try_from(room).unwrap() - (6 << 20)]).unwrap();
    let deliver = || deliver_by_lmtp(lmtp, "claire@client.example", desk::MAILBOX, &mail());
    let began = Instant::now();
    let mut acknowledged = 0_i64;
    while ballast.is_held() {
        deliver().unwrap_or_else(|error| panic!("{error}: {}", installation.said()));
        acknowledged += 1;
        assert!(began.elapsed() < PATIENCE * 4, "the disk does not get full");
    }
    deliver().unwrap();
    acknowledged += 1;
    assert!(installation.said().contains("what was kept for this is given up"), "{}", installation.said());
    assert_eq!(ballast.held_bytes(), 0);

    std::fs::remove_file(&filler).unwrap();
    wait_until("the ballast is taken again", PATIENCE * 2, || ballast.is_held());
    server.stop();
    let mut db = installation.database();
    let kept: i64 = journal::table.count().get_result(&mut db).unwrap();
    assert_eq!(kept, acknowledged);
    desk::assert_sound(&installation);
}

#[test]
#[ignore = "needs a C compiler and processes of its own"]
fn real_db_08_when_the_disk_fails_nothing_more_is_acknowledged_and_the_process_ends() {
    let lmtp = free_address();
    let installation = Installation::empty(Kind::Sqlite).taking_mail(lmtp);
    set_up(&installation);
    let shim = compiled("failing_fsync.c", installation.folder.path());
    let fails = installation.folder.path().join("the-disk-fails");
    let (mut command, address, metrics) = installation.serve_command(&[]);
    command.env("LD_PRELOAD", &shim).env("FAILING_FSYNC", &fails);
    let mut server = Server::start(command, installation.log(), address, metrics);
    let deliver = || deliver_by_lmtp(lmtp, "claire@client.example", desk::MAILBOX, &mail());
    deliver().unwrap();

    std::fs::write(&fails, "").unwrap();
    assert!(deliver().is_err(), "a mail was acknowledged that the disk did not take");
    let status = server.wait();
    assert_eq!(status.code(), Some(74), "{}", installation.said());
    assert!(installation.said().contains("The disk failed"));
    assert!(deliver().is_err(), "nobody listens any more");

    std::fs::remove_file(&fails).unwrap();
    let server = installation.serve();
    deliver().unwrap();
    let mut db = installation.database();
    wait_until("every mail is read", PATIENCE, || {
        let read: i64 = journal::table.filter(journal::state.eq("applied")).count().get_result(&mut db).unwrap();
        let all: i64 = journal::table.count().get_result(&mut db).unwrap();
        // The one in the middle may have reached the disk or not; nobody was told that it had.
        read == all && (2..=3).contains(&read)
    });
    server.stop();
    desk::assert_sound(&installation);
}

/// Sets the desk up and gives a secret by which mail can be handed over.
fn set_up(installation: &Installation) -> String {
    let mut db = installation.database();
    let now = Clock::system().now();
    desk::set_up(&mut db, now);
    let new =
        NewApiToken { name: "mx".to_owned(), scopes: vec![Scope::Inbound], organisation: None, queue: None, days: 90 };
    let administrator = desk::administrator(&mut db);
    let (_, secret) = api_tokens::create(&mut db, administrator, &new, now).unwrap();
    secret.expose().to_owned()
}

/// A mail of a quarter of a mebibyte that no compression makes much smaller.
fn mail() -> String {
    let id = random_long_handle();
    let noise: String = (0..5_000).map(|_| format!("{}{}\n", random_long_handle(), random_long_handle())).collect();
    format!(
        "From: Claire <claire@client.example>\nTo: {}\nSubject: Journal {id}\nMessage-ID: <{id}@client.example>\n\n{noise}",
        desk::MAILBOX
    )
}

fn pipe(installation: &Installation, mail: &str) -> Option<i32> {
    use std::io::Write;
    let mut command =
        installation.command(&["mail", "--recipient", desk::MAILBOX, "--sender", "claire@client.example"]);
    let mut child = command.stdin(Stdio::piped()).stderr(installation.log()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
    child.wait().unwrap().code()
}

fn inbound(server: &Server, secret: &str, mail: &str) -> u16 {
    let path = format!("/api/v1/inbound?recipient={}&sender=claire@client.example", desk::MAILBOX);
    let headers = [("Authorization", &*format!("Bearer {secret}")), ("Content-Type", "message/rfc822")];
    http::send(server.address, "POST", &path, &headers, mail.as_bytes()).unwrap().status
}
