//! What happened in a ticket. Recording an event enqueues the job that makes the rest of the program react to it, in
//! the same transaction; nothing here knows who that is.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_events;
use crate::db::types::{EventId, Json, MessageId, PersonId, QueueId, TicketId, text_enum};
use crate::error::Result;
use crate::queue;
use crate::tickets::messages::Channel;
use crate::tickets::ticket::Ticket;

/// The job that follows each event; its payload is [`TicketChanged`].
pub const TICKET_CHANGED: &str = "ticket_changed";

/// The payload of the job [`TICKET_CHANGED`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TicketChanged {
    pub event: EventId,
}

text_enum! {
    /// What can happen.
    pub enum EventKind {
        Opened = "opened",
        CustomerWrote = "customer_wrote",
        Replied = "replied",
        Noted = "noted",
        StatusChanged = "status_changed",
        PriorityChanged = "priority_changed",
        Assigned = "assigned",
        TagAdded = "tag_added",
        TagRemoved = "tag_removed",
        ParticipantProposed = "participant_proposed",
        ParticipantAdded = "participant_added",
        ParticipantRemoved = "participant_removed",
        QueueChanged = "queue_changed",
        RequesterChanged = "requester_changed",
        PlaceChanged = "place_changed",
        PrivacyChanged = "privacy_changed",
        AddressConfirmed = "address_confirmed",
        /// A message that only staff could see was accepted as the customer's.
        MessageAccepted = "message_accepted",
        MessageRejected = "message_rejected",
        /// A mail to somebody in the ticket could not be delivered, for good.
        MailFailed = "mail_failed",
        /// A mail that claims to belong to the ticket waits for somebody's decision (D3, D9).
        MailHeld = "mail_held",
        /// More mail came than a person writes: for a while nothing automatic is mailed (LP-05).
        MailThrottled = "mail_throttled",
        /// An agent chose when an answer goes out.
        AnswerPlanned = "answer_planned",
        /// An answer that waited does not go out by itself any more.
        AnswerHeld = "answer_held",
        /// An agent had an answer go out that was held, or a colleague's.
        AnswerReleased = "answer_released",
        /// An agent took a planned answer back, or a colleague's.
        AnswerTakenBack = "answer_taken_back",
        /// The ticket may belong to another (rows D5 and D8 of the decision table).
        MayBelongTo = "may_belong_to",
        /// The ticket goes on from another, which stays closed (D13).
        FollowsUp = "follows_up",
        /// What was written after the ticket was closed stands in another, which goes on from it.
        GoesOnIn = "goes_on_in",
        /// An agent asked for diagnostics.
        ConsentRequested = "consent_requested",
        /// The first of two who must agree did.
        ConsentApproved = "consent_approved",
        ConsentGranted = "consent_granted",
        ConsentRefused = "consent_refused",
        ConsentLapsed = "consent_lapsed",
        ConsentCancelled = "consent_cancelled",
        ConsentWithdrawn = "consent_withdrawn",
        ConsentExpired = "consent_expired",
        ConsentStopped = "consent_stopped",
        /// What was captured is gone.
        TracesDestroyed = "traces_destroyed",
    }
}

impl EventKind {
    /// Whether customers see it in the history of their ticket.
    pub fn is_for_customers(self) -> bool {
        matches!(
            self,
            EventKind::Opened
                | EventKind::StatusChanged
                | EventKind::ParticipantAdded
                | EventKind::ParticipantRemoved
                | EventKind::PrivacyChanged
                | EventKind::AddressConfirmed
                | EventKind::FollowsUp
                | EventKind::GoesOnIn
        ) || self.is_of_consent()
    }

    /// Whether it is a step in the life of a consent.
    pub fn is_of_consent(self) -> bool {
        matches!(
            self,
            EventKind::ConsentRequested
                | EventKind::ConsentApproved
                | EventKind::ConsentGranted
                | EventKind::ConsentRefused
                | EventKind::ConsentLapsed
                | EventKind::ConsentCancelled
                | EventKind::ConsentWithdrawn
                | EventKind::ConsentExpired
                | EventKind::ConsentStopped
                | EventKind::TracesDestroyed
        )
    }
}

text_enum! {
    /// Who or what made it happen.
    pub enum Maker {
        Customer = "customer",
        Staff = "staff",
        Mail = "mail",
        Api = "api",
        System = "system",
    }
}

impl Maker {
    /// Who speaks when `actor` says something by `channel`.
    pub fn of(actor: &Actor, channel: Channel) -> Maker {
        match channel {
            Channel::Email => Maker::Mail,
            Channel::Api => Maker::Api,
            _ => Maker::of_actor(actor),
        }
    }

    fn of_actor(actor: &Actor) -> Maker {
        match actor {
            Actor::Staff(_) => Maker::Staff,
            Actor::Customer(_) | Actor::LinkHolder { .. } => Maker::Customer,
            Actor::System => Maker::System,
        }
    }
}

/// What an event has to say beside its kind; what does not concern it is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_person: Option<PersonId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_queue: Option<QueueId>,
    /// The reference of another ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The public name of a consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub kind: EventKind,
    pub maker: Maker,
    pub person: Option<PersonId>,
    pub message: Option<MessageId>,
    pub details: Details,
}

