//! Each row of the decision table, from the mail to what everybody sees.

use accord::db::schema::sending_domains;
use accord::i18n::Locale;
use accord::journal::{self, State, unprocessed};
use accord::people::person::{self, Origin};
use accord::tickets::events::{self, EventKind, Maker};
use accord::tickets::messages::{Remark, Visibility};
use accord::tickets::status::Status;
use accord::tickets::ticket::Ticket;
use accord::tickets::{messages, participants};
use accord::worker::recurring;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, Sent, address};

/// A desk with a ticket of Claire's that Zoé answered, and the mail in which she did.
fn answered() -> (Desk, Ticket, Sent) {
    let desk = Desk::open();
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>"));
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    let ticket = desk.ticket();
    (desk, ticket, sent)
}

/// The same answer to somebody's own reply address, without ids.
fn by_token(from: &str, sent: &Sent) -> Letter {
    Letter::answering(from, sent).header("In-Reply-To", "").header("References", "").subject("Re: écran")
}

/// The same answer to the mailbox, with ids only.
fn by_id(from: &str, sent: &Sent) -> Letter {
    let to = crate::support::desk::SUPPORT;
    Letter::answering(from, sent).to(to).subject("Re: écran")
}

fn by_subject(from: &str, ticket: &Ticket) -> Letter {
    Letter::from(from).subject(&format!("Re: [{}] écran", ticket.reference))
}

fn has_event(desk: &Desk, ticket: &Ticket, kind: EventKind) -> bool {
    desk.test.read(|db| events::of_ticket(db, ticket, 100)).iter().any(|event| event.kind == kind)
}

#[test]
fn d1_a_token_and_a_participant_append_and_reopen() {
    let (desk, ticket, sent) = answered();
    desk.receive(&by_token("claire@acme.example", &sent));
    assert_eq!(desk.public_messages(&ticket).len(), 3);
    assert_eq!(desk.ticket().status, Status::WaitingForUs);
}

#[test]
fn d1_a_customer_reply_reopens_a_closed_ticket() {
    let (desk, ticket, sent) = answered();
    desk.answer(&ticket, "Je ferme.", Status::Closed);
    desk.test.clock.advance(TimeDelta::days(29));
    desk.receive(&by_token("claire@acme.example", &sent));
    assert_eq!(desk.ticket().status, Status::WaitingForUs);
}

#[test]
fn d2_adv_06_a_token_from_a_stranger_is_for_staff_with_the_real_address() {
    let (desk, ticket, sent) = answered();
    desk.sent();
    desk.receive(&by_token("Claire <mallory@evil.example>", &sent));
    let all = desk.messages(&ticket);
    assert_eq!((all.len(), desk.public_messages(&ticket).len()), (3, 2));
    let last = &all[2];
    assert_eq!((last.visibility, last.remark), (Visibility::Staff, Some(Remark::DifferentSender)));
    assert_eq!(last.from_address, "mallory@evil.example");
    let shown = desk.test.read(|db| participants::shown(db, &ticket));
    assert_eq!(shown.len(), 1, "the sender takes no part");
    let recipients: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert_eq!(recipients, ["zoe@staff.example"]);
    // One click of an agent, and it is the conversation's.
    let (by, handle, now) = (desk.actor(desk.zoe), last.handle.clone(), desk.test.now());
    let current = desk.ticket();
    desk.test.write(move |db| messages::in_doubt::accept(db, &current, &handle, &by, now));
    assert_eq!(desk.public_messages(&ticket).len(), 3);
}

#[test]
fn d3_a_failed_authentication_is_held_and_nothing_is_sent() {
    let (desk, ticket, sent) = answered();
    for letter in [
        by_token("claire@acme.example", &sent),
        by_id("claire@acme.example", &sent),
        by_subject("claire@acme.example", &ticket),
    ] {
        desk.receive(&letter.authenticated("fail"));
    }
    assert_eq!(desk.messages(&ticket).len(), 2);
    let held = desk.test.read(|db| unprocessed::list(db, None, 10)).rows;
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|held| held.state == State::Held && held.record.0.rule == "D3"));
    assert!(desk.sent().is_empty());
    assert!(has_event(&desk, &ticket, EventKind::MailHeld));
}

#[test]
fn d4_our_message_id_and_a_participant_append() {
    let (desk, ticket, sent) = answered();
    desk.receive(&by_id("claire@acme.example", &sent));
    assert_eq!(desk.public_messages(&ticket).len(), 3);
}

