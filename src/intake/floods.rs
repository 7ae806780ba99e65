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
use crate::throttle::{self, Rate};
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

/// Counts a mail for its sender, and says whether that were too many.
pub(super) fn is_flood(db: &mut DbConnection, sender: &str, now: UtcTime) -> Result<bool> {
    let breaker = throttle::name("mail-flood", sender);
    if !throttle::allows(db, &breaker, BREAKER, now)? {
        return Ok(true);
    }
    if allowed(db, "mail-from", sender, FROM_ONE_SENDER, now)? {
        return Ok(false);
    }
    throttle::take(db, &breaker, BREAKER, now)?;
    Ok(true)
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

/// Counts a mail for its ticket; when there were too many, nothing automatic is mailed about it for an hour.
pub(super) fn count_for_ticket(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<()> {
    if !allowed(db, "mail-to-ticket", &ticket.reference, TO_ONE_TICKET, now)? {
        let breaker = quiet_name(ticket);
        if throttle::allows(db, &breaker, BREAKER, now)? {
            throttle::take(db, &breaker, BREAKER, now)?;
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
