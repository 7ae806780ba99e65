//! Who works for the operator, in which roles, and their undertaking of confidentiality (A4). There is always one active
//! person who may give roles.

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{people, person_addresses, staff_member_roles, staff_members, staff_roles};
use crate::db::types::{Json, PersonId, StaffRoleId};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::people::person::{PersonState, display_name};
use crate::people::roles::{BuiltinRole, Permission};

/// The wording of the confidentiality undertaking in force; agents accept it again when it changes (A4). The text is
/// `undertaking-text` of the catalogue.
pub const UNDERTAKING_VERSION: i32 = 1;

/// Somebody who works for the operator, as lists show them.
#[derive(Clone, Debug)]
pub struct StaffMember {
    pub person_id: PersonId,
    pub handle: String,
    pub name: String,
    pub address: String,
    pub state: PersonState,
    /// The wording they accepted last, if any.
    pub undertaking_version: Option<i32>,
    pub undertaking_accepted_at: Option<UtcTime>,
    pub roles: Vec<RoleOfMember>,
}

/// A role as it stands beside a name.
#[derive(Clone, Debug)]
pub struct RoleOfMember {
    pub id: StaffRoleId,
    pub builtin: Option<BuiltinRole>,
    pub name: String,
}

/// Everybody who works for the operator, by name.
pub fn all(db: &mut DbConnection) -> Result<Vec<StaffMember>> {
    type Row = (PersonId, String, String, String, String, PersonState, Option<i32>, Option<UtcTime>);
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
                person_addresses::address,
                people::state,
                staff_members::undertaking_version,
                staff_members::undertaking_accepted_at,
            ))
            .load(db)?;
    let roles: Vec<(PersonId, StaffRoleId, Option<BuiltinRole>, String)> = staff_member_roles::table
        .inner_join(staff_roles::table)
        .order(staff_roles::id)
        .select((staff_member_roles::person_id, staff_roles::id, staff_roles::builtin, staff_roles::name))
        .load(db)?;
    let roles_of = |person: PersonId| {
        let own = roles.iter().filter(|(owner, ..)| *owner == person);
        own.map(|(_, id, builtin, name)| RoleOfMember { id: *id, builtin: *builtin, name: name.clone() }).collect()
    };
    Ok(rows
        .into_iter()
        .map(|(id, handle, first_name, last_name, address, state, version, accepted_at)| StaffMember {
            person_id: id,
            handle,
            name: display_name(&first_name, &last_name, &address),
            address,
            state,
            undertaking_version: version,
            undertaking_accepted_at: accepted_at,
            roles: roles_of(id),
        })
        .collect())
}

/// Whether the person works for the operator.
pub fn is_staff(db: &mut DbConnection, person: PersonId) -> Result<bool> {
    let found: i64 = staff_members::table.filter(staff_members::person_id.eq(person)).count().get_result(db)?;
    Ok(found > 0)
}

/// Whether somebody of the staff is reached at `domain`, which is in ASCII and lower case.
pub fn has_address_at(db: &mut DbConnection, domain: &str) -> Result<bool> {
    let found: Option<PersonId> = staff_members::table
        .inner_join(person_addresses::table.on(person_addresses::person_id.eq(staff_members::person_id)))
        .filter(person_addresses::canonical.like(format!("%@{domain}")))
        .select(staff_members::person_id)
        .first(db)
        .optional()?;
    Ok(found.is_some())
}

/// The roles of `person`.
pub fn roles_of(db: &mut DbConnection, person: PersonId) -> Result<Vec<StaffRoleId>> {
    Ok(staff_member_roles::table
        .filter(staff_member_roles::person_id.eq(person))
        .order(staff_member_roles::staff_role_id)
        .select(staff_member_roles::staff_role_id)
        .load(db)?)
}

/// Gives `person` exactly these roles, and makes them staff with the first; without any they are staff no more.
pub fn set_roles(
    db: &mut DbConnection,
    person: PersonId,
    roles: &[StaffRoleId],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    // First, for it makes changes of roles wait for each other: the count of administrators below holds then.
    record(db, "role_changed", person, &roles, by, now)?;
    diesel::delete(staff_member_roles::table.filter(staff_member_roles::person_id.eq(person))).execute(db)?;
    if roles.is_empty() {
        diesel::delete(staff_members::table.filter(staff_members::person_id.eq(person))).execute(db)?;
        return keep_an_administrator(db);
    }
    if !is_staff(db, person)? {
        diesel::insert_into(staff_members::table)
            .values((staff_members::person_id.eq(person), staff_members::created_at.eq(now)))
            .execute(db)?;
    }
    for role in roles {
        diesel::insert_into(staff_member_roles::table)
            .values((staff_member_roles::person_id.eq(person), staff_member_roles::staff_role_id.eq(role)))
            .execute(db)?;
    }
    keep_an_administrator(db)
}

/// Records that `person` accepts the undertaking in force (A4).
pub fn accept_undertaking(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<()> {
    let changed = diesel::update(staff_members::table.find(person))
        .set((
            staff_members::undertaking_version.eq(UNDERTAKING_VERSION),
            staff_members::undertaking_accepted_at.eq(now),
        ))
        .execute(db)?;
    if changed == 0 {
        return Err(Error::Forbidden);
    }
    let entry = audit::Entry {
        kind: "undertaking_accepted",
        actor: Some(person),
        subject: Some(person),
        organisation: None,
        detail: json!({ "version": UNDERTAKING_VERSION }),
    };
    audit::record(db, &entry, now)
}

/// Whether an active person may give roles: before the first there is set-up, and after it always one.
pub fn has_administrator(db: &mut DbConnection) -> Result<bool> {
    let sets: Vec<Json<Vec<Permission>>> = staff_member_roles::table
        .inner_join(staff_roles::table)
        .inner_join(people::table.on(people::id.eq(staff_member_roles::person_id)))
        .filter(people::state.eq(PersonState::Active))
        .select(staff_roles::permissions)
        .load(db)?;
    Ok(sets.iter().any(|set| set.0.contains(&Permission::ManageStaff)))
}

/// Refuses the change just made if nobody is left who may give roles.
pub(super) fn keep_an_administrator(db: &mut DbConnection) -> Result<()> {
    if has_administrator(db)? { Ok(()) } else { Err(Error::Conflict(Message::new("conflict-last-administrator"))) }
}

fn record(
    db: &mut DbConnection,
    kind: &'static str,
    person: PersonId,
    roles: &[StaffRoleId],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let names: Vec<String> = staff_roles::table
        .filter(staff_roles::id.eq_any(roles))
        .order(staff_roles::id)
        .select(staff_roles::name)
        .load(db)?;
    if names.len() != roles.len() {
        return Err(Error::invalid("roles", "error-role-unknown"));
    }
    let entry =
        audit::Entry { kind, actor: by, subject: Some(person), organisation: None, detail: json!({ "roles": names }) };
    audit::record(db, &entry, now)
}
