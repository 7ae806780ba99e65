//! A mailbox with a relay of its own: its mail goes by that one and no other, and when it is down, nobody else's mail waits.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use accord::db::schema::mailboxes as mailboxes_table;
use accord::outbox::listing::{self, Which};
use accord::outbox::{self, Kind, NewLetter, State};
use accord::people::roles::BuiltinRole;
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::status::Status;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, address};

/// A relay on this machine, which turns everybody away at the door while it is down.
struct Relay {
    port: u16,
    is_down: Arc<AtomicBool>,
    turned_away: Arc<AtomicUsize>,
    recipients: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    fn open() -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            is_down: Arc::default(),
            turned_away: Arc::default(),
            recipients: Arc::default(),
        };
        let (is_down, turned_away) = (Arc::clone(&relay.is_down), Arc::clone(&relay.turned_away));
        let recipients = Arc::clone(&relay.recipients);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (is_down, turned_away) = (Arc::clone(&is_down), Arc::clone(&turned_away));
                let recipients = Arc::clone(&recipients);
                thread::spawn(move || {
                    let mut said = stream.try_clone().unwrap();
                    if is_down.load(Ordering::SeqCst) {
                        turned_away.fetch_add(1, Ordering::SeqCst);
                        let _ = said.write_all(b"421 closed for today\r\n");
                        return;
                    }
                    let _ = said.write_all(b"220 relay\r\n");
                    let mut in_data = false;
                    for line in BufReader::new(stream).lines().map_while(Result::ok) {
                        if let Some(to) = line.strip_prefix("RCPT TO:<").filter(|_| !in_data) {
                            recipients.lock().unwrap().push(to.split('>').next().unwrap().to_owned());
                        }
                        let answer = match line.as_str() {
                            "." if in_data => {
                                in_data = false;
                                "250 taken"
                            }
                            _ if in_data => continue,
                            "DATA" => {
                                in_data = true;
                                "354 go on"
                            }
                            "QUIT" => "221 bye",
                            _ => "250 relay",
                        };
                        if said.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        relay
    }

    fn took(&self) -> Vec<String> {
        std::mem::take(&mut self.recipients.lock().unwrap())
    }
}

/// A desk whose mailbox for sales is of another house, with a relay of its own.
fn desk_with(relay: &Relay) -> Desk {
    let desk = Desk::with_settings(&format!(
        "[mail]\ncheck_senders = false\ntrusted_authserv_id = \"mx.garonne.example\"\n\
         [mail.smtp]\nhost = \"smtp.garonne.example\"\n\
         [mail.relays.acme]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nmailboxes = [\"ventes@acme-sales.example\"]\n",
        relay.port
    ));
    let now = desk.test.now();
    desk.test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("a queue").id;
        let sales = address("ventes@acme-sales.example");
        let sales = MailboxDescription::new(sales, "Ventes", queue, accord::i18n::Locale::Fr);
        mailboxes::create(db, &sales, None, now)
    });
    desk
}

/// Puts `count` mails from the mailbox of this address into the outbox, each to another domain.
fn post(desk: &Desk, from: &'static str, count: usize) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let mailbox = mailboxes::find_by_canonical(db, &address(from))?.expect("a mailbox").id;
        for number in 0..count {
            let letter = NewLetter {
                kind: Kind::Notification,
                organisation: None,
                ticket: None,
                message: None,
                person: None,
                mailbox: Some(mailbox),
                recipient: format!("p@x{number}.example"),
                envelope_from: String::new(),
                mail_id: format!("<{number}.{from}>"),
                subject: "x".to_owned(),
                mime: b"Subject: x\r\n\r\nx\r\n".to_vec(),
                expires_at: now.plus(TimeDelta::days(1)),
            };
            outbox::enqueue(db, &letter, now)?;
        }
        Ok(())
    });
}

const SALES: &str = "ventes@acme-sales.example";

#[test]
fn each_mailbox_s_mail_goes_by_its_own_relay() {
    let relay = Relay::open();
    let desk = desk_with(&relay);
    desk.receive(&Letter::from("claire@acme.example"));
    desk.receive(&Letter::from("bob@acme.example").to(SALES));
    for ticket in desk.tickets() {
        desk.answer(&ticket, "Redémarrez-le.", Status::WaitingForCustomer);
    }
    let took = relay.took();
    let by_relay = took.iter().filter(|to| *to == "bob@acme.example").count();
    assert_eq!(by_relay, 2, "the acknowledgement and the answer: {took:?}");
    assert!(!took.iter().any(|to| to == "claire@acme.example"));
    let by_house = desk.sent();
    assert!(by_house.iter().any(|sent| sent.recipient == "claire@acme.example"));
    assert!(!by_house.iter().any(|sent| sent.recipient == "bob@acme.example"));
}

