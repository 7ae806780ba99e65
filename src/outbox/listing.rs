//! Outgoing mail as administrators see it, and as the ticket shows what did not arrive (O-06).

use diesel::prelude::*;

use super::sending::is_open;
use super::{Kind, State};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, Page};
use crate::db::schema::outbox;
use crate::db::types::{MailboxId, MessageId, OutboxId, TicketId, text_enum};
use crate::error::Result;

text_enum! {
    /// Which mails to list.
    pub enum Which {
        /// Those that did not arrive.
        Dead = "dead",
        /// Those on their way.
        Open = "open",
        /// Those sent.
        Sent = "sent",
    }
}

/// Mails that their relay did not take and that are looked at; each pause of a relay makes one.
const TROUBLES: i64 = 500;

/// A mail on the list.
#[derive(Clone, Debug, Queryable)]
pub struct Outgoing {
    pub id: OutboxId,
    pub handle: String,
    pub kind: Kind,
    pub ticket: Option<TicketId>,
    pub message: Option<MessageId>,
    pub recipient: String,
    pub subject: String,
    pub state: State,
    pub attempts: i32,
    pub next_at: UtcTime,
    pub expires_at: UtcTime,
    pub last_error: Option<String>,
    pub created_at: UtcTime,
    pub sent_at: Option<UtcTime>,
    /// Whether its bytes are still there. Those of a mail that left are not kept, so one that came back must be written anew.
    pub has_bytes: bool,
}

impl Outgoing {
    /// Whether trying again makes sense: a dead mail whose content is still worth something.
    pub fn can_be_retried(&self) -> bool {
        self.state == State::Dead
            && self.has_bytes
            && matches!(self.kind, Kind::Reply | Kind::Acknowledgement | Kind::Notification)
    }
}

diesel::alias! {
    const EARLIER: Alias<Earlier> = outbox as earlier;
}

/// How far a mail has come.
#[derive(Clone, Debug, Queryable)]
pub struct Stand {
    pub state: State,
    /// What its relay last said of it, or who reported that it did not arrive.
    pub said: Option<String>,
    /// When the relay took it.
    pub left_at: Option<UtcTime>,
}

/// How far the mail of that Message-ID has come.
pub fn stand_of(db: &mut DbConnection, mail_id: &str) -> Result<Option<Stand>> {
    let of_mail = outbox::table.filter(outbox::mail_id.eq(mail_id));
    let found = of_mail.select((outbox::state, outbox::last_error, outbox::sent_at));
    Ok(found.first(db).optional()?)
}

/// How many mails wait and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: i64,
    /// Those that failed before they left.
    pub dead: i64,
    /// When the oldest was written that waits for us or for the relay, and not because its recipient's server said: later.
    pub oldest_waiting: Option<UtcTime>,
}

macro_rules! rows {
    () => {
        outbox::table.select((
            outbox::id,
            outbox::handle,
            outbox::kind,
            outbox::ticket_id,
            outbox::message_id,
            outbox::recipient,
            outbox::subject,
            outbox::state,
            outbox::attempts,
            outbox::next_at,
            outbox::expires_at,
            outbox::last_error,
            outbox::created_at,
            outbox::sent_at,
            outbox::mime.is_not_null(),
        ))
    };
}

/// The mails of one kind of state, the newest first.
pub fn list(db: &mut DbConnection, which: Which, after: Option<Cursor>, size: i64) -> Result<Page<Outgoing>> {
    let mut query = rows!().order(outbox::id.desc()).limit(size + 1).into_boxed();
    query = match which {
        Which::Dead => query.filter(outbox::state.eq(State::Dead)),
        Which::Open => query.filter(is_open()),
        Which::Sent => query.filter(outbox::state.eq(State::Sent)),
    };
    if let Some(after) = after {
        query = query.filter(outbox::id.lt(OutboxId(after.id)));
    }
    let found: Vec<Outgoing> = query.load(db)?;
    Ok(Page::cut(found, size, |row| Cursor { time: row.created_at, id: row.id.0 }))
}

