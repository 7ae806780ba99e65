//! Commands as mail servers and machines with many users run them.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use accord::clock::Clock;
use accord::db::schema::{journal, ticket_attachments, tickets};
use accord::storage::Storage;
use diesel::prelude::*;

use super::mail_wire::Sink;
use super::process::{Installation, Kind, PATIENCE, Server, wait_until};
use super::{desk, http};

#[test]
#[ignore = "needs processes of its own"]
fn real_s_07_adv_14_whatever_the_sender_of_a_piped_mail_is_called_the_mail_is_taken() {
    let installation = Installation::empty(Kind::Sqlite);
    desk::set_up(&mut installation.database(), Clock::system().now());
    let odd: [&[u8]; 7] = [
        b"claire@client.example",
        b"-oQ/tmp@client.example",
        b"--help",
        b"\xff\xfe@client.example",
        b"two\nlines@client.example",
        b"",
        &[b'x'; 5_000],
    ];
    for sender in odd {
        let sender = OsString::from_vec(sender.to_vec());
        assert_eq!(pipe(&installation, &[OsStr::new("--sender"), &sender], None), Some(0), "{sender:?}");
        assert_eq!(pipe(&installation, &[], Some(&sender)), Some(0), "{sender:?} as a variable");
    }
    let kept: Vec<String> =
        journal::table.select(journal::envelope_from).order(journal::id).load(&mut installation.database()).unwrap();
    assert_eq!(kept.len(), 2 * odd.len());
    assert!(kept.iter().all(|sender| sender.len() <= 320 && !sender.contains('\n')), "{kept:?}");
}

#[test]
#[ignore = "needs processes of its own"]
fn real_check_asks_every_relay_and_names_the_mailboxes_that_do_not_exist() {
    let sink = Sink::open(|| Duration::ZERO);
    let way = format!("host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n", sink.address.port());
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let installation = Installation::empty(Kind::Sqlite).with_settings(&format!(
        "[mail]\ncheck_senders = false\n[mail.smtp]\n{way}\
         [mail.relays.aide]\n{way}mailboxes = [\"aide@desk.example\"]\n\
         [mail.relays.ventes]\n{way}mailboxes = [\"vente@desk.example\"]\n\
         [mail.relays.parti]\nhost = \"127.0.0.1\"\nport = {gone}\ntls = \"none\"\nmailboxes = [\"desk.example\"]\n"
    ));
    desk::set_up(&mut installation.database(), Clock::system().now());
    let checked = installation.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!checked.status.success(), "{said}");
    for line in ["ok    outgoing mail", "ok    relay aide: ", "FAIL  relay parti: "] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(said.contains("FAIL  relay ventes: there is no mailbox vente@desk.example"), "{said}");
}

#[test]
#[ignore = "needs processes of its own"]
fn real_s_07_a_mail_for_a_folder_without_a_desk_begins_none_and_stays_with_the_mail_server() {
    let installation = Installation::empty(Kind::Sqlite);
    assert_eq!(pipe(&installation, &[], None), Some(75));
    assert!(!installation.data().join("accord.sqlite").exists());
    assert!(!installation.data().join("keys.json").exists());
}

