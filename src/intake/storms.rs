//! What ends a storm of machines that pass for people and take their time (LP-07). Most storms live on acknowledgements, so
//! three kinds of mail get none: what a desk wrote (its marker stands in it, unquoted), what answers a mail of ours and lost
//! all that says so (our link to a ticket of its sender stands in it), and a request that its sender makes for the third time
//! within a day in the very same words. That is all: each such mail is kept, shown and told to agents like any other. None of
//! it is evidence of where a mail belongs (TH-04), save that the third of the same requests joins the latest of them.
//!
//! Words are compared whole, subject and text, in their order and with every number and address in them: a program that
//! reports one thing after another in one form is not taken for one that repeats itself. Twice in the same words may be somebody
//! who was not heard; so may the third time, but nothing is taken from them then. They have two acknowledgements, and what
//! they say stands beside what they said, where agents look for it and are mailed of it. So it needs no guess from the rhythm of
//! mails whether "Oui." is a person's. What keeps machines in one ticket from mailing each other for ever is counted in
//! `notifications::recipients`, too much mail at once in `floods`.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::tickets;
use crate::db::types::{MailboxId, PersonId};
use crate::error::Result;
use crate::html::to_text;
use crate::intake::{Reading, addressing};
use crate::mail::address::EmailAddress;
use crate::mail::incoming::ParsedMail;
use crate::mail::{reply_address, reply_text};
use crate::notifications::Letterhead;
use crate::outbox::{Kind, bouncing};
use crate::people::{staff, suppression};
use crate::tickets::links::{self, Link};
use crate::tickets::messages::{self, Channel};
use crate::tickets::participants;
use crate::tickets::status::Status;
use crate::tickets::ticket::Ticket;

/// For how long a request counts as made before.
const BEFORE: TimeDelta = TimeDelta::days(1);
/// Requests in the same words that are tickets of their own.
const OF_THEIR_OWN: usize = 2;
/// The latest tickets of a sender that are looked at.
const LOOKED_AT: i64 = 30;
/// Links in a mail that are looked up.
const LINKS: usize = 5;

/// Whether a mail that names no ticket is an answer all the same, by `sender` to us or from another desk, and no request for
/// a machine to answer.
pub(super) fn is_an_answer(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    reading: &Reading,
    sender: PersonId,
    now: UtcTime,
) -> Result<bool> {
    let text = &reading.mail.text;
    if reply_text::has_marker(text) {
        return Ok(true);
    }
    let link = letterhead.link("/l/ticket/");
    for (at, _) in text.match_indices(&link).take(LINKS) {
        let rest = &text[at + link.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
        let of_sender = match links::find(db, &rest[..end], now)? {
            Some(Link::Open(Actor::LinkHolder { person, .. }) | Link::Expired { person, .. }) => person == sender,
            _ => false,
        };
        if of_sender {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The ticket which the mail repeats, when `sender` made this very request twice within a day: the latest of them, while it
/// waits for its first answer and nobody else takes part in it. Files are news, whatever is written beside them.
pub(super) fn repeated_request(
    db: &mut DbConnection,
    reading: &Reading,
    sender: PersonId,
    mailbox: MailboxId,
    now: UtcTime,
) -> Result<Option<Ticket>> {
    let mail = &reading.mail;
    if !reading.files.is_empty() || mail.text.trim().is_empty() {
        return Ok(None);
    }
    let recent: Vec<Ticket> = access::visible_to(&Actor::System)
        .filter(tickets::requester_id.eq(sender))
        .filter(tickets::mailbox_id.eq(mailbox))
        .filter(tickets::channel.eq(Channel::Email))
        .filter(tickets::last_message_at.gt(now.minus(BEFORE)))
        .order(tickets::last_message_at.desc())
        .limit(LOOKED_AT)
        .load(db)?;
    let mut same: Vec<Ticket> = Vec::new();
    for ticket in recent {
        let is_recent = ticket.created_at > now.minus(BEFORE) && is_the_same(&ticket.subject, &mail.subject);
        if is_recent && begins_with(db, &ticket, mail)? {
            same.push(ticket);
        }
    }
    let is_third = same.len() >= OF_THEIR_OWN;
    let Some(latest) = same.into_iter().max_by_key(|ticket| ticket.id.0).filter(|_| is_third) else { return Ok(None) };
    let waits = latest.status == Status::WaitingForUs && latest.first_answered_at.is_none();
    // What is put there is read by whoever takes part (TH-06).
    let is_theirs_alone = participants::active(db, &latest)?.len() == 1;
    Ok(Some(latest).filter(|_| waits && is_theirs_alone))
}

/// Whether the ticket was opened with the words of this mail. What a mail says may stand in its HTML alone, beside a text
/// that only says so.
fn begins_with(db: &mut DbConnection, ticket: &Ticket, mail: &ParsedMail) -> Result<bool> {
    let first = messages::from_the_first(db, ticket, messages::Reading::Everything, None, 1)?;
    let Some(first) = first.first().filter(|first| is_the_same(&first.body_text, &mail.text)) else { return Ok(false) };
    let html = messages::html_of(db, first.id)?.unwrap_or_default();
    Ok(is_the_same(&to_text(&html), &to_text(mail.html.as_deref().unwrap_or_default())))
}

/// A mail of ours to somebody of the staff came back, with its own id and our mark: their mailbox forwards it to one of ours, and
/// each would bring forth the next (LP-08). Customers come to know ids, from `References`, and our mark, from acknowledgements; the
/// address for this agent's answers, which must stand in it too, nobody knows but who had the mail.
pub(super) fn note_loop_of_staff(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    reading: &Reading,
    now: UtcTime,
) -> Result<()> {
    let Some(id) = reading.mail.message_id.as_deref().filter(|_| reading.is_looping) else { return Ok(()) };
    let answers_to = reading.mail.reply_to.first().and_then(|named| named.identity.as_ref());
    let Some(address) = answers_to.filter(|address| addressing::is_at_reply_domain(letterhead, address)) else {
        return Ok(());
    };
    let Some(token) = reply_address::parse(address.local_part()) else { return Ok(()) };
    let Some((ticket, _)) = addressing::find_genuine(db, letterhead, &token)? else { return Ok(()) };
    let Some(holder) = addressing::holder(db, &ticket, &token)? else { return Ok(()) };
    for departed in bouncing::by_mail_id(db, id)? {
        if departed.kind == Kind::Notification
            && let Some(person) = departed.person.filter(|person| *person == holder.person_id)
            && staff::is_staff(db, person)?
            && let Some(address) = EmailAddress::parse(&departed.recipient)
        {
            suppression::note_loop(db, &address, now)?;
        }
    }
    Ok(())
}

/// The same words in the same order; only the white space between them may differ, for mail servers fold lines.
fn is_the_same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}
