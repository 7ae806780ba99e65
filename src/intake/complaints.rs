//! Somebody reported a mail of ours as junk, as their provider tells (BN-04). Proven like a bounce, by the address for bounces
//! or the Message-ID that we signed, it ends the news that are mailed to them; answers to what they ask still go.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::intake::bounces::Heard;
use crate::intake::{House, Reading, addressing, evidence};
use crate::mail::complaint::Complaint;
use crate::mail::message_id;
use crate::mail::reply_address::{self, AddressPurpose};
use crate::outbox::bouncing;
use crate::people::mail_wishes;
use crate::tickets::ticket::Ticket;

/// Hears what the mail complains of.
pub(super) fn hear(db: &mut DbConnection, house: &House, reading: &Reading, now: UtcTime) -> Result<Heard> {
    let Some(complaint) = &reading.complaint else { return Ok(Heard::Nothing) };
    let Some((ticket, person)) = prove(db, house, complaint)? else { return Ok(Heard::Suspicious) };
    if !complaint.is_withdrawn
        && let Some(person) = person
    {
        mail_wishes::complained(db, person, now)?;
    }
    Ok(Heard::Proven { ticket: Box::new(ticket), decision: "complaint" })
}

/// The ticket that the mail belonged to, and who got it.
fn prove(db: &mut DbConnection, house: &House, complaint: &Complaint) -> Result<Option<(Ticket, Option<PersonId>)>> {
    let reply_domain = &house.letterhead.reply_domain;
    if let Some(id) = complaint.mail_id.as_deref().and_then(|id| message_id::parse(id, reply_domain)) {
        let Some((_, ticket)) = evidence::find_ours(db, house, &id)? else { return Ok(None) };
        let mail = bouncing::by_mail_id(db, &id.as_minted(reply_domain))?.into_iter().next();
        return Ok(Some((ticket, mail.and_then(|mail| mail.person))));
    }
    for sender in &complaint.senders {
        if !addressing::is_at_reply_domain(&house.letterhead, sender) {
            continue;
        }
        let token = reply_address::parse(sender.local_part());
        let Some(token) = token.filter(|token| token.purpose == AddressPurpose::Bounce) else { continue };
        if let Some((ticket, _)) = addressing::find_genuine(db, &house.letterhead, &token)?
            && let Some(holder) = addressing::holder(db, &ticket, &token)?
        {
            return Ok(Some((ticket, Some(holder.person_id))));
        }
    }
    Ok(None)
}
