//! A report that a mail did not arrive is believed when it proves that it is about one of ours, and changes what it is about
//! and nothing else.

mod shapes;

use accord::journal::State as JournalState;
use accord::journal::unprocessed;
use accord::mail::delivery_report::{self, Fate};
use accord::mail::incoming;
use accord::outbox::State;
use accord::outbox::listing::{self, Outgoing, Which};
use accord::tickets::Ticket;
use accord::tickets::events::{self, Event, EventKind};
use accord::tickets::messages::Remark;
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter, Sent};

/// A new customer wrote and got an answer, which the relay took.
fn answered(desk: &Desk, customer: &str) -> (Ticket, Sent) {
    desk.test.clock.advance(TimeDelta::hours(2));
    desk.receive(&Letter::from(customer).subject("question"));
    let ticket = desk.tickets().pop().expect("a ticket");
    desk.sent();
    desk.answer(&ticket, "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to(customer).pop().expect("an answer");
    assert!(sent.envelope_from.starts_with("b+"), "{}", sent.envelope_from);
    (ticket, sent)
}

fn mails(desk: &Desk, ticket: &Ticket) -> Vec<Outgoing> {
    desk.test.read(|db| listing::of_ticket(db, ticket.id))
}

fn state_of(desk: &Desk, ticket: &Ticket, sent: &Sent) -> State {
    let of_answer: Vec<_> = mails(desk, ticket)
        .into_iter()
        .filter(|mail| mail.recipient == sent.recipient && mail.message.is_some() && mail.kind.as_str() == "reply")
        .map(|mail| mail.state)
        .collect();
    assert_eq!(of_answer.len(), 1);
    of_answer[0]
}

fn failures(desk: &Desk, ticket: &Ticket) -> Vec<Event> {
    let events = desk.test.read(|db| events::of_ticket(db, ticket, 100));
    events.into_iter().filter(|event| event.kind == EventKind::MailFailed).collect()
}

fn held(desk: &Desk) -> Vec<String> {
    let listed = desk.test.read(|db| unprocessed::list(db, None, 100)).rows;
    let held = listed.into_iter().filter(|mail| mail.state == JournalState::Held);
    held.map(|mail| mail.record.0.rule.clone()).collect()
}

#[test]
fn bn_01_bn_03_reports_of_the_common_mail_systems_are_recognised_and_mean_what_they_say() {
    let desk = Desk::open();
    let all = shapes::all();
    assert!(all.len() >= 40, "{}", all.len());
    for (number, (name, expected, shape)) in all.into_iter().enumerate() {
        let customer = format!("customer{number}@acme{number}.example");
        let (ticket, sent) = answered(&desk, &customer);
        let report = shape(&sent);
        let read = delivery_report::read(&incoming::parse(&report.bytes()), true);
        let told: Vec<_> = read.recipients.iter().filter(|one| one.addresses.contains(&customer)).collect();
        assert_eq!(told.iter().map(|one| one.fate).collect::<Vec<_>>(), [expected], "{name}: {read:?}");
        assert!(read.mail_ids.len() <= 1, "{name}: {read:?}");
        assert!(matches!(read.recipients[0].reason.chars().count(), 1..=300), "{name}: {read:?}");
        desk.receive(&report);
        let state = if matches!(expected, Fate::Failed { .. }) { State::Dead } else { State::Sent };
        assert_eq!(state_of(&desk, &ticket, &sent), state, "{name}");
        assert_eq!(failures(&desk, &ticket).len(), usize::from(state == State::Dead), "{name}");
        let again = desk.ticket_again(ticket.id);
        assert_eq!(again.status, Status::WaitingForCustomer, "{name}: it is no answer");
        assert_eq!(desk.messages(&ticket).last().unwrap().remark, Some(Remark::Automatic), "{name}");
        assert_eq!(desk.tickets().len(), number + 1, "{name}");
        assert!(desk.sent().is_empty(), "{name}: nobody is answered");
    }
    assert!(held(&desk).is_empty());
}

#[test]
fn bn_02_a_forged_report_about_anybody_changes_nothing_and_is_held_as_suspicious() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    let genuine = shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown");
    let other_id = |body: &str, id: &str| body.replace(sent.mail.message_id.as_deref().unwrap(), id);
    let our_domain = sent.envelope_from.rsplit_once('@').unwrap().1.to_owned();
    let made_up = format!("<m.{0}.{0}@{our_domain}>", "a".repeat(26));
    let forged_address = format!("b+{}@{our_domain}", "a".repeat(52));
    let without_id = other_id(&genuine.body, "<nothing@client.example>");
    let forged = [
        // To support, about a mail that never was.
        genuine.clone().to("support@garonne.example").text(&without_id),
        // With a made-up Message-ID of our shape.
        genuine.clone().to("support@garonne.example").text(&other_id(&genuine.body, &made_up)),
        // To a made-up address for bounces, or the real one turned into one of another letter.
        genuine.clone().to(&forged_address).text(&without_id),
        genuine.clone().to(&sent.envelope_from.replacen("b+", "r+", 1)).text(&without_id),
        // In words.
        Letter::from("MAILER-DAEMON@mx.acme.example")
            .envelope("<>")
            .subject(&format!("Undelivered Mail Returned to Sender [{}]", ticket.reference))
            .text("<claire@acme.example>: 550 5.1.1 User unknown\r\n"),
        // With the real address and a made-up Message-ID: put together by somebody.
        genuine.clone().text(&other_id(&genuine.body, &made_up)),
    ];
    let count = forged.len();
    for letter in forged {
        desk.receive(&letter);
    }
    assert_eq!(held(&desk), vec!["BN-02"; count]);
    assert_eq!(state_of(&desk, &ticket, &sent), State::Sent);
    assert!(failures(&desk, &ticket).is_empty());
    assert_eq!(desk.messages(&ticket).len(), 2);
    assert_eq!(desk.tickets().len(), 1);
    assert!(desk.sent().is_empty());
    // The genuine one is still believed.
    desk.receive(&genuine);
    assert_eq!(state_of(&desk, &ticket, &sent), State::Dead);
}

