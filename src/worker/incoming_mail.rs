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
const IN_A_ROW: usize = 16;
/// No further one is claimed after this, whatever those before took.
const ROW: Duration = Duration::from_secs(1);
/// Mails of a row that share one commit in an embedded database: a commit costs more than what it keeps of a mail. With
/// PostgreSQL each has its own, for the locks of several would be held together there.
const TOGETHER: usize = 8;
/// What those may weigh together; a larger mail is alone.
const TOGETHER_BYTES: usize = 1 << 20;

/// Claims and processes mails until none is due, or some are done in a row.
pub fn process_next(app: &App, worker: &str) -> Result<Step> {
    let began = Instant::now();
    process_row(app, worker, || began.elapsed())
}

/// The same where `took` tells how long the row takes already. Processing one twice does no harm: the outcome
/// is recorded once, in the transaction in which it happens. The same transaction claims the next mails, so that none
/// costs a commit of its own for that; its attempt is as durable before it is read as with one (J-07).
pub fn process_row(app: &App, worker: &str, took: impl Fn() -> Duration) -> Result<Step> {
    let now = app.clock.now();
    if app.database.read_now(|db| claiming::due(db, now))?.is_empty() {
        return Ok(Step::Idle);
    }
    let name = worker.to_owned();
    // One alone: where mail comes now and then, none waits for another.
    let mut claimed = app.database.write_now(move |db| claiming::claim_together(db, &name, 1, usize::MAX, now))?;
    let mut processed = 0;
    while !claimed.is_empty() {
        processed += claimed.len();
        claimed = process(app, &claimed, worker, processed < IN_A_ROW && took() < ROW)?;
    }
    Ok(if processed > 0 { Step::Worked(processed as u64) } else { Step::Idle })
}

/// What is carried out: a mail, what it was found to be, and the span in which all of its way is recorded.
#[derive(Clone)]
struct Read {
    delivery: Delivery,
    reading: Arc<Reading>,
    span: tracing::Span,
}

/// Processes the claimed mails and, if `goes_on`, claims the next.
fn process(app: &App, claimed: &[Claimed], worker: &str, goes_on: bool) -> Result<Vec<Claimed>> {
    let weight = claimed.iter().fold(0_usize, |weight, claimed| weight.saturating_add(claimed.bytes));
    let _place = app.reading_room.enter(weight);
    let (deliveries, surroundings) = app.database.read_now(|db| {
        let deliveries = claimed.iter().map(|claimed| claiming::load(db, claimed.id)).collect::<Result<Vec<_>>>()?;
        Ok((deliveries, Surroundings::load(db)?))
    })?;
    let now = app.clock.now();
    let house = Arc::new(House::new(&app.keys, &app.config, &app.senders));
    let mut mails = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let span = tracing::info_span!(target: "accord::mail", "mail", mail.handle = %delivery.handle, mail.size = delivery.size);
        let reading = span.in_scope(|| read(app, &house, &delivery, &surroundings, worker, now))?;
        // The bytes are not needed to carry out a decision, and they may be many.
        let delivery = Delivery { raw: None, ..delivery };
        mails.extend(reading.map(|reading| Read { delivery, reading: Arc::new(reading), span }));
    }
    // Whatever was the trouble with one that is given back, the thread looks around before it claims others.
    let goes_on = goes_on && mails.len() == claimed.len();
    apply(app, &house, mails, worker, now, goes_on)
}

