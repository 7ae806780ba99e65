//! Organisations: a customer company, the operator's own, or one person on their own, with where they are, their contract
//! and what they decided for their members. Payment card numbers are refused in every field (A5).

use chrono::NaiveDate;
use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::connection::MultiBackend;
use crate::db::one_text::one_text;
use crate::db::paging::Page;
use crate::db::schema::{memberships, organisations};
use crate::db::types::{Language, OrganisationId, PersonId, text_enum};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Locale, Message};
use crate::people::memberships as membership;
use crate::people::{countries, fields};
use crate::secret::random_handle;

text_enum! {
    /// What an organisation is.
    pub enum OrganisationKind {
        /// The vendor that runs this installation; there is one.
        Operator = "operator",
        /// A legal entity.
        Company = "company",
        /// One person on their own, so that whatever belongs to an organisation can belong to them.
        Individual = "individual",
    }
}

text_enum! {
    /// Where the business with an organisation stands.
    pub enum OrganisationStatus {
        Prospect = "prospect",
        Customer = "customer",
        Former = "former",
    }
}

/// An organisation as it stands in the database.
#[derive(Clone, Debug, Queryable)]
pub struct Organisation {
    pub id: OrganisationId,
    pub handle: String,
    pub kind: OrganisationKind,
    pub name: String,
    pub status: OrganisationStatus,
    pub contract_started_on: Option<NaiveDate>,
    pub contract_ended_on: Option<NaiveDate>,
    pub address_lines: String,
    pub postal_code: String,
    pub city: String,
    /// Two letters of ISO 3166-1, or nothing.
    pub country: String,
    pub vat_number: String,
    pub telephone: String,
    pub language: Language,
    pub colleagues_see_tickets: bool,
    pub declines_reference: bool,
    pub version: i64,
    pub created_at: UtcTime,
    /// See [`copied_domain`](crate::people::copied_domain); empty for none.
    pub copied_domain: String,
}

macro_rules! columns {
    () => {
        (
            organisations::id,
            organisations::handle,
            organisations::kind,
            organisations::name,
            organisations::status,
            organisations::contract_started_on,
            organisations::contract_ended_on,
            organisations::address_lines,
            organisations::postal_code,
            organisations::city,
            organisations::country,
            organisations::vat_number,
            organisations::telephone,
            organisations::language,
            organisations::colleagues_see_tickets,
            organisations::declines_reference,
            organisations::version,
            organisations::created_at,
            organisations::copied_domain,
        )
    };
}

/// What the organisation itself sees and changes (A5, E7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Information {
    pub name: String,
    pub address_lines: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub vat_number: String,
    pub telephone: String,
    pub language: Locale,
    /// Whether members who may see all tickets see those of their colleagues.
    pub colleagues_see_tickets: bool,
    /// Whether the organisation does not want to be named as a customer (B17).
    pub declines_reference: bool,
}

impl Information {
    /// An organisation of which only the name is known.
    pub fn named(name: &str, language: Locale) -> Self {
        Self {
            name: name.to_owned(),
            address_lines: String::new(),
            postal_code: String::new(),
            city: String::new(),
            country: String::new(),
            vat_number: String::new(),
            telephone: String::new(),
            language,
            colleagues_see_tickets: false,
            declines_reference: false,
        }
    }

    /// The information in the form it is kept, or everything that is wrong with it.
    pub fn check(&self, errors: &mut FieldErrors) -> Information {
        let checked = Information {
            name: fields::mandatory_line(errors, "name", &self.name, fields::NAME_LENGTH),
            address_lines: fields::optional_lines(errors, "address_lines", &self.address_lines),
            postal_code: fields::optional_line(errors, "postal_code", &self.postal_code, 20),
            city: fields::optional_line(errors, "city", &self.city, fields::NAME_LENGTH),
            country: countries::parse(&self.country).unwrap_or_default().to_owned(),
            vat_number: countries::parse_vat_number(&self.vat_number).unwrap_or_default(),
            telephone: fields::telephone(errors, "telephone", &self.telephone),
            ..self.clone()
        };
        if checked.country.is_empty() && !self.country.trim().is_empty() {
            errors.add("country", "error-country");
        }
        if checked.vat_number.is_empty() && !self.vat_number.trim().is_empty() {
            errors.add("vat_number", "error-vat-number");
        }
        checked
    }
}

/// What the operator decides about an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    pub status: OrganisationStatus,
    pub started_on: Option<NaiveDate>,
    pub ended_on: Option<NaiveDate>,
}

impl Contract {
    /// Somebody with whom there is no contract yet.
    pub const NONE: Contract = Contract { status: OrganisationStatus::Prospect, started_on: None, ended_on: None };

    fn check(self, errors: &mut FieldErrors) {
        if let (Some(started), Some(ended)) = (self.started_on, self.ended_on)
            && ended < started
        {
            errors.add("contract_ended_on", "error-contract-dates");
        }
    }
}