#[test]
fn bn_02_a_message_id_of_ours_in_the_mail_that_came_back_is_proof_enough() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    // A relay on the way replaced the envelope's sender by the address in From.
    let report = shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown").to("support@garonne.example");
    desk.receive(&report);
    assert_eq!(state_of(&desk, &ticket, &sent), State::Dead);
    assert_eq!(desk.messages(&ticket).last().unwrap().remark, Some(Remark::Automatic));
    assert_eq!(desk.tickets().len(), 1);
}

#[test]
fn bn_02_a_report_that_puts_two_conversations_together_is_not_believed() {
    let desk = Desk::open();
    let (first, to_claire) = answered(&desk, "claire@acme.example");
    let (second, to_bob) = answered(&desk, "bob@acme.example");
    let report = shapes::postfix(&to_bob, "failed", "5.1.1", "550 5.1.1 User unknown").to(&to_claire.envelope_from);
    desk.receive(&report);
    assert_eq!(held(&desk), ["BN-02"]);
    assert_eq!(state_of(&desk, &first, &to_claire), State::Sent);
    assert_eq!(state_of(&desk, &second, &to_bob), State::Sent);
}

#[test]
fn bn_03_only_the_mail_and_the_recipient_that_failed_are_marked() {
    let desk = Desk::open();
    let (ticket, first) = answered(&desk, "claire@acme.example");
    desk.answer(&ticket, "Encore une idée.", Status::WaitingForCustomer);
    let second = desk.sent_to("claire@acme.example").pop().unwrap();
    assert_eq!(first.envelope_from, second.envelope_from, "one address for the conversation");
    // Somebody to whom Claire passed it on has gone: that is no failure of ours.
    let report = shapes::postfix(&second, "failed", "5.1.1", "550 5.1.1 User unknown");
    let elsewhere = report.body.replace("claire@acme.example", "carl@elsewhere.example");
    desk.receive(&report.clone().text(&elsewhere));
    assert!(mails(&desk, &ticket).iter().all(|mail| mail.state == State::Sent));
    // Without the mail's own id nobody can say which of the two it was.
    let without_id = report.body.replace(second.mail.message_id.as_deref().unwrap(), "<rewritten@relay.example>");
    desk.receive(&report.clone().text(&without_id));
    assert!(mails(&desk, &ticket).iter().all(|mail| mail.state == State::Sent));
    desk.receive(&report);
    let dead: Vec<_> = mails(&desk, &ticket).into_iter().filter(|mail| mail.state == State::Dead).collect();
    assert_eq!(dead.len(), 1);
    let failed = failures(&desk, &ticket);
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].message_id, dead[0].message), (dead[0].message, failed[0].message_id));
    assert_eq!(failed[0].details.0.address.as_deref(), Some("claire@acme.example"));
    assert!(dead[0].last_error.as_deref().unwrap().contains("User unknown"), "{dead:?}");
    // The same told once more, by another server, is no other failure.
    desk.receive(&report.header("Message-ID", "<again@relay.example>"));
    assert_eq!(failures(&desk, &ticket).len(), 1);
}

#[test]
fn bn_03_a_mail_that_came_back_is_listed_and_cannot_be_sent_again_as_it_was() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    let dead = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].ticket, Some(ticket.id));
    // Its bytes are gone since it was sent.
    assert!(!dead[0].can_be_retried());
    let (mail, now) = (dead[0].clone(), desk.test.now());
    assert!(!desk.test.write(move |db| listing::retry(db, &mail, now)));
}

#[test]
fn bn_01_an_absence_told_to_the_address_for_bounces_is_no_failure() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    let absence = Letter::from("claire@acme.example")
        .to(&sent.envelope_from)
        .envelope("<>")
        .subject("Absente")
        .header("Auto-Submitted", "auto-replied")
        .text("Je suis absente, écrivez à claire@acme.example plus tard (550).\r\n");
    desk.receive(&absence);
    assert_eq!(state_of(&desk, &ticket, &sent), State::Sent);
    assert!(failures(&desk, &ticket).is_empty());
    assert!(held(&desk).is_empty());
    assert_eq!(desk.messages(&ticket).last().unwrap().remark, Some(Remark::Automatic));
    assert!(desk.sent().is_empty());
}
