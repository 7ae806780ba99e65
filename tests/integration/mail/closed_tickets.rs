//! A customer answers a ticket that is closed: what becomes of it is up to the mailbox, by whatever way the answer comes (D13).
//! And how answers from a mailbox are signed (OUT-02).

use accord::db::DbConnection;
use accord::db::schema::consent_requests;
use accord::teams::mailboxes::{self, ClosedTickets, Mailbox, MailboxDescription};
use accord::tickets::events::{self, EventKind};
use accord::tickets::following_up;
use accord::tickets::messages::{Channel, NewMessage};
use accord::tickets::moving;
use accord::tickets::participants;
use accord::tickets::status::Status;
use accord::tickets::ticket::{self, Ticket};
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, Sent, address};

/// Describes the only mailbox anew.
fn describe(desk: &Desk, change: impl Fn(&mut MailboxDescription) + Send + 'static) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let mailbox = mailboxes::default(db)?;
        let mut description = described(&mailbox);
        change(&mut description);
        mailboxes::update(db, &mailbox, &description, None, now)
    });
}

fn described(mailbox: &Mailbox) -> MailboxDescription {
    MailboxDescription {
        acknowledges: mailbox.acknowledges,
        names_agents: mailbox.names_agents,
        signature: mailbox.signature.clone(),
        closed_tickets: mailbox.closed_tickets,
        reopen_days: mailbox.reopen_days,
        ..MailboxDescription::new(
            address(&mailbox.address),
            &mailbox.display_name,
            mailbox.queue_id,
            mailbox.language.0,
        )
    }
}

fn policy(desk: &Desk, closed_tickets: ClosedTickets, days: i32) {
    describe(desk, move |mailbox| {
        mailbox.closed_tickets = closed_tickets;
        mailbox.reopen_days = days;
    });
}

/// A ticket of Claire's in which Bob takes part, hidden from their colleagues, answered by Zoé and closed for forty days,
/// and the mail in which Claire had the answer.
fn closed_for_forty_days(desk: &Desk) -> (Ticket, Sent) {
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>"));
    let (ticket, zoe, bob, now) = (desk.ticket(), desk.actor(desk.zoe), desk.bob, desk.test.now());
    desk.test.write(move |db| {
        participants::approve(db, &ticket, bob, &zoe, now)?;
        let ticket = ticket::by_id(db, ticket.id)?;
        moving::set_private(db, &ticket, true, &zoe, now)?;
        Ok(())
    });
    desk.test.run_jobs();
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    desk.test.clock.advance(TimeDelta::days(40));
    (desk.ticket(), sent)
}

fn details_of(desk: &Desk, ticket: &Ticket, kind: EventKind) -> Vec<String> {
    let events = desk.test.read(|db| events::of_ticket(db, ticket, 100));
    events.into_iter().filter(|event| event.kind == kind).filter_map(|event| event.details.0.ticket).collect()
}

/// What a ticket that goes on from another has from there.
fn assert_goes_on(desk: &Desk, old: &Ticket, new: &Ticket) {
    assert_eq!(desk.ticket_again(old.id).status, Status::Closed);
    assert_eq!(new.status, Status::WaitingForUs);
    assert_eq!(
        (new.organisation_id, new.requester_id, new.queue_id, new.is_private, new.subject.as_str()),
        (old.organisation_id, old.requester_id, old.queue_id, true, old.subject.as_str())
    );
    assert_eq!(details_of(desk, new, EventKind::FollowsUp), std::slice::from_ref(&old.reference));
    assert_eq!(details_of(desk, old, EventKind::GoesOnIn), std::slice::from_ref(&new.reference));
    let mut taking_part: Vec<_> =
        desk.test.read(|db| participants::active(db, new)).into_iter().map(|found| found.person_id).collect();
    taking_part.sort();
    assert_eq!(taking_part, [desk.claire, desk.bob]);
    let of_new = |db: &mut DbConnection| {
        let asked = consent_requests::table.filter(consent_requests::ticket_id.eq(new.id));
        Ok(asked.count().get_result::<i64>(db)?)
    };
    assert_eq!(desk.test.read(of_new), 0, "a consent is never inherited");
}

