//! Answers that are not said yet: for the seconds in which an agent may take one back, or until the time that was chosen.
//!
//! They stand in a table of their own and become messages when they go out, in one transaction with all that an answer
//! changes. So nothing that reads messages (pages, mails, the index, programs, exports) can show one too early, a process
//! that is killed loses none, and what is taken back was never said. Their text is kept until it is sent or its author
//! throws it away: what is taken back stands in the composer, and stays there whatever becomes of the browser.
//!
//! An answer was written for what its author had read, and for those who could read the ticket then ([`audience`]).
//! When somebody else writes before it goes out, or somebody else reads, it is held and its author is told ([`holding`]).
//! Whoever changes one that waits locks its ticket first, as does everybody who writes there and holds what waits.
//! [`releasing`] sends what is due; [`listing`] is where agents find what they and others have not said.

pub mod audience;
pub mod holding;
pub mod listing;
pub mod releasing;

pub use holding::{hold_of_author, hold_others, hold_restored};

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::access::{self, Actor};
use crate::audit;
use crate::cards;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::planned_answers;
use crate::db::types::{Json, PersonId, PlannedAnswerId, TicketId, text_enum};
use crate::error::{Error, Result};
use crate::i18n::Message as Text;
use crate::queue;
use crate::secret::random_handle;
use crate::tickets::attachments::NewAttachment;
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::messages::{self, Message};
use crate::tickets::planned::audience::Audience;
use crate::tickets::status::Status;
use crate::tickets::thrown_away;
use crate::tickets::ticket::{self, Ticket};

/// The job that sends an answer when its time has come; its payload is [`AnswerDue`].
pub const ANSWER_DUE: &str = "answer_due";
/// For so much longer than the page says may an answer be taken back: a press at the last moment is not in vain.
const GRACE: TimeDelta = TimeDelta::seconds(2);
/// How far ahead an answer is planned at most.
const FARTHEST: TimeDelta = TimeDelta::days(366);
/// How long an answer may be late before the job for it is believed to be lost.
const LATE: TimeDelta = TimeDelta::minutes(2);

/// The payload of the job [`ANSWER_DUE`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AnswerDue {
    pub answer: PlannedAnswerId,
}

text_enum! {
    /// How an answer stands that is not said.
    pub enum State {
        /// It goes out at its time.
        Waiting = "waiting",
        /// It does not go out before somebody says so.
        Held = "held",
        /// It is in its author's composer.
        TakenBack = "taken_back",
    }
}

text_enum! {
    /// Why an answer does not go out by itself.
    pub enum HeldBecause {
        CustomerWrote = "customer_wrote",
        ColleagueWrote = "colleague_wrote",
        /// The ticket was closed after it was written.
        Closed = "closed",
        /// The ticket is another's now, for whom it was not written.
        OtherRequester = "other_requester",
        /// Others than its author knew of read the ticket now.
        OtherReaders = "other_readers",
        /// Its author does not work on the ticket any more.
        NotAllowed = "not_allowed",
        /// Its author's account is disabled.
        AuthorLeft = "author_left",
        /// It comes from a backup, and may have gone out after that was made.
        Restored = "restored",
    }
}

/// An answer that is not said yet.
#[derive(Clone, Debug, Queryable)]
pub struct PlannedAnswer {
    pub id: PlannedAnswerId,
    pub ticket: TicketId,
    /// The public name of the message that it becomes.
    pub handle: String,
    pub author: PersonId,
    requester: PersonId,
    audience: Json<Audience>,
    /// Markdown, as it was written.
    pub text: String,
    pub files: Json<Vec<NewAttachment>>,
    /// What the ticket becomes with it.
    pub status: Status,
    seen: i32,
    pub state: State,
    pub held_because: Option<HeldBecause>,
    /// The time that was chosen; none for one that is sent at once, save for the seconds in which it may be taken back.
    pub planned_for: Option<UtcTime>,
    pub release_at: UtcTime,
    pub created_at: UtcTime,
    /// When somebody last said that it is to go out as it is.
    pub changed_at: UtcTime,
}

impl PlannedAnswer {
    /// For how many seconds the page offers to take it back; nothing for one that was planned for a time.
    pub fn undo_secs_left(&self, now: UtcTime) -> Option<i64> {
        let left = self.release_at.minus(GRACE).since(now).num_seconds();
        (self.state == State::Waiting && self.planned_for.is_none()).then_some(left.max(0))
    }
}

