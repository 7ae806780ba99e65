//! Reading a mail of the journal, outside of any transaction: its parts, whether a machine sent it, whether its sender's
//! domain stands by it; and keeping its files and the original in storage, without payment card numbers (A5). However
//! badly a mail can be read, something of it can (J-03).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::cards::{contains_number, mask_numbers};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::intake::House;
use crate::journal::{self, Checked, Delivery, Way};
use crate::mail::authentication::{self, Authentication};
use crate::mail::automatic::{self, Class, Traits};
use crate::mail::complaint::{self, Complaint};
use crate::mail::delivery_report::{self, DeliveryReport};
use crate::mail::incoming::{Attachment, Level, ParsedMail, parse_within};
use crate::mail::invitation::Invitation;
use crate::mail::limits::Cut;
use crate::mail::message_id::read_loop_mark;
use crate::mail::reply_address;
use crate::mail::sender_check::Arrived;
use crate::notifications::delivery::find_instance;
use crate::storage::Storage;
use crate::stumbling::{self, Stage};
use crate::teams::mailboxes;
use crate::tickets::attachments::{self, NewAttachment};

/// A mail as it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Without the bytes of its files, and without payment card numbers.
    pub mail: ParsedMail,
    pub files: Vec<NewAttachment>,
    /// Where the original is kept.
    pub original_hash: String,
    pub class: Class,
    /// A program made it, and passes on what a person wrote there.
    pub passes_on: bool,
    pub is_looping: bool,
    /// What it says of another mail, if it is a report.
    pub report: Option<DeliveryReport>,
    /// What it complains of, if it is a complaint.
    pub complaint: Option<Complaint>,
    pub authentication: Authentication,
    /// What was found by each way of finding that out here.
    pub checked: Checked,
    pub had_card_number: bool,
    pub took: Duration,
}

/// What of the installation matters for reading a mail.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Our mailboxes, in the form to compare by.
    pub mailboxes: Vec<String>,
    /// Our name in loop marks.
    pub instance: Option<String>,
}

impl Surroundings {
    /// Reads them as they are now.
    pub fn load(db: &mut DbConnection) -> Result<Surroundings> {
        Ok(Surroundings { mailboxes: mailboxes::canonical_addresses(db)?, instance: find_instance(db)? })
    }
}

/// Reads the mail. After a panic over it less of it is read: then its header only, then nothing (J-03, J-07).
/// Whether its sender's domain stands by it may have to be looked up, for some seconds.
pub fn read(
    house: &House,
    storage: &Storage,
    delivery: &Delivery,
    surroundings: &Surroundings,
    now: UtcTime,
) -> Result<Reading> {
    let began = Instant::now();
    stumbling::step(Stage::Reading, &delivery.handle);
    let raw = match (&delivery.raw, &delivery.original_hash) {
        (Some(raw), _) => Cow::Borrowed(raw.as_slice()),
        (None, Some(hash)) => Cow::Owned(storage.get(hash)?),
        (None, None) => return Err(Error::internal(format!("mail {} has no bytes", delivery.handle))),
    };
    let mut mail = match delivery.strikes {
        0 => parse_within(&raw, house.mail_bytes),
        1 => parse_within(&raw, 0),
        _ => ParsedMail::default(),
    };
    let class = class(house, delivery, surroundings, &mail);
    let passes_on = with_traits(house, delivery, surroundings, &mail, automatic::passes_on_words_of_a_person);
    let is_looping = with_traits(house, delivery, surroundings, &mail, automatic::is_looping);
    let report = with_traits(house, delivery, surroundings, &mail, |traits| {
        automatic::is_delivery_report(traits)
            .then(|| delivery_report::read(&mail, automatic::may_report_in_words(traits)))
    });
    let is_complaint = with_traits(house, delivery, surroundings, &mail, automatic::is_complaint);
    let complaint = is_complaint.then(|| complaint::read(&mail)).flatten();
    let ((authentication, checked), waited) = {
        let asked = Instant::now();
        (authentication_of(house, delivery, &mail, &raw, now), asked.elapsed())
    };
    let had_card_number = mask(&mut mail);
    let original = if had_card_number {
        without_card_numbers(&raw, &mail, house.mail_bytes)
    } else if mail.level == Level::Full {
        raw.into_owned()
    } else {
        // Nobody read what lies beyond the limits.
        mask_in_place(&raw)
    };
    let mut files = Vec::with_capacity(mail.attachments.len());
    for attachment in &mail.attachments {
        let name = attachment.file_name.as_str();
        files.push(attachments::store(storage, name, &attachment.bytes, attachment.content_id.as_deref())?);
    }
    if mail.level != Level::Full {
        files.push(attachments::store(storage, "original.eml", &original, None)?);
    }
    for attachment in &mut mail.attachments {
        attachment.bytes = Vec::new();
    }
    let original_hash = storage.put(&original)?;
    Ok(Reading {
        mail,
        files,
        original_hash,
        class,
        passes_on,
        is_looping,
        report,
        complaint,
        authentication,
        checked,
        had_card_number,
        // Waiting for others is no work.
        took: began.elapsed().saturating_sub(waited),
    })
}

