//! Mail handed over by LMTP: durable before it is acknowledged, for addresses of ours only, one mail at a time.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use accord::config::mail::LmtpListen;
use accord::db::DbConnection;
use accord::db::connection::{Role, open};
use accord::journal::unprocessed;
use accord::teams::queues::{self, QueueKind};
use accord::worker::lmtp::{self, Door};
use accord::worker::local_socket;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::support::desk::{Desk, Letter, SUPPORT};

/// A mail server's connection to the listener of a desk.
pub(super) struct Peer<S = TcpStream> {
    stream: S,
    read: String,
}

pub(super) struct Listening {
    port: u16,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) fn listen(desk: &Desk) -> Listening {
    let door = Door::open(&LmtpListen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
    let (port, stop) = (door.port().unwrap(), CancellationToken::new());
    accord::carry::task(lmtp::serve(desk.test.app.clone(), door, stop.clone()));
    Listening { port, stop }
}

impl Peer {
    pub(super) async fn connect(listening: &Listening) -> Peer {
        let stream = TcpStream::connect(("127.0.0.1", listening.port)).await.unwrap();
        let mut peer = Peer { stream, read: String::new() };
        assert!(peer.line().await.starts_with("220 "));
        peer
    }

    /// Connected and greeted.
    pub(super) async fn greeted(listening: &Listening) -> Peer {
        let mut peer = Peer::connect(listening).await;
        peer.greet().await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    async fn greet(&mut self) {
        self.send("LHLO mx.garonne.example\r\n").await;
        while !self.line().await.starts_with("250 ") {}
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next line of an answer; nothing when the connection is closed.
    pub(super) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.find("\r\n") {
                let rest = self.read.split_off(end + 2);
                return std::mem::replace(&mut self.read, rest).trim_end().to_owned();
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut buffer)).await.unwrap();
            match read {
                Ok(0) | Err(_) => return String::new(),
                Ok(count) => self.read.push_str(&String::from_utf8_lossy(&buffer[..count])),
            }
        }
    }

    pub(super) async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        self.line().await
    }

    /// Hands a mail over for support; gives the last answer.
    pub(super) async fn deliver(&mut self, content: &[u8]) -> String {
        self.deliver_from("claire@acme.example", content).await
    }

    /// The same from an envelope that may have to wait; gives what was said of the mail, or that it is not wanted now.
    pub(super) async fn offer(&mut self, envelope: &str, content: &[u8]) -> String {
        assert!(self.ask(&format!("MAIL FROM:<{envelope}>")).await.starts_with("250"));
        assert!(self.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
        let said = self.ask("DATA").await;
        if !said.starts_with("354") {
            return said;
        }
        self.send_bytes(content).await;
        self.send("\r\n.\r\n").await;
        self.line().await
    }

    /// The same from that envelope.
    pub(super) async fn deliver_from(&mut self, envelope: &str, content: &[u8]) -> String {
        assert!(self.ask(&format!("MAIL FROM:<{envelope}>")).await.starts_with("250"));
        assert!(self.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
        assert!(self.ask("DATA").await.starts_with("354"));
        self.send_bytes(content).await;
        self.send("\r\n.\r\n").await;
        self.line().await
    }
}

fn waiting(desk: &Desk) -> i64 {
    desk.test.read(unprocessed::counts).waiting
}

#[actix_web::test]
async fn j_01_s_02_a_mail_is_in_the_journal_when_it_is_acknowledged() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    let letter = Letter::from("claire@acme.example");
    assert!(peer.deliver(&letter.bytes()).await.starts_with("250 2.6.0"));
    assert_eq!(waiting(&desk), 1);
    assert!(peer.deliver(&Letter::from("bob@acme.example").bytes()).await.starts_with("250"));
    assert!(peer.ask("QUIT").await.starts_with("221"));
    desk.test.run_jobs();
    assert_eq!(desk.tickets().len(), 2);
    assert_eq!(desk.tickets()[0].requester_id, desk.claire);
}

