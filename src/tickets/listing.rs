//! Lists of tickets: the queue views of agents and the requests of customers. A list is made of strands, each a query
//! that walks one index from where the page begins and stops when the page is full, so that its work does not grow
//! with the table; the strands are merged, and only the rows that are shown are loaded.

use diesel::prelude::*;

use crate::access::{self, Actor, StaffActor, Tickets};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_of::one_of;
use crate::db::paging::{self, Cursor};
use crate::db::prepared_once::prepared_once;
use crate::db::schema::{organisations, people, person_addresses, ticket_participants, tickets};
use crate::db::types::{OrganisationId, PersonId, QueueId, TicketId, text_enum};
use crate::error::Result;
use crate::people::person::display_name;
use crate::people::roles::Permission;
use crate::tickets::messages::Channel;
use crate::tickets::participants::{Part, Standing};
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;

diesel::alias! {
    const REQUESTERS: Alias<Requesters> = people as requesters;
    const ASSIGNEES: Alias<Assignees> = people as assignees;
}

/// Counts go up to this; what is more is shown as "200+".
pub const COUNTED_TO: i64 = 200;

text_enum! {
    /// What an agent looks at.
    pub enum View {
        Mine = "mine",
        Unassigned = "unassigned",
        WaitingForUs = "waiting-for-us",
        WaitingForCustomer = "waiting-for-customer",
        Closed = "closed",
        All = "all",
    }
}

/// One stretch of a view: tickets of one status after the other, so that what waits for us comes before what waits for
/// the customer, and what is closed comes last.
#[derive(Clone, Copy, Debug)]
enum Stretch {
    /// Open and unassigned.
    Unassigned,
    Of(Status),
}

impl Stretch {
    /// What is open has the longest wait first; what is closed, the latest first.
    fn is_latest_first(self) -> bool {
        matches!(self, Stretch::Of(Status::Closed))
    }
}

impl View {
    fn stretches(self) -> &'static [Stretch] {
        use Status::{Closed, WaitingForCustomer, WaitingForUs};
        use Stretch::Of;
        match self {
            View::Mine => &[Of(WaitingForUs), Of(WaitingForCustomer)],
            View::Unassigned => &[Stretch::Unassigned],
            View::WaitingForUs => &[Of(WaitingForUs)],
            View::WaitingForCustomer => &[Of(WaitingForCustomer)],
            View::Closed => &[Of(Closed)],
            View::All => &[Of(WaitingForUs), Of(WaitingForCustomer), Of(Closed)],
        }
    }
}

/// Where a page of a list begins: within which stretch, and after which row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    stretch: usize,
    after: Cursor,
}

impl ListCursor {
    /// The opaque text for a link.
    pub fn to_text(self) -> String {
        format!("{}{}", self.stretch, self.after.to_text())
    }

