//! A person: anybody known by an e-mail address, or by what stands for one where they have none
//! ([`EmailAddress::nowhere`]).

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::cards;
use crate::clock::UtcTime;
use crate::db::one_text::one_text;
use crate::db::schema::{people, person_addresses};
use crate::db::types::{Language, OrganisationId, PersonId, text_enum};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::memberships::{self, Rights};
use crate::people::{addresses, fields, one_time_tokens, organisations, sessions, staff};
use crate::secret::random_handle;

/// The zone of people of whom nothing is known: the operator's customers are French before anything else.
pub const DEFAULT_TIME_ZONE: &str = "Europe/Paris";

text_enum! {
    /// The colours of the pages: the system's choice, or the person's.
    pub enum Theme {
        System = "system",
        Light = "light",
        Dark = "dark",
    }
}

text_enum! {
    /// Whether somebody may sign in and act.
    pub enum PersonState {
        Active = "active",
        Disabled = "disabled",
    }
}

text_enum! {
    /// Where what we know of a person came from (B22).
    pub enum Origin {
        Setup = "setup",
        Registration = "registration",
        Form = "form",
        Mail = "mail",
        Staff = "staff",
        Member = "member",
        Api = "api",
    }
}

/// Somebody, as most of the program needs them.
#[derive(Clone, Debug, Queryable)]
pub struct Person {
    pub id: PersonId,
    pub handle: String,
    pub first_name: String,
    pub last_name: String,
    pub job_title: String,
    pub telephone: String,
    pub language: Language,
    pub time_zone: String,
    pub theme: Theme,
    pub state: PersonState,
    pub origin: Origin,
    pub mailed_about_tickets: bool,
    pub version: i64,
    /// The primary address, as it was given.
    pub address: String,
    /// When the person proved to read mail at that address.
    pub address_confirmed_at: Option<UtcTime>,
    /// Since when nothing is mailed there ([`crate::people::suppression`]).
    pub address_suppressed_at: Option<UtcTime>,
}

impl Person {
    /// `First Last`, or the address of somebody without a name; nothing for who has neither.
    pub fn display_name(&self) -> String {
        display_name(&self.first_name, &self.last_name, &self.address)
    }

    /// Their time zone; Paris when it is not one that is known.
    pub fn zone(&self) -> chrono_tz::Tz {
        self.time_zone.parse().unwrap_or(chrono_tz::Europe::Paris)
    }
}

/// `First Last`, or the address of somebody without a name; nothing for who has neither.
pub fn display_name(first_name: &str, last_name: &str, address: &str) -> String {
    let name = full_name(first_name, last_name);
    if name.is_empty() { shown_address(address).to_owned() } else { name }
}

/// `First Last`, or nothing.
pub fn full_name(first_name: &str, last_name: &str) -> String {
    format!("{first_name} {last_name}").trim().to_owned()
}

/// Somebody to be made known.
#[derive(Clone, Debug)]
pub struct NewPerson {
    pub first_name: String,
    pub last_name: String,
    pub job_title: String,
    pub telephone: String,
    pub language: Locale,
    pub time_zone: String,
    pub address: EmailAddress,
    /// When they proved to read mail there, if they did.
    pub address_confirmed_at: Option<UtcTime>,
    pub origin: Origin,
}

impl NewPerson {
    /// Somebody of whom the address is known, and where from.
    pub fn at(address: EmailAddress, language: Locale, origin: Origin) -> NewPerson {
        NewPerson {
            first_name: String::new(),
            last_name: String::new(),
            job_title: String::new(),
            telephone: String::new(),
            language,
            time_zone: DEFAULT_TIME_ZONE.to_owned(),
            address,
            address_confirmed_at: None,
            origin,
        }
    }
}

/// What people change of themselves (E7), and staff for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub first_name: String,
    pub last_name: String,
    pub job_title: String,
    pub telephone: String,
    pub language: Locale,
    pub time_zone: String,
    pub theme: Theme,
    pub mailed_about_tickets: bool,
}

