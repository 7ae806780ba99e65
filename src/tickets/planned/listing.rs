//! What agents find of answers that are not said yet: their own, and every one that is held in the queues they see.

use diesel::prelude::*;

use super::{HeldBecause, State};
use crate::access::{self, Actor, StaffActor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_of::one_of;
use crate::db::one_text::one_text;
use crate::db::paging::{Cursor, Page};
use crate::db::schema::{people, planned_answers, tickets};
use crate::db::types::{PersonId, PlannedAnswerId, TicketId};
use crate::error::Result;
use crate::people::person::display_name;

/// How many held answers of one's own are counted at most.
pub const COUNTED_TO: i64 = 99;

/// An answer in the list.
#[derive(Clone, Debug)]
pub struct Unsaid {
    id: PlannedAnswerId,
    /// The public name of the message that it becomes.
    pub handle: String,
    pub reference: String,
    pub subject: String,
    pub author: PersonId,
    pub author_name: String,
    /// Markdown, as it was written.
    pub text: String,
    pub state: State,
    pub held_because: Option<HeldBecause>,
    pub planned_for: Option<UtcTime>,
    /// When it was written, held, taken back, or had its time changed.
    pub changed_at: UtcTime,
}

/// What `agent` has not said yet, and what is held of everybody in the tickets that they see; what changed last comes first.
pub fn page(db: &mut DbConnection, agent: &StaffActor, after: Option<Cursor>, size: i64) -> Result<Page<Unsaid>> {
    type Row = (
        (PlannedAnswerId, String, String, PersonId),
        (State, Option<HeldBecause>, Option<UtcTime>, UtcTime),
        (String, String),
        (String, String),
    );
    let of_interest = || planned_answers::author_id.eq(agent.person).or(planned_answers::state.eq(State::Held));
    let of = planned_answers::table.filter(of_interest()).select(planned_answers::ticket_id).distinct().load(db)?;
    let seen = seen_among(db, agent, of)?;
    let mut unsaid = planned_answers::table
        .inner_join(tickets::table.on(tickets::id.eq(planned_answers::ticket_id)))
        .inner_join(people::table.on(people::id.eq(planned_answers::author_id)))
        .filter(of_interest())
        .filter(one_of(planned_answers::ticket_id, seen.into_iter().map(|id| id.0)))
        .into_boxed();
    if let Some(after) = after {
        let at_that_time = planned_answers::changed_at.eq(after.time);
        unsaid = unsaid.filter(
            planned_answers::changed_at
                .lt(after.time)
                .or(at_that_time.and(planned_answers::id.lt(PlannedAnswerId(after.id)))),
        );
    }
    let rows: Vec<Row> = unsaid
        .order((planned_answers::changed_at.desc(), planned_answers::id.desc()))
        .limit(size + 1)
        .select((
            (planned_answers::id, planned_answers::handle, planned_answers::body_text, planned_answers::author_id),
            (
                planned_answers::state,
                planned_answers::held_because,
                planned_answers::planned_for,
                planned_answers::changed_at,
            ),
            (tickets::reference, tickets::subject),
            (people::first_name, people::last_name),
        ))
        .load(db)?;
    let rows = rows.into_iter().map(|(answer, (state, held_because, planned_for, changed_at), ticket, name)| Unsaid {
        id: answer.0,
        handle: answer.1,
        text: answer.2,
        author: answer.3,
        author_name: display_name(&name.0, &name.1, ""),
        reference: ticket.0,
        subject: ticket.1,
        state,
        held_because,
        planned_for,
        changed_at,
    });
    Ok(Page::cut(rows.collect(), size, |answer| Cursor { time: answer.changed_at, id: answer.id.0 }))
}

/// How many answers of `agent` are held in tickets that they see, up to [`COUNTED_TO`].
pub fn own_held(db: &mut DbConnection, agent: &StaffActor) -> Result<i64> {
    let held = planned_answers::table
        .filter(planned_answers::author_id.eq(agent.person))
        .filter(planned_answers::state.eq(State::Held))
        .limit(COUNTED_TO)
        .select(planned_answers::ticket_id);
    let of: Vec<TicketId> = one_text!(held).load(db)?;
    let seen = seen_among(db, agent, of.clone())?;
    Ok(of.iter().filter(|ticket| seen.contains(ticket)).count() as i64)
}

/// Those of these tickets that `agent` sees; there never are many in which something is not said yet.
fn seen_among(db: &mut DbConnection, agent: &StaffActor, of: Vec<TicketId>) -> Result<Vec<TicketId>> {
    if of.is_empty() {
        return Ok(of);
    }
    let seen = access::visible_to(&Actor::Staff(agent.clone())).filter(one_of(tickets::id, of.iter().map(|id| id.0)));
    Ok(seen.select(tickets::id).load(db)?)
}

/// In which of these tickets an answer is held, or waits for its time; held comes first.
pub fn marks(db: &mut DbConnection, of: &[TicketId]) -> Result<Vec<(TicketId, State)>> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut marks: Vec<(TicketId, State)> = planned_answers::table
        .filter(one_of(planned_answers::ticket_id, of.iter().map(|id| id.0)))
        .filter(planned_answers::state.ne(State::TakenBack))
        .select((planned_answers::ticket_id, planned_answers::state))
        .load(db)?;
    marks.sort_by_key(|(_, state)| *state != State::Held);
    Ok(marks)
}
