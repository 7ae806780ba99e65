//! What was said before Accord was there: messages with the dates they had, in tickets that stand as they would stand had
//! they been here all the time. Nothing follows from it, and nobody is told.

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EventId, MessageId};
use crate::error::{Error, Result};
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::messages::{self, MessageKind, NewMessage, Remark, Visibility};
use crate::tickets::opening::{self, NewTicket, Opened};
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Change, Ticket};

/// A matter in which nobody wrote for longer is closed: whoever still waits after a month would have asked again.
pub const OPEN_FOR: TimeDelta = TimeDelta::days(30);

/// Who said something, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A customer, to us.
    ByCustomer,
    /// We, to the customer.
    ByUs,
    /// A customer, to us, if it was they: only staff reads it until an agent accepts it, and it is our turn.
    InDoubt,
    /// Somebody, in a way that only staff reads: a machine, one whose address proves nothing, or we among ourselves.
    Aside,
}

impl Spoken {
    fn kind(self) -> MessageKind {
        match self {
            Spoken::ByUs => MessageKind::Agent,
            Spoken::ByCustomer | Spoken::InDoubt | Spoken::Aside => MessageKind::Customer,
        }
    }

    fn visibility(self) -> Visibility {
        match self {
            Spoken::InDoubt | Spoken::Aside => Visibility::Staff,
            Spoken::ByCustomer | Spoken::ByUs => Visibility::Everyone,
        }
    }

    fn event(self) -> EventKind {
        match self {
            Spoken::ByUs => EventKind::Replied,
            Spoken::ByCustomer | Spoken::InDoubt | Spoken::Aside => EventKind::CustomerWrote,
        }
    }

    /// Where the ticket stands when this was the last that was said, at `at`.
    fn leaves(self, at: UtcTime, now: UtcTime) -> Status {
        match self {
            _ if now.since(at) > OPEN_FOR => Status::Closed,
            Spoken::ByUs => Status::WaitingForCustomer,
            Spoken::ByCustomer | Spoken::InDoubt | Spoken::Aside => Status::WaitingForUs,
        }
    }
}

/// Opens a ticket with what was said first in it, at `at`. What a machine wrote opens a closed one.
pub fn open(db: &mut DbConnection, new: NewTicket, spoken: Spoken, at: UtcTime, now: UtcTime) -> Result<Opened> {
    let author = new.message.author;
    let is_automatic = new.remark == Some(Remark::Automatic);
    // The first message of a ticket is what its requester sees of it, whoever said it.
    let (ticket, message) = opening::insert(db, new, spoken.kind(), Visibility::Everyone, at)?;
    let status = if is_automatic { Status::Closed } else { spoken.leaves(at, now) };
    let change =
        Change { first_answered_at: (spoken == Spoken::ByUs).then_some(Some(at)), ..standing(&ticket, status, at) };
    ticket::change(db, &ticket, change, at)?;
    let event = keep(db, &ticket, EventKind::Opened, author, message, at)?;
    Ok(Opened { ticket: ticket::by_id(db, ticket.id)?, message, event })
}

/// Adds what was said in the ticket at `at`. The ticket stands as the latest of all that was said leaves it.
pub fn add(
    db: &mut DbConnection,
    ticket: &Ticket,
    message: NewMessage,
    spoken: Spoken,
    remark: Option<Remark>,
    at: UtcTime,
    now: UtcTime,
) -> Result<(MessageId, EventId)> {
    let ticket = ticket::count_message(db, ticket, None, now)?.ok_or(Error::NotFound)?;
    let author = message.author;
    let id = messages::insert(db, &ticket, spoken.kind(), spoken.visibility(), remark, message, at)?;
    if spoken != Spoken::Aside {
        let (_, mut change) = standing_after(&ticket, spoken, at, now);
        if spoken == Spoken::ByUs && ticket.first_answered_at.is_none() {
            change.first_answered_at = Some(Some(at));
        }
        ticket::change(db, &ticket, change, now)?;
    }
    Ok((id, keep(db, &ticket, spoken.event(), author, id, at)?))
}

/// The status of the ticket after something was said in it at `at`, and what changes by it: nothing, where more was said since.
pub(super) fn standing_after(ticket: &Ticket, spoken: Spoken, at: UtcTime, now: UtcTime) -> (Status, Change) {
    if at < ticket.last_message_at {
        return (ticket.status, Change::default());
    }
    let status = spoken.leaves(at, now);
    (status, Change { last_message_at: Some(at), ..standing(ticket, status, at) })
}

fn standing(ticket: &Ticket, status: Status, at: UtcTime) -> Change {
    Change {
        status: (ticket.status != status).then_some(status),
        waiting_since: Some(at),
        closed_at: Some((status == Status::Closed).then_some(at)),
        ..Change::default()
    }
}

fn keep(
    db: &mut DbConnection,
    ticket: &Ticket,
    kind: EventKind,
    person: Option<crate::db::types::PersonId>,
    message: MessageId,
    at: UtcTime,
) -> Result<EventId> {
    let event = NewEvent { kind, maker: Maker::Mail, person, message: Some(message), details: Details::default() };
    events::keep(db, ticket, event, at)
}