#[test]
fn d13_a_customer_who_answers_a_ticket_closed_forty_days_ago_has_it_go_on_and_learns_its_reference() {
    let desk = Desk::open();
    let (old, sent) = closed_for_forty_days(&desk);
    desk.receive(&Letter::answering("claire@acme.example", &sent));
    let new = desk.tickets().remove(1);
    assert_goes_on(&desk, &old, &new);
    assert_eq!(desk.messages(&new)[0].body_text.trim_end(), "Merci, cela fonctionne.");

    let sent_now = desk.sent();
    let to_claire: Vec<&Sent> = sent_now.iter().filter(|mail| mail.recipient == "claire@acme.example").collect();
    assert_eq!(to_claire.len(), 1);
    let told = &to_claire[0].mail.text;
    assert!(told.contains(&old.reference) && told.contains(&new.reference), "{told}");
    assert_eq!(to_claire[0].header("auto-submitted"), Some("auto-replied"));
    let to_bob = sent_now.iter().find(|mail| mail.recipient == "bob@acme.example").expect("who took part is told");
    assert!(to_bob.mail.text.contains("Merci, cela fonctionne."));
    assert!(sent_now.iter().any(|mail| mail.recipient == "zoe@staff.example"));
}

/// Two customers write in the closed ticket at the same moment.
#[test]
fn d13_of_two_who_write_at_once_the_second_joins_the_ticket_that_the_first_opened() {
    for _ in 0..10 {
        let desk = Desk::open();
        let (old, _) = closed_for_forty_days(&desk);
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for (person, name, address) in
                [(desk.claire, "Claire", "claire@acme.example"), (desk.bob, "Bob", "bob@acme.example")]
            {
                let (old, by, now, app) = (old.clone(), desk.actor(person), desk.test.now(), desk.test.app.clone());
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let written = app.database.write_now(move |db| {
                        let message = NewMessage::text(Channel::Web, person, name, address, "Encore.");
                        following_up::add(db, &old, message, person, &by, now)
                    });
                    written.expect("it is placed");
                });
            }
        });
        let tickets = desk.tickets();
        assert_eq!(tickets.len(), 2, "one goes on from the old one");
        assert_eq!(desk.messages(&tickets[1]).len(), 2);
        assert_eq!(details_of(&desk, &old, EventKind::GoesOnIn), [tickets[1].reference.clone()]);
    }
}

#[test]
fn lp_05_a_ticket_goes_on_in_others_five_times_an_hour_and_nothing_is_lost() {
    let desk = Desk::open();
    let (_, sent) = closed_for_forty_days(&desk);
    policy(&desk, ClosedTickets::FollowUp, 30);
    for number in 0..9 {
        desk.receive(&Letter::answering("claire@acme.example", &sent).text(&format!("non {number}")));
        let last = desk.tickets().pop().unwrap();
        if last.status != Status::Closed {
            desk.answer(&last, "Fini.", Status::Closed);
        }
    }
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 6);
    assert!(tickets.iter().all(|ticket| ticket.status == Status::Closed));
    let said: Vec<String> = tickets.iter().flat_map(|of| desk.messages(of)).map(|message| message.body_text).collect();
    for number in 0..9 {
        assert_eq!(said.iter().filter(|text| text.trim_end() == format!("non {number}")).count(), 1);
    }
    desk.test.clock.advance(TimeDelta::hours(1));
    desk.receive(&Letter::answering("claire@acme.example", &sent).text("encore"));
    assert_eq!(desk.tickets().len(), 7);
}

#[test]
fn d13_a_second_answer_to_the_old_ticket_joins_the_one_that_goes_on_from_it() {
    let desk = Desk::open();
    let (old, sent) = closed_for_forty_days(&desk);
    desk.receive(&Letter::answering("claire@acme.example", &sent));
    let by_id = |from| Letter::answering(from, &sent).to(crate::support::desk::SUPPORT).text("Encore une chose.");
    desk.receive(&by_id("claire@acme.example"));
    desk.receive(&by_id("bob@acme.example").header("Message-ID", "<bob@client.example>"));
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert_eq!((desk.messages(&old).len(), desk.messages(&tickets[1]).len()), (2, 3));

    // Closed for long in its turn, it goes on as well, and the oldest mail still leads to the newest ticket.
    desk.answer(&tickets[1], "C’est fait.", Status::Closed);
    desk.test.clock.advance(TimeDelta::days(31));
    desk.receive(&by_id("claire@acme.example").header("Message-ID", "<third@client.example>"));
    desk.receive(&by_id("claire@acme.example").header("Message-ID", "<fourth@client.example>").text("Et encore."));
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 3);
    assert_eq!(details_of(&desk, &tickets[2], EventKind::FollowsUp), [tickets[1].reference.clone()]);
    assert_eq!(details_of(&desk, &old, EventKind::GoesOnIn), [tickets[1].reference.clone()]);
    assert_eq!(desk.messages(&tickets[2]).len(), 2);
}

