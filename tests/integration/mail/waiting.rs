//! What happened while a mail waited for the relay decides whether it still goes: line 2 holds for the outbox, too.

use accord::access::Actor;
use accord::db::types::{PersonId, TicketId};
use accord::mail::transport::{FailureKind, SendFailure};
use accord::outbox::State;
use accord::outbox::listing::{self, Which};
use accord::people::{addresses, mail_wishes, person};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::events::{self, EventKind};
use accord::tickets::status::Status;
use accord::tickets::{moving, participants, ticket};
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter, Sent, address};

const ZOE: &str = "zoe@staff.example";
const CLAIRE: &str = "claire@acme.example";
const BOB: &str = "bob@acme.example";

/// A ticket of Claire's in which Bob takes part, with everybody told so far; from now on the relay is down.
fn with_a_relay_that_is_down() -> Desk {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    let (bob, by, now) = (desk.bob, desk.actor(desk.zoe), desk.test.now());
    let id = desk.ticket().id;
    desk.test.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        participants::approve(db, &ticket, bob, &by, now)
    });
    desk.test.run_jobs();
    desk.sent();
    desk.memory().fail_always(Some(no_answer()));
    desk
}

fn no_answer() -> SendFailure {
    SendFailure { kind: FailureKind::Relay, code: None, text: "no answer".to_owned() }
}

/// Claire writes once more; the news wait for Zoé and for Bob.
fn with_news_that_wait() -> Desk {
    let desk = with_a_relay_that_is_down();
    let reference = desk.ticket().reference;
    desk.receive(
        &Letter::from(CLAIRE).subject(&format!("Re: [{reference}]")).authenticated("pass").text("Toujours noir.\r\n"),
    );
    assert_eq!(waiting(&desk), [BOB, ZOE]);
    desk
}

/// Zoé answers; the answer waits for Claire and for Bob.
fn with_an_answer_that_waits() -> Desk {
    let desk = with_a_relay_that_is_down();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    assert_eq!(waiting(&desk), [BOB, CLAIRE]);
    desk
}

fn waiting(desk: &Desk) -> Vec<String> {
    let open = desk.test.read(|db| listing::list(db, Which::Open, None, 100)).rows;
    let mut recipients: Vec<String> = open.into_iter().map(|mail| mail.recipient).collect();
    recipients.sort();
    recipients
}

/// The relay answers again, and an hour passes.
fn then(desk: &Desk) -> Vec<Sent> {
    desk.memory().fail_always(None);
    for _ in 0..6 {
        desk.test.pass(TimeDelta::minutes(10));
    }
    assert!(waiting(desk).is_empty());
    desk.sent()
}

fn recipients(sent: &[Sent]) -> Vec<&str> {
    let mut recipients: Vec<&str> = sent.iter().map(|sent| sent.recipient.as_str()).collect();
    recipients.sort_unstable();
    recipients
}

fn move_to_sales(desk: &Desk, id: TicketId) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.expect("every kind has a queue");
        let ticket = ticket::by_id(db, id)?;
        moving::to_queue(db, &ticket, queue.id, &Actor::System, now)
    });
}

fn remove_bob(desk: &Desk) {
    let (bob, by, id, now) = (desk.bob, desk.actor(desk.zoe), desk.ticket().id, desk.test.now());
    desk.test.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        participants::remove(db, &ticket, bob, &by, now)
    });
}

fn move_house(desk: &Desk, id: PersonId, to: &str) {
    let (to, now) = (address(to), desk.test.now());
    desk.test.write(move |db| {
        let before = person::by_id(db, id)?;
        addresses::change(db, &before, &to, now)
    });
}

fn give_up(desk: &Desk, id: PersonId, old: &str) {
    let (old, now) = (address(old), desk.test.now());
    assert!(desk.test.write(move |db| addresses::remove(db, id, &old, now)));
}

fn disable(desk: &Desk, id: PersonId) {
    let (by, now) = (desk.administrator, desk.test.now());
    desk.test.write(move |db| person::disable(db, id, by, now));
}

#[test]
fn o_05_what_waited_goes_to_all_whom_it_is_still_for() {
    assert_eq!(recipients(&then(&with_news_that_wait())), [BOB, ZOE]);
    assert_eq!(recipients(&then(&with_an_answer_that_waits())), [BOB, CLAIRE]);
}

#[test]
fn o_05_news_that_waited_are_not_sent_to_an_agent_who_lost_the_ticket() {
    let desk = with_news_that_wait();
    move_to_sales(&desk, desk.ticket().id);
    let sent = then(&desk);
    assert_eq!(recipients(&sent), [BOB]);
    assert_eq!(desk.test.read(listing::counts).dead, 0, "it is no failure");
}

#[test]
fn o_05_news_that_waited_are_not_sent_to_who_wants_no_more_mail() {
    let desk = with_news_that_wait();
    let (zoe, bob, now) = (desk.zoe, desk.bob, desk.test.now());
    desk.test.write(move |db| {
        mail_wishes::stop(db, zoe, now)?;
        mail_wishes::stop(db, bob, now)
    });
    assert!(then(&desk).is_empty());
}

