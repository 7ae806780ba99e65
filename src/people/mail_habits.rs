//! Whether somebody's mail usually comes with their domain standing by it ([`Authentication::Pass`]), remembered for an
//! address and for its whole domain (TH-10). A mail that comes without is then unusual: whoever knows an address and a token
//! of a ticket can write one, but cannot sign it. Who never proves anything is not protected by this.
//!
//! [`Authentication::Pass`]: crate::mail::authentication::Authentication::Pass

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::one_text::one_text;
use crate::db::schema::{person_addresses, sending_domains};
use crate::db::types::PersonId;
use crate::error::Result;
use crate::mail::address::EmailAddress;

/// Passes on three days within this time are a habit. What is older is forgotten.
const REMEMBERED: TimeDelta = TimeDelta::days(90);
/// One pass is counted in so long: what somebody sends in a row, or to several mailboxes, is no habit.
const COUNTED_ONCE_IN: TimeDelta = TimeDelta::days(1);
/// For how long an agent's word stands against the habit of the very sender.
const EXCUSED: TimeDelta = TimeDelta::days(14);

/// Notes that a mail from the address came with its domain standing by it. Before anything of a ticket is written: addresses
/// are locked before tickets.
pub fn note_pass_of_address(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    let last: Option<Option<UtcTime>> = one_text!(
        person_addresses::table
            .filter(person_addresses::canonical.eq(address.canonical()))
            .select(person_addresses::last_pass_at)
    )
    .load(db)?
    .pop();
    let Some(last) = last else { return Ok(()) };
    if counts(last, now) {
        diesel::update(person_addresses::table.filter(person_addresses::canonical.eq(address.canonical())))
            .set((
                person_addresses::third_last_pass_at.eq(person_addresses::second_last_pass_at),
                person_addresses::second_last_pass_at.eq(person_addresses::last_pass_at),
                person_addresses::last_pass_at.eq(now),
            ))
            .execute(db)?;
    }
    Ok(())
}

/// Notes the same of the address's domain. After everything else of the mail: others of the domain wait for the row.
pub fn note_pass_of_domain(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    let last: Option<UtcTime> = one_text!(
        sending_domains::table
            .filter(sending_domains::domain.eq(address.domain()))
            .select(sending_domains::last_pass_at)
    )
    .load(db)?
    .pop();
    if last.is_none() {
        let row = (sending_domains::domain.eq(address.domain()), sending_domains::last_pass_at.eq(now));
        on_each_backend!(db, db => diesel::insert_into(sending_domains::table)
            .values(row)
            .on_conflict(sending_domains::domain)
            .do_nothing()
            .execute(db))?;
    } else if counts(last, now) {
        diesel::update(sending_domains::table.find(address.domain()))
            .set((
                sending_domains::third_last_pass_at.eq(sending_domains::second_last_pass_at),
                sending_domains::second_last_pass_at.eq(sending_domains::last_pass_at.nullable()),
                sending_domains::last_pass_at.eq(now),
            ))
            .execute(db)?;
    }
    Ok(())
}

fn counts(last: Option<UtcTime>, now: UtcTime) -> bool {
    last.is_none_or(|last| now.since(last) >= COUNTED_ONCE_IN)
}

/// Whether mail of this person, who wrote from `address`, usually comes with its domain standing by it: from any of their
/// addresses, or from anybody at the domain. Once an agent took mail from the address for genuine that came without, its
/// domain counts no more for it, and the person's own habit only after some days, or when it is back.
pub fn usually_passes(db: &mut DbConnection, person: PersonId, address: &EmailAddress, now: UtcTime) -> Result<bool> {
    let since = now.minus(REMEMBERED);
    type Row = (String, Option<UtcTime>, Option<UtcTime>);
    let addresses: Vec<Row> = one_text!(person_addresses::table.filter(person_addresses::person_id.eq(person)).select(
        (person_addresses::canonical, person_addresses::third_last_pass_at, person_addresses::accepted_without_pass_at,)
    ))
    .load(db)?;
    let own = addresses.iter().filter_map(|(_, third, _)| *third).max().filter(|third| *third > since);
    let of_this = addresses.iter().find(|(canonical, ..)| canonical == address.canonical());
    if let Some((_, _, Some(accepted))) = of_this {
        let is_excused = now.since(*accepted) < EXCUSED;
        return Ok(own.is_some_and(|third| third > *accepted || !is_excused));
    }
    if own.is_some() {
        return Ok(true);
    }
    let of_domain: Vec<Option<UtcTime>> = one_text!(
        sending_domains::table
            .filter(sending_domains::domain.eq(address.domain()))
            .select(sending_domains::third_last_pass_at)
    )
    .load(db)?;
    Ok(of_domain.into_iter().flatten().any(|third| third > since))
}

/// An agent took a mail from the address for genuine that came without what it usually comes with.
pub fn accept_without_pass(db: &mut DbConnection, address: &EmailAddress, now: UtcTime) -> Result<()> {
    set_accepted(db, address, Some(now))
}

/// An agent found that such a mail is not from there: what was accepted before counts no more.
pub fn reject_without_pass(db: &mut DbConnection, address: &EmailAddress) -> Result<()> {
    set_accepted(db, address, None)
}

fn set_accepted(db: &mut DbConnection, address: &EmailAddress, at: Option<UtcTime>) -> Result<()> {
    diesel::update(person_addresses::table.filter(person_addresses::canonical.eq(address.canonical())))
        .set(person_addresses::accepted_without_pass_at.eq(at))
        .execute(db)?;
    Ok(())
}

/// Forgets what is so old that it counts no more.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let before = now.minus(REMEMBERED);
    diesel::delete(sending_domains::table.filter(sending_domains::last_pass_at.lt(before))).execute(db)?;
    diesel::update(person_addresses::table.filter(person_addresses::last_pass_at.lt(before)))
        .set((
            person_addresses::last_pass_at.eq(None::<UtcTime>),
            person_addresses::second_last_pass_at.eq(None::<UtcTime>),
            person_addresses::third_last_pass_at.eq(None::<UtcTime>),
        ))
        .execute(db)?;
    Ok(())
}