#[test]
fn d4_th_02_a_customers_answer_to_their_own_mail_appends() {
    let desk = Desk::open();
    let first = Letter::from("claire@acme.example");
    desk.receive(&first);
    desk.receive(&Letter::from("claire@acme.example").subject("Suite").header("In-Reply-To", first.id()));
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 2);
}

#[test]
fn d5_our_message_id_and_a_stranger_make_a_new_ticket_with_a_hint() {
    let (desk, ticket, sent) = answered();
    desk.receive(&by_id("mallory@evil.example", &sent));
    let tickets = desk.tickets();
    assert_eq!((tickets.len(), desk.messages(&ticket).len()), (2, 2));
    assert!(has_event(&desk, &tickets[1], EventKind::MayBelongTo));
    // The stranger learns nothing of the other ticket (TH-08).
    for sent in desk.sent_to("mallory@evil.example") {
        assert!(!sent.raw.contains(&ticket.reference));
    }
}

#[test]
fn d6_a_reference_in_the_subject_and_a_proven_participant_append() {
    let (desk, ticket, _) = answered();
    desk.receive(&by_subject("claire@acme.example", &ticket).authenticated("pass"));
    assert_eq!(desk.public_messages(&ticket).len(), 3);
}

#[test]
fn d7_a_reference_in_the_subject_and_an_unproven_participant_are_for_staff() {
    let (desk, ticket, _) = answered();
    desk.receive(&by_subject("claire@acme.example", &ticket));
    let all = desk.messages(&ticket);
    assert_eq!((all.len(), desk.public_messages(&ticket).len()), (3, 2));
    assert_eq!(all[2].remark, Some(Remark::NotAuthenticated));
}

#[test]
fn d8_a_reference_in_the_subject_and_a_stranger_make_a_new_ticket_with_a_hint() {
    let (desk, ticket, _) = answered();
    desk.receive(&by_subject("mallory@evil.example", &ticket));
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert!(has_event(&desk, &tickets[1], EventKind::MayBelongTo));
}

#[test]
fn d9_adv_03_a_forged_agent_is_held_and_staff_are_told() {
    let (desk, ticket, sent) = answered();
    for letter in [
        by_token("zoe@staff.example", &sent),
        by_id("zoe@staff.example", &sent),
        by_token("zoe@staff.example", &sent).authenticated("pass"),
        by_id("zoe@staff.example", &sent)
            .header("In-Reply-To", "<m.aaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaa@reply.desk.example>")
            .header("References", ""),
    ] {
        desk.receive(&letter);
    }
    assert_eq!(desk.messages(&ticket).len(), 2);
    assert_eq!(desk.test.read(unprocessed::counts).held, 4);
    let recipients: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert!(!recipients.is_empty() && recipients.iter().all(|to| to == "zoe@staff.example"), "{recipients:?}");
}

#[test]
fn d9_adv_05_an_agent_who_left_the_queue_is_held() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let told = desk.sent_to("zoe@staff.example").remove(0);
    let (zoe, now) = (desk.zoe, desk.test.now());
    let queue = desk.ticket().queue_id;
    desk.test.write(move |db| {
        let queue = accord::teams::queues::by_id(db, queue)?;
        accord::teams::members::remove(db, &queue, zoe, None, now)
    });
    desk.receive(&Letter::answering("zoe@staff.example", &told).authenticated("pass"));
    assert_eq!(desk.messages(&desk.ticket()).len(), 1);
    assert_eq!(desk.test.read(unprocessed::counts).held, 1);
}

#[test]
fn d9_an_agents_mail_without_a_thread_is_anybodys_new_ticket() {
    let desk = Desk::open();
    desk.receive(&Letter::from("yves@staff.example"));
    assert_eq!(desk.ticket().requester_id, desk.yves);
}

#[test]
fn d10_an_agent_answers_only_by_a_token_of_their_own_and_proven() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let told = desk.sent_to("zoe@staff.example").remove(0);
    desk.receive(&Letter::answering("zoe@staff.example", &told));
    assert_eq!(desk.messages(&desk.ticket()).len(), 1);
    desk.receive(&Letter::answering("zoe@staff.example", &told).authenticated("pass"));
    assert_eq!(desk.messages(&desk.ticket()).len(), 2);
}

#[test]
fn adv_07_an_agents_token_in_a_customers_mail_speaks_for_the_customer() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let told = desk.sent_to("zoe@staff.example").remove(0);
    desk.receive(&by_token("claire@acme.example", &told));
    let messages = desk.messages(&desk.ticket());
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].author_id, Some(desk.claire));
    assert_eq!(messages[1].kind, messages::MessageKind::Customer);
}

