//! Relays that misbehave (FT-08): what becomes of the mail by what they do, and that the mail of another relay goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use accord::config::mail::{SmtpConfig, SmtpTls};
use accord::mail::transport::{SmtpRelay, Transport};
use accord::outbox::listing::{self, Outgoing};
use accord::outbox::{self, Kind, NewLetter, State};
use accord::worker::threads::Threads;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;
use crate::support::desk::{Desk, SUPPORT};

/// How long an attempt may take here; two minutes otherwise, as its own test shows.
const ATTEMPT: Duration = Duration::from_secs(2);
const MIME: &[u8] = b"Subject: x\r\n\r\nThe same bytes.\r\n";

/// What a relay does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// It takes the whole mail and never says so.
    HangsAfterData,
    /// It says of one thing that it goes down, and does: of the recipient, or of the mail.
    GoesDown(&'static str),
    /// It never ends its first line, though a byte comes every now and then.
    Dribbles,
    /// Its first line is of a mebibyte.
    HugeBanner,
    ClosesAfter354,
    /// It takes the mail, says so, and the connection is reset.
    TakesItAndResets,
    /// It answers the command with this.
    Says(&'static str, &'static str),
    /// It speaks of TLS and of nothing that could be it.
    NoTls,
}

/// A relay on this machine.
#[derive(Clone)]
struct Relay {
    port: u16,
    state: Arc<Mutex<Seen>>,
}

struct Seen {
    fault: Fault,
    /// Mails that came to their end.
    copies: Vec<Vec<u8>>,
    streams: Vec<TcpStream>,
}

impl Relay {
    fn open(fault: Fault) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(Seen { fault, copies: Vec::new(), streams: Vec::new() }));
        let relay = Relay { port, state };
        let serving = relay.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serving.state.lock().unwrap().streams.push(stream.try_clone().unwrap());
                let serving = serving.clone();
                thread::spawn(move || serving.converse(stream));
            }
        });
        relay
    }

    fn config(&self, tls: SmtpTls) -> SmtpConfig {
        SmtpConfig { host: "127.0.0.1".to_owned(), port: self.port, tls, user: None, password: None }
    }

    fn copies(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().copies.clone()
    }

    fn connections(&self) -> usize {
        self.state.lock().unwrap().streams.len()
    }

    /// From now on it behaves; who still hangs on it is let go.
    fn mend(&self) {
        let mut state = self.state.lock().unwrap();
        state.fault = Fault::None;
        for stream in state.streams.drain(..) {
            // Fails when it has ended already, which is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn converse(&self, stream: TcpStream) -> Option<()> {
        let fault = self.state.lock().unwrap().fault;
        let mut said = stream.try_clone().ok()?;
        let mut say = |text: &str| said.write_all(format!("{text}\r\n").as_bytes()).ok();
        match fault {
            Fault::Dribbles => {
                while (&stream).write_all(b"2").is_ok() {
                    thread::park_timeout(Duration::from_millis(20));
                }
                return None;
            }
            Fault::HugeBanner => say(&format!("220 {}", "x".repeat(1 << 20)))?,
            _ => say("220 relay")?,
        }
        let mut lines = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let verb = line.trim_end().split([' ', ':']).next().unwrap_or_default().to_owned();
            match (verb.as_str(), fault) {
                (verb, Fault::GoesDown(at)) if verb == at => {
                    say("421 4.3.2 going down");
                    return None;
                }
                (verb, Fault::Says(at, answer)) if verb == at => say(answer)?,
                ("EHLO", Fault::NoTls) => say("250-relay\r\n250 STARTTLS")?,
                ("STARTTLS", Fault::NoTls) => {
                    say("220 go on")?;
                    say("this is no TLS")?;
                }
                ("DATA", _) => {
                    say("354 go on")?;
                    if fault == Fault::ClosesAfter354 {
                        return None;
                    }
                    let mail = read_mail(&mut lines)?;
                    if fault == Fault::GoesDown(".") {
                        say("421 4.3.2 going down");
                        return None;
                    }
                    self.state.lock().unwrap().copies.push(mail);
                    match fault {
                        Fault::HangsAfterData => {
                            // Until the other side has had enough.
                            drop(lines.read_to_end(&mut Vec::new()));
                            return None;
                        }
                        Fault::TakesItAndResets => {
                            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
                            say("250 taken")?;
                            // The list keeps a handle; only the last one that goes resets.
                            self.state.lock().unwrap().streams.clear();
                            return None;
                        }
                        Fault::Says(".", answer) => say(answer)?,
                        _ => say("250 taken")?,
                    }
                }
                ("QUIT", _) => return say("221 bye"),
                _ => say("250 relay")?,
            }
        }
    }
}

fn read_mail(lines: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(mail);
        }
        mail.extend(line);
    }
}

/// Puts a mail into the outbox.
fn post(desk: &Desk, mailbox: &'static str, recipient: String) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let mailbox = crate::support::desk::address(mailbox);
        let mailbox = accord::teams::mailboxes::find_by_canonical(db, &mailbox)?.map(|mailbox| mailbox.id);
        let letter = NewLetter {
            kind: Kind::Reply,
            organisation: None,
            ticket: None,
            message: None,
            person: None,
            mailbox,
            recipient: recipient.clone(),
            envelope_from: String::new(),
            mail_id: format!("<{recipient}>"),
            subject: "x".to_owned(),
            mime: MIME.to_vec(),
            expires_at: now.plus(Kind::Reply.lifetime()),
        };
        outbox::enqueue(db, &letter, now)
    });
}

