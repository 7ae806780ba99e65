//! Mail out of the journal into tickets: claimed, read outside of any transaction, carried out in one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::types::JournalId;
use crate::error::{Error, Result};
use crate::intake::reading::{self, Surroundings};
use crate::intake::{House, from_email};
use crate::journal::State;
use crate::journal::claiming::{self, Delivery, Setback, Stage};
use crate::mail::limits;
use crate::worker::serving;
use crate::worker::threads::Step;

/// Claims and processes one mail. Doing it twice does no harm: the outcome is recorded once, in the transaction in which
/// it happens.
pub fn process_next(app: &App, worker: &str) -> Result<Step> {
    let now = app.clock.now();
    let due = app.database.read_now(|db| claiming::due(db, now))?;
    let Some((id, size)) = claim_one(app, &due, worker, now)? else { return Ok(Step::Idle) };
    let _place = app.reading_room.enter(size);
    let (delivery, surroundings) =
        app.database.read_now(|db| Ok((claiming::load(db, id)?, Surroundings::load(db)?)))?;
    let span =
        tracing::info_span!(target: "accord::mail", "mail", mail.handle = %delivery.handle, mail.size = delivery.size);
    span.in_scope(|| process(app, delivery, &surroundings, worker, now))?;
    Ok(Step::Worked)
}

fn process(app: &App, delivery: Delivery, surroundings: &Surroundings, worker: &str, now: UtcTime) -> Result<()> {
    let house = House::new(&app.keys, &app.config);
    let read = catch_unwind(AssertUnwindSafe(|| reading::read(&house, &app.storage, &delivery, surroundings)));
    let reading = match read {
        Ok(Ok(reading)) => reading,
        Ok(Err(error)) => return set_back(app, &delivery, worker, Stage::Reading, &error, now),
        Err(_) => return set_back_after_panic(app, &delivery, worker, Stage::Reading, now),
    };
    if is_alarming(reading.took) {
        let duration_ms = u64::try_from(reading.took.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(target: "accord::mail", duration_ms, "Reading a mail took longer than any mail should");
    }
    let carried_out = {
        let (worker, delivery) = (worker.to_owned(), without_bytes(&delivery));
        catch_unwind(AssertUnwindSafe(|| {
            app.database.write_now(move |db| from_email::apply(db, &house, &delivery, &reading, &worker, now))
        }))
    };
    match carried_out {
        Ok(Ok(applied)) => {
            let record = &applied.record;
            let organisation = applied.ticket.as_ref().map(|ticket| ticket.organisation_id);
            serving::for_organisation(organisation, || {
                tracing::info!(
                    target: "accord::mail",
                    rule = %record.rule,
                    decision = %record.decision,
                    reference = applied.ticket.as_ref().map(|ticket| ticket.reference.as_str()),
                    duration_ms = record.duration_ms,
                    "Processed a mail"
                );
            });
            Ok(())
        }
        Ok(Err(error)) => set_back(app, &delivery, worker, Stage::Applying, &error, now),
        Err(_) => set_back_after_panic(app, &delivery, worker, Stage::Applying, now),
    }
}

/// Whether reading took longer than the limits should let it (L-13). The work is bounded by them; this ends nothing.
fn is_alarming(took: Duration) -> bool {
    took > Duration::from_secs(limits::SECONDS)
}

/// The bytes are not needed to carry out a decision, and they may be many.
fn without_bytes(delivery: &Delivery) -> Delivery {
    Delivery { raw: None, ..delivery.clone() }
}

fn set_back(app: &App, delivery: &Delivery, worker: &str, stage: Stage, error: &Error, now: UtcTime) -> Result<()> {
    let setback = match error {
        Error::Busy | Error::StorageFull => Setback::Busy,
        _ => Setback::Fault,
    };
    tracing::warn!(target: "accord::mail", ?error, ?stage, "A mail could not be processed; it will be tried again");
    record(app, delivery, worker, stage, setback, format!("{error:#}"), now)
}

fn set_back_after_panic(app: &App, delivery: &Delivery, worker: &str, stage: Stage, now: UtcTime) -> Result<()> {
    tracing::error!(target: "accord::mail", ?stage, "Processing a mail panicked");
    record(app, delivery, worker, stage, Setback::Panic, "processing this mail panicked".to_owned(), now)
}

fn record(
    app: &App,
    delivery: &Delivery,
    worker: &str,
    stage: Stage,
    setback: Setback,
    error: String,
    now: UtcTime,
) -> Result<()> {
    let (delivery, worker) = (without_bytes(delivery), worker.to_owned());
    let state =
        app.database.write_now(move |db| claiming::set_back(db, &delivery, &worker, stage, setback, &error, now))?;
    if state == State::Failed {
        tracing::error!(target: "accord::mail", "A mail failed for good; it is on the list of unprocessed mail");
    }
    Ok(())
}

/// Claims one of `due`; gives how large it is, too.
fn claim_one(app: &App, due: &[JournalId], worker: &str, now: UtcTime) -> Result<Option<(JournalId, usize)>> {
    for id in due.iter().copied() {
        let worker = worker.to_owned();
        let claimed = app.database.write_now(move |db| claiming::claim(db, id, &worker, now))?;
        if let Some(size) = claimed {
            return Ok(Some((id, size)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_13_a_mail_that_takes_more_than_five_seconds_is_an_alarm() {
        assert!(!is_alarming(Duration::from_secs(5)));
        assert!(is_alarming(Duration::from_millis(5_001)));
    }
}
