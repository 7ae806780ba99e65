//! How often something may happen, counted in the database so that every process counts alike: leaky buckets by name.
//! A name never holds an address or a person in clear; callers hash what identifies somebody.

use std::net::IpAddr;

use chrono::TimeDelta;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::one_text::one_text;
use crate::db::prepared_once::prepared_once;
use crate::db::schema::throttles;
use crate::error::{Error, Result};

/// So many times in so long a time; the bucket empties evenly.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub times: u32,
    pub within: TimeDelta,
}

/// Buckets that were full and are certainly empty again are removed after this.
const KEPT: TimeDelta = TimeDelta::days(2);

/// A bucket's name: what is counted, and for whom (hashed).
pub fn name(what: &str, whom: &str) -> String {
    let digest = Sha256::digest(whom.as_bytes());
    format!("{what}:{}", data_encoding::HEXLOWER.encode(&digest[..16]))
}

/// Who counts as one by their IP address (T-04, U-06): an IPv4 address, or the /64 of an IPv6 address, since one household has as many
/// of those as it likes.
pub fn neighbourhood(ip_address: &str) -> String {
    match ip_address.parse() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => format!("{:x?}", &v6.segments()[..4]),
        },
        _ => ip_address.to_owned(),
    }
}

/// Counts one more, or says in how many seconds one more will be allowed.
pub fn take(db: &mut DbConnection, name: &str, rate: Rate, now: UtcTime) -> Result<()> {
    let (spent, retry_after_secs) = level(db, name, rate, now)?;
    if retry_after_secs > 0 {
        return Err(Error::TooMany { retry_after_secs });
    }
    let row = (
        throttles::name.eq(name),
        throttles::spent.eq(spent + 1.0),
        throttles::updated_at.eq(now),
        throttles::blocked_until.eq(None::<UtcTime>),
    );
    let change = (throttles::spent.eq(spent + 1.0), throttles::updated_at.eq(now));
    on_each_backend!(db, db => {
        let count = diesel::insert_into(throttles::table)
            .values(row)
            .on_conflict(throttles::name)
            .do_update()
            .set(change)
            .returning(throttles::spent);
        prepared_once(count).get_result::<f64>(db)
    })?;
    Ok(())
}

/// The same where no span of that length may ever hold more, also when several count at the same time: a bucket empties
/// while it is filled, and lets up to twice as many through in its first such span. Each time has a row of its own, so
/// this is for small numbers; its rows are not for [`allows`] and [`give_back`].
pub fn take_strictly(db: &mut DbConnection, name: &str, rate: Rate, now: UtcTime) -> Result<()> {
    for number in 0..rate.times {
        if claim(db, &format!("{name}/{number}"), rate.within, now)? {
            return Ok(());
        }
    }
    // One of them is free by then at the latest.
    Err(Error::TooMany { retry_after_secs: rate.within.num_seconds().unsigned_abs() })
}

/// Whether [`take_strictly`] counted nothing in the last span of that length.
pub fn is_untouched(db: &mut DbConnection, name: &str, rate: Rate, now: UtcTime) -> Result<bool> {
    let names: Vec<String> = (0..rate.times).map(|number| format!("{name}/{number}")).collect();
    let counted =
        throttles::table.filter(throttles::name.eq_any(names)).filter(throttles::updated_at.gt(now.minus(rate.within)));
    let counted: i64 = counted.count().get_result(db)?;
    Ok(counted == 0)
}

/// Takes what may be taken once in so long a time. Compare and set: of those who try at the same time one has it.
fn claim(db: &mut DbConnection, name: &str, within: TimeDelta, now: UtcTime) -> Result<bool> {
    let free = throttles::table.find(name).filter(throttles::updated_at.le(now.minus(within)));
    let claimed = diesel::update(free).set((throttles::spent.eq(1.0), throttles::updated_at.eq(now))).execute(db)? > 0;
    if claimed {
        return Ok(true);
    }
    let row = (
        throttles::name.eq(name),
        throttles::spent.eq(1.0),
        throttles::updated_at.eq(now),
        throttles::blocked_until.eq(None::<UtcTime>),
    );
    let inserted = on_each_backend!(db, db => diesel::insert_into(throttles::table)
        .values(row)
        .on_conflict(throttles::name)
        .do_nothing()
        .execute(db))?;
    Ok(inserted > 0)
}

/// Whether one more would be allowed now, without counting it.
pub fn allows(db: &mut DbConnection, name: &str, rate: Rate, now: UtcTime) -> Result<bool> {
    Ok(level(db, name, rate, now)?.1 == 0)
}

/// Empties the bucket: what it guarded against did not happen after all.
pub fn clear(db: &mut DbConnection, name: &str) -> Result<()> {
    diesel::delete(throttles::table.find(name)).execute(db)?;
    Ok(())
}

