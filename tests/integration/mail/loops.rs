//! No machine is answered by a machine, and nobody is flooded.

use accord::access::Actor;
use accord::consent::asking::{self, Terms};
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::{Component, Level, Scope, Subject};
use accord::error::Error;
use accord::journal::unprocessed;
use accord::throttle::{self, Rate};
use accord::tickets::events::EventKind;
use accord::tickets::messages::{self, NewNote, Remark, Words};
use accord::tickets::status::Status;
use accord::tickets::{assignment, participants};
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;

use crate::support::desk::{Desk, Letter, Sent};

const CLAIRE: &str = "claire@acme.example";
const BOB: &str = "bob@acme.example";
const ZOE: &str = "zoe@staff.example";

pub(super) fn acknowledgements(desk: &Desk, to: &str) -> usize {
    desk.sent().iter().filter(|sent| sent.recipient == to && sent.envelope_from.is_empty()).count()
}

#[test]
fn lp_01_lp_02_mail_of_machines_and_lists_is_never_acknowledged() {
    let marks = [
        ("Auto-Submitted", "auto-replied"),
        ("Auto-Submitted", "AUTO-GENERATED; owner=x"),
        ("X-Autoreply", "yes"),
        ("X-Autorespond", "x"),
        ("Precedence", "Bulk"),
        ("Precedence", "list"),
        ("Precedence", "JUNK"),
        ("List-Id", "<a.b.example>"),
        ("List-Unsubscribe", "<mailto:x@y.example>"),
        ("X-Auto-Response-Suppress", "OOF"),
        ("X-Failed-Recipients", "a@b.example"),
        ("Content-Type", "multipart/report; report-type=disposition-notification; boundary=b"),
        ("To", "undisclosed-recipients:;"),
    ];
    let desk = Desk::open();
    for (name, value) in marks {
        desk.receive(&Letter::from("claire@acme.example").header(name, value));
        assert_eq!(acknowledgements(&desk, "claire@acme.example"), 0, "{name}: {value}");
    }
    desk.receive(&Letter::from("claire@acme.example").envelope("<>"));
    for from in ["no-reply@acme.example", "DoNotReply@acme.example", "bounces@acme.example", "root@acme.example"] {
        desk.receive(&Letter::from(from));
    }
    assert!(desk.sent().iter().all(|sent| !sent.envelope_from.is_empty()));
}

/// D15 keeps what a tracker passes on from customers and leaves the ticket as it is; somebody wrote it, so agents hear of it.
#[actix_web::test]
async fn d15_agents_are_told_of_what_a_person_wrote_in_a_tracker_and_nobody_else_is() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    desk.sent();
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    let sent = desk.sent_to(CLAIRE).remove(0);
    let note = || {
        Letter::answering("\"Anna (Jira)\" <jira@acme.example>", &sent)
            .header("Auto-Submitted", "auto-generated")
            .text("Chez nous aussi.\r\n")
    };
    // Without the field by which Jira is known nobody can tell it from any other program.
    for (fingerprint, told) in [(None, 0), (Some("0123456789abcdef"), 1)] {
        let note = fingerprint.iter().fold(note(), |note, value| note.header("X-JIRA-FingerPrint", value));
        desk.receive(&note.header("Message-ID", &format!("<{told}@jira.acme.example>")));
        let to: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
        assert_eq!(to, vec![ZOE.to_owned(); told], "{fingerprint:?}");
    }
    let ticket = desk.ticket();
    assert_eq!(ticket.status, Status::Closed);
    assert_eq!(desk.messages(&ticket).last().unwrap().remark, Some(Remark::Automatic));
    assert!(desk.public_messages(&ticket).iter().all(|said| !said.body_text.contains("Chez nous")));
    let path = format!("/tickets/{}", ticket.reference);
    let zoe = desk.test.browser_of(desk.zoe).await;
    zoe.get(&path).await.assert_says("Écrit par une personne dans un autre logiciel, qui l’a transmis");
    desk.test.write(move |db| Ok(db.batch_execute("UPDATE people SET language = 'en'")?));
    let zoe = desk.test.browser_of(desk.zoe).await;
    zoe.get(&path).await.assert_says("Written by a person in another program, which passed it on");
    // One that belongs to no ticket opens one, of which agents are told and Jira is not.
    desk.receive(
        &Letter::from("\"Anna (Jira)\" <jira@acme.example>")
            .subject("[JIRA] (SUP-12) Écran")
            .header("Auto-Submitted", "auto-generated")
            .header("X-JIRA-FingerPrint", "0123456789abcdef"),
    );
    let to: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert_eq!((desk.tickets().len(), to), (2, vec![ZOE.to_owned()]));
}

