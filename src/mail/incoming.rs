//! What a mail says, read from its raw bytes: sender, subject, text, files. [`parse`] takes any bytes, never fails and
//! never panics; what cannot be read wholly is read as far as it can be (J-03), and the original stays with the caller.
//! Whom to believe, and what to do with the mail, is decided elsewhere. The header is read here, what the parts say in `bodies`.

mod bodies;
mod cms;
mod rtf;
mod segments;
mod tnef;
mod uuencoded;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mailparse::dateparse;
use sha2::{Digest, Sha256};

use super::address::{EmailAddress, Mailbox, split_list};
use super::decoding;
use super::invitation::Invitation;
use super::limits::{
    ADDRESSES, Cut, Cuts, MESSAGE_ID_BYTES, NAME_CHARACTERS, PART_TEXT_BYTES, RAW_BYTES, REFERENCES, SUBJECT_CHARACTERS,
};
use super::message_id::LOOP_HEADER;
use super::structure::{self, Field};
use super::test_mark;
use crate::clock::UtcTime;
use crate::html::file_name::FileName;

/// A mail as far as it could be read.
#[derive(Clone, Debug, Default)]
pub struct ParsedMail {
    /// How far reading got.
    pub level: Level,
    pub from: Correspondent,
    /// Never an identity (I-05).
    pub reply_to: Vec<Correspondent>,
    pub to: Vec<Correspondent>,
    pub cc: Vec<Correspondent>,
    /// One line, decoded.
    pub subject: String,
    /// What the sender's clock said.
    pub date: Option<UtcTime>,
    /// With its angle brackets, as all ids here.
    pub message_id: Option<String>,
    pub in_reply_to: Vec<String>,
    pub references: Vec<String>,
    /// The best plain text: what the mail brought as such, else the text of its HTML. Lines end in `\n`.
    pub text: String,
    /// The HTML as it came, decoded, not made safe; absent if there is none or it is over a limit.
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
    /// The meeting that it invites to, or that it answers about.
    pub invitation: Option<Invitation>,
    /// The mail is itself an answer to an invitation, made by a calendar (RFC 6047, 2.4), and not one that somebody attached to
    /// words of theirs.
    pub is_calendar_answer: bool,
    pub protection: Protection,
    /// The header block of the message itself, top first: names in lower case, values unfolded but not decoded. Without
    /// the fields by which Accord is steered (S-01).
    pub headers: Vec<(String, String)>,
    /// The values of our own loop header. They mean something only with a valid proof.
    pub loop_marks: Vec<String>,
    /// The values of the field by which a mail from a mailbox to itself is known. They too mean something only with a proof.
    pub test_marks: Vec<String>,
    /// The path in the topmost Return-Path field, without its brackets: empty for the null sender.
    pub return_path: Option<String>,
    /// The limits the message went past.
    pub cuts: Cuts,
    /// Some text is in an unknown charset, or not in the one it claims (M-03).
    pub is_charset_doubtful: bool,
    /// SHA-256 of what makes two deliveries the same mail: From, Date, Subject, text, HTML, files (J-05).
    pub digest: [u8; 32],
}

impl ParsedMail {
    /// Whether this has not the form of a mail and says something all the same: its bytes are a text, with letters or digits, and
    /// next to none of the characters that a file of another kind is full of.
    pub fn has_words_without_form(&self) -> bool {
        const STRANGE_AMONG: usize = 20;
        let is_strange = |c: &char| *c == '\u{FFFD}' || (c.is_control() && !matches!(c, '\n' | '\t'));
        let strange = self.text.chars().filter(is_strange).count();
        self.level == Level::Stub
            && self.text.contains(char::is_alphanumeric)
            && strange.saturating_mul(STRANGE_AMONG) <= self.text.chars().count()
    }
}

/// How far a mail could be read (J-03).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// To its end, or to a limit.
    Full,
    /// The header only; the text and the files are in the original.
    HeadersOnly,
    /// Not as a mail; the original is all there is.
    #[default]
    Stub,
}

impl Level {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Full => "full",
            Level::HeadersOnly => "headers_only",
            Level::Stub => "stub",
        }
    }
}

