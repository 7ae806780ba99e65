//! Staff roles: named sets of permissions. Four are built in; an administrator may add others.

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{staff_member_roles, staff_roles};
use crate::db::types::{Json, PersonId, StaffRoleId, text_enum};
use crate::error::{FieldErrors, Result};
use crate::people::{fields, staff};
use crate::secret::random_handle;

text_enum! {
    /// Something that staff may do. Every check in `access` asks for one of these.
    pub enum Permission {
        /// Read and answer tickets of one's queues.
        WorkTickets = "work_tickets",
        /// See the tickets of every queue.
        SeeAllQueues = "see_all_queues",
        /// Manage queues, who works in them, and mailboxes.
        ManageQueues = "manage_queues",
        /// Create and change people and organisations, and invite them.
        ManagePeople = "manage_people",
        /// Give and take staff roles.
        ManageStaff = "manage_staff",
        /// See the state of the installation: mail, jobs, unprocessed and failed mail; retry and reassign.
        OperateInstallation = "operate_installation",
        /// Read the ledger.
        ReadLedger = "read_ledger",
        /// Answer requests under privacy law, set retention.
        ManagePrivacy = "manage_privacy",
    }
}

text_enum! {
    /// The roles that every installation has.
    pub enum BuiltinRole {
        Agent = "agent",
        Supervisor = "supervisor",
        Administrator = "administrator",
        PrivacyOfficer = "privacy_officer",
    }
}

impl BuiltinRole {
    /// What the role permits when the installation is made.
    pub fn permissions(self) -> Vec<Permission> {
        use Permission as P;
        match self {
            BuiltinRole::Agent => vec![P::WorkTickets],
            BuiltinRole::Supervisor => vec![P::WorkTickets, P::SeeAllQueues, P::ManagePeople, P::ManageQueues],
            BuiltinRole::Administrator => {
                vec![P::ManageQueues, P::ManagePeople, P::ManageStaff, P::OperateInstallation, P::ReadLedger]
            }
            BuiltinRole::PrivacyOfficer => vec![P::ManagePrivacy, P::ReadLedger],
        }
    }
}

/// A role as it stands in the database.
#[derive(Clone, Debug, Queryable)]
pub struct StaffRole {
    pub id: StaffRoleId,
    pub handle: String,
    pub builtin: Option<BuiltinRole>,
    pub name: String,
    pub permissions: Json<Vec<Permission>>,
}

/// Makes the built-in roles, once.
pub fn create_builtin(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    for role in BuiltinRole::ALL {
        let exists: i64 = staff_roles::table.filter(staff_roles::builtin.eq(role)).count().get_result(db)?;
        if exists == 0 {
            diesel::insert_into(staff_roles::table)
                .values((
                    staff_roles::handle.eq(random_handle()),
                    staff_roles::builtin.eq(role),
                    staff_roles::name.eq(role.as_str()),
                    staff_roles::permissions.eq(Json(role.permissions())),
                    staff_roles::updated_at.eq(now),
                ))
                .execute(db)?;
        }
    }
    Ok(())
}

/// Makes a role of the operator's own.
pub fn create(
    db: &mut DbConnection,
    name: &str,
    permissions: &[Permission],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let name = fields::mandatory_line(&mut errors, "name", name, fields::NAME_LENGTH);
    errors.into_result()?;
    let handle = random_handle();
    diesel::insert_into(staff_roles::table)
        .values((
            staff_roles::handle.eq(&handle),
            staff_roles::name.eq(name),
            staff_roles::permissions.eq(Json(sorted(permissions))),
            staff_roles::updated_at.eq(now),
        ))
        .execute(db)?;
    record(db, "staff_role_created", &handle, permissions, by, now)
}

/// Changes what a role permits and, if it is not built in, its name. Somebody must stay who may give roles.
pub fn update(
    db: &mut DbConnection,
    role: &StaffRole,
    name: &str,
    permissions: &[Permission],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let name = match role.builtin {
        Some(_) => role.name.clone(),
        None => fields::mandatory_line(&mut errors, "name", name, fields::NAME_LENGTH),
    };
    errors.into_result()?;
    // First, for it makes changes of roles wait for each other: that somebody is left holds then.
    record(db, "staff_role_changed", &role.handle, permissions, by, now)?;
    diesel::update(staff_roles::table.find(role.id))
        .set((
            staff_roles::name.eq(name),
            staff_roles::permissions.eq(Json(sorted(permissions))),
            staff_roles::updated_at.eq(now),
        ))
        .execute(db)?;
    staff::keep_an_administrator(db)
}

fn sorted(permissions: &[Permission]) -> Vec<Permission> {
    let mut permissions = permissions.to_vec();
    permissions.sort_unstable();
    permissions.dedup();
    permissions
}

fn record(
    db: &mut DbConnection,
    kind: &'static str,
    handle: &str,
    permissions: &[Permission],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let detail = json!({ "role": handle, "permissions": sorted(permissions) });
    audit::record(db, &audit::Entry { kind, actor: by, subject: None, organisation: None, detail }, now)
}

/// The role with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<StaffRole>> {
    Ok(all(db)?.into_iter().find(|role| role.handle == handle))
}

/// Every role, the built-in ones first.
pub fn all(db: &mut DbConnection) -> Result<Vec<StaffRole>> {
    Ok(staff_roles::table
        .order(staff_roles::id)
        .select((
            staff_roles::id,
            staff_roles::handle,
            staff_roles::builtin,
            staff_roles::name,
            staff_roles::permissions,
        ))
        .load(db)?)
}

/// The built-in role of that name.
pub fn builtin(db: &mut DbConnection, role: BuiltinRole) -> Result<StaffRoleId> {
    Ok(staff_roles::table.filter(staff_roles::builtin.eq(role)).select(staff_roles::id).first(db)?)
}

/// Everything that the roles of `person` permit together; empty for who is not staff.
pub fn permissions_of(db: &mut DbConnection, person: PersonId) -> Result<Vec<Permission>> {
    let sets: Vec<Json<Vec<Permission>>> = one_text!(
        staff_member_roles::table
            .inner_join(staff_roles::table)
            .filter(staff_member_roles::person_id.eq(person))
            .select(staff_roles::permissions)
    )
    .load(db)?;
    let mut permissions: Vec<Permission> = sets.into_iter().flat_map(|set| set.0).collect();
    permissions.sort_unstable();
    permissions.dedup();
    Ok(permissions)
}
