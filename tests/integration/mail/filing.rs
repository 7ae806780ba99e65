//! What a mail becomes when it belongs to nothing yet.

use accord::cards;
use accord::people::person;
use accord::tickets::messages::Remark;
use accord::tickets::{attachments, participants};

use crate::support::desk::{Desk, Letter, SUPPORT, address};

#[test]
fn a_stranger_becomes_known_and_is_asked_to_confirm_the_address() {
    let desk = Desk::open();
    desk.receive(&Letter::from("Eve Curie <eve@stranger.example>"));
    let ticket = desk.ticket();
    assert!(!ticket.address_confirmed);
    let eve = desk.test.read(|db| person::find_by_address(db, &address("eve@stranger.example"))).unwrap();
    assert_eq!((eve.first_name.as_str(), eve.last_name.as_str()), ("Eve", "Curie"));
    assert_eq!(eve.id, ticket.requester_id);
    let sent = desk.sent_to("eve@stranger.example");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].mail.text.contains("http://desk.example/l/ticket/"), "{}", sent[0].mail.text);
}

#[test]
fn i_03_a_mail_whose_from_names_nobody_is_from_an_unknown_sender_and_answered_by_nobody() {
    let desk = Desk::open();
    for from in [
        "claire@acme.example, bob@acme.example",
        "\"claire\"@acme.example",
        "@evil.example:claire@acme.example",
        "group: claire@acme.example;",
        "=?utf-8?q?claire?=@acme.example",
        "claire@acme.example\0",
        "<>",
    ] {
        desk.receive(&Letter::from("x@y.example").header("From", from).header("Message-ID", "<a@b>"));
    }
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 7);
    for ticket in &tickets {
        assert_ne!(ticket.requester_id, desk.claire);
        assert_eq!(ticket.requester_id, tickets[0].requester_id);
    }
    assert!(desk.sent().iter().all(|sent| sent.recipient == "zoe@staff.example"));
}

#[test]
fn a5_a_card_number_in_a_mail_stays_nowhere() {
    let card = "4111 1111 1111 1111";
    let desk = Desk::open();
    desk.receive(
        &Letter::from("claire@acme.example").subject(&format!("Carte {card}")).text(&format!("Ma carte : {card}\r\n")),
    );
    let ticket = desk.ticket();
    let message = &desk.messages(&ticket)[0];
    assert!(!cards::contains_number(&ticket.subject) && !cards::contains_number(&message.body_text));
    let records = desk.test.read(|db| accord::journal::outcome::of_ticket(db, ticket.id));
    let original = desk.test.app.storage.get(records[0].1.as_ref().unwrap()).unwrap();
    assert!(!cards::contains_number(&String::from_utf8(original).unwrap()));
    assert!(records[0].2.flags.contains(&"card_number".to_owned()));
    for sent in desk.sent() {
        assert!(!cards::contains_number(&sent.mail.text) && !cards::contains_number(&sent.mail.subject));
    }
}

#[test]
fn files_of_a_mail_are_attachments_and_known_by_their_bytes() {
    let body = "--b\r\nContent-Type: text/plain\r\n\r\nvoir\r\n--b\r\nContent-Type: image/png; name=\"a.html\"\r\n\
                Content-Disposition: attachment; filename=\"a.html\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\r\n--b--\r\n";
    let desk = Desk::open();
    let letter = Letter::from("claire@acme.example").header("Content-Type", "multipart/mixed; boundary=b").text(body);
    desk.receive(&letter);
    let ticket = desk.ticket();
    let files = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].file_name.as_str(), files[0].media_type.as_str()), ("a.html", attachments::UNKNOWN_TYPE));
    assert_eq!(desk.test.app.storage.get(&files[0].content_hash).unwrap(), b"<script>alert(1)</script>");
}

#[test]
fn th_07_who_is_in_copy_is_proposed_and_nothing_more() {
    let desk = Desk::open();
    let cc = format!("bob@acme.example, {SUPPORT}, no-reply@robot.example, zoe@staff.example, Eve <eve@else.example>");
    desk.receive(&Letter::from("claire@acme.example").header("Cc", &cc));
    let ticket = desk.ticket();
    let shown = desk.test.read(|db| participants::shown(db, &ticket));
    let proposed: Vec<&str> = shown
        .iter()
        .filter(|shown| shown.standing == participants::Standing::Proposed)
        .map(|shown| shown.address.as_str())
        .collect();
    assert_eq!(proposed, ["bob@acme.example", "eve@else.example"]);
    let recipients: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert!(!recipients.iter().any(|to| to == "bob@acme.example" || to == "eve@else.example"), "{recipients:?}");
}

#[test]
fn th_07_at_most_twenty_in_copy_are_proposed() {
    let desk = Desk::open();
    let cc: Vec<String> = (0..60).map(|number| format!("p{number}@many.example")).collect();
    desk.receive(&Letter::from("claire@acme.example").header("Cc", &cc.join(", ")));
    let ticket = desk.ticket();
    let shown = desk.test.read(|db| participants::shown(db, &ticket));
    assert_eq!(shown.len(), 21);
}

#[test]
fn d15_a_machine_s_first_mail_is_a_ticket_that_nobody_answers() {
    let desk = Desk::open();
    desk.receive(&Letter::from("robot@acme.example").header("Auto-Submitted", "auto-generated"));
    let ticket = desk.ticket();
    assert_eq!(desk.messages(&ticket)[0].remark, Some(Remark::Automatic));
    assert!(desk.sent().is_empty());
}

#[test]
fn l_07_a_file_whose_name_is_longer_than_any_disk_takes_is_kept_under_a_shorter_one() {
    let desk = Desk::open();
    let long = format!("{}.pdf", "n".repeat(400));
    let accents = format!("{}.pdf", "%C3%A9".repeat(200));
    let body = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\nvoir\r\n\
         --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n filename=\"{long}\"\r\n\r\nun\r\n\
         --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n filename*=utf-8''{accents}\r\n\r\ndeux\r\n\
         --b--\r\n"
    );
    desk.receive(
        &Letter::from("claire@acme.example").header("Content-Type", "multipart/mixed; boundary=b").text(&body),
    );
    let files = desk.test.read(|db| attachments::of_ticket(db, &desk.ticket()));
    assert_eq!(files.len(), 2, "none is lost");
    for file in files {
        assert!(file.file_name.len() <= 200 && file.file_name.ends_with(".pdf"), "{}", file.file_name);
        assert!(!desk.test.app.storage.get(&file.content_hash).unwrap().is_empty());
    }
}