/// How a mail's content is protected by S/MIME or OpenPGP. No signature is checked, and nothing is decrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    #[default]
    None,
    /// Signed; its words can be read by everybody.
    Signed,
    /// Its words are in a file that only its recipient can read.
    Encrypted,
    /// Its words stand in the text, for its recipient only.
    EncryptedText,
}

/// Somebody named in an address field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correspondent {
    /// The address, if it may stand for a person (I-01, I-03).
    pub identity: Option<EmailAddress>,
    /// The decoded name, one line; empty if there is none. Show it by `address::visible`.
    pub display_name: String,
    /// What stands where the address should be, whether it is one or not. Show it by `address::visible`.
    pub shown_address: String,
}

/// A file that came with a mail, or a part that is kept as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub file_name: FileName,
    /// What the mail says it is; not to be believed when serving it (H-09).
    pub media_type: String,
    pub bytes: Vec<u8>,
    pub sha256: [u8; 32],
    /// Without its angle brackets.
    pub content_id: Option<String>,
    /// The HTML shows it, or it is an image to be shown with the text.
    pub is_inline: bool,
    /// What is in it was taken out, and is in the mail beside it: what must not stay there must not stay in it either.
    pub was_opened: bool,
}

/// What a mail brought before anything in it was opened, by which a second delivery is known however much is opened (J-05).
#[derive(Clone, Debug, Default)]
struct AsItCame {
    text: String,
    html: String,
    /// SHA-256 of each file.
    files: Vec<[u8; 32]>,
}

/// Reads a mail of at most [`RAW_BYTES`]; of a larger one, the header.
pub fn parse(raw: &[u8]) -> ParsedMail {
    parse_within(raw, RAW_BYTES)
}

/// Reads a mail of at most `raw_bytes`, as configured; of a larger one, the header.
pub fn parse_within(raw: &[u8], raw_bytes: usize) -> ParsedMail {
    let attempt = |read: fn(&[u8]) -> (ParsedMail, AsItCame)| catch_unwind(AssertUnwindSafe(|| read(raw))).ok();
    let read = if raw.len() > raw_bytes {
        attempt(read_headers).map(|(mut mail, came)| {
            mail.cuts.add(Cut::RawSize);
            (mail, came)
        })
    } else {
        attempt(read_all).or_else(|| attempt(read_headers))
    };
    let (mut mail, came) = read.unwrap_or_default();
    mail.digest = digest(&mail, &came);
    mail
}

fn read_all(raw: &[u8]) -> (ParsedMail, AsItCame) {
    let said = |mail: ParsedMail| {
        let came = AsItCame { text: mail.text.clone(), ..AsItCame::default() };
        (mail, came)
    };
    let Some(raw) = normalized(raw) else { return said(no_mail(raw)) };
    let structure = structure::read(&raw, bodies::boundary);
    let mut mail = read_fields(&structure.parts[0].fields, &structure.cuts);
    if mail.level == Level::Stub {
        return said(no_mail(&raw));
    }
    for cut in structure.cuts.as_slice() {
        mail.cuts.add(*cut);
    }
    let came = bodies::read(&structure, raw.len(), &mut mail);
    (mail, came)
}

/// What has not the form of a mail, as a text.
fn no_mail(raw: &[u8]) -> ParsedMail {
    let decoded = decoding::body(decoding::start_of(raw, PART_TEXT_BYTES), None);
    let mut mail = ParsedMail { text: decoded.text, ..ParsedMail::default() };
    mail.is_charset_doubtful = decoded.is_doubtful && mail.has_words_without_form();
    if raw.len() > PART_TEXT_BYTES || mail.text.len() > PART_TEXT_BYTES {
        mail.cuts.add(Cut::Text);
    }
    mail.text.truncate(mail.text.floor_char_boundary(PART_TEXT_BYTES));
    mail
}

fn read_headers(raw: &[u8]) -> (ParsedMail, AsItCame) {
    // Three times the limit of the header block, so that a header over the limit is recognized as such.
    let Some(raw) = normalized(&raw[..raw.len().min(768 << 10)]) else { return <(ParsedMail, AsItCame)>::default() };
    let mut cuts = Cuts::default();
    let (fields, _) = structure::header(&raw, &mut cuts, |_| false);
    let mut mail = read_fields(&fields, &cuts);
    for cut in cuts.as_slice() {
        mail.cuts.add(*cut);
    }
    if mail.level == Level::Full {
        mail.level = Level::HeadersOnly;
    }
    (mail, AsItCame::default())
}

