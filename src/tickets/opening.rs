//! Opening a ticket, whatever way the request came: one transaction for the ticket, its first message, its
//! participants and where it came from.

use diesel::prelude::*;

use crate::access::Actor;
use crate::cards;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect;
use crate::db::one_text::one_text;
use crate::db::schema::tickets;
use crate::db::types::{
    EnvironmentId, EventId, Language, MailboxId, MessageId, OrganisationId, PersonId, QueueId, SiteId,
};
use crate::error::{Error, FieldErrors, Result};
use crate::html::file_name::is_blank;
use crate::i18n::Locale;
use crate::secret::random_number;
use crate::settings;
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::messages::{self, Channel, MessageKind, NewMessage, Remark, Visibility, clean_line};
use crate::tickets::participants::{self, Part};
use crate::tickets::priority::Priority;
use crate::tickets::reference::TicketReference;
use crate::tickets::status::Status;
use crate::tickets::ticket::Ticket;
use crate::tickets::{contacts, place, tags};

/// The longest subject (OUT-03).
pub const LONGEST_SUBJECT: usize = 250;

/// A ticket to be opened. The caller made sure that requester and queue are what they may be for this way in.
#[derive(Clone, Debug)]
pub struct NewTicket {
    pub organisation: OrganisationId,
    pub requester: PersonId,
    pub queue: QueueId,
    /// The mailbox that the mail came to, or the queue's.
    pub mailbox: Option<MailboxId>,
    pub subject: String,
    pub priority: Priority,
    pub language: Locale,
    pub is_private: bool,
    pub site: Option<SiteId>,
    /// Whether the message names the site in words, as somebody does who is not signed in (E3).
    pub site_in_words: bool,
    pub environment: Option<EnvironmentId>,
    /// Whether the requester proved to read mail at their address.
    pub address_confirmed: bool,
    pub assignee: Option<PersonId>,
    pub tags: Vec<String>,
    /// The first message; its channel is the ticket's.
    pub message: NewMessage,
    /// What staff are told about where the first message came from.
    pub remark: Option<Remark>,
    /// What an agent noted of a call, a fax or a letter (B1).
    pub contact: Option<contacts::NewContact>,
    /// The reference of the ticket that this one goes on from.
    pub continues: Option<String>,
}