#[actix_web::test]
async fn s_02_j_01_mail_is_taken_over_a_unix_socket_that_other_users_mail_server_may_use() {
    let desk = Desk::open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    // A process that is gone left its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let door = Door::open(&LmtpListen::Unix(path.clone())).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
    let stop = CancellationToken::new();
    let _stops_at_the_end = stop.clone().drop_guard();
    accord::carry::task(lmtp::serve(desk.test.app.clone(), door, stop));
    let mut peer = Peer { stream: UnixStream::connect(&path).await.unwrap(), read: String::new() };
    assert!(peer.line().await.starts_with("220 "));
    peer.greet().await;
    assert!(peer.deliver(&Letter::from("claire@acme.example").bytes()).await.starts_with("250 2.6.0"));
    assert!(peer.ask("RCPT TO:<user@elsewhere.example>").await.starts_with('5'));
    assert!(peer.ask("QUIT").await.starts_with("221"));
    assert_eq!(waiting(&desk), 1);
    desk.test.run_jobs();
    assert_eq!(desk.ticket().requester_id, desk.claire);
}

#[actix_web::test]
async fn a_socket_that_somebody_listens_on_is_not_taken_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let listen = LmtpListen::Unix(folder.path().join("lmtp"));
    let first = Door::open(&listen).unwrap();
    assert!(Door::open(&listen).is_err());
    drop(first);
    Door::open(&listen).unwrap();
}

#[actix_web::test]
async fn a_socket_whose_listener_takes_nobody_up_is_somebody_s_and_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _fills_the_line = local_socket::connect(&path, Duration::from_millis(50)).unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    let listen = LmtpListen::Unix(path.clone());
    let here = tokio::runtime::Handle::current();
    // On a thread, since it would never come back from a socket that it waits for.
    std::thread::spawn(move || {
        let _within = here.enter();
        told.send(Door::open(&listen).map(drop).map_err(|error| error.kind()))
    });
    let opened = hears.recv_timeout(Duration::from_secs(20)).expect("it comes back");
    assert_eq!(opened, Err(std::io::ErrorKind::AddrInUse));
    let waited = local_socket::connect(&path, Duration::from_millis(50)).unwrap_err();
    assert_eq!(waited.kind(), std::io::ErrorKind::WouldBlock);
}

#[actix_web::test]
async fn a_file_that_is_no_socket_is_not_removed_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    std::fs::write(&path, "somebody's").unwrap();
    assert!(Door::open(&LmtpListen::Unix(path.clone())).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
}

#[actix_web::test]
async fn s_02_nothing_is_relayed_and_unknown_mailboxes_are_refused_at_once() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    assert!(peer.ask("MAIL FROM:<a@b.example>").await.starts_with("250"));
    assert!(peer.ask("RCPT TO:<nobody@garonne.example>").await.starts_with("550 5.1.1"));
    for relay in [
        "<user@elsewhere.example>",
        "<user%elsewhere.example@garonne.example>",
        "<elsewhere.example!user@garonne.example>",
        "<@garonne.example:user@elsewhere.example>",
        "<\"user@elsewhere.example\"@garonne.example>",
        "<user@elsewhere.example@garonne.example>",
    ] {
        let answer = peer.ask(&format!("RCPT TO:{relay}")).await;
        assert!(answer.starts_with('5'), "{relay}: {answer}");
    }
    assert!(peer.ask("DATA").await.starts_with("503"));
    assert_eq!(waiting(&desk), 0);
}

