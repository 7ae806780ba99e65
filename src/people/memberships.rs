//! Who belongs to which organisation, and with which rights there.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{memberships, organisations};
use crate::db::types::{OrganisationId, PersonId};
use crate::error::Result;

/// The rights of a member in one organisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// See every ticket of the organisation that is not private, where the organisation allows it.
    pub sees_all_tickets: bool,
    /// Manage members, sites and environments.
    pub manages_organisation: bool,
    /// Grant tracing for the whole organisation.
    pub grants_tracing: bool,
}

/// One membership of a person.
#[derive(Clone, Debug, Queryable)]
pub struct Membership {
    pub organisation_id: OrganisationId,
    pub sees_all_tickets: bool,
    pub manages_organisation: bool,
    pub grants_tracing: bool,
    /// Whether the organisation lets its members see each other's tickets at all.
    pub colleagues_see_tickets: bool,
}

/// The memberships of `person`, the oldest first.
pub fn of_person(db: &mut DbConnection, person: PersonId) -> Result<Vec<Membership>> {
    Ok(memberships::table
        .inner_join(organisations::table)
        .filter(memberships::person_id.eq(person))
        .order(memberships::id)
        .select((
            memberships::organisation_id,
            memberships::sees_all_tickets,
            memberships::manages_organisation,
            memberships::grants_tracing,
            organisations::colleagues_see_tickets,
        ))
        .load(db)?)
}

/// Makes `person` a member.
pub fn add(
    db: &mut DbConnection,
    person: PersonId,
    organisation: OrganisationId,
    rights: Rights,
    now: UtcTime,
) -> Result<()> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::person_id.eq(person),
            memberships::organisation_id.eq(organisation),
            memberships::sees_all_tickets.eq(rights.sees_all_tickets),
            memberships::manages_organisation.eq(rights.manages_organisation),
            memberships::grants_tracing.eq(rights.grants_tracing),
            memberships::created_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}
