//! What a mail says, however it was packed: shown as its author meant it, with the original kept as it came.

use accord::journal::{self, NewMail, Recipient, Way};
use accord::mail::incoming::{ParsedMail, Protection, parse};
use accord::teams::mailboxes;
use accord::tickets::attachments;
use accord::tickets::messages::Message;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, SUPPORT};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/mail/clients/", $name, ".eml")).as_slice()
    };
}

fn files(mail: &ParsedMail) -> Vec<(&str, &[u8])> {
    mail.attachments.iter().map(|file| (file.file_name.as_str(), file.bytes.as_slice())).collect()
}

/// A desk at which that mail has arrived; its message and the names of its files.
fn arrived(raw: &[u8]) -> (Desk, Message, Vec<String>) {
    let desk = Desk::open();
    let mailbox = desk.test.read(|db| Ok(mailboxes::default(db)?.id));
    let recipients = vec![Recipient { mailbox, address: SUPPORT.to_owned() }];
    let new = NewMail::new(recipients, "jean.dupont@acme.example".to_owned(), Way::Lmtp, raw.to_vec());
    let now = desk.test.now();
    desk.test.write(move |db| journal::accept(db, &new, now));
    desk.test.run_jobs();
    let ticket = desk.ticket();
    let message = desk.messages(&ticket).remove(0);
    let files = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    let hash: Option<String> = desk.test.read(|db| {
        Ok(accord::db::schema::journal::table.select(accord::db::schema::journal::original_hash).first(db)?)
    });
    assert_eq!(desk.test.app.storage.get(&hash.unwrap()).unwrap(), raw, "the original is kept as it came");
    (desk, message, files.into_iter().map(|file| file.file_name).collect())
}

#[test]
fn b_20_a_winmail_dat_is_opened() {
    let mail = parse(fixture!("winmail_files"));
    assert_eq!(mail.text, "Le rapport, signé par Jean.\n");
    assert_eq!(mail.html.as_deref(), Some("<p>Le rapport, signé par <b>Jean</b>.</p>"));
    let expected: [(&str, &[u8]); 2] =
        [("Rapport d’essai.pdf", b"%PDF-1.7 report"), ("mesures.csv", b"a;b\r\n1;2\r\n")];
    assert_eq!(files(&mail), expected);
    let (_, message, names) = arrived(fixture!("winmail_files"));
    assert_eq!(message.body_text.trim(), "Le rapport, signé par Jean.");
    assert_eq!(names, ["Rapport d’essai.pdf", "mesures.csv"]);
}

#[test]
fn b_20_a_damaged_winmail_dat_is_kept_beside_what_could_be_read_of_it() {
    let whole = String::from_utf8(fixture!("winmail_files").to_vec()).unwrap();
    let (start, packed) = whole.split_once("winmail.dat\"\n\n").unwrap();
    let bytes = data_encoding::BASE64.decode(packed.split("--").next().unwrap().replace('\n', "").as_bytes()).unwrap();
    let damaged = data_encoding::BASE64.encode(&bytes[..bytes.len() - 6]);
    let mail = parse(format!("{start}winmail.dat\"\n\n{damaged}\n--tnef--\n").as_bytes());
    let names: Vec<&str> = files(&mail).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Rapport d’essai.pdf", "mesures.csv", "winmail.dat"]);
}

#[test]
fn b_20_what_is_unpacked_twice_is_not_kept_three_times() {
    // A damaged winmail.dat within signed content: the signed file is kept, what was in the other is, and no more.
    let whole = String::from_utf8(fixture!("winmail_files").to_vec()).unwrap();
    let (start, packed) = whole.split_once("winmail.dat\"\n\n").unwrap();
    let bytes = data_encoding::BASE64.decode(packed.split("--").next().unwrap().replace('\n', "").as_bytes()).unwrap();
    let (_, start) = start.split_once("MIME-Version").unwrap();
    let damaged = data_encoding::BASE64.encode(&bytes[..bytes.len() - 6]);
    let signed = format!("MIME-Version{start}winmail.dat\"\n\n{damaged}\n--tnef--\n");
    let element = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84], length.as_slice(), content].concat()
    };
    let kind = |last: u8| element(0x06, &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, last]);
    let content = element(0x30, &[kind(1), element(0xA0, &element(0x04, signed.as_bytes()))].concat());
    let data = element(0x30, &[element(0x02, &[1]), element(0x31, &[]), content].concat());
    let cms = element(0x30, &[kind(2), element(0xA0, &data)].concat());
    let raw = format!(
        "From: a@b.example\nContent-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n{}\n",
        data_encoding::BASE64.encode(&cms)
    );
    let mail = parse(raw.as_bytes());
    let names: Vec<&str> = files(&mail).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Rapport d’essai.pdf", "mesures.csv", "smime.p7m"]);
}