#[actix_web::test]
async fn j_06_each_recipient_is_answered_on_its_own() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    peer.send(&format!(
        "MAIL FROM:<claire@acme.example>\r\nRCPT TO:<{SUPPORT}>\r\nRCPT TO:<nobody@garonne.example>\r\n\
         RCPT TO:<r+anything@reply.desk.example>\r\nDATA\r\n"
    ))
    .await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(peer.line().await[..3].to_owned());
    }
    assert_eq!(answers, ["250", "250", "550", "250", "354"]);
    peer.send_bytes(&Letter::from("claire@acme.example").bytes()).await;
    peer.send(".\r\n").await;
    assert!(peer.line().await.starts_with("250"));
    assert!(peer.line().await.starts_with("250"));
    assert_eq!(waiting(&desk), 1, "both addresses lead to one mailbox");
    assert!(peer.ask("NOOP").await.starts_with("250"));
}

#[actix_web::test]
async fn s_03_long_lines_many_recipients_and_many_errors_are_refused() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    assert!(peer.ask(&format!("NOOP {}", "x".repeat(2_000))).await.starts_with("500"));
    assert!(peer.ask(&format!("NOOP {}", "x".repeat(200_000))).await.starts_with("500"));
    assert!(peer.ask("MAIL FROM:<a@b.example> SIZE=99999999").await.starts_with("552 5.3.4"));
    assert!(peer.ask("MAIL FROM:<a@b.example>").await.starts_with("250"));
    for _ in 0..100 {
        assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
    }
    assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("452 4.5.3"));
    peer.send(&"NONSENSE\r\n".repeat(10)).await;
    let mut answers = Vec::new();
    loop {
        let answer = peer.line().await;
        if answer.is_empty() {
            break;
        }
        answers.push(answer);
    }
    assert!(answers.len() < 10 && answers.iter().any(|answer| answer.starts_with("421 4.7.0")), "{answers:?}");
    assert!(TcpStream::connect(("127.0.0.1", listening.port)).await.is_ok(), "others are still served");
}

#[actix_web::test]
async fn s_03_l_01_a_mail_or_a_line_that_is_too_long_is_refused_and_the_next_is_taken() {
    let desk = Desk::with_settings("[limits]\nmail_bytes = 131072");
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    let lines = "0123456789\r\n".repeat(12_000);
    assert!(peer.deliver(lines.as_bytes()).await.starts_with("552 5.3.4"));
    assert!(peer.deliver("x".repeat(70_000).as_bytes()).await.starts_with("500"));
    assert!(peer.deliver(&Letter::from("claire@acme.example").bytes()).await.starts_with("250"));
    assert_eq!(waiting(&desk), 1);
}

#[actix_web::test]
async fn s_03_a_refused_mail_takes_no_room_while_the_rest_of_it_comes() {
    let desk = Desk::with_settings("[limits]\nmail_bytes = 131072");
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    for command in ["MAIL FROM:<claire@acme.example>", &format!("RCPT TO:<{SUPPORT}>"), "DATA"] {
        assert!(peer.ask(command).await.starts_with(['2', '3']), "{command}");
    }
    peer.send("0123456789\r\n".repeat(10_900).as_str()).await;
    let receiving = &desk.test.app.receiving;
    let all = 64 << 20;
    while receiving.begin().grow_to(all) {
        tokio::task::yield_now().await;
    }
    // It is longer than it may be now, and not at its end.
    peer.send("0123456789\r\n".repeat(100).as_str()).await;
    while !receiving.begin().grow_to(all) {
        tokio::task::yield_now().await;
    }
    assert!(peer.ask(".").await.starts_with("552 5.3.4"));
}

/// What other servers have taken for the end of a mail, or might (S-09).
const FALSE_ENDS: [&str; 16] = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\n.\r",
    "\r\n.\r",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\0\n",
    "\r\0\n.\r\n",
    "\r\n. \r\n",
    "\r\n\t.\r\n",
];

