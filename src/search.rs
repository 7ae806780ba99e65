//! Finding what was said: words, phrases and `from:` `org:` `status:` `tag:` in every message that the reader may read,
//! the latest first. Each message is one document with its subject, its author, its files and its ticket's tags, so
//! that words need not stand in the same place to be found together; a quotation is left out, for it stands in the
//! message it quotes.
//!
//! Work is bounded: candidates are taken from the index in windows, newest first, and those which the reader may not
//! see fall out before a page is made. When a page is not full after so many candidates, it says where to go on.

pub mod query;
pub mod stemming;

pub mod indexing;

mod postgres;
mod sqlite;

pub use indexing::follow_event;
pub use query::SearchQuery;

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, Page};
use crate::db::schema::{organisations, ticket_messages, ticket_participants, tickets};
use crate::db::types::{MessageId, OrganisationId, PersonId, QueueId, TicketId};
use crate::error::Result;
use crate::people::fields;
use crate::search::query::{Term, What};
use crate::search::stemming::{Piece, Snippet};
use crate::secret::random_number;
use crate::tickets::listing;
use crate::tickets::messages::{MessageKind, Visibility};
use crate::tickets::status::Status;

/// Candidates looked at one window after the other. Most searches fill a page from the first; the sum bounds the work
/// of one page.
const WINDOWS: [i64; 4] = [60, 240, 960, 2_880];
/// Organisations that `org:` may mean at once.
const ORGANISATIONS: i64 = 20;

/// A message that was found, in its ticket.
#[derive(Clone, Debug)]
pub struct Hit {
    pub ticket: listing::Row,
    /// The public name of the message.
    pub message: String,
    pub kind: MessageKind,
    /// Whether customers cannot read it.
    pub staff_only: bool,
    pub author: String,
    pub said_at: UtcTime,
    pub snippet: Snippet,
}

/// What the index gives: one document that fits the words.
#[derive(Clone, Copy, Debug, QueryableByName)]
struct Candidate {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt, column_name = ticket_id)]
    ticket: TicketId,
    #[diesel(sql_type = BigInt, column_name = message_id)]
    message: MessageId,
}

/// What documents must have and must not have, in tokens: understood by both databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Expression {
    /// Of each, one of its phrases.
    wanted: Vec<Vec<Phrase>>,
    /// Of all of them, no phrase.
    unwanted: Vec<Phrase>,
}

/// Tokens that follow each other. Each consists of small ASCII letters and digits and begins with a letter, whatever
/// was typed.
type Phrase = Vec<String>;

/// A page of what `actor` may read, one message a ticket, the latest first.
pub fn search(
    db: &mut DbConnection,
    actor: &Actor,
    query: &SearchQuery,
    after: Option<Cursor>,
    size: i64,
) -> Result<Page<Hit>> {
    let nothing = Page { rows: Vec::new(), next: None };
    if query.is_empty() {
        return Ok(nothing);
    }
    let Some(expression) = expression_of(db, query)? else { return Ok(nothing) };
    let size = usize::try_from(size).unwrap_or(0).max(1);
    let mut below = after.map_or(i64::MAX, |after| after.id);
    let mut found: Vec<Candidate> = Vec::new();
    let mut shown: BTreeSet<TicketId> = BTreeSet::new();
    let mut is_complete = false;
    for window in WINDOWS {
        let candidates = candidates(db, &expression, !actor.is_staff(), below, window)?;
        is_complete = (candidates.len() as i64) < window;
        let visible = visible_among(db, actor, query, &candidates)?;
        for candidate in candidates {
            below = candidate.id;
            if visible.contains(&candidate.id) && shown.insert(candidate.ticket) {
                found.push(candidate);
                if found.len() == size {
                    break;
                }
            }
        }
        if is_complete || found.len() == size {
            break;
        }
    }
    let rows = hits(db, query, &found)?;
    // The time in the cursor is only there to hide the id (T-01): a page begins below a document.
    let hidden = Cursor { time: UtcTime::from_micros(random_number() >> 14), id: below };
    let next = (found.len() == size || !is_complete).then_some(hidden);
    Ok(Page { rows, next })
}

fn candidates(
    db: &mut DbConnection,
    expression: &Expression,
    public_only: bool,
    below: i64,
    limit: i64,
) -> Result<Vec<Candidate>> {
    Ok(match db {
        DbConnection::Sqlite(db) => sqlite::candidates(db, expression, public_only, below, limit)?,
        DbConnection::Postgres(db) => postgres::candidates(db, expression, public_only, below, limit)?,
    })
}

