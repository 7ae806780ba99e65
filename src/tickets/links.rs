//! The link in a mail to one ticket (U-03b): whoever holds it reads and answers that ticket, for 14 days; after that,
//! and for anything else, the mailbox has to be proven afresh. It never signs anybody in. Its hash is in backups, so that
//! mails keep their way back to the ticket.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::ticket_links;
use crate::db::types::{PersonId, TicketId};
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::people::person::{self, Person, PersonState};
use crate::queue;
use crate::secret::{Token, hash_token};
use crate::throttle::{self, Rate};
use crate::tickets::messages::clean_line;
use crate::tickets::participants;
use crate::tickets::reference::TicketReference;
use crate::tickets::ticket::{self, Ticket};

/// How long a link opens its ticket.
pub const VALID: TimeDelta = TimeDelta::days(14);
/// How long after that it still knows whose it was, so that the page can offer a new one.
const REMEMBERED: TimeDelta = TimeDelta::days(180);

/// What a link is worth now.
#[derive(Clone, Debug)]
pub enum Link {
    /// It opens the ticket: act as this.
    Open(Actor),
    /// It is too old: a new one may be mailed to this person, for this ticket.
    Expired { person: PersonId, ticket: TicketId },
}

/// Makes a link for `person`. Its token is handed out once and stored as a hash.
pub fn create(db: &mut DbConnection, ticket: &Ticket, person: PersonId, now: UtcTime) -> Result<Token> {
    let token = Token::random("");
    diesel::insert_into(ticket_links::table)
        .values((
            ticket_links::token_hash.eq(token.hash()),
            ticket_links::organisation_id.eq(ticket.organisation_id),
            ticket_links::ticket_id.eq(ticket.id),
            ticket_links::person_id.eq(person),
            ticket_links::created_at.eq(now),
            ticket_links::expires_at.eq(now.plus(VALID)),
        ))
        .execute(db)?;
    Ok(token)
}

/// What the token in somebody's hands is worth. One whose person no longer takes part is worth nothing.
pub fn find(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Option<Link>> {
    let found: Option<(TicketId, PersonId, UtcTime)> = ticket_links::table
        .filter(ticket_links::token_hash.eq(hash_token(token)))
        .select((ticket_links::ticket_id, ticket_links::person_id, ticket_links::expires_at))
        .first(db)
        .optional()?;
    let Some((ticket, person, expires_at)) = found else { return Ok(None) };
    let takes_part = participants::find(db, ticket, person)?.is_some_and(|found| found.takes_part());
    if !takes_part {
        return Ok(None);
    }
    Ok(Some(if now < expires_at {
        Link::Open(Actor::LinkHolder { person, ticket })
    } else {
        Link::Expired { person, ticket }
    }))
}

/// The job that mails a link; its payload is a [`LinkWanted`].
pub const LINK_WANTED: &str = "ticket_link";

/// Requests for a link from one IP address.
const WANTED_FROM_ONE_PLACE: Rate = Rate { times: 20, within: TimeDelta::hours(1) };

/// Who wants a link. Whether somebody gets one is seen when the mail is written, so that asking tells nothing (T-03).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LinkWanted {
    /// Somebody typed a reference and an address.
    Typed { reference: String, address: EmailAddress },
    /// Somebody has a link that is too old.
    Renewed { ticket: TicketId, person: PersonId },
}

/// Has a link mailed to `address` if it is of somebody who takes part in the ticket of that reference. It does the same
/// work whether there is such a ticket or not.
pub fn request_by_address(
    db: &mut DbConnection,
    reference: &str,
    address: &EmailAddress,
    ip_address: &str,
    now: UtcTime,
) -> Result<()> {
    count_wanted(db, ip_address, now)?;
    let wanted = LinkWanted::Typed { reference: clean_line(reference, 40), address: address.clone() };
    queue::enqueue(db, LINK_WANTED, &wanted, now, now)
}

/// Has a fresh link mailed to the mailbox that an old one went to.
pub fn renew(db: &mut DbConnection, ticket: TicketId, person: PersonId, ip_address: &str, now: UtcTime) -> Result<()> {
    count_wanted(db, ip_address, now)?;
    queue::enqueue(db, LINK_WANTED, &LinkWanted::Renewed { ticket, person }, now, now)
}

/// Counts a link that somebody wants, whether by an address or by an old link.
fn count_wanted(db: &mut DbConnection, ip_address: &str, now: UtcTime) -> Result<()> {
    let place = throttle::name("ticket-link-from", &throttle::neighbourhood(ip_address));
    throttle::take(db, &place, WANTED_FROM_ONE_PLACE, now)
}

/// The ticket and the participant whom the link is for; nothing when nobody is to get one.
pub fn for_whom(db: &mut DbConnection, wanted: &LinkWanted) -> Result<Option<(Ticket, Person)>> {
    let (ticket, person) = match wanted {
        LinkWanted::Typed { reference, address } => {
            let Some(reference) = TicketReference::parse(reference) else { return Ok(None) };
            let Some(ticket) = ticket::find_by_reference(db, &Actor::System, &reference)? else { return Ok(None) };
            let Some(person) = person::find_by_address(db, address)? else { return Ok(None) };
            (ticket, person)
        }
        LinkWanted::Renewed { ticket, person } => (ticket::by_id(db, *ticket)?, person::by_id(db, *person)?),
    };
    let takes_part = participants::find(db, ticket.id, person.id)?.is_some_and(|found| found.takes_part());
    Ok((takes_part && person.state == PersonState::Active).then_some((ticket, person)))
}

/// Has no link open its ticket any more: each offers to mail a new one to its reader. After a restore, for whom somebody
/// took out since the backup takes part again.
pub fn expire_all(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let open = ticket_links::table.filter(ticket_links::expires_at.gt(now));
    diesel::update(open).set(ticket_links::expires_at.eq(now)).execute(db)?;
    Ok(())
}

/// Removes links that have long been useless.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let old = ticket_links::table.filter(ticket_links::expires_at.lt(now.minus(REMEMBERED)));
    Ok(diesel::delete(old).execute(db)?)
}

/// Removes the links of somebody who no longer takes part.
pub(super) fn remove_of(db: &mut DbConnection, ticket: TicketId, person: PersonId) -> Result<()> {
    let links =
        ticket_links::table.filter(ticket_links::ticket_id.eq(ticket)).filter(ticket_links::person_id.eq(person));
    diesel::delete(links).execute(db)?;
    Ok(())
}
