//! The addresses of a person: one is the primary one, which their mail goes to, and mail from any of them is theirs.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{mailboxes, person_addresses};
use crate::db::types::PersonId;
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::people::notices::{self, Notice};
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::person::{self, Person, PersonState};
use crate::people::suppression;

/// One address of a person.
#[derive(Clone, Debug, Queryable)]
pub struct Address {
    pub address: String,
    pub canonical: String,
    pub is_primary: bool,
    pub confirmed_at: Option<UtcTime>,
    pub suppressed_at: Option<UtcTime>,
    /// Since when nothing is mailed there because it came back to a mailbox of ours (LP-08).
    pub looped_at: Option<UtcTime>,
}

/// The addresses of `person`, the primary one first.
pub fn of_person(db: &mut DbConnection, person: PersonId) -> Result<Vec<Address>> {
    Ok(one_text!(
        person_addresses::table
            .filter(person_addresses::person_id.eq(person))
            .order((person_addresses::is_primary.desc(), person_addresses::id))
            .select((
                person_addresses::address,
                person_addresses::canonical,
                person_addresses::is_primary,
                person_addresses::confirmed_at,
                person_addresses::suppressed_at,
                person_addresses::looped_at,
            ))
    )
    .load(db)?)
}

/// Notes that the person reads mail at an address of theirs; gives whether it is one of theirs.
pub fn confirm(db: &mut DbConnection, person: PersonId, address: &EmailAddress, now: UtcTime) -> Result<bool> {
    let own = person_addresses::table
        .filter(person_addresses::person_id.eq(person))
        .filter(person_addresses::canonical.eq(address.canonical()));
    diesel::update(own.filter(person_addresses::confirmed_at.is_null()))
        .set(person_addresses::confirmed_at.eq(now))
        .execute(db)?;
    let count: i64 = own.count().get_result(db)?;
    if count == 1 {
        suppression::end(db, address, now)?;
    }
    Ok(count == 1)
}

/// Uses a link that was mailed to a new address; gives whether there was one in force.
pub fn use_link(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<bool> {
    let used = one_time_tokens::consume::<notices::MailboxProof>(db, Purpose::Address, token, now)?;
    let Some((id, proof)) = used.and_then(|used| Some((used.person?, used.payload))) else { return Ok(false) };
    let person = person::by_id(db, id)?;
    if person.state != PersonState::Active {
        return Ok(false);
    }
    change(db, &person, &proof.address, now)?;
    Ok(true)
}

/// Makes `address`, where the person was just seen to read mail, their primary one. The old one stays theirs, so that
/// mail from it is still theirs; it is told (U-05), and every other link they hold is dead (U-03).
pub fn change(db: &mut DbConnection, person: &Person, address: &EmailAddress, now: UtcTime) -> Result<()> {
    if let Some(owner) = person::find_by_address(db, address)?
        && owner.id != person.id
    {
        return Err(Error::Conflict("conflict-address-taken".into()));
    }
    if !confirm(db, person.id, address, now)? {
        insert(db, person.id, address, false, Some(now), now)?;
    }
    let own = person_addresses::table.filter(person_addresses::person_id.eq(person.id));
    diesel::update(own.filter(person_addresses::is_primary.eq(true)))
        .set(person_addresses::is_primary.eq(false))
        .execute(db)?;
    diesel::update(own.filter(person_addresses::canonical.eq(address.canonical())))
        .set(person_addresses::is_primary.eq(true))
        .execute(db)?;
    one_time_tokens::kill_all(db, person.id, now)?;
    notices::send(db, &Notice::AddressChanged { person: person.id, old_address: person.address.clone() }, now)?;
    person::record(db, "address_changed", Some(person.id), person.id, now)
}

/// Gives up an address that is not the primary one; gives whether there was one.
pub fn remove(db: &mut DbConnection, person: PersonId, address: &EmailAddress, now: UtcTime) -> Result<bool> {
    let removed = diesel::delete(
        person_addresses::table
            .filter(person_addresses::person_id.eq(person))
            .filter(person_addresses::canonical.eq(address.canonical()))
            .filter(person_addresses::is_primary.eq(false)),
    )
    .execute(db)?;
    if removed > 0 {
        person::record(db, "address_removed", Some(person), person, now)?;
    }
    Ok(removed > 0)
}

/// How that address is written where it is kept, which is where its mail goes (I-06); nothing for one that nobody has.
pub fn stored(db: &mut DbConnection, address: &EmailAddress) -> Result<Option<EmailAddress>> {
    let stored: Option<String> = one_text!(
        person_addresses::table
            .filter(person_addresses::canonical.eq(address.canonical()))
            .select(person_addresses::address)
    )
    .first(db)
    .optional()?;
    Ok(stored.and_then(|stored| EmailAddress::parse(&stored)))
}

/// Gives `person` an address that nobody has yet.
///
/// # Errors
/// `error-address-of-mailbox` for one of a mailbox of ours.
pub(super) fn insert(
    db: &mut DbConnection,
    person: PersonId,
    address: &EmailAddress,
    is_primary: bool,
    confirmed_at: Option<UtcTime>,
    now: UtcTime,
) -> Result<()> {
    // Mail to such a person would come back to us, and go round in circles (LP-08).
    let mailboxes: i64 =
        one_text!(mailboxes::table.filter(mailboxes::canonical.eq(address.canonical())).count()).get_result(db)?;
    if mailboxes > 0 {
        return Err(Error::invalid("address", "error-address-of-mailbox"));
    }
    one_text!(diesel::insert_into(person_addresses::table).values((
        person_addresses::person_id.eq(person),
        person_addresses::address.eq(address.as_str()),
        person_addresses::canonical.eq(address.canonical()),
        person_addresses::is_primary.eq(is_primary),
        person_addresses::confirmed_at.eq(confirmed_at),
        person_addresses::created_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}