/// Registers a company.
pub fn create(
    db: &mut DbConnection,
    information: &Information,
    contract: Contract,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<Organisation> {
    let mut errors = FieldErrors::default();
    let information = information.check(&mut errors);
    contract.check(&mut errors);
    errors.into_result()?;
    let id = insert(db, OrganisationKind::Company, &information, contract, now)?;
    record(db, "organisation_created", id, &[], by, now)?;
    by_id(db, id)
}

/// Makes the operator's own organisation, once.
pub fn create_operator(db: &mut DbConnection, name: &str, language: Locale, now: UtcTime) -> Result<OrganisationId> {
    if let Some(id) = find_operator(db)? {
        return Ok(id);
    }
    let mut errors = FieldErrors::default();
    let information = Information::named(name, language).check(&mut errors);
    errors.into_result()?;
    let contract = Contract { status: OrganisationStatus::Customer, ..Contract::NONE };
    insert(db, OrganisationKind::Operator, &information, contract, now)
}

/// The operator's own organisation.
pub fn find_operator(db: &mut DbConnection) -> Result<Option<OrganisationId>> {
    Ok(organisations::table
        // Written out, so that the index over the one operator serves.
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("organisations.kind = 'operator'"))
        .select(organisations::id)
        .first(db)
        .optional()?)
}

/// Makes an organisation of their own for `person`, who has every right in it. `name` is cut and cleaned, never refused:
/// it may come from a mail.
pub fn create_individual(
    db: &mut DbConnection,
    person: PersonId,
    name: &str,
    language: Locale,
    now: UtcTime,
) -> Result<OrganisationId> {
    let name: String = crate::cards::mask_numbers(&fields::line(name)).chars().take(fields::NAME_LENGTH).collect();
    let name = if name.is_empty() { "?" } else { &name };
    let information = Information::named(name, language);
    let id = insert(db, OrganisationKind::Individual, &information, Contract::NONE, now)?;
    membership::begin(db, person, id, now)?;
    Ok(id)
}

/// The organisation in which something new of `person` belongs: the oldest company they are a member of, else their own.
pub fn home_of(db: &mut DbConnection, person: PersonId) -> Result<Option<OrganisationId>> {
    let belongings: Vec<(OrganisationId, OrganisationKind)> = one_text!(
        memberships::table
            .inner_join(organisations::table)
            .filter(memberships::person_id.eq(person))
            .order(memberships::id)
            .select((organisations::id, organisations::kind))
    )
    .load(db)?;
    let company = belongings.iter().find(|(_, kind)| *kind != OrganisationKind::Individual);
    Ok(company.or(belongings.first()).map(|(id, _)| *id))
}

/// The organisation of that id; ids come from the database, so a missing one is a fault.
pub fn by_id(db: &mut DbConnection, id: OrganisationId) -> Result<Organisation> {
    Ok(one_text!(organisations::table.find(id).select(columns!())).first(db)?)
}

/// The organisation with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Organisation>> {
    Ok(one_text!(organisations::table.filter(organisations::handle.eq(handle)).select(columns!()))
        .first(db)
        .optional()?)
}

/// How organisations are named in a list of something else, by public name and name.
pub fn names(db: &mut DbConnection, named: &[OrganisationId]) -> Result<Vec<(OrganisationId, String, String)>> {
    Ok(organisations::table
        .filter(organisations::id.eq_any(named))
        .select((organisations::id, organisations::handle, organisations::name))
        .load(db)?)
}

/// Changes what the organisation says of itself, unless somebody changed it since `version`.
pub fn update(
    db: &mut DbConnection,
    organisation: &Organisation,
    version: i64,
    information: &Information,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let information = information.check(&mut errors);
    errors.into_result()?;
    let changed = diesel::update(
        organisations::table.filter(organisations::id.eq(organisation.id)).filter(organisations::version.eq(version)),
    )
    .set((
        organisations::name.eq(&information.name),
        organisations::sort_name.eq(fields::sort_name([information.name.as_str()])),
        organisations::address_lines.eq(&information.address_lines),
        organisations::postal_code.eq(&information.postal_code),
        organisations::city.eq(&information.city),
        organisations::country.eq(&information.country),
        organisations::vat_number.eq(&information.vat_number),
        organisations::telephone.eq(&information.telephone),
        organisations::language.eq(Language(information.language)),
        organisations::colleagues_see_tickets.eq(information.colleagues_see_tickets),
        organisations::declines_reference.eq(information.declines_reference),
        organisations::version.eq(version + 1),
        organisations::updated_at.eq(now),
    ))
    .execute(db)?;
    if changed == 0 {
        return Err(changed_meanwhile());
    }
    record(db, "organisation_changed", organisation.id, &differences(organisation, &information), by, now)
}