impl NewEvent {
    /// `actor` did it, on a page or by the interface for programs.
    pub fn by(actor: &Actor, kind: EventKind) -> NewEvent {
        NewEvent {
            kind,
            maker: Maker::of_actor(actor),
            person: actor.person(),
            message: None,
            details: Details::default(),
        }
    }

    /// The same event with what else there is to say.
    pub fn with(self, details: Details) -> NewEvent {
        NewEvent { details, ..self }
    }
}

/// An event as it stands.
#[derive(Clone, Debug, Queryable)]
pub struct Event {
    pub id: EventId,
    pub ticket_id: TicketId,
    pub kind: EventKind,
    pub maker: Maker,
    pub actor_id: Option<PersonId>,
    pub message_id: Option<MessageId>,
    pub details: Json<Details>,
    pub created_at: UtcTime,
}

macro_rules! event_columns {
    () => {
        (
            ticket_events::id,
            ticket_events::ticket_id,
            ticket_events::kind,
            ticket_events::actor,
            ticket_events::actor_id,
            ticket_events::message_id,
            ticket_events::details,
            ticket_events::created_at,
        )
    };
}

/// Records what happened and has it followed up.
pub fn record(db: &mut DbConnection, ticket: &Ticket, event: NewEvent, now: UtcTime) -> Result<EventId> {
    let id = keep(db, ticket, event, now)?;
    queue::enqueue(db, TICKET_CHANGED, &TicketChanged { event: id }, now, now)?;
    Ok(id)
}

/// Writes down what happened long ago, at its own time: nothing follows, and nobody is told.
pub fn keep(db: &mut DbConnection, ticket: &Ticket, event: NewEvent, at: UtcTime) -> Result<EventId> {
    Ok(one_text!(
        diesel::insert_into(ticket_events::table)
            .values((
                ticket_events::organisation_id.eq(ticket.organisation_id),
                ticket_events::ticket_id.eq(ticket.id),
                ticket_events::kind.eq(event.kind),
                ticket_events::actor.eq(event.maker),
                ticket_events::actor_id.eq(event.person),
                ticket_events::message_id.eq(event.message),
                ticket_events::details.eq(Json(event.details)),
                ticket_events::created_at.eq(at),
            ))
            .returning(ticket_events::id)
    )
    .get_result(db)?)
}

/// The event of that id; for the job.
pub fn find(db: &mut DbConnection, id: EventId) -> Result<Option<Event>> {
    Ok(one_text!(ticket_events::table.find(id).select(event_columns!())).first(db).optional()?)
}

/// The latest `limit` events of the ticket, the oldest of them first.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket, limit: i64) -> Result<Vec<Event>> {
    let mut events: Vec<Event> = one_text!(
        ticket_events::table
            .filter(ticket_events::ticket_id.eq(ticket.id))
            .order(ticket_events::id.desc())
            .limit(limit)
            .select(event_columns!())
    )
    .load(db)?;
    events.reverse();
    Ok(events)
}

/// The latest that somebody did there, or a program of theirs, other than by mail; what the installation does by itself
/// does not count.
pub fn last_on_a_page(db: &mut DbConnection, ticket: &Ticket) -> Result<Option<EventId>> {
    Ok(one_text!(
        ticket_events::table
            .filter(ticket_events::ticket_id.eq(ticket.id))
            .filter(ticket_events::actor.ne(Maker::Mail))
            .filter(ticket_events::actor.ne(Maker::System))
            .order(ticket_events::id.desc())
            .select(ticket_events::id)
            .limit(1)
    )
    .first(db)
    .optional()?)
}

/// The mails of that sender that were held beside the ticket, and of which agents are to be told, since then.
pub fn held_mails(db: &mut DbConnection, ticket: &Ticket, address: &str, since: UtcTime) -> Result<usize> {
    let held: Vec<Json<Details>> = ticket_events::table
        .filter(ticket_events::ticket_id.eq(ticket.id))
        .filter(ticket_events::kind.eq(EventKind::MailHeld))
        .filter(ticket_events::created_at.ge(since))
        .select(ticket_events::details)
        .load(db)?;
    let is_of_sender = |details: &Details| {
        details.to.is_some() && details.address.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(address))
    };
    Ok(held.iter().filter(|details| is_of_sender(&details.0)).count())
}

/// Has an event followed up once more, later.
pub fn follow_later(db: &mut DbConnection, event: EventId, at: UtcTime, now: UtcTime) -> Result<()> {
    queue::enqueue(db, TICKET_CHANGED, &TicketChanged { event }, at, now)
}

/// The events which customers may see, the oldest first.
pub fn for_customers(db: &mut DbConnection, ticket: &Ticket, limit: i64) -> Result<Vec<Event>> {
    let kinds = EventKind::ALL.iter().copied().filter(|kind| kind.is_for_customers());
    let mut events: Vec<Event> = ticket_events::table
        .filter(ticket_events::ticket_id.eq(ticket.id))
        .filter(ticket_events::kind.eq_any(kinds))
        .order(ticket_events::id.desc())
        .limit(limit)
        .select(event_columns!())
        .load(db)?;
    events.reverse();
    Ok(events)
}
