//! Too much mail (LP-05): from one sender it is put into one ticket, for one ticket nothing automatic is mailed any more, and
//! no ticket reopens again and again.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::tickets;
use crate::db::types::{MailboxId, PersonId};
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::throttle::{self, Rate};
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::messages::Channel;
use crate::tickets::ticket::Ticket;

/// Mails of one sender after which they are put into one ticket.
const FROM_ONE_SENDER: Rate = Rate { times: 30, within: TimeDelta::minutes(10) };
/// Mails to one ticket after which nothing automatic is mailed about it.
const TO_ONE_TICKET: Rate = Rate { times: 10, within: TimeDelta::minutes(10) };
/// How long a breaker stays open.
const BREAKER: Rate = Rate { times: 1, within: TimeDelta::hours(1) };
/// A ticket older than this collects no flood.
const COLLECTED: TimeDelta = TimeDelta::hours(24);
/// How often a ticket reopens by mail, or goes on in another.
const REOPENING: Rate = Rate { times: 5, within: TimeDelta::hours(1) };

/// What a mail that opens a ticket is to its sender's others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// No more than people write.
    None,
    /// The first of too many.
    Begins,
    /// One more of too many.
    GoesOn,
}

/// Counts a mail for its sender, and says whether that were too many.
pub(super) fn count_for_sender(db: &mut DbConnection, sender: &str, now: UtcTime) -> Result<Flood> {
    let breaker = collected_name(sender);
    if !throttle::allows(db, &breaker, BREAKER, now)? {
        return Ok(Flood::GoesOn);
    }
    if allowed(db, "mail-from", sender, FROM_ONE_SENDER, now)? {
        return Ok(Flood::None);
    }
    throttle::take(db, &breaker, BREAKER, now)?;
    Ok(Flood::Begins)
}

/// Whether the mails of this sender are put into one ticket for now.
pub fn is_collected(db: &mut DbConnection, sender: &EmailAddress, now: UtcTime) -> Result<bool> {
    Ok(!throttle::allows(db, &collected_name(sender.canonical()), BREAKER, now)?)
}

fn collected_name(sender: &str) -> String {
    throttle::name("mail-flood", sender)
}

/// Tells agents, in the ticket where the flood of a sender goes, from when on and until when it does.
pub(super) fn tell_of_sender(db: &mut DbConnection, ticket: &Ticket, address: String, now: UtcTime) -> Result<()> {
    tell(db, ticket, Some(address), now)
}

fn tell(db: &mut DbConnection, ticket: &Ticket, address: Option<String>, now: UtcTime) -> Result<()> {
    let until = now.plus(BREAKER.within);
    let details = Details { address, to: Some(until.rfc3339()), ..Details::default() };
    let event = NewEvent { kind: EventKind::MailThrottled, maker: Maker::Mail, person: None, message: None, details };
    events::record(db, ticket, event, now)?;
    Ok(())
}

/// The ticket into which a flood goes: the latest that the same sender opened by mail to the same mailbox.
pub(super) fn collecting_ticket(
    db: &mut DbConnection,
    sender: PersonId,
    mailbox: MailboxId,
    now: UtcTime,
) -> Result<Option<Ticket>> {
    Ok(access::visible_to(&Actor::System)
        .filter(tickets::requester_id.eq(sender))
        .filter(tickets::mailbox_id.eq(mailbox))
        .filter(tickets::channel.eq(Channel::Email))
        .filter(tickets::created_at.gt(now.minus(COLLECTED)))
        .order(tickets::id.desc())
        .first(db)
        .optional()?)
}

/// Counts a mail for its ticket; when there were too many, nothing automatic is mailed about it for an hour, and agents are told
/// that once, in the ticket.
pub(super) fn count_for_ticket(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<()> {
    if !allowed(db, "mail-to-ticket", &ticket.reference, TO_ONE_TICKET, now)? {
        let breaker = quiet_name(ticket);
        if throttle::allows(db, &breaker, BREAKER, now)? {
            throttle::take(db, &breaker, BREAKER, now)?;
            tell(db, ticket, None, now)?;
        }
    }
    Ok(())
}

/// Whether a closed ticket may reopen by one more mail. Counts that.
pub(super) fn may_reopen(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<bool> {
    allowed(db, "reopen", &ticket.reference, REOPENING, now)
}

/// Whether one more ticket may be opened by mail that goes on from `first` and those that went on from it. Counts that.
pub(super) fn may_go_on(db: &mut DbConnection, first: &Ticket, now: UtcTime) -> Result<bool> {
    allowed(db, "goes-on", &first.reference, REOPENING, now)
}

/// Whether nothing automatic is to be mailed about the ticket for now: it gets too much mail.
pub fn is_quiet(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<bool> {
    Ok(!throttle::allows(db, &quiet_name(ticket), BREAKER, now)?)
}

fn quiet_name(ticket: &Ticket) -> String {
    throttle::name("mail-quiet", &ticket.reference)
}

fn allowed(db: &mut DbConnection, what: &str, whom: &str, rate: Rate, now: UtcTime) -> Result<bool> {
    match throttle::take(db, &throttle::name(what, whom), rate, now) {
        Ok(()) => Ok(true),
        Err(Error::TooMany { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
