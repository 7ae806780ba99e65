//! The digest: what it still says when it is sent after having waited, how much of it, and how its reader ends it.

use accord::access::Actor;
use accord::db::schema::{outbox as rows, people};
use accord::db::types::TicketId;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::outbox::folding::{DIGEST_WANTED, DigestWanted};
use accord::outbox::listing::{self, Which};
use accord::outbox::{self, Kind, NewLetter, State};
use accord::people::{mail_wishes, person};
use accord::queue;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::{moving, ticket};
use actix_web::http::header::{CONTENT_TYPE, HOST};
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::browser::Answered;
use crate::support::desk::{Desk, Letter, Sent};

fn later() -> SendFailure {
    SendFailure { kind: FailureKind::Transient, code: Some(451), text: "says the relay".to_owned() }
}

/// A desk at which mail could not be sent for a day and two requests came meanwhile: a digest for Zoé waits in the outbox.
fn with_a_waiting_digest() -> Desk {
    let desk = Desk::open();
    desk.memory().fail_always(Some(later()));
    for subject in ["Écran noir", "Facture"] {
        desk.receive(&Letter::from("claire@acme.example").subject(subject));
    }
    for _ in 0..26 {
        desk.test.pass(TimeDelta::hours(1));
    }
    let open = desk.test.read(|db| listing::list(db, Which::Open, None, 100)).rows;
    let waiting = open.iter().filter(|mail| mail.recipient == "zoe@staff.example").count();
    assert_eq!(waiting, 1, "{open:?}");
    desk
}

/// The relay works again, and some hours pass.
fn then_to_zoe(desk: &Desk) -> Vec<Sent> {
    desk.memory().fail_always(None);
    for _ in 0..6 {
        desk.test.pass(TimeDelta::hours(1));
    }
    desk.sent_to("zoe@staff.example")
}

fn move_to_sales(desk: &Desk, id: TicketId) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.expect("every kind has a queue");
        let ticket = ticket::by_id(db, id)?;
        moving::to_queue(db, &ticket, queue.id, &Actor::System, now)
    });
}

#[test]
fn o_05_a_digest_that_waited_leaves_out_a_ticket_that_its_reader_may_not_see_any_more() {
    let desk = with_a_waiting_digest();
    let tickets = desk.tickets();
    move_to_sales(&desk, tickets[0].id);
    let sent = then_to_zoe(&desk);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let digest = &sent[0].mail;
    assert_eq!(digest.subject, "Du nouveau dans un ticket, avec retard");
    assert!(!sent[0].raw.contains(&tickets[0].reference) && !digest.text.contains("Écran noir"), "{}", digest.text);
    assert!(digest.text.contains(&tickets[1].reference) && digest.text.contains("Facture"), "{}", digest.text);
}

#[test]
fn o_05_a_digest_of_which_its_reader_may_see_nothing_any_more_is_not_sent() {
    let desk = with_a_waiting_digest();
    for ticket in desk.tickets() {
        move_to_sales(&desk, ticket.id);
    }
    assert!(then_to_zoe(&desk).is_empty());
    assert_eq!(desk.test.read(listing::counts).dead, 0, "it is no failure");
}

#[test]
fn out_06_whoever_wants_no_mail_gets_no_digest_that_waited() {
    let desk = with_a_waiting_digest();
    let (zoe, now) = (desk.zoe, desk.test.now());
    desk.test.write(move |db| mail_wishes::stop(db, zoe, now));
    assert!(then_to_zoe(&desk).is_empty());
}

/// More tickets than a digest names, with more news than are read at once.
const TICKETS: usize = 103;
const NEWS_OF_EACH: usize = 6;

#[test]
fn o_05_a_digest_names_a_hundred_tickets_and_counts_the_others_and_nothing_is_told_twice() {
    let desk = Desk::open();
    let claire = desk.test.read(|db| person::by_id(db, desk.claire));
    let tickets: Vec<_> =
        (0..TICKETS).map(|number| desk.test.given().ticket(&claire, &format!("Panne {number}"), "Rien.").id).collect();
    // News of these only: what opening them would mail goes.
    desk.test.run_jobs();
    desk.sent();
    let (zoe, now) = (desk.zoe, desk.test.now());
    desk.test.write(move |db| {
        for (number, ticket) in tickets.iter().cycle().take(TICKETS * NEWS_OF_EACH).enumerate() {
            let letter = NewLetter {
                kind: Kind::Notification,
                organisation: None,
                ticket: Some(*ticket),
                message: None,
                person: Some(zoe),
                mailbox: None,
                recipient: "zoe@staff.example".to_owned(),
                envelope_from: String::new(),
                mail_id: format!("<late-{number}@desk.example>"),
                subject: "x".to_owned(),
                mime: b"Subject: x\r\n\r\nx\r\n".to_vec(),
                expires_at: now,
            };
            outbox::enqueue(db, &letter, now)?;
        }
        let late = rows::table.filter(rows::mail_id.like("<late-%"));
        diesel::update(late).set(rows::state.eq(State::Suppressed)).execute(db)?;
        queue::enqueue(db, DIGEST_WANTED, &DigestWanted { person: zoe }, now, now)
    });
    desk.test.run_jobs();
    let sent = desk.sent_to("zoe@staff.example");
    assert_eq!(sent.len(), 1);
    let digest = &sent[0].mail;
    assert_eq!(digest.subject, format!("Du nouveau dans {TICKETS} tickets, avec retard"));
    assert_eq!(digest.text.matches("http://desk.example/tickets/").count(), 100);
    assert!(digest.text.contains("et 3 autres tickets"), "{}", digest.text);
    assert!(digest.text.contains("6 nouvelles"), "{}", digest.text);
    let untold: i64 = desk.test.read(|db| {
        let late = rows::table.filter(rows::mail_id.like("<late-%"));
        Ok(late.filter(rows::folded_into.is_null()).count().get_result(db)?)
    });
    assert_eq!(untold, 0);
}

