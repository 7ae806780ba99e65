//! Holding answers that wait: they do not go out before somebody says so. Each hold is an event of the ticket, by which its
//! author is told, or who works there when its author does not any more.

use diesel::prelude::*;

use super::{HeldBecause, PlannedAnswer, State, find_by_id};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::planned_answers;
use crate::db::types::{PersonId, PlannedAnswerId};
use crate::error::Result;
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::ticket::{self, Ticket};

/// No person has this id: ids begin at one.
const NOBODY: PersonId = PersonId(0);

/// Something happened by `maker` in the ticket: what others have waiting was written without knowing it, and is held.
pub fn hold_others(
    db: &mut DbConnection,
    ticket: &Ticket,
    maker: Option<PersonId>,
    because: HeldBecause,
    now: UtcTime,
) -> Result<()> {
    let waiting = planned_answers::table
        .filter(planned_answers::ticket_id.eq(ticket.id))
        .filter(planned_answers::state.eq(State::Waiting))
        .filter(planned_answers::author_id.ne(maker.unwrap_or(NOBODY)));
    let hold = diesel::update(waiting)
        .set((
            planned_answers::state.eq(State::Held),
            planned_answers::held_because.eq(because),
            planned_answers::changed_at.eq(now),
        ))
        .returning(planned_answers::author_id);
    for author in one_text!(promised hold).load(db)? {
        record_hold(db, ticket, author, because, now)?;
    }
    Ok(())
}

/// Holds everything that waits in a restored backup: what was sent after the backup was made is not to be sent again.
pub fn hold_restored(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    for answer in waiting(db, None)? {
        hold(db, answer, HeldBecause::Restored, now)?;
    }
    Ok(())
}

/// The account of `author` is disabled: nothing goes out in their name.
pub fn hold_of_author(db: &mut DbConnection, author: PersonId, now: UtcTime) -> Result<()> {
    for answer in waiting(db, Some(author))? {
        hold(db, answer, HeldBecause::AuthorLeft, now)?;
    }
    Ok(())
}

/// The answers that wait, of one author or of all.
fn waiting(db: &mut DbConnection, author: Option<PersonId>) -> Result<Vec<PlannedAnswerId>> {
    let mut waiting = planned_answers::table.filter(planned_answers::state.eq(State::Waiting)).into_boxed();
    if let Some(author) = author {
        waiting = waiting.filter(planned_answers::author_id.eq(author));
    }
    Ok(waiting.order(planned_answers::id).select(planned_answers::id).load(db)?)
}

fn hold(db: &mut DbConnection, answer: PlannedAnswerId, because: HeldBecause, now: UtcTime) -> Result<()> {
    let Some(answer) = find_by_id(db, answer)? else { return Ok(()) };
    let ticket = ticket::by_id(db, answer.ticket)?;
    hold_if_waiting(db, &ticket, &answer, because, now).map(drop)
}

/// Gives whether it was waiting until now.
pub(super) fn hold_if_waiting(
    db: &mut DbConnection,
    ticket: &Ticket,
    answer: &PlannedAnswer,
    because: HeldBecause,
    now: UtcTime,
) -> Result<bool> {
    ticket::lock(db, ticket.id)?;
    let waiting = planned_answers::table.find(answer.id).filter(planned_answers::state.eq(State::Waiting));
    let held = diesel::update(waiting)
        .set((
            planned_answers::state.eq(State::Held),
            planned_answers::held_because.eq(because),
            planned_answers::changed_at.eq(now),
        ))
        .execute(db)?;
    if held == 0 {
        return Ok(false);
    }
    record_hold(db, ticket, answer.author, because, now)?;
    Ok(true)
}

fn record_hold(
    db: &mut DbConnection,
    ticket: &Ticket,
    author: PersonId,
    because: HeldBecause,
    now: UtcTime,
) -> Result<()> {
    let event = NewEvent {
        kind: EventKind::AnswerHeld,
        maker: Maker::System,
        person: None,
        message: None,
        details: Details { person: Some(author), to: Some(because.as_str().to_owned()), ..Details::default() },
    };
    events::record(db, ticket, event, now)?;
    Ok(())
}
