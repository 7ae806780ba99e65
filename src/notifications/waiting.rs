//! Whether a mail that waited in the outbox may still go to whom it was written for. It may have waited for days while the
//! relay was down, and holds the text; meanwhile its reader may have lost the ticket, left the conversation, given up the
//! address or wished for no more mail. Mails about somebody's own account are theirs whatever happens to tickets, and what
//! they open is looked at when it is opened.

use crate::access::{self, Actor};
use crate::db::DbConnection;
use crate::db::types::{PersonId, TicketId};
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::notifications::digest;
use crate::outbox::folding;
use crate::outbox::{Kind, Letter, Sending};
use crate::people::person::{self, PersonState};
use crate::tickets::messages::{self, Visibility};
use crate::tickets::participants::{self, Part, Standing};
use crate::tickets::ticket;

/// How sending the mail ends before it began, unless it may go out as it was written. News that are outdated are looked at
/// once more for a digest; an answer whose reader can be told elsewhere is a failure, which the agent sees.
pub fn verdict(db: &mut DbConnection, letter: &Letter) -> Result<Option<Sending>> {
    let Some(reader) = letter.person else { return Ok(None) };
    if folding::reader_of_digest(letter).is_some() {
        return Ok(digest::is_outdated(db, letter)?.then_some(Sending::Outdated));
    }
    if letter.ticket.is_none() && letter.organisation.is_none() {
        return Ok(None);
    }
    let person = person::by_id(db, reader)?;
    let wants_it = person.mailed_about_tickets || letter.kind != Kind::Notification;
    if person.state != PersonState::Active || !wants_it || !is_for(db, letter, reader)? {
        return Ok(Some(Sending::Outdated));
    }
    if is_address_of(db, reader, &letter.recipient)? {
        return Ok(None);
    }
    Ok(Some(match letter.kind {
        Kind::Reply => Sending::Refused("its reader gave up this address".to_owned()),
        _ => Sending::Outdated,
    }))
}

/// Whether what the mail says of its ticket is for `reader` now.
fn is_for(db: &mut DbConnection, letter: &Letter, reader: PersonId) -> Result<bool> {
    let Some(id) = letter.ticket else { return Ok(true) };
    if letter.kind == Kind::Notification && works_on(db, id, reader)? {
        return Ok(true);
    }
    match letter.message {
        Some(message) => {
            let is_public =
                messages::find_by_id(db, message)?.is_some_and(|message| message.visibility == Visibility::Everyone);
            Ok(is_public && takes_part(db, id, reader)?)
        }
        // About the ticket and none of its messages: to an agent a notice of work, to a customer a word on a consent.
        None => Ok(letter.kind != Kind::Notification),
    }
}

fn works_on(db: &mut DbConnection, id: TicketId, reader: PersonId) -> Result<bool> {
    let actor = access::actor_of(db, reader)?;
    Ok(matches!(actor, Actor::Staff(_)) && access::can_work_on(&actor, &ticket::by_id(db, id)?.facts()))
}

fn takes_part(db: &mut DbConnection, ticket: TicketId, reader: PersonId) -> Result<bool> {
    let found = participants::find(db, ticket, reader)?;
    Ok(found.is_some_and(|found| found.standing == Standing::Active && found.part != Part::Staff))
}

/// Any of their addresses: somebody who reads mail at a new one still has the old one until they give it up.
fn is_address_of(db: &mut DbConnection, reader: PersonId, recipient: &str) -> Result<bool> {
    let Some(recipient) = EmailAddress::parse(recipient) else { return Ok(false) };
    Ok(person::addresses(db, reader)?.iter().any(|address| address.canonical == recipient.canonical()))
}
