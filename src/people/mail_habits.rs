//! Whether somebody's mail usually comes with their domain standing by it ([`Authentication::Pass`]), remembered for an
//! address and for its whole domain (TH-10). A mail that comes without is then unusual: whoever knows an address and a token
//! of a ticket can write one, but cannot sign it.
//!
//! [`Authentication::Pass`]: crate::mail::authentication::Authentication::Pass

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::one_text::one_text;
use crate::db::schema::{person_addresses, sending_domains};
use crate::error::Result;
use crate::mail::address::EmailAddress;

/// Three passes within this time are a habit. What is older is forgotten.
const REMEMBERED: TimeDelta = TimeDelta::days(90);
/// When the last three all came within this time, one more says nothing new, and a busy domain's row is left alone.
const SETTLED: TimeDelta = TimeDelta::days(1);

/// Notes that a mail from the address came with its domain standing by it.
pub fn note_pass(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    let settled = now.minus(SETTLED);
    let tells_something = |third: Option<UtcTime>| third.is_none_or(|third| third < settled);
    if let Some((third, accepted)) = of_address(db, address)?
        && (tells_something(third) || third < accepted)
    {
        diesel::update(person_addresses::table.filter(person_addresses::canonical.eq(address.canonical())))
            .set((
                person_addresses::third_last_pass_at.eq(person_addresses::second_last_pass_at),
                person_addresses::second_last_pass_at.eq(person_addresses::last_pass_at),
                person_addresses::last_pass_at.eq(now),
            ))
            .execute(db)?;
    }
    match of_domain(db, address)? {
        Some(third) if tells_something(third) => {
            diesel::update(sending_domains::table.find(address.domain()))
                .set((
                    sending_domains::third_last_pass_at.eq(sending_domains::second_last_pass_at),
                    sending_domains::second_last_pass_at.eq(sending_domains::last_pass_at.nullable()),
                    sending_domains::last_pass_at.eq(now),
                ))
                .execute(db)?;
        }
        Some(_) => {}
        None => {
            let row = (sending_domains::domain.eq(address.domain()), sending_domains::last_pass_at.eq(now));
            on_each_backend!(db, db => diesel::insert_into(sending_domains::table)
                .values(row)
                .on_conflict(sending_domains::domain)
                .do_nothing()
                .execute(db))?;
        }
    }
    Ok(())
}

/// Whether mail from the address usually comes with its domain standing by it. What the whole domain does counts for
/// everybody there, but for those whose mail was accepted without: for them only what their own did since then.
pub fn usually_passes(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<bool> {
    let since = now.minus(REMEMBERED);
    let (own, accepted) = of_address(db, address)?.unwrap_or_default();
    if let Some(accepted) = accepted
        && accepted > since
    {
        return Ok(own.is_some_and(|third| third > accepted));
    }
    if own.is_some_and(|third| third > since) {
        return Ok(true);
    }
    Ok(of_domain(db, address)?.flatten().is_some_and(|third| third > since))
}

/// When the third last mail from the address passed, and when one was last accepted that did not; of an address that is known.
fn of_address(db: &mut DbConnection, address: &EmailAddress) -> Result<Option<(Option<UtcTime>, Option<UtcTime>)>> {
    Ok(one_text!(
        person_addresses::table
            .filter(person_addresses::canonical.eq(address.canonical()))
            .select((person_addresses::third_last_pass_at, person_addresses::accepted_without_pass_at))
    )
    .load(db)?
    .pop())
}

/// When the third last mail from the domain passed, if one did.
fn of_domain(db: &mut DbConnection, address: &EmailAddress) -> Result<Option<Option<UtcTime>>> {
    Ok(one_text!(
        sending_domains::table
            .filter(sending_domains::domain.eq(address.domain()))
            .select(sending_domains::third_last_pass_at)
    )
    .load(db)?
    .pop())
}

/// An agent took a mail from the address for genuine that came without: so does the next, until the habit is back.
pub fn accept_without_pass(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    diesel::update(person_addresses::table.filter(person_addresses::canonical.eq(address.canonical())))
        .set(person_addresses::accepted_without_pass_at.eq(now))
        .execute(db)?;
    Ok(())
}

/// Forgets domains that nothing came from for so long that it counts no more.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let old = sending_domains::table.filter(sending_domains::last_pass_at.lt(now.minus(REMEMBERED)));
    diesel::delete(old).execute(db)?;
    Ok(())
}