#[test]
fn b_20_a_uuencoded_file_becomes_an_attachment() {
    let mail = parse(fixture!("uuencoded"));
    assert_eq!(mail.text, "Here is the log.\n\n\nJean\n");
    assert_eq!(files(&mail), [("errors.log", b"error 7: no\n".as_slice())]);
}

#[test]
fn b_20_an_invitation_is_kept_with_what_it_says() {
    let (desk, message, names) = arrived(fixture!("meeting_outlook"));
    assert_eq!(names, ["calendar.ics"]);
    assert_eq!(message.body_text.trim(), "Pouvez-vous nous rejoindre ?");
    let invitation = message.invitation.expect("an invitation").0;
    assert_eq!(invitation.summary, "Migration, étape 2");
    assert_eq!(invitation.location, "Salle 4");
    assert_eq!(invitation.organiser, "Jean Dupont <jean.dupont@acme.example>");
    assert_eq!(invitation.answers.open, 1);
    assert!(desk.sent().iter().all(|sent| !sent.raw.contains("METHOD:REPLY")), "nobody is answered");
}

#[actix_web::test]
async fn b_20_an_invitation_is_a_card_for_agent_and_customer_alike() {
    let (desk, message, _) = arrived(fixture!("meeting_outlook"));
    let ticket = desk.ticket();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let page = zoe.get(&format!("/tickets/{}", ticket.reference)).await;
    page.assert_says("Invitation à une réunion").assert_says("2 avr. 2026, 10:00 – 11:30").assert_says("Salle 4");
    assert!(!message.body_text.contains("BEGIN:VCALENDAR"));
    let jean = desk.test.browser_of(ticket.requester_id).await;
    let page = jean.get(&format!("/requests/{}", ticket.reference)).await;
    page.assert_status(200).assert_says("Migration, étape 2").assert_says("2 avr. 2026, 10:00 – 11:30");
}

#[actix_web::test]
async fn j_05_b_1_how_a_mail_was_handled_can_be_read_by_those_who_may_read_it() {
    let desk = Desk::open();
    let letter = Letter::from("Claire Lefèvre <claire@acme.example>")
        .on_top("Received", "from mail.acme.example (192.0.2.7) by relay.example; Mon, 23 Nov 2026 08:00:01 +0000")
        .on_top("Received", "from relay.example by mx.garonne.example; Mon, 23 Nov 2026 08:00:02 +0000");
    desk.receive(&letter);
    // By another path, and once more with other words.
    desk.receive(&letter.clone().on_top("Received", "from elsewhere.example by mx.garonne.example"));
    let ticket = desk.ticket();
    let handle = desk.messages(&ticket).remove(0).handle;
    let zoe = desk.test.browser_of(desk.zoe).await;
    let path = format!("/messages/{handle}/handling");
    zoe.get(&format!("/tickets/{}", ticket.reference)).await.assert_says(&path);
    let page = zoe.get(&path).await;
    page.assert_says("Ce ticket a été ouvert")
        .assert_says("Rien n’y désigne un ticket existant")
        .assert_says("support@garonne.example");
    page.assert_says("Le même courriel est arrivé une fois de plus par une autre voie");
    let text = page.text();
    let first = text.find("from mail.acme.example").expect("the first server");
    assert!(first < text.find("from relay.example by mx").expect("the second server"));
    desk.test.browser_of(desk.yves).await.get(&path).await.assert_status(404);
    desk.test.browser_of(desk.claire).await.get(&path).await.assert_status(404);
    desk.receive(&letter.text("Autre chose, sous le même nom."));
    let other = desk.tickets().into_iter().find(|other| other.reference != ticket.reference).expect("both are kept");
    zoe.get(&format!("/tickets/{}", other.reference)).await.assert_says("Un autre courriel porte le même Message-ID");
}

