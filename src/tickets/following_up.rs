//! What a customer writes in a ticket that stays closed: a new ticket goes on from it, as the policy of its mailbox says
//! (D13). It keeps requester, organisation, participants, queue, place and who may see it, and each of the two names the
//! other. Consents stay with the ticket they were asked in: what goes on is asked anew.

use diesel::prelude::*;

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_events;
use crate::db::types::{Json, MessageId, PersonId};
use crate::error::Result;
use crate::teams::mailboxes;
use crate::tickets::assignment;
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::messages::{CustomerMessage, NewMessage, add_customer_message};
use crate::tickets::opening::{self, NewTicket, Opened};
use crate::tickets::participants::{self, Part, Standing};
use crate::tickets::planned::{self, HeldBecause};
use crate::tickets::reference::TicketReference;
use crate::tickets::ticket::{self, Ticket};

/// Tickets that go on from each other and are looked at, one after the other.
const LONGEST_CHAIN: usize = 50;

/// Whether the ticket stays closed whatever its customer writes now.
pub fn stays_closed(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<bool> {
    let Some(closed_at) = ticket.closed_at else { return Ok(false) };
    Ok(mailboxes::of_conversation(db, ticket.mailbox_id, ticket.queue_id)?.stays_closed(closed_at, now))
}

/// The last of the tickets that go on from `ticket`, which stays closed; itself if none does. Who moved to another
/// organisation in between goes on from nothing.
pub fn latest(db: &mut DbConnection, ticket: &Ticket) -> Result<Ticket> {
    let mut last = ticket.clone();
    for _ in 0..LONGEST_CHAIN {
        match next(db, &last)? {
            Some(next) => last = next,
            None => break,
        }
    }
    Ok(last)
}

/// The same, and nobody else opens a ticket that goes on from it until this transaction ends: of two who write at once, the
/// second finds what the first opened.
pub fn locked_latest(db: &mut DbConnection, ticket: &Ticket) -> Result<Ticket> {
    let mut last = latest(db, ticket)?;
    for _ in 0..LONGEST_CHAIN {
        ticket::lock(db, last.id)?;
        let Some(next) = next(db, &last)? else { break };
        last = latest(db, &next)?;
    }
    ticket::by_id(db, last.id)
}

/// The first of the tickets of which `ticket` is one that goes on; itself if it goes on from none.
pub fn first(db: &mut DbConnection, ticket: &Ticket) -> Result<Ticket> {
    let mut first = ticket.clone();
    for _ in 0..LONGEST_CHAIN {
        let Some(before) = named_by(db, &first, EventKind::FollowsUp)?.filter(|before| before.id < first.id) else {
            break;
        };
        first = before;
    }
    Ok(first)
}

/// The ticket that goes on from this one, in the same organisation.
fn next(db: &mut DbConnection, ticket: &Ticket) -> Result<Option<Ticket>> {
    let next = named_by(db, ticket, EventKind::GoesOnIn)?;
    Ok(next.filter(|next| next.organisation_id == ticket.organisation_id && next.id > ticket.id))
}

/// The ticket that the latest event of that kind names.
fn named_by(db: &mut DbConnection, ticket: &Ticket, kind: EventKind) -> Result<Option<Ticket>> {
    let details: Option<Json<Details>> = one_text!(
        ticket_events::table
            .filter(ticket_events::ticket_id.eq(ticket.id))
            .filter(ticket_events::kind.eq(kind))
            .order(ticket_events::id.desc())
            .select(ticket_events::details)
            .limit(1)
    )
    .first(db)
    .optional()?;
    let reference = details.and_then(|details| details.0.ticket).and_then(|named| TicketReference::parse(&named));
    let Some(reference) = reference else { return Ok(None) };
    ticket::find_by_reference(db, &Actor::System, &reference)
}

/// Where a customer's message stands in the end.
#[derive(Clone, Debug)]
pub struct Placed {
    pub ticket: Ticket,
    pub message: MessageId,
}

/// Adds what a customer wrote on a page or by a program where it belongs: in `ticket`, in the one that goes on from it, or
/// in a new one. The caller loaded `ticket` as somebody who may see it.
pub fn add(
    db: &mut DbConnection,
    ticket: &Ticket,
    message: NewMessage,
    author: PersonId,
    by: &Actor,
    now: UtcTime,
) -> Result<Placed> {
    let mut place = ticket.clone();
    if stays_closed(db, ticket, now)? {
        let last = locked_latest(db, ticket)?;
        if may_write(db, &last, author, by)? {
            place = last;
        }
        if stays_closed(db, &place, now)? {
            let opened = open(db, &place, message, &place.subject, by, now)?;
            return Ok(Placed { ticket: opened.ticket, message: opened.message });
        }
    }
    let id = add_customer_message(db, &place, CustomerMessage::ordinary(message), by, now)?;
    Ok(Placed { ticket: place, message: id })
}

/// Whether they may write there, too: somebody may have taken them out since.
fn may_write(db: &mut DbConnection, ticket: &Ticket, author: PersonId, by: &Actor) -> Result<bool> {
    match by {
        Actor::LinkHolder { .. } => {
            Ok(participants::find(db, ticket.id, author)?.is_some_and(|participant| participant.takes_part()))
        }
        _ => ticket::is_visible(db, by, ticket.id),
    }
}

/// Opens the ticket that goes on from `old` with `message`, whose author may write in that one. Who asked goes on asking,
/// whoever of them writes.
pub fn open(
    db: &mut DbConnection,
    old: &Ticket,
    message: NewMessage,
    subject: &str,
    by: &Actor,
    now: UtcTime,
) -> Result<Opened> {
    let (maker, author) = (Maker::of(by, message.channel), message.author);
    let assignee = match old.assignee_id {
        Some(assignee) => assignment::colleagues(db, old.queue_id)?.into_iter().find(|of| of.id == assignee),
        None => None,
    };
    let new = NewTicket {
        mailbox: old.mailbox_id,
        language: old.language.0,
        is_private: old.is_private,
        site: old.site_id,
        environment: old.environment_id,
        address_confirmed: old.address_confirmed,
        assignee: assignee.map(|agent| agent.id),
        continues: Some(old.reference.clone()),
        ..NewTicket::new(old.organisation_id, old.requester_id, old.queue_id, subject, message)
    };
    let opened = opening::go_on(db, new, by, now)?;
    for participant in participants::active(db, old)? {
        if participant.person_id != old.requester_id {
            participants::add_active(db, &opened.ticket, participant.person_id, Part::Participant, now)?;
        }
    }
    // A colleague who answers takes part from then on, as in any ticket, unless somebody took them out of this matter.
    if let (Some(author), Actor::Customer(_)) = (author, by)
        && participants::find(db, old.id, author)?.is_none_or(|found| found.standing != Standing::Removed)
    {
        participants::join(db, &opened.ticket, author, now)?;
    }
    let named = |ticket: &Ticket| Details { ticket: Some(ticket.reference.clone()), ..Details::default() };
    let event = |kind, details| NewEvent { kind, maker, person: by.person().or(author), message: None, details };
    events::record(db, &opened.ticket, event(EventKind::FollowsUp, named(old)), now)?;
    events::record(db, old, event(EventKind::GoesOnIn, named(&opened.ticket)), now)?;
    // What waits to be said there was written without knowing this.
    planned::hold_others(db, old, author, HeldBecause::CustomerWrote, now)?;
    Ok(opened)
}
