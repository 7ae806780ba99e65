//! Mail that waits for somebody: held for an agent's decision, failed, or stumbling. Nothing here is ever removed by
//! itself (J-04).

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::claiming::is_waiting;
use super::{Imported, Record, State, Way};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, Page};
use crate::db::schema::journal;
use crate::db::types::{JournalId, Json, MailboxId, TicketId};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A mail on the list of unprocessed mail.
#[derive(Clone, Debug, Queryable)]
pub struct Unprocessed {
    pub id: JournalId,
    pub handle: String,
    pub mailbox: MailboxId,
    pub recipient: String,
    pub envelope_from: String,
    pub way: Way,
    pub size: i64,
    pub state: State,
    pub attempts: i32,
    pub record: Json<Record>,
    pub last_error: Option<String>,
    pub ticket: Option<TicketId>,
    pub original_hash: Option<String>,
    pub received_at: UtcTime,
    pub imported: Option<Imported>,
}

/// How many mails wait for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not yet processed, or being tried again.
    pub waiting: i64,
    pub held: i64,
    pub failed: i64,
    /// When the oldest that waits came in.
    pub oldest_waiting: Option<UtcTime>,
}

macro_rules! rows {
    () => {
        journal::table.select((
            journal::id,
            journal::handle,
            journal::mailbox_id,
            journal::recipient,
            journal::envelope_from,
            journal::way,
            journal::size,
            journal::state,
            journal::attempts,
            journal::record,
            journal::last_error,
            journal::ticket_id,
            journal::original_hash,
            journal::received_at,
            journal::imported,
        ))
    };
}

/// Held and failed mails, the newest first.
pub fn list(db: &mut DbConnection, after: Option<Cursor>, size: i64) -> Result<Page<Unprocessed>> {
    let mut query = rows!().filter(is_stuck()).order(journal::id.desc()).limit(size + 1).into_boxed();
    if let Some(after) = after {
        query = query.filter(journal::id.lt(JournalId(after.id)));
    }
    let found: Vec<Unprocessed> = query.load(db)?;
    Ok(Page::cut(found, size, |row| Cursor { time: row.received_at, id: row.id.0 }))
}

/// The same for some mailboxes only.
pub fn list_at(
    db: &mut DbConnection,
    mailboxes: &[MailboxId],
    after: Option<Cursor>,
    size: i64,
) -> Result<Page<Unprocessed>> {
    let mut query = rows!()
        .filter(is_stuck())
        .filter(journal::mailbox_id.eq_any(mailboxes.to_vec()))
        .order(journal::id.desc())
        .limit(size + 1)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(journal::id.lt(JournalId(after.id)));
    }
    let found: Vec<Unprocessed> = query.load(db)?;
    Ok(Page::cut(found, size, |row| Cursor { time: row.received_at, id: row.id.0 }))
}

/// Mails that failed at least once and are being tried again (J-03), the newest first.
pub fn stumbling(db: &mut DbConnection, limit: i64) -> Result<Vec<Unprocessed>> {
    Ok(rows!()
        .filter(is_waiting())
        .filter(journal::last_error.is_not_null())
        .order(journal::id.desc())
        .limit(limit)
        .load(db)?)
}

/// The mail with that public name, whatever its state.
pub fn find(db: &mut DbConnection, handle: &str) -> Result<Option<Unprocessed>> {
    Ok(rows!().filter(journal::handle.eq(handle)).first(db).optional()?)
}

/// The original bytes: from the row while they are there, else the hash under which storage keeps them.
pub fn original(db: &mut DbConnection, id: JournalId) -> Result<Original> {
    let (raw, hash): (Option<Vec<u8>>, Option<String>) =
        journal::table.find(id).select((journal::raw, journal::original_hash)).first(db)?;
    match (raw, hash) {
        (Some(raw), _) => Ok(Original::Bytes(raw)),
        (None, Some(hash)) => Ok(Original::Stored(hash)),
        (None, None) => Err(Error::NotFound),
    }
}

/// Where the bytes of a mail are.
#[derive(Clone, Debug)]
pub enum Original {
    Bytes(Vec<u8>),
    Stored(String),
}

impl Original {
    /// The bytes. Reads a file, so not within a transaction.
    pub fn read(self, storage: &Storage) -> Result<Vec<u8>> {
        match self {
            Original::Bytes(bytes) => Ok(bytes),
            Original::Stored(hash) => storage.get(&hash),
        }
    }
}

/// Has a held or failed mail processed again from the start. `false` when it is not waiting for that any more.
pub fn reprocess(db: &mut DbConnection, id: JournalId, now: UtcTime) -> Result<bool> {
    let changed = diesel::update(journal::table.find(id).filter(is_stuck()))
        .set((
            journal::state.eq(State::Accepted),
            journal::attempts.eq(0),
            journal::strikes.eq(0),
            journal::next_at.eq(now),
            journal::leased_until.eq(None::<UtcTime>),
            journal::last_error.eq(None::<String>),
            journal::finished_at.eq(None::<UtcTime>),
        ))
        .execute(db)?;
    Ok(changed > 0)
}

/// Takes a held or failed mail for a decision by hand, as a worker would, so that [`super::outcome::finish`] may record
/// it. `false` when somebody else decided meanwhile.
pub fn take_by_hand(db: &mut DbConnection, id: JournalId, who: &str, now: UtcTime) -> Result<bool> {
    let changed = diesel::update(journal::table.find(id).filter(is_stuck()))
        .set((
            journal::state.eq(State::Parsed),
            journal::leased_by.eq(who),
            journal::leased_until.eq(now.plus(chrono::TimeDelta::seconds(120))),
        ))
        .execute(db)?;
    Ok(changed > 0)
}

/// Nothing is to be done with it. It stays in the journal, and leaves the list.
pub fn reject(db: &mut DbConnection, id: JournalId, now: UtcTime) -> Result<bool> {
    let changed = diesel::update(journal::table.find(id).filter(is_stuck()))
        .set((journal::state.eq(State::Rejected), journal::finished_at.eq(now)))
        .execute(db)?;
    Ok(changed > 0)
}

/// How many mails wait, are held and failed.
pub fn counts(db: &mut DbConnection) -> Result<Counts> {
    let waiting: (i64, Option<UtcTime>) = journal::table
        .filter(is_waiting())
        .select((diesel::dsl::count_star(), diesel::dsl::min(journal::received_at)))
        .first(db)?;
    let held = journal::table.filter(is_stuck()).filter(journal::state.eq(State::Held)).count().get_result(db)?;
    let failed = journal::table.filter(is_stuck()).filter(journal::state.eq(State::Failed)).count().get_result(db)?;
    Ok(Counts { waiting: waiting.0, held, failed, oldest_waiting: waiting.1 })
}

/// Written out, so that the index over held and failed mails serves.
fn is_stuck() -> diesel::expression::SqlLiteral<Bool> {
    sql::<Bool>("state IN ('held', 'failed')")
}