macro_rules! planned_columns {
    () => {
        (
            planned_answers::id,
            planned_answers::ticket_id,
            planned_answers::handle,
            planned_answers::author_id,
            planned_answers::requester_id,
            planned_answers::audience,
            planned_answers::body_text,
            planned_answers::files,
            planned_answers::status,
            planned_answers::seen,
            planned_answers::state,
            planned_answers::held_because,
            planned_answers::planned_for,
            planned_answers::release_at,
            planned_answers::created_at,
            planned_answers::changed_at,
        )
    };
}

/// When an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// After so many seconds in which it may be taken back.
    AtOnce {
        undo_secs: u32,
    },
    At(UtcTime),
}

impl HeldBecause {
    /// Whether a word of somebody who works on the ticket is enough for it to go out all the same, in its author's name.
    pub fn may_be_overruled(self) -> bool {
        self.refusal().is_none()
    }

    /// What is said to who has it go out all the same, if that does not do.
    fn refusal(self) -> Option<Error> {
        let key = match self {
            HeldBecause::NotAllowed => "answer-held-not-allowed",
            HeldBecause::AuthorLeft => "answer-held-author-left",
            _ => return None,
        };
        Some(Error::Conflict(Text::new(key)))
    }
}

impl Release {
    /// The time chosen, and when it goes out.
    fn times(self, now: UtcTime) -> Result<(Option<UtcTime>, UtcTime)> {
        match self {
            Release::AtOnce { undo_secs: 0 } => Ok((None, now)),
            Release::AtOnce { undo_secs } => Ok((None, now.plus(TimeDelta::seconds(i64::from(undo_secs)) + GRACE))),
            Release::At(time) if time <= now => Err(Error::invalid("send_at", "send-at-past")),
            Release::At(time) if time > now.plus(FARTHEST) => Err(Error::invalid("send_at", "send-at-far")),
            Release::At(time) => Ok((Some(time), time)),
        }
    }
}

/// An answer to be said later.
#[derive(Clone, Debug)]
pub struct NewPlanned {
    pub text: String,
    pub files: Vec<NewAttachment>,
    /// What the ticket becomes with it.
    pub status: Status,
    /// How many messages the ticket had when the agent last saw it.
    pub seen: i32,
    pub release: Release,
}

/// What became of an answer to be said later.
#[derive(Clone, Debug)]
pub enum PlanOutcome {
    /// It waits, under this public name.
    Waits(String),
    /// Nothing was changed: these were said since the agent last saw the ticket.
    Stale(Vec<Message>),
}

/// Keeps an answer until its time has come, unless something was said that the agent has not seen.
pub fn plan(db: &mut DbConnection, ticket: &Ticket, new: NewPlanned, by: &Actor, now: UtcTime) -> Result<PlanOutcome> {
    let agent = agent_of(ticket, by)?;
    messages::require_content(&new.text, &new.files)?;
    let (planned_for, release_at) = new.release.times(now)?;
    if ticket.message_count != new.seen {
        return Ok(PlanOutcome::Stale(messages::after(db, ticket, new.seen)?));
    }
    let handle = random_handle();
    let id: PlannedAnswerId = one_text!(
        diesel::insert_into(planned_answers::table)
            .values((
                planned_answers::organisation_id.eq(ticket.organisation_id),
                planned_answers::ticket_id.eq(ticket.id),
                planned_answers::handle.eq(&handle),
                planned_answers::author_id.eq(agent),
                planned_answers::requester_id.eq(ticket.requester_id),
                planned_answers::audience.eq(Json(Audience::of(db, ticket)?)),
                planned_answers::body_text.eq(kept_text(&new.text)),
                planned_answers::files.eq(Json(new.files)),
                planned_answers::status.eq(new.status),
                planned_answers::seen.eq(new.seen),
                planned_answers::state.eq(State::Waiting),
                planned_answers::planned_for.eq(planned_for),
                planned_answers::release_at.eq(release_at),
                planned_answers::created_at.eq(now),
                planned_answers::changed_at.eq(now),
            ))
            .returning(planned_answers::id)
    )
    .get_result(db)?;
    queue::enqueue(db, ANSWER_DUE, &AnswerDue { answer: id }, release_at, now)?;
    if let Some(time) = planned_for {
        record_plan(db, ticket, time, agent, by, now)?;
    }
    Ok(PlanOutcome::Waits(handle))
}