#[test]
fn d11_a_token_of_another_mailbox_makes_a_new_ticket_and_hints_nothing() {
    let (desk, ticket, sent) = answered();
    let now = desk.test.now();
    desk.test.write(move |db| {
        let queue = accord::teams::queues::find_by_kind(db, accord::teams::queues::QueueKind::Sales)?.unwrap().id;
        let description = accord::teams::mailboxes::MailboxDescription::new(
            crate::support::desk::address("ventes@garonne.example"),
            "Ventes",
            queue,
            accord::i18n::Locale::Fr,
        );
        accord::teams::mailboxes::create(db, &description, None, now)
    });
    let mut letter = by_token("claire@acme.example", &sent);
    letter.recipient = "ventes@garonne.example".to_owned();
    desk.receive(&letter);
    let tickets = desk.tickets();
    assert_eq!((tickets.len(), desk.messages(&ticket).len()), (2, 2));
    assert!(!has_event(&desk, &tickets[1], EventKind::MayBelongTo));
}

#[test]
fn d12_the_strongest_evidence_decides_and_the_disagreement_is_noted() {
    let (desk, ticket, sent) = answered();
    desk.receive(&Letter::from("claire@acme.example").subject("Autre chose"));
    let other = desk.tickets().remove(1);
    desk.receive(&by_token("claire@acme.example", &sent).subject(&format!("Re: [{}]", other.reference)));
    assert_eq!((desk.messages(&ticket).len(), desk.messages(&other).len()), (3, 1));
    let records = desk.test.read(|db| accord::journal::outcome::of_ticket(db, ticket.id));
    assert!(records.last().unwrap().2.flags.contains(&"disagreement".to_owned()));
}

#[test]
fn d13_an_answer_to_what_was_closed_long_ago_is_a_new_ticket_that_goes_on_from_it() {
    let (desk, ticket, sent) = answered();
    desk.answer(&ticket, "Je ferme.", Status::Closed);
    desk.test.clock.advance(TimeDelta::days(31));
    desk.receive(&by_token("claire@acme.example", &sent));
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[0].status, Status::Closed);
    assert_eq!(tickets[1].organisation_id, desk.acme);
    assert!(has_event(&desk, &tickets[1], EventKind::FollowsUp));
}

#[test]
fn d14_adv_04_tokens_of_other_lengths_alphabets_and_versions_are_no_tokens() {
    let (desk, ticket, sent) = answered();
    let token = sent.reply_to().strip_prefix("r+").unwrap().split('@').next().unwrap().to_owned();
    let mut forged: Vec<String> =
        (1..64).filter(|length| *length != 52).map(|length| token.chars().cycle().take(length).collect()).collect();
    forged.push(format!("a{}", &token[1..]));
    forged.push(format!("{}a", &token[..51]));
    forged.push(token.replace(&token[20..21], "9"));
    let count = forged.len();
    for local_part in forged {
        if local_part == token {
            continue;
        }
        let to = format!("r+{local_part}@reply.desk.example");
        if to.split('@').next().unwrap().len() > 64 {
            continue;
        }
        desk.receive(&Letter::from("claire@acme.example").to(&to).subject("Bonjour"));
    }
    assert_eq!(desk.messages(&ticket).len(), 2, "{count} forged tokens");
}

#[test]
fn th_01_a_new_epoch_kills_old_tokens() {
    let (desk, ticket, sent) = answered();
    let (claire, rotated) = (desk.claire, ticket.clone());
    desk.test.write(move |db| participants::rotate(db, &rotated, claire));
    desk.receive(&by_token("claire@acme.example", &sent).subject("Bonjour"));
    assert_eq!(desk.messages(&ticket).len(), 2);
    assert_eq!(desk.tickets().len(), 2);
}

#[test]
fn d15_an_out_of_office_is_attached_silently() {
    let (desk, ticket, sent) = answered();
    desk.answer(&ticket, "Je ferme.", Status::Closed);
    desk.sent();
    desk.receive(&by_token("claire@acme.example", &sent).header("Auto-Submitted", "auto-replied"));
    let ticket = desk.ticket();
    assert_eq!(ticket.status, Status::Closed);
    let all = desk.messages(&ticket);
    assert_eq!(all.last().unwrap().remark, Some(Remark::Automatic));
    assert_eq!(desk.public_messages(&ticket).len(), 3);
    assert!(desk.sent().is_empty());
}

