//! What a report says of a mail that was not, or not yet, delivered: which mail, to whom, how it ended and why. By the form
//! that RFC 3464 gives it, else in the words that mail systems tell people (`wordings`). Whether the report may be believed
//! is decided in `intake`: anybody can write one.

mod wordings;

use std::sync::LazyLock;

use regex::Regex;

use super::decoding;
use super::incoming::{Attachment, ParsedMail};
use super::limits::Cuts;
use super::structure::{self, Field};

/// What of a report's machine-readable part is looked at.
const STATUS_BYTES: usize = 64 << 10;
/// Recipients of a report that are looked at; our mails have one each (OUT-04).
const RECIPIENTS: usize = 50;
/// Message-IDs that a report may name; it is about one mail.
const IDS: usize = 5;
/// Characters of a reason that are kept.
const REASON_CHARACTERS: usize = 300;

/// A report as read, which proves nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    pub recipients: Vec<RecipientReport>,
    /// The Message-IDs of the mail that the report is about, with their angle brackets.
    pub mail_ids: Vec<String>,
}

/// How the mail fared with one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    /// Every address under which the report knows the recipient, in lower case.
    pub addresses: Vec<String>,
    pub fate: Fate,
    /// Why, in the words of the mail system; one line.
    pub reason: String,
}

/// How far the mail came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was given up. `address_is_bad` when there is nobody at the address, rather than no room, no wish or no way.
    Failed { address_is_bad: bool },
    /// It is still tried.
    Delayed,
    /// It arrived, or went on to where no more is heard of it.
    Delivered,
}

impl DeliveryReport {
    /// Whether it says anything at all, so that it is more than a mail that happens to look like a report.
    pub fn claims_anything(&self) -> bool {
        !self.recipients.is_empty() || !self.mail_ids.is_empty()
    }
}

/// Reads a report. `in_words` lets the text tell it where there is no machine-readable part: only of mails that a mail
/// system wrote by all appearance, or any text with an address in it would be a failure.
pub fn read(mail: &ParsedMail, in_words: bool) -> DeliveryReport {
    let mut report = DeliveryReport::default();
    for part in &mail.attachments {
        match part.media_type.as_str() {
            "message/delivery-status" | "message/global-delivery-status" => {
                report.recipients.extend(recipients(part));
            }
            "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/rfc822-headers"
            | "message/global-headers" => report.mail_ids.extend(message_id(&part.bytes)),
            _ => {}
        }
    }
    if in_words {
        let told = wordings::read(mail);
        if report.recipients.is_empty() {
            report.recipients.extend(told.recipient);
        }
        if report.mail_ids.is_empty() {
            report.mail_ids = told.mail_ids;
        }
    }
    if report.mail_ids.is_empty() && (in_words || !report.recipients.is_empty()) {
        // Some name it as what they answer, and bring nothing else of it.
        report.mail_ids.clone_from(&mail.in_reply_to);
    }
    report.recipients.truncate(RECIPIENTS);
    report.mail_ids.truncate(IDS);
    report
}

/// The recipients of a `message/delivery-status` part: groups of fields, the first of which is about the whole mail.
fn recipients(part: &Attachment) -> Vec<RecipientReport> {
    let mut rest = &part.bytes[..part.bytes.len().min(STATUS_BYTES)];
    let mut found = Vec::new();
    while !rest.is_empty() && found.len() < RECIPIENTS {
        let (fields, end) = structure::header(rest, &mut Cuts::default(), |_| false);
        found.extend(recipient(&fields));
        // What is no field is passed over, so that each round gets further.
        let next = if fields.is_empty() { end.max(end_of_line(rest)) } else { end };
        rest = &rest[next.clamp(1, rest.len())..];
    }
    found
}

fn end_of_line(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1)
}