#[actix_web::test]
async fn adv_39_s_09_what_only_looks_like_an_end_smuggles_no_second_mail_however_the_bytes_are_cut() {
    let smuggled = format!(
        "MAIL FROM:<admin@acme.example>\r\nRCPT TO:<{SUPPORT}>\r\nDATA\r\nFrom: admin@acme.example\r\nSubject: smuggled\r\n\r\nx"
    );
    for false_end in FALSE_ENDS {
        let desk = Desk::open();
        let listening = listen(&desk);
        for (already, piece_bytes) in [1, 7, 100_000].into_iter().enumerate() {
            let mut peer = Peer::greeted(&listening).await;
            let mut content = Letter::from("claire@acme.example").subject(&format!("Écran {piece_bytes}")).bytes();
            content.extend_from_slice(false_end.as_bytes());
            content.extend_from_slice(smuggled.as_bytes());
            // The real end, and in the same breath the beginning of a second mail, which is the peer's own.
            content.extend_from_slice(b"\r\n.\r\nMAIL FROM:<bob@acme.example>\r\n");
            content.extend_from_slice(format!("RCPT TO:<{SUPPORT}>\r\n").as_bytes());
            assert!(peer.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
            assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
            assert!(peer.ask("DATA").await.starts_with("354"));
            for piece in content.chunks(piece_bytes) {
                peer.send_bytes(piece).await;
            }
            let answers = [peer.line().await, peer.line().await, peer.line().await];
            assert!(answers[0].starts_with("250 2.6.0"), "{false_end:?}: {answers:?}");
            assert!(answers[1].starts_with("250 2.1.0") && answers[2].starts_with("250 2.1.5"), "{answers:?}");
            assert!(peer.ask("RSET").await.starts_with("250 2.0.0"), "{false_end:?}: nothing else was answered");
            assert_eq!(waiting(&desk), 1, "{false_end:?}");
            desk.test.run_jobs();
            let tickets = desk.tickets();
            assert_eq!(tickets.len(), already + 1, "{false_end:?}");
            assert!(
                tickets.iter().all(|ticket| ticket.requester_id == desk.claire && ticket.subject.starts_with("Écran")),
                "{false_end:?}"
            );
        }
    }
}

#[actix_web::test]
async fn ft_04_for_a_mail_without_room_the_answer_is_452_reads_go_on_and_all_is_well_with_room_again() {
    let desk = Desk::open();
    let listening = listen(&desk);
    if !desk.fill_disk() {
        return;
    }
    let mut peer = Peer::greeted(&listening).await;
    let large = |subject: &str| {
        let text = "Bonjour, voici le journal.\r\n".repeat(10_000);
        Letter::from("claire@acme.example").subject(subject).text(&text).bytes()
    };
    for attempt in 0..3 {
        let answer = peer.deliver(&large("Sans place")).await;
        assert!(answer.starts_with("452 4.3.1"), "attempt {attempt}: {answer}");
    }
    assert_eq!(waiting(&desk), 0);
    let browser = desk.test.browser().await;
    browser.get("/readyz").await.assert_status(200);
    browser.get("/fr/sign-in").await.assert_status(200);
    let taken = local_socket::take_mail(
        &desk.test.app,
        SUPPORT.to_owned(),
        "claire@acme.example".to_owned(),
        None,
        large("Par le tube"),
    );
    assert_eq!(local_socket::reason(&taken.await.unwrap_err()), "there is no room on the disk");

    desk.make_room();
    assert!(peer.deliver(&large("Avec place")).await.starts_with("250 2.6.0"));
    desk.test.run_jobs();
    assert_eq!(desk.ticket().subject, "Avec place");
}

#[actix_web::test]
async fn s_04_s_02_what_is_not_offered_is_not_done() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::connect(&listening).await;
    assert!(peer.ask("EHLO x").await.starts_with("500"));
    assert!(peer.ask("MAIL FROM:<a@b.example>").await.starts_with("503"));
    assert!(peer.ask("STARTTLS").await.starts_with("502"));
    assert!(peer.ask("AUTH PLAIN AGEAYg==").await.starts_with('5'));
    assert!(peer.ask("LHLO x\nMAIL FROM:<a@b>").await.starts_with("500"));
}

