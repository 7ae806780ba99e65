//! A message that only staff read because its sender is in doubt: an agent accepts it as the customer's, or rejects it.

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::ticket_messages;
use crate::error::{Error, Result};
use crate::i18n::Message as Text;
use crate::journal::outcome;
use crate::mail::address::EmailAddress;
use crate::mail::threading::Rule;
use crate::people::mail_habits;
use crate::tickets::events::{self, EventKind, NewEvent};
use crate::tickets::importing::{self, Spoken};
use crate::tickets::messages::{Message, MessageKind, Remark, Visibility, find};
use crate::tickets::participants;
use crate::tickets::status::{self, Status};
use crate::tickets::ticket::{self, Change, Ticket};

/// Accepts a message in doubt as the customer's: everybody in the ticket reads it from now on, its sender takes part if they
/// are known, and it is our turn. One that was brought from elsewhere counts from when it was written.
pub fn accept(db: &mut DbConnection, ticket: &Ticket, handle: &str, by: &Actor, now: UtcTime) -> Result<()> {
    let message = message_in_doubt(db, ticket, handle, by)?;
    if let Some(address) = unusual_sender(db, &message)? {
        mail_habits::accept_without_pass(db, &address, now)?;
    }
    diesel::update(ticket_messages::table.find(message.id))
        .set((ticket_messages::visibility.eq(Visibility::Everyone), ticket_messages::remark.eq(Some(Remark::Accepted))))
        .execute(db)?;
    if let Some(author) = message.author_id {
        participants::join(db, ticket, author, now)?;
    }
    let is_imported = message.ingest_id.map_or(Ok(false), |ingest| outcome::is_imported(db, ingest))?;
    let (to, change) = if is_imported {
        importing::standing_after(ticket, Spoken::ByCustomer, message.created_at, now)
    } else {
        let to = Status::WaitingForUs;
        (to, Change { last_message_at: Some(now), ..status::change_to(ticket, to, now) })
    };
    ticket::change(db, ticket, change, now)?;
    let event = NewEvent { message: Some(message.id), ..NewEvent::by(by, EventKind::MessageAccepted) };
    events::record(db, ticket, event, now)?;
    if ticket.status != to {
        status::record_change(db, ticket, to, NewEvent::by(by, EventKind::StatusChanged), now)?;
    }
    Ok(())
}

/// Notes that a message is not the customer's; it stays for staff to see.
pub fn reject(db: &mut DbConnection, ticket: &Ticket, handle: &str, by: &Actor, now: UtcTime) -> Result<()> {
    let message = message_in_doubt(db, ticket, handle, by)?;
    if let Some(address) = unusual_sender(db, &message)? {
        mail_habits::reject_without_pass(db, &address)?;
    }
    diesel::update(ticket_messages::table.find(message.id))
        .set(ticket_messages::remark.eq(Some(Remark::Rejected)))
        .execute(db)?;
    let event = NewEvent { message: Some(message.id), ..NewEvent::by(by, EventKind::MessageRejected) };
    events::record(db, ticket, event, now)?;
    Ok(())
}

/// Whom a mail names that lacked its sender's usual proof (TH-10).
fn unusual_sender(db: &mut DbConnection, message: &Message) -> Result<Option<EmailAddress>> {
    let Some(ingest) = message.ingest_id else { return Ok(None) };
    if outcome::record_of(db, ingest)?.rule != Rule::Unusual.name() {
        return Ok(None);
    }
    Ok(EmailAddress::parse(&message.from_address))
}

fn message_in_doubt(db: &mut DbConnection, ticket: &Ticket, handle: &str, by: &Actor) -> Result<Message> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let message = find(db, ticket, handle)?.ok_or(Error::NotFound)?;
    let is_in_doubt = matches!(message.remark, Some(Remark::DifferentSender | Remark::NotAuthenticated));
    if message.kind != MessageKind::Customer || !is_in_doubt {
        return Err(Error::Conflict(Text::new("ticket-changed-meanwhile")));
    }
    Ok(message)
}