/// Takes back one that [`take`] counted: it was not what the bucket guards against.
pub fn give_back(db: &mut DbConnection, name: &str) -> Result<()> {
    diesel::update(throttles::table.find(name).filter(throttles::spent.ge(1.0)))
        .set(throttles::spent.eq(throttles::spent - 1.0))
        .execute(db)?;
    Ok(())
}

/// Pauses that grow: the first few tries are free, each further one doubles the pause before the next.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    pub free: u32,
    /// The first pause; each further one is twice as long.
    pub first: TimeDelta,
    pub longest: TimeDelta,
    /// Tries are forgotten when there was none for so long.
    pub forgotten_after: TimeDelta,
}

/// Counts a try and begins the pause after it, or says in how many seconds the next is allowed. Of tries made at the same
/// time one is counted and the others wait.
pub fn try_once(db: &mut DbConnection, name: &str, back_off: BackOff, now: UtcTime) -> Result<()> {
    type Row = (f64, UtcTime, Option<UtcTime>);
    let row: Option<Row> = throttles::table
        .find(name)
        .select((throttles::spent, throttles::updated_at, throttles::blocked_until))
        .first(db)
        .optional()?;
    if let Some((_, _, Some(until))) = row
        && until > now
    {
        let millis = until.since(now).num_milliseconds().min(back_off.longest.num_milliseconds()).max(1);
        return Err(Error::TooMany { retry_after_secs: millis.unsigned_abs().div_ceil(1_000) });
    }
    let forgotten = row.is_none_or(|(_, updated_at, _)| now.since(updated_at) >= back_off.forgotten_after);
    let tries = row.filter(|_| !forgotten).map_or(0.0, |(spent, _, _)| spent) + 1.0;
    let doublings = tries as u32 - 1;
    let blocked_until = (doublings >= back_off.free).then(|| {
        let pause = back_off.first * (1 << (doublings - back_off.free).min(20));
        now.plus(pause.min(back_off.longest))
    });
    let counted = match row {
        // Compare and set: a try counted meanwhile changed `spent`.
        Some((spent, _, _)) => diesel::update(throttles::table.find(name).filter(throttles::spent.eq(spent)))
            .set((
                throttles::spent.eq(tries),
                throttles::updated_at.eq(now),
                throttles::blocked_until.eq(blocked_until),
            ))
            .execute(db)?,
        None => {
            let row = (
                throttles::name.eq(name),
                throttles::spent.eq(tries),
                throttles::updated_at.eq(now),
                throttles::blocked_until.eq(blocked_until),
            );
            on_each_backend!(db, db => diesel::insert_into(throttles::table)
                .values(row)
                .on_conflict(throttles::name)
                .do_nothing()
                .execute(db))?
        }
    };
    if counted == 0 { Err(Error::TooMany { retry_after_secs: 1 }) } else { Ok(()) }
}

/// When something of that name was counted last, if that was not long ago.
pub fn last(db: &mut DbConnection, name: &str) -> Result<Option<UtcTime>> {
    Ok(throttles::table.find(name).select(throttles::updated_at).first(db).optional()?)
}

/// Removes buckets that have long been empty.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    Ok(diesel::delete(throttles::table.filter(throttles::updated_at.lt(now.minus(KEPT)))).execute(db)?)
}

fn level(db: &mut DbConnection, name: &str, rate: Rate, now: UtcTime) -> Result<(f64, u64)> {
    let row: Option<(f64, UtcTime)> =
        one_text!(throttles::table.find(name).select((throttles::spent, throttles::updated_at)))
            .first(db)
            .optional()?;
    let Some((spent, updated_at)) = row else { return Ok((0.0, 0)) };
    let per_second = f64::from(rate.times) / rate.within.num_seconds().max(1) as f64;
    // A clock set back must not fill the bucket.
    let elapsed = now.since(updated_at).num_milliseconds().max(0) as f64 / 1_000.0;
    let spent = (spent - elapsed * per_second).max(0.0);
    let over = spent + 1.0 - f64::from(rate.times);
    let retry_after_secs = if over > 1e-6 { (over / per_second).ceil().max(1.0) as u64 } else { 0 };
    Ok((spent, retry_after_secs))
}

/// The clock was set back: what was counted later than now was counted now, and its pause would be as long as the clock was
/// ahead (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    diesel::update(throttles::table.filter(throttles::updated_at.gt(now)))
        .set((throttles::updated_at.eq(now), throttles::blocked_until.eq(None::<UtcTime>)))
        .execute(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u_06_addresses_of_one_household_count_together() {
        assert_eq!(neighbourhood("2001:db8:1:2::3"), neighbourhood("2001:db8:1:2:ffff::4"));
        assert_ne!(neighbourhood("2001:db8:1:2::3"), neighbourhood("2001:db8:1:3::3"));
        assert_eq!(neighbourhood("::ffff:192.0.2.1"), neighbourhood("192.0.2.1"));
        assert_ne!(neighbourhood("192.0.2.1"), neighbourhood("192.0.2.2"));
    }
}