/// The mail with that public name.
pub fn find(db: &mut DbConnection, handle: &str) -> Result<Option<Outgoing>> {
    Ok(rows!().filter(outbox::handle.eq(handle)).first(db).optional()?)
}

/// The mails of a ticket that were to reach somebody, the oldest first, with their states.
pub fn of_ticket(db: &mut DbConnection, ticket: TicketId) -> Result<Vec<Outgoing>> {
    Ok(rows!().filter(outbox::ticket_id.eq(ticket)).order(outbox::id).load(db)?)
}

/// Has a dead mail sent again, the same bytes, with all its time before it. `false` when it is not dead.
pub fn retry(db: &mut DbConnection, mail: &Outgoing, now: UtcTime) -> Result<bool> {
    if !mail.can_be_retried() {
        return Ok(false);
    }
    let changed = diesel::update(
        outbox::table.find(mail.id).filter(outbox::state.eq(State::Dead)).filter(outbox::mime.is_not_null()),
    )
    .set((
        outbox::state.eq(State::Queued),
        outbox::attempts.eq(0),
        outbox::strikes.eq(0),
        outbox::next_at.eq(now),
        outbox::expires_at.eq(now.plus(mail.kind.lifetime())),
        outbox::last_error.eq(None::<String>),
    ))
    .execute(db)?;
    Ok(changed > 0)
}

/// How many mails wait and failed.
pub fn counts(db: &mut DbConnection) -> Result<Counts> {
    let waiting = outbox::table.filter(is_open()).count().get_result(db)?;
    // Nor does what waits for an earlier one of the same ticket to the same recipient (O-09).
    let held = EARLIER
        .filter(EARLIER.field(outbox::ticket_id).eq(outbox::ticket_id))
        .filter(EARLIER.field(outbox::recipient).eq(outbox::recipient))
        .filter(EARLIER.field(outbox::id).lt(outbox::id))
        .filter(EARLIER.field(outbox::state).eq_any([State::Queued, State::Deferred, State::Leased]))
        .select(EARLIER.field(outbox::id));
    let oldest_waiting = outbox::table
        .filter(outbox::state.eq(State::Queued))
        .filter(diesel::dsl::not(diesel::dsl::exists(held)))
        .select(diesel::dsl::min(outbox::created_at))
        .first(db)?;
    // What left and came back has no bytes to send again: its ticket tells of it, and nobody can put it right here.
    let dead = outbox::table
        .filter(outbox::state.eq(State::Dead))
        .filter(outbox::mime.is_not_null())
        .count()
        .get_result(db)?;
    Ok(Counts { waiting, dead, oldest_waiting })
}

/// How the mail of one mailbox stands with its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// None for mail of no mailbox.
    pub mailbox: Option<MailboxId>,
    pub count: i64,
    /// What the relay said or did not, and when it is tried again, while it takes no mail.
    pub trouble: Option<(String, UtcTime)>,
}

/// The mail that waits, by mailbox. It is known to every process, though another may be the one that sends.
pub fn waiting(db: &mut DbConnection) -> Result<Vec<Waiting>> {
    let counts: Vec<(Option<MailboxId>, i64)> = outbox::table
        .filter(is_open())
        .group_by(outbox::mailbox_id)
        .select((outbox::mailbox_id, diesel::dsl::count_star()))
        .load(db)?;
    // Only what the relay did not take is queued again with an error; what a recipient's server put off is deferred.
    let troubles: Vec<(Option<MailboxId>, Option<String>, UtcTime)> = outbox::table
        .filter(outbox::state.eq(State::Queued))
        .filter(outbox::last_error.is_not_null())
        .order((outbox::next_at.desc(), outbox::id.desc()))
        .limit(TROUBLES)
        .select((outbox::mailbox_id, outbox::last_error, outbox::next_at))
        .load(db)?;
    let of = |mailbox: Option<MailboxId>| {
        let newest = troubles.iter().find(|(of, ..)| *of == mailbox)?;
        Some((newest.1.clone().unwrap_or_default(), newest.2))
    };
    Ok(counts.into_iter().map(|(mailbox, count)| Waiting { mailbox, count, trouble: of(mailbox) }).collect())
}
