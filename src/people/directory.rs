//! The list of everybody known, as administrators search it: by name or address, page by page.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::connection::MultiBackend;
use crate::db::one_of::one_of;
use crate::db::paging::Page;
use crate::db::schema::{memberships, organisations, people, person_addresses, staff_members};
use crate::db::types::PersonId;
use crate::error::{Error, Result};
use crate::people::fields;
use crate::people::organisations::OrganisationKind;
use crate::people::person::{PersonState, display_name};

/// What the list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What the last name or an address begins with; case and accents do not matter in names.
    pub text: String,
    pub state: Option<PersonState>,
    /// Only those who work for the operator, or only those who do not.
    pub staff: Option<bool>,
}

/// Somebody as the list shows them.
#[derive(Clone, Debug)]
pub struct Entry {
    pub handle: String,
    pub name: String,
    pub job_title: String,
    pub address: String,
    pub address_confirmed_at: Option<UtcTime>,
    pub state: PersonState,
    pub is_staff: bool,
    /// The names of their organisations, their own left out.
    pub organisations: Vec<String>,
}

/// One page of people by last name, after the one with the handle `after`.
pub fn list(db: &mut DbConnection, filter: &Filter, after: Option<&str>, limit: i64) -> Result<Page<Entry, String>> {
    let mut query: people::BoxedQuery<'_, MultiBackend> = people::table.into_boxed();
    let text = fields::line(&filter.text);
    if !text.is_empty() {
        let name = fields::sort_name([text.as_str()]);
        let address = text.to_ascii_lowercase();
        let of_address = person_addresses::table
            .filter(person_addresses::canonical.ge(address.clone()))
            .filter(person_addresses::canonical.lt(fields::end_of_prefix(&address)))
            .select(person_addresses::person_id);
        let of_name = people::sort_name.ge(name.clone()).and(people::sort_name.lt(fields::end_of_prefix(&name)));
        query = query.filter(of_name.or(people::id.eq_any(of_address)));
    }
    if let Some(state) = filter.state {
        query = query.filter(people::state.eq(state));
    }
    let staff = staff_members::table.select(staff_members::person_id);
    match filter.staff {
        Some(true) => query = query.filter(people::id.eq_any(staff)),
        Some(false) => query = query.filter(people::id.ne_all(staff)),
        None => {}
    }
    if let Some(after) = after {
        let place: Option<(String, PersonId)> = people::table
            .filter(people::handle.eq(after))
            .select((people::sort_name, people::id))
            .first(db)
            .optional()?;
        let (name, id) = place.ok_or(Error::NotFound)?;
        query =
            query.filter(people::sort_name.ge(name.clone())).filter(people::sort_name.gt(name).or(people::id.gt(id)));
    }
    type Row = (PersonId, String, String, String, String, PersonState);
    let rows: Vec<Row> = query
        .order((people::sort_name, people::id))
        .limit(limit + 1)
        .select((people::id, people::handle, people::first_name, people::last_name, people::job_title, people::state))
        .load(db)?;
    let page = Page::cut(rows, limit, |row: &Row| row.1.clone());
    let ids: Vec<PersonId> = page.rows.iter().map(|row| row.0).collect();
    let addresses: Vec<(PersonId, String, Option<UtcTime>)> = person_addresses::table
        .filter(person_addresses::person_id.eq_any(ids.clone()))
        .filter(person_addresses::is_primary.eq(true))
        .select((person_addresses::person_id, person_addresses::address, person_addresses::confirmed_at))
        .load(db)?;
    let staff: Vec<PersonId> = staff_members::table
        .filter(staff_members::person_id.eq_any(ids.clone()))
        .select(staff_members::person_id)
        .load(db)?;
    let belongings: Vec<(PersonId, String)> = memberships::table
        .inner_join(organisations::table)
        .filter(memberships::person_id.eq_any(ids))
        .filter(organisations::kind.ne(OrganisationKind::Individual))
        .order(memberships::id)
        .select((memberships::person_id, organisations::name))
        .load(db)?;
    Ok(page.map(|(id, handle, first_name, last_name, job_title, state)| {
        let address = addresses.iter().find(|(owner, ..)| *owner == id);
        let (address, address_confirmed_at) =
            address.map_or((String::new(), None), |(_, address, confirmed_at)| (address.clone(), *confirmed_at));
        Entry {
            handle,
            name: display_name(&first_name, &last_name, &address),
            job_title,
            address,
            address_confirmed_at,
            state,
            is_staff: staff.contains(&id),
            organisations: belongings.iter().filter(|(owner, _)| *owner == id).map(|(_, name)| name.clone()).collect(),
        }
    }))
}

/// How somebody is named in a list of something else, by public name and name: in the ledger, in a log.
pub fn names(db: &mut DbConnection, people_named: &[PersonId]) -> Result<Vec<(PersonId, String, String)>> {
    let rows: Vec<(PersonId, String, String, String, String)> = people::table
        .inner_join(
            person_addresses::table
                .on(person_addresses::person_id.eq(people::id).and(person_addresses::is_primary.eq(true))),
        )
        .filter(one_of(people::id, people_named.iter().map(|person| person.0)))
        .select((people::id, people::handle, people::first_name, people::last_name, person_addresses::address))
        .load(db)?;
    Ok(rows
        .into_iter()
        .map(|(id, handle, first_name, last_name, address)| {
            (id, handle, display_name(&first_name, &last_name, &address))
        })
        .collect())
}
