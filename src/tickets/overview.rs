//! Tickets with the public names of everything around them, as programs are told: one by one, or listed by when they last
//! changed, the latest first. For customers a ticket changes when something is said that they can read; what staff do
//! among themselves does not show in the order either.

use diesel::prelude::*;

use crate::access::{self, Actor, Tickets};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_of::one_of;
use crate::db::one_text::one_text;
use crate::db::paging::{Cursor, Page};
use crate::db::schema::{
    environments, organisations, people, person_addresses, queues, sites, ticket_participants, tickets,
};
use crate::db::types::{Language, OrganisationId, PersonId, QueueId, TicketId};
use crate::error::Result;
use crate::people::person::display_name;
use crate::tickets::messages::Channel;
use crate::tickets::participants::{Part, Standing};
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;

diesel::alias! {
    const ASKERS: Alias<Askers> = people as askers;
    const CARERS: Alias<Carers> = people as carers;
}

/// A ticket and what it is connected with, by public names.
#[derive(Clone, Debug)]
pub struct Overview {
    pub id: TicketId,
    pub reference: String,
    pub subject: String,
    pub status: Status,
    pub priority: Priority,
    pub channel: Channel,
    pub language: Language,
    pub is_private: bool,
    pub waiting_since: UtcTime,
    pub created_at: UtcTime,
    pub last_message_at: UtcTime,
    pub first_answered_at: Option<UtcTime>,
    pub closed_at: Option<UtcTime>,
    /// For staff only, like the two after it.
    pub updated_at: UtcTime,
    pub message_count: i32,
    pub version: i64,
    pub queue: String,
    pub queue_kind: String,
    pub organisation: String,
    pub organisation_name: String,
    pub requester: String,
    pub requester_name: String,
    pub requester_address: String,
    /// Public name and name.
    pub assignee: Option<(String, String)>,
    pub site: Option<String>,
    pub environment: Option<String>,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub statuses: Vec<Status>,
    pub queue: Option<QueueId>,
    pub organisation: Option<OrganisationId>,
    pub requester: Option<PersonId>,
    /// Only what changed at this time or later.
    pub since: Option<UtcTime>,
}

macro_rules! walk {
    ($db:expr, $query:expr, $time:expr, $since:expr, $after:expr, $wanted:expr) => {{
        let mut query = $query;
        if let Some(since) = $since {
            query = query.filter($time.ge(since));
        }
        if let Some(after) = $after {
            query = query
                .filter($time.lt(after.time).or($time.eq(after.time).and(tickets::id.lt(TicketId(after.id)))))
                .filter($time.le(after.time));
        }
        query.order(($time.desc(), tickets::id.desc())).limit($wanted).select(($time, tickets::id)).load($db)?
    }};
}

/// A page of the tickets which `actor` may see, the latest change first.
pub fn page(
    db: &mut DbConnection,
    actor: &Actor,
    filter: &Filter,
    after: Option<Cursor>,
    size: i64,
) -> Result<Page<Overview>> {
    let wanted = size + 1;
    let mut keys: Vec<(UtcTime, TicketId)> = Vec::new();
    for strand in strands(actor) {
        let strand = narrowed(strand, filter);
        let found: Vec<(UtcTime, TicketId)> = if actor.is_staff() {
            walk!(db, strand, tickets::updated_at, filter.since, after, wanted)
        } else {
            walk!(db, strand, tickets::last_message_at, filter.since, after, wanted)
        };
        keys.extend(found);
    }
    keys.sort_unstable_by(|left, right| right.cmp(left));
    keys.dedup();
    let page = Page::cut(keys, size, |(time, id)| Cursor { time: *time, id: id.0 });
    let ids: Vec<TicketId> = page.rows.iter().map(|(_, id)| *id).collect();
    Ok(Page { rows: load(db, &ids)?, next: page.next })
}

/// Queries that together give everything the actor may see, each of which walks one index.
fn strands<'a>(actor: &Actor) -> Vec<Tickets<'a>> {
    let Actor::Customer(customer) = actor else { return vec![access::visible_to(actor)] };
    let person = customer.person;
    let takes_part_in = ticket_participants::table
        .filter(ticket_participants::person_id.eq(person))
        .filter(ticket_participants::part.ne(Part::Staff))
        .filter(ticket_participants::state.eq(Standing::Active))
        .select(ticket_participants::ticket_id);
    let mut strands = vec![
        access::visible_to(actor).filter(tickets::requester_id.eq(person)),
        access::visible_to(actor).filter(tickets::id.eq_any(takes_part_in)),
    ];
    for organisation in customer.organisations_seen() {
        strands.push(access::visible_to(actor).filter(tickets::organisation_id.eq(organisation)));
    }
    strands
}

