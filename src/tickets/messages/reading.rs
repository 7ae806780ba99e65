//! Reading a conversation: what of it a reader may read, and the queries, each of which begins there.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::connection::MultiBackend;
use crate::db::one_text::one_text;
use crate::db::schema::{ticket_messages, ticket_participants, tickets};
use crate::db::types::{JournalId, MessageId, TicketId};
use crate::error::{Error, Result};
use crate::tickets::messages::{Channel, Message, MessageKind, Visibility};
use crate::tickets::ticket::Ticket;

/// Messages of one ticket that are loaded together at most; beyond, the page offers the earlier ones.
pub const LATEST: i64 = 100;
/// Messages of one ticket that are loaded at all when somebody asks for the earlier ones.
pub const ALL: i64 = 2_000;

/// What of a conversation a reader may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Staff read everything.
    Everything,
    /// Customers read no notes and nothing that is held back.
    Public,
    /// Who joined later reads what was said from then on (TH-07).
    PublicSince(UtcTime),
}

/// What `actor`, who may see the ticket, may read of it.
pub fn reading(db: &mut DbConnection, ticket: &Ticket, actor: &Actor) -> Result<Reading> {
    let person = match actor {
        Actor::Staff(_) | Actor::System => return Ok(Reading::Everything),
        Actor::Customer(customer) if customer.person == ticket.requester_id => return Ok(Reading::Public),
        Actor::LinkHolder { person, .. } if *person == ticket.requester_id => return Ok(Reading::Public),
        Actor::Customer(customer)
            if access::can_see(actor, &ticket.facts(), false) && customer.person != ticket.requester_id =>
        {
            // The organisation lets them read all of it, whether they take part or not.
            return Ok(Reading::Public);
        }
        Actor::Customer(customer) => customer.person,
        Actor::LinkHolder { person, .. } => *person,
    };
    let joined: Option<UtcTime> = ticket_participants::table
        .filter(ticket_participants::ticket_id.eq(ticket.id))
        .filter(ticket_participants::person_id.eq(person))
        .select(ticket_participants::joined_at)
        .first(db)
        .optional()?;
    joined.map(Reading::PublicSince).ok_or(Error::NotFound)
}

/// The columns of [`Message`], in its order.
macro_rules! message_columns {
    () => {
        (
            ticket_messages::id,
            ticket_messages::handle,
            ticket_messages::kind,
            ticket_messages::visibility,
            ticket_messages::channel,
            ticket_messages::author_id,
            ticket_messages::from_name,
            ticket_messages::from_address,
            ticket_messages::body_text,
            ticket_messages::quoted_text,
            ticket_messages::body_html.is_not_null(),
            ticket_messages::remark,
            ticket_messages::ingest_id,
            ticket_messages::created_at,
            ticket_messages::invitation,
        )
    };
}

type Messages<'a> = ticket_messages::BoxedQuery<'a, MultiBackend>;

/// The messages of the ticket that a reader may read.
fn readable<'a>(ticket: &Ticket, reading: Reading) -> Messages<'a> {
    let messages = ticket_messages::table.filter(ticket_messages::ticket_id.eq(ticket.id)).into_boxed();
    match reading {
        Reading::Everything => messages,
        Reading::Public => messages.filter(ticket_messages::visibility.eq(Visibility::Everyone)),
        Reading::PublicSince(since) => messages
            .filter(ticket_messages::visibility.eq(Visibility::Everyone))
            .filter(ticket_messages::created_at.ge(since)),
    }
}

/// The latest `limit` messages, the oldest of them first.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket, reading: Reading, limit: i64) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> =
        readable(ticket, reading).order(ticket_messages::id.desc()).limit(limit).select(message_columns!()).load(db)?;
    messages.reverse();
    Ok(messages)
}

/// Up to `limit` messages that come after the message `after`, or from the first on, the oldest first.
pub fn from_the_first(
    db: &mut DbConnection,
    ticket: &Ticket,
    reading: Reading,
    after: Option<MessageId>,
    limit: i64,
) -> Result<Vec<Message>> {
    let mut messages = readable(ticket, reading);
    if let Some(after) = after {
        messages = messages.filter(ticket_messages::id.gt(after));
    }
    Ok(messages.order(ticket_messages::id).limit(limit).select(message_columns!()).load(db)?)
}