impl NewTicket {
    /// The smallest ticket; everything else has a customary value.
    pub fn new(
        organisation: OrganisationId,
        requester: PersonId,
        queue: QueueId,
        subject: &str,
        message: NewMessage,
    ) -> NewTicket {
        NewTicket {
            organisation,
            requester,
            queue,
            mailbox: None,
            subject: subject.to_owned(),
            priority: Priority::Normal,
            language: Locale::default(),
            is_private: false,
            site: None,
            site_in_words: false,
            environment: None,
            address_confirmed: false,
            assignee: None,
            tags: Vec::new(),
            message,
            remark: None,
            contact: None,
            continues: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Opened {
    pub ticket: Ticket,
    pub message: MessageId,
    pub event: EventId,
}

/// Opens the ticket. A customer opens in their own name and in an organisation of theirs; staff in a queue of theirs.
pub fn open(db: &mut DbConnection, new: NewTicket, by: &Actor, now: UtcTime) -> Result<Opened> {
    check_right(&new, by)?;
    go_on(db, new, by, now)
}

/// The same where the right to open it comes from the ticket that it goes on from.
pub(super) fn go_on(db: &mut DbConnection, new: NewTicket, by: &Actor, now: UtcTime) -> Result<Opened> {
    let channel = new.message.channel;
    check_content(db, &new)?.into_result()?;
    let (author, continues) = (new.message.author, new.continues.clone());
    let (ticket, message) = insert(db, new, MessageKind::Customer, Visibility::Everyone, now)?;
    let event = NewEvent {
        kind: EventKind::Opened,
        maker: Maker::of(by, channel),
        // An agent who logs a call opens the ticket, though the customer speaks in it.
        person: by.person().or(author),
        message: Some(message),
        details: Details { ticket: continues, ..Details::default() },
    };
    let event = events::record(db, &ticket, event, now)?;
    Ok(Opened { ticket, message, event })
}

/// Writes the rows of a ticket, of its first message and of its requester.
pub(super) fn insert(
    db: &mut DbConnection,
    new: NewTicket,
    kind: MessageKind,
    visibility: Visibility,
    now: UtcTime,
) -> Result<(Ticket, MessageId)> {
    let channel = new.message.channel;
    // One of 2⁴⁵; should a ticket have it already, the unique index says so, and whoever asked tries again.
    let reference = TicketReference::random(&settings::reference_prefix(db)?);
    // A subject of which nothing can be seen is shown as none.
    let subject = if is_blank(&new.subject) { "" } else { &new.subject };
    let ticket: Ticket = one_text!(
        diesel::insert_into(tickets::table)
            .values((
                (
                    tickets::organisation_id.eq(new.organisation),
                    tickets::reference.eq(reference.as_str()),
                    tickets::handle.eq(random_number()),
                    tickets::queue_id.eq(new.queue),
                    tickets::requester_id.eq(new.requester),
                    tickets::assignee_id.eq(new.assignee),
                    tickets::site_id.eq(new.site),
                    tickets::environment_id.eq(new.environment),
                    tickets::mailbox_id.eq(new.mailbox),
                    tickets::subject.eq(clean_line(&cards::mask_numbers(subject), LONGEST_SUBJECT)),
                    tickets::status.eq(Status::WaitingForUs),
                    tickets::priority.eq(new.priority),
                ),
                (
                    tickets::channel.eq(channel),
                    tickets::language.eq(Language(new.language)),
                    tickets::is_private.eq(new.is_private),
                    tickets::address_confirmed.eq(new.address_confirmed),
                    tickets::waiting_since.eq(now),
                    tickets::message_count.eq(1),
                    tickets::last_message_at.eq(now),
                    tickets::version.eq(1_i64),
                    tickets::created_at.eq(now),
                    tickets::updated_at.eq(now),
                ),
            ))
            .returning(tickets::all_columns)
    )
    .get_result(db)
    .map_err(|error| if dialect::is_unique_violation(&error) { Error::Busy } else { error.into() })?;
    participants::add_active(db, &ticket, new.requester, Part::Requester, now)?;
    let message = messages::insert(db, &ticket, kind, visibility, new.remark, new.message, now)?;
    if let Some(contact) = &new.contact {
        contacts::insert(db, &ticket, message, contact)?;
    }
    for tag in new.tags.iter().filter_map(|tag| tags::normalize(tag)).collect::<std::collections::BTreeSet<_>>() {
        tags::insert(db, &ticket, &tag)?;
    }
    Ok((ticket, message))
}

fn check_right(new: &NewTicket, by: &Actor) -> Result<()> {
    let may = match by {
        Actor::System => true,
        Actor::Staff(staff) => staff.works_in(new.queue),
        Actor::Customer(customer) => {
            customer.person == new.requester
                && customer.is_member_of(new.organisation)
                && customer.reaches(new.queue)
                && new.assignee.is_none()
        }
        Actor::LinkHolder { .. } => false,
    };
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

/// What is missing or wrong. A mail is taken as it is: there is nobody to fill in what it lacks.
fn check_content(db: &mut DbConnection, new: &NewTicket) -> Result<FieldErrors> {
    let channel = new.message.channel;
    // What goes on from a ticket has its place and its subject from there.
    let mut errors = if new.site_in_words || new.continues.is_some() {
        FieldErrors::default()
    } else {
        place::check(db, new.organisation, new.queue, channel, new.site, new.environment)?
    };
    if channel != Channel::Email {
        let subject = new.subject.trim();
        if new.continues.is_none() && is_blank(subject) {
            errors.add("subject", "subject-required");
        } else if subject.chars().count() > LONGEST_SUBJECT {
            errors.add("subject", "subject-too-long");
        }
        if let Err(Error::Invalid(of_message)) = messages::require_content(&new.message.text, &new.message.attachments)
        {
            for (field, message) in of_message.iter() {
                errors.add(field, message.clone());
            }
        }
    }
    Ok(errors)
}