#[test]
fn b_20_what_is_signed_by_s_mime_is_read_and_said_to_be_unchecked() {
    let mail = parse(fixture!("smime_opaque"));
    assert_eq!((mail.text.trim(), mail.protection), ("Voilà des mots signés.", Protection::Signed));
    let names: Vec<&str> = files(&mail).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["notes.txt", "smime.p7m"]);
    assert_eq!(parse(fixture!("signed")).protection, Protection::Signed);
    let (desk, message, _) = arrived(fixture!("smime_opaque"));
    assert_eq!(message.body_text.trim(), "Voilà des mots signés.");
    let record = desk.test.read(|db| journal::outcome::record_of(db, message.ingest_id.unwrap()));
    assert!(record.flags.contains(&"signed".to_owned()), "{record:?}");
}

#[test]
fn b_20_what_is_encrypted_is_said_to_be_and_its_file_is_kept() {
    for (raw, kept) in [
        (fixture!("smime_encrypted"), &["smime.p7m"][..]),
        (fixture!("pgp_encrypted"), &["version.txt", "encrypted.asc"]),
    ] {
        let (_, message, names) = arrived(raw);
        assert_eq!(
            message.body_text.trim(),
            "Ce courriel est chiffré et ne peut être lu ici. Son contenu est dans le fichier joint, pour qui détient la clé."
        );
        assert_eq!(names, kept);
    }
    let (_, message, _) = arrived(fixture!("pgp_inline_encrypted"));
    assert!(message.body_text.starts_with("Ce courriel est chiffré"), "{}", message.body_text);
    assert!(message.quoted_text.starts_with("-----BEGIN PGP MESSAGE-----"));
}

#[test]
fn b_20_the_signature_of_openpgp_is_folded() {
    let (_, message, _) = arrived(fixture!("pgp_inline"));
    assert!(message.body_text.ends_with("Signed words.\n") && !message.body_text.contains("iQIz"));
    assert!(message.quoted_text.starts_with("-----BEGIN PGP SIGNATURE-----"));
}

#[test]
fn b_20_a_part_for_clients_that_run_it_is_passed_over_when_the_words_are_there() {
    let mail = parse(fixture!("amp"));
    assert_eq!(mail.text, "Your order.");
    assert_eq!(mail.html.as_deref(), Some("<p>Your <b>order</b>.</p>"));
    assert_eq!(files(&mail), []);
    let alone = String::from_utf8(fixture!("amp").to_vec()).unwrap().replace("text/plain", "text/x-amp-html");
    assert_eq!(files(&parse(alone.as_bytes())).len(), 2, "nothing is lost when there are no words before it");
}

