//! Who belongs to which organisation, with which rights there, and who is its contact. Nobody becomes a member by the
//! domain of an address: every membership is made by somebody who may, through [`add`].

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::paging::Page;
use crate::db::schema::{memberships, organisations, people, person_addresses, staff_members};
use crate::db::types::{Language, OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::mail::address::shown_address;
use crate::people::notices::{self, Notice};
use crate::people::organisations::{self as organisation, OrganisationKind};
use crate::people::person::{PersonState, display_name, full_name};
use crate::people::staff;

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

impl Rights {
    /// Everything: what one has in an organisation that is oneself.
    pub const ALL: Rights = Rights { sees_all_tickets: true, manages_organisation: true, grants_tracing: true };
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

/// A member as the organisation's pages list them.
#[derive(Clone, Debug, Queryable)]
pub struct Member {
    pub person_id: PersonId,
    pub handle: String,
    pub first_name: String,
    pub last_name: String,
    pub job_title: String,
    pub telephone: String,
    pub state: PersonState,
    pub address: String,
    pub sees_all_tickets: bool,
    pub manages_organisation: bool,
    pub grants_tracing: bool,
    /// Whether this is the one contact person of the organisation (E1).
    pub is_contact: bool,
    pub since: UtcTime,
}

impl Member {
    pub fn display_name(&self) -> String {
        display_name(&self.first_name, &self.last_name, &self.address)
    }

    pub fn rights(&self) -> Rights {
        Rights {
            sees_all_tickets: self.sees_all_tickets,
            manages_organisation: self.manages_organisation,
            grants_tracing: self.grants_tracing,
        }
    }
}

/// A membership as the person's own pages list it.
#[derive(Clone, Debug, Queryable)]
pub struct Belonging {
    pub organisation_handle: String,
    pub organisation_name: String,
    pub kind: OrganisationKind,
    pub sees_all_tickets: bool,
    pub manages_organisation: bool,
    pub grants_tracing: bool,
    pub is_contact: bool,
}

/// The memberships of `person`, the oldest first.
pub fn of_person(db: &mut DbConnection, person: PersonId) -> Result<Vec<Membership>> {
    Ok(one_text!(
        memberships::table
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
    )
    .load(db)?)
}

/// The organisations of `person` with their names, the oldest membership first.
pub fn belongings(db: &mut DbConnection, person: PersonId) -> Result<Vec<Belonging>> {
    Ok(one_text!(
        memberships::table
            .inner_join(organisations::table)
            .filter(memberships::person_id.eq(person))
            .order(memberships::id)
            .select((
                organisations::handle,
                organisations::name,
                organisations::kind,
                memberships::sees_all_tickets,
                memberships::manages_organisation,
                memberships::grants_tracing,
                memberships::is_contact,
            ))
    )
    .load(db)?)
}

macro_rules! members {
    () => {
        memberships::table
            .inner_join(people::table)
            .inner_join(
                person_addresses::table.on(person_addresses::person_id
                    .eq(memberships::person_id)
                    .and(person_addresses::is_primary.eq(true))),
            )
            .select((
                people::id,
                people::handle,
                people::first_name,
                people::last_name,
                people::job_title,
                people::telephone,
                people::state,
                person_addresses::address,
                memberships::sees_all_tickets,
                memberships::manages_organisation,
                memberships::grants_tracing,
                memberships::is_contact,
                memberships::created_at,
            ))
    };
}

/// The organisations of `person` with their names, the oldest membership first: what they choose from.
pub fn names_of(db: &mut DbConnection, person: PersonId) -> Result<Vec<(OrganisationId, String)>> {
    Ok(one_text!(
        memberships::table
            .inner_join(organisations::table)
            .filter(memberships::person_id.eq(person))
            .order(memberships::id)
            .select((organisations::id, organisations::name))
    )
    .load(db)?)
}

/// One page of an organisation's members by name, after the one with the handle `after`.
pub fn members(
    db: &mut DbConnection,
    organisation: OrganisationId,
    after: Option<&str>,
    limit: i64,
) -> Result<Page<Member, String>> {
    let mut query = members!()
        .filter(memberships::organisation_id.eq(organisation))
        .order((people::sort_name, people::id))
        .limit(limit + 1)
        .into_boxed();
    if let Some(after) = after {
        // Only a member marks a place, or the list would tell where strangers' names sort.
        let place: Option<(String, PersonId)> = memberships::table
            .inner_join(people::table)
            .filter(memberships::organisation_id.eq(organisation))
            .filter(people::handle.eq(after))
            .select((people::sort_name, people::id))
            .first(db)
            .optional()?;
        let (name, id) = place.ok_or(Error::NotFound)?;
        query =
            query.filter(people::sort_name.ge(name.clone())).filter(people::sort_name.gt(name).or(people::id.gt(id)));
    }
    Ok(Page::cut(query.load(db)?, limit, |member: &Member| member.handle.clone()))
}

/// The members who may grant tracing for all of `organisation` and can sign in to do so, by name; staff never may (CN-06).
pub fn grantors(db: &mut DbConnection, organisation: OrganisationId, limit: i64) -> Result<Vec<PersonId>> {
    Ok(memberships::table
        .inner_join(people::table)
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::grants_tracing.eq(true))
        .filter(people::state.eq(PersonState::Active))
        .filter(people::id.ne_all(staff_members::table.select(staff_members::person_id)))
        .order((people::sort_name, people::id))
        .limit(limit)
        .select(people::id)
        .load(db)?)
}

/// Everybody who may grant tracing for all of an organisation that is not themselves: its name, and their address.
pub fn all_grantors(db: &mut DbConnection) -> Result<Vec<(String, String)>> {
    Ok(memberships::table
        .inner_join(organisations::table)
        .inner_join(people::table)
        .inner_join(
            person_addresses::table
                .on(person_addresses::person_id.eq(people::id).and(person_addresses::is_primary.eq(true))),
        )
        .filter(memberships::grants_tracing.eq(true))
        .filter(people::state.eq(PersonState::Active))
        .filter(people::id.ne_all(staff_members::table.select(staff_members::person_id)))
        .filter(organisations::kind.ne(OrganisationKind::Individual))
        .order((organisations::name, organisations::id, people::sort_name, people::id))
        .select((organisations::name, person_addresses::address, people::first_name, people::last_name))
        .load::<(String, String, String, String)>(db)?
        .into_iter()
        .map(|(organisation, address, first_name, last_name)| match shown_address(&address) {
            "" => (organisation, full_name(&first_name, &last_name)),
            address => (organisation, address.to_owned()),
        })
        .collect())
}

/// The member of `organisation` with that public name.
pub fn find_member(db: &mut DbConnection, organisation: OrganisationId, handle: &str) -> Result<Option<Member>> {
    Ok(members!()
        .filter(memberships::organisation_id.eq(organisation))
        .filter(people::handle.eq(handle))
        .first(db)
        .optional()?)
}

/// The contact person of `organisation`; there is one as soon as there is a member.
pub fn find_contact(db: &mut DbConnection, organisation: OrganisationId) -> Result<Option<Member>> {
    Ok(members!()
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::is_contact.eq(true))
        .first(db)
        .optional()?)
}

