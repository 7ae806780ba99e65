//! The other tickets of the same requester and the same organisation, for the side of the ticket page.

use std::collections::HashSet;

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::tickets;
use crate::error::Result;
use crate::tickets::status::Status;
use crate::tickets::ticket::Ticket;

/// Tickets shown of each kind.
const SHOWN: i64 = 5;

/// Another ticket, as one line.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Brief {
    pub reference: String,
    pub subject: String,
    pub status: Status,
    pub last_message_at: UtcTime,
}

macro_rules! latest {
    ($query:expr) => {
        $query.order((tickets::last_message_at.desc(), tickets::id.desc())).limit(SHOWN).select((
            tickets::reference,
            tickets::subject,
            tickets::status,
            tickets::last_message_at,
        ))
    };
}

/// The latest other tickets of the ticket's requester.
pub fn of_requester(db: &mut DbConnection, actor: &Actor, ticket: &Ticket) -> Result<Vec<Brief>> {
    let others = access::visible_to(actor)
        .filter(tickets::requester_id.eq(ticket.requester_id))
        .filter(tickets::id.ne(ticket.id));
    Ok(latest!(others).load(db)?)
}

/// The latest tickets of the ticket's organisation which somebody else asked.
pub fn of_organisation(db: &mut DbConnection, actor: &Actor, ticket: &Ticket) -> Result<Vec<Brief>> {
    let others = access::visible_to(actor)
        .filter(tickets::organisation_id.eq(ticket.organisation_id))
        .filter(tickets::requester_id.ne(ticket.requester_id));
    Ok(latest!(others).load(db)?)
}

/// Which of these references are of tickets that `actor` may see. Of the others nothing is told, be it that they exist.
pub fn seen(db: &mut DbConnection, actor: &Actor, references: &[&str]) -> Result<HashSet<String>> {
    if references.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<String> =
        access::visible_to(actor).filter(tickets::reference.eq_any(references)).select(tickets::reference).load(db)?;
    Ok(found.into_iter().collect())
}