/// Where an agent's address leads to the tracker itself, each mail to the agent would make the next note.
#[test]
fn lp_05_notes_that_a_tracker_passes_on_again_and_again_are_mailed_to_agents_for_a_while_only() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    desk.answer(&desk.ticket(), "Fini.", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).remove(0);
    let mut mailed = 0;
    for number in 0..30 {
        desk.test.clock.advance(TimeDelta::seconds(10));
        let note = Letter::answering("\"Anna (Jira)\" <jira@acme.example>", &sent)
            .header("Auto-Submitted", "auto-generated")
            .header("X-JIRA-FingerPrint", "0123456789abcdef")
            .header("Message-ID", &format!("<{number}@jira.acme.example>"));
        desk.receive(&note.text(&format!("Note {number}.\r\n")));
        mailed += desk.sent().len();
    }
    assert!((1..=12).contains(&mailed), "{mailed}");
    let ticket = desk.ticket();
    assert_eq!(desk.messages(&ticket).len(), 32, "nothing is lost");
    let events = desk.test.read(|db| accord::tickets::events::of_ticket(db, &ticket, 200));
    let throttled = events.iter().filter(|event| event.kind == EventKind::MailThrottled).count();
    assert_eq!(throttled, 1, "agents are told once");
}

#[test]
fn lp_01_a_list_mail_written_by_a_person_still_reopens() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    desk.receive(&Letter::answering("claire@acme.example", &sent).header("Precedence", "bulk"));
    assert_eq!(desk.ticket().status, Status::WaitingForUs);
}

#[test]
fn lp_02_three_acknowledgements_an_hour_and_ten_a_day() {
    let desk = Desk::open();
    let file = |number: usize| desk.receive(&Letter::from("claire@acme.example").subject(&format!("Écran {number}")));
    let mut an_hour = 0;
    for number in 0..8 {
        file(number);
        an_hour += acknowledgements(&desk, "claire@acme.example");
        desk.test.clock.advance(TimeDelta::minutes(7));
    }
    assert_eq!(an_hour, 3);
    let mut a_day = an_hour;
    for number in 8..30 {
        desk.test.clock.advance(TimeDelta::hours(1));
        file(number);
        a_day += acknowledgements(&desk, "claire@acme.example");
    }
    assert_eq!(a_day, 10);
    assert_eq!(desk.tickets().len(), 30, "each is a ticket");
}

#[test]
fn lp_02_of_many_that_are_counted_at_the_same_time_no_more_than_three_are_allowed() {
    let desk = Desk::open();
    let (rate, now) = (Rate { times: 3, within: TimeDelta::hours(1) }, desk.test.now());
    let allowed = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..16)
            .map(|_| {
                let app = &desk.test.app;
                scope.spawn(move || {
                    let counted = app.database.write_now(move |db| throttle::take_strictly(db, "many", rate, now));
                    assert!(matches!(counted, Ok(()) | Err(Error::TooMany { .. })), "{counted:?}");
                    counted.is_ok()
                })
            })
            .collect();
        tries.into_iter().filter_map(|one| one.join().ok()).filter(|is_allowed| *is_allowed).count()
    });
    assert_eq!(allowed, 3);
}

#[test]
fn lp_02_an_unconfirmed_address_gets_one_mail_a_day() {
    let desk = Desk::open();
    let mut told = 0;
    for number in 0..12 {
        desk.receive(&Letter::from("eve@stranger.example").subject(&format!("Nr {number}")));
        desk.test.clock.advance(TimeDelta::hours(1));
        told += desk.sent_to("eve@stranger.example").len();
    }
    assert_eq!(told, 1);
    desk.test.clock.advance(TimeDelta::hours(24));
    desk.receive(&Letter::from("eve@stranger.example"));
    assert_eq!(desk.sent_to("eve@stranger.example").len(), 1);
}

#[test]
fn lp_02_our_own_domains_and_our_agents_get_no_acknowledgement() {
    let desk = Desk::open();
    desk.receive(&Letter::from("somebody@garonne.example"));
    desk.receive(&Letter::from("somebody@reply.desk.example"));
    desk.receive(&Letter::from("yves@staff.example"));
    assert_eq!(desk.tickets().len(), 3, "each is a ticket");
    assert!(desk.sent().iter().all(|sent| sent.recipient == "zoe@staff.example"));
}

