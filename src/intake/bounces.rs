//! Reports that a mail of ours did not arrive. One is believed when it came to the address that we signed for bounces of that
//! conversation, or names the mail by a Message-ID that we signed (BN-02). A Message-ID is known to whoever was mailed in the
//! same conversation, so it marks that one mail and no more; only the address, which stands in no mail of anybody else, speaks
//! against the reader's own. What anybody could have written changes nothing, and waits for somebody to look at it.

use crate::cards::mask_numbers;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::Result;
use crate::intake::evidence::{self, Gathered};
use crate::intake::{House, Reading};
use crate::journal::Delivery;
use crate::mail::address::EmailAddress;
use crate::mail::delivery_report::{DeliveryReport, Fate, RecipientReport};
use crate::mail::message_id;
use crate::notifications::delivery;
use crate::outbox::bouncing::{self, Departed};
use crate::people::suppression;
use crate::tickets::ticket::Ticket;

/// What a mail told of another.
pub(super) enum Heard {
    /// It is no report.
    Nothing,
    /// It reports something, and proves nothing.
    Suspicious,
    /// It is about a mail of this ticket. What followed is in the name.
    Proven { ticket: Box<Ticket>, decision: &'static str },
}

/// What a report proved itself by.
struct Proof {
    ticket: Ticket,
    /// The mail it is about, if there is no doubt which that is.
    mail: Option<Departed>,
}

/// Hears what the mail reports, and notes what did not arrive.
pub(super) fn hear(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    gathered: &Gathered,
    now: UtcTime,
) -> Result<Heard> {
    let Some(report) = reading.report.as_ref().filter(|report| report.claims_anything()) else {
        return Ok(Heard::Nothing);
    };
    let proof = prove(db, house, delivery, gathered, report)?.filter(|proof| delivery.reaches(proof.ticket.queue_id));
    let Some(proof) = proof else { return Ok(Heard::Suspicious) };
    let told = proof.mail.as_ref().and_then(|mail| Some((mail, of_recipient(report, &mail.recipient)?)));
    let decision = match told {
        Some((mail, told @ RecipientReport { fate: Fate::Failed { address_is_bad }, reason, .. })) => {
            let is_news = delivery::bounced(db, mail, &mask_numbers(reason), now)?;
            let came_back = gathered.is_bounce && mail.envelope_from.eq_ignore_ascii_case(&delivery.recipient);
            // Where the mail was passed on from there, nobody may be elsewhere.
            let is_it = told.addresses.first().is_some_and(|address| canonical(address) == canonical(&mail.recipient));
            if is_news
                && *address_is_bad
                && came_back
                && is_it
                && let Some(address) = EmailAddress::parse(&mail.recipient)
            {
                suppression::note_bounce(db, &address, now)?;
            }
            "bounce"
        }
        Some((_, RecipientReport { fate: Fate::Delayed, .. })) => "delay",
        _ => "delivery_report",
    };
    Ok(Heard::Proven { ticket: Box::new(proof.ticket), decision })
}

/// What the report proves itself by. Where the address and the Message-ID are of two conversations, or the Message-ID has
/// the look of ours and is not, somebody put it together.
fn prove(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    gathered: &Gathered,
    report: &DeliveryReport,
) -> Result<Option<Proof>> {
    let reply_domain = &house.letterhead.reply_domain;
    let by_address = gathered.ticket.as_ref().filter(|_| gathered.is_bounce);
    let mut by_id = None;
    for id in report.mail_ids.iter().filter_map(|id| message_id::parse(id, reply_domain)) {
        let Some((_, ticket)) = evidence::find_ours(db, house, &id)? else { return Ok(None) };
        by_id = by_id.or(Some((id.as_minted(reply_domain), ticket)));
    }
    match (by_address, by_id) {
        (Some(ticket), Some((_, other))) if ticket.id != other.id => Ok(None),
        (_, Some((mail_id, ticket))) => {
            let mail = bouncing::by_mail_id(db, &mail_id)?.into_iter().next();
            Ok(Some(Proof { ticket, mail }))
        }
        (Some(ticket), None) => {
            // Without its Message-ID the mail is known where it is the only one that could come back there.
            let mut mails = bouncing::by_bounce_address(db, ticket.id, &delivery.recipient.to_ascii_lowercase())?;
            let mail = if mails.len() == 1 { mails.pop() } else { None };
            Ok(Some(Proof { ticket: ticket.clone(), mail }))
        }
        (None, None) => Ok(None),
    }
}

/// What the report says of `recipient`: a mail that was passed on may have failed elsewhere.
fn of_recipient<'a>(report: &'a DeliveryReport, recipient: &str) -> Option<&'a RecipientReport> {
    let recipient = canonical(recipient);
    report.recipients.iter().find(|told| told.addresses.iter().any(|address| canonical(address) == recipient))
}

fn canonical(address: &str) -> String {
    match EmailAddress::parse(address) {
        Some(address) => address.canonical().to_owned(),
        None => address.to_lowercase(),
    }
}