fn recipient(fields: &[Field<'_>]) -> Option<RecipientReport> {
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| decoding::header(field.value));
    let named = ["final-recipient", "original-recipient", "x-actual-recipient"].map(value);
    let mut addresses: Vec<String> = Vec::new();
    for address in named.iter().flatten().flat_map(|value| addresses_in_field(value)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return None;
    }
    let diagnostic = value("diagnostic-code").unwrap_or_default();
    let status = value("status").and_then(|status| Status::find(&status));
    let refined = match (status, Status::find(&diagnostic)) {
        // Some write 5.0.0 whatever it was, and what it was beside it.
        (Some(status), Some(inner)) if status.is_vague() && inner.class == status.class => Some(inner),
        (None, inner) => inner,
        (status, _) => status,
    };
    let failed = || Fate::Failed { address_is_bad: is_bad_address(refined, &diagnostic) };
    let class = refined.map(|status| status.class).or_else(|| reply_class(&diagnostic));
    let action = value("action").unwrap_or_default();
    let action = action.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    let fate = match (action.to_ascii_lowercase().as_str(), class) {
        // Given up is given up, also where every attempt met a passing trouble (RFC 3464, 2.3.3).
        ("failed", _) => failed(),
        ("delayed", _) => Fate::Delayed,
        ("delivered" | "relayed" | "expanded", _) => Fate::Delivered,
        (_, Some(5)) => failed(),
        (_, Some(4)) => Fate::Delayed,
        _ => Fate::Delivered,
    };
    let status = value("status").unwrap_or_default();
    Some(RecipientReport { addresses, fate, reason: reason(&format!("{status} {diagnostic}")) })
}

/// `rfc822; Anne@acme.example` and its variants: the type may be missing, brackets may be there, and what stood in the
/// envelope may still be in its encoding (`+2B` for `+`).
fn addresses_in_field(value: &str) -> Vec<String> {
    let bare = value.split_once(';').map_or(value, |(_, address)| address);
    let bare = bare.trim().trim_matches(['<', '>', '"']).trim().to_lowercase();
    if !bare.contains('@') {
        return Vec::new();
    }
    let decoded = without_xtext(&bare);
    if decoded == bare { vec![bare] } else { vec![bare, decoded] }
}

fn without_xtext(text: &str) -> String {
    static ENCODED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\+([0-9a-f]{2})").expect("well formed"));
    ENCODED
        .replace_all(text, |found: &regex::Captures<'_>| match u8::from_str_radix(&found[1], 16) {
            Ok(byte) if byte.is_ascii_graphic() => char::from(byte).to_string(),
            _ => found[0].to_owned(),
        })
        .into_owned()
}

/// The Message-ID in the header of an embedded mail.
pub(super) fn message_id(mail: &[u8]) -> Option<String> {
    let (fields, _) = structure::header(mail, &mut Cuts::default(), |_| false);
    let field = fields.iter().find(|field| field.is("message-id"))?;
    bracketed(&decoding::header(field.value))
}

fn bracketed(value: &str) -> Option<String> {
    let value = value.trim();
    let inside = value.split_once('<').map_or(value, |(_, rest)| rest);
    let id = inside.split('>').next().unwrap_or_default().trim();
    let is_sound = id.contains('@') && id.len() < 500 && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then(|| format!("<{id}>"))
}

/// An enhanced status code (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    class: u8,
    subject: u16,
    detail: u16,
}

impl Status {
    /// The first in a text that is no part of a longer number, such as an IP address.
    fn find(text: &str) -> Option<Status> {
        static CODE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?:^|[^\d.])([245])\.(\d{1,3})\.(\d{1,3})(?:$|\.?[^\d.]|\.$)").expect("well formed")
        });
        let found = CODE.captures(text)?;
        Some(Status { class: found[1].parse().ok()?, subject: found[2].parse().ok()?, detail: found[3].parse().ok()? })
    }

    /// Says no more than that it went wrong.
    fn is_vague(self) -> bool {
        self.detail == 0 && matches!(self.subject, 0 | 5)
    }
}

