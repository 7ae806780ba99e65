//! Mail out of the outbox to the relay of its mailbox. Nothing is sent inside a transaction; what was sent twice, because
//! this process died in between, was the same bytes twice (O-02). A relay that is down holds up its own mails only (O-04).

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::types::{MailboxId, OutboxId};
use crate::error::Result;
use crate::mail::transport::{FailureKind, SendFailure, Transport};
use crate::notifications::delivery;
use crate::outbox::courier::{Courier, Permit};
use crate::outbox::crew::AtWork;
use crate::outbox::sending::{self, Reachable, Sending};
use crate::outbox::{Letter, Settled};
use crate::reactions::waiting;
use crate::teams::mailboxes::{self, Mailbox};
use crate::worker::serving;
use crate::worker::threads::Step;

/// One way out, with leave to send a mail by it.
struct Lane<'a> {
    /// Its place among the relays of single mailboxes; none for the installation's.
    relay: Option<usize>,
    transport: &'a Transport,
    courier: &'a Courier,
    permit: Permit<'a>,
    /// The thread, once it goes by this way.
    at_work: Option<AtWork<'a>>,
}

impl Lane<'_> {
    /// Its place among all ways out.
    fn way(&self) -> usize {
        way(self.relay)
    }
}

fn way(relay: Option<usize>) -> usize {
    relay.map_or(0, |index| index + 1)
}

/// Claims and sends one mail.
pub fn deliver_next(app: &App, worker: &str) -> Result<Step> {
    let now = app.clock.now();
    let lanes = lanes(app, now);
    if lanes.is_empty() {
        return Ok(Step::Idle);
    }
    let Some((id, lane)) = claim_one(app, lanes, worker, now)? else { return Ok(Step::Idle) };
    let (letter, verdict) = app.database.read_now(|db| {
        let letter = sending::load(db, id)?;
        let verdict = if letter.is_over(now) { Some(Sending::Expired) } else { waiting::verdict(db, &letter)? };
        Ok((letter, verdict))
    })?;
    let letter = if verdict.is_none() && letter.expires_at <= now {
        let worker = worker.to_owned();
        app.database.write_now(move |db| sending::live_on(db, letter.clone(), &worker, now))?
    } else {
        letter
    };
    app.courier.goes_for(letter.organisation);
    serving::for_organisation(letter.organisation, || {
        let span = tracing::info_span!(
            target: "accord::mail", "delivery", kind = %letter.kind, attempts = letter.attempts
        );
        span.in_scope(|| {
            let sending = verdict.unwrap_or_else(|| send(&lane, &letter, now));
            lane.permit.was_deferred(matches!(sending, Sending::Deferred(_)));
            settle(app, letter, worker, sending, app.clock.now())
        })
    })?;
    Ok(Step::Worked(1))
}

/// The ways out that are open: a relay that does not answer is left alone for now, and the others are not.
fn lanes(app: &App, now: UtcTime) -> Vec<Lane<'_>> {
    let house = (None, &app.transport, &app.courier);
    let others = app.relays.iter().map(|(index, relay)| (Some(index), &relay.transport, &relay.courier));
    let open = std::iter::once(house).chain(others).filter_map(|(relay, transport, courier)| {
        if !app.relays.crew().may_go(way(relay)) {
            return None;
        }
        let permit = courier.permit(now)?;
        Some(Lane { relay, transport, courier, permit, at_work: None })
    });
    open.collect()
}

fn send(lane: &Lane<'_>, letter: &Letter, now: UtcTime) -> Sending {
    let Some(mime) = &letter.mime else { return Sending::Refused("its bytes are gone".to_owned()) };
    if matches!(lane.transport, Transport::Smtp(_)) {
        std::thread::sleep(lane.courier.pace());
    }
    let attempt =
        catch_unwind(AssertUnwindSafe(|| lane.transport.send(&letter.envelope_from, &letter.recipient, mime)));
    match attempt {
        Err(_) => Sending::Panicked,
        Ok(Ok(())) => {
            lane.courier.relay_works();
            Sending::Sent
        }
        Ok(Err(failure)) => failed(lane.courier, failure, now),
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

fn claim_one<'a>(
    app: &'a App,
    mut lanes: Vec<Lane<'a>>,
    worker: &str,
    now: UtcTime,
) -> Result<Option<(OutboxId, Lane<'a>)>> {
    let last = app.courier.last_organisation();
    let are_all_open = lanes.len() == 1 + app.relays.iter().count();
    let (candidates, mailboxes) = app.database.read_now(|db| {
        // Where one relay carries everything, nobody asks from which mailbox a mail is.
        let mailboxes = if app.relays.is_empty() { Vec::new() } else { mailboxes::all(db)? };
        let reachable = (!are_all_open).then(|| reachable(app, &lanes, &mailboxes));
        Ok((sending::candidates(db, last, reachable.as_ref(), now)?, mailboxes))
    })?;
    for candidate in candidates {
        let relay = relay_of(app, &mailboxes, candidate.mailbox);
        let Some(at) = lanes.iter().position(|lane| lane.relay == relay) else { continue };
        // Asked of one after the other, for the first can go nearly always.
        if app.database.read_now(|db| sending::must_wait(db, &candidate))?
            || !lanes[at].permit.admits(candidate.domain())
        {
            continue;
        }
        lanes[at].at_work = app.relays.crew().go(lanes[at].way());
        if lanes[at].at_work.is_none() {
            // Other threads were faster, and this one is for another way.
            continue;
        }
        let (id, worker) = (candidate.id, worker.to_owned());
        if app.database.write_now(move |db| sending::claim(db, id, &worker, now))? {
            return Ok(Some((id, lanes.swap_remove(at))));
        }
        lanes[at].at_work = None;
    }
    Ok(None)
}

/// Whose mail goes by one of `lanes`.
fn reachable(app: &App, lanes: &[Lane<'_>], mailboxes: &[Mailbox]) -> Reachable {
    let is_open = |relay: Option<usize>| lanes.iter().any(|lane| lane.relay == relay);
    let open = mailboxes.iter().filter(|mailbox| is_open(app.relays.index_of(&mailbox.canonical)));
    Reachable { mailboxes: open.map(|mailbox| mailbox.id).collect(), of_none: is_open(None) }
}

fn relay_of(app: &App, mailboxes: &[Mailbox], id: Option<MailboxId>) -> Option<usize> {
    let mailbox = mailboxes.iter().find(|mailbox| Some(mailbox.id) == id)?;
    app.relays.index_of(&mailbox.canonical)
}
