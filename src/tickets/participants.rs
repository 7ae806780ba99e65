//! Who takes part in a ticket beside the agents: its requester, and those whom an agent or they themselves let in. Who
//! is put in copy by a mail is only proposed (TH-07). Each participant has a number and an epoch, which stand in the
//! addresses they answer to (TH-01): with a new epoch their old addresses are dead.

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{people, person_addresses, ticket_participants, tickets};
use crate::db::types::{OrganisationId, PersonId, TicketId, text_enum};
use crate::error::{Error, Result};
use crate::people::person::display_name;
use crate::secret::random_bytes;
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::links;
use crate::tickets::planned::audience;
use crate::tickets::ticket::{self, Ticket};

text_enum! {
    /// In which part somebody is in a ticket.
    pub enum Part {
        Requester = "requester",
        Participant = "participant",
        /// An agent whose answers by mail are recognised; it gives no right to see the ticket.
        Staff = "staff",
    }
}

text_enum! {
    /// Whether somebody takes part.
    pub enum Standing {
        Proposed = "proposed",
        Active = "active",
        Removed = "removed",
    }
}

/// Stands in the event of somebody who takes part because a mail had them in copy.
pub const IN_COPY: &str = "in_copy";

/// Participants of one ticket at most, proposed ones included.
pub const AT_MOST: i64 = 50;

/// Somebody in a ticket.
#[derive(Clone, Debug, Queryable)]
pub struct Participant {
    pub ticket_id: TicketId,
    pub person_id: PersonId,
    pub part: Part,
    pub standing: Standing,
    token_number: i64,
    token_epoch: i32,
    /// From when on they read the conversation (TH-07).
    pub joined_at: UtcTime,
}

impl Participant {
    /// Their number in signed addresses, unique in the ticket.
    pub fn token_number(&self) -> u32 {
        u32::try_from(self.token_number).unwrap_or_default()
    }

    /// The epoch of their signed addresses.
    pub fn token_epoch(&self) -> u16 {
        epoch_in_token(self.token_epoch)
    }

    /// Whether they are a customer who takes part now.
    pub fn takes_part(&self) -> bool {
        self.standing == Standing::Active && self.part != Part::Staff
    }
}

/// Sixteen bits of the count stand in an address.
fn epoch_in_token(epoch: i32) -> u16 {
    (epoch & 0xFFFF) as u16
}

macro_rules! participant_columns {
    () => {
        (
            ticket_participants::ticket_id,
            ticket_participants::person_id,
            ticket_participants::part,
            ticket_participants::state,
            ticket_participants::token_number,
            ticket_participants::token_epoch,
            ticket_participants::joined_at,
        )
    };
}

/// A participant as a page shows them.
#[derive(Clone, Debug)]
pub struct ParticipantShown {
    pub person_id: PersonId,
    pub handle: String,
    pub name: String,
    pub address: String,
    pub part: Part,
    pub standing: Standing,
    /// Mails to the address came back, so none is sent there.
    pub is_suppressed: bool,
}