/// Whether nobody is at the address: by the code where that says so (RFC 3463 and what was registered since), else by the
/// words beside it, where the code says no more than that something went wrong.
fn is_bad_address(status: Option<Status>, words: &str) -> bool {
    match status.map(|status| (status.class, status.subject, status.detail)) {
        // Unknown, moved, or at a place that takes no mail or that nobody finds.
        Some((5, 1, 1 | 2 | 3 | 6 | 10) | (5, 2, 1) | (5, 4, 4)) => true,
        // Our own address or domain is refused, not theirs; or theirs is there, and its server speaks another protocol.
        Some((5, 1, 5 | 7 | 8 | 9)) => false,
        // A full mailbox is one; a message that is too large, or a conversation that went wrong, says nothing of the address;
        // nor does a policy; and what passes is no end of it.
        Some((5, 2 | 6 | 7, _) | (5, 3 | 5, 1..) | (4, ..)) => false,
        // Nothing known, an address that is ambiguous, a server that was not reached: in some mouths it means that nobody is there.
        Some(_) => wordings::says_nobody_is_there(words),
        None => reply_class(words) != Some(4) && wordings::says_nobody_is_there(words),
    }
}

/// 4 or 5, by the reply of the mail server that a text repeats.
fn reply_class(text: &str) -> Option<u8> {
    static REPLY: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^|[^\d.])([45])\d\d(?:[\s-]|$)").expect("well formed"));
    REPLY.captures(text)?[1].parse().ok()
}

