//! A report that a mail did not arrive is believed when it proves that it is about one of ours, and changes what it is about
//! and nothing else.

pub mod shapes;

use accord::audit;
use accord::db::types::PersonId;
use accord::journal::State as JournalState;
use accord::journal::unprocessed;
use accord::mail::delivery_report::{self, Fate};
use accord::mail::incoming;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::notifications::readers;
use accord::outbox::State;
use accord::outbox::listing::{self, Outgoing, Which};
use accord::people::{addresses, person};
use accord::tickets::Ticket;
use accord::tickets::events::{self, Event, EventKind};
use accord::tickets::messages::Remark;
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter, Sent, address};

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

/// Some clients answer where a mail came from, and address books learn that.
#[test]
fn lp_01_what_a_person_writes_to_the_address_for_bounces_is_heard_and_no_machine_answers_it() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    let answer = Letter::answering("claire@acme.example", &sent).to(&sent.envelope_from).text("Toujours noir.\r\n");
    desk.receive(&answer);
    assert_eq!(desk.ticket_again(ticket.id).status, Status::WaitingForUs);
    let said = desk.public_messages(&ticket).pop().unwrap();
    assert_eq!((said.body_text.trim(), said.remark), ("Toujours noir.", None));
    let told: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert_eq!(told, ["zoe@staff.example"]);

    // One that answers nothing any more is a request of its own, which agents are told of.
    let anew =
        Letter::from("claire@acme.example").to(&sent.envelope_from).subject("Autre chose").text("Le son aussi.\r\n");
    desk.receive(&anew);
    let opened = desk.tickets().pop().unwrap();
    assert_ne!(opened.id, ticket.id);
    assert_eq!(desk.messages(&opened)[0].remark, None);
    let told: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert_eq!(told, ["zoe@staff.example"]);
    assert_eq!(state_of(&desk, &ticket, &sent), State::Sent);
}

/// A ticket in which mails to Claire came back twice.
fn suppressed(desk: &Desk) -> Ticket {
    let (ticket, first) = answered(desk, "claire@acme.example");
    desk.answer(&ticket, "Encore une idée.", Status::WaitingForCustomer);
    let second = desk.sent_to("claire@acme.example").pop().unwrap();
    for sent in [first, second] {
        desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    }
    assert!(is_suppressed(desk, desk.claire));
    ticket
}

fn is_suppressed(desk: &Desk, person: PersonId) -> bool {
    desk.test.read(|db| person::by_id(db, person)).address_suppressed_at.is_some()
}

fn ledger(desk: &Desk, kind: &str) -> Vec<(Option<PersonId>, Option<PersonId>)> {
    let rows = desk.test.read(|db| audit::list(db, None, 1_000));
    rows.into_iter().filter(|(row, _)| row.kind == kind).map(|(row, _)| (row.actor, row.subject)).collect()
}

#[test]
fn bn_03_two_hard_bounces_within_a_month_suppress_the_address_and_nothing_is_mailed_there() {
    let desk = Desk::open();
    let ticket = suppressed(&desk);
    assert_eq!(ledger(&desk, "address_suppressed"), [(None, Some(desk.claire))]);
    desk.answer(&ticket, "Toujours rien ?", Status::WaitingForCustomer);
    assert!(desk.sent_to("claire@acme.example").is_empty());
    let letterhead = desk.letterhead();
    assert!(desk.test.read(|db| readers::of_answers(db, &letterhead, &ticket, Some(desk.zoe))).is_empty());
    // Nobody else is concerned.
    let (_, sent) = answered(&desk, "bob@acme.example");
    assert_eq!(sent.recipient, "bob@acme.example");
}