    /// Reads what [`ListCursor::to_text`] wrote; anything else is no cursor, and the list begins at its beginning.
    pub fn parse(text: &str) -> Option<ListCursor> {
        let stretch = text.get(..1)?.parse().ok()?;
        Some(ListCursor { stretch, after: Cursor::parse(text.get(1..)?)? })
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage<T> {
    pub rows: Vec<T>,
    pub next: Option<ListCursor>,
}

/// A ticket in a list.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: TicketId,
    pub reference: String,
    pub subject: String,
    pub status: Status,
    pub priority: Priority,
    pub channel: Channel,
    pub queue_id: QueueId,
    pub is_private: bool,
    pub waiting_since: UtcTime,
    pub last_message_at: UtcTime,
    pub created_at: UtcTime,
    /// For staff only.
    pub message_count: i32,
    pub requester_id: PersonId,
    pub requester: String,
    pub organisation_id: OrganisationId,
    /// Empty for somebody on their own.
    pub organisation: String,
    pub assignee_id: Option<PersonId>,
    pub assignee: Option<String>,
}

/// A page of a view, in `queue` only if given.
pub fn page(
    db: &mut DbConnection,
    agent: &StaffActor,
    view: View,
    queue: Option<QueueId>,
    after: Option<ListCursor>,
    size: i64,
) -> Result<ListPage<Row>> {
    let stretches = view.stretches();
    let (first, mut cursor) = after.map_or((0, None), |after| (after.stretch, Some(after.after)));
    let mut keys: Vec<(usize, Cursor)> = Vec::new();
    let wanted = size.max(1) + 1;
    for (place, stretch) in stretches.iter().enumerate().skip(first) {
        let missing = wanted - keys.len() as i64;
        if missing <= 0 {
            break;
        }
        let found = keys_of(db, agent, view, *stretch, queue, cursor.take(), missing)?;
        keys.extend(found.into_iter().map(|key| (place, key)));
    }
    let next = cut(&mut keys, size).map(|(stretch, after)| ListCursor { stretch, after });
    let rows = rows(db, &keys.iter().map(|(_, key)| TicketId(key.id)).collect::<Vec<_>>())?;
    Ok(ListPage { rows, next })
}

/// How many tickets a view holds, counted up to one more than [`COUNTED_TO`].
pub fn count(db: &mut DbConnection, agent: &StaffActor, view: View, queue: Option<QueueId>) -> Result<i64> {
    let mut total = 0;
    for stretch in view.stretches() {
        let query = narrowed(access::visible_to(&Actor::Staff(agent.clone())), agent.person, view, *stretch, queue);
        total += paging::count_up_to(db, query.select(tickets::id), COUNTED_TO + 1 - total)?;
        if total > COUNTED_TO {
            break;
        }
    }
    Ok(total)
}

/// The first `wanted` tickets of a stretch, from all queues that the agent sees.
fn keys_of(
    db: &mut DbConnection,
    agent: &StaffActor,
    view: View,
    stretch: Stretch,
    queue: Option<QueueId>,
    after: Option<Cursor>,
    wanted: i64,
) -> Result<Vec<Cursor>> {
    let sees_all = agent.may(Permission::SeeAllQueues);
    // One's own tickets have an index that needs no queue.
    let strands: Vec<Option<QueueId>> = match queue {
        Some(queue) => vec![Some(queue)],
        None if sees_all || view == View::Mine => vec![None],
        None => agent.queues.iter().copied().map(Some).collect(),
    };
    let mut keys = Vec::new();
    for strand in strands {
        // In one queue, the right to see it is the right to see all that the query finds.
        let narrow = match strand {
            Some(queue) if !sees_all && agent.queues.contains(&queue) => {
                Actor::Staff(StaffActor { queues: vec![queue], ..agent.clone() })
            }
            _ => Actor::Staff(agent.clone()),
        };
        let query = narrowed(access::visible_to(&narrow), agent.person, view, stretch, strand);
        keys.extend(walk(db, query, after, stretch.is_latest_first(), wanted)?);
    }
    merge(&mut keys, stretch.is_latest_first(), wanted);
    Ok(keys)
}

fn narrowed(query: Tickets<'_>, agent: PersonId, view: View, stretch: Stretch, queue: Option<QueueId>) -> Tickets<'_> {
    let mut query = match stretch {
        Stretch::Unassigned => {
            // As literals and not as bound values, so that both databases see that the partial index holds.
            query
                .filter(tickets::assignee_id.is_null())
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("tickets.status <> 'closed'"))
        }
        Stretch::Of(status) => query.filter(tickets::status.eq(status)),
    };
    if view == View::Mine {
        query = query.filter(tickets::assignee_id.eq(agent));
    }
    if let Some(queue) = queue {
        query = query.filter(tickets::queue_id.eq(queue));
    }
    query
}

/// The keys of a query in the order of their wait.
fn walk(
    db: &mut DbConnection,
    query: Tickets<'_>,
    after: Option<Cursor>,
    latest_first: bool,
    wanted: i64,
) -> Result<Vec<Cursor>> {
    let query = match (after, latest_first) {
        (None, _) => query,
        (Some(after), false) => query
            .filter(
                tickets::waiting_since
                    .gt(after.time)
                    .or(tickets::waiting_since.eq(after.time).and(tickets::id.gt(TicketId(after.id)))),
            )
            .filter(tickets::waiting_since.ge(after.time)),
        (Some(after), true) => query
            .filter(
                tickets::waiting_since
                    .lt(after.time)
                    .or(tickets::waiting_since.eq(after.time).and(tickets::id.lt(TicketId(after.id)))),
            )
            .filter(tickets::waiting_since.le(after.time)),
    };
    let query = if latest_first {
        query.order((tickets::waiting_since.desc(), tickets::id.desc()))
    } else {
        query.order((tickets::waiting_since.asc(), tickets::id.asc()))
    };
    let query = query.limit(wanted).select((tickets::waiting_since, tickets::id));
    let keys: Vec<(UtcTime, TicketId)> = prepared_once(query).load(db)?;
    Ok(keys.into_iter().map(|(time, id)| Cursor { time, id: id.0 }).collect())
}

fn merge(keys: &mut Vec<Cursor>, latest_first: bool, wanted: i64) {
    keys.sort_unstable_by_key(|key| (key.time, key.id));
    if latest_first {
        keys.reverse();
    }
    keys.dedup();
    keys.truncate(usize::try_from(wanted).unwrap_or(0));
}

/// Cuts what was asked for beyond the page and gives the last row of the page, if there is more.
fn cut<T: Copy>(keys: &mut Vec<T>, size: i64) -> Option<T> {
    let size = usize::try_from(size.max(1)).unwrap_or(1);
    if keys.len() <= size {
        return None;
    }
    keys.truncate(size);
    keys.last().copied()
}

/// The requests of a customer that are shown together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those they asked or take part in.
    Own,
    /// Those of the organisations which let them see all.
    Everything,
}