fn reason(text: &str) -> String {
    decoding::one_line(text).trim().chars().take(REASON_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::incoming;

    fn with_status(status: &str) -> DeliveryReport {
        let raw = format!(
            "From: MAILER-DAEMON@mx.acme.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\n{status}\r\n--b--\r\n"
        );
        read(&incoming::parse(raw.as_bytes()), false)
    }

    fn fate(fields: &str) -> Fate {
        let report =
            with_status(&format!("Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\n{fields}"));
        assert_eq!(report.recipients.len(), 1, "{fields}");
        report.recipients[0].fate
    }

    const BAD: Fate = Fate::Failed { address_is_bad: true };
    const LOST: Fate = Fate::Failed { address_is_bad: false };

    #[test]
    fn bn_03_what_a_status_means() {
        for (fields, expected) in [
            ("Action: failed\r\nStatus: 5.1.1\r\n", BAD),
            ("Action: Failed (no such user)\r\nStatus: 5.1.1 (bad destination mailbox address)\r\n", BAD),
            ("Action: failed\r\nStatus: 5.1.2\r\n", BAD),
            ("Action: failed\r\nStatus: 5.1.10\r\n", BAD),
            ("Action: failed\r\nStatus: 5.2.1\r\n", BAD),
            ("Action: failed\r\nStatus: 5.4.4\r\n", BAD),
            ("Status: 5.1.1\r\n", BAD),
            ("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 5.1.1 <a@b.example> nobody\r\n", BAD),
            ("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 No such user here\r\n", BAD),
            ("Action: failed\r\nDiagnostic-Code: smtp; 550 User unknown\r\n", BAD),
            (
                "Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 5.7.1 user unknown to our spam filter\r\n",
                LOST,
            ),
            ("Action: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\r\n", LOST),
            ("Action: failed\r\nStatus: 5.7.1\r\nDiagnostic-Code: smtp; 550 recipient unknown or blocked\r\n", LOST),
            ("Action: failed\r\nStatus: 5.1.8\r\nDiagnostic-Code: smtp; 550 5.1.8 sender domain\r\n", LOST),
            ("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 [10.5.1.1] says no\r\n", LOST),
            ("Action: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: smtp; 451 4.1.1 user unknown for now\r\n", LOST),
            ("Action: delayed\r\nStatus: 4.4.1\r\n", Fate::Delayed),
            ("Action: delayed\r\nStatus: 5.1.1\r\n", Fate::Delayed),
            ("Status: 4.2.2\r\n", Fate::Delayed),
            ("Action: delivered\r\nStatus: 2.0.0\r\n", Fate::Delivered),
            ("Action: relayed\r\nStatus: 2.0.0\r\n", Fate::Delivered),
            ("Action: expanded\r\nStatus: 2.1.5\r\n", Fate::Delivered),
            ("Status: nonsense\r\n", Fate::Delivered),
        ] {
            assert_eq!(fate(fields), expected, "{fields}");
        }
    }

    /// The codes of RFC 3463 and of the registry that it began (RFC 5248), with words that would speak for a bad address, and
    /// with words that would not.
    #[test]
    fn bn_03_which_of_all_codes_speak_against_the_address() {
        let fate_of = |subject: u16, detail: u16, words: &str| {
            fate(&format!("Action: failed\r\nStatus: 5.{subject}.{detail}\r\nDiagnostic-Code: smtp; 550 {words}\r\n"))
        };
        let details = [0..=0, 0..=10, 0..=4, 0..=6, 0..=7, 0..=6, 0..=14, 0..=30];
        for (subject, details) in (0_u16..).zip(details) {
            for detail in details {
                let always = matches!((subject, detail), (1, 1 | 2 | 3 | 6 | 10) | (2, 1) | (4, 4));
                let by_words = matches!((subject, detail), (0, _) | (1, 0 | 4) | (3 | 5, 0) | (4, _));
                let with_words = if always || by_words { BAD } else { LOST };
                assert_eq!(fate_of(subject, detail, "User unknown"), with_words, "5.{subject}.{detail}");
                let without = if always { BAD } else { LOST };
                assert_eq!(fate_of(subject, detail, "Refused"), without, "5.{subject}.{detail}");
            }
        }
    }

    #[test]
    fn bn_03_a_sender_who_is_refused_is_no_bad_recipient() {
        for words in [
            "5.1.8 <b+x@reply.desk.example>: Sender address rejected: Domain not found",
            "5.1.7 <b+x@reply.desk.example>: Sender address rejected: undeliverable address: user unknown",
            "5.1.0 Sender address does not exist",
            "Sender verify failed: unknown user",
            "Invalid sender domain: host not found",
            "Expéditeur inconnu : adresse introuvable",
            "Absenderadresse unbekannt: Adresse existiert nicht",
        ] {
            for status in ["Status: 5.0.0\r\n", ""] {
                let fields = format!("Action: failed\r\n{status}Diagnostic-Code: smtp; 550 {words}\r\n");
                assert_eq!(fate(&fields), LOST, "{fields}");
            }
        }
        let returned = "Action: failed\r\nDiagnostic-Code: smtp; 550 User unknown; returned to sender\r\n";
        assert_eq!(fate(returned), BAD);
    }

    #[test]
    fn bn_03_each_recipient_has_a_fate_of_its_own_and_every_name_of_it_counts() {
        let report = with_status(
            "Reporting-MTA: dns; mx\r\nArrival-Date: today\r\n\r\n\
             Original-Recipient: rfc822;Anne+2Btickets@Acme.example\r\nFinal-Recipient: RFC822; <anne@mx.acme.example>\r\n\
             Action: failed\r\nStatus: 5.1.1\r\n\r\n\r\n\
             Final-Recipient: bob@acme.example\r\nAction: delayed\r\nStatus: 4.0.0\r\n\r\nnot a field\r\n\r\n\
             Final-Recipient: LOCAL; carl\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        );
        let found: Vec<_> = report.recipients.iter().map(|one| (one.addresses.join(" "), one.fate)).collect();
        let anne = "anne@mx.acme.example anne+2btickets@acme.example anne+tickets@acme.example";
        assert_eq!(found, [(anne.to_owned(), BAD), ("bob@acme.example".to_owned(), Fate::Delayed)]);
    }

    proptest! {
        #[test]
        fn bn_03_nothing_in_a_status_part_is_too_odd_to_be_read(status in "(?s)[ -~\r\n\t\\x80-\\xff]{0,400}") {
            with_status(&status);
        }

        #[test]
        fn bn_03_no_wording_is_too_odd_to_be_read(text in "(?s).{0,400}", failed in ".{0,60}") {
            let mail = ParsedMail {
                text,
                headers: vec![("x-failed-recipients".to_owned(), failed)],
                ..ParsedMail::default()
            };
            read(&mail, true);
        }
    }
}
