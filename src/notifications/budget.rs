//! How much one address is mailed by a machine: acknowledgements, and what consents need to have said, count together
//! (LP-02, LP-09). Only acknowledgements are left out when it is used up: a question waits for its answer, and a receipt or
//! an end is owed.

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::throttle::{self, Rate};

/// What one address may get (LP-02).
const BUDGETS: [(&str, Rate); 2] = [
    ("automatic-hour", Rate { times: 3, within: TimeDelta::hours(1) }),
    ("automatic-day", Rate { times: 10, within: TimeDelta::days(1) }),
];

/// Counts a mail that may be left out; one too many is an error.
pub fn take(db: &mut DbConnection, to: &EmailAddress, now: UtcTime) -> Result<()> {
    for (what, rate) in BUDGETS {
        throttle::take_strictly(db, &throttle::name(what, to.canonical()), rate, now)?;
    }
    Ok(())
}

/// Whether nothing was counted within the hour.
pub fn is_untouched(db: &mut DbConnection, to: &EmailAddress, now: UtcTime) -> Result<bool> {
    let [(what, rate), _] = BUDGETS;
    throttle::is_untouched(db, &throttle::name(what, to.canonical()), rate, now)
}

/// Counts a mail that goes out whatever went before it.
pub fn count(db: &mut DbConnection, to: &EmailAddress, now: UtcTime) -> Result<()> {
    for (what, rate) in BUDGETS {
        match throttle::take_strictly(db, &throttle::name(what, to.canonical()), rate, now) {
            Ok(()) | Err(Error::TooMany { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
