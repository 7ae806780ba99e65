//! Whether a mail that waited in the outbox may still go to whom it was written for. It may have waited for days while the
//! relay was down, and holds the text; meanwhile its reader may have lost the ticket, left the conversation, given up the
//! address or wished for no more mail, or mails there came back. Mails about somebody's own account are theirs whatever
//! happens to tickets, and what they open is looked at when it is opened.

use crate::access;
use crate::consent::grants;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::notifications::{digest, recipients};
use crate::outbox::folding;
use crate::outbox::{Kind, Letter, Sending};
use crate::people::addresses::{self, Address};
use crate::people::person::{self, PersonState};
use crate::tickets::messages::{self, Visibility};
use crate::tickets::participants;
use crate::tickets::ticket::{self, Ticket};

/// How sending the mail ends before it began, unless it may go out as it was written. News that are outdated are looked at
/// once more for a digest; anything else that cannot reach who should have it is a failure, which somebody sees.
pub fn verdict(db: &mut DbConnection, letter: &Letter) -> Result<Option<Sending>> {
    let Some(reader) = letter.person else { return Ok(None) };
    if let Some(reader) = folding::reader_of_digest(letter) {
        return Ok(digest::is_outdated(db, letter, reader)?.then_some(Sending::Outdated));
    }
    let is_for = match (letter.ticket, letter.organisation) {
        (Some(ticket), _) => {
            let ticket = ticket::by_id(db, ticket)?;
            is_for(db, letter, &ticket, reader)?
        }
        (None, Some(organisation)) => has_a_part_in(db, organisation, reader)?,
        (None, None) => return Ok(None),
    };
    let person = person::by_id(db, reader)?;
    let wants_it = person.mailed_about_tickets || letter.kind != Kind::Notification;
    if !is_for || !wants_it {
        return Ok(Some(Sending::Outdated));
    }
    let address = address_of(db, reader, &letter.recipient)?;
    let obstacle = match address {
        _ if person.state != PersonState::Active => "its reader's account is disabled",
        None => "its reader gave up this address",
        Some(address) if address.suppressed_at.is_some() => "mails to this address came back, so none is sent there",
        Some(_) => return Ok(None),
    };
    Ok(Some(match letter.kind {
        Kind::Notification => Sending::Outdated,
        _ => Sending::Refused(obstacle.to_owned()),
    }))
}

/// Whether what the mail says of the ticket is for `reader` now.
fn is_for(db: &mut DbConnection, letter: &Letter, ticket: &Ticket, reader: PersonId) -> Result<bool> {
    if letter.kind == Kind::Notification && recipients::may_work_on(db, reader, ticket)? {
        return Ok(true);
    }
    let part = participants::find(db, ticket.id, reader)?.filter(participants::Participant::takes_part);
    match letter.message {
        Some(message) => {
            let Some(part) = part else { return Ok(false) };
            // Who was let in later, or again, reads from then on (TH-07).
            let reads = |message: messages::Message| {
                let is_in_time = reader == ticket.requester_id || message.created_at >= part.joined_at;
                message.visibility == Visibility::Everyone && is_in_time
            };
            Ok(messages::find_by_id(db, message)?.is_some_and(reads))
        }
        // About the ticket and none of its messages: to an agent a notice of work, to a customer a word on a consent.
        None if letter.kind == Kind::Notification => Ok(false),
        None => Ok(part.is_some() || has_a_say_in(db, ticket.organisation_id, reader)?),
    }
}

/// Of mails that belong to no conversation: links to a ticket go to who takes part, words on a consent to who has a say.
fn has_a_part_in(db: &mut DbConnection, organisation: OrganisationId, reader: PersonId) -> Result<bool> {
    Ok(participants::takes_part_in(db, organisation, reader)? || has_a_say_in(db, organisation, reader)?)
}

/// Whether `reader` may grant for the organisation, or did: of what they granted they hear to the end.
fn has_a_say_in(db: &mut DbConnection, organisation: OrganisationId, reader: PersonId) -> Result<bool> {
    let actor = access::actor_of(db, reader)?;
    Ok(access::can_grant_tracing(&actor, organisation) || grants::was_granted_by(db, organisation, reader)?)
}

/// Any of their addresses: somebody who reads mail at a new one still has the old one until they give it up.
fn address_of(db: &mut DbConnection, reader: PersonId, recipient: &str) -> Result<Option<Address>> {
    let Some(recipient) = EmailAddress::parse(recipient) else { return Ok(None) };
    Ok(addresses::of_person(db, reader)?.into_iter().find(|address| address.canonical == recipient.canonical()))
}
