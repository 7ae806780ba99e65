//! What we find in mails against what two others find there (M-02): Python's `email`, which has read mail for twenty years, and
//! the crate `mail-parser`. Where they differ, it is named here with its reason, and no difference hides a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use accord::mail::incoming::{Level, ParsedMail, parse};
use data_encoding::HEXLOWER;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::mail::corpus::{Kind, specimens};

#[derive(Debug, Deserialize)]
struct Found {
    mail: String,
    parts: Vec<Part>,
}

/// A part of a mail that holds no others, as the other has it.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    media_type: String,
    name: Option<String>,
    sha256: String,
    bytes: usize,
    text: Option<String>,
    /// As it stands in the mail, where the other says where.
    #[serde(skip)]
    encoded: Vec<u8>,
}

/// Why a part is not found here as it is found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It holds nothing.
    Empty,
    /// It is text that reads the same here but for its white space, the charset or what HTML says by marks.
    SameText,
    /// It is a file of text, here in the charset that it came in and there in UTF-8.
    SameFile,
    /// It is opened (winmail.dat): what lies in it stands here as text and files of their own.
    Opened,
    /// A page for programs that run it (AMP), beside the same for people; the original keeps it.
    LivePage,
    /// They end the header at a field with a space before its colon, and take the rest of it for text; here it is read on.
    HeaderReadOn,
    /// It lies in a mail, or deeper or later than is read (L-04, L-05), within a file that is kept whole.
    WithinAFile,
    /// The mail is over a limit: the record names it, and agents have the original.
    Cut,
    /// No mail at all by our reading: the original is all there is, as a file (J-03).
    Unread,
    /// The bytes are all there, in what another decoding makes of them.
    DecodedElse,
    /// They read on where a line in the header is no field, and where Python's `email` ends the header as we do (RFC 5322, 2.2):
    /// what lies there stands in the text, undecoded.
    Undecoded,
}

/// The mails of the fixtures, then a thousand that are made.
fn mails() -> Vec<(String, Vec<u8>, Option<Kind>)> {
    let mut mails = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mail")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                mails.push((name, fs::read(&path).unwrap(), None));
            }
        }
    }
    assert!(mails.len() > 20);
    let made = specimens(4, 1_000).into_iter();
    mails.extend(made.map(|made| (format!("{:05} {}", made.number, made.oddity), made.bytes, Some(made.kind))));
    mails
}

#[test]
#[ignore = "needs python3"]
fn real_m_02_no_part_that_another_program_finds_is_hidden_here() {
    let folder = tempfile::tempdir().unwrap();
    let mails = mails();
    for (index, (_, bytes, _)) in mails.iter().enumerate() {
        fs::write(folder.path().join(format!("{index:05}")), bytes).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/real/parts.py");
    let output = Command::new("python3").arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<Found> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), mails.len());
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut hidden = Vec::new();
    let mut same = 0;
    for (theirs, (name, bytes, kind)) in found.iter().zip(&mails) {
        let ours = parse(bytes);
        for part in &theirs.parts {
            if ours.attachments.iter().any(|file| HEXLOWER.encode(&file.sha256) == part.sha256) {
                same += 1;
                continue;
            }
            match reason(&ours, bytes, part) {
                // As mail programs write it, both find the same, and differ in nothing but how they put it.
                Some(reason) if *kind != Some(Kind::WellFormed) || reason <= Reason::SameFile => {
                    *reasons.entry(reason).or_default() += 1;
                }
                other => hidden.push(format!("{name} ({}): {other:?} {part:?}", theirs.mail)),
            }
        }
    }
    println!("{same} files are the same; {reasons:?}");
    assert!(hidden.is_empty(), "{} hidden, such as\n{}", hidden.len(), hidden[..hidden.len().min(12)].join("\n"));
    assert!(same > 500 && reasons[&Reason::SameText] > 500, "it compares something");
}

fn reason(ours: &ParsedMail, raw: &[u8], part: &Part) -> Option<Reason> {
    let text = part.text.as_deref().unwrap_or_default();
    if part.bytes == 0 || text.trim().is_empty() && part.text.is_some() {
        return Some(Reason::Empty);
    }
    if ours.level != Level::Full {
        return Some(Reason::Unread);
    }
    if part.text.is_some() && says(ours, text) {
        return Some(Reason::SameText);
    }
    if part.text.is_some() && ours.attachments.iter().any(|file| reads_the_same(&file.bytes, text)) {
        return Some(Reason::SameFile);
    }
    match part.media_type.as_str() {
        "application/ms-tnef" if !ours.attachments.is_empty() => return Some(Reason::Opened),
        "text/x-amp-html" if !ours.text.trim().is_empty() => return Some(Reason::LivePage),
        _ => {}
    }
    if text.starts_with("Content-Language : fr") && !ours.text.starts_with("Content-") {
        return Some(Reason::HeaderReadOn);
    }
    let lies_within = |file: &[u8]| contains(file, &sample(text.as_bytes()));
    if part.text.is_some() && ours.attachments.iter().any(|file| lies_within(&file.bytes)) {
        return Some(Reason::WithinAFile);
    }
    if !ours.cuts.is_empty() {
        return Some(Reason::Cut);
    }
    let letters =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().filter(u8::is_ascii_alphanumeric).take(4_000).collect() };
    if !part.encoded.is_empty() && contains(&all_letters(&ours.text), &letters(&part.encoded)) {
        return Some(Reason::Undecoded);
    }
    let is_decoded_as = |name: &String| {
        ours.attachments.iter().any(|file| file.file_name.as_str() == name && file.bytes.len() * 2 >= part.bytes)
    };
    if part.name.as_ref().is_some_and(is_decoded_as) {
        return Some(Reason::DecodedElse);
    }
    // What stands in the mail undecoded is a file or text here too, decoded or not.
    let whole = ours.attachments.iter().map(|file| file.bytes.len()).sum::<usize>() + ours.text.len();
    let is_there = raw.len() > part.bytes && whole >= part.bytes / 2 && part.name.is_none();
    is_there.then_some(Reason::DecodedElse)
}