/// Changes the state of the business with an organisation, unless somebody changed it since `version`.
pub fn set_contract(
    db: &mut DbConnection,
    organisation: &Organisation,
    version: i64,
    contract: Contract,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    contract.check(&mut errors);
    errors.into_result()?;
    let changed = diesel::update(
        organisations::table.filter(organisations::id.eq(organisation.id)).filter(organisations::version.eq(version)),
    )
    .set((
        organisations::status.eq(contract.status),
        organisations::contract_started_on.eq(contract.started_on),
        organisations::contract_ended_on.eq(contract.ended_on),
        organisations::version.eq(version + 1),
        organisations::updated_at.eq(now),
    ))
    .execute(db)?;
    if changed == 0 {
        return Err(changed_meanwhile());
    }
    record(db, "organisation_changed", organisation.id, &["contract"], by, now)
}

/// What a list of organisations is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What the name begins with; case and accents do not matter.
    pub name: String,
    pub status: Option<OrganisationStatus>,
    pub kind: Option<OrganisationKind>,
}

/// One page of organisations by name, after the one with the handle `after`.
pub fn list(
    db: &mut DbConnection,
    filter: &Filter,
    after: Option<&str>,
    limit: i64,
) -> Result<Page<Organisation, String>> {
    let mut query: organisations::BoxedQuery<'_, MultiBackend> = organisations::table.into_boxed();
    let prefix = fields::sort_name([fields::line(&filter.name).as_str()]);
    if !prefix.is_empty() {
        query = query
            .filter(organisations::sort_name.ge(prefix.clone()))
            .filter(organisations::sort_name.lt(fields::end_of_prefix(&prefix)));
    }
    if let Some(status) = filter.status {
        // The operator is nobody's prospect or customer, whatever stands in its row.
        query =
            query.filter(organisations::status.eq(status)).filter(organisations::kind.ne(OrganisationKind::Operator));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(organisations::kind.eq(kind));
    }
    if let Some(after) = after {
        let place: Option<(String, OrganisationId)> = organisations::table
            .filter(organisations::handle.eq(after))
            .select((organisations::sort_name, organisations::id))
            .first(db)
            .optional()?;
        let (name, id) = place.ok_or(Error::NotFound)?;
        query = query
            .filter(organisations::sort_name.ge(name.clone()))
            .filter(organisations::sort_name.gt(name).or(organisations::id.gt(id)));
    }
    let rows: Vec<Organisation> =
        query.order((organisations::sort_name, organisations::id)).limit(limit + 1).select(columns!()).load(db)?;
    Ok(Page::cut(rows, limit, |organisation: &Organisation| organisation.handle.clone()))
}

/// Marks the organisation as changed. On PostgreSQL this also makes changes of its members, sites and environments wait
/// for each other until they are committed, so that a count made after it holds.
pub(super) fn touch(db: &mut DbConnection, organisation: OrganisationId, now: UtcTime) -> Result<()> {
    diesel::update(organisations::table.find(organisation)).set(organisations::updated_at.eq(now)).execute(db)?;
    Ok(())
}

fn insert(
    db: &mut DbConnection,
    kind: OrganisationKind,
    information: &Information,
    contract: Contract,
    now: UtcTime,
) -> Result<OrganisationId> {
    Ok(one_text!(
        diesel::insert_into(organisations::table)
            .values((
                organisations::handle.eq(random_handle()),
                organisations::kind.eq(kind),
                organisations::name.eq(&information.name),
                organisations::sort_name.eq(fields::sort_name([information.name.as_str()])),
                organisations::status.eq(contract.status),
                organisations::contract_started_on.eq(contract.started_on),
                organisations::contract_ended_on.eq(contract.ended_on),
                organisations::address_lines.eq(&information.address_lines),
                organisations::postal_code.eq(&information.postal_code),
                organisations::city.eq(&information.city),
                organisations::country.eq(&information.country),
                organisations::vat_number.eq(&information.vat_number),
                organisations::telephone.eq(&information.telephone),
                organisations::language.eq(Language(information.language)),
                organisations::colleagues_see_tickets.eq(information.colleagues_see_tickets),
                organisations::declines_reference.eq(information.declines_reference),
                organisations::version.eq(1_i64),
                organisations::created_at.eq(now),
                organisations::updated_at.eq(now),
            ))
            .returning(organisations::id)
    )
    .get_result(db)?)
}

/// The names of the fields that differ: the ledger says what was touched, not what it was.
fn differences(before: &Organisation, after: &Information) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("address_lines", before.address_lines != after.address_lines),
        ("postal_code", before.postal_code != after.postal_code),
        ("city", before.city != after.city),
        ("country", before.country != after.country),
        ("vat_number", before.vat_number != after.vat_number),
        ("telephone", before.telephone != after.telephone),
        ("language", before.language.0 != after.language),
        ("colleagues_see_tickets", before.colleagues_see_tickets != after.colleagues_see_tickets),
        ("declines_reference", before.declines_reference != after.declines_reference),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}

pub(super) fn record(
    db: &mut DbConnection,
    kind: &'static str,
    organisation: OrganisationId,
    changed: &[&str],
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let entry = audit::Entry {
        kind,
        actor: by,
        subject: None,
        organisation: Some(organisation),
        detail: json!({ "fields": changed }),
    };
    audit::record(db, &entry, now)
}

fn changed_meanwhile() -> Error {
    Error::Conflict(Message::new("conflict-changed-meanwhile"))
}