/// A mail as it is kept: without payment card numbers, with the bytes of its files.
pub fn as_kept(raw: &[u8], mail_bytes: usize) -> ParsedMail {
    let mut mail = parse_within(raw, mail_bytes);
    mask(&mut mail);
    mail
}

fn class(house: &House, delivery: &Delivery, surroundings: &Surroundings, mail: &ParsedMail) -> Class {
    with_traits(house, delivery, surroundings, mail, automatic::classify)
}

fn with_traits<T>(
    house: &House,
    delivery: &Delivery,
    surroundings: &Surroundings,
    mail: &ParsedMail,
    judge: impl Fn(&Traits<'_>) -> T,
) -> T {
    let reply_domain = &house.letterhead.reply_domain;
    let is_ours =
        |address: &crate::mail::address::EmailAddress| house.letterhead.is_ours(address, &surroundings.mailboxes);
    let local_part = match &mail.from.identity {
        Some(identity) => Some(identity.local_part()),
        None => mail.from.shown_address.split_once('@').map(|(local_part, _)| local_part),
    };
    let local_part = local_part.or((!mail.from.shown_address.is_empty()).then_some(mail.from.shown_address.as_str()));
    let recipient = delivery.recipient.rsplit_once('@');
    let came_to_address_for = |purpose: &str| {
        recipient.is_some_and(|(local_part, domain)| {
            domain.eq_ignore_ascii_case(reply_domain)
                && local_part.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(purpose))
                && reply_address::resembles(local_part)
        })
    };
    let has_our_loop_mark = surroundings.instance.as_ref().is_some_and(|instance| {
        mail.loop_marks.iter().any(|mark| read_loop_mark(&house.letterhead.keys, instance, mark).is_some())
    });
    judge(&Traits {
        headers: &mail.headers,
        subject: &mail.subject,
        // What the way in did not tell is not the null sender, which is written with its brackets.
        return_path: (!delivery.envelope_from.is_empty()).then_some(delivery.envelope_from.as_str()),
        sender_local_part: local_part,
        is_from_our_mailbox: mail.from.identity.as_ref().is_some_and(is_ours),
        is_addressed_to_us: mail.to.iter().chain(&mail.cc).filter_map(|to| to.identity.as_ref()).any(is_ours),
        came_to_bounce_address: came_to_address_for("b+"),
        came_to_reply_address: came_to_address_for("r+"),
        is_calendar_answer: mail.is_calendar_answer,
        has_our_loop_mark,
    })
}

/// A mail is judged by what its domain publishes while it is this old. Later its key may have gone, as keys do that are changed
/// now and then, and a genuine mail would look forged.
const JUDGED_WITHIN: TimeDelta = TimeDelta::days(5);

