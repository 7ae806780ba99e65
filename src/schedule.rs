//! When recurring work last ran, claimed by compare-and-set; and by that, whether the clock was set meanwhile (FT-06).

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::recurring_runs;
use crate::error::Result;

/// The row that says when the clock was last found in order.
const CLOCK: &str = "clock";
/// The row that says how far ahead it was found since.
const CLOCK_AHEAD: &str = "clock_ahead";
/// How far the clock may have gone on since, before what is removed by its age waits for somebody's word.
const LONGEST_STEP: TimeDelta = TimeDelta::days(1);
/// How far a clock may be behind another machine's, or behind itself after a correction.
const DRIFT: TimeDelta = TimeDelta::minutes(10);
/// How often it is written down that the clock goes.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);

/// How the clock went since it was last found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nobody has looked before.
    Unknown,
    /// As it should, and too little to be written down.
    Steady,
    /// As it should.
    Moved,
    /// It was set forward by more than a day, or nothing ran for so long.
    Ahead { since: UtcTime },
    /// It was set back.
    Back { since: UtcTime },
    /// It was ahead, until this time, and was put right. It may still stand more than a day after it was last in order.
    PutRight { from: UtcTime, is_in_order: bool },
}

/// How the clock went.
pub fn course(db: &mut DbConnection, now: UtcTime) -> Result<Course> {
    let rows: Vec<(String, UtcTime)> = recurring_runs::table
        .filter(recurring_runs::name.eq_any([CLOCK, CLOCK_AHEAD]))
        .select((recurring_runs::name, recurring_runs::last_run_at))
        .load(db)?;
    let noted = |name: &str| rows.iter().find(|(row, _)| row == name).map(|(_, at)| *at);
    let Some(since) = noted(CLOCK) else { return Ok(Course::Unknown) };
    let step = now.since(since);
    if step < -DRIFT {
        return Ok(Course::Back { since });
    }
    let is_in_order = step <= LONGEST_STEP;
    if let Some(from) = noted(CLOCK_AHEAD).filter(|from| *from > now.plus(DRIFT)) {
        return Ok(Course::PutRight { from, is_in_order });
    }
    Ok(match is_in_order {
        false => Course::Ahead { since },
        true if step >= NOTED_EVERY => Course::Moved,
        true => Course::Steady,
    })
}

/// From now on the clock counts as in order, as it stands.
pub fn note_time(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    note(db, CLOCK, now)?;
    note(db, CLOCK_AHEAD, now)
}

/// What was noted of the clock is of another time: a restored database is older than what goes on around it.
pub fn forget_time(db: &mut DbConnection) -> Result<()> {
    diesel::delete(recurring_runs::table.filter(recurring_runs::name.eq_any([CLOCK, CLOCK_AHEAD]))).execute(db)?;
    Ok(())
}

/// The clock is ahead, and nobody has confirmed it yet.
pub fn note_ahead(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    note(db, CLOCK_AHEAD, now)
}

fn note(db: &mut DbConnection, name: &str, now: UtcTime) -> Result<()> {
    let row = (recurring_runs::name.eq(name), recurring_runs::last_run_at.eq(now));
    on_each_backend!(db, db => diesel::insert_into(recurring_runs::table)
        .values(row)
        .on_conflict(recurring_runs::name)
        .do_update()
        .set(recurring_runs::last_run_at.eq(now))
        .execute(db))?;
    Ok(())
}

/// Whether `name` has not run for as long as `every`.
pub fn is_due(db: &mut DbConnection, name: &str, every: TimeDelta, now: UtcTime) -> Result<bool> {
    let last: Option<UtcTime> =
        recurring_runs::table.find(name).select(recurring_runs::last_run_at).first(db).optional()?;
    // A run after now was at a time that the clock was set back from.
    Ok(last.is_none_or(|last| last <= now.minus(every) || last > now.plus(DRIFT)))
}

/// Whether `name` is due now, and nobody else took it; it then counts as run.
pub fn claim(db: &mut DbConnection, name: &str, every: TimeDelta, now: UtcTime) -> Result<bool> {
    let due_before = now.minus(every);
    let is_due = recurring_runs::last_run_at.le(due_before).or(recurring_runs::last_run_at.gt(now.plus(DRIFT)));
    let taken = diesel::update(recurring_runs::table.find(name).filter(is_due))
        .set(recurring_runs::last_run_at.eq(now))
        .execute(db)?;
    if taken > 0 {
        return Ok(true);
    }
    // The first time there is no row yet; whoever inserts it runs.
    let row = (recurring_runs::name.eq(name), recurring_runs::last_run_at.eq(now));
    let added = on_each_backend!(db, db => diesel::insert_into(recurring_runs::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(db))?;
    Ok(added > 0)
}