fn all(desk: &Desk) -> Vec<Outgoing> {
    use accord::db::schema::outbox as rows;
    use diesel::prelude::*;
    desk.test.read(|db| {
        let handles: Vec<String> = rows::table.order(rows::id).select(rows::handle).load(db)?;
        handles.iter().map(|handle| Ok(listing::find(db, handle)?.expect("it is there"))).collect()
    })
}

#[test]
fn ft_08_what_becomes_of_a_mail_by_what_its_relay_does_wrong() {
    use Fault::*;
    // What is wrong, what the mail is then, its attempts by then, and the copies that the relay has when all is done. Of a
    // mail whose end was never acknowledged there are two: that gap is SMTP's own (RFC 1047), and the bytes are the same.
    for (fault, state, attempts, copies) in [
        (HangsAfterData, State::Queued, 0, 2),
        (GoesDown("RCPT"), State::Queued, 0, 1),
        (GoesDown("."), State::Queued, 0, 1),
        (HugeBanner, State::Queued, 0, 1),
        (Dribbles, State::Queued, 0, 1),
        (ClosesAfter354, State::Queued, 0, 1),
        (TakesItAndResets, State::Sent, 1, 1),
        (NoTls, State::Queued, 0, 0),
        (Says("MAIL", "nonsense"), State::Queued, 0, 1),
        (Says("RCPT", "450 4.2.1 later"), State::Deferred, 1, 1),
        (Says("RCPT", "550 5.1.1 nobody"), State::Dead, 1, 0),
    ] {
        let relay = Relay::open(fault);
        let tls = if fault == NoTls { SmtpTls::StartTls } else { SmtpTls::None };
        let transport = Transport::Smtp(SmtpRelay::with_timeout(&relay.config(tls), ATTEMPT).unwrap());
        let desk = Desk::on(TestApp::sending("[mail]\ncheck_senders = false", |_| transport), SUPPORT);
        post(&desk, SUPPORT, "one@client.example".to_owned());
        desk.test.run_jobs();
        let mail = all(&desk).remove(0);
        assert_eq!((mail.state, mail.attempts), (state, attempts), "{fault:?}: {:?}", mail.last_error);

        relay.mend();
        // The machine may be so busy that a good relay takes too long, too.
        for _ in 0..10 {
            desk.test.pass(TimeDelta::minutes(5));
        }
        let mail = all(&desk).remove(0);
        if fault != NoTls {
            assert_eq!(mail.state, if state == State::Dead { State::Dead } else { State::Sent }, "{fault:?}");
        }
        let taken = relay.copies();
        assert_eq!(taken.len(), copies, "{fault:?}");
        assert!(taken.iter().all(|copy| copy == MIME), "{fault:?}: the same bytes");
        post(&desk, SUPPORT, "two@client.example".to_owned());
        desk.test.pass(TimeDelta::minutes(5));
        desk.test.pass(TimeDelta::minutes(5));
        let next = all(&desk).remove(1);
        // Without TLS nothing is ever sent (OUT-09).
        let expected = if fault == NoTls { State::Queued } else { State::Sent };
        assert_eq!(next.state, expected, "the next mail after {fault:?}: {:?}", next.last_error);
    }
}

#[test]
fn ft_08_while_a_relay_hangs_every_mail_of_another_goes_out() {
    const MAILS: usize = 25;
    const SALES: &str = "ventes@acme-sales.example";
    let relay = Relay::open(Fault::HangsAfterData);
    let desk = Desk::with_settings(&format!(
        "[mail]\ncheck_senders = false\n[mail.smtp]\nhost = \"smtp.garonne.example\"\n\
         [mail.relays.acme]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nmailboxes = [\"{SALES}\"]\n",
        relay.port
    ));
    let now = desk.test.now();
    desk.test.write(move |db| {
        use accord::teams::mailboxes::{self, MailboxDescription};
        use accord::teams::queues::{self, QueueKind};
        let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("a queue").id;
        let sales = crate::support::desk::address(SALES);
        mailboxes::create(db, &MailboxDescription::new(sales, "Ventes", queue, accord::i18n::Locale::Fr), None, now)
    });
    for number in 0..MAILS {
        post(&desk, SALES, format!("p@hanging{number}.example"));
    }
    let stop = CancellationToken::new();
    let threads = Threads::start(&desk.test.app, &stop).unwrap();
    let wait_until = |what: &str, holds: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}");
            let changes = desk.test.app.database.changes();
            changes.wait(changes.count(), Duration::from_millis(20));
        }
    };
    wait_until("it hangs with all that it may have", &|| relay.copies().len() == 5);
    for number in 0..MAILS {
        post(&desk, SUPPORT, format!("p@quick{number}.example"));
    }
    wait_until("the others' mail is sent", &|| desk.memory().sent().len() == MAILS);
    assert_eq!((relay.connections(), relay.copies().len()), (5, 5), "and all the time it hung");
    relay.mend();
    stop.cancel();
    threads.join();
}
