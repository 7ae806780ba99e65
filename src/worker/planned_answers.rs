//! Sends answers whose time has come, or holds them; removes the files of those that were thrown away.

use crate::app::App;
use crate::clock::UtcTime;
use crate::error::Result;
use crate::queue::{InHand, Job};
use crate::tickets::messages::Words;
use crate::tickets::planned::releasing::{self, Released};
use crate::tickets::planned::{self, AnswerDue};
use crate::tickets::thrown_away;
use crate::worker::mail_jobs::payload;

/// Sends an answer that is due. It goes out in the transaction in which its row and this job go, so that doing it twice
/// sends it once.
pub fn release(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let due: AnswerDue = payload(job)?;
    let answer = app.database.read_now(|db| planned::find_by_id(db, due.answer))?;
    // Markdown becomes HTML before the transaction.
    let answer = answer.map(|answer| (Words::on_page(&answer.text), answer));
    let job = job.clone();
    let (released, next) = app.database.write_now(move |db| {
        let released = match &answer {
            Some((words, answer)) => releasing::release(db, answer, words, now)?,
            None => Released::NotDue,
        };
        Ok((released, job.finish(db)?))
    })?;
    if let Released::Held(_) = released {
        tracing::info!(target: "accord::worker", "An answer that waited is held");
    }
    Ok(next)
}

/// Looks once more at what should have gone out and did not.
pub fn look_at_late(app: &App, now: UtcTime) -> Result<()> {
    let late = app.database.write_now(move |db| planned::enqueue_late(db, now))?;
    if late > 0 {
        tracing::warn!(target: "accord::worker", count = late, "Answers are late; they are looked at once more");
    }
    Ok(())
}

/// Removes the files of answers that were thrown away, where nothing else has them. Running it twice finds nothing.
pub fn remove_thrown_away(app: &App, now: UtcTime) -> Result<()> {
    for hash in app.database.read_now(|db| thrown_away::due(db, now))? {
        let is_named = app.database.read_now(|db| thrown_away::is_named(db, &hash))?;
        if is_named || thrown_away::remove(&app.storage, &hash, now)? {
            app.database.write_now(move |db| thrown_away::forget(db, &hash, now))?;
        }
    }
    Ok(())
}
