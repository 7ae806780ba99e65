//! The domain in From stands by what goes out: every mail is signed, whatever it says, and who changes it is found out.

use accord::clock::UtcTime;
use accord::html::file_name::FileName;
use accord::i18n::Locale;
use accord::mail::dkim::{selectors_for, sign};
use accord::mail::outgoing::{Automatic, OutgoingAttachment, OutgoingMail, Unsubscribe, freeze};
use accord::mail::thread_index::Thread;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter, address};
use crate::support::dkim::{Published, check, settings};

const DOMAIN: &str = "garonne.example";

/// A desk whose mail is signed.
fn signing_desk() -> (Desk, Published) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::with_settings(&format!("[mail]\n{}", settings(folder.path(), DOMAIN)));
    let published = Published::keys(&desk.test.app.config.mail.dkim);
    (desk, published)
}

fn both_hold(domain: &str) -> Vec<(String, bool)> {
    ["rsa", "ed25519"].map(|name| (format!("{name}._domainkey.{domain}"), true)).to_vec()
}

fn holds(bytes: &[u8], published: &Published) -> bool {
    check(bytes, published).iter().any(|(_, holds)| *holds)
}

#[test]
fn out_07_answers_and_what_machines_write_are_signed_by_an_rsa_and_an_ed25519_key() {
    let (desk, published) = signing_desk();
    desk.receive(&Letter::from("claire@acme.example"));
    let ticket = desk.ticket();
    for text in ["Une ligne.", &"très long ".repeat(2_000), "é🦀日本語\n.\n..\n \n\nFrom here\n", ""] {
        desk.answer(&ticket, &format!("Bonjour {text}"), Status::WaitingForCustomer);
    }
    let sent = desk.sent();
    assert!(sent.iter().any(|mail| mail.header("auto-submitted").is_some()), "an acknowledgement");
    assert!(sent.iter().filter(|mail| mail.header("auto-submitted").is_none()).count() >= 4, "answers");
    for mail in sent {
        assert_eq!(check(&mail.bytes, &published), both_hold(DOMAIN), "{}", mail.raw);
        assert!(mail.raw.lines().all(|line| line.len() <= 998));
    }
}

#[test]
fn out_07_a_mail_that_is_tried_again_is_the_same_bytes_with_the_same_signatures() {
    let (desk, published) = signing_desk();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer_quietly(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let down = SendFailure { kind: FailureKind::Transient, code: Some(451), text: "later".to_owned() };
    desk.memory().fail_next(down);
    desk.test.run_jobs();
    let kept = {
        let ticket = desk.ticket();
        let mail = desk.test.read(|db| accord::outbox::listing::of_ticket(db, ticket.id)).pop().unwrap();
        desk.test.read(|db| accord::outbox::sending::load(db, mail.id)).mime.unwrap()
    };
    desk.test.pass(TimeDelta::hours(5));
    let sent = desk.sent();
    assert_eq!((sent.len(), &sent[0].bytes), (1, &kept));
    assert_eq!(check(&sent[0].bytes, &published), both_hold(DOMAIN));
}

#[test]
fn out_07_mail_of_a_domain_without_a_key_leaves_unsigned() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::with_settings(&format!("[mail]\n{}", settings(folder.path(), "elsewhere.example")));
    desk.receive(&Letter::from("claire@acme.example"));
    let sent = desk.sent();
    assert!(!sent.is_empty() && sent.iter().all(|mail| mail.header("dkim-signature").is_none()));
}

/// Everything that a mail of ours can have, signed.
fn full(from: &str) -> (Vec<u8>, Published) {
    let (desk, published) = signing_desk();
    let attachments = [
        ("relevé.pdf", "application/pdf", vec![0, 13, 10, 255]),
        ("lines.txt", "text/plain", b"x\ny\r\n.\r\n".repeat(5_000)),
    ];
    let attachments = attachments.map(|(name, media_type, bytes)| OutgoingAttachment {
        file_name: FileName::new(name),
        media_type: media_type.to_owned(),
        bytes,
    });
    let (from, reply_to) = (address(from), address("r+token@reply.desk.example"));
    let references: Vec<String> = (0..12).map(|n| format!("<{n}.{}@acme.example>", "x".repeat(150))).collect();
    let mail = freeze(&OutgoingMail {
        from_name: "Zoé Petit, du support de la société des Logiciels Garonne, à Toulouse, rue des Arts",
        from: &from,
        to: &address("claire@acme.example"),
        subject: &"Écran noir depuis la mise à jour, ".repeat(6),
        text: &"x".repeat(5_000),
        html: "<p>x</p>",
        reply_to: Some(&reply_to),
        bounce_to: &reply_to,
        message_id: "<m.a.b@reply.desk.example>",
        in_reply_to: Some(&references[11]),
        references: &references,
        thread: Some(Thread {
            topic: "Écran noir",
            began_at: UtcTime::from_seconds(1_794_000_000),
            handle: 42,
            is_answer: true,
        }),
        language: Locale::Fr,
        date: UtcTime::from_seconds(1_795_000_000),
        automatic: Automatic::Notification { loop_mark: "inst;1;mac" },
        unsubscribe: Some(Unsubscribe { page: "https://desk.example/u/token", address: &reply_to }),
        attachments: &attachments,
    })
    .unwrap();
    (sign(&desk.test.app.config.mail.dkim, &from, mail.bytes).unwrap(), published)
}