/// The result of the trusted mail server in front of us, when the mail came through it and it says something; else what is
/// found here, as long as the bytes are there that came (AU-01).
fn authentication_of(
    house: &House,
    delivery: &Delivery,
    mail: &ParsedMail,
    raw: &[u8],
    now: UtcTime,
) -> (Authentication, Checked) {
    let not_asked = |authentication| (authentication, Checked::default());
    let Some(identity) = &mail.from.identity else { return not_asked(Authentication::None) };
    // Whose results stand in a mail of before, nobody can tell, and its keys are gone.
    if delivery.imported.is_some() {
        return not_asked(Authentication::None);
    }
    let told = match delivery.way {
        Way::Lmtp | Way::Pipe => {
            authentication::read(&mail.headers, house.trusted_authserv_id.as_deref(), identity.domain())
        }
        Way::Imap => {
            let account = house.imap.iter().find(|account| Some(&account.name) == delivery.imap_account.as_ref());
            account.and_then(|account| authentication::read_topmost(&mail.headers, &account.results, identity.domain()))
        }
        Way::Http => None,
    };
    if let Some(told) = told {
        return not_asked(told);
    }
    // A kept original may lack a card number, and no signature is about that.
    // Rows of a limited reach that an earlier version wrote bear the hash of the bytes alone.
    let is_hash = |only_queue| journal::hash_of(raw, only_queue) == delivery.raw_sha256;
    let is_as_it_came = delivery.raw.is_some() || is_hash(None) || is_hash(delivery.only_queue);
    let is_fresh = now.since(delivery.received_at) <= JUDGED_WITHIN;
    if !is_as_it_came || !is_fresh {
        // What was found when it came stays: a forged mail does not become a doubtful one by waiting.
        let before = &delivery.record.0;
        let found = Authentication::from_name(&before.authentication).unwrap_or(Authentication::None);
        return (found, before.checked.clone());
    }
    if !is_header_whole(mail) {
        return not_asked(Authentication::None);
    }
    let (envelope_from, client) = (delivery.envelope_from.as_str(), delivery.client());
    let arrived = Arrived { raw, headers: &mail.headers, from: identity, envelope_from, client: client.as_ref() };
    let judgement = house.senders.judge(&arrived, now);
    (judgement.authentication, judgement.checks.into())
}

/// Whether every field was read, so that none is there twice unseen.
fn is_header_whole(mail: &ParsedMail) -> bool {
    let is_of_header = |cut: &Cut| {
        matches!(cut, Cut::RawSize | Cut::HeaderBlock | Cut::HeaderFields | Cut::HeaderValue | Cut::Addresses)
    };
    mail.level == Level::Full && !mail.cuts.as_slice().iter().any(is_of_header)
}

/// Masks payment card numbers in everything that will be kept; gives whether there was one.
fn mask(mail: &mut ParsedMail) -> bool {
    let mut found = false;
    let mut mask_text = |text: &mut String| {
        if contains_number(text) {
            *text = mask_numbers(text).into_owned();
            found = true;
        }
    };
    mask_text(&mut mail.subject);
    mask_text(&mut mail.text);
    if let Some(html) = &mut mail.html {
        mask_text(html);
    }
    for text in mail.invitation.iter_mut().flat_map(Invitation::texts_mut) {
        mask_text(text);
    }
    for attachment in &mut mail.attachments {
        found |= mask_file(attachment);
    }
    if found {
        // What was in them was taken out, and may be in there in some encoding.
        mail.attachments.retain(|attachment| !attachment.was_opened);
    }
    found
}

/// Text files only: digits in other files mean nothing.
fn mask_file(attachment: &mut Attachment) -> bool {
    let Ok(text) = std::str::from_utf8(&attachment.bytes) else { return false };
    if !contains_number(text) {
        return false;
    }
    attachment.bytes = mask_numbers(text).into_owned().into_bytes();
    true
}

/// What is masked in one go; a mail may be as large as a pipe hands it over.
const PIECE: usize = 1 << 20;

/// The same bytes without the card numbers that stand there in clear. Each byte is looked at as one character, so that
/// whatever is no card number stays as it is, byte for byte.
fn mask_in_place(raw: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_of(rest));
        let characters: String = piece.iter().map(|byte| char::from(*byte)).collect();
        match mask_numbers(&characters) {
            Cow::Borrowed(_) => kept.extend_from_slice(piece),
            Cow::Owned(masked) => kept.extend(masked.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'*'))),
        }
        rest = after;
    }
    kept
}

/// How many bytes of `rest` are the next piece: up to the end of a line that does not end with a digit, if there is one, so
/// that no number is cut in two.
fn piece_of(rest: &[u8]) -> usize {
    if rest.len() <= PIECE {
        return rest.len();
    }
    let is_end =
        |at: &usize| rest[*at] == b'\n' && !rest[..*at].trim_ascii_end().last().is_some_and(u8::is_ascii_digit);
    (PIECE / 2..PIECE).rev().find(is_end).map_or(PIECE, |at| at + 1)
}

