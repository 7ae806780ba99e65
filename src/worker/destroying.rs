//! Captures whose time is over, or which the customer wants gone: destroyed as soon as that is known, one at a time.

use crate::app::App;
use crate::backup::copying::{self, Left};
use crate::clock::UtcTime;
use crate::consent::{Grant, grants};
use crate::db::DbConnection;
use crate::db::types::GrantId;
use crate::diagnostics::scrubbing;
use crate::diagnostics::trace_store::{self, Destroying};
use crate::error::Result;
use crate::worker::threads::Step;

/// Captures looked at in one step; one that cannot be destroyed keeps no other waiting.
const DUE: i64 = 20;
/// How often it is tried at once to get what was deleted out of the files, should somebody be in the way.
const SCRUBBINGS: usize = 3;

/// Takes one capture that is due a step nearer to its end. Doing it twice does no harm: what is gone is gone, and
/// certified once.
pub fn destroy_next(app: &App, _worker: &str) -> Result<Step> {
    let now = app.clock.now();
    let mut failure = None;
    for grant in app.database.read_now(|db| due(db, now))? {
        match destroy(app, grant, now) {
            Ok(true) => return Ok(Step::Worked(1)),
            Ok(false) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(Step::Idle), Err)
}

/// What something can be done about now. While somebody is in the way of the files, what only waits for them is left to
/// recurring work: it takes no place here, and nothing is written about it.
fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<Grant>> {
    let is_in_the_way = scrubbing::owed(db)?.is_some_and(|owed| owed.attempts > 0);
    let mut found = Vec::new();
    let mut after = GrantId(0);
    loop {
        let page = grants::to_be_destroyed(db, now, after, DUE)?;
        let is_last = (page.len() as i64) < DUE;
        for grant in page {
            after = grant.id;
            if !is_in_the_way || !trace_store::is_emptied(db, grant.id)? {
                found.push(grant);
            }
        }
        if is_last || found.len() as i64 >= DUE {
            return Ok(found);
        }
    }
}

/// Gives whether it came nearer.
fn destroy(app: &App, grant: Grant, now: UtcTime) -> Result<bool> {
    let (keys, handle) = (app.keys.clone(), grant.handle.clone());
    match app.database.write_now(move |db| trace_store::destroy(db, &keys, &grant, now))? {
        Destroying::Rows => Ok(true),
        Destroying::Owed => {
            scrub_owed(app, now)?;
            Ok(app.database.read_now(scrubbing::owed)?.is_none())
        }
        Destroying::Done(counts) => {
            tracing::info!(
                target: "accord::worker",
                grant = handle,
                records = counts.records,
                chunks = counts.chunks,
                "Destroyed what grant {handle} had captured"
            );
            Ok(true)
        }
    }
}

/// Gets what was destroyed out of the files of the database, if that is owed. Where somebody is in the way it stays owed,
/// and recurring work tries again until it is done.
pub fn scrub_owed(app: &App, now: UtcTime) -> Result<()> {
    let Some(owed) = app.database.read_now(scrubbing::owed)? else { return Ok(()) };
    let scrubbed = scrub(app);
    if let Ok(true) = scrubbed {
        let is_all = app.database.write_now(move |db| scrubbing::paid(db, &owed, now))?;
        if is_all && owed.attempts > 0 {
            tracing::info!(target: "accord::worker", attempts = owed.attempts, "What was destroyed is out of the files now");
        }
        return Ok(());
    }
    app.database.write_now(scrubbing::failed)?;
    let (minutes, attempts) = (now.since(owed.since).num_minutes(), owed.attempts + 1);
    if owed.is_late(now) {
        tracing::error!(target: "accord::worker", "What was destroyed may still stand in the files after {minutes} minutes and {attempts} attempts: something holds on to an old state of the database");
    } else {
        tracing::warn!(target: "accord::worker", "What was destroyed may still stand in the files after {attempts} attempts: somebody reads an old state of the database, or makes a backup; it is tried again");
    }
    scrubbed.map(drop)
}

/// Whether it stands nowhere any more; the copy from which a backup is being made, or was, may hold it too.
fn scrub(app: &App) -> Result<bool> {
    if copying::remove_unfinished(&app.config).map_err(anyhow::Error::new)? == Left::BeingMade {
        return Ok(false);
    }
    for _ in 0..SCRUBBINGS {
        if app.database.scrub()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Wraps the keys of captures anew after the installation's keys were rotated; doing it twice finds none.
pub fn rewrap_keys(app: &App, _now: UtcTime) -> Result<()> {
    loop {
        let keys = app.keys.clone();
        if app.database.write_now(move |db| trace_store::rewrap(db, &keys))? == 0 {
            return Ok(());
        }
    }
}
