//! B-13: encodings without an end.

use accord::mail::incoming;

use super::{arrived, from_somebody};
use crate::support::desk::Desk;
use crate::support::times;

/// Words, then a file of so many bytes as uuencode writes it.
fn uuencoded(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let lines = bytes / 45;
    // Each group of `!!!!` is three bytes; the sum of its six-bit digits, all of them one.
    let line = format!("M{}\n", "!".repeat(60));
    let file = [0x04, 0x10, 0x41].repeat(15 * lines);
    let body = format!("Voir le fichier.\n\nbegin 644 a.bin\n{}`\nend\n", line.repeat(lines));
    (from_somebody("", body), file)
}

fn quoted(body: &str) -> Vec<u8> {
    from_somebody("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n", body)
}

#[test]
fn b_13_a_uuencoded_file_in_the_text_arrives_whole() {
    let desk = Desk::open();
    let (raw, file) = uuencoded(100_000);
    let arrived = arrived(&desk, "uuencode", &raw);
    assert_eq!(arrived.text.trim(), "Voir le fichier.");
    assert!(arrived.files == [("a.bin".to_owned(), file)]);
}

#[test]
fn b_13_25_megabytes_of_uuencode_are_one_file() {
    // As large as a mail may be.
    let (raw, file) = uuencoded(times(1 << 20, ((25 << 20) - 4_096) / 62 * 45));
    let mail = incoming::parse(&raw);
    assert_eq!((mail.text.trim(), mail.attachments.len()), ("Voir le fichier.", 1));
    assert!(mail.attachments[0].bytes == file && mail.cuts.is_empty(), "{:?}", mail.cuts);
}

#[test]
fn b_13_what_stands_around_five_million_soft_line_breaks_is_one_word() {
    let breaks = "=\n".repeat(times(200_000, 5_000_000));
    let mail = incoming::parse(&quoted(&format!("avant{breaks}après\n")));
    assert_eq!((mail.text.as_str(), mail.cuts.is_empty()), ("avantaprès\n", true));
    let desk = Desk::open();
    let arrived = arrived(&desk, "soft line breaks", &quoted(&format!("avant{}après\n", "=\r\n".repeat(50_000))));
    assert_eq!(arrived.text.trim(), "avantaprès");
}

#[test]
fn b_13_an_equals_sign_at_the_end_takes_nothing_away() {
    let desk = Desk::open();
    for (body, text) in [
        ("fin=", "fin"),
        ("fin=\n", "fin"),
        ("fin=\r\n", "fin"),
        ("fin= \t\n", "fin"),
        ("fin=3", "fin=3"),
        ("fin=3D", "fin="),
        ("fin==", "fin="),
        ("caf=C3=A9=", "café"),
        ("a=zz=", "a=zz"),
    ] {
        let arrived = arrived(&desk, body, &quoted(body));
        assert_eq!(arrived.text.trim_end(), text, "{body:?}");
    }
}
