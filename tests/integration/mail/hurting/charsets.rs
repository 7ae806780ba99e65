//! B-09: charsets that double what is said, that nobody knows, or that are not what was written.

use accord::mail::incoming::{self, Level};
use accord::mail::limits::{Cut, PART_TEXT_BYTES};
use data_encoding::BASE64;

use super::{arrived, from_somebody};
use crate::support::desk::Desk;
use crate::support::times;

const WORDS: &str = "L'imprimante est en panne, déjà.\n";

const IN_UTF_7: &[u8] = b"L'imprimante est en panne, d+AOk-j+AOA-.\n";

/// Base64 in lines, as mails carry it.
fn base64(bytes: &[u8]) -> String {
    let encoded = BASE64.encode(bytes);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for line in encoded.as_bytes().chunks(76) {
        lines.push_str(std::str::from_utf8(line).unwrap());
        lines.push('\n');
    }
    lines
}

fn text_in(charset: &str, bytes: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=\"{charset}\"\n");
    from_somebody(&fields, base64(bytes))
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf_32(text: &str) -> Vec<u8> {
    text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()
}

/// Bytes of no charset, the same ones each time.
fn garbage(count: usize) -> Vec<u8> {
    (0..count).map(|number| ((number as u32).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn b_09_what_was_written_is_read_in_whatever_charset_it_came_and_doubt_is_told() {
    let desk = Desk::open();
    let latin: Vec<u8> = WORDS.chars().map(|c| c as u8).collect();
    let long = "c".repeat(1 << 20);
    for (charset, bytes, text, is_doubtful) in [
        ("utf-16", utf_16(WORDS), WORDS, false),
        ("utf-16", [b"\xFF\xFE".to_vec(), utf_16(WORDS)].concat(), WORDS, false),
        ("utf-32LE", utf_32(WORDS), WORDS, true),
        ("utf-32LE", [b"\xFF\xFE\0\0".to_vec(), utf_32("Принтер")].concat(), "Принтер", true),
        ("utf-7", IN_UTF_7.to_vec(), WORDS, false),
        // The same bytes, of which nobody says so.
        ("", b"d+AOk-j+AOA-".to_vec(), "d+AOk-j+AOA-", false),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B".to_vec(), "日本", false),
        ("", WORDS.as_bytes().to_vec(), WORDS, false),
        ("", latin.clone(), WORDS, true),
        ("x-klingon", WORDS.as_bytes().to_vec(), WORDS, true),
        ("x-klingon", latin.clone(), WORDS, true),
        (&long, latin.clone(), WORDS, true),
    ] {
        let what = format!("{} {bytes:?}", &charset[..charset.len().min(20)]);
        let arrived = arrived(&desk, &what, &text_in(charset, &bytes));
        assert_eq!(arrived.text.trim_end(), text.trim_end(), "{what}");
        assert_eq!(arrived.record.read, "full", "{what}");
        let is_told = arrived.record.flags.iter().any(|flag| flag.contains("charset"));
        assert_eq!(is_told, is_doubtful, "{what}: {:?}", arrived.record.flags);
        assert!(arrived.files.is_empty(), "{what}");
    }
}

#[test]
fn b_09_twenty_four_megabytes_in_any_charset_are_read_as_far_as_a_text_may_go() {
    let bytes = times(6 << 20, 24_000_000 / 77 * 57);
    let long = "c".repeat(1 << 20);
    let noise = garbage(bytes);
    let filled = |unit: Vec<u8>| unit.repeat(bytes / unit.len());
    for (charset, content, begins) in [
        ("utf-16", filled(utf_16(WORDS)), WORDS),
        ("utf-32LE", filled(utf_32(WORDS)), WORDS),
        ("utf-7", filled(IN_UTF_7.to_vec()), WORDS),
        ("", filled(WORDS.as_bytes().to_vec()), WORDS),
        ("x-klingon", noise.clone(), ""),
        ("iso-2022-jp", noise.clone(), ""),
        ("utf-16", noise.clone(), ""),
        (&long, noise, ""),
    ] {
        let raw = text_in(charset, &content);
        let what = &charset[..charset.len().min(20)];
        let mail = incoming::parse(&raw);
        assert_eq!(mail.level, Level::Full, "{what}");
        assert!(mail.cuts.contains(Cut::Text), "{what}: {:?}", mail.cuts);
        assert!(!mail.text.is_empty() && mail.text.len() <= PART_TEXT_BYTES, "{what}: {}", mail.text.len());
        assert!(mail.text.starts_with(begins) && !mail.text.contains(['\0', '\r']), "{what}");
        assert!(mail.attachments.is_empty(), "{what}");
    }
}
