//! Writing a mail: from what is to be said, to the bytes that are kept and sent, unchanged however often sending is tried
//! (O-02). Whatever came from outside is scrubbed before the library that writes headers sees it (OUT-03). Sending is
//! `transport`'s part.

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::address::EmailAddress;
use super::message_id::LOOP_HEADER;
use super::thread_index::{Thread, thread_index};
use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::html::file_name::FileName;
use crate::i18n::Locale;
use crate::stumbling::{self, Stage};

/// A mail to one person.
#[derive(Clone, Debug)]
pub struct OutgoingMail<'a> {
    /// Whom the reader sees as the sender: an agent's name, or the operator's.
    pub from_name: &'a str,
    /// The mailbox the conversation is held with.
    pub from: &'a EmailAddress,
    /// The one recipient (OUT-04).
    pub to: &'a EmailAddress,
    pub subject: &'a str,
    pub text: &'a str,
    /// The same text as a page.
    pub html: &'a str,
    /// Where answers go, when not to `from`: a signed address (`reply_address`).
    pub reply_to: Option<&'a EmailAddress>,
    /// Where bounces go: a signed address, or for mail that belongs to no ticket `from`. Acknowledgements have none.
    pub bounce_to: &'a EmailAddress,
    /// With angle brackets, made by `message_id`.
    pub message_id: &'a str,
    /// The Message-ID of the customer's mail that is answered.
    pub in_reply_to: Option<&'a str>,
    /// The Message-IDs of the conversation so far, oldest first.
    pub references: &'a [String],
    /// The conversation as Outlook knows it; none outside of tickets.
    pub thread: Option<Thread<'a>>,
    pub language: Locale,
    pub date: UtcTime,
    pub automatic: Automatic<'a>,
    /// How the reader gets no more of these (OUT-06). What belongs to a conversation has none.
    pub unsubscribe: Option<Unsubscribe<'a>>,
    pub attachments: &'a [OutgoingAttachment],
}

/// Where the wish for no more of these mails is taken: at once, by a line sent to the page or by a mail (RFC 8058).
#[derive(Clone, Copy, Debug)]
pub struct Unsubscribe<'a> {
    pub page: &'a str,
    pub address: &'a EmailAddress,
}