/// Whether requests that go on or those that are done are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Open,
    Closed,
}

/// A page of the requests which a customer may see, the latest first.
pub fn requests(
    db: &mut DbConnection,
    actor: &Actor,
    scope: Scope,
    progress: Progress,
    after: Option<Cursor>,
    size: i64,
) -> Result<ListPage<Row>> {
    let Actor::Customer(customer) = actor else { return Ok(ListPage { rows: Vec::new(), next: None }) };
    let wanted = size.max(1) + 1;
    let person = customer.person;
    let takes_part_in = ticket_participants::table
        .filter(ticket_participants::person_id.eq(person))
        .filter(ticket_participants::part.ne(Part::Staff))
        .filter(ticket_participants::state.eq(Standing::Active))
        .select(ticket_participants::ticket_id);
    let mut strands: Vec<Tickets<'_>> = vec![
        access::visible_to(actor).filter(tickets::requester_id.eq(person)),
        access::visible_to(actor).filter(tickets::id.eq_any(takes_part_in)),
    ];
    if scope == Scope::Everything {
        for organisation in customer.organisations_seen() {
            strands.push(
                access::visible_to(actor)
                    .filter(tickets::organisation_id.eq(organisation))
                    .filter(tickets::is_private.eq(false)),
            );
        }
    }
    let mut keys = Vec::new();
    for mut strand in strands {
        strand = match progress {
            Progress::Open => strand.filter(tickets::status.ne(Status::Closed)),
            Progress::Closed => strand.filter(tickets::status.eq(Status::Closed)),
        };
        if let Some(after) = after {
            strand = strand
                .filter(
                    tickets::last_message_at
                        .lt(after.time)
                        .or(tickets::last_message_at.eq(after.time).and(tickets::id.lt(TicketId(after.id)))),
                )
                .filter(tickets::last_message_at.le(after.time));
        }
        let found: Vec<(UtcTime, TicketId)> = strand
            .order((tickets::last_message_at.desc(), tickets::id.desc()))
            .limit(wanted)
            .select((tickets::last_message_at, tickets::id))
            .load(db)?;
        keys.extend(found.into_iter().map(|(time, id)| Cursor { time, id: id.0 }));
    }
    merge(&mut keys, true, wanted);
    let next = cut(&mut keys, size).map(|after| ListCursor { stretch: 0, after });
    let rows = rows(db, &keys.iter().map(|key| TicketId(key.id)).collect::<Vec<_>>())?;
    Ok(ListPage { rows, next })
}

