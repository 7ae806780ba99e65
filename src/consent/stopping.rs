//! Stopping early, without the customer having to: the agent needs no more, the ticket is closed or nobody's, what was
//! looked for was seen, nobody looks, whoever granted may no longer, or nobody knows what time it is.

use chrono::TimeDelta;
use serde_json::json;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::consent::asking::{self, ConsentRequest};
use crate::consent::grants::{self, Grant};
use crate::consent::life::{EndReason, GrantState, Step};
use crate::consent::register::{By, EventKind};
use crate::consent::scope::Subject;
use crate::consent::withdrawing::{self, Kept};
use crate::db::DbConnection;
use crate::db::types::{ConsentRequestId, GrantId, OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::people::person::{self, PersonState};
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Ticket};

/// An agent needs no more.
pub fn stop(db: &mut DbConnection, request: &ConsentRequest, by: &Actor, now: UtcTime) -> Result<()> {
    let ticket = ticket::by_id(db, request.ticket_id)?;
    if !by.is_staff() || !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let grant = grants::granted(db, request.id)?;
    end(db, &grant, EndReason::StoppedByOperator, By::of(by), now)
}

/// The consents of a ticket that end with it, by their questions: what runs in a closed ticket, or in one of which nobody
/// takes care, and what is still asked in a closed one. Each is for [`end_with_ticket`], in a transaction of its own.
pub fn over_with_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<ConsentRequestId>> {
    let Some(reason) = reason_of_ticket(ticket) else { return Ok(Vec::new()) };
    let running = grants::of_ticket(db, ticket)?.into_iter().filter(|grant| grant.state == GrantState::Active);
    let mut over: Vec<ConsentRequestId> = running.map(|grant| grant.request_id).collect();
    if reason == EndReason::TicketClosed {
        over.extend(asking::open_in_ticket(db, ticket)?);
    }
    over.sort();
    Ok(over)
}

/// The ticket changed hands or state: ends what runs, or takes the question back, if the ticket still says so.
pub fn end_with_ticket(db: &mut DbConnection, request: ConsentRequestId, now: UtcTime) -> Result<()> {
    let request = asking::hold(db, request)?;
    let ticket = ticket::by_id(db, request.ticket_id)?;
    let Some(reason) = reason_of_ticket(&ticket) else { return Ok(()) };
    if let Some(grant) = grants::of_request(db, request.id)? {
        return end(db, &grant, reason, By::System, now);
    }
    if reason == EndReason::TicketClosed && asking::close(db, &request, Step::Cancel, None, now)? {
        let request = asking::by_id(db, request.id)?;
        asking::record(db, &request, EventKind::Cancelled, By::System, now)?;
    }
    Ok(())
}

fn reason_of_ticket(ticket: &Ticket) -> Option<EndReason> {
    match (ticket.status, ticket.assignee_id) {
        (Status::Closed, _) => Some(EndReason::TicketClosed),
        (_, None) => Some(EndReason::Unassigned),
        _ => None,
    }
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

/// The database was restored from a backup, which holds nothing that was captured: the grant may have been withdrawn since
/// that was made, so it ends, and there is nothing to keep. Called for each grant that runs or of which something was kept.
pub fn end_restored(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let grant = grants::by_id(db, grant)?;
    let detail = json!({ "restored": true });
    // What was over by itself ended then, and nobody stopped it.
    let reason = if now < grant.expires_at { EndReason::StoppedByOperator } else { EndReason::Expired };
    let is_ours = withdrawing::end(db, &grant, reason, Kept::No, By::System, detail, now)?;
    if !is_ours {
        withdrawing::keep_no_longer(db, &grant, now)?;
    }
    Ok(())
}

/// The same for a question that nobody has decided: a first approval, or a refusal, may have been said since.
pub fn close_restored(db: &mut DbConnection, request: ConsentRequestId, now: UtcTime) -> Result<()> {
    let request = asking::hold(db, request)?;
    if asking::close(db, &request, Step::Cancel, None, now)? {
        let request = asking::by_id(db, request.id)?;
        asking::record(db, &request, EventKind::Cancelled, By::System, now)?;
    }
    Ok(())
}

/// The grants that are to end early: nobody looks, somebody who gave it no longer may, or its ticket was closed or left
/// just as it was given. Each is for [`stop_if_due`], in a transaction of its own.
pub fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<GrantId>> {
    let mut due = Vec::new();
    for grant in grants::all_active(db)? {
        if reason_to_stop(db, &grant, now)?.is_some() {
            due.push(grant.id);
        }
    }
    Ok(due)
}

/// Ends the grant if it is still to end.
pub fn stop_if_due(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let grant = grants::hold(db, grant)?;
    match reason_to_stop(db, &grant, now)? {
        Some(reason) => end(db, &grant, reason, By::System, now),
        None => Ok(()),
    }
}

fn reason_to_stop(db: &mut DbConnection, grant: &Grant, now: UtcTime) -> Result<Option<EndReason>> {
    if is_unread(grant, now) {
        return Ok(Some(EndReason::Unread));
    }
    if !may_still(db, grant)? {
        return Ok(Some(EndReason::MembershipEnded));
    }
    Ok(reason_of_ticket(&ticket::by_id(db, grant.ticket_id)?))
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