/// Requester, participants and proposed ones, with their names.
pub fn shown(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<ParticipantShown>> {
    type Row = (PersonId, String, String, String, String, Part, Standing, Option<UtcTime>);
    let rows: Vec<Row> = one_text!(
        ticket_participants::table
            .inner_join(people::table)
            .inner_join(
                person_addresses::table.on(person_addresses::person_id
                    .eq(ticket_participants::person_id)
                    .and(person_addresses::is_primary.eq(true)),)
            )
            .filter(ticket_participants::ticket_id.eq(ticket.id))
            .filter(ticket_participants::part.ne(Part::Staff))
            .filter(ticket_participants::state.ne(Standing::Removed))
            .order(ticket_participants::id)
            .select((
                ticket_participants::person_id,
                people::handle,
                people::first_name,
                people::last_name,
                person_addresses::address,
                ticket_participants::part,
                ticket_participants::state,
                person_addresses::suppressed_at,
            ))
    )
    .load(db)?;
    Ok(rows
        .into_iter()
        .map(|(person_id, handle, first_name, last_name, address, part, standing, suppressed_at)| ParticipantShown {
            person_id,
            handle,
            name: display_name(&first_name, &last_name, &address),
            address,
            part,
            standing,
            is_suppressed: suppressed_at.is_some(),
        })
        .collect())
}

/// The active participants who are customers: those who are told of answers.
pub fn active(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<Participant>> {
    Ok(one_text!(
        ticket_participants::table
            .filter(ticket_participants::ticket_id.eq(ticket.id))
            .filter(ticket_participants::state.eq(Standing::Active))
            .filter(ticket_participants::part.ne(Part::Staff))
            .order(ticket_participants::id)
            .select(participant_columns!())
    )
    .load(db)?)
}

/// Whether `person` takes part in any ticket of `organisation`.
pub fn takes_part_in(db: &mut DbConnection, organisation: OrganisationId, person: PersonId) -> Result<bool> {
    let of_person = ticket_participants::table
        .inner_join(tickets::table.on(tickets::id.eq(ticket_participants::ticket_id)))
        .filter(tickets::organisation_id.eq(organisation))
        .filter(ticket_participants::person_id.eq(person))
        .filter(ticket_participants::state.eq(Standing::Active))
        .filter(ticket_participants::part.ne(Part::Staff))
        .select(ticket_participants::ticket_id)
        .limit(1);
    Ok(of_person.first::<TicketId>(db).optional()?.is_some())
}

/// What `person` is in the ticket, whatever their standing.
pub fn find(db: &mut DbConnection, ticket: TicketId, person: PersonId) -> Result<Option<Participant>> {
    Ok(one_text!(
        ticket_participants::table
            .filter(ticket_participants::ticket_id.eq(ticket))
            .filter(ticket_participants::person_id.eq(person))
            .select(participant_columns!())
    )
    .first(db)
    .optional()?)
}

/// The participant of that number, if their epoch is the one in force: whom a genuine address was made for (TH-01).
pub fn find_by_token(db: &mut DbConnection, ticket: TicketId, number: u32, epoch: u16) -> Result<Option<Participant>> {
    let found: Option<Participant> = one_text!(
        ticket_participants::table
            .filter(ticket_participants::ticket_id.eq(ticket))
            .filter(ticket_participants::token_number.eq(i64::from(number)))
            .select(participant_columns!())
    )
    .first(db)
    .optional()?;
    Ok(found.filter(|participant| participant.token_epoch() == epoch))
}

/// The row by which an agent's answers by mail are recognised, made when it is first needed (D10).
pub fn of_staff(db: &mut DbConnection, ticket: &Ticket, agent: PersonId, now: UtcTime) -> Result<Participant> {
    if let Some(found) = find(db, ticket.id, agent)? {
        return Ok(found);
    }
    insert(db, ticket, agent, Part::Staff, Standing::Active, now)?;
    find(db, ticket.id, agent)?.ok_or_else(|| Error::internal("a participant just added is missing"))
}

/// Proposes somebody who was in copy; an agent decides. Who takes part already, or was removed, stays as they are.
/// Gives whether somebody was proposed.
pub fn propose(db: &mut DbConnection, ticket: &Ticket, person: PersonId, maker: Maker, now: UtcTime) -> Result<bool> {
    if find(db, ticket.id, person)?.is_some() || is_full(db, ticket)? {
        return Ok(false);
    }
    insert(db, ticket, person, Part::Participant, Standing::Proposed, now)?;
    let event = NewEvent {
        kind: EventKind::ParticipantProposed,
        maker,
        person: None,
        message: None,
        details: Details { person: Some(person), ..Details::default() },
    };
    events::record(db, ticket, event, now)?;
    Ok(true)
}

/// Lets `person` take part from now on: approves who was proposed, adds who was not. Agents may, and so may the
/// requester.
pub fn approve(db: &mut DbConnection, ticket: &Ticket, person: PersonId, by: &Actor, now: UtcTime) -> Result<()> {
    require_may_manage(ticket, by)?;
    if activate(db, ticket, person, now)? {
        let details = Details { person: Some(person), ..Details::default() };
        events::record(db, ticket, NewEvent::by(by, EventKind::ParticipantAdded).with(details), now)?;
        audience::has_grown(db, ticket, by.person(), now)?;
    }
    Ok(())
}

/// Ends the part of `person`, who is not the requester: their addresses and links are dead with it.
pub fn remove(db: &mut DbConnection, ticket: &Ticket, person: PersonId, by: &Actor, now: UtcTime) -> Result<()> {
    let is_oneself = by.person() == Some(person) && matches!(by, Actor::Customer(_));
    if !is_oneself {
        require_may_manage(ticket, by)?;
    }
    if person == ticket.requester_id {
        return Err(Error::invalid("participant", "participant-is-requester"));
    }
    if end(db, ticket, person)? {
        let details = Details { person: Some(person), ..Details::default() };
        events::record(db, ticket, NewEvent::by(by, EventKind::ParticipantRemoved).with(details), now)?;
    }
    Ok(())
}

/// Makes the signed addresses of `person` in this ticket invalid, as when one of them was abused.
pub fn rotate(db: &mut DbConnection, ticket: &Ticket, person: PersonId) -> Result<()> {
    diesel::update(of(ticket, person))
        .set(ticket_participants::token_epoch.eq(ticket_participants::token_epoch + 1))
        .execute(db)?;
    Ok(())
}

fn require_may_manage(ticket: &Ticket, by: &Actor) -> Result<()> {
    let may = match by {
        Actor::Customer(customer) => customer.person == ticket.requester_id,
        _ => access::can_work_on(by, &ticket.facts()),
    };
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

/// Somebody joins by answering, with an event when that is new. Who was removed does not come back by themselves.
pub(super) fn join(db: &mut DbConnection, ticket: &Ticket, person: PersonId, now: UtcTime) -> Result<()> {
    let found = find(db, ticket.id, person)?;
    if found.is_some_and(|participant| participant.standing != Standing::Proposed) {
        return Ok(());
    }
    if activate(db, ticket, person, now)? {
        let event = NewEvent {
            kind: EventKind::ParticipantAdded,
            maker: Maker::Customer,
            person: Some(person),
            message: None,
            details: Details { person: Some(person), ..Details::default() },
        };
        events::record(db, ticket, event, now)?;
        audience::has_grown(db, ticket, None, now)?;
    }
    Ok(())
}

/// Lets in somebody whom a proven colleague put in copy, where their organisation has it so (TH-07), from now on. Who was removed
/// does not come back by that. Gives whether somebody was let in.
pub fn let_in_from_copy(db: &mut DbConnection, ticket: &Ticket, person: PersonId, now: UtcTime) -> Result<bool> {
    let may = match find(db, ticket.id, person)? {
        Some(participant) => participant.standing == Standing::Proposed,
        None => !is_full(db, ticket)?,
    };
    if !may || !activate(db, ticket, person, now)? {
        return Ok(false);
    }
    let details = Details { person: Some(person), to: Some(IN_COPY.to_owned()), ..Details::default() };
    let kind = EventKind::ParticipantAdded;
    events::record(db, ticket, NewEvent { kind, maker: Maker::Mail, person: None, message: None, details }, now)?;
    audience::has_grown(db, ticket, None, now)?;
    Ok(true)
}

pub(super) fn add_active(
    db: &mut DbConnection,
    ticket: &Ticket,
    person: PersonId,
    part: Part,
    now: UtcTime,
) -> Result<()> {
    insert(db, ticket, person, part, Standing::Active, now)
}

/// Gives whether anything changed.
fn activate(db: &mut DbConnection, ticket: &Ticket, person: PersonId, now: UtcTime) -> Result<bool> {
    // Who answers at this moment knows who reads it.
    ticket::lock(db, ticket.id)?;
    match find(db, ticket.id, person)? {
        Some(participant) if participant.standing == Standing::Active && participant.part != Part::Staff => Ok(false),
        Some(_) => {
            one_text!(promised diesel::update(of(ticket, person)).set((
                ticket_participants::part.eq(Part::Participant),
                ticket_participants::state.eq(Standing::Active),
                ticket_participants::joined_at.eq(now),
            )))
            .run(db)?;
            Ok(true)
        }
        None if is_full(db, ticket)? => Err(Error::invalid("participant", "participants-too-many")),
        None => {
            insert(db, ticket, person, Part::Participant, Standing::Active, now)?;
            Ok(true)
        }
    }
}

/// Gives whether there was a part to end.
pub(super) fn end(db: &mut DbConnection, ticket: &Ticket, person: PersonId) -> Result<bool> {
    let ended = diesel::update(of(ticket, person).filter(ticket_participants::state.ne(Standing::Removed)))
        .set((
            ticket_participants::part.eq(Part::Participant),
            ticket_participants::state.eq(Standing::Removed),
            ticket_participants::token_epoch.eq(ticket_participants::token_epoch + 1),
        ))
        .execute(db)?;
    links::remove_of(db, ticket.id, person)?;
    Ok(ended > 0)
}

/// Makes `person`, who may have been something else in the ticket, its requester's row.
pub(super) fn make_requester(db: &mut DbConnection, ticket: &Ticket, person: PersonId, now: UtcTime) -> Result<()> {
    if find(db, ticket.id, person)?.is_none() {
        return insert(db, ticket, person, Part::Requester, Standing::Active, now);
    }
    diesel::update(of(ticket, person))
        .set((ticket_participants::part.eq(Part::Requester), ticket_participants::state.eq(Standing::Active)))
        .execute(db)?;
    Ok(())
}

/// Who was the requester takes part as anybody.
pub(super) fn make_participant(db: &mut DbConnection, ticket: &Ticket, person: PersonId) -> Result<()> {
    diesel::update(of(ticket, person)).set(ticket_participants::part.eq(Part::Participant)).execute(db)?;
    Ok(())
}

type OfPerson = diesel::dsl::Filter<
    diesel::dsl::Filter<ticket_participants::table, diesel::dsl::Eq<ticket_participants::ticket_id, TicketId>>,
    diesel::dsl::Eq<ticket_participants::person_id, PersonId>,
>;

fn of(ticket: &Ticket, person: PersonId) -> OfPerson {
    ticket_participants::table
        .filter(ticket_participants::ticket_id.eq(ticket.id))
        .filter(ticket_participants::person_id.eq(person))
}

fn is_full(db: &mut DbConnection, ticket: &Ticket) -> Result<bool> {
    let count: i64 = one_text!(ticket_participants::table.filter(ticket_participants::ticket_id.eq(ticket.id)).count())
        .get_result(db)?;
    Ok(count >= AT_MOST)
}

fn insert(
    db: &mut DbConnection,
    ticket: &Ticket,
    person: PersonId,
    part: Part,
    standing: Standing,
    now: UtcTime,
) -> Result<()> {
    // 32 random bits among at most fifty: a number taken twice is refused by the unique index, and tried again by hand.
    let number = i64::from(u32::from_be_bytes(random_bytes::<4>()));
    one_text!(diesel::insert_into(ticket_participants::table).values((
        ticket_participants::organisation_id.eq(ticket.organisation_id),
        ticket_participants::ticket_id.eq(ticket.id),
        ticket_participants::person_id.eq(person),
        ticket_participants::part.eq(part),
        ticket_participants::state.eq(standing),
        ticket_participants::token_number.eq(number),
        ticket_participants::token_epoch.eq(1),
        ticket_participants::joined_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}
