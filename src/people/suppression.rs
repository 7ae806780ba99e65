//! Addresses at which nobody is, by what the mail servers of their domains reported twice (BN-03): mail is sent there no more,
//! for who goes on is taken for a sender of junk. Who writes from the address, or proves to read mail there, ends it, and so
//! does a word of the staff. What somebody asks for to sign in or to confirm the address is mailed all the same: it is how
//! they prove it.
//!
//! The same holds for an address of the staff whose mail is forwarded to a mailbox of ours (LP-08), from the first that came back.
//! That ends only when somebody says so, who knows that nothing is forwarded any more.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::person_addresses;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::people::person::record;

/// Two failures within this time are more than an accident.
const WITHIN: TimeDelta = TimeDelta::days(30);

/// Notes that a mail found nobody at the address; the second time it is suppressed.
pub fn note_bounce(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    let of_address = person_addresses::table
        .filter(person_addresses::canonical.eq(address.canonical()))
        .filter(person_addresses::suppressed_at.is_null());
    let second = of_address.filter(person_addresses::bounced_at.ge(now.minus(WITHIN)));
    let suppressed: Vec<PersonId> = diesel::update(second)
        .set((person_addresses::bounced_at.eq(now), person_addresses::suppressed_at.eq(now)))
        .returning(person_addresses::person_id)
        .load(db)?;
    if suppressed.is_empty() {
        diesel::update(of_address).set(person_addresses::bounced_at.eq(now)).execute(db)?;
    }
    for person in suppressed {
        record(db, "address_suppressed", None, person, now)?;
    }
    Ok(())
}

/// Somebody was heard from the address, or proved to read mail there: what failed before counts no more.
pub fn end(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    // Each mail from somebody asks; hardly any has to change something.
    let bounced: Vec<(PersonId, Option<UtcTime>)> = one_text!(
        person_addresses::table
            .filter(person_addresses::canonical.eq(address.canonical()))
            .filter(person_addresses::bounced_at.is_not_null())
            .filter(person_addresses::looped_at.is_null())
            .select((person_addresses::person_id, person_addresses::suppressed_at))
    )
    .load(db)?;
    if bounced.is_empty() {
        return Ok(());
    }
    let own = person_addresses::table
        .filter(person_addresses::canonical.eq(address.canonical()))
        .filter(person_addresses::looped_at.is_null());
    diesel::update(own)
        .set((person_addresses::bounced_at.eq(None::<UtcTime>), person_addresses::suppressed_at.eq(None::<UtcTime>)))
        .execute(db)?;
    let suppressed = bounced.into_iter().filter_map(|(person, suppressed_at)| suppressed_at.map(|_| person));
    for person in suppressed {
        record(db, "suppression_lifted", None, person, now)?;
    }
    Ok(())
}

/// Somebody of the staff says that mail to the person's addresses arrives again.
pub fn lift(db: &mut DbConnection, person: PersonId, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    let own = person_addresses::table
        .filter(person_addresses::person_id.eq(person))
        .filter(person_addresses::suppressed_at.is_not_null());
    let lifted = diesel::update(own)
        .set((
            person_addresses::bounced_at.eq(None::<UtcTime>),
            person_addresses::suppressed_at.eq(None::<UtcTime>),
            person_addresses::looped_at.eq(None::<UtcTime>),
        ))
        .execute(db)?;
    if lifted > 0 {
        record(db, "suppression_lifted", by, person, now)?;
    }
    Ok(())
}

/// A mail of ours to this address of the staff came back to a mailbox of ours: no more is sent there.
pub fn note_loop(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    let own = person_addresses::table
        .filter(person_addresses::canonical.eq(address.canonical()))
        .filter(person_addresses::looped_at.is_null());
    let paused: Vec<PersonId> = diesel::update(own)
        .set((person_addresses::suppressed_at.eq(now), person_addresses::looped_at.eq(now)))
        .returning(person_addresses::person_id)
        .load(db)?;
    for person in paused {
        record(db, "address_looped", None, person, now)?;
    }
    Ok(())
}

/// The address of the person to which nothing is mailed because it came back to us.
pub fn find_looped(db: &mut DbConnection, person: PersonId) -> Result<Option<String>> {
    Ok(person_addresses::table
        .filter(person_addresses::person_id.eq(person))
        .filter(person_addresses::looped_at.is_not_null())
        .select(person_addresses::address)
        .first(db)
        .optional()?)
}

/// All such addresses, `limit` at most.
pub fn looped(db: &mut DbConnection, limit: i64) -> Result<Vec<String>> {
    Ok(person_addresses::table
        .filter(person_addresses::looped_at.is_not_null())
        .order(person_addresses::id)
        .limit(limit)
        .select(person_addresses::address)
        .load(db)?)
}

/// The person says that their mail is not forwarded to us any more.
pub fn resume(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<()> {
    if find_looped(db, person)?.is_some() {
        lift(db, person, Some(person), now)?;
    }
    Ok(())
}
