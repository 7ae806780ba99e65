//! Mail that came back: the relay took it, and later somebody told that it did not arrive. Which mail is meant, and whether to
//! believe who tells it, is decided in `intake`.

use diesel::prelude::*;

use super::{Kind, State};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::outbox;
use crate::db::types::{MessageId, OutboxId, PersonId, TicketId};
use crate::error::Result;

/// A mail that left, or was about to.
#[derive(Clone, Debug, Queryable)]
pub struct Departed {
    pub id: OutboxId,
    pub kind: Kind,
    pub ticket: Option<TicketId>,
    pub message: Option<MessageId>,
    pub person: Option<PersonId>,
    pub recipient: String,
    /// Where its bounces go.
    pub envelope_from: String,
}

/// States from which a mail can turn out not to have arrived; one that a relay took may still count as on its way when the
/// process ended before that was written down.
const BEFORE: [State; 4] = [State::Sent, State::Queued, State::Leased, State::Deferred];

macro_rules! departed {
    () => {
        outbox::table.select((
            outbox::id,
            outbox::kind,
            outbox::ticket_id,
            outbox::message_id,
            outbox::person_id,
            outbox::recipient,
            outbox::envelope_from,
        ))
    };
}

/// The mails of that Message-ID: one, since each recipient's mail has its own.
pub fn by_mail_id(db: &mut DbConnection, mail_id: &str) -> Result<Vec<Departed>> {
    Ok(departed!().filter(outbox::mail_id.eq(mail_id)).order(outbox::id).load(db)?)
}

/// The mails of a ticket whose bounces go to that address.
pub fn by_bounce_address(db: &mut DbConnection, ticket: TicketId, address: &str) -> Result<Vec<Departed>> {
    Ok(departed!()
        .filter(outbox::ticket_id.eq(ticket))
        .filter(outbox::envelope_from.eq(address))
        .order(outbox::id)
        .load(db)?)
}

/// Records that the mail did not arrive. `false` when that was known, or the mail was never to be sent.
pub fn mark_dead(db: &mut DbConnection, id: OutboxId, reason: &str, now: UtcTime) -> Result<bool> {
    let reason: String = reason.chars().take(500).collect();
    let changed = diesel::update(outbox::table.find(id).filter(outbox::state.eq_any(BEFORE)))
        .set((
            outbox::state.eq(State::Dead),
            outbox::next_at.eq(now),
            outbox::leased_until.eq(None::<UtcTime>),
            outbox::last_error.eq(reason),
        ))
        .execute(db)?;
    Ok(changed > 0)
}