/// The message from its first header field on, with lines that end in `\n`: without byte order mark, empty lines and the
/// line of an mbox file before it. Nothing of a message in UTF-16, which is no mail.
fn normalized(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if raw.starts_with(b"\xFF\xFE") || raw.starts_with(b"\xFE\xFF") {
        return None;
    }
    let mut raw = raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw);
    while let [b'\r' | b'\n', rest @ ..] = raw {
        raw = rest;
    }
    let raw = if raw.contains(&b'\r') && !raw.contains(&b'\n') {
        Cow::Owned(raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect())
    } else {
        Cow::Borrowed(raw)
    };
    // `From : a@b` is a malformed field, which must stay there to be seen (I-03).
    let is_mbox_line =
        |start: &[u8]| raw.strip_prefix(start).is_some_and(|rest| !rest.trim_ascii_start().starts_with(b":"));
    if is_mbox_line(b"From ") || is_mbox_line(b">From ") {
        let end = raw.iter().position(|byte| *byte == b'\n').map_or(raw.len(), |end| end + 1);
        return Some(match raw {
            Cow::Borrowed(raw) => Cow::Borrowed(&raw[end..]),
            Cow::Owned(raw) => Cow::Owned(raw[end..].to_vec()),
        });
    }
    Some(raw)
}

/// Reads what the header of the message says. Without a single field that mails have, it is no mail.
fn read_fields(fields: &[Field<'_>], header_cuts: &Cuts) -> ParsedMail {
    const OF_MAILS: [&str; 9] =
        ["from", "to", "cc", "subject", "date", "message-id", "received", "return-path", "content-type"];
    let mut reader = FieldReader { fields, mail: ParsedMail::default() };
    if !fields.iter().any(|field| OF_MAILS.iter().any(|name| field.is(name))) {
        return reader.mail;
    }
    reader.mail.level = Level::Full;
    reader.read(header_cuts.is_empty());
    reader.mail
}

struct FieldReader<'a> {
    fields: &'a [Field<'a>],
    mail: ParsedMail,
}