#[test]
fn bn_01_a_bounce_is_no_answer() {
    let (desk, ticket, sent) = answered();
    let letter = Letter::from("MAILER-DAEMON@mx.acme.example")
        .to(&sent.envelope_from)
        .envelope("<>")
        .subject("Undelivered Mail Returned to Sender")
        .header("Content-Type", "multipart/report; report-type=delivery-status; boundary=b")
        .text("--b\r\nContent-Type: text/plain\r\n\r\nno such user\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n--b--\r\n");
    desk.receive(&letter);
    assert_eq!(desk.ticket().status, Status::WaitingForCustomer);
    assert_eq!(desk.messages(&ticket).len(), 3);
    assert_eq!(desk.public_messages(&ticket).len(), 2);
    assert!(desk.sent().is_empty());
}

#[test]
fn th_03_a_reference_in_the_subject_is_never_enough_by_itself() {
    let (desk, ticket, _) = answered();
    let said = desk.public_messages(&ticket).len();
    // A stranger whose domain stands by them is a stranger; a participant whose domain does not could be anybody.
    desk.receive(&by_subject("mallory@evil.example", &ticket).authenticated("pass"));
    desk.receive(&by_subject("claire@acme.example", &ticket));
    desk.receive(&by_subject("claire@acme.example", &ticket).authenticated("fail"));
    desk.receive(&by_subject("zoe@staff.example", &ticket).authenticated("pass"));
    assert_eq!(desk.public_messages(&ticket).len(), said);
}

#[test]
fn th_04_what_the_text_says_is_no_evidence() {
    let (desk, ticket, sent) = answered();
    let body = format!(
        "{}\r\n[{}] {} {}\r\nhttp://desk.example/tickets/{}\r\nX-Accord-Ticket: {}\r\n",
        sent.mail.text,
        ticket.reference,
        sent.reply_to(),
        sent.mail.message_id.clone().unwrap(),
        ticket.reference,
        ticket.reference,
    );
    desk.receive(&Letter::from("claire@acme.example").subject("Bonjour").text(&body).authenticated("pass"));
    assert_eq!(desk.messages(&ticket).len(), 2);
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert!(!has_event(&desk, &tickets[1], EventKind::MayBelongTo));
}

#[test]
fn th_08_nothing_of_a_ticket_is_told_to_a_sender_whose_mail_is_not_appended() {
    let (desk, ticket, sent) = answered();
    desk.sent();
    let mallory = "mallory@evil.example";
    for (number, letter) in [
        by_token(mallory, &sent),
        by_id(mallory, &sent),
        by_subject(mallory, &ticket),
        by_subject(mallory, &ticket).authenticated("pass"),
        by_token(mallory, &sent).authenticated("fail"),
        Letter::answering(mallory, &sent).header("Reply-To", "other@evil.example"),
        by_subject("claire@acme.example", &ticket).header("Reply-To", mallory),
        by_token("Claire <claire@acme.example>, mallory@evil.example", &sent),
    ]
    .into_iter()
    .enumerate()
    {
        // Each alone, so that what one address may get in a day hides none.
        desk.test.clock.advance(TimeDelta::days(2));
        desk.receive(&letter.text(&format!("Bonjour {number}")));
        for told in desk.sent().iter().filter(|told| told.recipient != "zoe@staff.example") {
            assert_eq!(told.recipient, mallory, "{number}");
            for secret in [&*ticket.reference, "cran noir", "Redémarrez", "Claire", "claire@", "acme"] {
                let shown = [&told.mail.subject, &told.mail.text, told.mail.html.as_ref().unwrap()];
                assert!(shown.iter().all(|shown| !shown.contains(secret)), "{number}: {secret}");
                assert!(!told.raw.contains(secret), "{number}: {secret}");
            }
        }
    }
    assert_eq!(desk.public_messages(&ticket).len(), 2);
}

/// Mail of Claire's that her mail provider stands by, on three days: it usually does.
fn usually_proven() -> (Desk, Ticket, Sent) {
    let (desk, ticket, sent) = answered();
    for _ in 0..3 {
        desk.receive(&by_token("claire@acme.example", &sent).authenticated("pass"));
        desk.test.clock.advance(TimeDelta::days(1));
    }
    assert_eq!(desk.public_messages(&ticket).len(), 5);
    (desk, ticket, sent)
}