#[test]
fn lp_07_who_makes_the_same_request_for_the_third_time_finds_it_beside_the_second_and_agents_hear_of_each() {
    let desk = Desk::open();
    let letter = || Letter::from(CLAIRE).text("Toujours noir.\r\n");
    for said in 1..=4 {
        desk.receive(&letter());
        let sent = desk.sent();
        let to = |address: &str| sent.iter().filter(|sent| sent.recipient == address).count();
        assert_eq!((to(CLAIRE), to(ZOE)), (usize::from(said <= 2), 1), "{said}");
        assert_eq!(desk.tickets().len(), said.min(2), "{said}");
    }
    let second = desk.tickets().pop().unwrap();
    let said = desk.public_messages(&second);
    assert_eq!(said.len(), 3, "the customer reads all of it");
    assert!(said.iter().all(|message| message.remark.is_none() && message.author_id == Some(desk.claire)));
    desk.receive(&Letter::from(BOB).text("Toujours noir.\r\n"));
    assert_eq!(desk.tickets().len(), 3, "somebody else may say the same");
    desk.answer(&second, "Redémarrez-le.", Status::WaitingForCustomer);
    desk.receive(&letter());
    assert_eq!(desk.tickets().len(), 4, "what was answered is no place for it");
    assert_eq!(desk.tickets()[3].status, Status::WaitingForUs);
    desk.test.clock.advance(TimeDelta::hours(25));
    desk.receive(&letter());
    assert_eq!(desk.tickets().len(), 5, "tomorrow it is news");
}

#[test]
fn lp_07_the_same_request_goes_into_no_ticket_that_is_closed_or_that_others_read() {
    for is_closed in [true, false] {
        let desk = Desk::open();
        desk.receive(&Letter::from(CLAIRE));
        desk.receive(&Letter::from(CLAIRE));
        let second = desk.tickets().pop().unwrap();
        let (bob, by, now) = (desk.bob, desk.actor(desk.zoe), desk.test.now());
        if is_closed {
            desk.answer(&second, "Fini.", Status::Closed);
        } else {
            desk.test.write(move |db| participants::approve(db, &second, bob, &by, now));
        }
        desk.receive(&Letter::from(CLAIRE));
        assert_eq!(desk.tickets().len(), 3, "{is_closed}");
    }
}

#[test]
fn lp_07_requests_that_differ_in_a_number_an_address_or_their_order_are_never_the_same() {
    let desk = Desk::open();
    let alike = [
        ("Commande 4711", "Elle manque."),
        ("Commande 4712", "Elle manque."),
        ("Alerte", "Disque plein sur 192.0.2.1"),
        ("Alerte", "Disque plein sur 192.0.2.2"),
        ("Alerte", "Disque plein sur https://a.example/1"),
        ("Alerte", "Disque plein sur https://a.example/2"),
        ("Droits", "Donnez à Bob ceux de Claire."),
        ("Droits", "Donnez à Claire ceux de Bob."),
    ];
    for (subject, text) in alike.iter().chain(&alike) {
        desk.receive(&Letter::from(CLAIRE).subject(subject).text(text));
    }
    assert_eq!(desk.tickets().len(), 16);
}

#[test]
fn lp_07_files_are_news_whatever_is_written_beside_them() {
    let desk = Desk::open();
    for file in ["one", "two", "three", "four"] {
        desk.receive(
            &Letter::from(CLAIRE)
                .header("Content-Type", "multipart/mixed; boundary=b")
                .text(&format!("--b\r\n\r\nVoir le fichier.\r\n--b\r\nContent-Type: application/pdf; name={file}.pdf\r\nContent-Disposition: attachment; filename={file}.pdf\r\n\r\n{file}\r\n--b--\r\n")),
        );
    }
    assert_eq!(desk.tickets().len(), 4);
}

/// An answer that lost all that names what it answers.
fn astray(from: &str, sent: &Sent) -> Letter {
    let letter = Letter::answering(from, sent).to(crate::support::desk::SUPPORT);
    letter.header("In-Reply-To", "").header("References", "").subject("Autre chose")
}