impl Profile {
    /// The profile in the form it is kept, or everything that is wrong with it.
    pub fn check(&self, errors: &mut FieldErrors) -> Profile {
        if self.time_zone.parse::<chrono_tz::Tz>().is_err() {
            errors.add("time_zone", "error-time-zone");
        }
        Profile {
            first_name: fields::optional_line(errors, "first_name", &self.first_name, fields::NAME_LENGTH),
            last_name: fields::mandatory_line(errors, "last_name", &self.last_name, fields::NAME_LENGTH),
            job_title: fields::optional_line(errors, "job_title", &self.job_title, fields::NAME_LENGTH),
            telephone: fields::telephone(errors, "telephone", &self.telephone),
            ..self.clone()
        }
    }
}

macro_rules! with_address {
    () => {
        people::table
            .inner_join(
                person_addresses::table
                    .on(person_addresses::person_id.eq(people::id).and(person_addresses::is_primary.eq(true))),
            )
            .select((
                people::id,
                people::handle,
                people::first_name,
                people::last_name,
                people::job_title,
                people::telephone,
                people::language,
                people::time_zone,
                people::theme,
                people::state,
                people::origin,
                people::mailed_about_tickets,
                people::version,
                person_addresses::address,
                person_addresses::confirmed_at,
                person_addresses::suppressed_at,
            ))
    };
}

