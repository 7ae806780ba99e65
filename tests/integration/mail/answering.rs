//! An agent answers, and the answer leaves as a mail that can be answered.

use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter, Sent};

#[test]
fn an_answer_leaves_as_mail_and_the_customers_reply_lands_in_the_ticket() {
    let desk = Desk::open();
    let letter = Letter::from("Claire Lefèvre <claire@acme.example>");
    desk.receive(&letter);
    desk.sent();
    let ticket = desk.ticket();
    desk.answer(&ticket, "Bonjour Claire,\n\nredémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let answer = &sent[0];
    assert_eq!(answer.recipient, "claire@acme.example");
    assert!(answer.mail.subject.contains(&ticket.reference) && answer.mail.subject.contains("Écran noir"));
    assert!(answer.mail.text.contains("redémarrez-le."));
    assert!(answer.mail.text.contains("> mon écran reste noir"), "{}", answer.mail.text);
    // A person wrote it (LP-03), it threads (OUT-02), and bounces have an address of their own (OUT-05).
    for mark in ["auto-submitted", "precedence", "x-auto-response-suppress", "x-loop"] {
        assert_eq!(answer.header(mark), None);
    }
    assert_eq!(answer.header("in-reply-to"), Some(letter.id()));
    assert!(answer.header("references").unwrap().contains(letter.id()));
    assert!(answer.mail.message_id.as_ref().unwrap().starts_with("<m."));
    assert!(answer.reply_to().starts_with("r+") && answer.reply_to().ends_with("@reply.desk.example"));
    assert!(answer.envelope_from.starts_with("b+"), "{}", answer.envelope_from);

    desk.receive(&Letter::answering("claire@acme.example", answer));
    let ticket = desk.ticket();
    assert_eq!(ticket.status, Status::WaitingForUs);
    let messages = desk.public_messages(&ticket);
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2].body_text.trim(), "Merci, cela fonctionne.");
    assert!(messages[2].quoted_text.contains("redémarrez-le"), "quoted text is folded and not lost");
}

#[test]
fn b3_a_customer_is_told_when_a_request_arrives_and_whenever_it_is_answered() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example").authenticated("pass"));
    let told = desk.sent_to("claire@acme.example");
    assert_eq!(told.len(), 1);
    let ticket = desk.ticket();
    assert!(told[0].mail.subject.contains(&ticket.reference) && told[0].mail.subject.contains("Écran noir"));
    assert_eq!(told[0].envelope_from, "", "nobody answers an acknowledgement by machine (OUT-05)");
    assert_eq!(told[0].header("auto-submitted"), Some("auto-replied"));
    for text in ["Un.", "Deux."] {
        desk.answer(&ticket, text, Status::WaitingForCustomer);
        assert_eq!(desk.sent_to("claire@acme.example").len(), 1);
    }
}

#[test]
fn out_04_each_participant_gets_a_mail_of_their_own_and_reads_from_where_they_joined() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example").text("Le code de la porte est 4711.\r\n"));
    let ticket = desk.ticket();
    let (by, bob, now) = (desk.actor(desk.zoe), desk.bob, desk.test.now());
    desk.test.clock.advance(chrono::TimeDelta::minutes(5));
    let added = ticket.clone();
    desk.test.write(move |db| accord::tickets::participants::approve(db, &added, bob, &by, now));
    desk.test.run_jobs();
    desk.sent();
    desk.answer(&ticket, "Bonjour à vous deux.", Status::WaitingForCustomer);
    let mut sent = desk.sent();
    sent.sort_by(|one, other| one.recipient.cmp(&other.recipient));
    let recipients: Vec<&str> = sent.iter().map(|sent| sent.recipient.as_str()).collect();
    assert_eq!(recipients, ["bob@acme.example", "claire@acme.example"]);
    for one in &sent {
        assert_eq!(one.mail.to.len(), 1);
        assert!(one.mail.cc.is_empty());
    }
    assert_ne!(sent[0].reply_to(), sent[1].reply_to());
    assert!(sent[1].mail.text.contains("4711"));
}

#[test]
fn an_agent_answers_a_notification_and_it_becomes_a_note() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let told = desk.sent_to("zoe@staff.example");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].header("auto-submitted"), Some("auto-generated"));
    desk.receive(&Letter::answering("zoe@staff.example", &told[0]).authenticated("pass"));
    let ticket = desk.ticket();
    let messages = desk.messages(&ticket);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].kind, accord::tickets::messages::MessageKind::Note);
    assert_eq!(desk.public_messages(&ticket).len(), 1);
    assert!(desk.sent_to("claire@acme.example").is_empty(), "a note is not for customers");
}

#[test]
fn out_10_an_answer_to_an_address_nobody_confirmed_repeats_nothing_of_the_request() {
    let desk = Desk::open();
    let letter = Letter::from("Eve <eve@stranger.example>").subject("BUY NOW http://evil.example").text("BUY NOW\r\n");
    desk.receive(&letter);
    let told = desk.sent_to("eve@stranger.example");
    assert_eq!(told.len(), 1);
    let ticket = desk.ticket();
    assert!(!ticket.address_confirmed);
    desk.answer(&ticket, "Bonjour.", Status::WaitingForCustomer);
    let answered = desk.sent_to("eve@stranger.example");
    assert_eq!(answered.len(), 1);
    for sent in told.iter().chain(&answered) {
        assert!(!sent.raw.contains("BUY NOW") && !sent.mail.subject.contains("BUY"), "{}", sent.raw);
        assert!(!sent.mail.text.contains("evil.example"));
    }
}

