//! Mail out of the journal into tickets: claimed, read outside of any transaction, carried out in one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::carry;
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
const IN_A_ROW: usize = 64;
/// No further one is claimed after this, whatever those before took.
const ROW: Duration = Duration::from_secs(1);
/// Mails of a row that are read side by side, for each waits for the disk that keeps its files, and share one commit in an
/// embedded database. With PostgreSQL each goes alone, for the locks of several would be held together there.
const TOGETHER: usize = 16;
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
    // Where mails go together one row follows another, so that none overtakes those claimed before it (J-09).
    let turn = app.reading_room.try_turn();
    if turn.is_none() && app.config.database.url.is_sqlite() {
        return Ok(Step::Idle);
    }
    let now = app.clock.now();
    free_what_was_left_behind(app, worker);
    if app.database.read_now(|db| claiming::due(db, now))?.is_empty() {
        return Ok(Step::Idle);
    }
    let name = worker.to_owned();
    // One alone: where mail comes now and then, none waits for another.
    let mut claimed = app.database.write_now(move |db| claiming::claim_together(db, &name, 1, usize::MAX, now))?;
    let mut processed = 0;
    while !claimed.is_empty() {
        processed += claimed.len();
        let goes_on = processed < IN_A_ROW && took() < ROW;
        // What is still held after a failure, or a panic, is freed before the next row begins.
        let mut held = Held { app, worker, is_over: false };
        claimed = process(app, &claimed, worker, goes_on)?;
        held.is_over = true;
    }
    Ok(if processed > 0 { Step::Worked(processed as u64) } else { Step::Idle })
}

/// Mails in hand; notes that a row ended before they were done with.
struct Held<'a> {
    app: &'a App,
    worker: &'a str,
    is_over: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.app.reading_room.leave_behind(self.worker);
        }
    }
}

/// Frees what this thread held when a row failed: it would lie still until its leases end. After a pause, so that what
/// failed for all of them does not use up their attempts.
fn free_what_was_left_behind(app: &App, worker: &str) {
    if !app.reading_room.has_left_behind(worker) {
        return;
    }
    app.reading_room.forget_left_behind(worker);
    let (name, now) = (worker.to_owned(), app.clock.now());
    if let Err(error) = app.database.write_now(move |db| claiming::free_after_failure(db, &name, now)) {
        tracing::warn!(target: "accord::mail", ?error, "Mails of a row that failed have to wait for their leases");
    }
}

/// What is carried out: a mail, what it was found to be, and the span in which all of its way is recorded.
#[derive(Clone)]
struct Read {
    delivery: Delivery,
    reading: Arc<Reading>,
    span: tracing::Span,
}

/// Processes the claimed mails and, if `goes_on`, claims the next. A failure of one keeps none of the others back.
fn process(app: &App, claimed: &[Claimed], worker: &str, goes_on: bool) -> Result<Vec<Claimed>> {
    let weight = claimed.iter().fold(0_usize, |weight, claimed| weight.saturating_add(claimed.bytes));
    let _place = app.reading_room.enter(weight);
    let (deliveries, surroundings) = app.database.read_now(|db| {
        let deliveries: Vec<_> = claimed.iter().map(|claimed| claiming::load(db, claimed.id)).collect();
        Ok((deliveries, Surroundings::load(db)?))
    })?;
    let house = Arc::new(House::new(&app.keys, &app.config, &app.senders));
    let read_one = |delivery: Result<Delivery>| read(app, &house, delivery?, &surroundings, worker);
    let read: Vec<Result<Option<Read>>> = if deliveries.len() == 1 {
        deliveries.into_iter().map(read_one).collect()
    } else {
        let panicked = |_| Err(Error::internal("giving a mail back panicked"));
        carry::side_by_side(deliveries, read_one).into_iter().map(|read| read.unwrap_or_else(panicked)).collect()
    };
    let mut mails = Vec::with_capacity(read.len());
    let mut failure = None;
    for read in read {
        match read {
            Ok(read) => mails.extend(read),
            Err(error) => failure = Some(error),
        }
    }
    // Whatever was the trouble with one that is given back, the thread looks around before it claims others.
    let goes_on = goes_on && mails.len() == claimed.len();
    let next = apply(app, &house, mails, worker, app.clock.now(), goes_on)?;
    failure.map_or(Ok(next), Err)
}

