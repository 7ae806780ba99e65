//! What agents are shown of who wrote: the real address beside the name, and in words what deceives the eye.

use accord::journal::unprocessed;

use crate::support::desk::{Desk, Letter, SUPPORT};

const LOOKS: &str = "Le nom contient une adresse qui n’est pas celle de l’expéditeur";
const HIDES: &str = "Contient des caractères invisibles ou qui retournent le texte";
const IMITATES: &str = "Lettres qui ressemblent à d’autres";

/// A header in UTF-8, encoded as clients do.
fn encoded(name: &str) -> String {
    format!("=?utf-8?b?{}?=", data_encoding::BASE64.encode(name.as_bytes()))
}

/// What a page must say of each of them: the name as shown, the address, the mark.
fn deceivers() -> Vec<(String, &'static str, &'static str, &'static str)> {
    let from = |name: &str, address: &str| format!("{} <{address}>", encoded(name));
    vec![
        ("\"ceo@acme.com\" <x@evil.example>".to_owned(), "<bdi>ceo@acme.com</bdi>", "<bdi>x@evil.example</bdi>", LOOKS),
        (from("Jean\u{202E}tnopuD", "a@evil.example"), "Jean⟨U+202E⟩tnopuD", "<bdi>a@evil.example</bdi>", HIDES),
        (from("Anne\u{2066}Roy", "b@evil.example"), "Anne⟨U+2066⟩Roy", "<bdi>b@evil.example</bdi>", HIDES),
        (from("Cla\u{200B}ire", "c@evil.example"), "Cla⟨U+200B⟩ire", "<bdi>c@evil.example</bdi>", HIDES),
        (from("Cl\u{430}ire", "d@evil.example"), "Cl\u{430}ire", "<bdi>d@evil.example</bdi>", IMITATES),
        ("Claire <e@xn--cme-5cd.example>".to_owned(), "Claire", "<bdi>e@xn--cme-5cd.example</bdi>", IMITATES),
    ]
}

#[actix_web::test]
async fn i_04_a_sender_who_deceives_is_shown_with_words_and_the_real_address() {
    let desk = Desk::open();
    let zoe = desk.test.signed_in(desk.zoe).await;
    for (from, name, address, mark) in deceivers() {
        desk.receive(&Letter::from("x@y.example").header("From", &from));
        let ticket = desk.tickets().pop().unwrap();
        let page = zoe.get(&format!("/tickets/{}", ticket.reference)).await;
        page.assert_status(200);
        let page = page.text();
        let (conversation, side) = page.split_once("class=\"composer").unwrap();
        assert!(conversation.contains(address) && conversation.contains(mark), "{from}: {conversation}");
        assert!(conversation.contains(name), "{from}: {conversation}");
        // What a person is called was cleaned before it was kept; letters that imitate others cannot be.
        assert!(side.contains(address) && (mark != IMITATES || side.contains(mark)), "{from}: {side}");
        assert!(!page.contains(['\u{202E}', '\u{2066}', '\u{200B}']), "{from}");
    }
    // Nothing is said of an honest one.
    desk.receive(&Letter::from("Élodie <elodie@acme.example>"));
    let ticket = desk.tickets().pop().unwrap();
    let page = zoe.get(&format!("/tickets/{}", ticket.reference)).await;
    page.assert_says("elodie@acme.example").assert_silent_about(LOOKS).assert_silent_about(HIDES);
    page.assert_silent_about(IMITATES);
}

#[actix_web::test]
async fn i_04_who_is_proposed_and_who_takes_part_is_marked_alike() {
    let desk = Desk::open();
    let cc = format!("\"claire@acme.example\" <x@evil.example>, {} Roy <y@evil.example>", encoded("B\u{43E}b"));
    desk.receive(&Letter::from("claire@acme.example").header("Cc", &cc));
    let zoe = desk.test.signed_in(desk.zoe).await;
    let path = format!("/tickets/{}", desk.ticket().reference);
    let page = zoe.get(&path).await;
    // A name that is an address is no name: they go by their own.
    page.assert_says("<bdi>x@evil.example</bdi>");
    page.assert_says("<bdi>y@evil.example</bdi>").assert_says(IMITATES);
}

