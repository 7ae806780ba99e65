//! Mail as it comes to a desk: half of it plain, a third with HTML, a tenth with a file of 100 KiB, and among all of them a
//! fifth that answers tickets. Handed over on eight connections as fast as it is taken, and over once every one of them stands
//! in its ticket and what follows from it is done. And single mails as large as are taken.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use accord::keys::Keys;
use accord::mail::reply_address::{self, AddressPurpose, TokenFor};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use crate::{LMTP, Program, at, desk, mix, report, waiting};

/// Mails of a measurement: at the rate that is wanted, ten seconds.
const MAILS: usize = 10_000;
const CONNECTIONS: usize = 8;
/// The most that a mail may weigh.
const LARGEST: usize = 25 << 20;
/// How long what was handed over may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What an answer to a ticket bears: where it goes, and who sends it.
#[derive(QueryableByName)]
struct Conversation {
    #[diesel(sql_type = BigInt)]
    handle: i64,
    #[diesel(sql_type = BigInt)]
    organisation: i64,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Integer)]
    epoch: i32,
    #[diesel(sql_type = Text)]
    address: String,
}

/// Signed addresses of the requesters of the desk's tickets, each with the address that answers.
fn conversations(folder: &Path) -> Vec<(String, String)> {
    let keys = Keys::load_or_create(&folder.join("keys.json"), accord::clock::Clock::system().now()).expect("keys");
    let keys = keys.for_mail();
    let found: Vec<Conversation> = at(folder)
        .read_now(|db| {
            let query = "SELECT t.handle, t.organisation_id AS organisation, p.token_number AS number, \
                         p.token_epoch AS epoch, a.address FROM tickets t JOIN ticket_participants p \
                         ON p.ticket_id = t.id AND p.person_id = t.requester_id JOIN person_addresses a \
                         ON a.person_id = p.person_id WHERE t.status <> 'closed'";
            Ok(diesel::sql_query(query).load(db)?)
        })
        .expect("conversations");
    let addressed = found.into_iter().map(|found| {
        let token = TokenFor {
            purpose: AddressPurpose::Reply,
            ticket_handle: found.handle,
            participant: u32::try_from(found.number).expect("a number"),
            epoch: u16::try_from(found.epoch).expect("an epoch"),
            organisation: found.organisation,
            mailbox: desk::SUPPORT,
        };
        (format!("{}@reply.localhost", reply_address::mint(&keys, &token)), found.address)
    });
    addressed.collect()
}

/// The `number`th mail of the mix, with its sender and its recipient.
fn mixed(number: usize, conversations: &[(String, String)]) -> (String, String, Vec<u8>) {
    let sender = format!("jean.dupont.{number}@acme.example");
    let (sender, recipient, subject) = if number % 5 == 4 {
        let (to, from) = &conversations[number / 5 % conversations.len()];
        (from.clone(), to.clone(), "Re: L’écran reste noir au démarrage")
    } else {
        (sender, desk::SUPPORT.to_owned(), "Le téléchargement échoue")
    };
    let mail = match number % 10 {
        3 => mix::with_file(number, &sender, subject, 100 << 10),
        0 | 2 | 6 => mix::html(number, &sender, subject),
        _ => mix::plain(number, &sender, subject),
    };
    (sender, recipient, mail)
}

/// A connection on which mails are handed over.
struct Connection {
    lines: BufReader<TcpStream>,
    stream: TcpStream,
}

impl Connection {
    fn open() -> std::io::Result<Connection> {
        let stream = TcpStream::connect(LMTP)?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { lines: BufReader::new(stream.try_clone()?), stream };
        connection.expect("220")?;
        connection.stream.write_all(b"LHLO bench\r\n")?;
        connection.expect("250")?;
        Ok(connection)
    }

    fn expect(&mut self, code: &str) -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line)?;
            if line.starts_with(&format!("{code} ")) {
                return Ok(());
            }
            if !line.starts_with(&format!("{code}-")) {
                return Err(std::io::Error::other(line));
            }
        }
    }

    fn hand_over(&mut self, sender: &str, recipient: &str, mail: &[u8]) -> std::io::Result<()> {
        let envelope = format!("MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        self.stream.write_all(envelope.as_bytes())?;
        self.expect("250")?;
        self.expect("250")?;
        self.expect("354")?;
        // No line of these mails begins with a dot.
        self.stream.write_all(mail)?;
        self.stream.write_all(b".\r\n")?;
        self.expect("250")
    }
}