/// Makes `person` a member. The first member is the organisation's contact; somebody on their own stays so. Later ones
/// have the right to grant tracing from within only, as in [`change_rights`].
pub fn add(
    db: &mut DbConnection,
    person: PersonId,
    organisation: OrganisationId,
    rights: Rights,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    organisation::touch(db, organisation, now)?;
    let others: Vec<PersonId> = one_text!(
        memberships::table.filter(memberships::organisation_id.eq(organisation)).select(memberships::person_id)
    )
    .load(db)?;
    if others.contains(&person) {
        return Err(Error::invalid("address", "error-already-member"));
    }
    if !others.is_empty() && kind_of(db, organisation)? == OrganisationKind::Individual {
        return Err(Error::Forbidden);
    }
    let from_outside = is_from_outside(db, by)?;
    if rights.grants_tracing && from_outside && !others.is_empty() {
        return Err(Error::Conflict(Message::new("conflict-tracing-right")));
    }
    insert(db, person, organisation, rights, others.is_empty(), now)?;
    if let Some(by) = by.filter(|_| rights.manages_organisation && from_outside) {
        tell_of_manager(db, organisation, person, by, now)?;
    }
    record(db, "membership_added", organisation, person, rights, by, now)
}

/// Makes somebody the only member of the organisation of their own that was just made for them, with every right.
pub(super) fn begin(db: &mut DbConnection, person: PersonId, own: OrganisationId, now: UtcTime) -> Result<()> {
    insert(db, person, own, Rights::ALL, true, now)?;
    record(db, "membership_added", own, person, Rights::ALL, None, now)
}

