//! A person: anybody known by an e-mail address.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{people, person_addresses};
use crate::db::types::{Language, PersonId, text_enum};
use crate::error::Result;
use crate::mail::address::EmailAddress;

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
}

impl Person {
    /// `First Last`, or the address of somebody without a name.
    pub fn display_name(&self) -> String {
        display_name(&self.first_name, &self.last_name, &self.address)
    }

    /// Their time zone; Paris when it is not one that is known.
    pub fn zone(&self) -> chrono_tz::Tz {
        self.time_zone.parse().unwrap_or(chrono_tz::Europe::Paris)
    }
}

/// `First Last`, or the address of somebody without a name.
pub fn display_name(first_name: &str, last_name: &str, address: &str) -> String {
    let name = format!("{first_name} {last_name}");
    let name = name.trim();
    if name.is_empty() { address.to_owned() } else { name.to_owned() }
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
            ))
    };
}

/// The person of that id; ids come from the database, so a missing one is a fault.
pub fn by_id(db: &mut DbConnection, id: PersonId) -> Result<Person> {
    Ok(with_address!().filter(people::id.eq(id)).first(db)?)
}

/// The person with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Person>> {
    Ok(with_address!().filter(people::handle.eq(handle)).first(db).optional()?)
}

/// The person who has that address, primary or not. Compare by canonical form, and write to the stored address (I-06).
pub fn find_by_address(db: &mut DbConnection, address: &EmailAddress) -> Result<Option<Person>> {
    let owner: Option<PersonId> = person_addresses::table
        .filter(person_addresses::canonical.eq(address.canonical()))
        .select(person_addresses::person_id)
        .first(db)
        .optional()?;
    owner.map(|id| by_id(db, id)).transpose()
}
