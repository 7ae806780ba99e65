//! Moving a ticket: to another queue, or to another requester and organisation.

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::consent_requests;
use crate::db::types::{OrganisationId, PersonId, QueueId};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::people::memberships;
use crate::tickets::assignment;
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::participants;
use crate::tickets::planned::{self, HeldBecause, audience};
use crate::tickets::ticket::{self, Change, Ticket};

/// Hands the ticket over to another queue, which need not be one of the agent's own. Who took care of it keeps it only
/// if they work there too.
pub fn to_queue(db: &mut DbConnection, ticket: &Ticket, queue: QueueId, by: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if ticket.queue_id == queue {
        return Ok(());
    }
    let keeps = match ticket.assignee_id {
        Some(assignee) => assignment::colleagues(db, queue)?.iter().any(|colleague| colleague.id == assignee),
        None => true,
    };
    let change = Change { queue_id: Some(queue), assignee_id: (!keeps).then_some(None), ..Change::default() };
    ticket::change(db, ticket, change, now)?;
    let details = Details { queue: Some(queue), previous_queue: Some(ticket.queue_id), ..Details::default() };
    events::record(db, ticket, NewEvent::by(by, EventKind::QueueChanged).with(details), now)?;
    Ok(())
}

/// Gives the ticket to another requester, who must be a member of `organisation`. When the organisation changes, who
/// asked before and everybody else of the ticket lose it, its place is forgotten, and the ledger keeps it.
pub fn to_requester(
    db: &mut DbConnection,
    ticket: &Ticket,
    requester: PersonId,
    organisation: OrganisationId,
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if (ticket.requester_id, ticket.organisation_id) == (requester, organisation) {
        return Ok(());
    }
    let is_member =
        memberships::of_person(db, requester)?.iter().any(|membership| membership.organisation_id == organisation);
    if !is_member {
        return Err(Error::invalid("requester", "requester-not-member"));
    }
    let leaves = ticket.organisation_id != organisation;
    if leaves && has_consents(db, ticket)? {
        return Err(Error::Conflict(Message::new("conflict-ticket-has-consents")));
    }
    let change = Change {
        organisation_id: leaves.then_some(organisation),
        requester_id: Some(requester),
        site_id: leaves.then_some(None),
        environment_id: leaves.then_some(None),
        ..Change::default()
    };
    ticket::change(db, ticket, change, now)?;
    if leaves {
        for participant in participants::active(db, ticket)? {
            if participant.person_id != requester {
                participants::end(db, ticket, participant.person_id)?;
            }
        }
    } else {
        participants::make_participant(db, ticket, ticket.requester_id)?;
    }
    let moved = Ticket { organisation_id: organisation, requester_id: requester, ..ticket.clone() };
    participants::make_requester(db, &moved, requester, now)?;
    let details = Details { person: Some(requester), previous_person: Some(ticket.requester_id), ..Details::default() };
    events::record(db, &moved, NewEvent::by(by, EventKind::RequesterChanged).with(details), now)?;
    // Whoever moved it: what waits was written for somebody else.
    let is_another = ticket.requester_id != requester;
    let because = if is_another { HeldBecause::OtherRequester } else { HeldBecause::OtherReaders };
    planned::hold_others(db, &moved, None, because, now)?;
    let entry = audit::Entry {
        kind: "ticket_moved",
        actor: by.person(),
        subject: Some(requester),
        organisation: Some(organisation),
        detail: serde_json::json!({
            "ticket": ticket.reference,
            "from_organisation": ticket.organisation_id,
            "from_requester": ticket.requester_id,
        }),
    };
    audit::record(db, &entry, now)
}

/// Whether consent was ever asked in the ticket: who gave it gave it for this organisation, and its record stays there.
fn has_consents(db: &mut DbConnection, ticket: &Ticket) -> Result<bool> {
    let asked = consent_requests::table.filter(consent_requests::ticket_id.eq(ticket.id));
    Ok(diesel::select(diesel::dsl::exists(asked)).get_result(db)?)
}

/// Hides the ticket from colleagues, or shows it to them. Its requester and agents may.
pub fn set_private(db: &mut DbConnection, ticket: &Ticket, is_private: bool, by: &Actor, now: UtcTime) -> Result<()> {
    let may = match by {
        Actor::Customer(customer) => customer.person == ticket.requester_id,
        _ => access::can_work_on(by, &ticket.facts()),
    };
    if !may {
        return Err(Error::Forbidden);
    }
    if ticket.is_private == is_private {
        return Ok(());
    }
    ticket::change(db, ticket, Change { is_private: Some(is_private), ..Change::default() }, now)?;
    let details = Details { to: Some(is_private.to_string()), ..Details::default() };
    events::record(db, ticket, NewEvent::by(by, EventKind::PrivacyChanged).with(details), now)?;
    if is_private {
        return Ok(());
    }
    let shared = Ticket { is_private, ..ticket.clone() };
    audience::has_grown(db, &shared, by.person(), now)
}

/// The requester proved to read mail at their address: mails with text may go there from now on (OUT-10).
pub fn confirm_address(db: &mut DbConnection, ticket: &Ticket, by: &Actor, now: UtcTime) -> Result<()> {
    if ticket.address_confirmed {
        return Ok(());
    }
    ticket::change(db, ticket, Change { address_confirmed: Some(true), ..Change::default() }, now)?;
    events::record(db, ticket, NewEvent::by(by, EventKind::AddressConfirmed), now)?;
    Ok(())
}