/// An agent says of the newest message whether it is the customer's.
fn judge_newest(desk: &Desk, ticket: &Ticket, is_the_customer_s: bool) {
    let (by, now, current) = (desk.actor(desk.zoe), desk.test.now(), desk.ticket_again(ticket.id));
    let handle = desk.messages(ticket).last().unwrap().handle.clone();
    desk.test.write(move |db| match is_the_customer_s {
        true => messages::in_doubt::accept(db, &current, &handle, &by, now),
        false => messages::in_doubt::reject(db, &current, &handle, &by, now),
    });
}

#[test]
fn th_10_a_mail_that_lacks_the_usual_proof_is_for_staff_until_an_agent_accepts_it() {
    let (desk, ticket, sent) = usually_proven();
    desk.sent();
    for letter in [by_token("claire@acme.example", &sent), by_id("claire@acme.example", &sent)] {
        desk.receive(&letter.authenticated("none"));
    }
    let all = desk.messages(&ticket);
    assert_eq!((all.len(), desk.public_messages(&ticket).len()), (7, 5));
    assert!(all[5..].iter().all(|message| message.remark == Some(Remark::NotAuthenticated)));
    let told = desk.sent();
    assert!(!told.is_empty() && told.iter().all(|sent| sent.recipient == "zoe@staff.example"));
    assert!(told.iter().all(|sent| sent.mail.text.contains("sans preuve")), "nor does the mail say that Claire wrote");
    judge_newest(&desk, &ticket, true);
    assert_eq!(desk.public_messages(&ticket).len(), 6);
    // She writes by another way now, and is believed for two weeks.
    desk.test.clock.advance(TimeDelta::days(13));
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), 7);
    desk.test.clock.advance(TimeDelta::days(1));
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), 7);
}

/// By two ways, of which one breaks signatures: which comes first is chance.
#[test]
fn j_05_th_10_the_same_mail_that_comes_again_with_its_proof_is_heard_and_is_heard_once() {
    let (desk, ticket, sent) = usually_proven();
    let letter = by_token("claire@acme.example", &sent).header("Message-ID", "<twice@acme.example>");
    desk.receive(&letter.clone().authenticated("none"));
    assert_eq!((desk.messages(&ticket).len(), desk.public_messages(&ticket).len()), (6, 5));
    desk.receive(&letter.clone().authenticated("pass"));
    assert_eq!((desk.messages(&ticket).len(), desk.public_messages(&ticket).len()), (7, 6));
    let said = desk.messages(&ticket).pop().unwrap();
    let record = desk.test.read(move |db| journal::outcome::record_of(db, said.ingest_id.unwrap()));
    assert_eq!(record.flags, Vec::<String>::new(), "it says nothing else than the one before");
    for way in ["pass", "none", "pass"] {
        desk.receive(&letter.clone().authenticated(way).on_top("Received", "from a by b"));
    }
    assert_eq!((desk.messages(&ticket).len(), desk.tickets().len()), (7, 1));
    // What an agent accepted already is there.
    let other = letter.header("Message-ID", "<other@acme.example>").text("Autre chose.");
    desk.receive(&other.clone().authenticated("none"));
    judge_newest(&desk, &ticket, true);
    desk.receive(&other.authenticated("pass"));
    assert_eq!((desk.messages(&ticket).len(), desk.public_messages(&ticket).len()), (8, 7));
}

/// Its proof is about its words, not about where it was handed over.
#[test]
fn j_05_a_mail_in_doubt_that_comes_again_with_its_proof_says_nothing_in_another_ticket() {
    let (desk, ticket, sent) = usually_proven();
    desk.sent();
    desk.receive(&Letter::from("claire@acme.example").subject("Autre affaire").authenticated("pass"));
    let other = desk.tickets().into_iter().find(|other| other.id != ticket.id).unwrap();
    desk.answer(&other, "Oui ?", Status::WaitingForCustomer);
    let of_other = desk.sent_to("claire@acme.example").pop().unwrap();
    let letter = by_token("claire@acme.example", &sent).header("Message-ID", "<twice@acme.example>");
    desk.receive(&letter.clone().authenticated("none"));
    let before = desk.messages(&other).len();
    let replayed = Letter { recipient: of_other.reply_to(), ..letter.clone().authenticated("pass") };
    desk.receive(&replayed);
    assert_eq!((desk.messages(&other).len(), desk.messages(&ticket).len(), desk.tickets().len()), (before, 6, 2));
    // Nor does it keep the genuine one out, and that is heard once.
    for server in ["a", "b"] {
        desk.receive(&letter.clone().on_top("Received", &format!("from {server} by c")).authenticated("pass"));
        assert_eq!(desk.public_messages(&ticket).len(), 6);
    }
}

