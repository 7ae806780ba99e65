//! Messages as pages show them, to agents and to customers alike: safe HTML, the quoted part apart, files as links.

use std::collections::HashMap;

use crate::clock::UtcTime;
use crate::db::types::{JournalId, MessageId};
use crate::html::from_text;
use crate::i18n::Texts;
use crate::journal::Record;
use crate::mail::address::visible;
use crate::mail::threading::Rule;
use crate::tickets::attachments::Attachment;
use crate::tickets::contacts::Contact;
use crate::tickets::messages::{Channel, Message, MessageKind, Remark};
use crate::web::meeting_card::{MeetingCard, meeting_card};
use crate::web::name_marks::name_marks;
use crate::web::page::AttachmentLink;

/// A message on a page.
#[derive(Clone, Debug)]
pub struct MessageView {
    pub handle: String,
    /// `customer`, `agent` or `note`.
    pub kind: &'static str,
    pub author: String,
    /// The real address beside the name (I-04); empty when it would say nothing new.
    pub address: String,
    /// The keys of what staff should beware of: what deceives the eye in the name or the address (I-04), and answers asked for
    /// elsewhere (I-05).
    pub warnings: Vec<&'static str>,
    pub channel: String,
    pub at: UtcTime,
    /// Ours, or made from text: goes into the page as it is.
    pub html: String,
    /// The quoted part, folded; empty when nothing was quoted.
    pub quoted: String,
    pub files: Vec<AttachmentLink>,
    /// Where the HTML form of a mail is shown.
    pub frame: Option<String>,
    /// The key of what staff are told of it.
    pub remark: Option<&'static str>,
    /// Whether an agent has to say whether it is the customer's.
    pub in_doubt: bool,
    /// The key of whether the sender's domain stands by the mail (AU-06).
    pub authentication: Option<&'static str>,
    /// The keys of what else staff are told of the mail.
    pub marks: Vec<&'static str>,
    /// The meeting that the mail is about.
    pub meeting: Option<MeetingCard>,
    /// Whether the mail it came in can be looked at.
    pub has_original: bool,
    /// What was noted of a call, a fax or a letter.
    pub contact: Option<ContactLine>,
}

/// What was noted of a call, a fax or a letter, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactLine {
    pub icon: &'static str,
    pub text: String,
}

/// What goes with the messages of a ticket.
#[derive(Debug, Default)]
pub struct Around {
    pub rendered: HashMap<MessageId, String>,
    pub attachments: Vec<Attachment>,
    pub contacts: Vec<Contact>,
    /// How each mail was understood; empty for customers.
    pub records: HashMap<JournalId, Record>,
}

/// The messages for a reader; `base` stands before the addresses of frames and files (`/l/…` for who holds a link).
pub fn views(t: &Texts, messages: &[Message], around: &Around, base: &str, for_staff: bool) -> Vec<MessageView> {
    messages.iter().map(|message| view(t, message, around, base, for_staff)).collect()
}

fn view(t: &Texts, message: &Message, around: &Around, base: &str, for_staff: bool) -> MessageView {
    let author = visible(if message.from_name.is_empty() { &message.from_address } else { &message.from_name });
    let address = visible(&message.from_address);
    let is_mail = message.channel == Channel::Email;
    let files = around.attachments.iter().filter(|file| file.message_id == message.id);
    let remark = message.remark.filter(|_| for_staff).map(remark_key);
    let record = message.ingest_id.filter(|_| for_staff).and_then(|ingest| around.records.get(&ingest));
    MessageView {
        handle: message.handle.clone(),
        kind: message.kind.as_str(),
        address: if address == author || message.kind != MessageKind::Customer { String::new() } else { address },
        author,
        warnings: if for_staff && message.kind == MessageKind::Customer {
            let of_name = name_marks(&message.from_name, &message.from_address);
            of_name.into_iter().chain(record.into_iter().flat_map(answers_elsewhere)).collect()
        } else {
            Vec::new()
        },
        channel: t.say(channel_key(message.channel)),
        at: message.created_at,
        html: around.rendered.get(&message.id).cloned().unwrap_or_else(|| from_text(&message.body_text)),
        quoted: if message.quoted_text.trim().is_empty() { String::new() } else { from_text(&message.quoted_text) },
        files: files.map(|file| link(t, file, base)).collect(),
        frame: (is_mail && message.has_html).then(|| format!("{base}/messages/{}/frame", message.handle)),
        remark,
        in_doubt: for_staff
            && message.kind == MessageKind::Customer
            && matches!(message.remark, Some(Remark::DifferentSender | Remark::NotAuthenticated)),
        authentication: message
            .ingest_id
            .filter(|_| for_staff && message.kind == MessageKind::Customer)
            .and_then(|ingest| around.records.get(&ingest))
            .and_then(authentication_key),
        marks: record.map(marks).unwrap_or_default(),
        meeting: message.invitation.as_ref().map(|invitation| meeting_card(t, &invitation.0)),
        has_original: for_staff && message.ingest_id.is_some(),
        contact: around
            .contacts
            .iter()
            .find(|contact| for_staff && contact.message_id == message.id)
            .map(|contact| contact_line(t, message.channel, contact)),
    }
}