#[test]
fn d13_strangers_machines_and_agents_have_no_ticket_go_on() {
    let desk = Desk::open();
    let (old, sent) = closed_for_forty_days(&desk);
    desk.receive(&Letter::answering("claire@acme.example", &sent).header("Auto-Submitted", "auto-replied"));
    assert_eq!((desk.tickets().len(), desk.messages(&old).len()), (1, 3));
    desk.receive(&Letter::answering("mallory@evil.example", &sent));
    let opened = desk.tickets().remove(1);
    assert!(details_of(&desk, &opened, EventKind::FollowsUp).is_empty());
    assert!(details_of(&desk, &old, EventKind::GoesOnIn).is_empty());
    assert_ne!(opened.organisation_id, desk.acme);
    desk.receive(&Letter::answering("zoe@staff.example", &sent).authenticated("pass"));
    assert_eq!(desk.tickets().len(), 2);
}

#[test]
fn d13_what_becomes_of_a_closed_ticket_is_up_to_its_mailbox() {
    for (closed_tickets, days, goes_on) in [
        (ClosedTickets::Reopen, 1, false),
        (ClosedTickets::ReopenWithin, 41, false),
        (ClosedTickets::ReopenWithin, 39, true),
        (ClosedTickets::FollowUp, 3_650, true),
    ] {
        let desk = Desk::open();
        policy(&desk, closed_tickets, days);
        let (old, sent) = closed_for_forty_days(&desk);
        desk.receive(&Letter::answering("claire@acme.example", &sent));
        let is_open = desk.ticket_again(old.id).status == Status::WaitingForUs;
        assert_eq!((desk.tickets().len() == 2, is_open), (goes_on, !goes_on), "{closed_tickets} {days}");
    }
    let desk = Desk::open();
    policy(&desk, ClosedTickets::FollowUp, 30);
    describe(&desk, |mailbox| mailbox.acknowledges = false);
    let (_, sent) = closed_for_forty_days(&desk);
    desk.receive(&Letter::answering("claire@acme.example", &sent));
    assert_eq!(desk.sent_to("claire@acme.example").len(), 0, "acknowledgements are off");
}

#[actix_web::test]
async fn d13_the_page_of_a_closed_request_keeps_to_it_too() {
    let desk = Desk::open();
    let (old, _) = closed_for_forty_days(&desk);
    let claire = desk.test.signed_in(desk.claire).await;
    let path = format!("/requests/{}", old.reference);
    let page = claire.get(&path).await;
    page.assert_says("une nouvelle demande lui fait suite").assert_silent_about("Rouvrir");
    claire.post(&format!("{path}/reopening"), &[]).await.assert_status(409);

    let words = [("text", "Il est de nouveau noir."), ("key", "one")];
    let answered = claire.upload(&format!("{path}/answers"), &words, &[]).await;
    let new = desk.tickets().remove(1);
    assert!(answered.location().starts_with(&format!("/requests/{}?", new.reference)), "{}", answered.location());
    assert_goes_on(&desk, &old, &new);
    let again = claire.upload(&format!("{path}/answers"), &words, &[]).await;
    assert_eq!(again.location(), answered.location(), "sent twice, said once");
    claire.get(&path).await.assert_says(&new.reference);
    claire.get(answered.location()).await.assert_says(&old.reference);
}

#[actix_web::test]
async fn d13_who_answers_by_the_link_in_a_mail_is_told_where_the_answer_stands_and_sees_no_more_by_it() {
    let desk = Desk::open();
    policy(&desk, ClosedTickets::FollowUp, 30);
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>"));
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::Closed);
    let old = desk.ticket();
    let sent = desk.sent_to("claire@acme.example").remove(0);
    let (_, link) = sent.mail.text.split_once("http://desk.example").expect("a link");
    let link = link.split_whitespace().next().expect("a link").to_owned();
    let visitor = desk.test.browser().await;
    visitor.get(&link).await.assert_says("une nouvelle demande lui fait suite");
    let words = [("text", "Il est de nouveau noir."), ("key", "one")];
    let answered = visitor.upload(&format!("{link}/answers"), &words, &[]).await;
    assert_eq!(
        (answered.status.as_u16(), answered.location()),
        (303, format!("{link}?said=said-answer-goes-on").as_str())
    );
    desk.test.run_jobs();
    let new = desk.tickets().remove(1);
    assert_eq!(desk.ticket_again(old.id).status, Status::Closed);
    visitor.get(&link).await.assert_says(&new.reference).assert_silent_about("de nouveau noir");
    let told = desk.sent_to("claire@acme.example").remove(0);
    assert!(told.mail.text.contains(&new.reference) && told.mail.text.contains("/l/ticket/"));
}

