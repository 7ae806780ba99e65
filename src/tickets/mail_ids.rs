//! The Message-IDs of the mails of a ticket, in and out: how an answer finds its ticket (TH-02), and what the next mail
//! names in In-Reply-To and References (OUT-02).

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_mail_ids;
use crate::db::types::{MailboxId, MessageId, OrganisationId, TicketId, text_enum};
use crate::error::Result;
use crate::tickets::ticket::Ticket;

text_enum! {
    /// Which way a mail went.
    pub enum Direction {
        In = "in",
        Out = "out",
    }
}

/// Tickets that one id may lead to at most; a customer can send the same id again and again (J-05).
const CANDIDATES: i64 = 10;

/// A mail of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct MailId {
    pub organisation_id: OrganisationId,
    pub ticket_id: TicketId,
    pub message_id: Option<MessageId>,
    pub mailbox_id: MailboxId,
    pub direction: Direction,
    pub mail_id: String,
}

macro_rules! mail_id_columns {
    () => {
        (
            ticket_mail_ids::organisation_id,
            ticket_mail_ids::ticket_id,
            ticket_mail_ids::message_id,
            ticket_mail_ids::mailbox_id,
            ticket_mail_ids::direction,
            ticket_mail_ids::mail_id,
        )
    };
}

/// Remembers the id of a mail, with its angle brackets.
pub fn record(
    db: &mut DbConnection,
    ticket: &Ticket,
    message: Option<MessageId>,
    mailbox: MailboxId,
    direction: Direction,
    mail_id: &str,
    now: UtcTime,
) -> Result<()> {
    one_text!(diesel::insert_into(ticket_mail_ids::table).values((
        ticket_mail_ids::organisation_id.eq(ticket.organisation_id),
        ticket_mail_ids::ticket_id.eq(ticket.id),
        ticket_mail_ids::message_id.eq(message),
        ticket_mail_ids::mailbox_id.eq(mailbox),
        ticket_mail_ids::direction.eq(direction),
        ticket_mail_ids::mail_id.eq(mail_id),
        ticket_mail_ids::created_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}

/// The mails of that id, in every mailbox, the latest first.
pub fn find(db: &mut DbConnection, mail_id: &str) -> Result<Vec<MailId>> {
    Ok(one_text!(
        ticket_mail_ids::table
            .filter(ticket_mail_ids::mail_id.eq(mail_id))
            .order(ticket_mail_ids::id.desc())
            .limit(CANDIDATES)
            .select(mail_id_columns!())
    )
    .load(db)?)
}

/// The ids of the ticket's mails, the oldest first; only the first and the last fifty of them are looked at.
pub fn thread(db: &mut DbConnection, ticket: TicketId) -> Result<Vec<MailId>> {
    const EACH_END: i64 = 50;
    let of_ticket = || ticket_mail_ids::table.filter(ticket_mail_ids::ticket_id.eq(ticket));
    let mut last: Vec<MailId> =
        one_text!(of_ticket().order(ticket_mail_ids::id.desc()).limit(EACH_END).select(mail_id_columns!())).load(db)?;
    last.reverse();
    if last.len() < EACH_END as usize {
        return Ok(last);
    }
    let first: Option<MailId> =
        one_text!(of_ticket().order(ticket_mail_ids::id).select(mail_id_columns!())).first(db).optional()?;
    Ok(first.into_iter().filter(|first| !last.contains(first)).chain(last.iter().cloned()).collect())
}

/// The id of the latest mail from outside in the ticket, which the next mail answers.
pub fn last_received(db: &mut DbConnection, ticket: TicketId) -> Result<Option<String>> {
    Ok(one_text!(
        ticket_mail_ids::table
            .filter(ticket_mail_ids::ticket_id.eq(ticket))
            .filter(ticket_mail_ids::direction.eq(Direction::In))
            .order(ticket_mail_ids::id.desc())
            .select(ticket_mail_ids::mail_id)
    )
    .first(db)
    .optional()?)
}