#[test]
#[ignore = "needs processes of its own"]
fn real_s_07_arguments_that_cannot_be_read_leave_the_mail_with_the_mail_server() {
    let installation = Installation::empty(Kind::Sqlite);
    let not_text = OsString::from_vec(b"\xff".to_vec());
    for wrong in [OsStr::new("--no-such-flag"), OsStr::new("something"), &not_text] {
        assert_eq!(pipe(&installation, &[wrong], None), Some(75), "{wrong:?}");
    }
    let help = installation.command(&["mail", "--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let other = installation.command(&["migrate", "--no-such-flag"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
}

/// AU-03: which machine delivered it, as Postfix's pipe(8) says it, comes along, whoever writes the mail down.
#[test]
#[ignore = "needs processes of its own"]
fn real_s_07_au_03_the_pipe_takes_along_which_machine_delivered() {
    let installation = Installation::empty(Kind::Sqlite).with_settings("[mail]\noutgoing = \"files\"\n");
    desk::set_up(&mut migrated(&installation), Clock::system().now());
    let client = |address: &str, greeting: &str| {
        let arguments = ["--client-address", address, "--client-helo", greeting].map(OsString::from);
        pipe(&installation, &arguments.each_ref().map(OsString::as_os_str), None)
    };
    let newest = || -> (Option<String>, Option<String>) {
        let columns = (journal::client_address, journal::client_name);
        journal::table.order(journal::id.desc()).select(columns).first(&mut installation.database()).unwrap()
    };
    let known = |address: &str, name: &str| (Some(address.to_owned()), Some(name.to_owned()));
    assert_eq!(client("192.0.2.1", "mail.client.example"), Some(0));
    assert_eq!(newest(), known("192.0.2.1", "mail.client.example"));
    assert_eq!(client("${client_adress}", "mail.client.example"), Some(75));
    let server = installation.serve();
    assert_eq!(client("2001:db8::1", "-- \"$(x)"), Some(0));
    // No name, and known to be none.
    assert_eq!(newest(), known("2001:db8::1", "[]"));
    assert_eq!(client("", ""), Some(0));
    assert_eq!(newest(), (None, None));
    server.stop();
}

/// L-01: a pipe cannot refuse a mail for good, so what is too large to read is kept whole, and somebody sees it.
#[test]
#[ignore = "needs processes of its own"]
fn real_l_01_a_piped_mail_over_the_limit_is_kept_whole_and_one_beyond_all_bounds_stays_with_the_mail_server() {
    let settings = "[limits]\nmail_bytes = 65536\n[mail]\noutgoing = \"files\"\n";
    let installation = Installation::empty(Kind::Sqlite).with_settings(settings);
    desk::set_up(&mut migrated(&installation), Clock::system().now());
    let mail = |subject: &str, bytes: usize| {
        let head = format!("From: claire@client.example\nTo: {}\nSubject: {subject}\n\n", desk::MAILBOX);
        head.into_bytes().into_iter().chain(b"Un plan.\n".iter().copied().cycle()).take(bytes).collect::<Vec<u8>>()
    };
    let (first, second) = (mail("sans serveur", 3 << 20), mail("avec serveur", 3 << 20));
    assert_eq!(pipe_bytes(&installation, &first), Some(0));
    let server = installation.serve();
    assert_eq!(pipe_bytes(&installation, &second), Some(0));
    assert_eq!(pipe_bytes(&installation, &mail("trop", (100 << 20) + 1)), Some(75));
    let mut db = installation.database();
    wait_until("both are tickets", PATIENCE, || tickets::table.count().get_result::<i64>(&mut db).unwrap() == 2);
    server.stop();

    let storage = Storage::open(&installation.data().join("files")).unwrap();
    let files: Vec<(String, String)> = ticket_attachments::table
        .inner_join(tickets::table.on(tickets::id.eq(ticket_attachments::ticket_id)))
        .order(tickets::subject)
        .select((tickets::subject, ticket_attachments::content_hash))
        .load(&mut db)
        .unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
    for ((subject, hash), (wanted, raw)) in files.iter().zip([("avec serveur", second), ("sans serveur", first)]) {
        assert_eq!(subject, wanted);
        assert!(storage.get(hash).unwrap() == raw, "the mail {subject:?} is not kept as it came");
    }
}

#[test]
#[ignore = "needs processes of its own"]
fn real_what_is_written_into_a_folder_that_all_may_enter_is_not_for_all() {
    let installation = Installation::empty(Kind::Sqlite).with_settings("[mail]\noutgoing = \"files\"\n");
    std::fs::create_dir(installation.data()).unwrap();
    std::fs::set_permissions(installation.data(), PermissionsExt::from_mode(0o755)).unwrap();
    desk::set_up(&mut migrated(&installation), Clock::system().now());
    let server = installation.serve();
    assert_eq!(pipe(&installation, &[], None), Some(0));
    server.stop();
    let mut seen = Vec::new();
    walk(&installation.data(), &mut seen);
    assert!(seen.len() >= 4, "{seen:?}");
    let open: Vec<_> = seen.iter().filter(|(_, mode)| mode & 0o007 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
#[ignore = "needs processes of its own"]
fn real_ft_16_a_low_limit_of_open_files_is_raised_and_where_it_cannot_be_health_is_still_answered() {
    for limits in ["ulimit -Sn 128", "ulimit -n 256"] {
        let installation = Installation::empty(Kind::Sqlite);
        desk::set_up(&mut migrated(&installation), Clock::system().now());
        let (serve, address, metrics) = installation.serve_command(&[]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\"")).arg(serve.get_program()).args(serve.get_args());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut server = Server::start(command, installation.log(), address, metrics);
        let held: Vec<TcpStream> = (0..300).map_while(|_| TcpStream::connect(address).ok()).collect();
        assert_eq!(http::get(metrics, "/healthz").unwrap().status, 200, "{limits}");
        drop(held);
        wait_until("requests are answered again", Duration::from_secs(5), || {
            http::get(address, "/fr/sign-in").is_ok_and(|answer| answer.status == 200)
        });
        assert!(server.is_running());
        assert!(!installation.said().contains("Too many open files"), "{limits}: {}", installation.said());
    }
}

/// The database of an installation that the program itself has made.
fn migrated(installation: &Installation) -> accord::db::DbConnection {
    let made = installation.command(&["migrate"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    installation.database()
}

fn walk(folder: &Path, seen: &mut Vec<(String, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        seen.push((entry.path().display().to_string(), metadata.permissions().mode()));
        if metadata.is_dir() {
            walk(&entry.path(), seen);
        }
    }
}

/// What the mail server sees of a mail that it pipes in.
fn pipe(installation: &Installation, arguments: &[&OsStr], sender: Option<&OsStr>) -> Option<i32> {
    let mut command = installation.command(&["mail", "--recipient", desk::MAILBOX]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(installation.log());
    if let Some(sender) = sender {
        command.env("SENDER", sender);
    }
    let mut child = command.spawn().unwrap();
    // A program that ends without reading breaks the pipe, and then says by its status that it took nothing.
    let mail = format!("From: claire@client.example\nSubject: Bonjour\n\n{arguments:?} {sender:?}\n");
    drop(child.stdin.take().unwrap().write_all(mail.as_bytes()));
    child.wait().unwrap().code()
}

/// The same with a mail of one's own.
fn pipe_bytes(installation: &Installation, mail: &[u8]) -> Option<i32> {
    let mut command = installation.command(&["mail", "--recipient", desk::MAILBOX]);
    let mut child = command.stdin(Stdio::piped()).stderr(installation.log()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(mail));
    child.wait().unwrap().code()
}
