//! The places of an organisation: each with a person in charge and a telephone number (E2). A request for an
//! intervention names one (E3).

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{environments, sites, tickets};
use crate::db::types::{OrganisationId, SiteId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Message;
use crate::people::{fields, organisations};
use crate::secret::random_handle;

/// Sites of one organisation at most; lists of them are shown whole.
pub const MOST: usize = 500;

/// A site as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Site {
    pub id: SiteId,
    pub organisation_id: OrganisationId,
    pub handle: String,
    pub name: String,
    pub address: String,
    pub person_in_charge: String,
    pub telephone: String,
}

/// What is said of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteDescription {
    pub name: String,
    pub address: String,
    pub person_in_charge: String,
    pub telephone: String,
}

impl SiteDescription {
    /// The description in the form it is kept; name, person in charge and telephone are mandatory.
    pub fn check(&self, errors: &mut FieldErrors) -> SiteDescription {
        let person_in_charge = &self.person_in_charge;
        let checked = SiteDescription {
            name: fields::mandatory_line(errors, "name", &self.name, fields::NAME_LENGTH),
            address: fields::optional_lines(errors, "address", &self.address),
            person_in_charge: fields::mandatory_line(errors, "person_in_charge", person_in_charge, fields::NAME_LENGTH),
            telephone: fields::telephone(errors, "telephone", &self.telephone),
        };
        if checked.telephone.is_empty() {
            errors.add("telephone", "error-mandatory");
        }
        checked
    }
}

/// The sites of an organisation by name.
pub fn of_organisation(db: &mut DbConnection, organisation: OrganisationId) -> Result<Vec<Site>> {
    let mut found: Vec<Site> = sites::table
        .filter(sites::organisation_id.eq(organisation))
        .order(sites::id)
        .limit(MOST as i64)
        .select(COLUMNS)
        .load(db)?;
    found.sort_by_cached_key(|site| fields::sort_name([site.name.as_str()]));
    Ok(found)
}

/// The site of `organisation` with that public name.
pub fn find(db: &mut DbConnection, organisation: OrganisationId, handle: &str) -> Result<Option<Site>> {
    Ok(sites::table
        .filter(sites::organisation_id.eq(organisation))
        .filter(sites::handle.eq(handle))
        .select(COLUMNS)
        .first(db)
        .optional()?)
}

/// Adds a site.
pub fn create(
    db: &mut DbConnection,
    organisation: OrganisationId,
    description: &SiteDescription,
    now: UtcTime,
) -> Result<Site> {
    organisations::touch(db, organisation, now)?;
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    let existing: i64 = sites::table.filter(sites::organisation_id.eq(organisation)).count().get_result(db)?;
    if usize::try_from(existing).is_ok_and(|existing| existing >= MOST) {
        errors.add("name", Message::new("error-at-most").with("most", MOST));
    }
    errors.into_result()?;
    Ok(diesel::insert_into(sites::table)
        .values((
            sites::organisation_id.eq(organisation),
            sites::handle.eq(random_handle()),
            sites::name.eq(description.name),
            sites::address.eq(description.address),
            sites::person_in_charge.eq(description.person_in_charge),
            sites::telephone.eq(description.telephone),
            sites::created_at.eq(now),
            sites::updated_at.eq(now),
        ))
        .returning(COLUMNS)
        .get_result(db)?)
}

/// Describes a site anew.
pub fn update(db: &mut DbConnection, site: &Site, description: &SiteDescription, now: UtcTime) -> Result<()> {
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    errors.into_result()?;
    diesel::update(sites::table.find(site.id))
        .set((
            sites::name.eq(description.name),
            sites::address.eq(description.address),
            sites::person_in_charge.eq(description.person_in_charge),
            sites::telephone.eq(description.telephone),
            sites::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

/// Removes a site that no request and no environment refers to.
pub fn remove(db: &mut DbConnection, site: &Site, now: UtcTime) -> Result<()> {
    organisations::touch(db, site.organisation_id, now)?;
    let in_tickets: i64 = tickets::table.filter(tickets::site_id.eq(site.id)).count().get_result(db)?;
    let in_environments: i64 = environments::table.filter(environments::site_id.eq(site.id)).count().get_result(db)?;
    if in_tickets + in_environments > 0 {
        return Err(Error::Conflict(Message::new("conflict-site-in-use")));
    }
    diesel::delete(sites::table.find(site.id)).execute(db)?;
    Ok(())
}

const COLUMNS: (
    sites::id,
    sites::organisation_id,
    sites::handle,
    sites::name,
    sites::address,
    sites::person_in_charge,
    sites::telephone,
) = (
    sites::id,
    sites::organisation_id,
    sites::handle,
    sites::name,
    sites::address,
    sites::person_in_charge,
    sites::telephone,
);
