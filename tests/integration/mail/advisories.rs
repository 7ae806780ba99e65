//! What went wrong in other desks by mail, tried here.

use accord::intake::addressing;
use accord::tickets::messages::Visibility;
use accord::tickets::participants::{self, Standing};
use accord::tickets::status::Status;

use crate::support::desk::{Desk, Letter, SUPPORT};
use crate::support::times;

#[test]
fn adv_01_a_guessed_address_and_a_copy_give_the_attacker_nothing() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example").text("Secret 4711\r\n"));
    desk.sent();
    let ticket = desk.ticket();
    for guess in ["support+1@garonne.example", "support+ACC-1@garonne.example"] {
        let letterhead = desk.letterhead();
        assert_eq!(desk.test.read(|db| addressing::mailbox_for(db, &letterhead, guess)), None);
    }
    for number in 0..5 {
        let to = format!("r+{}@reply.desk.example", "a".repeat(40 + number));
        let letter = Letter::from("claire@acme.example").to(&to).header("Cc", "attacker@evil.example");
        desk.receive(&letter.subject(&format!("Re: [{}]", ticket.reference)));
    }
    assert!(desk.sent_to("attacker@evil.example").is_empty());
    for ticket in desk.tickets() {
        let shown = desk.test.read(|db| participants::shown(db, &ticket));
        assert!(
            shown.iter().all(|shown| shown.address != "attacker@evil.example" || shown.standing == Standing::Proposed)
        );
    }
    assert_eq!(desk.public_messages(&ticket).len(), 1);
}

#[test]
fn adv_02_a_verification_mail_to_a_customers_reply_address_is_for_staff_and_mailed_to_no_customer() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Oui ?", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    desk.receive(
        &Letter::from("no-reply@chat.example").to(&sent.reply_to()).subject("Your code").text("Code 123456\r\n"),
    );
    let ticket = desk.ticket();
    let last = desk.messages(&ticket).pop().unwrap();
    assert_eq!(last.visibility, Visibility::Staff);
    assert!(desk.public_messages(&ticket).iter().all(|message| !message.body_text.contains("123456")));
    assert!(desk.sent_to("claire@acme.example").iter().all(|sent| !sent.raw.contains("123456")));
}

#[test]
fn adv_08_headers_that_steer_other_desks_steer_nothing_here() {
    let desk = Desk::open();
    let letter = Letter::from("mallory@evil.example")
        .header("X-Accord-Ticket", "1")
        .header("X-Accord-Queue", "sales")
        .header("X-Accord-Agent", "zoe@staff.example")
        .header("X-Accord-Loop", "instance;1;aaaa")
        .header("X-RT-Squelch", "1")
        .header("Sender", "zoe@staff.example")
        .header("Reply-To", "zoe@staff.example")
        .header("X-Original-From", "zoe@staff.example");
    desk.receive(&letter);
    let ticket = desk.ticket();
    assert_ne!(ticket.requester_id, desk.zoe);
    assert_eq!(desk.messages(&ticket)[0].from_address, "mallory@evil.example");
    assert!(
        desk.sent().iter().all(|sent| sent.recipient != "zoe@staff.example" || sent.header("auto-submitted").is_some())
    );
}

#[test]
fn adv_10_ten_thousand_requests_in_a_victims_name_are_one_mail_without_a_word_of_theirs() {
    let desk = Desk::open();
    let queue = desk.test.read(accord::teams::queues::on_form)[0].clone();
    let victim = crate::support::desk::address("victim@innocent.example");
    let file = |number: usize| {
        let request = accord::intake::from_form::Request {
            filer: accord::intake::from_form::Filer::Stranger {
                address: victim.clone(),
                name: format!("CLICK http://evil.example {number}"),
                language: accord::i18n::Locale::En,
            },
            queue: queue.id,
            subject: format!("WIN A PRIZE {number}"),
            text: "WIN A PRIZE http://evil.example".to_owned(),
            files: Vec::new(),
            site: None,
            environment: None,
            is_private: false,
            context: accord::tickets::connection_context::ConnectionContext::default(),
        };
        let now = desk.test.now();
        desk.test.write(move |db| accord::intake::from_form::file(db, request.clone(), now));
    };
    for number in 0..times(200, 10_000) {
        file(number);
        if number % 500 == 499 {
            desk.test.run_jobs();
        }
    }
    desk.test.run_jobs();
    let told = desk.sent_to("victim@innocent.example");
    assert_eq!(told.len(), 1);
    assert!(
        !told[0].raw.contains("WIN")
            && !told[0].mail.text.contains("evil.example")
            && !told[0].mail.subject.contains("PRIZE")
    );
    assert!(!told[0].mail.text.contains("CLICK"));
}

