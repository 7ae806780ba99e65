//! Mail as it is in the world: OpenSMTPD hands it over, by LMTP or through the pipe, and takes what Accord sends;
//! swaks and Python's smtplib write it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord::access;
use accord::clock::Clock;
use accord::db::DbConnection;
use accord::db::schema::{ticket_messages, tickets};
use accord::db::types::TicketId;
use accord::mail::address::EmailAddress;
use accord::people::person;
use accord::tickets::messages::{self, NewReply, ReplyOutcome, Words};
use accord::tickets::status::Status;
use accord::tickets::ticket;
use diesel::Connection;
use diesel::prelude::*;

use super::desk;
use super::process::{Installation, Kind, Server, free_address, wait_until};

/// Debian's `nobody` and `nogroup`: a mail server never runs a pipe as root, so Accord runs as the same user.
pub const NOBODY: u32 = 65_534;
/// How long a mail may be under way.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Who writes.
pub const CUSTOMER: &str = "claire@client.example";

/// There is one mail server on a machine.
static MAIL_SERVER: Mutex<()> = Mutex::new(());

/// How the mail server hands mail over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Lmtp,
    Pipe,
}

/// What somebody answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Swaks,
    Smtplib,
}

#[test]
#[ignore = "needs OpenSMTPD, swaks and Python"]
fn real_a_mail_delivered_by_lmtp_is_answered_and_the_answer_to_that_lands_in_its_ticket() {
    there_and_back(Way::Lmtp, Client::Smtplib);
}

#[test]
#[ignore = "needs OpenSMTPD and swaks"]
fn real_a_mail_delivered_through_the_pipe_is_answered_and_the_answer_to_that_lands_in_its_ticket() {
    there_and_back(Way::Pipe, Client::Swaks);
}

fn there_and_back(way: Way, client: Client) {
    let town = Town::open(way);
    let mut db = town.installation.database();

    town.swaks(&["--to", desk::MAILBOX, "--header", "Subject: Export en panne", "--body", "L’export ne finit plus."]);
    let asked = || {
        tickets::table
            .select((tickets::id, tickets::subject))
            .load::<(TicketId, String)>(&mut town.installation.database())
    };
    wait_until("the mail has become a ticket", PATIENCE, || !asked().unwrap().is_empty());
    let (id, subject) = asked().unwrap().remove(0);
    assert_eq!(subject, "Export en panne");
    let confirmation = town.next_mail();
    assert!(header(&confirmation, "Auto-Submitted").starts_with("auto-"), "a machine's answer says that it is one");

    let ticket = ticket::by_id(&mut db, id).unwrap();
    let answer = "Bonjour, quelle version avez-vous ?";
    reply(&mut db, id, answer);
    let mail = town.next_mail();
    let text = std::fs::read_to_string(&mail).unwrap();
    assert!(text.contains("quelle version avez-vous"), "{text}");
    assert!(header(&mail, "Subject").contains(ticket.reference.as_str()), "{text}");

    match client {
        Client::Smtplib => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/real/reply.py");
            let (host, port) = (town.relay.ip().to_string(), town.relay.port().to_string());
            let sent = Command::new("python3").arg(script).arg(&mail).args([&host, &port]).arg("La 7.1.").status();
            assert!(sent.unwrap().success());
        }
        Client::Swaks => {
            let to = header(&mail, "Reply-To");
            let address = to.rsplit_once('<').map_or(to.as_str(), |(_, rest)| rest.trim_end_matches('>'));
            let (id, subject) = (header(&mail, "Message-ID"), header(&mail, "Subject"));
            town.swaks(&[
                "--to",
                address,
                "--header",
                &format!("Subject: Re: {subject}"),
                "--add-header",
                &format!("In-Reply-To: {id}"),
                "--add-header",
                &format!("References: {id}"),
                "--body",
                "La 7.1.",
            ]);
        }
    }
    let said = said_when_there_are(&mut db, 3);
    assert!(said.iter().all(|(ticket, _, _)| *ticket == id), "all of it is one ticket: {said:#?}");
    let (_, from, last) = &said[2];
    assert_eq!((from.as_str(), last.trim()), (CUSTOMER, "La 7.1."));
}

/// Everything that is said in tickets, when it is so much: in which ticket, by whom, and the words.
pub fn said_when_there_are(db: &mut DbConnection, count: usize) -> Vec<(TicketId, String, String)> {
    let mut said = Vec::new();
    wait_until(&format!("{count} messages are there"), PATIENCE, || {
        said = ticket_messages::table
            .order(ticket_messages::id)
            .select((ticket_messages::ticket_id, ticket_messages::from_address, ticket_messages::body_text))
            .load(db)
            .unwrap();
        said.len() >= count
    });
    said
}

