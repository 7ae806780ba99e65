//! Who follows each ticket event: one page, one match. And whether a mail that followed one long ago still may.

mod consents;
pub mod waiting;

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::consent::stopping;
use crate::db::DbConnection;
use crate::db::types::{ConsentRequestId, EventId};
use crate::error::{Error, Result};
use crate::intake::floods::{is_collected, is_quiet};
use crate::journal;
use crate::mail::address::EmailAddress;
use crate::mail::authentication::Authentication;
use crate::notifications::acknowledging::{self, Leave};
use crate::notifications::{Draft, Letterhead, recipients};
use crate::search;
use crate::throttle::{self, BackOff, Rate};
use crate::tickets::events::{self, Event, EventKind, Maker};
use crate::tickets::messages::{self, Channel, Message, Remark};
use crate::tickets::ticket::{self, Ticket};

/// The consents that end with what happened to the ticket, by their questions; each is for [`stopping::end_with_ticket`].
pub fn consents_over(db: &mut DbConnection, event: EventId) -> Result<Vec<ConsentRequestId>> {
    let Some(event) = events::find(db, event)? else { return Ok(Vec::new()) };
    let ticket = ticket::by_id(db, event.ticket_id)?;
    stopping::over_with_ticket(db, &ticket)
}

/// How long agents are left in peace after they were told of mail of one sender that is held beside a ticket: an hour, then
/// two, then four. What comes meanwhile is told after the pause, all of it in one mail, so that nothing is ever held in
/// silence, and an agent who is away answers their own alerts five times a day and not all day (LP-07).
const ALERTS: BackOff = BackOff {
    free: 0,
    first: TimeDelta::hours(1),
    longest: TimeDelta::hours(16),
    forgotten_after: TimeDelta::hours(36),
};
/// For how long held mails are added up, and an alert is known to be about this very event.
const ALERTED: Rate = Rate { times: 1, within: TimeDelta::days(2) };
/// What was held shorter than this before an alert may not have been counted in it.
const SURELY_COUNTED: TimeDelta = TimeDelta::minutes(1);

/// What follows from an event: the index is brought up to it, and the mails to be written are given. Running it again
/// changes the index no more and makes the same drafts again; the job is removed in the transaction that puts them into
/// the outbox, so that each is sent once.
pub fn follow(db: &mut DbConnection, event: EventId, letterhead: &Letterhead, now: UtcTime) -> Result<Vec<Draft>> {
    let Some(event) = events::find(db, event)? else { return Ok(Vec::new()) };
    search::follow_event(db, &event)?;
    let ticket = ticket::by_id(db, event.ticket_id)?;
    match event.kind {
        EventKind::Opened => opened(db, letterhead, &ticket, &event, now),
        EventKind::CustomerWrote | EventKind::MessageAccepted => {
            let Some(message) = message_of(db, &event)? else { return Ok(Vec::new()) };
            if is_old_news(db, &message)? {
                return Ok(Vec::new());
            }
            let may_be_withheld = recipients::may_be_withheld(&message, false);
            if is_machine_made(db, &message)? || may_be_withheld && is_quiet(db, &ticket, now)? {
                return Ok(Vec::new());
            }
            recipients::of_customer_message(db, letterhead, &ticket, &message, false, now)
        }
        EventKind::Replied => match message_of(db, &event)? {
            Some(reply) if is_old_news(db, &reply)? => Ok(Vec::new()),
            Some(reply) => recipients::of_reply(db, letterhead, &ticket, &reply, now),
            None => Ok(Vec::new()),
        },
        EventKind::Assigned => recipients::of_assignment(db, letterhead, &ticket, &event, now),
        EventKind::MailHeld if event.details.0.to.is_some() => held(db, letterhead, &ticket, &event, now),
        EventKind::AnswerHeld => recipients::of_held_answer(db, letterhead, &ticket, &event, now),
        EventKind::Noted
        | EventKind::MailHeld
        | EventKind::MailThrottled
        | EventKind::AnswerPlanned
        | EventKind::AnswerReleased
        | EventKind::AnswerTakenBack
        | EventKind::StatusChanged
        | EventKind::PriorityChanged
        | EventKind::TagAdded
        | EventKind::TagRemoved
        | EventKind::ParticipantProposed
        | EventKind::ParticipantAdded
        | EventKind::ParticipantRemoved
        | EventKind::QueueChanged
        | EventKind::RequesterChanged
        | EventKind::PlaceChanged
        | EventKind::PrivacyChanged
        | EventKind::AddressConfirmed
        | EventKind::MessageRejected
        | EventKind::MailFailed
        | EventKind::MayBelongTo
        | EventKind::FollowsUp
        | EventKind::GoesOnIn => Ok(Vec::new()),
        EventKind::ConsentRequested
        | EventKind::ConsentApproved
        | EventKind::ConsentGranted
        | EventKind::ConsentRefused
        | EventKind::ConsentLapsed
        | EventKind::ConsentCancelled
        | EventKind::ConsentWithdrawn
        | EventKind::ConsentExpired
        | EventKind::ConsentStopped
        | EventKind::TracesDestroyed => consents::follow(db, letterhead, &ticket, &event, now),
    }
}

