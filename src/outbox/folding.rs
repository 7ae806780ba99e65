//! News that came too late to be sent as mails of their own (O-05). They are not lost: they stand in one
//! mail to the same person, the digest, and each remembers in which. At most one digest to a person is on its way; one that
//! comes too late itself, or is still waiting when there is more to tell, gives its news back for the next.

use chrono::TimeDelta;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde::{Deserialize, Serialize};

use super::{Kind, Letter, State};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::outbox;
use crate::db::types::{OutboxId, PersonId, TicketId};
use crate::error::{Error, Result};

/// The name of the job whose payload is a [`DigestWanted`].
pub const DIGEST_WANTED: &str = "digest";

/// News that are read or marked at once.
const PAGE: usize = 500;
/// What came too late longer ago is no news any more.
const NEWS_FOR: TimeDelta = TimeDelta::days(7);

/// Somebody is to get a digest of what came too late for them, if anything did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DigestWanted {
    pub person: PersonId,
}

/// News that came too late.
#[derive(Clone, Debug, Queryable)]
pub struct LateNews {
    pub id: OutboxId,
    pub ticket: TicketId,
}

/// Whether a mail that came too late is news, which goes on in a digest, or a digest, which goes on in the next.
pub fn is_worth_a_digest(letter: &Letter) -> Option<PersonId> {
    letter.person.filter(|_| letter.kind == Kind::Notification)
}

/// Whose digest the mail is, if it is one: it belongs to no ticket.
pub fn reader_of_digest(letter: &Letter) -> Option<PersonId> {
    is_worth_a_digest(letter).filter(|_| letter.ticket.is_none())
}

/// The tickets whose news stand in that digest.
pub fn tickets_in(db: &mut DbConnection, digest: OutboxId) -> Result<Vec<TicketId>> {
    Ok(outbox::table
        .filter(outbox::folded_into.eq(digest))
        .filter(outbox::ticket_id.is_not_null())
        .select(outbox::ticket_id.assume_not_null())
        .distinct()
        .load(db)?)
}

/// What came too late for `person` and stands in no digest, the oldest first. A digest of theirs that still waits is taken
/// back before, if there is anything to add to it.
pub fn late_news(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<Vec<LateNews>> {
    if page_of_unfolded(db, person, OutboxId(0), now)?.is_empty() {
        return Ok(Vec::new());
    }
    let waiting: Vec<OutboxId> = outbox::table
        .filter(outbox::person_id.eq(person))
        .filter(outbox::kind.eq(Kind::Notification))
        .filter(outbox::ticket_id.is_null())
        .filter(outbox::state.eq_any([State::Queued, State::Deferred]))
        .select(outbox::id)
        .load(db)?;
    for digest in waiting {
        // Compare and set: a worker may have taken it for sending just now.
        let taken_back =
            diesel::update(outbox::table.find(digest).filter(outbox::state.eq_any([State::Queued, State::Deferred])))
                .set((outbox::state.eq(State::Suppressed), outbox::next_at.eq(now), outbox::mime.eq(None::<Vec<u8>>)))
                .execute(db)?;
        if taken_back > 0 {
            give_back(db, digest)?;
        }
    }
    unfolded(db, person, now)
}

fn unfolded(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<Vec<LateNews>> {
    let mut news: Vec<LateNews> = Vec::new();
    loop {
        let last = news.last().map_or(OutboxId(0), |news| news.id);
        let page = page_of_unfolded(db, person, last, now)?;
        let is_last = page.len() < PAGE;
        news.extend(page);
        if is_last {
            return Ok(news);
        }
    }
}

fn page_of_unfolded(db: &mut DbConnection, person: PersonId, after: OutboxId, now: UtcTime) -> Result<Vec<LateNews>> {
    Ok(outbox::table
        .filter(outbox::person_id.eq(person))
        .filter(outbox::ticket_id.is_not_null())
        .filter(is_unfolded())
        .filter(outbox::expires_at.gt(now.minus(NEWS_FOR)))
        .filter(outbox::id.gt(after))
        .order(outbox::id)
        .limit(PAGE as i64)
        .select((outbox::id, outbox::ticket_id.assume_not_null()))
        .load(db)?)
}

/// Written out, so that the index over them serves.
fn is_unfolded() -> diesel::expression::SqlLiteral<Bool> {
    sql::<Bool>("kind = 'notification' AND state = 'suppressed' AND folded_into IS NULL")
}

/// The news of a digest that does not arrive are news again.
pub fn give_back(db: &mut DbConnection, digest: OutboxId) -> Result<()> {
    diesel::update(outbox::table.filter(outbox::folded_into.eq(digest)))
        .set(outbox::folded_into.eq(None::<OutboxId>))
        .execute(db)?;
    Ok(())
}

/// Notes that these news stand in the digest with that Message-ID. Fails, and with it the transaction, when one of them
/// stands in another already: two workers wrote digests of the same news.
pub fn fold(db: &mut DbConnection, news: &[OutboxId], digest_mail_id: &str) -> Result<()> {
    let digest: OutboxId = outbox::table.filter(outbox::mail_id.eq(digest_mail_id)).select(outbox::id).first(db)?;
    for page in news.chunks(PAGE) {
        let unfolded = outbox::table.filter(outbox::id.eq_any(page)).filter(outbox::folded_into.is_null());
        let folded = diesel::update(unfolded).set(outbox::folded_into.eq(digest)).execute(db)?;
        if folded != page.len() {
            return Err(Error::Busy);
        }
    }
    Ok(())
}
