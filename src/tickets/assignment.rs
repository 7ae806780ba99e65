//! Who takes care of a ticket.

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{people, queue_members, staff_member_roles, staff_members, staff_roles};
use crate::db::types::{Json, PersonId, QueueId};
use crate::error::{Error, Result};
use crate::people::person::{PersonState, display_name};
use crate::people::roles::Permission;
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::ticket::{self, Change, Ticket};

/// Somebody who could take care of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colleague {
    pub id: PersonId,
    pub handle: String,
    pub name: String,
}

/// Gives the ticket to `agent`, who must work in its queue, or to nobody.
pub fn assign(db: &mut DbConnection, ticket: &Ticket, agent: Option<PersonId>, by: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if ticket.assignee_id == agent {
        return Ok(());
    }
    if let Some(agent) = agent
        && by.person() != Some(agent)
        && !colleagues(db, ticket.queue_id)?.iter().any(|colleague| colleague.id == agent)
    {
        return Err(Error::invalid("assignee", "assignee-not-in-queue"));
    }
    ticket::change(db, ticket, Change { assignee_id: Some(agent), ..Change::default() }, now)?;
    let details = Details { person: agent, previous_person: ticket.assignee_id, ..Details::default() };
    events::record(db, ticket, NewEvent::by(by, EventKind::Assigned).with(details), now)?;
    Ok(())
}

/// The active staff who work in `queue`, in the order of their names.
pub fn colleagues(db: &mut DbConnection, queue: QueueId) -> Result<Vec<Colleague>> {
    let members: Vec<PersonId> =
        queue_members::table.filter(queue_members::queue_id.eq(queue)).select(queue_members::person_id).load(db)?;
    let permissions: Vec<(PersonId, Json<Vec<Permission>>)> = staff_member_roles::table
        .inner_join(staff_roles::table)
        .select((staff_member_roles::person_id, staff_roles::permissions))
        .load(db)?;
    let may = |person: PersonId, permission: Permission| {
        permissions.iter().any(|(of, permitted)| *of == person && permitted.0.contains(&permission))
    };
    let staff: Vec<(PersonId, String, String, String)> = staff_members::table
        .inner_join(people::table)
        .filter(people::state.eq(PersonState::Active))
        .select((people::id, people::handle, people::first_name, people::last_name))
        .load(db)?;
    let mut colleagues: Vec<Colleague> = staff
        .into_iter()
        .filter(|(id, ..)| may(*id, Permission::WorkTickets))
        .filter(|(id, ..)| members.contains(id) || may(*id, Permission::SeeAllQueues))
        .map(|(id, handle, first_name, last_name)| Colleague {
            id,
            name: display_name(&first_name, &last_name, &handle),
            handle,
        })
        .collect();
    colleagues.sort_by_key(|left| left.name.to_lowercase());
    Ok(colleagues)
}
