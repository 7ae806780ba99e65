//! Which staff work in which queue. That decides which tickets an agent sees, so every change is in the ledger.

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{people, person_addresses, queue_members, staff_members};
use crate::db::types::{PersonId, QueueId};
use crate::error::{Error, Result};
use crate::people::person::{PersonState, display_name};
use crate::teams::Queue;

/// Somebody of the staff, and whether they work in the queue that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMember {
    pub person: PersonId,
    pub handle: String,
    pub name: String,
    pub is_active: bool,
}

/// The queues in which `person` works.
pub fn queues_of(db: &mut DbConnection, person: PersonId) -> Result<Vec<QueueId>> {
    Ok(one_text!(
        queue_members::table
            .filter(queue_members::person_id.eq(person))
            .order(queue_members::queue_id)
            .select(queue_members::queue_id)
    )
    .load(db)?)
}

/// Who works in `queue`, by name.
pub fn of_queue(db: &mut DbConnection, queue: QueueId) -> Result<Vec<QueueMember>> {
    let ids: Vec<PersonId> =
        queue_members::table.filter(queue_members::queue_id.eq(queue)).select(queue_members::person_id).load(db)?;
    let mut staff = all_staff(db)?;
    staff.retain(|member| ids.contains(&member.person));
    Ok(staff)
}

/// The active among those who work in `queue`, by name.
pub fn active_in(db: &mut DbConnection, queue: QueueId) -> Result<Vec<PersonId>> {
    Ok(one_text!(
        queue_members::table
            .inner_join(people::table.on(people::id.eq(queue_members::person_id)))
            .filter(queue_members::queue_id.eq(queue))
            .filter(people::state.eq(PersonState::Active))
            .order((people::sort_name, people::id))
            .select(people::id)
    )
    .load(db)?)
}

/// Everybody who can be given a queue, by name.
pub fn all_staff(db: &mut DbConnection) -> Result<Vec<QueueMember>> {
    type Row = (PersonId, String, String, String, PersonState, String);
    let rows: Vec<Row> =
        staff_members::table
            .inner_join(people::table)
            .inner_join(person_addresses::table.on(
                person_addresses::person_id.eq(staff_members::person_id).and(person_addresses::is_primary.eq(true)),
            ))
            .order((people::sort_name, people::id))
            .select((
                people::id,
                people::handle,
                people::first_name,
                people::last_name,
                people::state,
                person_addresses::address,
            ))
            .load(db)?;
    Ok(rows
        .into_iter()
        .map(|(person, handle, first_name, last_name, state, address)| QueueMember {
            person,
            handle,
            name: display_name(&first_name, &last_name, &address),
            is_active: state == PersonState::Active,
        })
        .collect())
}

/// Has `person`, who must be staff, work in `queue`. Nothing happens when they already do.
pub fn add(db: &mut DbConnection, queue: &Queue, person: PersonId, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    let staff: i64 = staff_members::table.filter(staff_members::person_id.eq(person)).count().get_result(db)?;
    if staff == 0 {
        return Err(Error::NotFound);
    }
    if queues_of(db, person)?.contains(&queue.id) {
        return Ok(());
    }
    diesel::insert_into(queue_members::table)
        .values((queue_members::queue_id.eq(queue.id), queue_members::person_id.eq(person)))
        .execute(db)?;
    record(db, "queue_member_added", queue, person, by, now)
}

/// Ends somebody's work in `queue`.
pub fn remove(
    db: &mut DbConnection,
    queue: &Queue,
    person: PersonId,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let removed = diesel::delete(
        queue_members::table.filter(queue_members::queue_id.eq(queue.id)).filter(queue_members::person_id.eq(person)),
    )
    .execute(db)?;
    if removed == 0 {
        return Err(Error::NotFound);
    }
    record(db, "queue_member_removed", queue, person, by, now)
}

fn record(
    db: &mut DbConnection,
    kind: &'static str,
    queue: &Queue,
    person: PersonId,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let detail = json!({ "queue": queue.handle });
    audit::record(db, &audit::Entry { kind, actor: by, subject: Some(person), organisation: None, detail }, now)
}