/// Whether the letters and digits of a piece of `text` stand in what a reader is shown.
fn says(ours: &ParsedMail, text: &str) -> bool {
    let letters = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric()).collect() };
    let wanted = letters(text);
    let wanted: String = wanted.chars().take(4_000).collect();
    letters(&ours.text).contains(&wanted) || ours.html.as_deref().is_some_and(|html| letters(html).contains(&wanted))
}

fn all_letters(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).collect()
}

/// Whether the ASCII letters and digits of a file are those of a text.
fn reads_the_same(file: &[u8], text: &str) -> bool {
    let of_file: Vec<u8> = file.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let of_text: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    !of_text.is_empty() && of_file == of_text
}

fn sample(bytes: &[u8]) -> Vec<u8> {
    bytes.trim_ascii()[..bytes.trim_ascii().len().min(40)].to_vec()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && memchr::memmem::find(bytes, wanted).is_some()
}

/// In how many parts of the thousand mails `mail-parser` and we differ, for which reason. Another number is another reading, of
/// theirs or of ours, and wants a look.
const DIFFERENCES: [(Reason, usize); 6] = [
    (Reason::Empty, 22),
    (Reason::SameText, 7_421),
    (Reason::WithinAFile, 5),
    (Reason::Cut, 11),
    (Reason::DecodedElse, 21),
    (Reason::Undecoded, 55),
];

/// The parts of a mail, and of the mails in it, that hold no others.
fn parts_by_mail_parser(mail: &mail_parser::Message<'_>, found: &mut Vec<Part>) {
    for part in &mail.parts {
        let (bytes, text) = match &part.body {
            PartType::Multipart(_) => continue,
            PartType::Message(inner) => {
                parts_by_mail_parser(inner, found);
                continue;
            }
            PartType::Text(text) | PartType::Html(text) => (text.as_bytes(), Some(text.clone().into_owned())),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => (bytes.as_ref(), None),
        };
        let media_type = part.content_type().map_or_else(String::new, |kind| {
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase()
        });
        found.push(Part {
            media_type,
            name: part.attachment_name().map(str::to_owned),
            sha256: HEXLOWER.encode(&Sha256::digest(bytes)),
            bytes: bytes.len(),
            text,
            encoded: mail
                .raw_message
                .get(part.offset_body as usize..part.offset_end as usize)
                .unwrap_or_default()
                .to_vec(),
        });
    }
}

#[test]
fn m_02_no_part_that_mail_parser_finds_is_hidden_here_and_every_difference_is_of_a_known_kind() {
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let (mut hidden, mut same, mut unread) = (Vec::new(), 0, 0);
    for (name, bytes, kind) in mails() {
        let ours = parse(&bytes);
        let mut parts = Vec::new();
        match MessageParser::default().parse(&bytes) {
            Some(mail) => parts_by_mail_parser(&mail, &mut parts),
            None => unread += 1,
        }
        for part in &parts {
            if ours.attachments.iter().any(|file| HEXLOWER.encode(&file.sha256) == part.sha256) {
                same += usize::from(kind.is_some());
                continue;
            }
            match reason(&ours, &bytes, part) {
                Some(reason) if kind != Some(Kind::WellFormed) || reason <= Reason::SameFile => {
                    // The fixtures grow; the thousand stay as they are.
                    *reasons.entry(reason).or_default() += usize::from(kind.is_some());
                }
                other => hidden.push(format!("{name}: {other:?} {part:?}")),
            }
        }
    }
    assert!(hidden.is_empty(), "{} hidden, such as\n{}", hidden.len(), hidden[..hidden.len().min(12)].join("\n"));
    reasons.retain(|_, count| *count > 0);
    println!("{same} files are the same; {unread} mails are none to it; {reasons:?}");
    assert_eq!(reasons, BTreeMap::from(DIFFERENCES));
    assert!(same > 500 && unread < 5, "it compares something");
}

/// What the others find is not all: nothing that an author attached is missing here.
#[test]
fn m_02_of_a_thousand_mails_the_text_and_the_files_are_those_that_their_authors_meant() {
    for made in specimens(4, 1_000) {
        let mail = parse(&made.bytes);
        let what = format!("mail {} ({})", made.number, made.oddity);
        let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).collect() };
        let shown = letters(&mail.text) + &letters(mail.html.as_deref().unwrap_or_default());
        assert!(shown.contains(&letters(&made.text)), "{what}: {:?} in {:?}", made.text, mail.text);
        for (name, bytes) in &made.files {
            let wanted = Sha256::digest(bytes);
            let file = mail.attachments.iter().find(|file| file.sha256[..] == wanted[..]);
            let file = file.unwrap_or_else(|| panic!("{what}: {name} is missing among {}", mail.attachments.len()));
            if made.kind == Kind::WellFormed {
                assert_eq!(file.file_name.as_str(), name, "{what}");
            }
        }
        if made.kind == Kind::WellFormed {
            assert_eq!(mail.attachments.len(), made.files.len(), "{what}");
            assert!(
                mail.subject.ends_with(&format!("mail-{:05}", made.number)) && mail.from.identity.is_some(),
                "{what}"
            );
            assert!(mail.date.is_some() && mail.message_id.is_some() && mail.cuts.is_empty(), "{what}");
            assert!(!mail.is_charset_doubtful, "{what}");
        }
    }
}
