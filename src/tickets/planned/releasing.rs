//! Sending an answer whose time has come. It becomes a message and its row goes in one transaction, in which the ticket is
//! locked first, as by everybody who writes there; the row's going decides between several workers and whoever takes it
//! back at that moment, and the message bears the row's name, of which there is one.

use diesel::prelude::*;

use super::audience::Audience;
use super::holding::hold_if_waiting;
use super::{HeldBecause, PlannedAnswer, Release, State, find, find_by_id, reschedule};
use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::planned_answers;
use crate::db::types::MessageId;
use crate::error::{Error, Result};
use crate::people::person::{self, PersonState};
use crate::tickets::messages::{self, Message, MessageKind, NewReply, Remark, ReplyOutcome, Words};
use crate::tickets::ticket::{self, Ticket};

/// How often an answer is looked at anew because somebody wrote at that moment.
const ROUNDS: usize = 3;

/// What became of an answer that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    Sent(MessageId),
    Held(HeldBecause),
    /// It was sent or taken back before, is held, or its time was changed.
    NotDue,
}

/// Says what `answer` says, whose text never changes and is given as `words`, if it is due and nothing speaks against it.
pub fn release(db: &mut DbConnection, answer: &PlannedAnswer, words: &Words, now: UtcTime) -> Result<Released> {
    for _ in 0..ROUNDS {
        let Some(answer) = find_by_id(db, answer.id)? else { return Ok(Released::NotDue) };
        if answer.state != State::Waiting || answer.release_at > now {
            return Ok(Released::NotDue);
        }
        let ticket = ticket::by_id(db, answer.ticket)?;
        let author = access::actor_of(db, answer.author)?;
        if let Some(because) = obstacle(db, &ticket, &answer, &author)? {
            let is_held = hold_if_waiting(db, &ticket, &answer, because, now)?;
            return Ok(if is_held { Released::Held(because) } else { Released::NotDue });
        }
        let reply = NewReply {
            words: words.clone(),
            attachments: answer.files.0.clone(),
            seen: ticket.message_count,
            status: answer.status,
            mail_id: None,
            ingest: None,
        };
        match messages::add_planned(db, &ticket, reply, &answer.handle, &author, now)? {
            ReplyOutcome::Sent(message) => {
                let sent = diesel::delete(planned_answers::table.find(answer.id).filter(is_due(now))).execute(db)?;
                // Taken back at this moment: nothing of this transaction remains.
                return if sent == 1 { Ok(Released::Sent(message)) } else { Err(Error::Busy) };
            }
            ReplyOutcome::Stale(_) => {}
        }
    }
    Err(Error::Busy)
}

/// Has an answer go out because `by` says so, who has `seen` so many messages. One that waits can still be taken back for
/// `undo_secs`. One that was held goes out in this transaction: who had it go out has read why it was held, and decided.
pub fn send(
    db: &mut DbConnection,
    ticket: &Ticket,
    handle: &str,
    words: &Words,
    (seen, undo_secs): (i32, u32),
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    let held = find(db, ticket, handle)?.filter(|answer| answer.state == State::Held);
    let undo_secs = if held.is_some() { 0 } else { undo_secs };
    reschedule(db, ticket, handle, (seen, Release::AtOnce { undo_secs }), by, now)?;
    let Some(answer) = held else { return Ok(()) };
    match release(db, &answer, words, now)? {
        Released::Sent(_) => Ok(()),
        // Its author left since it was held, say.
        Released::Held(because) => Err(because.refusal().unwrap_or(Error::Busy)),
        Released::NotDue => Err(Error::Busy),
    }
}

#[diesel::dsl::auto_type]
fn is_due(now: UtcTime) -> _ {
    let waiting: State = State::Waiting;
    planned_answers::state.eq(waiting).and(planned_answers::release_at.le(now))
}

/// What speaks against sending it by itself.
fn obstacle(
    db: &mut DbConnection,
    ticket: &Ticket,
    answer: &PlannedAnswer,
    author: &Actor,
) -> Result<Option<HeldBecause>> {
    if person::by_id(db, answer.author)?.state != PersonState::Active {
        return Ok(Some(HeldBecause::AuthorLeft));
    }
    if !author.is_staff() || !access::can_work_on(author, &ticket.facts()) {
        return Ok(Some(HeldBecause::NotAllowed));
    }
    if ticket.requester_id != answer.requester {
        return Ok(Some(HeldBecause::OtherRequester));
    }
    if !answer.audience.0.covers(&Audience::of(db, ticket)?) {
        return Ok(Some(HeldBecause::OtherReaders));
    }
    if ticket.closed_at.is_some_and(|closed| closed > answer.changed_at) {
        return Ok(Some(HeldBecause::Closed));
    }
    let is_news = |message: &&Message| {
        message.author_id != Some(answer.author)
            && !matches!(message.remark, Some(Remark::Automatic | Remark::Rejected))
    };
    let since = messages::after(db, ticket, answer.seen)?;
    Ok(since.iter().find(is_news).map(|message| match message.kind {
        MessageKind::Customer => HeldBecause::CustomerWrote,
        MessageKind::Agent | MessageKind::Note => HeldBecause::ColleagueWrote,
    }))
}