/// An agent answers. That the page does the same is shown elsewhere, in the browser.
pub fn reply(db: &mut DbConnection, ticket: TicketId, text: &str) {
    let now = Clock::system().now();
    let nora = person::find_by_address(db, &EmailAddress::parse(desk::ADMINISTRATOR).unwrap()).unwrap().unwrap();
    let nora = access::actor_of(db, nora.id).unwrap();
    let ticket = ticket::by_id(db, ticket).unwrap();
    let reply = NewReply {
        words: Words::on_page(text),
        attachments: Vec::new(),
        seen: ticket.message_count,
        status: Status::WaitingForCustomer,
        mail_id: None,
        ingest: None,
    };
    let outcome = db.transaction(|db| messages::add_reply(db, &ticket, reply.clone(), &nora, now)).unwrap();
    assert!(matches!(outcome, ReplyOutcome::Sent(_)));
}

/// Gives the installation to nobody, and serves it as such; gives the program where everybody may run it, too.
pub fn serve_as_nobody(installation: &Installation) -> (PathBuf, Server) {
    let folder = installation.folder.path();
    let program = folder.join("accord");
    std::fs::copy(env!("CARGO_BIN_EXE_accord"), &program).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let data = installation.data();
    let files = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([data.clone()]) {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let address = free_address();
    let listen = address.to_string();
    let mut command = installation.command_of(&program, &["serve", "--listen", &listen]);
    command.uid(NOBODY).gid(NOBODY);
    let server = Server::start(command, installation.log(), address, address);
    (program, server)
}

/// A mail server with a mailbox for every customer, and Accord beside it.
struct Town {
    installation: Installation,
    relay: std::net::SocketAddr,
    mailboxes: PathBuf,
    seen: Mutex<Vec<PathBuf>>,
    mail_server: Child,
    _server: Server,
    _alone: MutexGuard<'static, ()>,
}

impl Town {
    fn open(way: Way) -> Town {
        let alone = MAIL_SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let (relay, lmtp) = (free_address(), free_address());
        let installation = Installation::empty(Kind::Sqlite).with_settings(&format!(
            "[mail]\nlmtp = \"{lmtp}\"\nreply_domain = \"reply.desk.example\"\n\
             [mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            relay.port()
        ));
        let folder = installation.folder.path().to_owned();
        let mailboxes = folder.join("boxes");
        std::fs::create_dir(&mailboxes).unwrap();
        desk::set_up(&mut installation.database(), Clock::system().now());
        chown(&mailboxes, Some(NOBODY), Some(NOBODY)).unwrap();
        let (program, server) = serve_as_nobody(&installation);
        let data = installation.data();

        let action = match way {
            Way::Lmtp => format!("lmtp \"{lmtp}\" rcpt-to virtual <everybody>"),
            Way::Pipe => format!(
                "mda \"{} mail --config {} --data {}\" virtual <everybody>",
                program.display(),
                folder.join("accord.toml").display(),
                data.display()
            ),
        };
        let settings = folder.join("smtpd.conf");
        let text = format!(
            "listen on {} port {}\n\
             table everybody {{ \"@\" = \"nobody\" }}\n\
             action \"accord\" {action}\n\
             action \"customer\" maildir \"{}\" virtual <everybody>\n\
             match from any for domain {{ \"desk.example\" \"reply.desk.example\" }} action \"accord\"\n\
             match from any for any action \"customer\"\n",
            relay.ip(),
            relay.port(),
            mailboxes.display()
        );
        std::fs::write(&settings, text).unwrap();
        let log = std::fs::File::create(folder.join("smtpd.log")).unwrap();
        let mail_server = Command::new("/usr/sbin/smtpd")
            .arg("-d")
            .arg("-f")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("this test needs OpenSMTPD");
        let seen = Mutex::default();
        let town = Town { installation, relay, mailboxes, seen, mail_server, _server: server, _alone: alone };
        wait_until("the mail server listens", PATIENCE, || std::net::TcpStream::connect(relay).is_ok());
        town
    }

    /// Somebody writes a mail with swaks.
    fn swaks(&self, arguments: &[&str]) {
        let output = Command::new("swaks")
            .args([
                "--server",
                &self.relay.to_string(),
                "--from",
                CUSTOMER,
                "--header",
                &format!("From: Claire <{CUSTOMER}>"),
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("this test needs swaks");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// The next mail that a customer got.
    fn next_mail(&self) -> PathBuf {
        let mut found = None;
        wait_until("a mail has arrived", PATIENCE, || {
            let seen = self.seen.lock().unwrap();
            let Ok(entries) = std::fs::read_dir(self.mailboxes.join("new")) else { return false };
            found = entries.map(|entry| entry.unwrap().path()).find(|path| !seen.contains(path));
            found.is_some()
        });
        let path = found.unwrap();
        self.seen.lock().unwrap().push(path.clone());
        path
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let folder = self.installation.folder.path();
            println!("{}", std::fs::read_to_string(folder.join("smtpd.log")).unwrap_or_default());
            println!("{}", self.installation.said());
        }
        // Its children go when it goes; killed, it would leave them.
        drop(Command::new("kill").arg("-TERM").arg(self.mail_server.id().to_string()).status());
        drop(self.mail_server.wait());
    }
}

/// A header of a mail in a file, unfolded; empty if there is none.
fn header(mail: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(mail).unwrap();
    let block = text.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
    block
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}