/// The messages beyond the first `seen`, notes included: what an agent has not seen yet.
pub fn after(db: &mut DbConnection, ticket: &Ticket, seen: i32) -> Result<Vec<Message>> {
    Ok(readable(ticket, Reading::Everything)
        .order(ticket_messages::id)
        .offset(i64::from(seen.max(0)))
        .limit(LATEST)
        .select(message_columns!())
        .load(db)?)
}

/// How many messages the ticket had when `message` was its latest: what somebody who answers that message has seen.
pub fn count_until(db: &mut DbConnection, ticket: &Ticket, message: MessageId) -> Result<i32> {
    let count: i64 =
        readable(ticket, Reading::Everything).filter(ticket_messages::id.le(message)).count().get_result(db)?;
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// The message of that public name in the ticket, for staff.
pub fn find(db: &mut DbConnection, ticket: &Ticket, handle: &str) -> Result<Option<Message>> {
    Ok(readable(ticket, Reading::Everything)
        .filter(ticket_messages::handle.eq(handle))
        .select(message_columns!())
        .first(db)
        .optional()?)
}

/// The message of that id; for jobs.
pub fn find_by_id(db: &mut DbConnection, id: MessageId) -> Result<Option<Message>> {
    Ok(one_text!(ticket_messages::table.find(id).select(message_columns!())).first(db).optional()?)
}

/// The message that came in the mail of that journal row.
pub fn find_by_ingest(db: &mut DbConnection, ingest: JournalId) -> Result<Option<Message>> {
    Ok(one_text!(ticket_messages::table.filter(ticket_messages::ingest_id.eq(ingest)).select(message_columns!()))
        .first(db)
        .optional()?)
}

/// The message of that public name with its ticket, if `actor` may read it; otherwise nothing is told apart.
pub fn find_readable(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Option<(Ticket, Message)>> {
    let of: Option<TicketId> = ticket_messages::table
        .filter(ticket_messages::handle.eq(handle))
        .select(ticket_messages::ticket_id)
        .first(db)
        .optional()?;
    let Some(of) = of else { return Ok(None) };
    let ticket: Option<Ticket> = access::visible_to(actor).filter(tickets::id.eq(of)).first(db).optional()?;
    let Some(ticket) = ticket else { return Ok(None) };
    let reading = reading(db, &ticket, actor)?;
    let message = readable(&ticket, reading)
        .filter(ticket_messages::handle.eq(handle))
        .select(message_columns!())
        .first(db)
        .optional()?;
    Ok(message.map(|message| (ticket, message)))
}

/// The HTML form of a message which the caller may read, as it came; it is made safe where it is shown.
pub fn html_of(db: &mut DbConnection, id: MessageId) -> Result<Option<String>> {
    Ok(one_text!(ticket_messages::table.find(id).select(ticket_messages::body_html)).first(db)?)
}

/// The HTML of what agents wrote on pages and by programs: [`super::Words`] made it, so it is shown as it is.
pub fn rendered(db: &mut DbConnection, ticket: &Ticket, reading: Reading) -> Result<HashMap<MessageId, String>> {
    let pairs: Vec<(MessageId, Option<String>)> = readable(ticket, reading)
        .filter(ticket_messages::kind.ne(MessageKind::Customer))
        .filter(ticket_messages::channel.eq(Channel::Web).or(ticket_messages::channel.eq(Channel::Api)))
        .order(ticket_messages::id.desc())
        .limit(ALL)
        .select((ticket_messages::id, ticket_messages::body_html))
        .load(db)?;
    Ok(pairs.into_iter().filter_map(|(id, html)| Some((id, html?))).collect())
}

/// The public name of the message of that id.
pub fn handle_of(db: &mut DbConnection, id: MessageId) -> Result<String> {
    Ok(one_text!(ticket_messages::table.find(id).select(ticket_messages::handle)).first(db)?)
}
