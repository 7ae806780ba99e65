//! Mail handed over by HTTP with a secret of one queue: it reaches the tickets of that queue, and of a ticket that moved to
//! another it says nothing but to agents, whatever in it speaks for that ticket. Nothing of it is lost.

use accord::db::types::QueueId;
use accord::journal::State;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::teams::{mailboxes, members, queues};
use accord::tickets::Ticket;
use accord::tickets::events::{self, EventKind};
use accord::tickets::moving;
use accord::tickets::status::Status;

use super::bounces::shapes;
use super::http::{PATH, request, status, waiting};
use crate::support::desk::{Desk, Letter, SUPPORT, Sent, address};

/// Support's queue, and another.
fn both_queues(desk: &Desk) -> (QueueId, QueueId) {
    desk.test.read(|db| {
        let support = mailboxes::find_by_canonical(db, &address(SUPPORT))?.unwrap().queue_id;
        let other = queues::all(db)?.into_iter().find(|queue| queue.id != support).unwrap();
        Ok((support, other.id))
    })
}

fn secret_of(desk: &Desk, queue: QueueId) -> String {
    let (administrator, now) = (desk.administrator, desk.test.now());
    desk.test.write(move |db| {
        let new = NewApiToken {
            name: "mx".to_owned(),
            scopes: vec![Scope::Inbound],
            organisation: None,
            queue: Some(queue),
            days: 90,
        };
        Ok(api_tokens::create(db, administrator, &new, now)?.1.expose().to_owned())
    })
}

/// Claire's ticket, which was answered and then moved out of reach, with the answer.
fn moved(desk: &Desk) -> (Ticket, Sent) {
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    let (ticket, by, now, (_, other)) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now(), both_queues(desk));
    desk.test.write(move |db| moving::to_queue(db, &ticket, other, &by, now));
    desk.test.run_jobs();
    (desk.ticket(), sent)
}

fn kinds(desk: &Desk, ticket: &Ticket) -> Vec<EventKind> {
    desk.test.read(|db| events::of_ticket(db, ticket, 100)).into_iter().map(|event| event.kind).collect()
}

#[actix_web::test]
async fn s_05_a_secret_of_one_queue_hands_over_mail_to_its_mailbox_alone() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let (own, other) = both_queues(&desk);
    assert_eq!(status(&browser, request(PATH, &secret_of(&desk, other))).await, 403);
    assert_eq!(waiting(&desk), 0);
    let own = secret_of(&desk, own);
    assert_eq!(status(&browser, request(PATH, &own)).await, 202);
    assert_eq!(waiting(&desk), 1);
    desk.test.run_jobs();
    let answer = Letter::answering("claire@acme.example", &desk.sent_to("claire@acme.example")[0]);
    let to_ticket = format!("/api/v1/inbound?recipient={}", answer.recipient.replace('+', "%2B"));
    assert_eq!(status(&browser, request(&to_ticket, &own).set_payload(answer.bytes())).await, 202);
    desk.test.run_jobs();
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 2);
}

#[actix_web::test]
async fn s_05_d11_nothing_in_a_mail_of_one_queue_reaches_a_ticket_that_moved_to_another() {
    for (case, kept_ids, to_token) in [
        ("the address it was handed over for", false, true),
        ("an address behind many", false, false),
        ("the Message-ID", true, false),
        ("the subject", false, false),
    ] {
        let desk = Desk::open();
        let browser = desk.test.browser().await;
        let (ticket, sent) = moved(&desk);
        let secret = secret_of(&desk, both_queues(&desk).0);
        let mut answer = Letter::answering("claire@acme.example", &sent).subject("Re: écran");
        let token = answer.recipient.clone();
        if !kept_ids {
            answer = answer.header("In-Reply-To", "").header("References", "");
        }
        answer = match case {
            "an address behind many" => {
                let domain = address(&token).domain().to_owned();
                let many: Vec<String> = (0..25).map(|number| format!("x{number}@{domain}")).collect();
                answer.header("To", SUPPORT).header("Cc", &format!("{}, {token}", many.join(", ")))
            }
            "the subject" => answer.header("To", SUPPORT).subject(&format!("Re: [{}] écran", ticket.reference)),
            _ if to_token => answer,
            _ => answer.header("To", SUPPORT),
        };
        let path =
            if to_token { format!("/api/v1/inbound?recipient={}", token.replace('+', "%2B")) } else { PATH.to_owned() };
        assert_eq!(status(&browser, request(&path, &secret).set_payload(answer.bytes())).await, 202, "{case}");
        let before = (desk.messages(&ticket).len(), kinds(&desk, &ticket));
        desk.test.run_jobs();
        assert_eq!((desk.messages(&ticket).len(), kinds(&desk, &ticket)), before, "{case}");
        let new = desk.tickets().pop().unwrap();
        assert_eq!((desk.tickets().len(), new.queue_id), (2, both_queues(&desk).0), "{case}");
        assert!(kinds(&desk, &new).contains(&EventKind::MayBelongTo), "{case}");
        assert!(desk.public_messages(&new)[0].body_text.contains("Merci, cela fonctionne."), "{case}");
        for mail in desk.sent_to("claire@acme.example") {
            assert!(!mail.raw.contains(&ticket.reference) && !mail.mail.text.contains("Redémarrez"), "{case}");
        }
        // The same from a mail server that speaks for all queues joins it.
        let again = answer.header("Message-ID", "<again@client.example>").text("Encore.");
        if case != "an address behind many" && case != "the subject" {
            desk.receive(&Letter { recipient: if to_token { token } else { SUPPORT.to_owned() }, ..again });
            assert_eq!(desk.messages(&ticket).len(), before.0 + 1, "{case}");
        }
    }
}