/// Who causes the mail to be sent, which decides the marks against loops (LP-03).
#[derive(Clone, Copy, Debug)]
pub enum Automatic<'a> {
    /// A person wrote this; it carries no mark of a machine.
    HumanReply,
    /// Accord tells somebody something. `loop_mark` is made by `message_id::mint_loop_mark`.
    Notification { loop_mark: &'a str },
    /// Accord answers a mail or a form. Nobody is told when it cannot be delivered.
    Acknowledgement { loop_mark: &'a str },
}

/// A file that goes with the mail.
#[derive(Clone, Debug)]
pub struct OutgoingAttachment {
    pub file_name: FileName,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// A mail ready to be kept in the outbox and sent: these bytes, from and to these addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenMail {
    pub bytes: Vec<u8>,
    /// With angle brackets.
    pub message_id: String,
    /// Empty for acknowledgements, so that nothing can bounce (OUT-05).
    pub envelope_from: String,
    pub recipient: String,
    /// As written in the header.
    pub subject: String,
}

/// The longest display name, in characters.
const NAME_CHARACTERS: usize = 120;
/// The longest subject, in characters.
const SUBJECT_CHARACTERS: usize = 250;
/// The longest Message-ID of somebody else that is repeated; mail servers refuse lines over 998.
const MESSAGE_ID_BYTES: usize = 250;
/// The longest `List-Unsubscribe`: an address of a page and one of a mailbox, each with a token.
const UNSUBSCRIBE_CHARACTERS: usize = 900;
/// How many Message-IDs `References` holds: the first and the last ones.
const REFERENCES: usize = 10;
/// The longest `References`.
const REFERENCES_BYTES: usize = 2048;

/// Writes the mail. A failure is a fault of ours.
///
/// # Panics
/// The library has panicked over some mails. It costs the job that writes the mail, which is given up after three times (O-08).
pub fn freeze(mail: &OutgoingMail<'_>) -> Result<FrozenMail> {
    stumbling::step(Stage::Building, mail.to.as_str());
    let name = scrub_line(mail.from_name, NAME_CHARACTERS);
    let subject = scrub_line(mail.subject, SUBJECT_CHARACTERS);
    let message_id = scrub_message_id(mail.message_id).ok_or_else(|| Error::internal("the Message-ID is malformed"))?;
    let recipient = address(mail.to)?;
    let envelope_from = match mail.automatic {
        Automatic::Acknowledgement { .. } => None,
        Automatic::HumanReply | Automatic::Notification { .. } => Some(address(mail.bounce_to)?),
    };

    let mut builder = Message::builder()
        .envelope(Envelope::new(envelope_from.clone(), vec![recipient.clone()]).map_err(internal)?)
        .date(system_time(mail.date))
        .from(Mailbox::new((!name.is_empty()).then_some(name), address(mail.from)?))
        .to(Mailbox::new(None, recipient))
        .subject(subject.clone())
        .message_id(Some(message_id.clone()));
    if let Some(reply_to) = mail.reply_to {
        builder = builder.reply_to(Mailbox::new(None, address(reply_to)?));
    }
    if let Some(id) = mail.in_reply_to.and_then(scrub_message_id) {
        builder = builder.in_reply_to(id);
    }
    let references = references(mail.references);
    if !references.is_empty() {
        builder = builder.references(references);
    }
    if let Some(thread) = &mail.thread {
        builder = builder
            .raw_header(header("Thread-Topic", thread.topic)?)
            .raw_header(header("Thread-Index", &thread_index(thread, mail.date))?);
    }
    builder = builder.raw_header(header("Content-Language", mail.language.code())?);
    let marks = match mail.automatic {
        Automatic::HumanReply => None,
        Automatic::Notification { loop_mark } => Some(("auto-generated", loop_mark)),
        Automatic::Acknowledgement { loop_mark } => Some(("auto-replied", loop_mark)),
    };
    if let Some((auto_submitted, loop_mark)) = marks {
        builder = builder
            .raw_header(header("Auto-Submitted", auto_submitted)?)
            .raw_header(header("X-Auto-Response-Suppress", "All")?)
            .raw_header(header("Precedence", "bulk")?)
            .raw_header(header("X-Loop", mail.from.as_str())?)
            .raw_header(header(LOOP_HEADER, loop_mark)?);
    }
    if let Some(Unsubscribe { page, address }) = mail.unsubscribe {
        let ways = format!("<{page}>, <mailto:{}>", address.as_str());
        builder = builder
            .raw_header(header_of("List-Unsubscribe", &ways, UNSUBSCRIBE_CHARACTERS)?)
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")?);
    }

    let message = builder.multipart(body(mail)).map_err(internal)?;
    Ok(FrozenMail {
        bytes: message.formatted(),
        message_id,
        envelope_from: envelope_from.map(|address| address.to_string()).unwrap_or_default(),
        recipient: mail.to.as_str().to_owned(),
        subject,
    })
}

/// Plain text and page as alternatives; files, if there are any, beside them (OUT-01).
fn body(mail: &OutgoingMail<'_>) -> MultiPart {
    let alternative = MultiPart::alternative()
        .singlepart(SinglePart::plain(scrub_text(mail.text)))
        .singlepart(SinglePart::html(scrub_text(mail.html)));
    if mail.attachments.is_empty() {
        return alternative;
    }
    mail.attachments.iter().fold(MultiPart::mixed().multipart(alternative), |parts, attachment| {
        let name = scrub_line(attachment.file_name.as_str(), SUBJECT_CHARACTERS);
        parts.singlepart(Attachment::new(name).body(attachment.bytes.clone(), media_type(&attachment.media_type)))
    })
}

/// The declared type, unless it is malformed or one that must not be encoded in base64, as all files are.
fn media_type(declared: &str) -> ContentType {
    let is_composite = ["message/", "multipart/"]
        .iter()
        .any(|kind| declared.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind)));
    let is_plain =
        declared.len() <= 100 && declared.bytes().all(|b| b.is_ascii_graphic() && !b";,\"()<>@".contains(&b));
    let parsed = if is_plain && !is_composite { ContentType::parse(declared).ok() } else { None };
    parsed.unwrap_or_else(|| {
        ContentType::parse("application/octet-stream").expect("application/octet-stream is a media type")
    })
}