#[test]
fn lp_07_an_answer_that_lost_what_it_answers_is_a_ticket_that_no_machine_answers() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    desk.receive(&astray(CLAIRE, &sent));
    assert_eq!(desk.tickets().len(), 2);
    let told: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert_eq!(told, [ZOE], "agents hear of it");
    desk.receive(&astray(BOB, &sent));
    assert_eq!(acknowledgements(&desk, BOB), 1, "who passes somebody else's mail on makes a request");
}

#[test]
fn lp_07_what_another_desk_wrote_is_not_acknowledged_and_what_somebody_passes_on_of_one_is() {
    let desk = Desk::open();
    let marker = "##- Please type your reply above this line -##";
    let of_a_desk =
        [format!("{marker}\r\n\r\nVotre demande est arrivée."), format!("Voyez ceci.\r\n\r\n{marker}\r\nBonjour")];
    for (number, text) in of_a_desk.iter().enumerate() {
        desk.receive(&Letter::from(CLAIRE).subject(&format!("Nr {number}")).text(text));
        let told: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
        assert_eq!(told, [ZOE], "{text}");
    }
    let passed_on = [
        format!(
            "Que faire ?\r\n\r\n---------- Forwarded message ----------\r\nDe : x@zendesk.example\r\n\r\n{marker}\r\nBonjour"
        ),
        format!(
            "Que faire ?\r\n\r\nLe lun. 23 nov. 2026 à 10:00, Aide <x@zendesk.example> a écrit :\r\n> {marker}\r\n> Bonjour"
        ),
        format!(
            "Que faire ?\r\n\r\nDe : Aide <x@zendesk.example>\r\nEnvoyé : lundi 23 novembre 2026 10:00\r\nÀ : Bob\r\nObjet : x\r\n\r\n{marker}\r\nBonjour"
        ),
    ];
    for (number, text) in passed_on.iter().enumerate() {
        desk.receive(&Letter::from(BOB).subject(&format!("Nr {number}")).text(text));
        assert_eq!(acknowledgements(&desk, BOB), 1, "{text}");
    }
}

#[test]
fn lp_07_mail_alone_tells_of_ten_messages_a_day_and_what_somebody_does_is_told_whatever_went_before() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    let (ticket, bob, by, now) = (desk.ticket(), desk.bob, desk.actor(desk.zoe), desk.test.now());
    desk.test.write(move |db| participants::approve(db, &ticket, bob, &by, now));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    let told_of = |letter: &Letter| {
        desk.receive(letter);
        let sent = desk.sent();
        desk.test.clock.advance(TimeDelta::minutes(30));
        let to = |address: &str| sent.iter().filter(|sent| sent.recipient == address).count();
        (to(ZOE), to(BOB))
    };
    let yes = || Letter::answering(CLAIRE, &sent).text("Oui.\r\n");
    let told: Vec<(usize, usize)> = (0..12).map(|_| told_of(&yes())).collect();
    assert_eq!(told, [vec![(1, 1); 10], vec![(0, 0); 2]].concat(), "the same short words are news each time");
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 14, "and each stands in the ticket");

    assert_eq!(told_of(&Letter::answering(ZOE, &sent)), (1, 0), "a mail that is held is told");
    let (ticket, zoe, now) = (desk.ticket(), desk.zoe, desk.test.now());
    desk.test.write(move |db| assignment::assign(db, &ticket, Some(zoe), &Actor::System, now));
    desk.test.run_jobs();
    assert_eq!(desk.sent_to(ZOE).len(), 1, "so is an assignment");
    assert_eq!(told_of(&yes()), (0, 0), "neither makes it somebody's who does something");

    let stranger = Letter::answering("eve@stranger.example", &sent).text("Moi aussi.\r\n");
    assert_eq!(told_of(&stranger), (1, 0), "what staff alone sees has room of its own");
    let doubted = desk.messages(&desk.ticket()).pop().unwrap();
    let (ticket, by, now) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now());
    desk.test.write(move |db| messages::in_doubt::accept(db, &ticket, &doubted.handle, &by, now));
    desk.test.run_jobs();
    assert_eq!(desk.sent_to(BOB).len(), 1, "what an agent accepts is told");
    assert_eq!(told_of(&yes()), (1, 1), "and after it what is written by mail");

    for _ in 0..11 {
        told_of(&yes());
    }
    assert_eq!(told_of(&yes()), (0, 0));
    let (ticket, by, now) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now());
    let note = NewNote { words: Words::on_page("J'appelle."), attachments: Vec::new(), mail_id: None, ingest: None };
    desk.test.write(move |db| messages::add_note(db, &ticket, note.clone(), &by, now).map(drop));
    desk.test.run_jobs();
    assert_eq!(told_of(&yes()), (1, 1), "an agent who does anything there begins it anew");

    for _ in 0..11 {
        told_of(&yes());
    }
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    desk.sent();
    assert_eq!(told_of(&yes()), (1, 1), "a mail that reopens is told");
    assert_eq!(desk.ticket().status, Status::WaitingForUs);
}