/// Mail that is not yet in its ticket.
const ON_ITS_WAY: &str = "journal WHERE state IN ('accepted', 'parsed')";
/// What follows from it: the index, acknowledgements, mails to agents.
const FOLLOWS: &str = "jobs";

/// Waits until nothing is left to do; gives the most memory in use meanwhile, in MiB.
fn settle(folder: &Path, program: &Program, what: &[&str]) -> f64 {
    let began = Instant::now();
    let database = at(folder);
    let mut most: f64 = 0.0;
    loop {
        most = most.max(program.memory("VmRSS"));
        let left: i64 = what.iter().map(|what| waiting(&database, what)).sum();
        if left == 0 {
            return most;
        }
        assert!(began.elapsed() < PATIENCE, "{left} pieces of work are left");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts the program in a copy of a desk of ten thousand tickets, of which a tenth is open.
fn desk_with(folder: &Path) -> Program {
    desk::copy_to(&desk::kept(10_000), folder);
    Program::start(folder).0
}

/// The mix, from a mail server's hand to the ticket and what follows.
pub fn measure() {
    let home = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = home.path();
    let program = desk_with(folder);
    let conversations = conversations(folder);
    let before = (waiting(&at(folder), "tickets"), waiting(&at(folder), "ticket_messages"));
    let (next, cpu, began) = (AtomicUsize::new(0), program.processor_time(), Instant::now());
    let most = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open().expect("a connection");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= MAILS {
                        return;
                    }
                    let (sender, recipient, mail) = mixed(number, &conversations);
                    connection.hand_over(&sender, &recipient, &mail).expect("every mail is taken");
                }
            });
        }
        let watching = scope.spawn(|| {
            let mut most: f64 = 0.0;
            while next.load(Ordering::Relaxed) < MAILS {
                most = most.max(program.memory("VmRSS"));
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        watching.join().expect("somebody who watched")
    });
    let taken = began.elapsed();
    let most = most.max(settle(folder, &program, &[ON_ITS_WAY]));
    let (took, used) = (began.elapsed(), program.processor_time() - cpu);
    let most = most.max(settle(folder, &program, &[ON_ITS_WAY, FOLLOWS]));
    let (took_all, used_all) = (began.elapsed(), program.processor_time() - cpu);
    let database = at(folder);
    let tickets = waiting(&database, "tickets") - before.0;
    let messages = waiting(&database, "ticket_messages") - before.1;
    println!("      {tickets} tickets and {messages} messages of {MAILS} mails, taken in {:.1} s", taken.as_secs_f64());
    assert_eq!(
        waiting(&database, "journal WHERE state NOT IN ('applied', 'rejected')"),
        0,
        "every mail found its place"
    );
    let each = |took: Duration| MAILS as f64 / took.as_secs_f64();
    let of_each = |used: Duration| used.as_secs_f64() * 1e3 / MAILS as f64;
    report("mails to tickets", each(took), "1/s", "at least 1000");
    report("processor time until then, a mail", of_each(used), "ms", "at most 1");
    report("the same, index, acknowledgements and mails written too", each(took_all), "1/s", "-");
    report("processor time until then, a mail", of_each(used_all), "ms", "-");
    report("memory meanwhile, at most", most, "MiB", "at most 100");
}

/// Mails as large as are taken, one by one: what each of several makes costs.
pub fn measure_large() {
    let home = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = home.path();
    for (what, mail) in mix::large(LARGEST) {
        let inner = tempfile::Builder::new().tempdir_in(folder).expect("a folder");
        let program = desk_with(inner.path());
        let cpu = program.processor_time();
        let mut connection = Connection::open().expect("a connection");
        connection.hand_over("jean@acme.example", desk::SUPPORT, &mail).expect("the mail is taken");
        settle(inner.path(), &program, &[ON_ITS_WAY, FOLLOWS]);
        let used = program.processor_time() - cpu;
        report(&format!("25 MiB, {what}"), used.as_secs_f64(), "s", "at most 2");
        report("      memory", program.memory("VmHWM"), "MiB", "at most 256");
    }
}
