//! Who may see and do what: one place for every way in. Predicates are pure; [`visible_to`] is where every query for
//! tickets starts, so that paging, counting and search never see more than the reader may.

use diesel::dsl::exists;
use diesel::prelude::*;

use crate::db::DbConnection;
use crate::db::connection::MultiBackend;
use crate::db::one_of::one_of;
use crate::db::one_text::one_text;
use crate::db::schema::{queue_members, staff_members, ticket_participants, tickets};
use crate::db::types::{OrganisationId, PersonId, QueueId, TicketId};
use crate::error::Result;
use crate::people::memberships::{self, Membership};
use crate::people::roles::{self, Permission};
use crate::people::staff::UNDERTAKING_VERSION;

/// Who acts, with everything that decides what they may do.
#[derive(Clone, Debug)]
pub enum Actor {
    Staff(StaffActor),
    Customer(CustomerActor),
    /// Somebody who holds the link to one ticket (U-03b): they read it and answer it, and nothing else.
    LinkHolder {
        person: PersonId,
        ticket: TicketId,
    },
    /// Accord itself: a job, a rule, the mail handler.
    System,
}

/// An agent, supervisor, administrator or privacy officer.
#[derive(Clone, Debug)]
pub struct StaffActor {
    pub person: PersonId,
    pub permissions: Vec<Permission>,
    /// The queues they work in.
    pub queues: Vec<QueueId>,
    /// Whether they accepted the confidentiality undertaking in force (A4).
    pub undertaking_accepted: bool,
    /// The one queue that a program of theirs is limited to (U-08).
    pub only_queue: Option<QueueId>,
}

/// Somebody signed in who is not staff.
#[derive(Clone, Debug)]
pub struct CustomerActor {
    pub person: PersonId,
    pub memberships: Vec<Membership>,
    /// The one queue that a program of theirs is limited to (U-08).
    pub only_queue: Option<QueueId>,
}

/// What decides who may see a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketFacts {
    pub id: TicketId,
    pub organisation: OrganisationId,
    pub queue: QueueId,
    pub requester: PersonId,
    pub is_private: bool,
}

/// What decides who may read what was captured for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceFacts {
    pub ticket: TicketFacts,
    /// Whose own use; `None` is the whole organisation.
    pub subject: Option<PersonId>,
    pub readers: TraceReaders,
}

/// The agents whom the customer let read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceReaders {
    Queue(QueueId),
    Agent(PersonId),
}

impl Actor {
    /// The person who acts, if it is one.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Actor::Staff(staff) => Some(staff.person),
            Actor::Customer(customer) => Some(customer.person),
            Actor::LinkHolder { person, .. } => Some(*person),
            Actor::System => None,
        }
    }

    /// The same for a program that may act in `queue` alone (U-08). Nothing beyond what they may without it: who sees
    /// one ticket, and Accord itself, are no programs and stay as they are.
    pub fn within(self, queue: QueueId) -> Actor {
        match self {
            Actor::Staff(staff) => Actor::Staff(StaffActor { only_queue: Some(queue), ..staff }),
            Actor::Customer(customer) => Actor::Customer(CustomerActor { only_queue: Some(queue), ..customer }),
            Actor::LinkHolder { .. } | Actor::System => self,
        }
    }

    /// Whether a member of staff acts.
    pub fn is_staff(&self) -> bool {
        matches!(self, Actor::Staff(_))
    }
}

impl StaffActor {
    /// Whether one of their roles permits it.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Whether tickets of `queue` are theirs to work on.
    pub fn works_in(&self, queue: QueueId) -> bool {
        self.undertaking_accepted
            && self.may(Permission::WorkTickets)
            && self.only_queue.is_none_or(|only| only == queue)
            && (self.may(Permission::SeeAllQueues) || self.queues.contains(&queue))
    }
}

impl CustomerActor {
    /// Whether tickets of `queue` can be theirs at all.
    pub fn reaches(&self, queue: QueueId) -> bool {
        self.only_queue.is_none_or(|only| only == queue)
    }

