//! Mail out of the outbox to the relay. Nothing is sent inside a transaction; what was sent twice, because this process
//! died in between, was the same bytes twice (O-02).

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::types::OutboxId;
use crate::error::Result;
use crate::mail::transport::{FailureKind, SendFailure, Transport};
use crate::notifications::delivery;
use crate::outbox::courier::{Courier, Permit};
use crate::outbox::sending::{self, Sending};
use crate::outbox::{Letter, Settled};
use crate::reactions::waiting;
use crate::worker::serving;
use crate::worker::threads::Step;

/// Claims and sends one mail.
pub fn deliver_next(app: &App, worker: &str) -> Result<Step> {
    let now = app.clock.now();
    let Some(mut permit) = app.courier.permit(now) else { return Ok(Step::Idle) };
    let Some(id) = claim_one(app, &mut permit, worker, now)? else { return Ok(Step::Idle) };
    let (letter, verdict) = app.database.read_now(|db| {
        let letter = sending::load(db, id)?;
        let is_over = letter.expires_at <= now;
        let verdict = if is_over { Some(Sending::Expired) } else { waiting::verdict(db, &letter)? };
        Ok((letter, verdict))
    })?;
    permit.goes_for(letter.organisation);
    serving::for_organisation(letter.organisation, || {
        let span = tracing::info_span!(
            target: "accord::mail", "delivery", kind = %letter.kind, attempts = letter.attempts
        );
        span.in_scope(|| {
            let sending = verdict.unwrap_or_else(|| send(app, &letter, now));
            permit.was_deferred(matches!(sending, Sending::Deferred(_)));
            settle(app, letter, worker, sending, app.clock.now())
        })
    })?;
    Ok(Step::Worked(1))
}

fn send(app: &App, letter: &Letter, now: UtcTime) -> Sending {
    let Some(mime) = &letter.mime else { return Sending::Refused("its bytes are gone".to_owned()) };
    if matches!(app.transport, Transport::Smtp(_)) {
        std::thread::sleep(app.courier.pace());
    }
    let attempt = catch_unwind(AssertUnwindSafe(|| app.transport.send(&letter.envelope_from, &letter.recipient, mime)));
    match attempt {
        Err(_) => Sending::Panicked,
        Ok(Ok(())) => {
            app.courier.relay_works();
            Sending::Sent
        }
        Ok(Err(failure)) => failed(&app.courier, failure, now),
    }
}

fn failed(courier: &Courier, failure: SendFailure, now: UtcTime) -> Sending {
    let error = match failure.code {
        Some(code) => format!("{code} {}", failure.text),
        None => failure.text,
    };
    match failure.kind {
        FailureKind::Relay => {
            let retry_at = courier.relay_failed(now);
            Sending::RelayDown { error, retry_at }
        }
        FailureKind::Transient => {
            courier.relay_works();
            Sending::Deferred(error)
        }
        FailureKind::Permanent => {
            courier.relay_works();
            Sending::Refused(error)
        }
    }
}

fn settle(app: &App, letter: Letter, worker: &str, sending: Sending, now: UtcTime) -> Result<()> {
    let worker = worker.to_owned();
    let kind = letter.kind;
    let letter = Letter { mime: None, ..letter };
    let settled = app.database.write_now(move |db| delivery::settle(db, &letter, &worker, &sending, now))?;
    match settled {
        Settled::Sent => tracing::info!(target: "accord::mail", kind = %kind, "Sent a mail"),
        Settled::Dead => tracing::error!(target: "accord::mail", kind = %kind, "A mail did not arrive"),
        Settled::WillBeTriedAgain => {
            tracing::warn!(target: "accord::mail", kind = %kind, "A mail was not taken; it will be tried again");
        }
        Settled::Suppressed => {
            tracing::info!(target: "accord::mail", kind = %kind, "A mail was not to be sent any more")
        }
        Settled::NotOurs => tracing::warn!(target: "accord::mail", kind = %kind, "Another worker took a mail over"),
    }
    Ok(())
}

fn claim_one(app: &App, permit: &mut Permit<'_>, worker: &str, now: UtcTime) -> Result<Option<OutboxId>> {
    let last = app.courier.last_organisation();
    let candidates = app.database.read_now(|db| {
        let mut free = Vec::new();
        for candidate in sending::candidates(db, last, now)? {
            if !sending::must_wait(db, &candidate)? {
                free.push(candidate);
            }
        }
        Ok(free)
    })?;
    for candidate in candidates {
        if !permit.admits(candidate.domain()) {
            continue;
        }
        let (id, worker) = (candidate.id, worker.to_owned());
        if app.database.write_now(move |db| sending::claim(db, id, &worker, now))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