#[test]
fn out_07_whoever_changes_or_adds_what_a_reader_sees_breaks_the_signatures() {
    let (mail, published) = full("support@garonne.example");
    assert_eq!(check(&mail, &published), both_hold(DOMAIN));
    let text = String::from_utf8(mail).unwrap();
    for added in [
        "From: ceo@garonne.example",
        "To: x@evil.example",
        "Cc: x@evil.example",
        "Subject: Pay here",
        "Date: Mon, 23 Nov 2026 08:00:00 +0000",
        "Message-ID: <x@evil.example>",
        "In-Reply-To: <x@evil.example>",
        "References: <x@evil.example>",
        "Reply-To: x@evil.example",
        "MIME-Version: 1.0",
        "Content-Type: text/html",
    ] {
        assert!(!holds(format!("{added}\r\n{text}").as_bytes(), &published), "{added}");
    }
    for name in [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Thread-Topic",
        "Thread-Index",
        "Reply-To",
        "MIME-Version",
        "Content-Type",
        "Auto-Submitted",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
    ] {
        let changed = text.replacen(&format!("\r\n{name}: "), &format!("\r\n{name}: x"), 1);
        assert!(changed != text && !holds(changed.as_bytes(), &published), "{name}");
    }
    assert!(!holds(text.replacen("xxxx", "xxyx", 1).as_bytes(), &published));
    assert!(!holds(format!("{text}\r\nmore\r\n").as_bytes(), &published));
    // What servers on the way add is no harm.
    let passed_on = format!("Received: from a by b\r\nX-Spam: no\r\n{text}");
    assert_eq!(check(passed_on.as_bytes(), &published), both_hold(DOMAIN));
}

#[test]
fn out_07_a_list_that_passes_a_mail_on_may_mark_it_as_its_own() {
    let (desk, published) = signing_desk();
    desk.receive(&Letter::from("claire@acme.example"));
    let raw = desk.sent().remove(0).raw;
    let passed_on = format!("List-Id: <it.acme.example>\r\nList-Unsubscribe: <mailto:x@acme.example>\r\n{raw}");
    assert_eq!(check(passed_on.as_bytes(), &published), both_hold(DOMAIN));
}

#[test]
fn out_07_the_nearest_domain_signs_and_only_one_that_is_aligned_with_from() {
    let (mail, published) = full("support@help.garonne.example");
    assert_eq!(check(&mail, &published), both_hold(DOMAIN), "the domain above stands by it");
    let (desk, _) = signing_desk();
    let selectors = &desk.test.app.config.mail.dkim;
    for stranger in ["example", "evilgaronne.example", "garonne.example.evil.example", "acme.example"] {
        assert!(selectors_for(selectors, stranger).is_empty(), "{stranger}");
    }
    let mut both = selectors.to_vec();
    let below = both[0].clone();
    both.push(accord::config::dkim::Selector { domain: "help.garonne.example".to_owned(), ..below });
    let names = |from: &str| selectors_for(&both, from).iter().map(|one| one.record_name()).collect::<Vec<_>>();
    assert_eq!(names("help.garonne.example"), ["rsa._domainkey.help.garonne.example"]);
    assert_eq!(names("garonne.example").len(), 2);
}

#[test]
fn out_07_no_line_breaks_between_a_signature_and_its_end() {
    let (desk, _) = signing_desk();
    let from = accord::mail::address::EmailAddress::parse("support@garonne.example").unwrap();
    for length in 1..=80 {
        let field = "x".repeat(length);
        let raw = format!("From: support@garonne.example\r\nList-{field}: 1\r\n\r\nBonjour\r\n");
        let signed = sign(&desk.test.app.config.mail.dkim, &from, raw.into_bytes()).unwrap();
        assert!(!String::from_utf8_lossy(&signed).contains("\r\n\t;"), "{length}");
    }
}