#[test]
fn adv_13_line_ends_and_separators_in_names_and_subjects_stay_one_recipient_and_no_header() {
    let desk = Desk::open();
    let hostile = "Claire =?utf-8?q?=0D=0ABcc=3A_victim=40innocent.example?= <claire@acme.example>";
    let subject = "=?utf-8?q?x=0D=0ABcc:_victim@innocent.example=00?=";
    desk.receive(&Letter::from("claire@acme.example").header("From", hostile).subject(subject).authenticated("pass"));
    desk.answer(&desk.ticket(), "Bonjour\0\r\nBcc: victim@innocent.example", Status::WaitingForCustomer);
    let sent = desk.sent();
    assert!(sent.len() >= 3, "{sent:?}");
    for one in &sent {
        assert!(["claire@acme.example", "zoe@staff.example"].contains(&one.recipient.as_str()));
        assert_eq!(one.header("bcc"), None);
        assert_eq!(one.mail.to.len(), 1);
        assert!(!one.raw.contains('\0'));
    }
}

#[test]
fn s_01_only_the_trusted_server_and_nothing_else_in_a_header_says_who_the_sender_is() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let ticket = desk.ticket();
    let claims = [
        ("Authentication-Results", "mx.evil.example; dmarc=pass header.from=acme.example"),
        ("Authentication-Results", "mx.garonne.example.evil.example; dmarc=pass header.from=acme.example"),
        ("ARC-Authentication-Results", "i=1; mx.garonne.example; dmarc=pass header.from=acme.example"),
        ("X-Authentication-Results", "mx.garonne.example; dmarc=pass header.from=acme.example"),
        ("X-Spam-Status", "No, score=-10 DKIM_VALID_AU"),
        ("Received-SPF", "pass (acme.example) identity=mailfrom"),
        ("X-Accord-Authentication", "pass"),
    ];
    for (number, (name, value)) in claims.into_iter().enumerate() {
        let letter = Letter::from("claire@acme.example").subject(&format!("Re: [{}] {number}", ticket.reference));
        desk.receive(&letter.on_top(name, value));
    }
    // The name of the trusted server below the first Received was there before the mail came to it.
    let below = Letter::from("claire@acme.example")
        .subject(&format!("Re: [{}] below", ticket.reference))
        .authenticated("pass")
        .on_top("Received", "from evil by mx.garonne.example; Mon, 23 Nov 2026 08:00:00 +0000");
    desk.receive(&below);
    let messages = desk.messages(&ticket);
    assert_eq!(messages.len(), 9);
    assert!(messages[1..].iter().all(|message| message.visibility == Visibility::Staff));
    assert_eq!(desk.public_messages(&ticket).len(), 1, "no claim made the sender believed");
    let believed = Letter::from("claire@acme.example").subject(&format!("Re: [{}] believed", ticket.reference));
    desk.receive(&believed.authenticated("pass"));
    assert_eq!(desk.public_messages(&ticket).len(), 2);
}

#[test]
fn s_02_only_plain_addresses_of_ours_are_taken() {
    let desk = Desk::open();
    let letterhead = desk.letterhead();
    let refused = [
        "user%elsewhere.example@garonne.example",
        "elsewhere.example!user@garonne.example",
        "@garonne.example:user@elsewhere.example",
        "\"user@elsewhere.example\"@garonne.example",
        "user@elsewhere.example",
        "support@garonne.example@elsewhere.example",
        "support",
        "",
        "support@[127.0.0.1]",
        "unknown-sender@reply.desk.example",
        "postmaster@reply.desk.example",
    ];
    for recipient in refused {
        assert_eq!(desk.test.read(|db| addressing::mailbox_for(db, &letterhead, recipient)), None, "{recipient}");
    }
    for taken in [SUPPORT, "Support@GARONNE.example", "r+anything@reply.desk.example"] {
        assert!(desk.test.read(|db| addressing::mailbox_for(db, &letterhead, taken)).is_some(), "{taken}");
    }
}