impl FieldReader<'_> {
    fn read(&mut self, is_header_whole: bool) {
        self.mail.from = self.sender(is_header_whole);
        self.mail.reply_to = self.correspondents("reply-to");
        self.mail.to = self.correspondents("to");
        self.mail.cc = self.correspondents("cc");
        let subject = self.first("subject").map(|field| decoding::header(field.value)).unwrap_or_default();
        self.mail.subject = self.decode(&subject, SUBJECT_CHARACTERS);
        self.mail.date = self.first("date").and_then(|field| date(&decoding::header(field.value)));
        self.mail.message_id = self.first("message-id").and_then(|field| message_id(&decoding::header(field.value)));
        self.mail.in_reply_to = self.message_ids("in-reply-to");
        self.mail.references = self.message_ids("references");
        self.mail.return_path = self.first("return-path").map(|field| {
            let path = decoding::header(field.value);
            let (_, inside) = path.split_once('<').unwrap_or(("", &path));
            inside.split('>').next().unwrap_or_default().trim().to_owned()
        });
        for field in self.fields {
            let name = String::from_utf8_lossy(field.name.trim_ascii_end()).to_ascii_lowercase();
            let value = decoding::header(field.value);
            if name.eq_ignore_ascii_case(LOOP_HEADER) {
                self.mail.loop_marks.push(value);
            } else if name.eq_ignore_ascii_case(test_mark::HEADER) {
                self.mail.test_marks.push(value);
            } else if !name.starts_with("x-accord-") {
                self.mail.headers.push((name, value));
            }
        }
    }

    fn first(&self, name: &str) -> Option<&Field<'_>> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// Who sent it. An identity needs a header read to its end, one From field, and one plain mailbox in it (I-03).
    fn sender(&mut self, is_header_whole: bool) -> Correspondent {
        let fields: Vec<Field<'_>> = self.fields.iter().filter(|field| field.is("from")).copied().collect();
        let Some(field) = fields.first() else { return Correspondent::default() };
        let (mailboxes, more) = split_list(&decoding::header(field.value), 2);
        let is_single = fields.len() == 1 && mailboxes.len() == 1 && !more;
        let is_clean = field.name.eq_ignore_ascii_case(b"from") && !has_stray_controls(field.value);
        let mut sender = mailboxes.first().map(|mailbox| self.correspondent(mailbox)).unwrap_or_default();
        if !(is_header_whole && is_single && is_clean) {
            sender.identity = None;
        }
        sender
    }

    fn correspondents(&mut self, name: &str) -> Vec<Correspondent> {
        let mut correspondents = Vec::new();
        for field in self.fields.iter().filter(|field| field.is(name)) {
            let left = ADDRESSES - correspondents.len();
            let (mailboxes, more) = split_list(&decoding::header(field.value), left);
            correspondents.extend(mailboxes.iter().map(|mailbox| self.correspondent(mailbox)));
            if more {
                self.mail.cuts.add(Cut::Addresses);
            }
        }
        correspondents
    }

    fn correspondent(&mut self, mailbox: &Mailbox) -> Correspondent {
        Correspondent {
            identity: mailbox.identity(),
            display_name: self.decode(&mailbox.name, NAME_CHARACTERS),
            shown_address: shortened(decoding::one_line(&mailbox.address), NAME_CHARACTERS),
        }
    }

    fn message_ids(&self, name: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for field in self.fields.iter().filter(|field| field.is(name)) {
            ids.extend(bracketed_ids(&decoding::header(field.value)));
        }
        // The first began the conversation, the last are the nearest.
        if ids.len() > REFERENCES {
            ids.drain(1..ids.len() - REFERENCES + 1);
        }
        ids
    }

    fn decode(&mut self, text: &str, characters: usize) -> String {
        let decoded = decoding::encoded_words(text);
        self.mail.is_charset_doubtful |= decoded.is_doubtful;
        if decoded.is_cut {
            self.mail.cuts.add(Cut::EncodedWords);
        }
        shortened(decoded.text, characters)
    }
}

/// Whether a value holds control characters besides those of folding.
fn has_stray_controls(value: &[u8]) -> bool {
    value.iter().enumerate().any(|(at, byte)| match byte {
        b'\t' | b'\n' => false,
        b'\r' => value.get(at + 1) != Some(&b'\n'),
        _ => byte.is_ascii_control(),
    })
}

fn shortened(text: String, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// Reads the value of a Date field.
pub fn date(value: &str) -> Option<UtcTime> {
    const LAST_SECOND_OF_9999: i64 = 253_402_300_799;
    // Longer than any date, and some parsers count years one by one.
    let seconds = dateparse(value.get(..value.len().min(100))?).ok()?;
    // Nothing read at all is zero.
    (1..=LAST_SECOND_OF_9999).contains(&seconds).then(|| UtcTime::from_seconds(seconds))
}

fn message_id(value: &str) -> Option<String> {
    bracketed_ids(value).into_iter().next().or_else(|| {
        let is_bare = value.contains('@') && !value.contains(['<', '>']) && is_sound_id(value);
        is_bare.then(|| format!("<{value}>"))
    })
}

fn bracketed_ids(value: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for piece in value.split('<').skip(1) {
        let Some((id, _)) = piece.split_once('>') else { continue };
        if is_sound_id(id.trim()) {
            ids.push(format!("<{}>", id.trim()));
        }
    }
    ids
}

fn is_sound_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MESSAGE_ID_BYTES && !id.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What makes two deliveries the same mail. Each item is preceded by its length, so that none can pass for its neighbour.
fn digest(mail: &ParsedMail, came: &AsItCame) -> [u8; 32] {
    let header = |name: &str| {
        mail.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let mut files: Vec<&[u8]> = came.files.iter().map(|hash| hash.as_slice()).collect();
    files.sort_unstable();
    let mut items = vec![
        header("from").as_bytes(),
        header("date").as_bytes(),
        mail.subject.as_bytes(),
        came.text.trim_end().as_bytes(),
        came.html.trim_end().as_bytes(),
    ];
    items.extend(files);
    let mut hasher = Sha256::new();
    for item in items {
        hasher.update((item.len() as u64).to_be_bytes());
        hasher.update(item);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
