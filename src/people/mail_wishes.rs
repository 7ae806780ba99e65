//! Whoever wants no more mails about tickets, said by a token in such a mail and without signing in (OUT-06). In the account
//! they are switched on again.

use diesel::prelude::*;

use super::person::{self, Person};
use super::staff;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::people;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::mail::mac::MacKeys;
use crate::mail::unsubscribe_token;

/// Whose token this is, if we made it and they work for the operator still: a customer's answers are not to be lost by a
/// mail that was passed on.
pub fn find(db: &mut DbConnection, keys: &MacKeys, token: &str) -> Result<Option<Person>> {
    let Some(handle) = unsubscribe_token::person(keys, token) else { return Ok(None) };
    match person::find_by_handle(db, &handle)? {
        Some(person) if staff::is_staff(db, person.id)? => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// Mails the person nothing more about tickets. A form of theirs that is open does not undo it: it is of an older version.
pub fn stop(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<()> {
    let wishes = people::table.find(person).filter(people::mailed_about_tickets.eq(true));
    diesel::update(wishes)
        .set((
            people::mailed_about_tickets.eq(false),
            people::version.eq(people::version + 1),
            people::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}