#[test]
fn lp_07_however_much_doubted_mail_came_the_customer_s_own_is_told() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    for number in 0..14 {
        desk.receive(&Letter::answering("eve@stranger.example", &sent).text(&format!("Moi aussi, {number}.\r\n")));
        desk.test.clock.advance(TimeDelta::minutes(2));
    }
    assert_eq!(desk.sent_to(ZOE).len(), 10);
    desk.receive(&Letter::answering(CLAIRE, &sent).text("Tout est arrêté.\r\n"));
    assert_eq!(desk.sent_to(ZOE).len(), 1);
}

#[test]
fn lp_05_what_is_not_written_by_mail_is_told_in_the_midst_of_a_flood() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    desk.answer(&desk.ticket(), "Oui ?", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    for number in 0..20 {
        desk.receive(&Letter::answering(CLAIRE, &sent).text(&format!("encore {number}")));
    }
    desk.sent();
    let (ticket, zoe, now) = (desk.ticket(), desk.zoe, desk.test.now());
    desk.test.write(move |db| assignment::assign(db, &ticket, Some(zoe), &Actor::System, now));
    desk.test.run_jobs();
    assert_eq!(desk.sent_to(ZOE).len(), 1, "an assignment");
    desk.receive(&Letter::answering("eve@stranger.example", &sent).text("Moi aussi.\r\n"));
    let doubted = desk.messages(&desk.ticket()).pop().unwrap();
    desk.sent();
    let (ticket, by, now) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now());
    desk.test.write(move |db| messages::in_doubt::accept(db, &ticket, &doubted.handle, &by, now));
    desk.test.run_jobs();
    assert_eq!(desk.sent_to(CLAIRE).len(), 1, "a message that an agent accepted");
}

#[test]
fn lp_07_requests_that_differ_in_their_html_alone_are_never_the_same() {
    let desk = Desk::open();
    for order in 1..=4 {
        let text = format!(
            "--b\r\nContent-Type: text/plain\r\n\r\nVotre messagerie n'affiche pas le HTML.\r\n\
             --b\r\nContent-Type: text/html\r\n\r\n<p>Commande {order}</p>\r\n--b--\r\n"
        );
        desk.receive(&Letter::from(CLAIRE).header("Content-Type", "multipart/alternative; boundary=b").text(&text));
    }
    assert_eq!(desk.tickets().len(), 4);
}

#[test]
fn lp_07_d9_each_mail_that_is_held_is_told_at_once_or_with_its_number_after_a_pause() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    desk.answer(&desk.ticket(), "Oui ?", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    let hold = |from: &str, text: &str| {
        desk.receive(&Letter::answering(from, &sent).text(text));
        desk.sent_to(ZOE).len()
    };
    let after = |hours: i64| {
        desk.test.pass(TimeDelta::hours(hours));
        desk.sent_to(ZOE).into_iter().map(|sent| sent.mail.text).collect::<Vec<_>>()
    };
    assert_eq!(hold(ZOE, "un"), 1);
    desk.test.clock.advance(TimeDelta::minutes(10));
    assert_eq!([hold(ZOE, "deux"), hold("Zoe@Staff.example", "trois")], [0, 0]);
    assert_eq!(hold("yves@staff.example", "un"), 1, "of another sender they are told at once");
    let told = after(1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Cela fait maintenant 3 messages de cet expéditeur."), "{told:?}");
    assert_eq!(after(10), Vec::<String>::new(), "there was no more to tell");
    assert_eq!(hold(ZOE, "quatre"), 1, "the pause is over");
    for number in 0..12 {
        hold(ZOE, &format!("encore {number}"));
        desk.test.clock.advance(TimeDelta::seconds(20));
    }
    let told = after(4);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("maintenant 16 messages"), "{told:?}");
    assert_eq!(desk.test.read(unprocessed::counts).held, 17, "all of them wait for somebody to look");
}