/// What is not said in the ticket yet, in the order in which it was written: of all agents what waits and what is held, of
/// `reader` what is in their composer.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket, reader: PersonId) -> Result<Vec<PlannedAnswer>> {
    Ok(one_text!(
        planned_answers::table
            .filter(planned_answers::ticket_id.eq(ticket.id))
            .filter(planned_answers::state.ne(State::TakenBack).or(planned_answers::author_id.eq(reader)))
            .order(planned_answers::id)
            .select(planned_columns!())
    )
    .load(db)?)
}

/// The answer of that id, as it stands; for the job.
pub fn find_by_id(db: &mut DbConnection, id: PlannedAnswerId) -> Result<Option<PlannedAnswer>> {
    Ok(one_text!(planned_answers::table.find(id).select(planned_columns!())).first(db).optional()?)
}

/// Puts an answer that waits or is held into the composer of `by`, whose it is from then on. Once it is sent, it is not to
/// be had back: the error says so.
pub fn take_back(db: &mut DbConnection, ticket: &Ticket, handle: &str, by: &Actor, now: UtcTime) -> Result<()> {
    let agent = agent_of(ticket, by)?;
    ticket::lock(db, ticket.id)?;
    let Some(answer) = find(db, ticket, handle)? else { return Err(gone(db, ticket, handle)?) };
    if answer.state == State::TakenBack {
        // The second press of a button did what the first did.
        return if answer.author == agent { Ok(()) } else { Err(gone(db, ticket, handle)?) };
    }
    let taken = diesel::update(not_taken_back(answer.id)).set((
        planned_answers::state.eq(State::TakenBack),
        planned_answers::held_because.eq(None::<HeldBecause>),
        planned_answers::author_id.eq(agent),
        planned_answers::changed_at.eq(now),
    ));
    if taken.execute(db)? == 0 {
        return Err(gone(db, ticket, handle)?);
    }
    if answer.planned_for.is_some() || answer.author != agent {
        let details = Details { person: Some(answer.author), ..Details::default() };
        events::record(db, ticket, NewEvent::by(by, EventKind::AnswerTakenBack).with(details), now)?;
    }
    Ok(())
}

/// Has an answer that waits or is held go out at another time, or at once, over everything that `by` has `seen` and
/// for whoever reads the ticket now. Whose answer it was stays; who had it go out is recorded.
pub fn reschedule(
    db: &mut DbConnection,
    ticket: &Ticket,
    handle: &str,
    (seen, release): (i32, Release),
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    let agent = agent_of(ticket, by)?;
    let (planned_for, release_at) = release.times(now)?;
    if ticket.message_count != seen {
        return Err(Error::Conflict(Text::new("answer-stale")));
    }
    ticket::lock(db, ticket.id)?;
    let Some(answer) = find(db, ticket, handle)? else { return Err(gone(db, ticket, handle)?) };
    if let Some(error) = answer.held_because.and_then(HeldBecause::refusal) {
        return Err(error);
    }
    let changed = diesel::update(not_taken_back(answer.id)).set((
        planned_answers::state.eq(State::Waiting),
        planned_answers::held_because.eq(None::<HeldBecause>),
        planned_answers::requester_id.eq(ticket.requester_id),
        planned_answers::audience.eq(Json(Audience::of(db, ticket)?)),
        planned_answers::seen.eq(seen),
        planned_answers::planned_for.eq(planned_for),
        planned_answers::release_at.eq(release_at),
        planned_answers::changed_at.eq(now),
    ));
    if changed.execute(db)? == 0 {
        return Err(gone(db, ticket, handle)?);
    }
    queue::enqueue(db, ANSWER_DUE, &AnswerDue { answer: answer.id }, release_at, now)?;
    match planned_for {
        Some(time) => record_plan(db, ticket, time, answer.author, by, now)?,
        None if answer.author != agent || answer.state == State::Held => {
            let details = Details { person: Some(answer.author), ..Details::default() };
            events::record(db, ticket, NewEvent::by(by, EventKind::AnswerReleased).with(details), now)?;
        }
        None => {}
    }
    if answer.author == agent {
        return Ok(());
    }
    // It goes out in another's name.
    let entry = audit::Entry {
        kind: "answer_released",
        actor: Some(agent),
        subject: Some(answer.author),
        organisation: Some(ticket.organisation_id),
        detail: serde_json::json!({ "ticket": ticket.reference, "answer": answer.handle, "at": release_at }),
    };
    audit::record(db, &entry, now)
}