/// The first and the last ids, as many as fit.
fn references(ids: &[String]) -> String {
    let mut ids: Vec<String> = ids.iter().filter_map(|id| scrub_message_id(id)).collect();
    while ids.len() > 1
        && (ids.len() > REFERENCES || ids.iter().map(|id| id.len() + 1).sum::<usize>() > REFERENCES_BYTES)
    {
        // The second goes: the first names the conversation, the last ones what is answered.
        ids.remove(1);
    }
    ids.join(" ")
}

/// A single Message-ID that is safe to repeat, or nothing: it came from outside.
fn scrub_message_id(id: &str) -> Option<String> {
    let inner = id.trim().strip_prefix('<')?.strip_suffix('>')?;
    let is_safe = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    (is_safe && inner.len() <= MESSAGE_ID_BYTES).then(|| format!("<{inner}>"))
}

/// One line of at most `characters`: control characters and line ends become spaces, direction marks go, runs of white
/// space become one space.
fn scrub_line(text: &str, characters: usize) -> String {
    let mut line = String::new();
    let visible = text.chars().filter(|c| !is_direction_mark(*c)).map(|c| if c.is_control() { ' ' } else { c });
    // Far more than will be kept; a subject of megabytes is not worth reading.
    for c in visible.take(characters * 20) {
        if !c.is_whitespace() {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    }
    let cut: String = line.chars().take(characters).collect();
    cut.trim_end().to_owned()
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Lines ended by CRLF, without NUL and the other control characters.
fn scrub_text(text: &str) -> String {
    let mut clean = String::with_capacity(text.len() + text.len() / 32);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                clean.push_str("\r\n");
            }
            '\n' => clean.push_str("\r\n"),
            '\t' => clean.push('\t'),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

/// A header of ours. The values are words and addresses that we made.
fn header(name: &'static str, value: &str) -> Result<HeaderValue> {
    header_of(name, value, SUBJECT_CHARACTERS)
}

fn header_of(name: &'static str, value: &str, characters: usize) -> Result<HeaderValue> {
    let name = HeaderName::new_from_ascii_str(name);
    Ok(HeaderValue::new(name, scrub_line(value, characters)))
}

fn address(address: &EmailAddress) -> Result<Address> {
    Address::new(address.local_part(), address.domain()).map_err(internal)
}

/// A date the header can hold: from 1970 to 9998.
fn system_time(time: UtcTime) -> SystemTime {
    const END_OF_9998: i64 = 253_370_764_799;
    let seconds = time.seconds().clamp(0, END_OF_9998);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal(anyhow::Error::new(error).context("the mail could not be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    struct Sample {
        from: EmailAddress,
        to: EmailAddress,
        reply_to: EmailAddress,
        bounce_to: EmailAddress,
    }

    impl Sample {
        fn new() -> Self {
            Self {
                from: email("support@vendor.example"),
                to: email("anne@acme.example"),
                reply_to: email("r+token@reply.vendor.example"),
                bounce_to: email("b+token@reply.vendor.example"),
            }
        }

        fn mail(&self) -> OutgoingMail<'_> {
            OutgoingMail {
                from_name: "Zoé Martin",
                from: &self.from,
                to: &self.to,
                subject: "[ACC-7Q4KD2WM9K] Écran noir",
                text: "Bonjour,\nessayez ceci.\n",
                html: "<p>Bonjour,<br>essayez ceci.</p>",
                reply_to: Some(&self.reply_to),
                bounce_to: &self.bounce_to,
                message_id: "<m.a.b@reply.vendor.example>",
                in_reply_to: Some("<one@acme.example>"),
                references: &[],
                thread: Some(Thread {
                    topic: "Écran noir",
                    began_at: UtcTime::from_seconds(1_794_000_000),
                    handle: 42,
                    is_answer: true,
                }),
                language: Locale::Fr,
                date: UtcTime::from_seconds(1_795_000_000),
                automatic: Automatic::HumanReply,
                unsubscribe: None,
                attachments: &[],
            }
        }
    }

    /// The header fields of a mail, unfolded, and its body.
    fn read(bytes: &[u8]) -> (Vec<(String, String)>, String) {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let fields = unfolded.split("\r\n").map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
            (name.to_owned(), value.trim().to_owned())
        });
        (fields.collect(), body.to_owned())
    }

    fn field(mail: &FrozenMail, name: &str) -> Option<String> {
        let (fields, _) = read(&mail.bytes);
        let mut values = fields.into_iter().filter(|(field, _)| field == name).map(|(_, value)| value);
        let value = values.next();
        assert_eq!(values.next(), None, "two fields {name}");
        value
    }

    /// What holds for every mail whatever went into it.
    fn assert_well_formed(mail: &FrozenMail, expected_fields: &[&str]) {
        assert_eq!(mail.recipient, "anne@acme.example");
        let (mut fields, _) = read(&mail.bytes);
        fields.sort();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected_fields);
        assert!(fields.contains(&("To".to_owned(), "anne@acme.example".to_owned())));
        assert!(mail.bytes.is_ascii() && !mail.bytes.contains(&0));
        for line in std::str::from_utf8(&mail.bytes).unwrap().split("\r\n") {
            assert!(line.len() <= 998, "a line of {}", line.len());
            assert!(!line.contains(['\r', '\n']), "a line end by itself: {line:?}");
        }
    }

    const HUMAN_FIELDS: &[&str] = &[
        "Content-Language",
        "Content-Type",
        "Date",
        "From",
        "In-Reply-To",
        "MIME-Version",
        "Message-ID",
        "Reply-To",
        "Subject",
        "Thread-Index",
        "Thread-Topic",
        "To",
    ];

    #[test]
    fn out_01_a_mail_has_its_version_charset_and_both_forms() {
        let sample = Sample::new();
        let mail = freeze(&sample.mail()).unwrap();
        assert_well_formed(&mail, HUMAN_FIELDS);
        assert_eq!(field(&mail, "MIME-Version").as_deref(), Some("1.0"));
        assert!(field(&mail, "Content-Type").unwrap().starts_with("multipart/alternative;"));
        let (_, body) = read(&mail.bytes);
        assert!(body.contains("Content-Type: text/plain; charset=utf-8"));
        assert!(body.contains("Content-Type: text/html; charset=utf-8"));
        assert!(body.contains("Bonjour,\r\nessayez ceci."));
    }

    #[test]
    fn out_02_the_headers_are_ours_and_fixed() {
        let sample = Sample::new();
        let references: Vec<String> = (0..30).map(|n| format!("<{n}@acme.example>")).collect();
        let mail = freeze(&OutgoingMail { references: &references, ..sample.mail() }).unwrap();
        assert_eq!(field(&mail, "Message-ID").as_deref(), Some("<m.a.b@reply.vendor.example>"));
        assert_eq!(mail.message_id, "<m.a.b@reply.vendor.example>");
        assert_eq!(field(&mail, "In-Reply-To").as_deref(), Some("<one@acme.example>"));
        assert_eq!(field(&mail, "Reply-To").as_deref(), Some("r+token@reply.vendor.example"));
        assert_eq!(field(&mail, "Date").as_deref(), Some("Wed, 18 Nov 2026 11:06:40 +0000"));
        assert_eq!(field(&mail, "Content-Language").as_deref(), Some("fr"));
        assert!(field(&mail, "From").unwrap().ends_with("<support@vendor.example>"));
        let references = field(&mail, "References").unwrap();
        let ids: Vec<&str> = references.split_whitespace().collect();
        assert_eq!(
            (ids.len(), ids[0], ids[1], ids[9]),
            (10, "<0@acme.example>", "<21@acme.example>", "<29@acme.example>")
        );
        for name in ["X-Mailer", "User-Agent", "Sender", "Cc", "Bcc"] {
            assert_eq!(field(&mail, name), None);
        }
    }

    #[test]
    fn out_02_references_stay_below_two_kibibytes_and_hold_only_ids() {
        let long: Vec<String> = (0..10).map(|n| format!("<{}{n}@acme.example>", "x".repeat(230))).collect();
        let kept = references(&long);
        assert!(kept.len() <= REFERENCES_BYTES && kept.starts_with(&long[0]) && kept.ends_with(&long[9]));
        let hostile = [
            "no brackets@x".to_owned(),
            "<a b@x>".to_owned(),
            "<a>\r\nBcc: x@y".to_owned(),
            "<é@x>".to_owned(),
            "<>".to_owned(),
            format!("<{}@x>", "y".repeat(10_000)),
            "<ok@x>".to_owned(),
        ];
        assert_eq!(references(&hostile), "<ok@x>");
    }

    #[test]
    fn out_05_bounces_go_to_the_signed_address_and_acknowledgements_cannot_bounce() {
        let sample = Sample::new();
        let frozen = |automatic| freeze(&OutgoingMail { automatic, ..sample.mail() }).unwrap().envelope_from;
        assert_eq!(frozen(Automatic::HumanReply), "b+token@reply.vendor.example");
        assert_eq!(frozen(Automatic::Notification { loop_mark: "x" }), "b+token@reply.vendor.example");
        assert_eq!(frozen(Automatic::Acknowledgement { loop_mark: "x" }), "");
    }

    #[test]
    fn lp_03_machines_are_marked_and_people_are_not() {
        let sample = Sample::new();
        let marks = ["Auto-Submitted", "X-Auto-Response-Suppress", "Precedence", "X-Loop", "X-Accord-Loop"];
        let frozen = |automatic| {
            let mail = freeze(&OutgoingMail { automatic, ..sample.mail() }).unwrap();
            marks.map(|name| field(&mail, name).unwrap_or_default())
        };
        assert_eq!(frozen(Automatic::HumanReply), ["", "", "", "", ""]);
        let common = |first: &str| [first, "All", "bulk", "support@vendor.example", "inst;1;mac"].map(str::to_owned);
        assert_eq!(frozen(Automatic::Notification { loop_mark: "inst;1;mac" }), common("auto-generated"));
        assert_eq!(frozen(Automatic::Acknowledgement { loop_mark: "inst;1;mac" }), common("auto-replied"));
    }

    #[test]
    fn files_are_attached_with_safe_names_and_types() {
        let sample = Sample::new();
        let file = |name: &str, media_type: &str| OutgoingAttachment {
            file_name: FileName::new(name),
            media_type: media_type.to_owned(),
            bytes: vec![0, 13, 10, 255],
        };
        let attachments = [
            file("relevé.pdf", "application/pdf"),
            file("a\r\nBcc: x@y", "text/plain\r\nBcc: x@y"),
            file("mail.eml", "message/rfc822"),
        ];
        let mail = freeze(&OutgoingMail { attachments: &attachments, ..sample.mail() }).unwrap();
        assert_well_formed(&mail, HUMAN_FIELDS);
        let (_, body) = read(&mail.bytes);
        assert!(field(&mail, "Content-Type").unwrap().starts_with("multipart/mixed;"));
        assert_eq!(body.matches("Content-Type: application/octet-stream").count(), 2);
        assert_eq!(body.matches("Content-Disposition: attachment").count(), 3);
        assert_eq!(body.matches("AA0K/w==").count(), 3);
    }

    #[test]
    fn adv_13_names_and_subjects_with_line_ends_or_separators_add_nothing() {
        let sample = Sample::new();
        for hostile in [
            "x\r\nBcc: victim@evil.example",
            "x\nBcc: victim@evil.example",
            "x\rBcc: victim@evil.example",
            "x\0y",
            "a, b <victim@evil.example>",
            "<victim@evil.example>",
            "\"quoted\" \\ (comment)",
            "=?utf-8?q?=0d=0aBcc:_victim@evil.example?=",
            "\u{85}Bcc: victim@evil.example",
            "\u{2028}Bcc: victim@evil.example",
            "\u{202e}gro.live",
            ".\r\n.\r\n",
            "",
            "   ",
        ] {
            let mail =
                OutgoingMail { from_name: hostile, subject: hostile, text: hostile, html: hostile, ..sample.mail() };
            assert_well_formed(&freeze(&mail).unwrap(), HUMAN_FIELDS);
        }
    }

    /// Texts in which the dangerous characters are frequent, one after the other and the same in every run.
    struct Hostile(u64);

    impl Hostile {
        const PIECES: [&str; 16] = [
            "\r\n",
            "\r",
            "\n",
            "\0",
            "\" <a@b>, ",
            "Bcc: x@y",
            "=?utf-8?b?",
            "\u{202e}",
            "\u{1f469}\u{200d}\u{1f4bb}",
            "\t ",
            "\\",
            "\u{85}",
            "é",
            ";:<>()[]",
            ".\r\n",
            "word",
        ];

        fn number(&mut self, below: usize) -> usize {
            // Xorshift: any sequence will do that is not short.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % below
        }

        fn text(&mut self) -> String {
            let mut text = String::new();
            for _ in 0..self.number(10) {
                match self.number(4) {
                    0 => text.extend(char::from_u32(u32::try_from(self.number(0x11_0000)).unwrap())),
                    _ => text.push_str(Self::PIECES[self.number(Self::PIECES.len())]),
                }
            }
            text
        }
    }

    #[test]
    fn adv_13_out_03_ten_thousand_hostile_names_subjects_and_bodies() {
        let sample = Sample::new();
        let mut hostile = Hostile(20_261_123);
        for _ in 0..10_000 {
            let (name, subject, text) = (hostile.text(), hostile.text(), hostile.text());
            let mail = OutgoingMail { from_name: &name, subject: &subject, text: &text, html: &text, ..sample.mail() };
            let frozen = freeze(&mail).unwrap_or_else(|error| panic!("{name:?} {subject:?}: {error}"));
            assert_well_formed(&frozen, HUMAN_FIELDS);
            assert_eq!(scrub_line(&frozen.subject, SUBJECT_CHARACTERS), frozen.subject);
            assert_eq!(scrub_text(&scrub_text(&text)), scrub_text(&text));
        }
    }

    #[test]
    fn out_03_long_words_and_lines_are_broken() {
        let sample = Sample::new();
        for long in ["x".repeat(5000), "é".repeat(5000), "x ".repeat(5000), "\u{1f469}\u{200d}".repeat(900)] {
            let mail = OutgoingMail { from_name: &long, subject: &long, text: &long, html: &long, ..sample.mail() };
            let frozen = freeze(&mail).unwrap();
            assert_well_formed(&frozen, HUMAN_FIELDS);
            assert!(frozen.subject.chars().count() <= SUBJECT_CHARACTERS);
        }
    }
}