fn link(t: &Texts, file: &Attachment, base: &str) -> AttachmentLink {
    AttachmentLink {
        name: visible(&file.file_name),
        href: format!("{base}/attachments/{}", file.handle),
        size: t.size(file.size),
        note: None,
    }
}

/// When and how somebody reached us, as a line beside what they said (B1).
pub fn contact_line(t: &Texts, channel: Channel, contact: &Contact) -> ContactLine {
    let mut parts = vec![t.with("contact-received", "at", t.date_time(&contact.received_at))];
    if channel == Channel::Telephone {
        parts.push(match &contact.telephone {
            Some(number) => t.with("contact-number", "number", number),
            None => t.say("contact-withheld"),
        });
        if let Some(minutes) = contact.duration_minutes {
            parts.push(t.count("contact-duration", minutes));
        }
    } else if let Some(number) = &contact.telephone {
        parts.push(t.with("contact-number", "number", number));
    }
    if !contact.reached.is_empty() {
        parts.push(t.with("contact-reached", "name", &contact.reached));
    }
    let icon = match channel {
        Channel::Telephone => "phone",
        Channel::Fax => "fax",
        _ => "letter",
    };
    ContactLine { icon, text: parts.join(" · ") }
}

/// What is said of the sender; nothing of a mail about which nothing was recorded.
fn authentication_key(record: &Record) -> Option<&'static str> {
    match record.authentication.as_str() {
        "none" if record.rule == Rule::Unusual.name() => Some("sender-authentication-unusual"),
        "pass" => Some("sender-authentication-pass"),
        "none" => Some("sender-authentication-none"),
        "fail" => Some("sender-authentication-fail"),
        _ => None,
    }
}

/// What is told of a mail that asks for answers where its sender is not (I-05).
fn answers_elsewhere(record: &Record) -> Vec<&'static str> {
    let key = |flag: &String| match flag.as_str() {
        "reply_to_elsewhere" => Some("mail-mark-reply-to"),
        "reply_to_staff" => Some("mail-mark-reply-to-staff"),
        _ => None,
    };
    record.flags.iter().filter_map(key).collect()
}

/// What is shown beside a mail of how it was understood.
fn marks(record: &Record) -> Vec<&'static str> {
    let key = |flag: &String| match flag.as_str() {
        "adopted" => Some("mail-mark-adopted"),
        "imported" => Some("mail-mark-imported"),
        "signed" => Some("mail-mark-signed"),
        "passed_on" => Some("mail-mark-passed-on"),
        "same_id_other_content" => Some("mail-mark-same-id"),
        _ => None,
    };
    let mut marks: Vec<&'static str> = record.flags.iter().filter_map(key).collect();
    if !record.cut.is_empty() {
        marks.push("mail-mark-cut");
    }
    marks
}

/// The key of a channel's name.
pub fn channel_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Web => "channel-web",
        Channel::Email => "channel-email",
        Channel::Telephone => "channel-telephone",
        Channel::Fax => "channel-fax",
        Channel::Letter => "channel-letter",
        Channel::Api => "channel-api",
    }
}

fn remark_key(remark: Remark) -> &'static str {
    match remark {
        Remark::DifferentSender => "remark-different-sender",
        Remark::NotAuthenticated => "remark-not-authenticated",
        Remark::Automatic => "remark-automatic",
        Remark::Accepted => "remark-accepted",
        Remark::Rejected => "remark-rejected",
    }
}