/// Whoever speaks for one queue must not keep out what comes from who speaks for all, be it the same to the last byte.
#[actix_web::test]
async fn j_05_what_came_with_a_secret_of_one_queue_first_does_not_swallow_the_same_mail_from_the_mail_server() {
    for has_id in [true, false] {
        let desk = Desk::open();
        let browser = desk.test.browser().await;
        let (ticket, sent) = moved(&desk);
        let secret = secret_of(&desk, both_queues(&desk).0);
        let mut answer = Letter::answering("claire@acme.example", &sent);
        if !has_id {
            answer.headers.retain(|(name, _)| name != "Message-ID");
        }
        let path = format!("/api/v1/inbound?recipient={}", answer.recipient.replace('+', "%2B"));
        let hand_over = || request(&path, &secret).set_payload(answer.bytes());
        let before = desk.messages(&ticket).len();
        assert_eq!(status(&browser, hand_over()).await, 202);
        desk.test.run_jobs();
        assert_eq!((desk.tickets().len(), desk.messages(&ticket).len()), (2, before), "{has_id}");
        desk.receive(&answer);
        assert_eq!((desk.tickets().len(), desk.public_messages(&ticket).len()), (2, before + 1), "{has_id}");
        // Either way again, it has been said.
        desk.receive(&answer);
        assert_eq!(status(&browser, hand_over()).await, 202);
        desk.test.run_jobs();
        let sent_again = answer.clone().on_top("Received", "from a by b");
        if has_id {
            desk.receive(&sent_again);
        }
        assert_eq!((desk.tickets().len(), desk.messages(&ticket).len()), (2, before + 1), "{has_id}");
        // What opens a ticket of its own opens one, whichever way it came first.
        let anew = Letter::from("claire@acme.example").header("Message-ID", "<anew@client.example>").subject("Autre");
        assert_eq!(status(&browser, request(PATH, &secret).set_payload(anew.bytes())).await, 202);
        desk.test.run_jobs();
        desk.receive(&anew);
        assert_eq!(desk.tickets().len(), 3, "{has_id}");
        assert_eq!(desk.messages(&desk.tickets().pop().unwrap()).len(), 1, "{has_id}");
    }
}

/// Programs write the same words again and again, and some give their mails neither id nor date.
#[actix_web::test]
async fn j_05_without_a_message_id_the_same_words_by_another_way_are_another_mail() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let secret = secret_of(&desk, both_queues(&desk).0);
    let alarm = Letter::from("claire@acme.example").header("Message-ID", "").header("Date", "").subject("Disque plein");
    let hand_over = |letter: Letter| request(PATH, &secret).set_payload(letter.bytes());
    desk.receive(&alarm.clone().on_top("Received", "from a by b"));
    assert_eq!(status(&browser, hand_over(alarm.clone().on_top("Received", "from c by d"))).await, 202);
    desk.test.run_jobs();
    desk.receive(&alarm.on_top("Received", "from e by f"));
    let said: usize = desk.tickets().iter().map(|ticket| desk.messages(ticket).len()).sum();
    assert_eq!(said, 3);
}

/// The number of a ticket tells that it is there and to whom it may belong; only who works there reads it.
#[actix_web::test]
async fn a_01_who_does_not_work_in_the_queue_of_a_ticket_reads_its_number_in_no_hint() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let (ticket, sent) = moved(&desk);
    let (own, other) = both_queues(&desk);
    // What the customer's mail quotes of ours, agents read in any case.
    let answer = Letter::answering("claire@acme.example", &sent).subject("Re: écran").text("Merci.\r\n");
    let path = format!("/api/v1/inbound?recipient={}", answer.recipient.replace('+', "%2B"));
    let secret = secret_of(&desk, own);
    assert_eq!(status(&browser, request(&path, &secret).set_payload(answer.bytes())).await, 202);
    desk.test.run_jobs();
    let new = desk.tickets().pop().unwrap();
    assert!(kinds(&desk, &new).contains(&EventKind::MayBelongTo));
    let page = format!("/tickets/{}", new.reference);
    let zoe = desk.test.browser_of(desk.zoe).await;
    let shown = zoe.get(&page).await;
    shown.assert_says("Fait peut-être partie d’un ticket d’une file que vous ne traitez pas");
    shown.assert_silent_about(&ticket.reference);
    let (zoe_id, now) = (desk.zoe, desk.test.now());
    desk.test.write(move |db| {
        let queue = queues::all(db)?.into_iter().find(|queue| queue.id == other).unwrap();
        members::add(db, &queue, zoe_id, None, now)
    });
    let zoe = desk.test.browser_of(desk.zoe).await;
    zoe.get(&page).await.assert_says(&format!("Fait peut-être partie de {}", ticket.reference));
}

#[actix_web::test]
async fn s_05_bn_02_a_report_of_one_queue_about_a_mail_of_another_is_held() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let (ticket, sent) = moved(&desk);
    let secret = secret_of(&desk, both_queues(&desk).0);
    let report = shapes::postfix(&sent, "failed", "5.1.1", "550 5.1.1 User unknown");
    let path = format!("/api/v1/inbound?recipient={}&sender=", sent.envelope_from.replace('+', "%2B"));
    let before = (desk.messages(&ticket).len(), kinds(&desk, &ticket));
    assert_eq!(status(&browser, request(&path, &secret).set_payload(report.bytes())).await, 202);
    desk.test.run_jobs();
    assert_eq!((desk.messages(&ticket).len(), kinds(&desk, &ticket)), before);
    let listed = desk.test.read(|db| accord::journal::unprocessed::list(db, None, 10)).rows;
    assert_eq!(listed.iter().filter(|mail| mail.state == State::Held).count(), 1);
}
