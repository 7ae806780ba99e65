//! Mail handed over by LMTP: durable before it is acknowledged, for addresses of ours only, one mail at a time.

use std::time::Duration;

use accord::config::mail::LmtpListen;
use accord::journal::unprocessed;
use accord::worker::lmtp::{self, Door};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::support::desk::{Desk, Letter, SUPPORT};

/// A mail server's connection to the listener of a desk.
struct Peer {
    stream: TcpStream,
    read: String,
}

struct Listening {
    port: u16,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn listen(desk: &Desk) -> Listening {
    let door = Door::open(&LmtpListen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
    let (port, stop) = (door.port().unwrap(), CancellationToken::new());
    tokio::spawn(lmtp::serve(desk.test.app.clone(), door, stop.clone()));
    Listening { port, stop }
}

impl Peer {
    async fn connect(listening: &Listening) -> Peer {
        let stream = TcpStream::connect(("127.0.0.1", listening.port)).await.unwrap();
        let mut peer = Peer { stream, read: String::new() };
        assert!(peer.line().await.starts_with("220 "));
        peer
    }

    /// Connected and greeted.
    async fn greeted(listening: &Listening) -> Peer {
        let mut peer = Peer::connect(listening).await;
        peer.send("LHLO mx.garonne.example\r\n").await;
        while !peer.line().await.starts_with("250 ") {}
        peer
    }

    async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next line of an answer; nothing when the connection is closed.
    async fn line(&mut self) -> String {
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

    async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        self.line().await
    }

    /// Hands a mail over for support; gives the last answer.
    async fn deliver(&mut self, content: &[u8]) -> String {
        assert!(self.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
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
async fn s_09_nothing_is_smuggled_however_the_bytes_are_cut() {
    let smuggled =
        format!("MAIL FROM:<a@b.example>\r\nRCPT TO:<{SUPPORT}>\r\nDATA\r\nFrom: admin@acme.example\r\n\r\nx");
    for (number, false_end) in
        ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r\n.\r\r\n", "\r\n\0.\r\n", "\r\n.\0\r\n"]
            .iter()
            .enumerate()
    {
        let desk = Desk::open();
        let listening = listen(&desk);
        let mut peer = Peer::greeted(&listening).await;
        let mut content = Letter::from("claire@acme.example").text(&format!("nr {number}")).bytes();
        content.extend_from_slice(false_end.as_bytes());
        content.extend_from_slice(smuggled.as_bytes());
        assert!(peer.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
        assert!(peer.ask(&format!("RCPT TO:<{SUPPORT}>")).await.starts_with("250"));
        assert!(peer.ask("DATA").await.starts_with("354"));
        for piece in content.chunks(7) {
            peer.send_bytes(piece).await;
        }
        peer.send("\r\n.\r\n").await;
        assert!(peer.line().await.starts_with("250"), "{false_end:?}");
        assert!(peer.ask("NOOP").await.starts_with("250"), "{false_end:?}");
        assert_eq!(waiting(&desk), 1, "{false_end:?}");
    }
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
