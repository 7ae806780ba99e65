//! Whoever wants no more mails about tickets, said by a token in such a mail and without signing in (OUT-06). In the account
//! they are switched on again.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde_json::json;

use super::person::{self, Person};
use super::staff;
use crate::audit;
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

/// Somebody's provider told that they reported a mail of ours as junk (BN-04): they get no more news about tickets, and those
/// who administer the desk find it on the person's page, in the ledger and counted among what needs them.
pub fn complained(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<()> {
    stop(db, person, now)?;
    diesel::update(people::table.find(person)).set(people::complained_at.eq(now)).execute(db)?;
    let kind = "mail_complaint";
    let entry = audit::Entry { kind, actor: None, subject: Some(person), organisation: None, detail: json!({}) };
    audit::record(db, &entry, now)
}

/// When they last complained, while they want no mail.
pub fn complaint_of(db: &mut DbConnection, person: PersonId) -> Result<Option<UtcTime>> {
    let found: Option<Option<UtcTime>> = people::table
        .find(person)
        .filter(people::mailed_about_tickets.eq(false))
        .select(people::complained_at)
        .first(db)
        .optional()?;
    Ok(found.flatten())
}

/// How many complained within the last 30 days.
pub fn recent_complaints(db: &mut DbConnection, now: UtcTime) -> Result<i64> {
    Ok(people::table.filter(people::complained_at.gt(now.minus(TimeDelta::days(30)))).count().get_result(db)?)
}