fn insert(
    db: &mut DbConnection,
    person: PersonId,
    organisation: OrganisationId,
    rights: Rights,
    is_contact: bool,
    now: UtcTime,
) -> Result<()> {
    one_text!(diesel::insert_into(memberships::table).values((
        memberships::person_id.eq(person),
        memberships::organisation_id.eq(organisation),
        memberships::sees_all_tickets.eq(rights.sees_all_tickets),
        memberships::manages_organisation.eq(rights.manages_organisation),
        memberships::grants_tracing.eq(rights.grants_tracing),
        memberships::is_contact.eq(is_contact),
        memberships::created_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}

/// Gives a member other rights. Who manages last goes on managing while there are others to be managed. Staff take the
/// right to grant tracing away and never give it: who asks does not choose who answers (CN-06). When they name somebody
/// who manages, and so may give it, those who manage or grant already are told.
pub fn change_rights(
    db: &mut DbConnection,
    organisation: OrganisationId,
    person: PersonId,
    rights: Rights,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    organisation::touch(db, organisation, now)?;
    if !rights.manages_organisation {
        keep_a_manager(db, organisation, person)?;
    }
    let from_outside = is_from_outside(db, by)?;
    let before: Option<(bool, bool)> = memberships::table
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::person_id.eq(person))
        .select((memberships::manages_organisation, memberships::grants_tracing))
        .first(db)
        .optional()?;
    let (managed, granted) = before.ok_or(Error::NotFound)?;
    if rights.grants_tracing && !granted && from_outside {
        return Err(Error::Conflict(Message::new("conflict-tracing-right")));
    }
    if let Some(by) = by.filter(|_| rights.manages_organisation && !managed && from_outside) {
        tell_of_manager(db, organisation, person, by, now)?;
    }
    diesel::update(
        memberships::table
            .filter(memberships::organisation_id.eq(organisation))
            .filter(memberships::person_id.eq(person)),
    )
    .set((
        memberships::sees_all_tickets.eq(rights.sees_all_tickets),
        memberships::manages_organisation.eq(rights.manages_organisation),
        memberships::grants_tracing.eq(rights.grants_tracing),
    ))
    .execute(db)?;
    record(db, "membership_changed", organisation, person, rights, by, now)
}

/// Makes a member the organisation's one contact person.
pub fn make_contact(
    db: &mut DbConnection,
    organisation: OrganisationId,
    person: PersonId,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    organisation::touch(db, organisation, now)?;
    let of_organisation = memberships::table.filter(memberships::organisation_id.eq(organisation));
    diesel::update(of_organisation.filter(memberships::is_contact.eq(true)))
        .set(memberships::is_contact.eq(false))
        .execute(db)?;
    let changed = diesel::update(of_organisation.filter(memberships::person_id.eq(person)))
        .set(memberships::is_contact.eq(true))
        .execute(db)?;
    if changed == 0 {
        return Err(Error::NotFound);
    }
    let entry = audit::Entry {
        kind: "contact_changed",
        actor: by,
        subject: Some(person),
        organisation: Some(organisation),
        detail: json!({}),
    };
    audit::record(db, &entry, now)
}

/// Ends a membership. Who belongs to nothing else then belongs to an organisation of their own, and when the contact
/// goes, the member who has managed longest is the contact.
pub fn remove(
    db: &mut DbConnection,
    organisation: OrganisationId,
    person: PersonId,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    organisation::touch(db, organisation, now)?;
    if kind_of(db, organisation)? == OrganisationKind::Individual {
        return Err(Error::Forbidden);
    }
    keep_a_manager(db, organisation, person)?;
    let removed = diesel::delete(
        memberships::table
            .filter(memberships::organisation_id.eq(organisation))
            .filter(memberships::person_id.eq(person)),
    )
    .execute(db)?;
    if removed == 0 {
        return Err(Error::NotFound);
    }
    record(db, "membership_removed", organisation, person, Rights::default(), by, now)?;
    name_a_contact(db, organisation)?;
    let (first_name, last_name, language): (String, String, Language) =
        people::table.find(person).select((people::first_name, people::last_name, people::language)).first(db)?;
    let left: i64 = memberships::table.filter(memberships::person_id.eq(person)).count().get_result(db)?;
    if left == 0 {
        let address: String = person_addresses::table
            .filter(person_addresses::person_id.eq(person))
            .filter(person_addresses::is_primary.eq(true))
            .select(person_addresses::address)
            .first(db)?;
        let name = display_name(&first_name, &last_name, &address);
        organisation::create_individual(db, person, &name, language.0, now)?;
    }
    Ok(())
}

/// Whether who changes something there speaks for the operator and not for the organisation.
fn is_from_outside(db: &mut DbConnection, by: Option<PersonId>) -> Result<bool> {
    match by {
        Some(by) => staff::is_staff(db, by),
        None => Ok(false),
    }
}

/// Tells those of the organisation whom it concerns that staff named `manager`.
fn tell_of_manager(
    db: &mut DbConnection,
    organisation: OrganisationId,
    manager: PersonId,
    by: PersonId,
    now: UtcTime,
) -> Result<()> {
    let concerned: Vec<PersonId> = memberships::table
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::person_id.ne(manager))
        .filter(
            memberships::manages_organisation
                .eq(true)
                .or(memberships::grants_tracing.eq(true))
                .or(memberships::is_contact.eq(true)),
        )
        .order(memberships::id)
        .select(memberships::person_id)
        .load(db)?;
    for to in concerned {
        notices::send(db, &Notice::ManagerNamed { to, organisation, manager, by }, now)?;
    }
    Ok(())
}

fn kind_of(db: &mut DbConnection, organisation: OrganisationId) -> Result<OrganisationKind> {
    Ok(one_text!(organisations::table.find(organisation).select(organisations::kind)).first(db)?)
}

/// Refuses to take managing from `person` when nobody else manages the other members.
fn keep_a_manager(db: &mut DbConnection, organisation: OrganisationId, person: PersonId) -> Result<()> {
    let others: Vec<(bool, PersonState)> = memberships::table
        .inner_join(people::table)
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::person_id.ne(person))
        .select((memberships::manages_organisation, people::state))
        .load(db)?;
    let manages: Option<bool> = memberships::table
        .filter(memberships::organisation_id.eq(organisation))
        .filter(memberships::person_id.eq(person))
        .select(memberships::manages_organisation)
        .first(db)
        .optional()?;
    let another_manages = others.iter().any(|(manages, state)| *manages && *state == PersonState::Active);
    if manages == Some(true) && !others.is_empty() && !another_manages {
        return Err(Error::Conflict(Message::new("conflict-last-manager")));
    }
    Ok(())
}

/// Makes the longest-standing manager, else the longest-standing member, the contact if there is none.
fn name_a_contact(db: &mut DbConnection, organisation: OrganisationId) -> Result<()> {
    let members: Vec<(i64, bool, bool)> = memberships::table
        .filter(memberships::organisation_id.eq(organisation))
        .order((memberships::manages_organisation.desc(), memberships::id))
        .select((memberships::id, memberships::manages_organisation, memberships::is_contact))
        .load(db)?;
    if let Some((first, ..)) = members.first()
        && !members.iter().any(|(_, _, is_contact)| *is_contact)
    {
        diesel::update(memberships::table.find(*first)).set(memberships::is_contact.eq(true)).execute(db)?;
    }
    Ok(())
}

fn record(
    db: &mut DbConnection,
    kind: &'static str,
    organisation: OrganisationId,
    person: PersonId,
    rights: Rights,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let entry = audit::Entry {
        kind,
        actor: by,
        subject: Some(person),
        organisation: Some(organisation),
        detail: json!({
            "sees_all_tickets": rights.sees_all_tickets,
            "manages_organisation": rights.manages_organisation,
            "grants_tracing": rights.grants_tracing,
        }),
    };
    audit::record(db, &entry, now)
}