    /// The organisations whose shared tickets they see.
    pub fn organisations_seen(&self) -> Vec<OrganisationId> {
        self.memberships
            .iter()
            .filter(|membership| membership.sees_all_tickets && membership.colleagues_see_tickets)
            .map(|membership| membership.organisation_id)
            .collect()
    }

    /// Whether they belong to `organisation`.
    pub fn is_member_of(&self, organisation: OrganisationId) -> bool {
        self.memberships.iter().any(|membership| membership.organisation_id == organisation)
    }

    /// Whether they manage the members, sites and environments of `organisation`.
    pub fn manages(&self, organisation: OrganisationId) -> bool {
        self.memberships
            .iter()
            .any(|membership| membership.organisation_id == organisation && membership.manages_organisation)
    }
}

/// The rights of `person` as they stand now: staff by their roles and queues, customers by their memberships.
pub fn actor_of(db: &mut DbConnection, person: PersonId) -> Result<Actor> {
    let undertaking: Option<Option<i32>> =
        one_text!(staff_members::table.find(person).select(staff_members::undertaking_version)).first(db).optional()?;
    let Some(undertaking) = undertaking else {
        let memberships = memberships::of_person(db, person)?;
        return Ok(Actor::Customer(CustomerActor { person, memberships, only_queue: None }));
    };
    let queues =
        one_text!(queue_members::table.filter(queue_members::person_id.eq(person)).select(queue_members::queue_id))
            .load(db)?;
    Ok(Actor::Staff(StaffActor {
        person,
        permissions: roles::permissions_of(db, person)?,
        queues,
        undertaking_accepted: undertaking == Some(UNDERTAKING_VERSION),
        only_queue: None,
    }))
}

/// Whether `actor` may see the ticket; `participates` says whether they are an active participant of it. It agrees
/// with [`visible_to`] by a test over all cases.
pub fn can_see(actor: &Actor, ticket: &TicketFacts, participates: bool) -> bool {
    match actor {
        Actor::System => true,
        Actor::Staff(staff) => staff.works_in(ticket.queue),
        Actor::LinkHolder { ticket: linked, .. } => *linked == ticket.id,
        Actor::Customer(customer) => {
            let is_theirs = customer.person == ticket.requester
                || participates
                || (!ticket.is_private && customer.organisations_seen().contains(&ticket.organisation));
            is_theirs && customer.reaches(ticket.queue)
        }
    }
}

/// Whether `actor` may change the ticket beside answering it: status, assignment, tags, participants, notes.
pub fn can_work_on(actor: &Actor, ticket: &TicketFacts) -> bool {
    match actor {
        Actor::System => true,
        Actor::Staff(staff) => staff.works_in(ticket.queue),
        Actor::Customer(_) | Actor::LinkHolder { .. } => false,
    }
}

/// Whether `actor` may read what was captured: of the staff only whom the consent names, while the ticket is theirs. Of the
/// customer, what is of somebody's own use is theirs, wherever they belong by then, and nobody else's; what is of a whole
/// organisation is for whoever may grant for it now. Who granted it once and no longer may reads it no more.
pub fn can_read_traces(actor: &Actor, facts: &TraceFacts) -> bool {
    match actor {
        Actor::Staff(staff) => {
            staff.works_in(facts.ticket.queue)
                && match facts.readers {
                    TraceReaders::Queue(queue) => staff.works_in(queue),
                    TraceReaders::Agent(agent) => staff.person == agent,
                }
        }
        Actor::Customer(customer) => match facts.subject {
            Some(person) => customer.person == person,
            None => may_grant_for(customer, facts.ticket.organisation),
        },
        Actor::LinkHolder { .. } | Actor::System => false,
    }
}

/// A query over tickets to which more conditions are added.
pub type Tickets<'a> = tickets::BoxedQuery<'a, MultiBackend>;