/// The page and the address of a digest's `List-Unsubscribe`, without our own host.
fn ways_out(sent: &Sent) -> (String, String) {
    assert_eq!(sent.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    let ways = sent.header("List-Unsubscribe").expect("a digest can be ended");
    let (page, address) = ways.split_once(", ").expect("two ways");
    let page = page.strip_prefix("<http://desk.example").and_then(|page| page.strip_suffix('>')).expect("a page");
    let address = address.strip_prefix("<mailto:").and_then(|address| address.strip_suffix('>')).expect("an address");
    (page.to_owned(), address.to_owned())
}

fn is_mailed(desk: &Desk) -> bool {
    desk.test.read(|db| person::by_id(db, desk.zoe)).mailed_about_tickets
}

#[actix_web::test]
async fn out_06_a_digest_is_ended_by_one_click_of_a_mail_program_and_not_by_looking() {
    let desk = with_a_waiting_digest();
    let sent = then_to_zoe(&desk).remove(0);
    let (page, _) = ways_out(&sent);
    assert!(sent.mail.text.contains(&page), "it can be read, too");
    let browser = desk.test.browser().await;
    browser.get(&page).await.assert_status(200).assert_says("Ne plus en recevoir");
    assert!(is_mailed(&desk), "looking changes nothing");
    let post = |path: &str, media_type: &str, body: &'static str| {
        let request = TestRequest::post().uri(path).insert_header((CONTENT_TYPE, media_type)).set_payload(body);
        browser.raw(request.insert_header((HOST, "desk.example")))
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    for body in ["", "List-Unsubscribe=No", "List-Unsubscribe=One-Click&person=2", "List-Unsubscribe=One-Click&csrf=x"]
    {
        post(&page, FORM, body).await.assert_status(403);
    }
    let other = format!("{}aaaa", &page[..page.len() - 4]);
    post(&other, FORM, "List-Unsubscribe=One-Click").await.assert_status(404);
    post(&format!("{page}/confirmation"), FORM, "List-Unsubscribe=One-Click").await.assert_status(403);
    assert!(is_mailed(&desk));
    let answer: Answered = post(&page, FORM, "List-Unsubscribe=One-Click").await;
    // A redirect would not be followed.
    answer.assert_status(200).assert_says("vous ne recevez plus");
    assert!(!is_mailed(&desk));
}

#[actix_web::test]
async fn out_06_a_mail_program_may_send_its_line_in_parts_and_the_page_has_a_button() {
    let desk = with_a_waiting_digest();
    let (page, _) = ways_out(&then_to_zoe(&desk).remove(0));
    let browser = desk.test.browser().await;
    let parts = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    let request = TestRequest::post().uri(&page).insert_header((CONTENT_TYPE, "multipart/form-data; boundary=x"));
    browser.send(request.set_payload(parts)).await.assert_status(200);
    assert!(!is_mailed(&desk));
    let zoe = desk.zoe;
    desk.test.write(move |db| {
        diesel::update(people::table.find(zoe)).set(people::mailed_about_tickets.eq(true)).execute(db)?;
        Ok(())
    });
    browser.post(&format!("{page}/confirmation"), &[]).await.assert_status(303);
    assert!(!is_mailed(&desk));
}

#[test]
fn out_06_a_mail_to_the_address_in_a_digest_ends_it_and_is_no_request() {
    let desk = with_a_waiting_digest();
    let sent = then_to_zoe(&desk).remove(0);
    let (_, address) = ways_out(&sent);
    let tickets = desk.tickets().len();
    // A token that is not ours is an ordinary mail, which is not dropped (D14).
    let (local_part, domain) = address.split_once('@').unwrap();
    let forged = format!("{}aaaa@{domain}", &local_part[..local_part.len() - 4]);
    desk.receive(&Letter::from("zoe@elsewhere.example").to(&forged).subject("unsubscribe"));
    assert!(is_mailed(&desk));
    assert_eq!(desk.tickets().len(), tickets + 1);
    desk.sent();
    desk.receive(&Letter::from("zoe@elsewhere.example").to(&address).subject("unsubscribe"));
    assert!(!is_mailed(&desk));
    assert_eq!(desk.tickets().len(), tickets + 1);
    assert!(desk.sent().is_empty(), "nobody is told");
}

#[test]
fn out_06_what_belongs_to_a_conversation_cannot_be_ended_by_accident() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let sent = desk.sent();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|sent| sent.header("List-Unsubscribe").is_none()));
}
