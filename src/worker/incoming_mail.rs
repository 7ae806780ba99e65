//! Mail out of the journal into tickets: claimed, read outside of any transaction, carried out in one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::intake::from_email::{self, Applied};
use crate::intake::reading::{self, Surroundings};
use crate::intake::{House, Reading};
use crate::journal::State;
use crate::journal::claiming::{self, Claimed, Delivery, Setback, Stage};
use crate::mail::limits;
use crate::worker::serving;
use crate::worker::threads::Step;

/// Mails processed in one go before the thread looks around again, at whether it shall stop.
const IN_A_ROW: u64 = 16;
/// No further one is claimed after this, whatever those before took.
const ROW: Duration = Duration::from_secs(1);

/// Claims and processes mails until none is due, or some are done in a row.
pub fn process_next(app: &App, worker: &str) -> Result<Step> {
    let began = Instant::now();
    process_row(app, worker, || began.elapsed())
}

/// The same where `took` tells how long the row takes already. Processing one twice does no harm: the outcome
/// is recorded once, in the transaction in which it happens. The same transaction claims the next mail, so that each
/// costs one commit and not two; its attempt is as durable before it is read as with a commit of its own (J-07).
pub fn process_row(app: &App, worker: &str, took: impl Fn() -> Duration) -> Result<Step> {
    let now = app.clock.now();
    if app.database.read_now(|db| claiming::due(db, now))?.is_empty() {
        return Ok(Step::Idle);
    }
    let name = worker.to_owned();
    let mut claim = app.database.write_now(move |db| claiming::claim_next(db, &name, now))?;
    let mut processed = 0;
    while let Some(claimed) = claim {
        processed += 1;
        claim = process(app, claimed, worker, processed < IN_A_ROW && took() < ROW)?;
    }
    Ok(if processed > 0 { Step::Worked(processed) } else { Step::Idle })
}

/// Processes the claimed mail and, if `goes_on`, claims the next.
fn process(app: &App, claimed: Claimed, worker: &str, goes_on: bool) -> Result<Option<Claimed>> {
    let _place = app.reading_room.enter(claimed.bytes);
    let (delivery, surroundings) =
        app.database.read_now(|db| Ok((claiming::load(db, claimed.id)?, Surroundings::load(db)?)))?;
    let span =
        tracing::info_span!(target: "accord::mail", "mail", mail.handle = %delivery.handle, mail.size = delivery.size);
    span.in_scope(|| read_and_apply(app, delivery, &surroundings, worker, goes_on))
}

fn read_and_apply(
    app: &App,
    delivery: Delivery,
    surroundings: &Surroundings,
    worker: &str,
    goes_on: bool,
) -> Result<Option<Claimed>> {
    let now = app.clock.now();
    let house = Arc::new(House::new(&app.keys, &app.config, &app.senders));
    let read = catch_unwind(AssertUnwindSafe(|| reading::read(&house, &app.storage, &delivery, surroundings, now)));
    let reading = match read {
        Ok(Ok(reading)) => Arc::new(reading),
        Ok(Err(error)) => return set_back(app, &delivery, worker, Stage::Reading, &error, now),
        Err(_) => return set_back_after_panic(app, &delivery, worker, Stage::Reading, now),
    };
    if is_alarming(reading.took) {
        let duration_ms = u64::try_from(reading.took.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(target: "accord::mail", duration_ms, "Reading a mail took longer than any mail should");
    }
    let mut carried_out = carry_out(app, &house, &delivery, &reading, worker, now, goes_on);
    if carried_out.failed_at_the_claim {
        if let Ok(Err(error)) = &carried_out.outcome {
            tracing::warn!(target: "accord::mail", ?error, "The next mail could not be taken along; this one goes alone");
        }
        carried_out = carry_out(app, &house, &delivery, &reading, worker, now, false);
    }
    match carried_out.outcome {
        Ok(Ok((applied, next))) => {
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
            Ok(next)
        }
        Ok(Err(error)) => set_back(app, &delivery, worker, Stage::Applying, &error, now),
        Err(_) => set_back_after_panic(app, &delivery, worker, Stage::Applying, now),
    }
}

/// What carrying out a decision came to.
struct CarriedOut {
    outcome: std::thread::Result<Result<(Applied, Option<Claimed>)>>,
    /// It was good itself; claiming the next mail took it along when it failed.
    failed_at_the_claim: bool,
}

/// Carries out what was decided of a mail and, if `goes_on`, claims the next. A savepoint between the two would cost every
/// mail two more statements; when the claim fails, which hardly ever happens, the caller does the first part once more.
fn carry_out(
    app: &App,
    house: &Arc<House>,
    delivery: &Delivery,
    reading: &Arc<Reading>,
    worker: &str,
    now: UtcTime,
    goes_on: bool,
) -> CarriedOut {
    let (worker, delivery, clock) = (worker.to_owned(), without_bytes(delivery), app.clock.clone());
    let (house, reading) = (house.clone(), reading.clone());
    let is_claiming = Arc::new(AtomicBool::new(false));
    let was_claiming = is_claiming.clone();
    let change = move |db: &mut DbConnection| {
        // It may run more than once.
        is_claiming.store(false, Ordering::Relaxed);
        let applied = from_email::apply(db, &house, &delivery, &reading, &worker, now)?;
        if !goes_on {
            return Ok((applied, None));
        }
        is_claiming.store(true, Ordering::Relaxed);
        let next = claiming::claim_next(db, &worker, clock.now())?;
        is_claiming.store(false, Ordering::Relaxed);
        Ok((applied, next))
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| app.database.write_now(change)));
    CarriedOut { outcome, failed_at_the_claim: was_claiming.load(Ordering::Relaxed) }
}

/// Whether reading took longer than the limits should let it (L-13). The work is bounded by them; this ends nothing.
fn is_alarming(took: Duration) -> bool {
    took > Duration::from_secs(limits::SECONDS)
}

/// The bytes are not needed to carry out a decision, and they may be many.
fn without_bytes(delivery: &Delivery) -> Delivery {
    Delivery { raw: None, ..delivery.clone() }
}

fn set_back(
    app: &App,
    delivery: &Delivery,
    worker: &str,
    stage: Stage,
    error: &Error,
    now: UtcTime,
) -> Result<Option<Claimed>> {
    let setback = match error {
        Error::Busy | Error::StorageFull => Setback::Busy,
        _ => Setback::Fault,
    };
    tracing::warn!(target: "accord::mail", ?error, ?stage, "A mail could not be processed; it will be tried again");
    record(app, delivery, worker, stage, setback, format!("{error:#}"), now)
}

fn set_back_after_panic(
    app: &App,
    delivery: &Delivery,
    worker: &str,
    stage: Stage,
    now: UtcTime,
) -> Result<Option<Claimed>> {
    tracing::error!(target: "accord::mail", ?stage, "Processing a mail panicked");
    record(app, delivery, worker, stage, Setback::Panic, "processing this mail panicked".to_owned(), now)
}

/// Gives the mail back, and claims no other: whatever was the trouble, the thread looks around first.
fn record(
    app: &App,
    delivery: &Delivery,
    worker: &str,
    stage: Stage,
    setback: Setback,
    error: String,
    now: UtcTime,
) -> Result<Option<Claimed>> {
    let (delivery, worker) = (without_bytes(delivery), worker.to_owned());
    let state =
        app.database.write_now(move |db| claiming::set_back(db, &delivery, &worker, stage, setback, &error, now))?;
    if state == State::Failed {
        tracing::error!(target: "accord::mail", "A mail failed for good; it is on the list of unprocessed mail");
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