/// Reads a mail; nothing when it could not be read, and was given back.
fn read(
    app: &App,
    house: &House,
    delivery: Delivery,
    surroundings: &Surroundings,
    worker: &str,
) -> Result<Option<Read>> {
    let now = app.clock.now();
    let span =
        tracing::info_span!(target: "accord::mail", "mail", mail.handle = %delivery.handle, mail.size = delivery.size);
    let within = span.enter();
    let read = catch_unwind(AssertUnwindSafe(|| reading::read(house, &app.storage, &delivery, surroundings, now)));
    match read {
        Ok(Ok(reading)) => {
            if is_alarming(reading.took) {
                let duration_ms = u64::try_from(reading.took.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(target: "accord::mail", duration_ms, "Reading a mail took longer than any mail should");
            }
            drop(within);
            // The bytes are not needed to carry out a decision, and they may be many.
            return Ok(Some(Read { delivery: Delivery { raw: None, ..delivery }, reading: Arc::new(reading), span }));
        }
        Ok(Err(error)) => set_back(app, &[&delivery], worker, Stage::Reading, &error, now)?,
        Err(_) => set_back_after_panic(app, &delivery, worker, Stage::Reading, now)?,
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
    let carried_out = carry_out(app, house, mails.clone(), worker, now, goes_on);
    let error = match carried_out.outcome {
        Ok((applied, next)) => {
            mails.iter().zip(&applied).for_each(|(mail, applied)| tell(mail, applied));
            return Ok(next);
        }
        Err(Failure::Error(error @ (Error::Busy | Error::StorageFull))) => {
            // Each alone would wait as long once more.
            let deliveries: Vec<_> = mails.iter().map(|mail| &mail.delivery).collect();
            set_back(app, &deliveries, worker, Stage::Applying, &error, now)?;
            return Ok(Vec::new());
        }
        Err(failure) if mails.len() == 1 && !carried_out.failed_at_the_claim => {
            give_back(app, &mails[0], worker, failure, now)?;
            return Ok(Vec::new());
        }
        Err(Failure::Error(error)) => Some(error),
        Err(Failure::Panic) => None,
    };
    // Of one of them, of those claimed after them, or of the database.
    tracing::warn!(target: "accord::mail", ?error, "Mails could not be carried out together; each goes alone");
    let mut failure = None;
    for mail in mails {
        match carry_out(app, house, vec![mail.clone()], worker, now, false).outcome {
            Ok((applied, _)) => applied.iter().for_each(|applied| tell(&mail, applied)),
            Err(failed) => failure = give_back(app, &mail, worker, failed, now).err().or(failure),
        }
    }
    failure.map_or(Ok(Vec::new()), Err)
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

/// Why mails could not be carried out.
enum Failure {
    Error(Error),
    Panic,
}

/// What carrying out decisions came to.
struct CarriedOut {
    /// What each mail became, and what was claimed after them.
    outcome: std::result::Result<(Vec<Applied>, Vec<Claimed>), Failure>,
    /// It was good itself; claiming the next mails took it along when it failed.
    failed_at_the_claim: bool,
}

/// How far a change got that was undone.
const CARRYING_OUT: u8 = 1;
const CLAIMING: u8 = 2;
const RETURNED: u8 = 3;

/// Carries out what was decided of some mails and, if `goes_on`, claims the next. A savepoint between these would cost
/// every mail two more statements; when one fails, which hardly ever happens, the caller does the others once more.
fn carry_out(app: &App, house: &Arc<House>, mails: Vec<Read>, worker: &str, now: UtcTime, goes_on: bool) -> CarriedOut {
    let (worker, house, clock) = (worker.to_owned(), house.clone(), app.clock.clone());
    let together = if app.config.database.url.is_sqlite() { TOGETHER } else { 1 };
    let place = Arc::new(AtomicU8::new(0));
    let reached = place.clone();
    let change = move |db: &mut DbConnection| {
        // It may run more than once.
        place.store(CARRYING_OUT, Ordering::Relaxed);
        let mut applied = Vec::with_capacity(mails.len());
        for Read { delivery, reading, span } in &mails {
            let outcome = span.in_scope(|| from_email::apply(db, &house, delivery, reading, &worker, now));
            applied.push(outcome.inspect_err(|_| place.store(RETURNED, Ordering::Relaxed))?);
        }
        let mut next = Vec::new();
        if goes_on {
            place.store(CLAIMING, Ordering::Relaxed);
            next = claiming::claim_together(db, &worker, together, TOGETHER_BYTES, clock.now())?;
        }
        place.store(RETURNED, Ordering::Relaxed);
        Ok((applied, next))
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| app.database.write_now(change)));
    // The writer of an embedded database lives on, and says of a panic only that there was one.
    let reached = reached.load(Ordering::Relaxed);
    let outcome = match outcome {
        Ok(Ok(done)) => Ok(done),
        Err(_) => Err(Failure::Panic),
        Ok(Err(_)) if reached == CARRYING_OUT => Err(Failure::Panic),
        Ok(Err(error)) => Err(Failure::Error(error)),
    };
    CarriedOut { outcome, failed_at_the_claim: reached == CLAIMING }
}

/// Whether reading took longer than the limits should let it (L-13). The work is bounded by them; this ends nothing.
fn is_alarming(took: Duration) -> bool {
    took > Duration::from_secs(limits::SECONDS)
}

/// Gives a mail back that could not be carried out.
fn give_back(app: &App, mail: &Read, worker: &str, failure: Failure, now: UtcTime) -> Result<()> {
    mail.span.in_scope(|| match failure {
        Failure::Error(error) => set_back(app, &[&mail.delivery], worker, Stage::Applying, &error, now),
        Failure::Panic => set_back_after_panic(app, &mail.delivery, worker, Stage::Applying, now),
    })
}

fn set_back(
    app: &App,
    deliveries: &[&Delivery],
    worker: &str,
    stage: Stage,
    error: &Error,
    now: UtcTime,
) -> Result<()> {
    let setback = match error {
        Error::Busy | Error::StorageFull => Setback::Busy,
        _ => Setback::Fault,
    };
    tracing::warn!(target: "accord::mail", ?error, ?stage, "Mail could not be processed; it will be tried again");
    record(app, deliveries, worker, stage, setback, format!("{error:#}"), now)
}

fn set_back_after_panic(app: &App, delivery: &Delivery, worker: &str, stage: Stage, now: UtcTime) -> Result<()> {
    tracing::error!(target: "accord::mail", ?stage, "Processing a mail panicked");
    record(app, &[delivery], worker, stage, Setback::Panic, "processing this mail panicked".to_owned(), now)
}

fn record(
    app: &App,
    deliveries: &[&Delivery],
    worker: &str,
    stage: Stage,
    setback: Setback,
    error: String,
    now: UtcTime,
) -> Result<()> {
    let deliveries: Vec<Delivery> =
        deliveries.iter().map(|delivery| Delivery { raw: None, ..(*delivery).clone() }).collect();
    let worker = worker.to_owned();
    let failed = app.database.write_now(move |db| {
        let mut failed = false;
        for delivery in &deliveries {
            let state = claiming::set_back(db, delivery, &worker, stage, setback, &error, now)?;
            failed |= state == State::Failed;
        }
        Ok(failed)
    })?;
    if failed {
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