#[test]
fn th_10_what_an_agent_accepted_counts_no_more_when_the_proof_is_back_or_a_mail_is_rejected() {
    let (desk, ticket, sent) = usually_proven();
    let unproven = || by_token("claire@acme.example", &sent).authenticated("none");
    desk.receive(&unproven());
    judge_newest(&desk, &ticket, true);
    desk.test.clock.advance(TimeDelta::days(1));
    for _ in 0..3 {
        desk.receive(&by_token("claire@acme.example", &sent).authenticated("pass"));
        desk.test.clock.advance(TimeDelta::days(1));
    }
    assert_eq!(desk.public_messages(&ticket).len(), 9);
    desk.receive(&unproven());
    assert_eq!(desk.public_messages(&ticket).len(), 9);
    judge_newest(&desk, &ticket, true);
    desk.test.clock.advance(TimeDelta::days(14));
    desk.receive(&unproven());
    judge_newest(&desk, &ticket, false);
    assert_eq!(desk.public_messages(&ticket).len(), 10);
    desk.receive(&unproven());
    assert_eq!(desk.public_messages(&ticket).len(), 10);
}

#[test]
fn th_10_a_mail_sent_to_many_mailboxes_or_by_a_machine_is_no_habit() {
    let (desk, ticket, sent) = answered();
    let pass = || by_token("claire@acme.example", &sent).authenticated("pass");
    for _ in 0..3 {
        desk.receive(&pass());
    }
    for _ in 0..3 {
        desk.test.clock.advance(TimeDelta::days(1));
        desk.receive(&pass().header("List-Id", "<news.acme.example>"));
    }
    let before = desk.public_messages(&ticket).len();
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), before + 1);
}

#[test]
fn th_10_an_answer_to_an_old_ticket_is_in_doubt_in_its_new_one_and_can_be_accepted() {
    let (desk, ticket, sent) = usually_proven();
    desk.answer(&desk.ticket_again(ticket.id), "Je ferme.", Status::Closed);
    desk.test.clock.advance(TimeDelta::days(31));
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    let new = desk.tickets().into_iter().find(|other| other.id != ticket.id).unwrap();
    assert_eq!(desk.messages(&new)[0].remark, Some(Remark::NotAuthenticated));
    judge_newest(&desk, &new, true);
    assert_eq!(desk.messages(&new)[0].remark, Some(Remark::Accepted));
}

#[test]
fn th_10_what_a_whole_domain_usually_does_counts_for_a_colleague() {
    let (desk, ticket, sent) = usually_proven();
    let (by, now, of) = (desk.actor(desk.zoe), desk.test.now(), ticket.clone());
    desk.test.write(move |db| {
        let luc = address("luc@acme.example");
        let luc = person::find_or_create_by_address(db, &luc, "Luc", Origin::Staff, Locale::Fr, now)?;
        participants::propose(db, &of, luc.id, Maker::Mail, now)?;
        participants::approve(db, &of, luc.id, &by, now)
    });
    desk.receive(&by_id("luc@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), 5);
    assert_eq!(desk.messages(&ticket).len(), 6);
}

#[test]
fn th_10_a_habit_is_forgotten_after_ninety_days_and_two_mails_make_none() {
    let (desk, ticket, sent) = usually_proven();
    desk.test.clock.advance(TimeDelta::days(90));
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), 6);
    for _ in 0..2 {
        desk.receive(&by_token("claire@acme.example", &sent).authenticated("pass"));
        desk.test.clock.advance(TimeDelta::days(1));
    }
    desk.receive(&by_token("claire@acme.example", &sent).authenticated("none"));
    assert_eq!(desk.public_messages(&ticket).len(), 9);
}

#[test]
fn th_10_domains_that_nothing_comes_from_any_more_are_forgotten() {
    let (desk, ..) = usually_proven();
    let domains = |desk: &Desk| {
        desk.test.read(|db| Ok(sending_domains::table.select(sending_domains::domain).load::<String>(db)?))
    };
    assert_eq!(domains(&desk), ["acme.example"]);
    desk.test.clock.advance(TimeDelta::days(91));
    recurring::run_due(&desk.test.app, desk.test.now()).unwrap();
    assert!(domains(&desk).is_empty());
}