#[test]
fn o_05_news_that_waited_are_not_sent_to_who_was_disabled() {
    let desk = with_news_that_wait();
    disable(&desk, desk.zoe);
    disable(&desk, desk.bob);
    assert!(then(&desk).is_empty());
}

#[test]
fn o_05_news_for_an_address_that_was_given_up_are_told_at_the_new_one() {
    let desk = with_news_that_wait();
    move_house(&desk, desk.zoe, "zoe.petit@staff.example");
    give_up(&desk, desk.zoe, ZOE);
    let sent = then(&desk);
    assert!(sent.iter().all(|sent| sent.recipient != ZOE || !sent.mail.text.contains("Toujours noir")), "{sent:?}");
    let reference = desk.ticket().reference;
    let is_told = |sent: &&Sent| sent.recipient == "zoe.petit@staff.example" && sent.mail.text.contains(&reference);
    assert_eq!(sent.iter().filter(is_told).count(), 1, "a digest: {sent:?}");
}

#[test]
fn b_03_nothing_that_waited_is_sent_to_a_participant_who_was_removed() {
    let desk = with_news_that_wait();
    remove_bob(&desk);
    assert_eq!(recipients(&then(&desk)), [ZOE]);

    let desk = with_an_answer_that_waits();
    remove_bob(&desk);
    assert_eq!(recipients(&then(&desk)), [CLAIRE]);
    assert_eq!(desk.test.read(listing::counts).dead, 0, "it is no failure");
}

#[test]
fn th_07_who_was_let_in_again_is_not_sent_what_was_said_before() {
    let desk = with_an_answer_that_waits();
    remove_bob(&desk);
    desk.test.clock.advance(TimeDelta::minutes(1));
    let (bob, by, id, now) = (desk.bob, desk.actor(desk.zoe), desk.ticket().id, desk.test.now());
    desk.test.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        participants::approve(db, &ticket, bob, &by, now)
    });
    assert_eq!(recipients(&then(&desk)), [CLAIRE]);
}

#[test]
fn o_06_an_answer_to_who_was_disabled_is_a_failure_that_the_agent_sees() {
    let desk = with_an_answer_that_waits();
    disable(&desk, desk.claire);
    assert_eq!(recipients(&then(&desk)), [BOB]);
    let ticket = desk.ticket();
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    assert!(events.iter().any(|event| event.kind == EventKind::MailFailed), "it is noted");
}

#[test]
fn o_06_an_acknowledgement_and_a_first_link_that_waited_arrive() {
    let desk = Desk::open();
    desk.memory().fail_always(Some(no_answer()));
    desk.receive(&Letter::from(CLAIRE).authenticated("pass"));
    desk.receive(&Letter::from("inconnu@ailleurs.example").subject("Bonjour"));
    assert_eq!(waiting(&desk), [CLAIRE, "inconnu@ailleurs.example", ZOE, ZOE]);
    assert_eq!(recipients(&then(&desk)), [CLAIRE, "inconnu@ailleurs.example", ZOE, ZOE]);
}

#[test]
fn o_06_an_answer_to_an_address_that_was_given_up_is_a_failure_that_the_agent_sees() {
    let desk = with_an_answer_that_waits();
    move_house(&desk, desk.claire, "claire.lefevre@acme.example");
    // As long as the old one is theirs, mail for it is theirs.
    give_up(&desk, desk.claire, CLAIRE);
    let sent = then(&desk);
    assert!(sent.iter().all(|sent| !sent.mail.text.contains("Redémarrez") || sent.recipient == BOB), "{sent:?}");
    let ticket = desk.ticket();
    let mail = desk.test.read(|db| listing::of_ticket(db, ticket.id));
    let dead: Vec<_> =
        mail.iter().filter(|mail| mail.state == State::Dead).map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(dead, [CLAIRE]);
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    assert!(events.iter().any(|event| event.kind == EventKind::MailFailed), "it is noted");
}

#[test]
fn o_06_an_answer_waits_for_an_address_that_is_still_theirs() {
    let desk = with_an_answer_that_waits();
    move_house(&desk, desk.claire, "claire.lefevre@acme.example");
    let sent = then(&desk);
    assert!(sent.iter().any(|sent| sent.recipient == CLAIRE && sent.mail.text.contains("Redémarrez")), "{sent:?}");
}

#[test]
fn u_05_a_mail_about_the_own_account_goes_to_the_address_it_is_about() {
    let desk = with_a_relay_that_is_down();
    move_house(&desk, desk.claire, "claire.lefevre@acme.example");
    desk.test.run_jobs();
    give_up(&desk, desk.claire, CLAIRE);
    assert_eq!(recipients(&then(&desk)), [CLAIRE], "the old address is told that it is not the address any more");
}