/// Makes somebody known, as a member of `organisation` or of an organisation of their own (everybody belongs to one).
pub fn create(
    db: &mut DbConnection,
    new: &NewPerson,
    organisation: Option<(OrganisationId, Rights)>,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<Person> {
    let mut errors = FieldErrors::default();
    if find_by_address(db, &new.address)?.is_some() {
        errors.add("address", "error-address-taken");
    }
    create_unknown(db, new, errors, organisation, by, now)
}

/// The same where it is known that nobody has the address, or `errors` say otherwise.
fn create_unknown(
    db: &mut DbConnection,
    new: &NewPerson,
    mut errors: FieldErrors,
    organisation: Option<(OrganisationId, Rights)>,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<Person> {
    let first_name = fields::optional_line(&mut errors, "first_name", &new.first_name, fields::NAME_LENGTH);
    let last_name = fields::optional_line(&mut errors, "last_name", &new.last_name, fields::NAME_LENGTH);
    let job_title = fields::optional_line(&mut errors, "job_title", &new.job_title, fields::NAME_LENGTH);
    let telephone = fields::telephone(&mut errors, "telephone", &new.telephone);
    errors.into_result()?;
    let time_zone = if new.time_zone.parse::<chrono_tz::Tz>().is_ok() { &new.time_zone } else { DEFAULT_TIME_ZONE };
    let handle = random_handle();
    let id: PersonId = one_text!(
        diesel::insert_into(people::table)
            .values((
                people::handle.eq(&handle),
                people::first_name.eq(&first_name),
                people::last_name.eq(&last_name),
                people::sort_name.eq(fields::sort_name([last_name.as_str(), first_name.as_str()])),
                people::job_title.eq(&job_title),
                people::telephone.eq(&telephone),
                people::language.eq(Language(new.language)),
                people::time_zone.eq(time_zone),
                people::theme.eq(Theme::System),
                people::state.eq(PersonState::Active),
                people::origin.eq(new.origin),
                people::mailed_about_tickets.eq(true),
                people::version.eq(1_i64),
                people::created_at.eq(now),
                people::updated_at.eq(now),
            ))
            .returning(people::id)
    )
    .get_result(db)?;
    addresses::insert(db, id, &new.address, true, new.address_confirmed_at, now)?;
    match organisation {
        Some((organisation, rights)) => memberships::add(db, id, organisation, rights, by, now)?,
        None => {
            let name = display_name(&first_name, &last_name, new.address.as_str());
            organisations::create_individual(db, id, &name, new.language, now)?;
        }
    }
    Ok(Person {
        id,
        handle,
        first_name,
        last_name,
        job_title,
        telephone,
        language: Language(new.language),
        time_zone: time_zone.to_owned(),
        theme: Theme::System,
        state: PersonState::Active,
        origin: new.origin,
        mailed_about_tickets: true,
        version: 1,
        address: new.address.as_str().to_owned(),
        address_confirmed_at: new.address_confirmed_at,
        address_suppressed_at: None,
    })
}

/// The person who has that address, else a new one made from what a mail or a form says of them. What is known of
/// somebody is never overwritten by it.
pub fn find_or_create_by_address(
    db: &mut DbConnection,
    address: &EmailAddress,
    name: &str,
    origin: Origin,
    language: Locale,
    now: UtcTime,
) -> Result<Person> {
    if let Some(person) = find_by_address(db, address)? {
        return Ok(person);
    }
    let (first_name, last_name) = split_name(name);
    let new = NewPerson { first_name, last_name, ..NewPerson::at(address.clone(), language, origin) };
    // In a savepoint: on PostgreSQL somebody else may make the same person at the same time, and wins then.
    match db.transaction(|db| create_unknown(db, &new, FieldErrors::default(), None, None, now)) {
        Err(Error::Internal(cause)) if is_unique_violation(&cause) => {
            find_by_address(db, address)?.ok_or(Error::Internal(cause))
        }
        created => created,
    }
}

/// Changes the profile, unless somebody changed it since `version`.
pub fn update(db: &mut DbConnection, person: PersonId, version: i64, profile: &Profile, now: UtcTime) -> Result<()> {
    let mut errors = FieldErrors::default();
    let profile = profile.check(&mut errors);
    errors.into_result()?;
    let changed = diesel::update(people::table.filter(people::id.eq(person)).filter(people::version.eq(version)))
        .set((
            people::first_name.eq(&profile.first_name),
            people::last_name.eq(&profile.last_name),
            people::sort_name.eq(fields::sort_name([profile.last_name.as_str(), profile.first_name.as_str()])),
            people::job_title.eq(&profile.job_title),
            people::telephone.eq(&profile.telephone),
            people::language.eq(Language(profile.language)),
            people::time_zone.eq(&profile.time_zone),
            people::theme.eq(profile.theme),
            people::mailed_about_tickets.eq(profile.mailed_about_tickets),
            people::version.eq(version + 1),
            people::updated_at.eq(now),
        ))
        .execute(db)?;
    if changed == 0 { Err(Error::Conflict("conflict-changed-meanwhile".into())) } else { Ok(()) }
}

/// Sets the colours of the person's pages.
pub fn set_theme(db: &mut DbConnection, person: PersonId, theme: Theme, now: UtcTime) -> Result<()> {
    diesel::update(people::table.find(person))
        .set((people::theme.eq(theme), people::updated_at.eq(now)))
        .execute(db)?;
    Ok(())
}

/// Sets the language of the person's pages and mails.
pub fn set_language(db: &mut DbConnection, person: PersonId, language: Locale, now: UtcTime) -> Result<()> {
    diesel::update(people::table.find(person))
        .set((people::language.eq(Language(language)), people::updated_at.eq(now)))
        .execute(db)?;
    Ok(())
}

/// Sets a name and a telephone number where nothing stands yet: what somebody said earlier of themselves is kept.
pub fn complete(
    db: &mut DbConnection,
    person: &Person,
    first_name: &str,
    last_name: &str,
    telephone: &str,
    now: UtcTime,
) -> Result<()> {
    let or = |kept: &str, given: &str| if kept.is_empty() { fields::line(given) } else { kept.to_owned() };
    let nameless = person.first_name.is_empty() && person.last_name.is_empty();
    let (first_name, last_name) = if nameless {
        (fields::line(first_name), fields::line(last_name))
    } else {
        (person.first_name.clone(), person.last_name.clone())
    };
    diesel::update(people::table.find(person.id))
        .set((
            people::sort_name.eq(fields::sort_name([last_name.as_str(), first_name.as_str()])),
            people::first_name.eq(first_name),
            people::last_name.eq(last_name),
            people::telephone.eq(or(&person.telephone, telephone)),
            people::version.eq(people::version + 1),
            people::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

/// Keeps somebody from signing in and acting: their sessions, links and API secrets are dead at once (U-04).
pub fn disable(db: &mut DbConnection, person: PersonId, by: PersonId, now: UtcTime) -> Result<()> {
    record(db, "person_disabled", Some(by), person, now)?;
    set_state(db, person, PersonState::Disabled, now)?;
    staff::keep_an_administrator(db)?;
    sessions::end_all(db, person)?;
    one_time_tokens::kill_all(db, person, now)
}

/// Lets somebody in again.
pub fn enable(db: &mut DbConnection, person: PersonId, by: PersonId, now: UtcTime) -> Result<()> {
    record(db, "person_enabled", Some(by), person, now)?;
    set_state(db, person, PersonState::Active, now)
}

/// Up to `limit` people whose last name or address begins with `text`, by name: what staff chooses from while typing.
pub fn find_by_prefix(db: &mut DbConnection, text: &str, limit: i64) -> Result<Vec<Person>> {
    let name = fields::sort_name([fields::line(text).as_str()]);
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let address = text.trim().to_ascii_lowercase();
    let of_address: Vec<PersonId> = person_addresses::table
        .filter(person_addresses::canonical.ge(address.clone()))
        .filter(person_addresses::canonical.lt(fields::end_of_prefix(&address)))
        .order(person_addresses::canonical)
        .limit(limit)
        .select(person_addresses::person_id)
        .load(db)?;
    let of_name = people::sort_name.ge(name.clone()).and(people::sort_name.lt(fields::end_of_prefix(&name)));
    Ok(with_address!()
        .filter(of_name.or(people::id.eq_any(of_address)))
        .order((people::sort_name, people::id))
        .limit(limit)
        .load(db)?)
}

fn set_state(db: &mut DbConnection, person: PersonId, state: PersonState, now: UtcTime) -> Result<()> {
    diesel::update(people::table.find(person))
        .set((people::state.eq(state), people::updated_at.eq(now)))
        .execute(db)?;
    Ok(())
}

/// First and last name out of what somebody calls themselves: `Jean Dupont`, or `Dupont, Jean`. Cut and cleaned, never
/// refused: it may come from a mail.
fn split_name(name: &str) -> (String, String) {
    let name = fields::line(name);
    let name = cards::mask_numbers(&name);
    if name.contains('@') {
        return (String::new(), String::new());
    }
    let (first, last) = match name.split_once(", ") {
        Some((last, first)) => (first, last),
        None => name.split_once(' ').unwrap_or(("", &name)),
    };
    let cut = |part: &str| part.trim().chars().take(fields::NAME_LENGTH).collect();
    (cut(first), cut(last))
}

fn is_unique_violation(cause: &anyhow::Error) -> bool {
    cause.downcast_ref::<diesel::result::Error>().is_some_and(dialect::is_unique_violation)
}

/// Writes into the ledger what happened to `person`, where there is no more to say of it.
pub(super) fn record(
    db: &mut DbConnection,
    kind: &'static str,
    by: Option<PersonId>,
    person: PersonId,
    now: UtcTime,
) -> Result<()> {
    let entry = audit::Entry { kind, actor: by, subject: Some(person), organisation: None, detail: json!({}) };
    audit::record(db, &entry, now)
}

/// The person of that id; ids come from the database, so a missing one is a fault.
pub fn by_id(db: &mut DbConnection, id: PersonId) -> Result<Person> {
    Ok(one_text!(with_address!().filter(people::id.eq(id))).first(db)?)
}

/// The person with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Person>> {
    Ok(one_text!(with_address!().filter(people::handle.eq(handle))).first(db).optional()?)
}

/// The person who has that address, primary or not. Compare by canonical form, and write to the stored address (I-06).
pub fn find_by_address(db: &mut DbConnection, address: &EmailAddress) -> Result<Option<Person>> {
    let owner: Option<PersonId> = one_text!(
        person_addresses::table
            .filter(person_addresses::canonical.eq(address.canonical()))
            .select(person_addresses::person_id)
    )
    .first(db)
    .optional()?;
    owner.map(|id| by_id(db, id)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(name: &str) -> (String, String) {
        split_name(name)
    }

    #[test]
    fn names_are_split_as_people_write_them() {
        let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
        assert_eq!(split("Jean-Pierre de la Tour"), pair("Jean-Pierre", "de la Tour"));
        assert_eq!(split("Dupont, Jean"), pair("Jean", "Dupont"));
        assert_eq!(split("Support"), pair("", "Support"));
        assert_eq!(split("jean@exemple.fr"), pair("", ""));
        assert_eq!(split(" \r\nBcc: x"), pair("Bcc:", "x"));
        assert_eq!(split(""), pair("", ""));
    }
}