#[test]
fn a5_a_card_number_in_what_was_unpacked_is_kept_nowhere() {
    const CARD: &str = "4111 1111 1111 1111";
    let ics = format!(
        "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Card {CARD}\nDTSTART:20260402T080000Z\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    let desk = Desk::open();
    let letter = Letter::from("claire@acme.example").header("Content-Type", "text/calendar; charset=utf-8").text(&ics);
    desk.receive(&letter);
    let ticket = desk.ticket();
    let invitation = desk.messages(&ticket).remove(0).invitation.unwrap().0;
    assert_eq!(invitation.summary, "Card •••• •••• •••• 1111");
    for file in desk.test.read(|db| attachments::of_ticket(db, &ticket)) {
        let kept = desk.test.app.storage.get(&file.content_hash).unwrap();
        assert!(!String::from_utf8_lossy(&kept).contains(CARD), "{}", file.file_name);
    }
}

/// How ten clients answer a mail of ours: the answer, and whether it holds its token or its ids.
fn answers(from: &str, sent: &crate::support::desk::Sent) -> Vec<(&'static str, Letter)> {
    let id = sent.mail.message_id.clone().unwrap();
    let answer = || Letter::answering(from, sent);
    let html = |quoted: &str| {
        let words = format!("<div>Merci, cela fonctionne.</div>{quoted}");
        answer().header("Content-Type", "text/html; charset=utf-8").text(&words)
    };
    vec![
        ("Gmail", html("<br><div class=\"gmail_quote\"><div class=\"gmail_attr\">Le lun. 23 nov. 2026 à 09:00, Support &lt;s@v.example&gt; a écrit :<br></div><blockquote>Bonjour</blockquote></div>")),
        ("Outlook", html("<hr><p><b>De :</b> Support<br><b>Envoyé :</b> lundi 23 novembre 2026 09:00<br><b>À :</b> Claire<br><b>Objet :</b> écran</p><p>Bonjour</p>")
            .header("Thread-Topic", "écran").subject("RE: écran")),
        ("Outlook on the web", answer().text("Merci, cela fonctionne.\r\n\r\n________________________________\r\nDe : Support\r\nEnvoyé : lundi 23 novembre 2026 09:00\r\nÀ : Claire\r\nObjet : écran\r\n\r\nBonjour\r\n")),
        ("Apple Mail", answer().text("Merci, cela fonctionne.\r\n\r\n> Le 23 nov. 2026 à 09:00, Support <s@v.example> a écrit :\r\n> \r\n> Bonjour\r\n")),
        ("iPhone", answer().text("Merci, cela fonctionne.\r\n\r\nEnvoyé de mon iPhone\r\n\r\n> Le 23 nov. 2026 à 09:00, Support <s@v.example> a écrit :\r\n> \r\n> Bonjour\r\n")),
        ("Thunderbird", answer().header("Reply-To", "claire@acme.example").text("Merci, cela fonctionne.\r\n\r\nLe 23/11/2026 à 09:00, Support a écrit :\r\n> Bonjour\r\n\r\n-- \r\nClaire\r\n")),
        ("Yahoo", answer().header("References", "").text("Merci, cela fonctionne.\r\n\r\nLe lundi 23 novembre 2026 à 09:00:01 UTC+1, Support <s@v.example> a écrit :\r\n\r\n  Bonjour\r\n")),
        ("Proton", answer().subject("Re: tout autre chose").text("Merci, cela fonctionne.\r\n\r\nEnvoyé avec Proton Mail.\r\n\r\nLe lundi 23 novembre 2026 à 09:00, Support <s@v.example> a écrit :\r\n\r\n> Bonjour\r\n")),
        ("Orange, whose headers are gone", answer().header("In-Reply-To", "").header("References", "").text("Merci, cela fonctionne.\r\n\r\n> Message du 23/11/26 09:00\r\n> De : \"Support\"\r\n> A : claire@acme.example\r\n> Objet : écran\r\n> \r\n> Bonjour\r\n")),
        ("Zimbra, to the mailbox and not to the answer address", Letter::from(from).header("In-Reply-To", &id).header("References", &id).text("Merci, cela fonctionne.\r\n\r\n----- Mail original -----\r\nDe: \"Support\"\r\nÀ: \"Claire\"\r\nEnvoyé: Lundi 23 Novembre 2026 09:00:00\r\nObjet: écran\r\n\r\nBonjour\r\n")),
        ("A new mail with the subject copied", Letter::from(from).authenticated("pass").subject(&sent.mail.subject).text("Merci, cela fonctionne.\r\n")),
    ]
}

fn answered() -> (Desk, accord::tickets::ticket::Ticket, crate::support::desk::Sent) {
    let desk = Desk::open();
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>"));
    desk.sent();
    desk.answer(&desk.ticket(), "Redémarrez-le.", accord::tickets::status::Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    let ticket = desk.ticket();
    (desk, ticket, sent)
}

#[test]
fn th_09_answers_of_ten_clients_land_with_what_was_written_and_the_rest_folded() {
    let (_, _, sent) = answered();
    let count = answers("claire@acme.example", &sent).len();
    let (mut landed, mut folded) = (Vec::new(), Vec::new());
    for index in 0..count {
        let (desk, ticket, sent) = answered();
        let (client, letter) = answers("Claire Lefèvre <claire@acme.example>", &sent).swap_remove(index);
        desk.receive(&letter);
        let public = desk.public_messages(&ticket);
        if public.len() != 3 {
            continue;
        }
        landed.push(client);
        if public[2].body_text.trim() == "Merci, cela fonctionne." {
            folded.push(client);
        }
    }
    // With eleven, 95 % is all of them.
    assert_eq!((landed.len(), folded.len()), (count, count), "landed: {landed:?}, folded: {folded:?}");
}

#[test]
fn th_09_of_forged_answers_of_ten_clients_none_lands() {
    let (_, _, sent) = answered();
    for index in 0..answers("claire@acme.example", &sent).len() {
        let (desk, ticket, sent) = answered();
        // Somebody who has seen the mail, and somebody who claims to be Claire where her domain says that it is not hers.
        let (client, stranger) = answers("Claire Lefèvre <mallory@evil.example>", &sent).swap_remove(index);
        desk.receive(&stranger);
        let (_, forged) = answers("Claire Lefèvre <claire@acme.example>", &sent).swap_remove(index);
        desk.receive(&forged.header("Authentication-Results", "").authenticated("fail"));
        assert_eq!(desk.public_messages(&ticket).len(), 2, "{client}");
    }
}

const ARMOUR: &str = "-----BEGIN PGP MESSAGE-----\r\n\r\nhQIMA1\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n";

#[test]
fn b_20_an_answer_in_clear_above_an_encrypted_history_is_not_said_to_be_encrypted() {
    let desk = Desk::open();
    let history = format!("Oui, vendredi.\r\n\r\n-----Message d'origine-----\r\nDe : Support\r\n\r\n{ARMOUR}");
    let parts = |first: &str, second: &str| {
        format!("--b\r\nContent-Type: {first}\r\n--b\r\nContent-Type: {second}\r\n--b--\r\n")
    };
    let encrypted = "multipart/encrypted; boundary=e\r\n\r\n--e\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\
                     --e\r\nContent-Type: application/octet-stream\r\n\r\nhQIMA1\r\n--e--";
    let attached = parts("text/plain\r\n\r\nOui, vendredi.", encrypted);
    for (kind, text) in [("text/plain", &history), ("multipart/mixed; boundary=b", &attached)] {
        desk.receive(&Letter::from("claire@acme.example").header("Content-Type", kind).text(text));
        let ticket = desk.tickets().pop().unwrap();
        let message = desk.messages(&ticket).remove(0);
        assert!(message.body_text.starts_with("Oui, vendredi."), "{kind}: {}", message.body_text);
        let record = desk.test.read(|db| journal::outcome::record_of(db, message.ingest_id.unwrap()));
        assert!(!record.flags.contains(&"encrypted".to_owned()), "{kind}: {record:?}");
    }
    // What the author wrote is encrypted, and so it is said.
    desk.receive(&Letter::from("claire@acme.example").text(&format!("{ARMOUR}\r\n> Quand ?\r\n")));
    let ticket = desk.tickets().pop().unwrap();
    assert!(desk.messages(&ticket)[0].body_text.starts_with("Ce courriel est chiffré"));
}

#[test]
fn b_20_what_an_agent_encrypted_stays_in_the_note() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let told = desk.sent_to("zoe@staff.example").remove(0);
    let answer = Letter::answering("zoe@staff.example", &told).authenticated("pass").text(ARMOUR);
    desk.receive(&answer);
    let note = desk.messages(&desk.ticket()).pop().unwrap();
    assert_eq!(note.author_id, Some(desk.zoe));
    assert!(note.body_text.contains("hQIMA1") && note.body_text.contains("chiffré"), "{}", note.body_text);
}

#[test]
fn a5_a_file_that_was_not_opened_stays_where_a_card_number_was_masked() {
    let desk = Desk::open();
    let body = "--b\r\nContent-Type: text/plain\r\n\r\nCarte 4111 1111 1111 1111\r\n\
                --b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\nnothing of Outlook\r\n\
                --b\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\nnothing signed\r\n--b--\r\n";
    let letter = Letter::from("claire@acme.example").header("Content-Type", "multipart/mixed; boundary=b").text(body);
    desk.receive(&letter);
    let ticket = desk.ticket();
    assert_eq!(desk.messages(&ticket)[0].body_text.trim(), "Carte •••• •••• •••• 1111");
    let files = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    let names: Vec<_> = files.into_iter().map(|file| file.file_name).collect();
    assert_eq!(names, ["winmail.dat", "smime.p7m"]);
}