#[actix_web::test]
async fn a_connection_that_breaks_off_leaves_nothing_behind() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    assert!(peer.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
    assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
    assert!(peer.ask("DATA").await.starts_with("354"));
    peer.send_bytes(&Letter::from("claire@acme.example").bytes()).await;
    drop(peer);
    let mut other = Peer::greeted(&listening).await;
    assert!(other.ask("NOOP").await.starts_with("250"));
    assert_eq!(waiting(&desk), 0);
}

/// A thousand mails in the names of people who sent none: to nobody, too large, and such as are held or doubted. What is
/// refused is refused to the mail server that is there; nobody is written to who is named in them.
#[actix_web::test]
async fn lp_04_a_thousand_spoofed_mails_unknown_oversize_or_held_send_nothing_to_whom_they_name() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut accepted = 0;
    for round in 0..100 {
        // A session ends after some refusals, so there is one for each ten mails.
        let mut peer = Peer::greeted(&listening).await;
        let victim = |number: usize| format!("victim{}@innocent.example", round * 10 + number);
        for number in 0..4 {
            assert!(peer.ask(&format!("MAIL FROM:<{}>", victim(number))).await.starts_with("250"));
            assert!(peer.ask("RCPT TO:<nobody@garonne.example>").await.starts_with("550 5.1.1"));
            assert!(peer.ask("RSET").await.starts_with("250"));
        }
        for number in 4..7 {
            let command = format!("MAIL FROM:<{}> SIZE=99999999", victim(number));
            assert!(peer.ask(&command).await.starts_with("552 5.3.4"));
        }
        let [bounced, of_two, forged] = [7, 8, 9].map(victim);
        let letters = [
            ("", Letter::from(&bounced)),
            ("x@y.example", Letter::from("x@y.example").header("From", &format!("{of_two}, other@y.example"))),
            (forged.as_str(), Letter::from(&forged).authenticated("fail")),
        ];
        for (envelope, letter) in letters {
            accepted += usize::from(peer.deliver_from(envelope, &letter.bytes()).await.starts_with("250"));
        }
    }
    assert_eq!(accepted, 300);
    desk.test.run_jobs();
    let sent = desk.sent();
    assert!(sent.iter().all(|sent| sent.recipient == "zoe@staff.example"), "only our own are told: {sent:?}");
    assert!(desk.test.read(unprocessed::counts).held > 0);
}