#[test]
fn out_02_answers_are_signed_as_their_mailbox_says_and_the_signature_comes_back_as_no_words_of_the_customer() {
    let desk = Desk::open();
    describe(&desk, |mailbox| {
        mailbox.display_name = "Assistance ACME".to_owned();
        mailbox.signature = "**Assistance Garonne**\r\n[Nous joindre](https://garonne.example/aide)\r\n".to_owned();
    });
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>"));
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    assert_eq!(sent.mail.from.display_name, "Zoé Petit (Assistance ACME)");
    assert!(sent.mail.text.contains("Redémarrez-le.\n\nZoé Petit\n**Assistance Garonne**"), "{}", sent.mail.text);
    let html = sent.mail.html.clone().expect("a page part");
    assert!(
        html.contains("<strong>Assistance Garonne</strong>") && html.contains("href=\"https://garonne.example/aide\"")
    );
    let said = desk.messages(&desk.ticket()).remove(1);
    assert_eq!(said.body_text, "Redémarrez-le.", "it stands below the mail, not in the message");

    // A client that marks no quotes and puts the answer below them.
    let quoted = sent.mail.text.lines().filter(|line| !line.contains("##-")).collect::<Vec<_>>().join("\r\n");
    let answer =
        Letter::answering("claire@acme.example", &sent).text(&format!("{quoted}\r\n\r\nMerci, c’est bon.\r\n"));
    desk.receive(&answer);
    let came = desk.messages(&desk.ticket()).remove(2);
    assert!(
        !came.body_text.contains("Assistance Garonne") && came.body_text.contains("Merci, c’est bon."),
        "{}",
        came.body_text
    );
    assert!(came.quoted_text.contains("Assistance Garonne"));

    describe(&desk, |mailbox| mailbox.names_agents = false);
    desk.answer(&desk.ticket(), "Parfait.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    assert_eq!(sent.mail.from.display_name, "Assistance ACME");
    assert!(sent.mail.text.contains("Zoé Petit"), "B5: who answers is named in the answer");
}

#[actix_web::test]
async fn the_page_of_a_mailbox_says_what_is_wrong_and_keeps_what_is_right() {
    let desk = Desk::open();
    let anne = desk.test.signed_in(desk.administrator).await;
    let mailbox = desk.test.read(mailboxes::default);
    let queue = desk.test.read(|db| accord::teams::queues::by_id(db, mailbox.queue_id)).handle;
    let path = format!("/admin/mailboxes/{}", mailbox.handle);
    let signature = "x".repeat(2_001);
    let form = |days: &'static str, signature: &'static str| {
        vec![
            ("address", "support@garonne.example".to_owned()),
            ("display_name", "Assistance".to_owned()),
            ("queue", queue.clone()),
            ("language", "fr".to_owned()),
            ("closed_tickets", "reopen_within".to_owned()),
            ("reopen_days", days.to_owned()),
            ("signature", signature.to_owned()),
        ]
    };
    let post = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        anne.post(&path, &fields).await
    };
    for wrong in ["", "0", "3651", "dix", "-1"] {
        post(form(wrong, "")).await.assert_status(422).assert_says("de 1 à 3650");
    }
    let mut long = form("10", "");
    long.last_mut().unwrap().1 = signature;
    post(long).await.assert_status(422).assert_says("2000");
    post(form("10", "Assistance\r\n+33 5 61 00 00 00")).await.assert_status(303);
    let kept = desk.test.read(mailboxes::default);
    assert_eq!((kept.closed_tickets, kept.reopen_days), (ClosedTickets::ReopenWithin, 10));
    assert_eq!((kept.signature.as_str(), kept.names_agents), ("Assistance\n+33 5 61 00 00 00", false));
    anne.get(&path).await.assert_says("+33 5 61 00 00 00").assert_says("value=\"10\"");
}