#[test]
fn bn_03_bounces_a_month_apart_or_for_other_reasons_do_not_suppress() {
    let desk = Desk::open();
    for (status, reply) in [("5.2.2", "552 5.2.2 Over quota"), ("5.7.1", "550 5.7.1 Spam"), ("4.4.1", "timed out")] {
        for _ in 0..2 {
            let (ticket, sent) = answered(&desk, "claire@acme.example");
            desk.receive(&shapes::postfix(&sent, "failed", status, reply));
            assert_eq!(state_of(&desk, &ticket, &sent), State::Dead);
        }
    }
    assert!(!is_suppressed(&desk, desk.claire));
    // Bob answers none of the mails that came back, so that nothing speaks for his address meanwhile.
    let (ticket, first) = answered(&desk, "bob@acme.example");
    desk.receive(&shapes::postfix(&first, "failed", "5.1.1", "550 5.1.1 User unknown"));
    desk.test.clock.advance(TimeDelta::days(31));
    desk.answer(&ticket, "Et maintenant ?", Status::WaitingForCustomer);
    let second = desk.sent_to("bob@acme.example").pop().unwrap();
    desk.receive(&shapes::postfix(&second, "failed", "5.1.1", "550 5.1.1 User unknown"));
    assert!(!is_suppressed(&desk, desk.bob));
    desk.test.clock.advance(TimeDelta::days(29));
    desk.answer(&ticket, "Encore ?", Status::WaitingForCustomer);
    let third = desk.sent_to("bob@acme.example").pop().unwrap();
    desk.receive(&shapes::postfix(&third, "failed", "5.1.1", "550 5.1.1 User unknown"));
    assert!(is_suppressed(&desk, desk.bob));
}

#[test]
fn bn_02_no_forged_report_suppresses_an_address() {
    let desk = Desk::open();
    for _ in 0..3 {
        let (_, sent) = answered(&desk, "claire@acme.example");
        let genuine = shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown");
        let without_id = genuine.body.replace(sent.mail.message_id.as_deref().unwrap(), "<none@client.example>");
        desk.receive(&genuine.to("support@garonne.example").text(&without_id));
    }
    assert!(!is_suppressed(&desk, desk.claire));
    assert_eq!(held(&desk).len(), 3);
}

/// Whoever is in the conversation knows the Message-IDs of the others' mails.
#[test]
fn bn_02_a_message_id_alone_marks_its_mail_and_suppresses_nobody() {
    let desk = Desk::open();
    for _ in 0..3 {
        let (ticket, sent) = answered(&desk, "claire@acme.example");
        let genuine = shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown");
        desk.receive(&genuine.to("support@garonne.example"));
        assert_eq!(state_of(&desk, &ticket, &sent), State::Dead);
    }
    assert!(!is_suppressed(&desk, desk.claire));
}

#[test]
fn bn_03_a_mail_that_failed_where_it_was_passed_on_to_speaks_against_nobody_here() {
    let desk = Desk::open();
    for _ in 0..3 {
        let (ticket, sent) = answered(&desk, "claire@acme.example");
        let (_, _, shape) = shapes::all().into_iter().find(|(name, ..)| *name == "sendmail, through an alias").unwrap();
        desk.receive(&shape(&sent));
        assert_eq!(state_of(&desk, &ticket, &sent), State::Dead);
    }
    assert!(!is_suppressed(&desk, desk.claire));
}

#[test]
fn ft_30_a_mail_that_came_back_is_nothing_that_the_desk_can_put_right() {
    let desk = Desk::open();
    let (_, sent) = answered(&desk, "claire@acme.example");
    desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    assert_eq!(desk.test.read(listing::counts).dead, 0);
    assert_eq!(desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows.len(), 1, "it is listed");
}

#[test]
fn bn_03_an_answer_that_waited_is_looked_at_again_and_shows_as_failed() {
    let desk = Desk::open();
    let (ticket, first) = answered(&desk, "claire@acme.example");
    desk.answer(&ticket, "Encore une idée.", Status::WaitingForCustomer);
    let second = desk.sent_to("claire@acme.example").pop().unwrap();
    desk.memory().fail_next(SendFailure { kind: FailureKind::Relay, code: Some(421), text: "busy".to_owned() });
    desk.answer(&ticket, "Une troisième.", Status::WaitingForCustomer);
    for sent in [first, second] {
        desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    }
    desk.test.clock.advance(TimeDelta::hours(1));
    desk.test.run_jobs();
    assert!(desk.sent_to("claire@acme.example").is_empty());
    assert_eq!(failures(&desk, &ticket).len(), 3);
}