#[actix_web::test]
async fn s_08_who_sends_too_much_waits_and_loses_nothing_and_others_go_on() {
    let desk = Desk::with_settings("[limits]\nmails_per_sender_hour = 10\nmails_per_mailbox_hour = 12");
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    let letter = |number: usize| Letter::from("claire@acme.example").text(&format!("{number}\r\n")).bytes();
    for number in 0..10 {
        assert!(peer.deliver(&letter(number)).await.starts_with("250"));
    }
    assert!(peer.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
    assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
    assert!(peer.ask("DATA").await.starts_with("451 4.7.1"));
    // The same connection takes another's, until the mailbox has had enough as well.
    assert!(peer.deliver_from("bob@elsewhere.example", &letter(11)).await.starts_with("250"));
    assert!(peer.ask("MAIL FROM:<bob@elsewhere.example>").await.starts_with("250"));
    assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
    assert!(peer.ask("DATA").await.starts_with("354"));
    peer.send_bytes(&letter(12)).await;
    assert!(peer.ask("\r\n.").await.starts_with("250"));
    assert!(peer.ask("MAIL FROM:<bob@elsewhere.example>").await.starts_with("250"));
    assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
    assert!(peer.ask("DATA").await.starts_with("451 4.7.1"));
    assert_eq!(waiting(&desk), 12);
    desk.test.clock.advance(TimeDelta::minutes(6));
    assert!(peer.ask("RSET").await.starts_with("250"));
    assert!(peer.deliver(&letter(10)).await.starts_with("250"));
    assert_eq!(waiting(&desk), 13);
}

#[actix_web::test]
async fn ft_09_while_somebody_else_has_the_lock_mail_gets_451_and_a_form_503_and_all_is_well_at_once_afterwards() {
    let desk = Desk::open();
    if !desk.test.app.database.url().is_sqlite() {
        return;
    }
    let waits = desk.test.write(|db| {
        let DbConnection::Sqlite(db) = db else { return Ok(0) };
        Ok(diesel::sql_query("PRAGMA busy_timeout").get_result::<BusyTimeout>(db)?.timeout)
    });
    assert_eq!(waits, 5_000, "three seconds cost nobody anything, and within six everybody has an answer");
    desk.test.write(|db| Ok(db.batch_execute("PRAGMA busy_timeout = 20")?));
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    let browser = desk.test.browser().await;
    let queue = desk.test.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    let fields = |key: &'static str| {
        let ask =
            [("name", "Nadia"), ("email", "nadia@inconnue.example"), ("subject", "Écran noir"), ("text", "Noir.")];
        ask.into_iter().chain([("queue", queue.as_str()), ("key", key)]).collect::<Vec<_>>()
    };
    let mut other = open(desk.test.app.database.url(), Role::Writer).unwrap();
    other.batch_execute("BEGIN EXCLUSIVE").unwrap();
    for _ in 0..2 {
        let answer = peer.deliver(&Letter::from("claire@acme.example").bytes()).await;
        assert!(answer.starts_with("451 4.3.2"), "{answer}");
        assert!(peer.ask("RSET").await.starts_with("250"));
    }
    let answer = browser.upload("/fr/requests", &fields("0123456789abcdef0123"), &[]).await;
    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some());
    browser.get("/fr/sign-in").await.assert_status(200);
    assert_eq!(waiting(&desk), 0);
    other.batch_execute("ROLLBACK").unwrap();
    assert!(peer.deliver(&Letter::from("claire@acme.example").bytes()).await.starts_with("250"));
    browser.upload("/fr/requests", &fields("0123456789abcdef0124"), &[]).await.assert_status(303);
    desk.test.run_jobs();
    assert_eq!(desk.tickets().len(), 2, "what was refused came to nothing, and what was taken is there");
}

#[derive(diesel::QueryableByName)]
struct BusyTimeout {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    timeout: i32,
}

#[actix_web::test]
async fn s_03_the_size_that_is_taken_is_advertised_and_a_line_of_sixty_thousand_bytes_passes() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut peer = Peer::connect(&listening).await;
    peer.send("LHLO mx.garonne.example\r\n").await;
    let size = format!("250 SIZE {}", desk.test.app.config.limits.mail_bytes);
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| line.starts_with("250-")) {
        said.push(peer.line().await);
    }
    assert_eq!(said.last(), Some(&size), "{said:?}");
    let line = "x".repeat(60_000);
    assert!(peer.deliver(&Letter::from("claire@acme.example").text(&line).bytes()).await.starts_with("250 2.6.0"));
    assert!(
        peer.deliver(&Letter::from("claire@acme.example").text(&"x".repeat(70_000)).bytes()).await.starts_with("500")
    );
    desk.test.run_jobs();
    assert!(desk.messages(&desk.ticket())[0].body_text.contains(&line), "whole");
}

/// The clock of this runtime goes on by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn s_03_who_says_nothing_for_a_minute_is_left() {
    let desk = Desk::open();
    let listening = listen(&desk);
    let mut stream = TcpStream::connect(("127.0.0.1", listening.port)).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("220 ") && said.ends_with("\r\n421 4.4.2 Idle too long\r\n"), "{said}");
    assert_eq!(began.elapsed().as_secs(), 60);
}