impl ListCursor {
    /// The place of a list with one stretch, such as [`requests`].
    pub fn cursor(self) -> Cursor {
        self.after
    }
}

/// The tickets of these ids, which their reader may see, in the order given.
pub fn rows(db: &mut DbConnection, ids: &[TicketId]) -> Result<Vec<Row>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    type Names = (String, String);
    type Loaded = (
        (TicketId, String, String, Status, Priority, Channel, QueueId, bool),
        (UtcTime, UtcTime, UtcTime, i32, PersonId, OrganisationId, Option<PersonId>),
        (Names, String, String, String),
        Option<Names>,
    );
    let loaded: Vec<Loaded> = tickets::table
        .inner_join(REQUESTERS.on(REQUESTERS.field(people::id).eq(tickets::requester_id)))
        .inner_join(
            person_addresses::table
                .on(person_addresses::person_id.eq(tickets::requester_id).and(person_addresses::is_primary.eq(true))),
        )
        .inner_join(organisations::table)
        .left_join(ASSIGNEES.on(ASSIGNEES.field(people::id).nullable().eq(tickets::assignee_id)))
        .filter(one_of(tickets::id, ids.iter().map(|id| id.0)))
        .select((
            (
                tickets::id,
                tickets::reference,
                tickets::subject,
                tickets::status,
                tickets::priority,
                tickets::channel,
                tickets::queue_id,
                tickets::is_private,
            ),
            (
                tickets::waiting_since,
                tickets::last_message_at,
                tickets::created_at,
                tickets::message_count,
                tickets::requester_id,
                tickets::organisation_id,
                tickets::assignee_id,
            ),
            (
                REQUESTERS.fields((people::first_name, people::last_name)),
                person_addresses::address,
                organisations::kind,
                organisations::name,
            ),
            ASSIGNEES.fields((people::first_name, people::last_name)).nullable(),
        ))
        .load(db)?;
    let mut rows: Vec<Row> = loaded.into_iter().map(row).collect();
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    return Ok(rows);

    fn row((ticket, state, who, assignee): Loaded) -> Row {
        let (id, reference, subject, status, priority, channel, queue_id, is_private) = ticket;
        let (waiting_since, last_message_at, created_at, message_count, requester_id, organisation_id, assignee_id) =
            state;
        let ((first_name, last_name), address, kind, organisation) = who;
        Row {
            id,
            reference,
            subject,
            status,
            priority,
            channel,
            queue_id,
            is_private,
            waiting_since,
            last_message_at,
            created_at,
            message_count,
            requester_id,
            requester: display_name(&first_name, &last_name, &address),
            organisation_id,
            organisation: if kind == "individual" { String::new() } else { organisation },
            assignee_id,
            assignee: assignee.map(|(first_name, last_name)| display_name(&first_name, &last_name, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_cursor_survives_its_text() {
        let cursor = ListCursor { stretch: 2, after: Cursor { time: UtcTime::from_seconds(1_795_000_000), id: 7 } };
        assert_eq!(ListCursor::parse(&cursor.to_text()), Some(cursor));
        for text in ["", "2", "é", "x", "9".repeat(40).as_str()] {
            assert_eq!(ListCursor::parse(text), None, "{text}");
        }
    }
}