#[test]
fn bn_03_who_writes_from_the_address_or_confirms_it_is_mailed_again() {
    let desk = Desk::open();
    let ticket = suppressed(&desk);
    let claire = desk.claire;
    // Anybody can write that address into From.
    desk.receive(&Letter::from("claire@acme.example").subject("Autre chose"));
    assert!(is_suppressed(&desk, claire));
    desk.receive(&Letter::from("claire@acme.example").subject("Encore").authenticated("fail"));
    assert!(is_suppressed(&desk, claire));
    desk.receive(&Letter::from("claire@acme.example").subject("Me revoilà").authenticated("pass"));
    assert!(!is_suppressed(&desk, claire));
    assert_eq!(ledger(&desk, "suppression_lifted"), [(None, Some(claire))]);
    desk.sent();
    desk.answer(&ticket, "Bienvenue.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().expect("she is mailed again");
    // Two more are needed to suppress it again.
    desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    assert!(!is_suppressed(&desk, claire));
    desk.answer(&ticket, "Et encore.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    desk.receive(&shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown"));
    assert!(is_suppressed(&desk, claire));
    let now = desk.test.now();
    desk.test.write(move |db| addresses::confirm(db, claire, &address("claire@acme.example"), now));
    assert!(!is_suppressed(&desk, claire));
}

#[actix_web::test]
async fn bn_05_the_ticket_says_that_nothing_is_mailed_and_an_agent_may_lift_it() {
    let desk = Desk::open();
    let ticket = suppressed(&desk);
    let browser = desk.test.signed_in(desk.zoe).await;
    let path = format!("/tickets/{}", ticket.reference);
    let page = browser.get(&path).await.text();
    assert!(page.contains("Plus aucun courriel n’est envoyé à"), "{page}");
    assert!(page.contains("n’est envoyé à personne"), "the composer says so");
    assert!(page.contains("User unknown"), "the reason stands beside the mail that failed");
    let handle = desk.test.read(|db| person::by_id(db, desk.claire)).handle;
    browser.post(&format!("{path}/participants/{handle}/mail"), &[]).await;
    assert!(!is_suppressed(&desk, desk.claire));
    assert_eq!(ledger(&desk, "suppression_lifted"), [(Some(desk.zoe), Some(desk.claire))]);
    assert!(!browser.get(&path).await.text().contains("Plus aucun courriel"));
}

#[actix_web::test]
async fn bn_03_an_administrator_lifts_it_on_the_page_of_the_person() {
    let desk = Desk::open();
    suppressed(&desk);
    let handle = desk.test.read(|db| person::by_id(db, desk.claire)).handle;
    let path = format!("/admin/people/{handle}");
    let browser = desk.test.signed_in(desk.administrator).await;
    assert!(browser.get(&path).await.text().contains("courriels revenus"));
    browser.post(&format!("{path}/mail"), &[]).await;
    assert!(!is_suppressed(&desk, desk.claire));
    assert_eq!(ledger(&desk, "suppression_lifted"), [(Some(desk.administrator), Some(desk.claire))]);
    assert!(!browser.get(&path).await.text().contains("courriels revenus"));
}

/// A provider tells that Claire reported the mail as junk.
fn complaint(sent: &Sent, kind: &str, mail_from: &str, id: &str) -> Letter {
    let body = format!(
        "--f\nContent-Type: text/plain\n\nThis is an email abuse report.\n\n--f\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: {kind}\nUser-Agent: Loop/1.0\nVersion: 1\nOriginal-Mail-From: <{mail_from}>\n\
         Original-Rcpt-To: <{}>\nReported-Domain: garonne.example\n\n--f\nContent-Type: message/rfc822\n\n\
         From: support@garonne.example\nTo: {}\nSubject: question\nMessage-ID: {id}\n\nBonjour.\n--f--\n",
        sent.recipient, sent.recipient
    );
    Letter::from("feedback@provider.example")
        .subject("FW: question")
        .header("Content-Type", "multipart/report; report-type=feedback-report; boundary=f")
        .text(&body.replace('\n', "\r\n"))
}