/// Reads a mail; nothing when it could not be read, and was given back.
fn read(
    app: &App,
    house: &House,
    delivery: &Delivery,
    surroundings: &Surroundings,
    worker: &str,
    now: UtcTime,
) -> Result<Option<Reading>> {
    let read = catch_unwind(AssertUnwindSafe(|| reading::read(house, &app.storage, delivery, surroundings, now)));
    match read {
        Ok(Ok(reading)) => {
            if is_alarming(reading.took) {
                let duration_ms = u64::try_from(reading.took.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(target: "accord::mail", duration_ms, "Reading a mail took longer than any mail should");
            }
            return Ok(Some(reading));
        }
        Ok(Err(error)) => set_back(app, delivery, worker, Stage::Reading, &error, now)?,
        Err(_) => set_back_after_panic(app, delivery, worker, Stage::Reading, now)?,
    }
    Ok(None)
}

/// Carries mails out, in one commit if that goes well, and otherwise each in its own.
fn apply(
    app: &App,
    house: &Arc<House>,
    mails: Vec<Read>,
    worker: &str,
    now: UtcTime,
    goes_on: bool,
) -> Result<Vec<Claimed>> {
    if mails.is_empty() {
        return Ok(Vec::new());
    }
    let alone = (mails.len() == 1).then(|| mails[0].clone());
    let carried_out = carry_out(app, house, mails.clone(), worker, now, goes_on);
    match (carried_out.outcome, alone) {
        (Ok(Ok((applied, next))), _) => {
            mails.iter().zip(&applied).for_each(|(mail, applied)| tell(mail, applied));
            return Ok(next);
        }
        (outcome, Some(mail)) if !carried_out.failed_at_the_claim => {
            mail.span.in_scope(|| give_back(app, &mail.delivery, worker, outcome, now))?;
        }
        (outcome, _) => {
            // Of one of them, of those claimed after them, or of the database.
            let error = outcome.ok().and_then(Result::err);
            tracing::warn!(target: "accord::mail", ?error, "Mails could not be carried out together; each goes alone");
            for mail in mails {
                let outcome = carry_out(app, house, vec![mail.clone()], worker, now, false).outcome;
                mail.span.in_scope(|| match outcome {
                    Ok(Ok((applied, _))) => {
                        applied.iter().for_each(|applied| tell(&mail, applied));
                        Ok(())
                    }
                    outcome => give_back(app, &mail.delivery, worker, outcome, now),
                })?;
            }
        }
    }
    Ok(Vec::new())
}

fn tell(mail: &Read, applied: &Applied) {
    let record = &applied.record;
    let organisation = applied.ticket.as_ref().map(|ticket| ticket.organisation_id);
    let _within = mail.span.enter();
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
}

/// What came of carrying mails out: what each became, and what was claimed after them.
type Outcome = std::thread::Result<Result<(Vec<Applied>, Vec<Claimed>)>>;

/// What carrying out decisions came to.
struct CarriedOut {
    outcome: Outcome,
    /// It was good itself; claiming the next mails took it along when it failed.
    failed_at_the_claim: bool,
}

/// Carries out what was decided of some mails and, if `goes_on`, claims the next. A savepoint between these would cost
/// every mail two more statements; when one fails, which hardly ever happens, the caller does the others once more.
fn carry_out(app: &App, house: &Arc<House>, mails: Vec<Read>, worker: &str, now: UtcTime, goes_on: bool) -> CarriedOut {
    let (worker, house, clock) = (worker.to_owned(), house.clone(), app.clock.clone());
    let together = if app.config.database.url.is_sqlite() { TOGETHER } else { 1 };
    let is_claiming = Arc::new(AtomicBool::new(false));
    let was_claiming = is_claiming.clone();
    let change = move |db: &mut DbConnection| {
        // It may run more than once.
        is_claiming.store(false, Ordering::Relaxed);
        let mut applied = Vec::with_capacity(mails.len());
        for Read { delivery, reading, span } in &mails {
            applied.push(span.in_scope(|| from_email::apply(db, &house, delivery, reading, &worker, now))?);
        }
        if !goes_on {
            return Ok((applied, Vec::new()));
        }
        is_claiming.store(true, Ordering::Relaxed);
        let next = claiming::claim_together(db, &worker, together, TOGETHER_BYTES, clock.now())?;
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

/// Gives a mail back that could not be carried out.
fn give_back(app: &App, delivery: &Delivery, worker: &str, outcome: Outcome, now: UtcTime) -> Result<()> {
    match outcome {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => set_back(app, delivery, worker, Stage::Applying, &error, now),
        Err(_) => set_back_after_panic(app, delivery, worker, Stage::Applying, now),
    }
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
    let (delivery, worker) = (Delivery { raw: None, ..delivery.clone() }, worker.to_owned());
    let state =
        app.database.write_now(move |db| claiming::set_back(db, &delivery, &worker, stage, setback, &error, now))?;
    if state == State::Failed {
        tracing::error!(target: "accord::mail", "A mail failed for good; it is on the list of unprocessed mail");
    }
    Ok(())
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