/// Which of the candidates `actor` may read and the query's statuses allow, by the same rules as everywhere.
fn visible_among(
    db: &mut DbConnection,
    actor: &Actor,
    query: &SearchQuery,
    candidates: &[Candidate],
) -> Result<BTreeSet<i64>> {
    let of: BTreeSet<TicketId> = candidates.iter().map(|candidate| candidate.ticket).collect();
    if of.is_empty() {
        return Ok(BTreeSet::new());
    }
    // The candidates are found by their ids, and what also has an index is looked at afterwards: asked for these of the
    // tickets of some queues or statuses, SQLite goes through all tickets of those instead.
    let among = match actor {
        Actor::Staff(_) => access::visible_to(&Actor::System),
        _ => access::visible_to(actor),
    };
    type Found = (TicketId, PersonId, OrganisationId, bool, QueueId, Status);
    let found: Vec<Found> = among
        .filter(tickets::id.eq_any(of))
        .select((
            tickets::id,
            tickets::requester_id,
            tickets::organisation_id,
            tickets::is_private,
            tickets::queue_id,
            tickets::status,
        ))
        .load(db)?;
    let is_wanted = |found: &Found| {
        let (.., queue, status) = found;
        let is_seen = match actor {
            Actor::Staff(staff) => staff.works_in(*queue),
            _ => true,
        };
        is_seen && query.statuses.as_ref().is_none_or(|statuses| statuses.contains(status))
    };
    let visible: Vec<Found> = found.into_iter().filter(is_wanted).collect();
    let person = match actor {
        Actor::Staff(_) | Actor::System => None,
        Actor::Customer(customer) => Some(customer.person),
        Actor::LinkHolder { person, .. } => Some(*person),
    };
    let Some(person) = person else {
        let visible: BTreeSet<TicketId> = visible.into_iter().map(|(id, ..)| id).collect();
        return Ok(candidates.iter().filter(|c| visible.contains(&c.ticket)).map(|c| c.id).collect());
    };
    // Who only takes part reads what was said since they joined (TH-07).
    let seen_organisations = match actor {
        Actor::Customer(customer) => customer.organisations_seen(),
        _ => Vec::new(),
    };
    let (whole, in_part): (Vec<Found>, Vec<Found>) =
        visible.into_iter().partition(|(_, requester, organisation, is_private, ..)| {
            *requester == person || (!is_private && seen_organisations.contains(organisation))
        });
    let whole: BTreeSet<TicketId> = whole.into_iter().map(|(id, ..)| id).collect();
    let joined: BTreeMap<TicketId, UtcTime> = ticket_participants::table
        .filter(ticket_participants::person_id.eq(person))
        .filter(ticket_participants::ticket_id.eq_any(in_part.iter().map(|(id, ..)| *id)))
        .select((ticket_participants::ticket_id, ticket_participants::joined_at))
        .load(db)?
        .into_iter()
        .collect();
    let said: BTreeMap<MessageId, UtcTime> = ticket_messages::table
        .filter(ticket_messages::id.eq_any(candidates.iter().map(|candidate| candidate.message)))
        .filter(ticket_messages::ticket_id.eq_any(joined.keys().copied()))
        .select((ticket_messages::id, ticket_messages::created_at))
        .load(db)?
        .into_iter()
        .collect();
    let may_read = |candidate: &&Candidate| {
        whole.contains(&candidate.ticket)
            || matches!(
                (joined.get(&candidate.ticket), said.get(&candidate.message)),
                (Some(joined), Some(said)) if said >= joined
            )
    };
    Ok(candidates.iter().filter(may_read).map(|candidate| candidate.id).collect())
}

fn hits(db: &mut DbConnection, query: &SearchQuery, found: &[Candidate]) -> Result<Vec<Hit>> {
    let tickets: Vec<TicketId> = found.iter().map(|candidate| candidate.ticket).collect();
    let rows = listing::rows(db, &tickets)?;
    type Said = (MessageId, String, MessageKind, Visibility, String, String, String, UtcTime);
    let messages: Vec<Said> = ticket_messages::table
        .filter(ticket_messages::id.eq_any(found.iter().map(|candidate| candidate.message)))
        .select((
            ticket_messages::id,
            ticket_messages::handle,
            ticket_messages::kind,
            ticket_messages::visibility,
            ticket_messages::from_name,
            ticket_messages::from_address,
            ticket_messages::body_text,
            ticket_messages::created_at,
        ))
        .load(db)?;
    let wanted = query.text_words();
    let hit = |candidate: &Candidate| {
        let ticket = rows.iter().find(|row| row.id == candidate.ticket)?.clone();
        let (_, handle, kind, visibility, from_name, from_address, text, said_at) =
            messages.iter().find(|(id, ..)| *id == candidate.message)?.clone();
        Some(Hit {
            ticket,
            message: handle,
            kind,
            staff_only: visibility == Visibility::Staff,
            author: if from_name.is_empty() { from_address } else { from_name },
            said_at,
            snippet: stemming::snippet(&text, &wanted),
        })
    };
    Ok(found.iter().filter_map(hit).collect())
}

/// The query in tokens; nothing when it names an organisation that does not exist.
fn expression_of(db: &mut DbConnection, query: &SearchQuery) -> Result<Option<Expression>> {
    let mut expression = Expression::default();
    for Term { excluded, what } in &query.terms {
        let phrases: Vec<Phrase> = match what {
            What::Text(words) => stemming::phrases(words),
            What::From(words) => vec![stemming::plain(Piece::Author, words)],
            What::Tag(tag) => vec![vec![stemming::exact(Piece::Tag, tag)]],
            What::Organisation(name) => organisations_named(db, name)?,
        };
        match (excluded, phrases.is_empty()) {
            (true, _) => expression.unwanted.extend(phrases),
            (false, false) => expression.wanted.push(phrases),
            (false, true) => return Ok(None),
        }
    }
    if expression.wanted.is_empty() {
        expression.wanted.push(vec![vec![stemming::EVERYWHERE.to_owned()]]);
    }
    Ok(Some(expression))
}

fn organisations_named(db: &mut DbConnection, name: &str) -> Result<Vec<Phrase>> {
    let name = fields::sort_name([name]);
    let handles: Vec<String> = organisations::table
        .filter(organisations::sort_name.ge(name.clone()))
        .filter(organisations::sort_name.lt(fields::end_of_prefix(&name)))
        .order((organisations::sort_name, organisations::id))
        .limit(ORGANISATIONS)
        .select(organisations::handle)
        .load(db)?;
    Ok(handles.iter().map(|handle| vec![stemming::exact(Piece::Organisation, handle)]).collect())
}