fn gets_news(desk: &Desk, person: PersonId) -> bool {
    desk.test.read(|db| person::by_id(db, person)).mailed_about_tickets
}

#[test]
fn bn_04_a_proven_complaint_ends_the_news_and_answers_still_go() {
    let desk = Desk::open();
    let (ticket, sent) = answered(&desk, "claire@acme.example");
    for kind in ["not-spam", "auth-failure", "virus", "other", ""] {
        desk.receive(&complaint(&sent, kind, &sent.envelope_from, "<x@y.example>"));
        assert!(gets_news(&desk, desk.claire), "nobody complained: {kind}");
    }
    desk.receive(&complaint(&sent, "abuse", &sent.envelope_from, "<x@y.example>"));
    assert!(!gets_news(&desk, desk.claire));
    assert_eq!(state_of(&desk, &ticket, &sent), State::Sent, "it did arrive");
    assert!(!is_suppressed(&desk, desk.claire));
    assert!(desk.sent().is_empty(), "nobody answers a complaint");
    desk.answer(&ticket, "Une réponse.", Status::WaitingForCustomer);
    assert_eq!(desk.sent_to("claire@acme.example").len(), 1);
    assert_eq!(ledger(&desk, "mail_complaint"), [(None, Some(desk.claire))]);
}

/// The Message-IDs of a conversation stand in the mails of everybody in it.
#[test]
fn bn_04_a_message_id_alone_silences_nobody_and_no_complaint_silences_an_agent() {
    let desk = Desk::open();
    let (_, sent) = answered(&desk, "bob@acme.example");
    let id = sent.mail.message_id.clone().unwrap();
    desk.receive(&complaint(&sent, "abuse", "a@b.example", &id));
    assert!(gets_news(&desk, desk.bob));
    let (_, to_yves) = answered(&desk, "yves@staff.example");
    desk.receive(&complaint(&to_yves, "abuse", &to_yves.envelope_from, "<x@y.example>"));
    assert!(gets_news(&desk, desk.yves));
    assert!(held(&desk).is_empty());
}

#[test]
fn bn_04_a_complaint_that_proves_nothing_changes_nothing_and_is_held() {
    let desk = Desk::open();
    let (_, sent) = answered(&desk, "claire@acme.example");
    let domain = sent.envelope_from.rsplit_once('@').unwrap().1.to_owned();
    let made_up = format!("<m.{0}.{0}@{domain}>", "a".repeat(26));
    let forged = format!("b+{}@{domain}", "a".repeat(52));
    desk.receive(&complaint(&sent, "abuse", "support@garonne.example", "<x@y.example>"));
    desk.receive(&complaint(&sent, "abuse", &forged, "<x@y.example>"));
    desk.receive(&complaint(&sent, "abuse", &sent.reply_to(), "<x@y.example>"));
    desk.receive(&complaint(&sent, "abuse", &sent.envelope_from, &made_up));
    assert!(gets_news(&desk, desk.claire));
    assert_eq!(held(&desk), ["BN-04"; 4]);
}

#[actix_web::test]
async fn bn_04_administrators_are_told_where_they_look() {
    let desk = Desk::open();
    let (_, sent) = answered(&desk, "claire@acme.example");
    desk.receive(&complaint(&sent, "abuse", &sent.envelope_from, "<x@y.example>"));
    let browser = desk.test.signed_in(desk.administrator).await;
    let handle = desk.test.read(|db| person::by_id(db, desk.claire)).handle;
    browser.get(&format!("/admin/people/{handle}")).await.assert_says("A signalé notre courriel comme indésirable");
    browser.get("/admin/status").await.assert_says("Une personne a signalé nos courriels");
    browser.get("/admin/ledger").await.assert_says("Notre courriel signalé comme indésirable");
}