/// The original without card numbers: masked in place where they stand in clear, and where they hide in an encoding
/// reduced to its header and the masked text.
fn without_card_numbers(raw: &[u8], masked: &ParsedMail, mail_bytes: usize) -> Vec<u8> {
    let in_place = mask_in_place(raw);
    if !mask(&mut parse_within(&in_place, mail_bytes)) {
        return in_place;
    }
    let header_end = in_place
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .or_else(|| in_place.windows(4).position(|four| four == b"\r\n\r\n"))
        // What has not the form of a mail has none.
        .filter(|_| masked.level != Level::Stub)
        .unwrap_or(0);
    let mut reduced = Vec::new();
    let mut is_dropped = false;
    for line in in_place[..header_end].split_inclusive(|byte| *byte == b'\n') {
        let is_folded = line.first().is_some_and(u8::is_ascii_whitespace);
        if !is_folded {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
            is_dropped = name.starts_with("content-") || name == "mime-version" || name == "subject";
        }
        if !is_dropped {
            reduced.extend_from_slice(line.trim_ascii_end());
            reduced.extend_from_slice(b"\r\n");
        }
    }
    reduced.extend_from_slice(b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
    reduced.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
    reduced.extend_from_slice(masked.subject.as_bytes());
    reduced.extend_from_slice(b"\r\n\r\n");
    reduced.extend_from_slice(masked.text.as_bytes());
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "4111 1111 1111 1111";

    fn kept(raw: &str) -> String {
        let mut mail = parse_within(raw.as_bytes(), 1 << 20);
        assert!(mask(&mut mail));
        String::from_utf8(without_card_numbers(raw.as_bytes(), &mail, 1 << 20)).unwrap()
    }

    #[test]
    fn a5_the_kept_original_holds_no_card_number_in_clear() {
        let raw = format!("From: a@b.example\r\nSubject: Payment\r\n\r\nMy card is {CARD}, thanks é.\r\n");
        let kept = kept(&raw);
        assert!(!kept.contains("4111 1111"));
        assert!(kept.ends_with("1111, thanks é.\r\n"), "{kept}");
    }

    #[test]
    fn a5_a_card_number_is_masked_wherever_it_stands_in_a_mail_too_large_to_be_read() {
        let line = "What was there before, in some words.\r\n";
        for before in [0, PIECE / line.len() - 1, PIECE / line.len(), 2 * PIECE / line.len()] {
            let raw =
                line.repeat(before) + &format!("My card is {CARD},\r\nthanks.\r\n") + &line.repeat(PIECE / line.len());
            let kept = mask_in_place(raw.as_bytes());
            assert_eq!(kept.len(), raw.len());
            let differing = kept.iter().zip(raw.as_bytes()).filter(|(kept, raw)| kept != raw).count();
            assert_eq!(differing, 12);
            assert!(!String::from_utf8(kept).unwrap().contains(CARD));
        }
    }

    #[test]
    fn a5_what_is_kept_of_a_message_in_utf_16_or_utf_7_holds_no_card_number() {
        let text = format!("\u{feff}From: a@b.example\n\u{a0a}\nMy card is {CARD}, thanks.");
        let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let in_base64 = CARD.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let utf_7 = format!(
            "From: a@b.example\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nMy card is +{}-, thanks.",
            data_encoding::BASE64_NOPAD.encode(&in_base64)
        );
        for raw in [utf_16, utf_7.into_bytes()] {
            let mut mail = parse_within(&raw, 1 << 20);
            assert!(mask(&mut mail));
            let kept = without_card_numbers(&raw, &mail, 1 << 20);
            let text = String::from_utf8(kept.clone()).unwrap();
            assert!(text.ends_with("1111, thanks."), "{text:?}");
            assert!(!mask(&mut parse_within(&kept, 1 << 20)));
        }
    }

    #[test]
    fn a5_the_kept_original_holds_no_card_number_in_an_encoding() {
        let body = data_encoding::BASE64.encode(format!("My card is {CARD}, thanks.").as_bytes());
        let raw = format!(
            "From: a@b.example\r\nSubject: Payment\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
        );
        let kept = kept(&raw);
        assert!(!kept.contains(&body));
        assert!(kept.starts_with("From: a@b.example\r\n") && kept.ends_with("1111, thanks."), "{kept}");
        assert!(!mask(&mut parse_within(kept.as_bytes(), 1 << 20)));
    }
}
