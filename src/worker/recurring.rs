//! Work that recurs: name, interval, function. The last run stands in the database and is claimed by compare-and-set,
//! so that several processes do it once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::TimeDelta;

use crate::app::App;
use crate::backup::copying::{self, Left};
use crate::clock::UtcTime;
use crate::consent::{expiring, links, stopping};
use crate::db::{DbConnection, LOG_ALARM_BYTES, LOG_CRITICAL_BYTES};
use crate::error::Result;
use crate::journal::handling;
use crate::people::{mail_habits, one_time_tokens, sessions};
use crate::web::request_log;
use crate::worker::{clock_watch, destroying, planned_answers};
use crate::{audit, schedule, throttle};

/// One recurring piece of work.
pub struct Recurring {
    pub name: &'static str,
    pub every: TimeDelta,
    /// Whether it removes what is old enough, and so waits when the clock may be wrong (FT-06). What was promised to end, or
    /// to be destroyed, never waits.
    pub removes: bool,
    pub run: fn(&App, UtcTime) -> Result<()>,
}

/// Entries of the ledger whose details tell how somebody signed in.
const SIGN_IN_KINDS: &[&str] = &["sign_in", "sign_in_failed", "sign_out"];

/// All of it.
pub const TABLE: &[Recurring] = &[
    Recurring { name: "forget_throttles", every: TimeDelta::hours(6), removes: true, run: forget_throttles },
    Recurring { name: "forget_sessions", every: TimeDelta::hours(6), removes: true, run: forget_sessions },
    Recurring {
        name: "forget_sign_in_details",
        every: TimeDelta::hours(24),
        removes: true,
        run: forget_sign_in_details,
    },
    Recurring { name: "end_consents", every: TimeDelta::seconds(15), removes: false, run: end_consents },
    Recurring { name: "forget_consent_links", every: TimeDelta::hours(24), removes: true, run: forget_consent_links },
    Recurring { name: "forget_mail_habits", every: TimeDelta::hours(24), removes: true, run: forget_mail_habits },
    Recurring { name: "forget_mail_clients", every: TimeDelta::hours(24), removes: true, run: forget_mail_clients },
    Recurring { name: "remove_access_logs", every: TimeDelta::hours(6), removes: true, run: remove_access_logs },
    Recurring {
        name: "late_answers",
        every: TimeDelta::minutes(5),
        removes: false,
        run: planned_answers::look_at_late,
    },
    Recurring {
        name: "remove_thrown_away",
        every: TimeDelta::hours(1),
        removes: true,
        run: planned_answers::remove_thrown_away,
    },
    Recurring { name: "rewrap_trace_keys", every: TimeDelta::hours(24), removes: false, run: destroying::rewrap_keys },
    Recurring { name: "scrub_owed", every: TimeDelta::minutes(1), removes: false, run: destroying::scrub_owed },
    Recurring { name: "tell_of_clock", every: TimeDelta::hours(1), removes: false, run: clock_watch::tell },
    Recurring {
        name: "remove_unfinished_backup",
        every: TimeDelta::minutes(15),
        removes: false,
        run: remove_unfinished_backup,
    },
];

/// How a write-ahead log of that size is to be told of, if at all (DB-06).
fn log_alarm(bytes: u64) -> Option<&'static str> {
    if bytes > LOG_CRITICAL_BYTES {
        Some("The write-ahead log fills the disk: something holds on to an old state of the database")
    } else if bytes > LOG_ALARM_BYTES {
        Some("The write-ahead log grows: something holds on to an old state of the database")
    } else {
        None
    }
}

/// Looks at the size of the write-ahead log, which only this process's disk has (FT-10).
pub fn watch_log(app: &App) {
    let Some(bytes) = app.database.log_bytes() else { return };
    if let Some(alarm) = log_alarm(bytes) {
        tracing::error!(target: "accord::db", bytes, "{alarm}");
    }
}

/// Takes what is kept for a full disk, or takes it again once there is room (FT-04).
pub fn keep_ballast(app: &App) {
    for ballast in app.database.ballast().into_iter().chain([app.storage.ballast()]) {
        match ballast.take() {
            Ok(true) => tracing::info!(target: "accord::db", "Room is kept for the day on which the disk is full"),
            Ok(false) => {}
            Err(error) => tracing::warn!(target: "accord::db", %error, "No room can be kept for a full disk"),
        }
    }
}

/// Runs what is due; gives how many ran.
pub fn run_due(app: &App, now: UtcTime) -> Result<usize> {
    run_due_of(TABLE, app, now)
}

