//! Stopping early, without the customer having to: the agent needs no more, the ticket is closed or nobody's, what was
//! looked for was seen, nobody looks, whoever granted may no longer, or nobody knows what time it is.

use chrono::TimeDelta;
use serde_json::json;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::consent::asking::{self, ConsentRequest};
use crate::consent::grants::{self, Grant};
use crate::consent::life::{EndReason, GrantState, RequestState, Step};
use crate::consent::register::{By, EventKind};
use crate::consent::scope::Subject;
use crate::consent::withdrawing::{self, Kept};
use crate::db::DbConnection;
use crate::db::types::{GrantId, OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::people::person::{self, PersonState};
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Ticket};

/// Questions of one ticket looked at when it ends.
const QUESTIONS: i64 = 1_000;

/// An agent needs no more.
pub fn stop(db: &mut DbConnection, request: &ConsentRequest, by: &Actor, now: UtcTime) -> Result<()> {
    let ticket = ticket::by_id(db, request.ticket_id)?;
    if !by.is_staff() || !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let grant = grants::granted(db, request.id)?;
    end(db, &grant, EndReason::StoppedByOperator, By::of(by), now)
}

/// The ticket changed hands or state: what runs in a closed ticket, or in one of which nobody takes care, ends, and
/// questions in a closed one are taken back.
pub fn follow_ticket(db: &mut DbConnection, ticket: &Ticket, now: UtcTime) -> Result<()> {
    let reason = match (ticket.status, ticket.assignee_id) {
        (Status::Closed, _) => EndReason::TicketClosed,
        (_, None) => EndReason::Unassigned,
        _ => return Ok(()),
    };
    for grant in grants::of_ticket(db, ticket)?.into_iter().filter(|grant| grant.state == GrantState::Active) {
        end(db, &grant, reason, By::System, now)?;
    }
    if reason != EndReason::TicketClosed {
        return Ok(());
    }
    for request in asking::of_ticket(db, ticket, QUESTIONS)? {
        if !matches!(request.state, RequestState::Requested | RequestState::AwaitingSecond) {
            continue;
        }
        let request = asking::hold(db, request.id)?;
        if asking::close(db, &request, Step::Cancel, None, now)? {
            let request = asking::by_id(db, request.id)?;
            asking::record(db, &request, EventKind::Cancelled, By::System, now)?;
        }
    }
    Ok(())
}

/// What was looked for was seen; called by whoever captures, at the first match.
pub fn reproduced(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let grant = grants::by_id(db, grant)?;
    end(db, &grant, EndReason::Reproduced, By::System, now)
}

/// The clock cannot be trusted; called for each grant that is active then.
pub fn doubt_the_clock(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let grant = grants::by_id(db, grant)?;
    end(db, &grant, EndReason::ClockDoubt, By::System, now)
}

/// Ends what nobody looks at, and what was granted by somebody who no longer may; gives how many.
pub fn stop_due(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let mut stopped = 0;
    for grant in grants::all_active(db)? {
        let reason = if is_unread(&grant, now) {
            EndReason::Unread
        } else if !may_still(db, &grant)? {
            EndReason::MembershipEnded
        } else {
            continue;
        };
        end(db, &grant, reason, By::System, now)?;
        stopped += 1;
    }
    Ok(stopped)
}

fn is_unread(grant: &Grant, now: UtcTime) -> bool {
    let last = grant.last_viewed_at.unwrap_or(grant.granted_at);
    grant.idle_minutes.is_some_and(|minutes| now.since(last) >= TimeDelta::minutes(i64::from(minutes)))
}

/// Whether everybody who granted it could grant it now.
fn may_still(db: &mut DbConnection, grant: &Grant) -> Result<bool> {
    for person in [Some(grant.granted_by), grant.seconded_by].into_iter().flatten() {
        if !could_grant(db, person, grant.organisation_id, grant.subject)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn could_grant(
    db: &mut DbConnection,
    person: PersonId,
    organisation: OrganisationId,
    subject: Subject,
) -> Result<bool> {
    if person::by_id(db, person)?.state != PersonState::Active {
        return Ok(false);
    }
    let Actor::Customer(customer) = access::actor_of(db, person)? else { return Ok(false) };
    let membership = customer.memberships.iter().find(|own| own.organisation_id == organisation);
    Ok(membership.is_some_and(|own| own.grants_tracing || subject != Subject::Organisation))
}

fn end(db: &mut DbConnection, grant: &Grant, reason: EndReason, by: By, now: UtcTime) -> Result<()> {
    withdrawing::end(db, grant, reason, Kept::UntilItsDate, by, json!({}), now).map(drop)
}
