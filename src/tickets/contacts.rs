//! What an agent notes of a call, a fax or a letter (B1): when it came, and of a call the number unless it was
//! withheld, how long it took and whom it reached.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_contacts;
use crate::db::types::MessageId;
use crate::error::Result;
use crate::tickets::messages::clean_line;
use crate::tickets::ticket::Ticket;

/// What is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    pub received_at: UtcTime,
    /// None when it was withheld, or for a letter.
    pub telephone: Option<String>,
    pub duration_minutes: Option<i32>,
    /// Whom the caller reached.
    pub reached: String,
}

/// What was noted, with the message it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Contact {
    pub message_id: MessageId,
    pub received_at: UtcTime,
    pub telephone: Option<String>,
    pub duration_minutes: Option<i32>,
    pub reached: String,
}

/// What was noted of the ticket's calls, faxes and letters.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<Contact>> {
    Ok(one_text!(
        ticket_contacts::table.filter(ticket_contacts::ticket_id.eq(ticket.id)).order(ticket_contacts::id).select((
            ticket_contacts::message_id,
            ticket_contacts::received_at,
            ticket_contacts::telephone,
            ticket_contacts::duration_minutes,
            ticket_contacts::reached,
        ))
    )
    .load(db)?)
}

pub(super) fn insert(db: &mut DbConnection, ticket: &Ticket, message: MessageId, contact: &NewContact) -> Result<()> {
    one_text!(diesel::insert_into(ticket_contacts::table).values((
        ticket_contacts::organisation_id.eq(ticket.organisation_id),
        ticket_contacts::ticket_id.eq(ticket.id),
        ticket_contacts::message_id.eq(message),
        ticket_contacts::received_at.eq(contact.received_at),
        ticket_contacts::telephone.eq(contact.telephone.as_deref().map(|number| clean_line(number, 40))),
        ticket_contacts::duration_minutes.eq(contact.duration_minutes),
        ticket_contacts::reached.eq(clean_line(&contact.reached, 120)),
    )))
    .run(db)?;
    Ok(())
}
