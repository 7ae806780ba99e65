//! Complaints: a mail provider tells that somebody reported a mail of ours as junk (ARF, RFC 5965). What it names the mail by is
//! read here; whether to believe it is decided in `intake`.

use super::address::EmailAddress;
use super::decoding;
use super::delivery_report::message_id;
use super::incoming::ParsedMail;
use super::limits::Cuts;
use super::structure;

/// A complaint as read, which proves nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaint {
    /// Whether somebody reported the mail (RFC 5965, 7.3). Reports of other kinds tell of viruses or failed checks, of which
    /// nobody complained, or take a complaint back.
    pub is_of_somebody: bool,
    /// The Message-ID of the mail, with its angle brackets.
    pub mail_id: Option<String>,
    /// The mail's envelope sender, as the report or the mail in it has it.
    pub senders: Vec<EmailAddress>,
}

/// Kinds of feedback that a person gave.
const BY_PEOPLE: [&str; 4] = ["abuse", "fraud", "opt-out", "opt-out-list"];

/// Reads the parts of a complaint; nothing, if none of them is one.
pub fn read(mail: &ParsedMail) -> Option<Complaint> {
    let mut complaint = Complaint::default();
    let mut is_one = false;
    for part in &mail.attachments {
        let (is_report, sender) = match part.media_type.as_str() {
            "message/feedback-report" => (true, "original-mail-from"),
            "message/rfc822" | "message/global" | "text/rfc822-headers" => (false, "return-path"),
            _ => continue,
        };
        is_one |= is_report;
        let start = part.bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(part.bytes.len());
        let (fields, _) = structure::header(&part.bytes[start..], &mut Cuts::default(), |_| false);
        let value = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| decoding::header(field.value));
        let address = value(sender).and_then(|value| EmailAddress::parse(value.trim().trim_matches(['<', '>'])));
        complaint.senders.extend(address);
        if is_report {
            let kind = value("feedback-type").unwrap_or_default();
            complaint.is_of_somebody = BY_PEOPLE.iter().any(|known| kind.trim().eq_ignore_ascii_case(known));
        } else if complaint.mail_id.is_none() {
            complaint.mail_id = message_id(&part.bytes);
        }
    }
    is_one.then_some(complaint)
}
