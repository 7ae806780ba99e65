//! When recurring work last ran, claimed by compare-and-set.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::recurring_runs;
use crate::error::Result;

/// Whether `name` has not run for as long as `every`.
pub fn is_due(db: &mut DbConnection, name: &str, every: TimeDelta, now: UtcTime) -> Result<bool> {
    let last: Option<UtcTime> =
        recurring_runs::table.find(name).select(recurring_runs::last_run_at).first(db).optional()?;
    Ok(last.is_none_or(|last| last <= now.minus(every)))
}

/// Whether `name` is due now, and nobody else took it; it then counts as run.
pub fn claim(db: &mut DbConnection, name: &str, every: TimeDelta, now: UtcTime) -> Result<bool> {
    let due_before = now.minus(every);
    let taken = diesel::update(recurring_runs::table.find(name).filter(recurring_runs::last_run_at.le(due_before)))
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
