//! What was destroyed of captures leaves the files of the database too ([`crate::db::Database::scrub`]), and that is owed
//! until it is done: somebody may be in the way, and the process may end. It is written down with each destruction, and
//! struck out only by an attempt that began after the last of them. Until then nothing is certified.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::owed_scrubs;
use crate::error::Result;

/// Who is in the way for longer than this is not going to make room by themselves.
pub const LATE: TimeDelta = TimeDelta::hours(1);
/// There is one such row.
const ROW: i64 = 1;

/// What may still stand in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct Owed {
    /// Steps of destroying since the files were last rid of everything.
    pub destructions: i64,
    /// When the first of them happened.
    pub since: UtcTime,
    /// Attempts that were in vain.
    pub attempts: i64,
}

impl Owed {
    /// Whether somebody has to see to it.
    pub fn is_late(&self, now: UtcTime) -> bool {
        now.since(self.since) >= LATE
    }
}

/// Writes down, in the transaction that destroys, that the files are to be rid of it. This is the last row that it locks.
pub fn owe(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let row = (
        owed_scrubs::id.eq(ROW),
        owed_scrubs::destructions.eq(1_i64),
        owed_scrubs::since.eq(now),
        owed_scrubs::attempts.eq(0_i64),
    );
    on_each_backend!(db, db => diesel::insert_into(owed_scrubs::table)
        .values(row)
        .on_conflict(owed_scrubs::id)
        .do_update()
        .set(owed_scrubs::destructions.eq(owed_scrubs::destructions + 1))
        .execute(db))?;
    Ok(())
}

/// What is owed, if anything.
pub fn owed(db: &mut DbConnection) -> Result<Option<Owed>> {
    let columns = (owed_scrubs::destructions, owed_scrubs::since, owed_scrubs::attempts);
    Ok(owed_scrubs::table.find(ROW).select(columns).first(db).optional()?)
}

/// Strikes out what was owed when the attempt of `began` rid the files of it, and gives whether that was all. What was
/// destroyed meanwhile is owed from then on. A debt that somebody else struck out, and one that came after, are left alone.
pub fn paid(db: &mut DbConnection, owed: &Owed, began: UtcTime) -> Result<bool> {
    let same = owed_scrubs::table.find(ROW).filter(owed_scrubs::since.eq(owed.since));
    if diesel::delete(same.filter(owed_scrubs::destructions.eq(owed.destructions))).execute(db)? > 0 {
        return Ok(true);
    }
    diesel::update(same).set((owed_scrubs::since.eq(began), owed_scrubs::attempts.eq(0_i64))).execute(db)?;
    Ok(false)
}

/// Counts an attempt that was in vain.
pub fn failed(db: &mut DbConnection) -> Result<()> {
    diesel::update(owed_scrubs::table.find(ROW))
        .set(owed_scrubs::attempts.eq(owed_scrubs::attempts + 1))
        .execute(db)?;
    Ok(())
}