/// Removes an answer from the composer of `by`: it was sent in other words, or is not wanted any more. The error says when
/// that happened before, in another window. Its files go with it, where nothing else has them.
pub fn clear(db: &mut DbConnection, ticket: &Ticket, handle: &str, by: &Actor, now: UtcTime) -> Result<()> {
    let agent = agent_of(ticket, by)?;
    let own = planned_answers::table
        .filter(planned_answers::ticket_id.eq(ticket.id))
        .filter(planned_answers::handle.eq(handle))
        .filter(planned_answers::author_id.eq(agent))
        .filter(planned_answers::state.eq(State::TakenBack));
    let removed = diesel::delete(own).returning(planned_answers::files);
    let files: Option<Json<Vec<NewAttachment>>> = removed.get_result(db).optional()?;
    let Some(files) = files else { return Err(gone(db, ticket, handle)?) };
    thrown_away::note(db, &files.0, now)
}

/// Whether the answer of that public name still is to be said.
pub(super) fn waits(db: &mut DbConnection, handle: &str) -> Result<bool> {
    let waiting: i64 = planned_answers::table
        .filter(planned_answers::handle.eq(handle))
        .filter(planned_answers::state.eq(State::Waiting))
        .count()
        .get_result(db)?;
    Ok(waiting > 0)
}

/// Has what is late looked at once more, since its job failed for good; gives how many those are.
pub fn enqueue_late(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let late: Vec<PlannedAnswerId> = planned_answers::table
        .filter(planned_answers::state.eq(State::Waiting))
        .filter(planned_answers::release_at.lt(now.minus(LATE)))
        .select(planned_answers::id)
        .load(db)?;
    for answer in &late {
        queue::enqueue(db, ANSWER_DUE, &AnswerDue { answer: *answer }, now, now)?;
    }
    Ok(late.len())
}

/// The names under which the bytes of the files of all of them are stored.
pub fn content_hashes(db: &mut DbConnection) -> Result<Vec<String>> {
    let files: Vec<Json<Vec<NewAttachment>>> = planned_answers::table.select(planned_answers::files).load(db)?;
    Ok(files.into_iter().flat_map(|files| files.0).map(|file| file.content_hash).collect())
}

fn agent_of(ticket: &Ticket, by: &Actor) -> Result<PersonId> {
    match by {
        Actor::Staff(agent) if access::can_work_on(by, &ticket.facts()) => Ok(agent.person),
        _ => Err(Error::Forbidden),
    }
}

/// The answer of that public name in the ticket.
pub fn find(db: &mut DbConnection, ticket: &Ticket, handle: &str) -> Result<Option<PlannedAnswer>> {
    let of_ticket = planned_answers::table
        .filter(planned_answers::ticket_id.eq(ticket.id))
        .filter(planned_answers::handle.eq(handle));
    Ok(of_ticket.select(planned_columns!()).first(db).optional()?)
}

/// The row, unless it was taken back meanwhile.
#[diesel::dsl::auto_type]
fn not_taken_back(id: PlannedAnswerId) -> _ {
    let taken_back: State = State::TakenBack;
    planned_answers::table.find(id).filter(planned_answers::state.ne(taken_back))
}

/// Why an answer is not there any more.
fn gone(db: &mut DbConnection, ticket: &Ticket, handle: &str) -> Result<Error> {
    let is_sent = messages::find(db, ticket, handle)?.is_some();
    Ok(Error::Conflict(Text::new(if is_sent { "answer-sent-already" } else { "answer-not-there" })))
}

/// Without payment card numbers (A5), which the message would be without too.
fn kept_text(text: &str) -> String {
    cards::mask_numbers(text).replace('\0', "")
}

fn record_plan(
    db: &mut DbConnection,
    ticket: &Ticket,
    time: UtcTime,
    author: PersonId,
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    let details = Details { person: Some(author), to: Some(time.rfc3339()), ..Details::default() };
    events::record(db, ticket, NewEvent::by(by, EventKind::AnswerPlanned).with(details), now)?;
    Ok(())
}