/// The tickets that `actor` may see.
pub fn visible_to<'a>(actor: &Actor) -> Tickets<'a> {
    let query = tickets::table.into_boxed();
    match actor {
        Actor::System => query,
        Actor::LinkHolder { ticket, .. } => query.filter(tickets::id.eq(*ticket)),
        Actor::Staff(staff) => {
            if !staff.undertaking_accepted || !staff.may(Permission::WorkTickets) {
                query.filter(tickets::id.eq(NOBODY_S_TICKET))
            } else if let Some(only) = staff.only_queue {
                let queue = Some(only).filter(|queue| staff.works_in(*queue));
                query.filter(one_of(tickets::queue_id, queue.map(|queue| queue.0)))
            } else if staff.may(Permission::SeeAllQueues) {
                query
            } else {
                query.filter(one_of(tickets::queue_id, staff.queues.iter().map(|queue| queue.0)))
            }
        }
        Actor::Customer(customer) => {
            let participates = exists(
                ticket_participants::table
                    .filter(ticket_participants::ticket_id.eq(tickets::id))
                    .filter(ticket_participants::person_id.eq(customer.person))
                    .filter(ticket_participants::part.ne("staff"))
                    .filter(ticket_participants::state.eq("active")),
            );
            let query = match customer.only_queue {
                Some(queue) => query.filter(tickets::queue_id.eq(queue)),
                None => query,
            };
            query.filter(
                tickets::requester_id.eq(customer.person).or(participates).or(one_of(
                    tickets::organisation_id,
                    customer.organisations_seen().into_iter().map(|organisation| organisation.0),
                )
                .and(tickets::is_private.eq(false))),
            )
        }
    }
}

/// No ticket has this id: ids begin at one.
const NOBODY_S_TICKET: TicketId = TicketId(0);

/// Whether `actor` may see what an organisation says of itself: its sites, environments and members.
pub fn can_see_organisation(actor: &Actor, organisation: OrganisationId) -> bool {
    match actor {
        Actor::System => true,
        Actor::Staff(staff) => {
            staff.may(Permission::ManagePeople) || (staff.may(Permission::WorkTickets) && staff.undertaking_accepted)
        }
        Actor::Customer(customer) => customer.is_member_of(organisation),
        Actor::LinkHolder { .. } => false,
    }
}

/// Whether `actor` may change them, and who is a member with which rights.
pub fn can_manage_organisation(actor: &Actor, organisation: OrganisationId) -> bool {
    match actor {
        Actor::System => true,
        Actor::Staff(staff) => staff.may(Permission::ManagePeople),
        Actor::Customer(customer) => customer.manages(organisation),
        Actor::LinkHolder { .. } => false,
    }
}

/// Whether `actor` may grant tracing for the whole organisation; staff never may (CN-06).
pub fn can_grant_tracing(actor: &Actor, organisation: OrganisationId) -> bool {
    match actor {
        Actor::Customer(customer) => may_grant_for(customer, organisation),
        Actor::Staff(_) | Actor::LinkHolder { .. } | Actor::System => false,
    }
}

/// [`can_grant_tracing`] of a customer.
pub fn may_grant_for(customer: &CustomerActor, organisation: OrganisationId) -> bool {
    customer.memberships.iter().any(|own| own.organisation_id == organisation && own.grants_tracing)
}

/// Whether `actor` may change how somebody is known and signs in: address, invitation, sessions, being let in at all.
/// For staff only those who manage staff, or who manages people could take an administrator's place.
pub fn can_change_identity(actor: &Actor, of_staff: bool) -> bool {
    if of_staff {
        may(actor, Permission::ManageStaff)
    } else {
        may(actor, Permission::ManagePeople) || may(actor, Permission::ManageStaff)
    }
}

/// Whether `actor` has `permission`; customers have none.
pub fn may(actor: &Actor, permission: Permission) -> bool {
    match actor {
        Actor::Staff(staff) => staff.may(permission),
        Actor::System => true,
        Actor::Customer(_) | Actor::LinkHolder { .. } => false,
    }
}
