//! A ticket as it stands, how one is found by somebody who may see it, and how its row changes.

use diesel::prelude::*;

use crate::access::{self, Actor, TicketFacts};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::prepared_once::prepared_once;
use crate::db::schema::tickets;
use crate::db::types::{EnvironmentId, Language, MailboxId, OrganisationId, PersonId, QueueId, SiteId, TicketId};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::tickets::messages::Channel;
use crate::tickets::priority::Priority;
use crate::tickets::reference::TicketReference;
use crate::tickets::status::Status;

/// One matter, from one requester, in one queue. Whoever holds a value of this type loaded it as somebody who may see
/// it.
#[derive(Clone, Debug, PartialEq, Queryable)]
pub struct Ticket {
    pub id: TicketId,
    pub organisation_id: OrganisationId,
    pub reference: String,
    /// The number in signed addresses and Message-IDs.
    pub handle: i64,
    pub queue_id: QueueId,
    pub requester_id: PersonId,
    pub assignee_id: Option<PersonId>,
    pub site_id: Option<SiteId>,
    pub environment_id: Option<EnvironmentId>,
    /// The mailbox that the conversation is held with.
    pub mailbox_id: Option<MailboxId>,
    pub subject: String,
    pub status: Status,
    pub priority: Priority,
    pub channel: Channel,
    pub language: Language,
    /// Hidden from colleagues who otherwise see the organisation's tickets.
    pub is_private: bool,
    /// Whether the requester proved to read mail at their address; until then no mail with text goes there (OUT-10).
    pub address_confirmed: bool,
    pub waiting_since: UtcTime,
    /// Messages of every kind; for staff only.
    pub message_count: i32,
    /// When something was last said that customers can read.
    pub last_message_at: UtcTime,
    pub first_answered_at: Option<UtcTime>,
    pub closed_at: Option<UtcTime>,
    /// Counts changes; for staff only.
    pub version: i64,
    pub created_at: UtcTime,
    /// For staff only.
    pub updated_at: UtcTime,
}

impl Ticket {
    /// What decides who may see it.
    pub fn facts(&self) -> TicketFacts {
        TicketFacts {
            id: self.id,
            organisation: self.organisation_id,
            queue: self.queue_id,
            requester: self.requester_id,
            is_private: self.is_private,
        }
    }
}

/// The ticket of that reference, if `actor` may see it. That it does not exist and that it is not theirs cannot be told
/// apart, not even by time: both are one query that finds nothing (T-02).
pub fn find_by_reference(db: &mut DbConnection, actor: &Actor, reference: &TicketReference) -> Result<Option<Ticket>> {
    Ok(access::visible_to(actor).filter(tickets::reference.eq(reference.as_str())).first(db).optional()?)
}

/// The ticket that `text` of an address names, for handlers: what is no reference is looked up all the same, so that it
/// takes as long as any other (T-02).
pub fn by_reference(db: &mut DbConnection, actor: &Actor, text: &str) -> Result<Ticket> {
    let reference = TicketReference::parse(text);
    let reference = reference.as_ref().map_or("", TicketReference::as_str);
    access::visible_to(actor).filter(tickets::reference.eq(reference)).first(db).optional()?.ok_or(Error::NotFound)
}

/// The ticket with that number, as signed addresses and Message-IDs name it; for the mail handler.
pub fn find_by_handle(db: &mut DbConnection, handle: i64) -> Result<Option<Ticket>> {
    Ok(one_text!(tickets::table.filter(tickets::handle.eq(handle))).first(db).optional()?)
}

/// The ticket of that id, which comes from the database, so a missing one is a fault; for jobs and the mail handler.
pub fn by_id(db: &mut DbConnection, id: TicketId) -> Result<Ticket> {
    Ok(one_text!(tickets::table.find(id)).first(db)?)
}

/// Whether `actor` may see the ticket of that id; for what is reached through something else, such as an attachment.
pub fn is_visible(db: &mut DbConnection, actor: &Actor, id: TicketId) -> Result<bool> {
    let found: Option<TicketId> =
        access::visible_to(actor).filter(tickets::id.eq(id)).select(tickets::id).first(db).optional()?;
    Ok(found.is_some())
}

/// What changes in a ticket's row; what is left out stays.
#[derive(Default, AsChangeset)]
#[diesel(table_name = tickets)]
pub(super) struct Change {
    pub organisation_id: Option<OrganisationId>,
    pub queue_id: Option<QueueId>,
    pub requester_id: Option<PersonId>,
    pub assignee_id: Option<Option<PersonId>>,
    pub site_id: Option<Option<SiteId>>,
    pub environment_id: Option<Option<EnvironmentId>>,
    pub status: Option<Status>,
    pub priority: Option<Priority>,
    pub is_private: Option<bool>,
    pub address_confirmed: Option<bool>,
    pub waiting_since: Option<UtcTime>,
    pub last_message_at: Option<UtcTime>,
    pub first_answered_at: Option<Option<UtcTime>>,
    pub closed_at: Option<Option<UtcTime>>,
}

/// Changes the row if it is still as `ticket` was loaded; otherwise says that somebody was faster.
pub(super) fn change(db: &mut DbConnection, ticket: &Ticket, change: Change, now: UtcTime) -> Result<()> {
    let changed = diesel::update(tickets::table.find(ticket.id).filter(tickets::version.eq(ticket.version)))
        .set((change, tickets::version.eq(ticket.version + 1), tickets::updated_at.eq(now)))
        .execute(db)?;
    if changed == 0 { Err(Error::Conflict(Message::new("ticket-changed-meanwhile"))) } else { Ok(()) }
}

/// Has whoever else locks the ticket, or writes in it, wait until this transaction ends.
pub(super) fn lock(db: &mut DbConnection, id: TicketId) -> Result<()> {
    diesel::update(tickets::table.find(id)).set(tickets::version.eq(tickets::version)).execute(db)?;
    Ok(())
}

/// Counts one more message and gives the row as it is now, held until the transaction ends; nothing when `seen` is
/// given and there are other messages than those.
pub(super) fn count_message(
    db: &mut DbConnection,
    ticket: &Ticket,
    seen: Option<i32>,
    now: UtcTime,
) -> Result<Option<Ticket>> {
    let mut of_ticket = diesel::update(tickets::table).filter(tickets::id.eq(ticket.id)).into_boxed();
    if let Some(seen) = seen {
        of_ticket = of_ticket.filter(tickets::message_count.eq(seen));
    }
    let count = of_ticket
        .set((
            tickets::message_count.eq(tickets::message_count + 1),
            tickets::version.eq(tickets::version + 1),
            tickets::updated_at.eq(now),
        ))
        .returning(tickets::all_columns);
    Ok(prepared_once(count).get_result(db).optional()?)
}

/// Whether the ticket as the reader saw it is the ticket as it stands.
pub fn require_version(ticket: &Ticket, seen: i64) -> Result<()> {
    if ticket.version == seen { Ok(()) } else { Err(Error::Conflict(Message::new("ticket-changed-meanwhile"))) }
}