/// Mail of somebody is held: agents are told now, or after the pause since they were told of others of the same sender,
/// unless one of those alerts counted it.
fn held(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    event: &Event,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    // However it is written: each way of writing it would have pauses of its own.
    let sender = event.details.0.address.as_deref().unwrap_or_default().to_ascii_lowercase();
    let alerts = throttle::name("mail-held", &format!("{} {sender}", ticket.reference));
    // The job that tells of it runs again when its mails could not be put into the outbox.
    let own = throttle::name("mail-held-told", &event.id.0.to_string());
    if throttle::allows(db, &own, ALERTED, now)? {
        if throttle::last(db, &alerts)?.is_some_and(|told| told.since(event.created_at) > SURELY_COUNTED) {
            return Ok(Vec::new());
        }
        match throttle::try_once(db, &alerts, ALERTS, now) {
            Ok(()) => throttle::take(db, &own, ALERTED, now)?,
            Err(Error::TooMany { retry_after_secs }) => {
                let pause = TimeDelta::seconds(i64::try_from(retry_after_secs).unwrap_or(i64::MAX / 1_000));
                events::follow_later(db, event.id, now.plus(pause), now)?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
    }
    let count = events::held_mails(db, ticket, &sender, now.minus(ALERTED.within))?;
    recipients::of_held_mail(db, letterhead, ticket, count, now)
}

fn opened(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    event: &Event,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let Some(first) = message_of(db, event)? else { return Ok(Vec::new()) };
    if is_old_news(db, &first)? {
        return Ok(Vec::new());
    }
    let mut drafts = Vec::new();
    if !is_machine_made(db, &first)? {
        drafts = recipients::of_customer_message(db, letterhead, ticket, &first, true, now)?;
        if event.details.0.ticket.is_some() {
            drafts.extend(recipients::of_follow_up(db, letterhead, ticket, &first, now)?);
        }
    }
    // What staff open for somebody is theirs to announce.
    if event.maker != Maker::Staff {
        let leave = leave(db, &first, now)?;
        drafts.extend(acknowledging::draft(
            db,
            letterhead,
            ticket,
            &first,
            event.details.0.ticket.as_deref(),
            leave,
            now,
        )?);
    }
    Ok(drafts)
}

/// What a machine may answer to what opened a ticket: of a mail this was decided when it was read (LP-01). Its subject is
/// repeated only when its sender is beyond doubt, and of a flood one at most is answered (LP-05).
fn leave(db: &mut DbConnection, first: &Message, now: UtcTime) -> Result<Leave> {
    Ok(match (first.channel, first.ingest_id) {
        (Channel::Email, Some(ingest)) => {
            let record = journal::outcome::record_of(db, ingest)?;
            let sender = EmailAddress::parse(&first.from_address).filter(|_| record.may_acknowledge);
            Leave {
                to_answer: record.may_acknowledge,
                to_repeat: record.authentication == Authentication::Pass.name(),
                is_flood: sender.map_or(Ok(false), |sender| is_collected(db, &sender, now))?,
            }
        }
        (Channel::Email, None) => Leave { to_answer: false, to_repeat: false, is_flood: false },
        _ => Leave { to_answer: true, to_repeat: true, is_flood: false },
    })
}

fn message_of(db: &mut DbConnection, event: &Event) -> Result<Option<Message>> {
    match event.message_id {
        Some(message) => messages::find_by_id(db, message),
        None => Ok(None),
    }
}

/// Whether it was brought from elsewhere. Nobody is told of such a message, whoever does something with it.
fn is_old_news(db: &mut DbConnection, message: &Message) -> Result<bool> {
    message.ingest_id.map_or(Ok(false), |ingest| journal::outcome::is_imported(db, ingest))
}

/// Whether nobody is told of it: a machine made it, and passes on no words of a person (D15).
fn is_machine_made(db: &mut DbConnection, message: &Message) -> Result<bool> {
    match (message.remark, message.ingest_id) {
        (Some(Remark::Automatic), Some(ingest)) => {
            let record = journal::outcome::record_of(db, ingest)?;
            Ok(!record.flags.iter().any(|flag| flag == journal::outcome::PASSED_ON))
        }
        (remark, _) => Ok(remark == Some(Remark::Automatic)),
    }
}
