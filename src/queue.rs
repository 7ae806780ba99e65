//! Work to be done after a change: jobs that are enqueued in the change's own transaction, leased by one worker at a
//! time, and repeated with growing pauses until they succeed or are kept as failed. A handler may run twice, and says
//! in its own words how that does no harm.

use chrono::TimeDelta;
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::clock::{Clock, UtcTime};
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::jobs;
use crate::db::types::JobId;
use crate::error::{Error, Result};

/// How long a worker may take before another may take the job over.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Attempts before a job is kept as failed and shown to administrators.
pub const ATTEMPTS: i32 = 8;
/// The same for a job over which the code panics (FT-20).
pub const STRIKES: i32 = 3;
/// Due jobs looked at in one go; with several processes each begins elsewhere among them.
const CANDIDATES: i64 = 16;

/// A job taken by a worker.
#[derive(Clone, Debug, Queryable)]
pub struct Job {
    pub id: JobId,
    pub name: String,
    pub payload: String,
    pub attempts: i32,
}

/// Has `name` done with `payload` (JSON) at `run_at`.
pub fn enqueue(
    db: &mut DbConnection,
    name: &str,
    payload: &impl serde::Serialize,
    run_at: UtcTime,
    now: UtcTime,
) -> Result<()> {
    let payload = serde_json::to_string(payload).map_err(anyhow::Error::new)?;
    one_text!(diesel::insert_into(jobs::table).values((
        jobs::name.eq(name),
        jobs::payload.eq(payload),
        jobs::state.eq("queued"),
        jobs::attempts.eq(0),
        jobs::run_at.eq(run_at),
        jobs::created_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}

/// Keeps a job as failed from the beginning: it waits for somebody who says to do it.
pub fn set_aside(
    db: &mut DbConnection,
    name: &str,
    payload: &impl serde::Serialize,
    reason: &str,
    now: UtcTime,
) -> Result<()> {
    let payload = serde_json::to_string(payload).map_err(anyhow::Error::new)?;
    let reason: String = reason.chars().take(500).collect();
    diesel::insert_into(jobs::table)
        .values((
            jobs::name.eq(name),
            jobs::payload.eq(payload),
            jobs::state.eq("failed"),
            jobs::attempts.eq(0),
            jobs::run_at.eq(now),
            jobs::created_at.eq(now),
            jobs::last_error.eq(reason),
        ))
        .execute(db)?;
    Ok(())
}

/// The jobs of that name that are kept as failed, with what they are to do.
pub fn failed_called(db: &mut DbConnection, name: &str) -> Result<Vec<(JobId, String)>> {
    Ok(jobs::table.filter(is_failed()).filter(jobs::name.eq(name)).select((jobs::id, jobs::payload)).load(db)?)
}

/// The ids of jobs that are due and free, oldest first.
pub fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<JobId>> {
    let due = jobs::table
        .filter(is_queued())
        .filter(jobs::run_at.le(now))
        .filter(jobs::leased_until.is_null().or(jobs::leased_until.lt(now)))
        .order((jobs::run_at, jobs::id))
        .limit(CANDIDATES)
        .select(jobs::id);
    Ok(one_text!(promised due).load(db)?)
}

/// Takes job `id` for `worker`, unless somebody else was faster, or so many workers took it that it would be kept as failed,
/// and none came back to say so.
pub fn claim(db: &mut DbConnection, id: JobId, worker: &str, now: UtcTime) -> Result<Option<Job>> {
    let free =
        || jobs::table.find(id).filter(is_queued()).filter(jobs::leased_until.is_null().or(jobs::leased_until.lt(now)));
    let take = diesel::update(free().filter(jobs::attempts.lt(ATTEMPTS)))
        .set((
            jobs::leased_until.eq(now.plus(LEASE)),
            jobs::leased_by.eq(worker),
            jobs::attempts.eq(jobs::attempts + 1),
        ))
        .returning((jobs::id, jobs::name, jobs::payload, jobs::attempts));
    let taken = one_text!(promised take).get_result(db).optional()?;
    if taken.is_none() {
        one_text!(promised diesel::update(free().filter(jobs::attempts.ge(ATTEMPTS))).set((
            jobs::state.eq("failed"),
            jobs::leased_until.eq(None::<UtcTime>),
            jobs::last_error.eq("no worker that took it came back"),
        )))
        .run(db)?;
    }
    Ok(taken)
}

/// Takes one of the jobs that are due and free for `worker`, beginning at a place among them that differs from worker to
/// worker, so that they do not all want the same.
pub fn claim_next(db: &mut DbConnection, worker: &str, now: UtcTime) -> Result<Option<Job>> {
    let due = due(db, now)?;
    let start = worker.bytes().map(usize::from).sum::<usize>() % due.len().max(1);
    for id in due.iter().cycle().skip(start).take(due.len()) {
        if let Some(job) = claim(db, *id, worker, now)? {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// A job in a worker's hand. Whoever does it finishes it in the transaction in which it is done.
#[derive(Clone)]
pub struct InHand {
    pub job: Job,
    pub worker: String,
    pub clock: Clock,
    /// Whether the worker wants another one after it.
    pub goes_on: bool,
}

impl InHand {
    /// The job is done. Gives the next one, which is claimed in the same commit. Fails, and with it the transaction, when the
    /// worker does not hold the job any more: it took too long, and somebody else does it.
    pub fn finish(&self, db: &mut DbConnection) -> Result<Option<Job>> {
        let held = jobs::table.find(self.job.id).filter(jobs::leased_by.eq(&self.worker));
        let done: Option<JobId> =
            one_text!(promised diesel::delete(held).returning(jobs::id)).get_result(db).optional()?;
        if done.is_none() {
            return Err(Error::internal("somebody else took the job over"));
        }
        if self.goes_on { claim_next(db, &self.worker, self.clock.now()) } else { Ok(None) }
    }
}

/// The job is done.
pub fn finish(db: &mut DbConnection, job: &Job) -> Result<()> {
    one_text!(diesel::delete(jobs::table.find(job.id))).run(db)?;
    Ok(())
}

/// The job failed in the hands of `worker`: it is tried again later, or kept as failed after so many `tries`. Gives whether it
/// is kept. What another worker took over meanwhile is theirs to fail.
pub fn fail(db: &mut DbConnection, job: &Job, worker: &str, tries: i32, error: &str, now: UtcTime) -> Result<bool> {
    let last = job.attempts >= tries;
    let error: String = error.chars().take(500).collect();
    let held = jobs::table.find(job.id).filter(is_queued()).filter(jobs::leased_by.eq(worker));
    let failed = diesel::update(held)
        .set((
            jobs::state.eq(if last { "failed" } else { "queued" }),
            jobs::run_at.eq(now.plus(pause_after(job.attempts))),
            jobs::leased_until.eq(None::<UtcTime>),
            jobs::last_error.eq(error),
        ))
        .execute(db)?;
    Ok(last && failed > 0)
}

/// Frees every job that a worker holds: at the start of the only process of a database.
pub fn free_leases(db: &mut DbConnection) -> Result<usize> {
    Ok(diesel::update(jobs::table.filter(is_queued()).filter(jobs::leased_until.is_not_null()))
        .set(jobs::leased_until.eq(None::<UtcTime>))
        .execute(db)?)
}

/// Tries a failed job again.
pub fn retry(db: &mut DbConnection, id: JobId, now: UtcTime) -> Result<bool> {
    let changed = diesel::update(jobs::table.find(id).filter(is_failed()))
        .set((jobs::state.eq("queued"), jobs::attempts.eq(0), jobs::run_at.eq(now)))
        .execute(db)?;
    Ok(changed > 0)
}

/// A job kept as failed, as administrators see it.
#[derive(Clone, Debug, Queryable)]
pub struct FailedJob {
    pub id: JobId,
    pub name: String,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub created_at: UtcTime,
}

/// The newest jobs kept as failed.
pub fn failed(db: &mut DbConnection, limit: i64) -> Result<Vec<FailedJob>> {
    Ok(jobs::table
        .filter(is_failed())
        .order(jobs::id.desc())
        .limit(limit)
        .select((jobs::id, jobs::name, jobs::attempts, jobs::last_error, jobs::created_at))
        .load(db)?)
}

/// Tries every failed job again, and gives how many those are.
pub fn retry_all(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    Ok(diesel::update(jobs::table.filter(is_failed()))
        .set((jobs::state.eq("queued"), jobs::attempts.eq(0), jobs::run_at.eq(now)))
        .execute(db)?)
}

/// Jobs waiting or under way, and jobs kept as failed.
pub fn counts(db: &mut DbConnection) -> Result<(i64, i64)> {
    let waiting = jobs::table.filter(is_queued()).count().get_result(db)?;
    let failed = jobs::table.filter(is_failed()).count().get_result(db)?;
    Ok((waiting, failed))
}

/// Since when the job that is longest due has waited.
pub fn oldest_due(db: &mut DbConnection, now: UtcTime) -> Result<Option<UtcTime>> {
    let due = jobs::table.filter(is_queued()).filter(jobs::run_at.le(now));
    Ok(due.select(diesel::dsl::min(jobs::run_at)).first(db)?)
}

/// Written out, so that the index over waiting jobs serves.
fn is_queued() -> SqlLiteral<Bool> {
    sql::<Bool>("state = 'queued'")
}

/// Written out, so that the index over failed jobs serves.
fn is_failed() -> SqlLiteral<Bool> {
    sql::<Bool>("state = 'failed'")
}

/// Pauses of 2, 4, 8 … seconds, at most an hour.
fn pause_after(attempts: i32) -> TimeDelta {
    TimeDelta::seconds(2_i64.pow(attempts.clamp(1, 12) as u32)).min(TimeDelta::hours(1))
}

/// The clock was set back: a job has as long to wait as when it was made, for it may be meant for a day far away; one that
/// failed is tried again (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let made_later: Vec<(JobId, UtcTime, UtcTime)> =
        jobs::table.filter(jobs::created_at.gt(now)).select((jobs::id, jobs::run_at, jobs::created_at)).load(db)?;
    for (id, run_at, created_at) in made_later {
        diesel::update(jobs::table.find(id))
            .set((jobs::run_at.eq(now.plus(run_at.since(created_at))), jobs::created_at.eq(now)))
            .execute(db)?;
    }
    // No pause between two attempts is longer than an hour.
    let tried = jobs::table.filter(jobs::attempts.gt(0)).filter(jobs::run_at.gt(now.plus(TimeDelta::hours(2))));
    diesel::update(tried).set(jobs::run_at.eq(now)).execute(db)?;
    let latest = now.plus(LEASE);
    let leased = jobs::table.filter(jobs::leased_until.gt(latest));
    diesel::update(leased).set(jobs::leased_until.eq(latest)).execute(db)?;
    Ok(())
}