#[test]
fn lp_03_what_we_send_by_ourselves_says_so() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let sent = desk.sent();
    assert_eq!(sent.len(), 2);
    for one in &sent {
        let expected = if one.envelope_from.is_empty() { "auto-replied" } else { "auto-generated" };
        assert_eq!(one.header("auto-submitted"), Some(expected));
        assert_eq!(one.header("x-auto-response-suppress"), Some("All"));
        assert_eq!(one.header("precedence"), Some("bulk"));
        assert_eq!(one.mail.loop_marks.len(), 1);
    }
}

#[test]
fn lp_05_ft_17_a_flood_of_one_sender_is_collected_in_one_ticket_and_answered_once() {
    let desk = Desk::open();
    for number in 0..80 {
        desk.accept(&Letter::from("eve@stranger.example").subject(&format!("Nr {number}")));
    }
    desk.test.run_jobs();
    let tickets = desk.tickets();
    assert!((30..=32).contains(&tickets.len()), "{}", tickets.len());
    let said: usize = tickets.iter().map(|ticket| desk.messages(ticket).len()).sum();
    assert_eq!(said, 80, "nothing is lost");
    assert_eq!(desk.sent_to("eve@stranger.example").len(), 1);
    desk.receive(&Letter::from("claire@acme.example"));
    assert_eq!(desk.tickets().last().unwrap().requester_id, desk.claire, "others are not held up");
}

#[test]
fn lp_05_many_mails_to_one_ticket_end_what_is_mailed_about_it() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Oui ?", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let mut told = 0;
    for number in 0..40 {
        desk.receive(&Letter::answering("claire@acme.example", &sent).text(&format!("encore {number}")));
        told += desk.sent().len();
    }
    assert!(told <= 12, "{told}");
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 42);
}

#[test]
fn lp_05_a_ticket_reopens_by_mail_five_times_an_hour() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let mut reopened = 0;
    for number in 0..9 {
        desk.receive(&Letter::answering("claire@acme.example", &sent).text(&format!("non {number}")));
        if desk.ticket().status == Status::WaitingForUs {
            reopened += 1;
            desk.answer(&desk.ticket(), "Fini.", Status::Closed);
        }
    }
    assert_eq!(reopened, 5);
}

#[test]
fn lp_09_what_a_consent_has_to_say_counts_with_the_acknowledgements_and_is_never_left_out() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.test.clock.advance(TimeDelta::hours(2));
    desk.sent();
    for purpose in ["Comprendre l'écran noir", "Comprendre l'attente", "Comprendre l'erreur", "Comprendre le reste"] {
        let (ticket, zoe, now) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now());
        let terms = Terms {
            subject: Subject::Person(desk.claire),
            purpose: purpose.to_owned(),
            purpose_code: PurposeCode::Fault,
            scope: Scope::of(&[Component::Pages], Level::Debug, Vec::new()),
            duration_minutes: 60,
            retention_days: 7,
            recipients: Recipients::Queue(ticket.queue_id),
            exports_allowed: false,
            stop_condition: String::new(),
            idle_minutes: None,
        };
        desk.test.write(move |db| asking::ask(db, &ticket, &terms, &zoe, now).map(drop));
        desk.test.run_jobs();
    }
    assert_eq!(desk.sent_to("claire@acme.example").len(), 4, "each question arrives");
    desk.receive(&Letter::from("claire@acme.example").subject("Autre chose"));
    assert_eq!(acknowledgements(&desk, "claire@acme.example"), 0);
    desk.test.clock.advance(TimeDelta::hours(1));
    desk.receive(&Letter::from("claire@acme.example").subject("Encore autre chose"));
    assert_eq!(acknowledgements(&desk, "claire@acme.example"), 1);
}

#[test]
fn lp_06_a_mail_that_goes_in_circles_is_kept_and_that_is_all() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let ours = desk.sent_to("zoe@staff.example").remove(0);
    let mark = ours.mail.loop_marks[0].clone();
    desk.receive(&Letter::from("x@relay.example").header("X-Accord-Loop", &mark));
    let mut circling = Letter::from("y@relay.example");
    for number in 0..51 {
        circling = circling.on_top("Received", &format!("from a{number} by b; Mon, 23 Nov 2026 08:00:00 +0000"));
    }
    desk.receive(&circling);
    assert_eq!(desk.tickets().len(), 1);
    assert_eq!(desk.test.read(unprocessed::counts).held, 2);
    assert!(desk.sent().is_empty());
}