#[actix_web::test]
async fn i_04_mail_that_waits_and_the_page_of_a_person_say_so_too() {
    let desk = Desk::open();
    let (zoe, anne) = (desk.test.signed_in(desk.zoe).await, desk.test.signed_in(desk.administrator).await);
    for (from, name, address, mark) in deceivers() {
        desk.receive(&Letter::from("x@y.example").header("From", &from));
        desk.receive(&Letter::from("x@y.example").header("From", &from).authenticated("fail"));
        let held = desk.test.read(|db| unprocessed::list(db, None, 10)).rows.remove(0);
        let page = zoe.get(&format!("/admin/unprocessed-mail/{}", held.handle)).await;
        page.assert_says(name).assert_says(address).assert_says(mark);
        let requester = desk.tickets().pop().unwrap().requester_id;
        let person = desk.test.read(|db| accord::people::person::by_id(db, requester));
        let page = anne.get(&format!("/admin/people/{}", person.handle)).await;
        page.assert_status(200).assert_says(address);
        if mark == IMITATES {
            page.assert_says(mark);
        }
        assert!(!page.text().contains(['\u{202E}', '\u{2066}', '\u{200B}']), "{from}");
    }
}

const ELSEWHERE: &str = "Reply-To demande de répondre à l’adresse d’une autre organisation";
const AS_AGENT: &str = "Reply-To porte l’adresse d’un agent";

#[actix_web::test]
async fn i_05_answers_asked_for_elsewhere_are_told_at_the_message_and_never_go_there() {
    let desk = Desk::open();
    let zoe = desk.test.signed_in(desk.zoe).await;
    for (reply_to, is_told) in [
        ("thief@evil.example", true),
        ("claire@acme.example.evil.example", true),
        ("not an address", true),
        ("claire@acme.example", false),
        ("sales@mail.acme.example", false),
    ] {
        desk.receive(&Letter::from("claire@acme.example").subject(reply_to).header("Reply-To", reply_to));
        let ticket = desk.tickets().pop().unwrap();
        desk.answer(&ticket, "Redémarrez.", accord::tickets::status::Status::WaitingForCustomer);
        let sent = desk.sent();
        assert!(sent.iter().all(|sent| ["claire@acme.example", "zoe@staff.example"].contains(&&*sent.recipient)));
        let page = zoe.get(&format!("/tickets/{}", ticket.reference)).await;
        assert_eq!(page.text().contains(ELSEWHERE), is_told, "{reply_to}");
    }
}

#[actix_web::test]
async fn i_05_an_agent_s_address_in_reply_to_is_told_and_gives_no_rights() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let ticket = desk.ticket();
    let told = desk.sent_to("zoe@staff.example").remove(0);
    // Zoé's own token, an answer to her, by somebody else whose domain stands by it.
    let forged = Letter::answering("mallory@evil.example", &told).header("Reply-To", "zoe@staff.example");
    desk.receive(&forged.authenticated("pass"));
    let messages = desk.messages(&ticket);
    assert!(messages.iter().all(|message| message.kind == accord::tickets::messages::MessageKind::Customer));
    assert_eq!(desk.public_messages(&ticket).len(), 1, "nothing that a customer reads");
    let zoe = desk.test.signed_in(desk.zoe).await;
    let page = zoe.get(&format!("/tickets/{}", ticket.reference)).await;
    page.assert_says(AS_AGENT).assert_says(ELSEWHERE).assert_says("mallory@evil.example");
    // In their own mail it is their own address.
    desk.receive(&Letter::from("yves@staff.example").header("Reply-To", "yves@staff.example").to(SUPPORT));
    let own = desk.tickets().pop().unwrap();
    zoe.get(&format!("/tickets/{}", own.reference)).await.assert_silent_about(AS_AGENT);
}
