//! Somebody reported a mail of ours as junk, as their provider tells (BN-04). It ends the news that are mailed to them where it
//! names the address for bounces of that very mail, which stands in no mail of anybody else; answers to what they ask still
//! go. A Message-ID that we signed shows that it is about a mail of ours, and whoever was mailed in the same conversation may
//! know it. Staff are silenced by nobody.

use crate::access;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::intake::bounces::Heard;
use crate::intake::{House, Reading, addressing, evidence};
use crate::journal::Delivery;
use crate::mail::complaint::Complaint;
use crate::mail::message_id;
use crate::mail::reply_address::{self, AddressPurpose};
use crate::people::mail_wishes;
use crate::tickets::ticket::Ticket;

/// Hears what the mail complains of.
pub(super) fn hear(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    now: UtcTime,
) -> Result<Heard> {
    let Some(complaint) = &reading.complaint else { return Ok(Heard::Nothing) };
    let proof = prove(db, house, complaint)?.filter(|(ticket, _)| delivery.reaches(ticket.queue_id));
    let Some((ticket, person)) = proof else { return Ok(Heard::Suspicious) };
    if complaint.is_of_somebody
        && let Some(person) = person
        && !access::actor_of(db, person)?.is_staff()
    {
        mail_wishes::complained(db, person, now)?;
    }
    Ok(Heard::Proven { ticket: Box::new(ticket), decision: "complaint" })
}

/// The ticket that the mail belonged to, and who got it, if it names the address for bounces of theirs. Where that and the
/// Message-ID are of two conversations, or the Message-ID has the look of ours and is not, somebody put it together.
fn prove(db: &mut DbConnection, house: &House, complaint: &Complaint) -> Result<Option<(Ticket, Option<PersonId>)>> {
    let reply_domain = &house.letterhead.reply_domain;
    let mut by_id = None;
    if let Some(id) = complaint.mail_id.as_deref().and_then(|id| message_id::parse(id, reply_domain)) {
        let Some((_, ticket)) = evidence::find_ours(db, house, &id)? else { return Ok(None) };
        by_id = Some(ticket);
    }
    let mut by_address = None;
    for sender in &complaint.senders {
        if !addressing::is_at_reply_domain(&house.letterhead, sender) {
            continue;
        }
        let token = reply_address::parse(sender.local_part());
        let Some(token) = token.filter(|token| token.purpose == AddressPurpose::Bounce) else { continue };
        if let Some((ticket, _)) = addressing::find_genuine(db, &house.letterhead, &token)?
            && let Some(holder) = addressing::holder(db, &ticket, &token)?
        {
            by_address = Some((ticket, holder.person_id));
            break;
        }
    }
    Ok(match (by_address, by_id) {
        (Some((ticket, _)), Some(other)) if ticket.id != other.id => None,
        (Some((ticket, person)), _) => Some((ticket, Some(person))),
        (None, Some(ticket)) => Some((ticket, None)),
        (None, None) => None,
    })
}