#[test]
fn out_11_no_mail_tells_us_that_it_was_read_and_links_lead_where_they_say() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let link = "https://docs.example.org/guide?a=1&b=2#c";
    desk.answer(&desk.ticket(), &format!("Voyez {link} et **ceci**."), Status::WaitingForCustomer);
    let sent = desk.sent();
    assert_eq!(sent.len(), 3);
    for one in &sent {
        let html = one.mail.html.as_ref().unwrap();
        for tracker in ["<img", "<iframe", "<link", "<script", "background=", "url(", "srcset", "src="] {
            assert!(!html.to_ascii_lowercase().contains(tracker), "{tracker} in {html}");
        }
        let links: Vec<&str> = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!links.is_empty(), "{html}");
        for found in links {
            let is_ours = found.starts_with("http://desk.example/");
            assert!(is_ours || found == link.replace('&', "&amp;"), "{found}");
        }
        for wish in ["disposition-notification-to", "return-receipt-to", "x-confirm-reading-to"] {
            assert_eq!(one.header(wish), None);
        }
    }
    let answer = sent.last().unwrap();
    assert!(answer.mail.text.contains(link), "{}", answer.mail.text);
    assert!(answer.mail.html.as_ref().unwrap().contains(&format!("href=\"{}\"", link.replace('&', "&amp;"))));
}

#[actix_web::test]
async fn au_06_agents_read_in_words_whether_the_senders_domain_stands_by_a_mail() {
    let desk = Desk::open();
    let words = ["Expéditeur confirmé par son domaine", "ce qui est courant chez les petits expéditeurs"];
    let letter = |subject: &str| Letter::from("claire@acme.example").subject(subject);
    for (number, letter) in [letter("un").authenticated("pass"), letter("deux")].iter().enumerate() {
        desk.receive(letter);
        let reference = desk.tickets()[number].reference.clone();
        let page = desk.test.browser_of(desk.zoe).await.get(&format!("/tickets/{reference}")).await.text();
        assert!(page.contains(words[number]) && !page.contains(words[1 - number]), "{page}");
    }
    desk.receive(&letter("trois").authenticated("fail"));
    assert_eq!(desk.tickets().len(), 2, "what its domain disowns is held");
    let page = desk.test.browser_of(desk.administrator).await.get("/admin/unprocessed-mail").await.text();
    assert!(page.contains("L’authentification de l’expéditeur a échoué."), "{page}");
}

/// The conversation index of a mail (MS-OXOMSG 2.2.1.3): its 22 bytes of the conversation, and how many steps follow.
fn conversation_index(sent: &Sent) -> (Vec<u8>, usize) {
    let index = data_encoding::BASE64.decode(sent.header("thread-index").unwrap().as_bytes()).unwrap();
    assert_eq!((index[0], (index.len() - 22) % 5), (1, 0), "{index:?}");
    (index[..22].to_vec(), (index.len() - 22) / 5)
}

#[test]
fn out_12_outlook_keeps_the_mails_of_a_ticket_together_though_their_subjects_change() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example").authenticated("pass"));
    let ticket = desk.ticket();
    let mut sent = desk.sent();
    desk.test.clock.advance(TimeDelta::days(2));
    desk.answer(&ticket, "Redémarrez.", Status::WaitingForCustomer);
    let answer = desk.sent_to("claire@acme.example").remove(0);
    let renamed = Letter::answering("claire@acme.example", &answer).subject("Re: toujours en panne");
    desk.test.clock.advance(TimeDelta::days(1));
    desk.receive(&renamed);
    sent.push(answer);
    sent.extend(desk.sent());
    desk.answer(&ticket, "Encore.", Status::WaitingForCustomer);
    sent.extend(desk.sent());
    assert!(sent.len() >= 5, "the customer's and the agent's");
    let (root, _) = conversation_index(&sent[0]);
    for one in &sent {
        assert_eq!(conversation_index(one).0, root);
        let topic = one.mail.headers.iter().find(|(name, _)| name == "thread-topic").unwrap();
        assert!(one.raw.contains("Thread-Topic: =?utf-8?") && !topic.1.is_empty(), "{}", one.raw);
    }
    let (first, last) = (sent.iter().find(|one| one.header("references").is_none()), sent.last().unwrap());
    assert!(first.is_none_or(|first| conversation_index(first).1 == 0));
    assert_eq!(conversation_index(last).1, 1);

    // Another ticket is another conversation; its stranger's words go to no address that nobody confirmed (OUT-10).
    desk.receive(&Letter::from("eve@stranger.example").subject("Cliquez ici"));
    let asked = desk.sent_to("eve@stranger.example").remove(0);
    assert_ne!(conversation_index(&asked).0, root);
    assert_eq!(asked.header("thread-topic"), Some(desk.tickets()[1].reference.as_str()));
    assert!(!asked.raw.contains("Cliquez"));
}
