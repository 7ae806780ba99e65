//! B-16: what is hardly a mail. All of it is kept; what can be read of it is.

use accord::mail::incoming::{self, Level};
use accord::mail::limits::{Cut, PART_TEXT_BYTES};
use chrono::TimeDelta;

use super::arrived;
use crate::support::desk::Desk;
use crate::support::times;

const FIELDS: &str = "From: Claire <claire@acme.example>\nTo: support@garonne.example\nSubject: Panne";

const UNREADABLE_SUBJECT: &str = "Un message n’a pas pu être lu";
const FORMLESS_SUBJECT: &str = "Un message qui n’a pas la forme d’un courriel";

/// What stands in the place of words where there are none.
const UNREADABLE: &str = "Rien de ce message n’a pu être lu. Il est joint tel qu’il est arrivé.";

/// What stands before the words of what is no mail.
const FORMLESS: &str = "Ce message n’a pas la forme d’un courriel\u{a0}; voici ce qui a pu en être lu. Il est joint tel qu’il est \
                        arrivé.";

#[test]
fn b_16_whatever_the_bytes_of_a_mail_are_it_is_a_ticket_with_what_can_be_read() {
    let desk = Desk::open();
    let with_ends = |end: &str| format!("{FIELDS}\n\nUn\nDeux\n").replace('\n', end).into_bytes();
    let utf_16: Vec<u8> = format!("\u{feff}{FIELDS}\n\nUn\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf_16_other: Vec<u8> = format!("\u{feff}{FIELDS}\n\nUn\n").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let in_utf_16 = format!("{FIELDS}\n\nUn");
    let text = |text: &str| text.as_bytes().to_vec();
    for (what, raw, subject, said, read) in [
        ("0 bytes", Vec::new(), UNREADABLE_SUBJECT, UNREADABLE, "stub"),
        ("1 byte", text("x"), FORMLESS_SUBJECT, "x", "stub"),
        ("carriage returns only", with_ends("\r"), "Panne", "Un\nDeux", "full"),
        ("line feeds only", with_ends("\n"), "Panne", "Un\nDeux", "full"),
        ("both", with_ends("\r\n"), "Panne", "Un\nDeux", "full"),
        (
            "a mixture of them",
            format!("{}\r\n\nUn\rDeux\r\nTrois\n", FIELDS.replacen('\n', "\r\n", 1)).into_bytes(),
            "Panne",
            "Un\nDeux\nTrois",
            "full",
        ),
        ("NULs in the text", text(&format!("{FIELDS}\n\nU\0n\0\n")), "Panne", "Un", "full"),
        ("NULs in the subject", text(&format!("{FIELDS}\0s\n\nUn\n")), "Pannes", "Un", "full"),
        ("NULs and nothing else", vec![0; 100_000], UNREADABLE_SUBJECT, UNREADABLE, "stub"),
        (
            "a file of another kind",
            b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x01\0".to_vec(),
            UNREADABLE_SUBJECT,
            UNREADABLE,
            "stub",
        ),
        ("UTF-16", utf_16, FORMLESS_SUBJECT, &in_utf_16, "stub"),
        ("UTF-16, the other way round", utf_16_other, FORMLESS_SUBJECT, &in_utf_16, "stub"),
        (
            "a line of an mbox",
            text(&format!("From claire@acme.example Mon Nov 23 08:00:00 2026\n{FIELDS}\n\nUn\n")),
            "Panne",
            "Un",
            "full",
        ),
        (
            "the same, quoted",
            text(&format!(">From claire@acme.example Mon Nov 23 08:00:00 2026\n{FIELDS}\n\nUn\n")),
            "Panne",
            "Un",
            "full",
        ),
        ("a mark of the order of bytes", text(&format!("\u{feff}{FIELDS}\n\nUn\n")), "Panne", "Un", "full"),
        ("a body that begins with a space", text(&format!("{FIELDS}\n\n Un\n")), "Panne", "Un", "full"),
        ("no body", text(FIELDS), "Panne", "", "full"),
        ("no header", text("Bonjour,\n\nUn\n"), FORMLESS_SUBJECT, "Bonjour,\n\nUn", "stub"),
        ("no header, in a charset that nobody named", b"D\xE9j\xE0".to_vec(), FORMLESS_SUBJECT, "Déjà", "stub"),
        ("no empty line between", text(&format!("{FIELDS}\nUn mot\n")), "Panne", "Un mot", "full"),
    ] {
        // What somebody asks for the third time within a day is no ticket of its own (LP-07).
        desk.test.clock.advance(TimeDelta::hours(25));
        let arrived = arrived(&desk, what, &raw);
        match (read, said) {
            ("stub", UNREADABLE) => assert_eq!(arrived.text, UNREADABLE, "{what}"),
            ("stub", said) => assert_eq!(arrived.text, format!("{FORMLESS}\n\n{said}"), "{what}"),
            (_, said) => assert!(arrived.text.trim().ends_with(said), "{what}: {}", arrived.text),
        }
        assert_eq!(arrived.record.read, read, "{what}");
        let files: Vec<&[u8]> = arrived.files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        let as_it_came: &[&[u8]] = if read == "stub" { &[&raw] } else { &[] };
        assert!(files == as_it_came, "{what}: {} files", files.len());
        if !subject.is_empty() {
            assert_eq!(arrived.ticket.subject, subject, "{what}");
        }
        assert_eq!(arrived.ticket.requester_id == desk.claire, read == "full", "{what}");
    }
}

#[test]
fn b_16_25_megabytes_without_a_line_end_are_read_as_far_as_a_text_may_go() {
    let bytes = times(6 << 20, (25 << 20) - 1_024);
    // With a header, and as all that there is.
    let mail = incoming::parse(&[format!("{FIELDS}\n\n").into_bytes(), vec![b'x'; bytes]].concat());
    assert_eq!((mail.level, mail.text.len()), (Level::Full, PART_TEXT_BYTES));
    assert!(mail.cuts.contains(Cut::Text));
    let mail = incoming::parse(&vec![b'x'; bytes]);
    assert_eq!((mail.level, mail.text.len()), (Level::Stub, PART_TEXT_BYTES));
    let mail = incoming::parse(&vec![0; bytes]);
    assert_eq!((mail.level, mail.text.as_str()), (Level::Stub, ""));
    // A field that never ends.
    let mail = incoming::parse(&[b"Subject: ".to_vec(), vec![b'x'; bytes]].concat());
    assert!(mail.cuts.contains(Cut::HeaderBlock), "{:?}", mail.cuts);
}