fn narrowed<'a>(mut query: Tickets<'a>, filter: &Filter) -> Tickets<'a> {
    if !filter.statuses.is_empty() {
        query = query.filter(tickets::status.eq_any(filter.statuses.clone()));
    }
    if let Some(queue) = filter.queue {
        query = query.filter(tickets::queue_id.eq(queue));
    }
    if let Some(organisation) = filter.organisation {
        query = query.filter(tickets::organisation_id.eq(organisation));
    }
    if let Some(requester) = filter.requester {
        query = query.filter(tickets::requester_id.eq(requester));
    }
    query
}

type Names = (String, String, String);
type Loaded = (
    (TicketId, String, String, Status, Priority, Channel, Language, bool),
    (UtcTime, UtcTime, UtcTime, Option<UtcTime>, Option<UtcTime>, UtcTime, i32, i64),
    (Names, String, String, String, String, String),
    (Option<Names>, Option<String>, Option<String>),
);

macro_rules! overviews {
    ($filter:expr) => {
        tickets::table
            .inner_join(ASKERS.on(ASKERS.field(people::id).eq(tickets::requester_id)))
            .inner_join(
                person_addresses::table.on(person_addresses::person_id
                    .eq(tickets::requester_id)
                    .and(person_addresses::is_primary.eq(true))),
            )
            .inner_join(organisations::table)
            .inner_join(queues::table)
            .left_join(CARERS.on(CARERS.field(people::id).nullable().eq(tickets::assignee_id)))
            .left_join(sites::table.on(sites::id.nullable().eq(tickets::site_id)))
            .left_join(environments::table.on(environments::id.nullable().eq(tickets::environment_id)))
            .filter($filter)
            .select((
                (
                    tickets::id,
                    tickets::reference,
                    tickets::subject,
                    tickets::status,
                    tickets::priority,
                    tickets::channel,
                    tickets::language,
                    tickets::is_private,
                ),
                (
                    tickets::waiting_since,
                    tickets::created_at,
                    tickets::last_message_at,
                    tickets::first_answered_at,
                    tickets::closed_at,
                    tickets::updated_at,
                    tickets::message_count,
                    tickets::version,
                ),
                (
                    ASKERS.fields((people::handle, people::first_name, people::last_name)),
                    person_addresses::address,
                    queues::handle,
                    queues::kind,
                    organisations::handle,
                    organisations::name,
                ),
                (
                    CARERS.fields((people::handle, people::first_name, people::last_name)).nullable(),
                    sites::handle.nullable(),
                    environments::handle.nullable(),
                ),
            ))
    };
}

/// The ticket of that id, which the caller may see. Its statement is always the same and so is prepared only once, which
/// one for any number of ids is not.
pub fn of_ticket(db: &mut DbConnection, id: TicketId) -> Result<Overview> {
    let loaded: Loaded = one_text!(overviews!(tickets::id.eq(id))).first(db)?;
    Ok(overview(loaded))
}

/// The tickets of these ids, in the order given.
fn load(db: &mut DbConnection, ids: &[TicketId]) -> Result<Vec<Overview>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let loaded: Vec<Loaded> = overviews!(one_of(tickets::id, ids.iter().map(|id| id.0))).load(db)?;
    let mut overviews: Vec<Overview> = loaded.into_iter().map(overview).collect();
    overviews.sort_by_key(|overview| ids.iter().position(|id| *id == overview.id));
    Ok(overviews)
}

fn overview((ticket, state, around, beside): Loaded) -> Overview {
    let (id, reference, subject, status, priority, channel, language, is_private) = ticket;
    let (waiting_since, created_at, last_message_at, first_answered_at, closed_at, updated_at, message_count, version) =
        state;
    let ((requester, first_name, last_name), requester_address, queue, queue_kind, organisation, organisation_name) =
        around;
    let (assignee, site, environment) = beside;
    Overview {
        id,
        reference,
        subject,
        status,
        priority,
        channel,
        language,
        is_private,
        waiting_since,
        created_at,
        last_message_at,
        first_answered_at,
        closed_at,
        updated_at,
        message_count,
        version,
        queue,
        queue_kind,
        organisation,
        organisation_name,
        requester,
        requester_name: display_name(&first_name, &last_name, &requester_address),
        requester_address,
        assignee: assignee.map(|(handle, first, last)| (handle, display_name(&first, &last, ""))),
        site,
        environment,
    }
}