/// The same of other work, for tests in which it goes wrong.
pub fn run_due_of(table: &'static [Recurring], app: &App, now: UtcTime) -> Result<usize> {
    let mut ran = 0;
    // Consents end whatever the clock's watch comes to.
    let may_remove = match catch_unwind(AssertUnwindSafe(|| clock_watch::look(app, now))) {
        Ok(Ok(may_remove)) => may_remove,
        Ok(Err(error)) => {
            tracing::error!(target: "accord::worker", work = "clock_watch", ?error, "Recurring work failed");
            false
        }
        Err(_) => {
            tracing::error!(target: "accord::worker", work = "clock_watch", "Recurring work panicked");
            false
        }
    };
    for work in table.iter().filter(|work| may_remove || !work.removes) {
        let due = app.database.read_now(|db| schedule::is_due(db, work.name, work.every, now))?;
        if due && app.database.write_now(move |db| schedule::claim(db, work.name, work.every, now))? {
            ran += 1;
            // What panics keeps no other waiting, and is due again after its time (FT-20).
            match catch_unwind(AssertUnwindSafe(|| (work.run)(app, now))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(target: "accord::worker", work = work.name, ?error, "Recurring work failed");
                }
                Err(_) => tracing::error!(target: "accord::worker", work = work.name, "Recurring work panicked"),
            }
        }
    }
    Ok(ran)
}

fn forget_throttles(app: &App, now: UtcTime) -> Result<()> {
    app.database.write_now(move |db| throttle::forget_old(db, now).map(drop))
}

fn forget_sessions(app: &App, now: UtcTime) -> Result<()> {
    let limits = sessions::Limits::from(&app.config.security);
    app.database.write_now(move |db| {
        sessions::forget_ended(db, &limits, now)?;
        one_time_tokens::forget_dead(db, now).map(drop)
    })
}

fn forget_mail_habits(app: &App, now: UtcTime) -> Result<()> {
    app.database.write_now(move |db| mail_habits::forget_old(db, now))
}

/// From which machine a mail came is kept as long as from where somebody signed in; what followed from it is written down.
fn forget_mail_clients(app: &App, now: UtcTime) -> Result<()> {
    let before = now.minus(TimeDelta::days(i64::from(app.config.log.access_days)));
    app.database.write_now(move |db| handling::forget_clients(db, before).map(drop))
}

/// Who signed in from where is kept as long as the access log, and then only that it happened (B13, G-05).
fn forget_sign_in_details(app: &App, now: UtcTime) -> Result<()> {
    let before = now.minus(TimeDelta::days(i64::from(app.config.log.access_days)));
    app.database.write_now(move |db| audit::forget_details(db, SIGN_IN_KINDS, before).map(drop))
}

/// Writes down which grants and questions are over, and stops what nobody looks at or may grant any more. What is over
/// opens nothing even before.
fn end_consents(app: &App, now: UtcTime) -> Result<()> {
    let expired =
        app.database.read_now(|db| expiring::due(db, now)).and_then(|due| each(app, due, expiring::expire, now));
    let unanswered = app.database.read_now(|db| expiring::unanswered(db, now));
    let lapsed = unanswered.and_then(|due| each(app, due, expiring::lapse, now));
    let stopped =
        app.database.read_now(|db| stopping::due(db, now)).and_then(|due| each(app, due, stopping::stop_if_due, now));
    expired.and(lapsed).and(stopped)
}

/// Does `end` with each of `due` in a transaction of its own, so that none holds the ledger while it waits for the next
/// one's row (see `consent`). One that fails keeps no other waiting.
fn each<T: Copy + Send + 'static>(
    app: &App,
    due: Vec<T>,
    end: fn(&mut DbConnection, T, UtcTime) -> Result<()>,
    now: UtcTime,
) -> Result<()> {
    let mut outcome = Ok(());
    for one in due {
        outcome = app.database.write_now(move |db| end(db, one, now)).and(outcome);
    }
    outcome
}

fn forget_consent_links(app: &App, now: UtcTime) -> Result<()> {
    app.database.write_now(move |db| links::forget_old(db, now).map(drop))
}

/// Every process has its own folder and removes its own; running once too often finds nothing.
fn remove_access_logs(app: &App, now: UtcTime) -> Result<()> {
    let log = &app.config.log;
    request_log::remove_old(&log.access_folder, log.access_days, now).map(drop).map_err(anyhow::Error::new)?;
    Ok(())
}

/// A backup that was interrupted leaves a copy of the database with all that is to be in none. One that is being made is
/// left alone.
fn remove_unfinished_backup(app: &App, _now: UtcTime) -> Result<()> {
    match copying::remove_unfinished(&app.config).map_err(anyhow::Error::new)? {
        Left::Removed => {
            tracing::warn!(target: "accord::worker", "Removed the copy of the database that an interrupted backup left");
        }
        Left::Nothing | Left::BeingMade => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn db_06_a_write_ahead_log_of_64_mib_is_an_alarm_and_one_of_256_mib_is_a_louder_one() {
        assert_eq!(log_alarm(64 << 20), None);
        assert!(log_alarm((64 << 20) + 1).unwrap().contains("grows"));
        assert!(log_alarm((256 << 20) + 1).unwrap().contains("fills the disk"));
    }
}