#[actix_web::test]
async fn o_04_a_relay_that_is_down_holds_up_its_own_mails_only_and_none_of_them_loses_an_attempt() {
    let relay = Relay::open();
    let desk = desk_with(&relay);
    relay.is_down.store(true, Ordering::SeqCst);
    // More than are looked at in one go, and all of them before the others' mail.
    post(&desk, SALES, 18);
    post(&desk, "support@garonne.example", 3);
    desk.test.run_jobs();
    assert_eq!(desk.sent().len(), 3);
    assert_eq!(relay.turned_away.load(Ordering::SeqCst), 1, "one mail tried, and the relay is left alone");
    let open = desk.test.read(|db| listing::list(db, Which::Open, None, 50)).rows;
    assert_eq!(open.len(), 18);
    assert!(open.iter().all(|mail| mail.attempts == 0 && mail.state == State::Queued));

    let anne = desk.test.signed_in(desk.administrator).await;
    for page in ["/admin/outgoing-mail", "/admin/status"] {
        let page = anne.get(page).await;
        page.assert_says("Relais «\u{a0}acme\u{a0}»")
            .assert_says("closed for today")
            .assert_says("18 courriels l’attendent");
    }
    desk.test.clock.advance(TimeDelta::minutes(10));
    desk.test.run_jobs();
    assert_eq!(relay.turned_away.load(Ordering::SeqCst), 2, "then one more tries");

    relay.is_down.store(false, Ordering::SeqCst);
    desk.test.clock.advance(TimeDelta::minutes(10));
    desk.test.run_jobs();
    assert_eq!(relay.took().len(), 18, "it closes by itself on the mail that tries");
    anne.get("/admin/outgoing-mail").await.assert_silent_about("closed for today");
    anne.get("/admin/status").await.assert_says("Aucun courriel ne l’attend");
}

#[actix_web::test]
async fn what_our_relay_says_is_for_administrators_and_agents_read_that_a_mail_waits() {
    use accord::mail::transport::{FailureKind, SendFailure};
    let desk = Desk::open();
    desk.receive(&Letter::from("bob@acme.example"));
    let ticket = desk.ticket();
    let closed = SendFailure { kind: FailureKind::Relay, code: Some(421), text: "closed for today".to_owned() };
    desk.memory().fail_next(closed);
    desk.answer(&ticket, "Redémarrez-le.", Status::WaitingForCustomer);
    desk.test.run_jobs();
    let page = format!("/tickets/{}", ticket.reference);
    let zoe = desk.test.browser_of(desk.zoe).await;
    zoe.get(&page).await.assert_says("Notre serveur de courrier").assert_silent_about("closed for today");
    let both = desk.test.given().staff("Ada", &[BuiltinRole::Agent, BuiltinRole::Administrator], &[QueueKind::Support]);
    let ada = desk.test.browser_of(both).await;
    ada.get(&page).await.assert_says("closed for today").assert_silent_about("Notre serveur de courrier");
}

#[actix_web::test]
async fn a_mailbox_that_was_renamed_under_its_relay_is_shown_to_who_operates() {
    let relay = Relay::open();
    let desk = desk_with(&relay);
    let anne = desk.test.signed_in(desk.administrator).await;
    for page in ["/admin/outgoing-mail", "/admin/status"] {
        anne.get(page).await.assert_silent_about("qui n’existent pas");
    }
    desk.test.write(|db| {
        let renamed = mailboxes_table::canonical.eq("vente@acme-sales.example");
        let sales = mailboxes_table::table.filter(mailboxes_table::canonical.eq(SALES));
        Ok(diesel::update(sales).set(renamed).execute(db)?)
    });
    for page in ["/admin/outgoing-mail", "/admin/status"] {
        anne.get(page).await.assert_says(&format!("qui n’existent pas\u{a0}: {SALES}"));
    }
}

#[test]
fn a_mailbox_s_mail_waits_though_the_house_s_relay_works_and_the_other_way_round() {
    use accord::mail::transport::{FailureKind, SendFailure};
    let relay = Relay::open();
    let desk = desk_with(&relay);
    desk.memory().fail_next(SendFailure { kind: FailureKind::Relay, code: Some(421), text: "down".to_owned() });
    post(&desk, "support@garonne.example", 3);
    post(&desk, SALES, 2);
    desk.test.run_jobs();
    assert_eq!((relay.took().len(), desk.sent().len()), (2, 0));
    desk.test.clock.advance(TimeDelta::minutes(10));
    desk.test.run_jobs();
    assert_eq!((relay.took().len(), desk.sent().len()), (0, 3));
}

#[actix_web::test]
async fn out_08_out_09_the_set_up_page_tells_how_the_way_to_each_relay_is_protected() {
    let relay = Relay::open();
    for (tls, tone, text) in [
        ("none", "tone-act", "Le relais de cette machine répond, sans TLS."),
        ("opportunistic", "tone-act", "Quelqu’un sur le chemin peut désactiver TLS"),
        ("starttls", "tone-late", "Le relais ne prend pas de courrier"),
        ("wrapper", "tone-late", "Le relais ne prend pas de courrier"),
    ] {
        let desk = Desk::with_settings(&format!(
            "[mail]\ncheck_senders = false\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\n\
             [mail.relays.acme]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\nmailboxes = [\"{SALES}\"]\n",
            relay.port
        ));
        let anne = desk.test.signed_in(desk.administrator).await;
        let page = anne.post("/admin/status/mail", &[]).await.text();
        let row = page.split("Chemin vers le relais").find(|row| row.contains(&format!("127.0.0.1:{}", relay.port)));
        let row = row.unwrap_or_else(|| panic!("no row of the relay in {page}"));
        assert!(row.contains(text) && row.contains(tone), "{tls}: {row}");
    }
}
